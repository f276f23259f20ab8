"""The compiler and the engine against the interpreter of the syntax tree, and recordings."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nvtrap import load
from nvtrap.arch import ENCODINGS, decode_sysreg
from nvtrap.compile import Loader, find_table
from nvtrap.engine import OUTCOMES, STEPS, State, Table
from tests.engine.helpers import both, examples, key_of
from tests.interpreter import Interpreter, Key, as_key
from tests.strategies import ACCESSES, states, tables

VECTORS = Path(__file__).parent.parent / "vectors" / "linux-6.12" / "traps.jsonl.gz"
DIRECTIONS = (False, True)


@lru_cache
def shipped(name: str) -> tuple[Table, Interpreter]:
    """A shipped table, compiled and not."""
    path = find_table(name)
    assert path is not None
    return load(name), Interpreter(Loader().load(path).statements)


def told(steps: Sequence[int]) -> list[tuple[str, str]]:
    """(outcome, step) of numbered steps."""
    return [(OUTCOMES[step], STEPS[step]) for step in steps]


def agree(table: Table, interpreter: Interpreter, state: State, names: Sequence[str]) -> None:
    """Compare every way of asking about accesses by name with what the text says."""
    asked = [(name, write) for name in names for write in DIRECTIONS]
    expected = [interpreter.decide(state, key_of(table, name), write) for name, write in asked]
    encodings = [table.encoding(name) for name, _ in asked]
    one_by_one = [
        table.decide_at(state, encoding, write)
        for encoding, (_, write) in zip(encodings, asked, strict=True)
    ]
    for question, says, found in zip(asked, expected, one_by_one, strict=True):
        assert (found.outcome, found.step) == says, (question, state)
    inside = [
        (encoding, write, says)
        for encoding, (_, write), says in zip(encodings, asked, expected, strict=True)
        if encoding < ENCODINGS
    ]
    every = table.decide_all(state)
    steps = [every[encoding] >> 4 * write & 15 for encoding, write, _ in inside]
    says_so = [says for _, _, says in inside]
    assert told(steps) == says_so, state
    plain = [encoding for encoding, _, _ in inside], [write for _, write, _ in inside]
    assert told(table.decide_many(state, *plain)) == says_so, state
    arrays = np.array(plain[0], dtype=np.uint16), np.array(plain[1])
    assert told(table.decide_many(state, *arrays).tolist()) == says_so, state


@settings(max_examples=examples(50))
@given(tables(), st.lists(states(), min_size=1, max_size=4))
def test_random_tables_mean_what_they_say(text: str, situations: list[State]) -> None:
    """One access at a time, all at once, or many: the answer is always what the text says."""
    table, interpreter = both(text)
    for state in situations:
        agree(table, interpreter, state, ACCESSES)


@settings(max_examples=examples(20))
@given(tables(), states())
def test_nothing_else_is_touched(text: str, state: State) -> None:
    """Encodings that no statement of a random table names have no entry."""
    table, interpreter = both(text)
    every = table.decide_all(state)
    touched = {as_key(encoding) for encoding, step in enumerate(every) if step}
    absent = {
        key
        for key in interpreter.named_at
        if interpreter.decide(state, key, write=False)[1] == "feature"
    }
    assert touched <= interpreter.entries.keys() | absent


def random_state(table: Table, random: Random) -> State:
    """A state with all registers of a table at random, dense, sparse or none of their bits."""

    def value() -> int:
        bits = random.getrandbits(64)
        return random.choice(
            [0, bits, bits & random.getrandbits(64), bits | random.getrandbits(64), (1 << 64) - 1]
        )

    registers = [name for name in table.slots if table.names.spelled(name)]
    features = [name for name in table.features.names if random.random() < 0.8]
    return State(
        {name: value() for name in registers if random.random() < 0.9},
        el=random.choice([0, 1, 1, 1, 2]),
        nv=random.random() < 0.9,
        res0={name: value() for name in registers if random.random() < 0.3},
        fgu={group.fgu: value() for group in table.groups if random.random() < 0.1},
        features=random.choice([None, features]),
    )


@pytest.mark.parametrize("name", ["linux-6.12", "arch"])
@pytest.mark.parametrize("seed", range(4))
def test_shipped_tables_mean_what_they_say(name: str, seed: int) -> None:
    """Every encoding of a shipped table has in random states the outcome of its text."""
    table, interpreter = shipped(name)
    state = random_state(table, Random(seed))
    every = table.decide_all(state)
    bound = table.bind(state)
    for encoding, step in enumerate(every):
        key: Key = as_key(encoding)
        if not step and key not in interpreter.entries:
            continue
        for write in DIRECTIONS:
            expected = interpreter.decide(state, key, write)
            found = bound.decide(encoding, write)
            assert (found.outcome, found.step) == expected, (found, state)
            assert told([step >> 4 * write & 15]) == [expected], (found, state)


def test_recorded_traps() -> None:
    """Table and interpreter answer every recorded trap as the kernel did."""
    table, interpreter = shipped("linux-6.12")
    with gzip.open(VECTORS) as lines:
        records = [json.loads(line) for line in lines]
    assert len(records) == 1500
    for record in records:
        registers, res0, fgu = (
            {name: int(value, 16) for name, value in record.get(what, {}).items()}
            for what in ("state", "res0", "fgu")
        )
        state = State(registers, el=record["el"], nv=record["nv"], res0=res0, fgu=fgu)
        encoding, write = decode_sysreg(int(record["esr"], 16))
        assert table.decide_at(state, encoding, write).outcome == record["expect"], record
        assert interpreter.decide(state, as_key(encoding), write)[0] == record["expect"], record
