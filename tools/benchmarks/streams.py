"""`nvtrap decide` over JSON Lines, the real command from file to file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

from nvtrap.arch.esr import encode_sysreg
from tools.benchmarks import measure
from tools.benchmarks.bench import MASKED, TABLE, Bench
from tools.benchmarks.figures import Measured, figure

LINES = 100_000
RUNS = 5


def _records(bench: Bench, every: int) -> Iterator[dict[str, Any]]:
    """Traps of registers with rules, a state of its own on every so manieth line."""
    random = Random(1)
    trapped = [code for code, rule in enumerate(bench.table.rule_of) if rule]
    for number in range(LINES):
        record: dict[str, Any] = {"id": number}
        if number % every == 0:
            state = {name: hex(value) for name, value in bench.registers(random).items()}
            res0 = {name: hex(1 << random.randrange(64)) for name in MASKED}
            record |= {"nv": True, "el": random.randrange(2), "state": state, "res0": res0}
        access = random.choice(trapped), random.random() < 0.5
        yield record | {"esr": hex(encode_sysreg(*access, rt=random.randrange(32)))}


def _write(path: Path, records: Iterator[dict[str, Any]]) -> None:
    with path.open("w", encoding="utf-8") as file:
        for record in records:
            file.write(json.dumps(record, separators=(",", ":")) + "\n")


def _rate(bench: Bench, every: int) -> Measured:
    traps, answers = bench.folder / f"traps-{every}.jsonl", bench.folder / "answers.jsonl"
    _write(traps, _records(bench, every))
    command = [str(bench.installed / "nvtrap"), "decide", str(traps), "--table", TABLE]
    time = measure.process_to_file_s(command, str(answers), RUNS)
    size = traps.stat().st_size / LINES
    return Measured(LINES / time, f"{LINES:,} lines of {size:.0f} bytes in {time:.2f} s")


@figure("decide JSON Lines, own state each", "lines/s", scale="code", least=30_000)
def stream_own_state(bench: Bench) -> Measured:
    """Every line with its own state of twelve registers."""
    return _rate(bench, 1)


@figure("decide JSON Lines, state every 64", "lines/s", scale="code", least=100_000)
def stream_every_64(bench: Bench) -> Measured:
    """A state on every 64th line, the others keep it."""
    return _rate(bench, 64)
