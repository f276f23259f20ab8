"""Decisions in a running process: one, all, many."""

from __future__ import annotations

from array import array
from random import Random
from typing import Any

from nvtrap import Access
from tools.benchmarks import measure
from tools.benchmarks.bench import Bench
from tools.benchmarks.figures import Measured, figure

MANY = 4_000_000
MANY_PLAIN = 500_000


def _loop_us(bench: Bench, code: str) -> float:
    first, second = bench.states
    access = Access(bench.table.encoding("REVIDR_EL1"))
    names: dict[str, object] = {
        "decide": bench.table.decide,
        "decide_all": bench.table.decide_all,
        "first": first,
        "second": second,
        "access": access,
    }
    return measure.loop_ns(code, names) / 1e3


@figure("decide, state unchanged", "us", scale="code", most=0.5)
def decide_unchanged(bench: Bench) -> Measured:
    """One decision in the state of the one before."""
    return Measured(_loop_us(bench, "decide(first, access)"))


@figure("decide, right after a state change", "us", scale="code")
def decide_changed(bench: Bench) -> Measured:
    """One decision in another state than the one before."""
    return Measured(_loop_us(bench, "decide(first, access); decide(second, access)") / 2)


@figure("decide_all, 65,536 encodings both ways", "us", scale="code", most=150)
def decide_all(bench: Bench) -> Measured:
    """All encodings after a state change."""
    return Measured(_loop_us(bench, "decide_all(first); decide_all(second)") / 2)


def _rate(bench: Bench, encodings: Any, writes: Any) -> float:
    state = bench.states[0]
    time = measure.call_s(lambda: bench.table.decide_many(state, encodings, writes))
    return len(encodings) / time / 1e6


@figure("decide_many, numpy", "M/s", scale="code", least=20)
def decide_many_numpy(bench: Bench) -> Measured:
    """Random accesses, directions mixed, as numpy arrays."""
    import numpy as np

    random = np.random.default_rng(1)
    encodings = random.integers(0, 1 << 16, MANY, dtype=np.uint16)
    return Measured(_rate(bench, encodings, random.integers(0, 2, MANY, dtype=np.bool_)))


@figure("decide_many, without numpy", "M/s", scale="code")
def decide_many_plain(bench: Bench) -> Measured:
    """Random accesses, directions mixed, as an array and bytes."""
    random = Random(1)
    encodings = array("H", random.randbytes(2 * MANY_PLAIN))
    writes = bytes(random.choices((0, 1), k=MANY_PLAIN))
    return Measured(_rate(bench, encodings, writes))
