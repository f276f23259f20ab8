"""Programs around generated code: states and accesses in, decisions out, as 64-bit words.

A batch is EL, nv, whether features follow, the number of accesses; the registers, their
RES0 bits, the disabled bits of the groups and the features; then the accesses, each an
encoding with the direction in bit 32. Each answer is a word, see `packed`.
"""

from __future__ import annotations

import shutil
import subprocess
from array import array
from collections.abc import Iterable, Sequence
from pathlib import Path
from random import Random

import pytest

from nvtrap.emit import Emission, rendered
from nvtrap.engine import OUTCOMES, STEPS, Outcome, State, Table

LICENCE = "Apache-2.0"
WARNINGS = ("-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror")
NO_PART = 0xFFFF
NUMBERS = {"local": 0, "forward": 1, "undef": 2}
Accesses = Sequence[tuple[int, bool]]

C_DRIVER = """\
#include <stdio.h>
#include <string.h>
#include "{p}.h"

static uint64_t next(void)
{{
	uint64_t word;
	return fread(&word, sizeof word, 1, stdin) == 1 ? word : UINT64_MAX;
}}

static void words(void *to, int count)
{{
	for (int i = 0; i < count; i++) {{
		uint64_t word = next();
		memcpy((char *)to + 8 * i, &word, 8);
	}}
}}

int main(void)
{{
	for (uint64_t el; (el = next()) != UINT64_MAX;) {{
		struct {p}_state state = {{ .el = (uint8_t)el }};
		struct {p}_features features;
		struct {p}_bound bound;
		uint64_t has_features, count;

		state.nv = next();
		has_features = next();
		count = next();
		words(&state.registers, {registers});
		words(&state.res0, {registers});
		words(&state.fgu, {fgu});
		words(&features, {features});
		state.features = has_features ? &features : 0;
		{p}_bind(&bound, &state);
		while (count--) {{
			uint64_t access = next();
			struct {p}_decision d = {p}_decide(&bound, (uint32_t)access, access >> 32);
			uint64_t word = (uint64_t)d.step | (uint64_t)d.outcome << 4 |
					(uint64_t)d.part << 8 | (uint64_t)d.ec << 24 |
					(uint64_t)(uint32_t)(d.memory + 1) << 32;
			fwrite(&word, sizeof word, 1, stdout);
		}}
	}}
	return 0;
}}
"""

RUST_DRIVER = """\
extern crate table as library;
use library::table::*;
use std::io::{{Read, Write}};

fn copy<T>(to: &mut T, words: &mut impl Iterator<Item = u64>, count: usize) {{
    assert!(std::mem::size_of::<T>() >= 8 * count);
    for at in 0..count {{
        unsafe {{ (to as *mut T as *mut u64).add(at).write(words.next().unwrap()) }}
    }}
}}

fn main() {{
    let mut bytes = Vec::new();
    std::io::stdin().read_to_end(&mut bytes).unwrap();
    let mut words = bytes.chunks(8).map(|word| u64::from_ne_bytes(word.try_into().unwrap()));
    let mut out = Vec::new();
    while let Some(el) = words.next() {{
        let mut state = State {{ el: el as u8, ..State::default() }};
        state.nv = words.next().unwrap() != 0;
        let has_features = words.next().unwrap() != 0;
        let count = words.next().unwrap();
        copy(&mut state.registers, &mut words, {registers});
        copy(&mut state.res0, &mut words, {registers});
        copy(&mut state.fgu, &mut words, {fgu});
        let mut features = Features::default();
        copy(&mut features, &mut words, {features});
        state.features = has_features.then_some(features);
        let bound = state.bind();
        for _ in 0..count {{
            let access = words.next().unwrap();
            let d = bound.decide(access as u32, access >> 32 != 0);
            let outcome = match d.outcome {{
                Outcome::Local => 0,
                Outcome::Forward => 1,
                Outcome::Undef => 2,
            }};
            let word = d.step as u64
                | outcome << 4
                | u64::from(d.part.unwrap_or(0xffff)) << 8
                | u64::from(d.ec) << 24
                | d.memory.map_or(0, |offset| u64::from(offset) + 1) << 32;
            out.extend_from_slice(&word.to_ne_bytes());
        }}
    }}
    std::io::stdout().write_all(&out).unwrap();
}}
"""


def _driver(emission: Emission, text: str) -> str:
    return text.format(
        p=emission.prefix,
        registers=len(emission.members),
        fgu=len(emission.fgu),
        features=(len(emission.features) + 63) // 64,
    )


def c_program(emission: Emission, folder: Path) -> Path:
    """The generated C, compiled without a warning and with every check of undefined behaviour."""
    if shutil.which("gcc") is None:
        pytest.skip("there is no gcc here")
    for ending, text in rendered(emission, "c", LICENCE, f"{emission.prefix}.h").items():
        (folder / f"{emission.prefix}{ending}").write_text(text, encoding="utf-8")
    (folder / "driver.c").write_text(_driver(emission, C_DRIVER), encoding="utf-8")
    sources = (f"{emission.prefix}.c", "driver.c")
    checks = ("-fsanitize=undefined", "-fno-sanitize-recover", "-O1")
    _compile(("gcc", *WARNINGS, *checks, *sources, "-o", "driver"), folder)
    return folder / "driver"


def rust_program(emission: Emission, folder: Path) -> Path:
    """The generated Rust as a module of a `no_std` library without unsafe code or warnings."""
    if shutil.which("rustc") is None:
        pytest.skip("there is no Rust compiler here")
    (text,) = rendered(emission, "rust", LICENCE, "").values()
    (folder / "table.rs").write_text(text, encoding="utf-8")
    head = "#![no_std]\n#![deny(warnings)]\n#![forbid(unsafe_code)]\n"
    (folder / "lib.rs").write_text(f'{head}#[path = "table.rs"]\npub mod table;\n')
    (folder / "driver.rs").write_text(_driver(emission, RUST_DRIVER), encoding="utf-8")
    rustc = ("rustc", "--edition", "2021", "-C", "debug-assertions")
    _compile((*rustc, "--crate-type", "rlib", "--crate-name", "table", "lib.rs"), folder)
    _compile((*rustc, "-A", "warnings", "-L", ".", "driver.rs", "-o", "driver"), folder)
    return folder / "driver"


def _compile(command: Sequence[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[:4000]
    assert done.stderr == ""


# ---- cases ------------------------------------------------------------------------


def value(random: Random) -> int:
    """A register's value: none, few, half, or nearly all of its bits."""
    bits = random.getrandbits(64)
    few = bits & random.getrandbits(64) & random.getrandbits(64) & random.getrandbits(64)
    return random.choice([0, few, few, bits, bits | random.getrandbits(64), (1 << 64) - 1])


def random_state(emission: Emission, random: Random) -> State:
    """A state with values for what the table reads."""
    table = emission.table
    registers = [table.slots[slot] for slot in emission.members]
    features = [name for name in table.features.names if random.random() < 0.9]
    return State(
        {name: value(random) for name in registers if random.random() < 0.8},
        el=random.choice([0, 1, 1, 1, 2]),
        nv=random.random() < 0.95,
        res0={name: value(random) for name in registers if random.random() < 0.2},
        fgu={key: value(random) for key in emission.fgu if random.random() < 0.1},
        features=random.choice([None, None, features]),
    )


def random_accesses(emission: Emission, random: Random, count: int) -> Accesses:
    """Accesses of which most have a rule."""
    runs = (*emission.ranges, *emission.undefined)
    known = [encoding for first, last, _ in runs for encoding in {first, last}]
    everything = range(len(emission.table.rule_of))
    return [
        (random.choice(known if known and random.random() < 0.9 else everything), coin)
        for coin in random.choices([False, True], k=count)
    ]


def batch(emission: Emission, state: State, accesses: Accesses) -> Iterable[int]:
    """The words of one batch, as the module's docstring says."""
    slots = emission.table.slots
    yield from (state.el, state.nv, state.features is not None, len(accesses))
    for values in (state.registers, state.res0):
        yield from (values.get(slots[slot], 0) for slot in emission.members)
    yield from (state.fgu.get(key, 0) for key in emission.fgu)
    present = state.features or frozenset()
    bits = sum(1 << at for at, name in enumerate(emission.features) if name in present)
    for start in range(0, len(emission.features), 64):
        yield bits >> start & (1 << 64) - 1
    yield from (encoding | write << 32 for encoding, write in accesses)


def packed(emission: Emission, outcome: Outcome) -> int:
    """What a program should answer: step, outcome, part, exception class, memory + 1."""
    part = NO_PART if outcome.part is None else emission.part_number(outcome.part)
    memory = 0 if outcome.memory is None else outcome.memory + 1
    step = STEPS.index(outcome.step)
    return step | NUMBERS[OUTCOMES[step]] << 4 | part << 8 | outcome.ec << 24 | memory << 32


def hold(program: Path, emission: Emission, batches: Sequence[tuple[State, Accesses]]) -> set[str]:
    """Ask program and engine, and compare; the result are the steps that came to decide."""
    words = array("Q", (w for state, asked in batches for w in batch(emission, state, asked)))
    done = subprocess.run([program], input=words.tobytes(), capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    answers = iter(array("Q", done.stdout))
    steps = set()
    for state, accesses in batches:
        bound = emission.table.bind(state)
        for encoding, write in accesses:
            outcome = bound.decide(encoding, write)
            steps.add(outcome.step)
            found = next(answers)
            assert found == packed(emission, outcome), (hex(encoding), write, outcome, state)
    assert next(answers, None) is None
    return steps


def hold_randomly(program: Path, table: Table, states: int, accesses: int, seed: int) -> set[str]:
    """Compare in random states."""
    emission, random = Emission(table), Random(seed)
    return hold(
        program,
        emission,
        [
            (random_state(emission, random), random_accesses(emission, random, accesses))
            for _ in range(states)
        ],
    )
