"""`nvtrap.conform.architecture`: recordings of Arm's models."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from nvtrap.conform.architecture import Architecture
from nvtrap.conform.verdicts import Score
from nvtrap.engine import State, Table
from nvtrap.errors import UsageError
from nvtrap.store import load

SAMPLE = Path(__file__).parent.parent / "vectors" / "arch" / "sample.jsonl.gz"

SINGLE: dict[str, Any] = {
    "model": "v9.4",
    "reg": "IC IALLU",
    "enc": [1, 0, 7, 5, 0],
    "dir": "W",
    "el": 1,
    "e2h": 0,
    "base": "local",
    "bits": {"HCR_EL2.TOCU": "el2", "HCR_EL2.TPU": "el2", "HFGITR_EL2.ICIALLU": "el2"},
}


@pytest.fixture(scope="module")
def arch() -> Table:
    """The architecture's table."""
    return load("arch")


@pytest.fixture(scope="module")
def judge(arch: Table) -> Architecture:
    """A judge by the architecture's table."""
    return Architecture(arch)


def sample() -> list[dict[str, Any]]:
    """The recorded lines that are kept with the tests."""
    with gzip.open(SAMPLE, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def test_the_recorded_sample_is_met(judge: Architecture) -> None:
    """No line of the sample fails, and what is left out is left out for a known reason."""
    scores = [judge.judge(record) for record in sample()]
    assert [score.problem for score in scores if score.problem] == []
    reasons = {score.reason for score in scores}
    assert reasons <= {
        "",
        "base el1",
        "base undef",
        "random state, el1",
        "random state, undef",
        "IMPLEMENTATION DEFINED",
    }
    assert sum(not score.reason for score in scores) > 600


def test_reported_exception_classes_are_the_recorded_ones(arch: Table) -> None:
    """Where a single bit traps with another EC than 0x18, the deciding rule reports it."""
    judge = Architecture(arch)
    checked = 0
    for record in sample():
        for name, ec in record.get("ec", {}).items() if "bits" in record else ():
            layout = f"e2h{record['e2h']}"
            nv = record.get("nv", "")
            state = judge._state(record["model"], layout, nv, record["el"], name)
            encoding = arch.encoding(",".join(map(str, record["enc"])))
            outcome = arch.decide_at(state, encoding, record["dir"] == "W")
            assert outcome.ec == ec, (record, name, outcome)
            checked += 1
    assert checked


def changed(**keys: object) -> dict[str, Any]:
    """The example line with some keys changed."""
    return {**SINGLE, **keys}


@pytest.mark.parametrize(
    ("record", "problem"),
    [
        (changed(), ""),
        (changed(base="el2"), "expected el2"),
        (changed(bits={}), "with HCR_EL2.TOCU flipped: expected local"),
        (changed(bits={**SINGLE["bits"], "HCR_EL2.TVM": "el2"}), "with HCR_EL2.TVM flipped"),
    ],
)
def test_a_single_bit_line_is_scored_in_full(
    judge: Architecture, record: dict[str, Any], problem: str
) -> None:
    """The base state, each listed bit, and each bit that is not listed, can fail a line."""
    score = judge.judge(record)
    assert problem in score.problem
    assert bool(score.problem) == bool(problem)


def test_a_base_that_is_not_scored_still_scores_its_el2_bits(judge: Architecture) -> None:
    """With a base of el1 only the bits with outcome el2 count; without any, nothing does."""
    assert judge.judge(changed(base="el1")).problem == ""
    wrong = judge.judge(changed(base="el1", bits={"HCR_EL2.TVM": "el2"}))
    assert "HCR_EL2.TVM" in wrong.problem
    assert judge.judge(changed(base="undef", bits={})).reason == "base undef"


def test_skipped_bits_are_not_flipped(judge: Architecture) -> None:
    """A bit named in `skip` may do what it wants."""
    bits = {name: "el2" for name in SINGLE["bits"] if name != "HCR_EL2.TPU"}
    assert judge.judge(changed(bits=bits)).problem
    assert judge.judge(changed(bits=bits, skip=["HCR_EL2.TPU"])).problem == ""


def random_line(outcome: str, **keys: object) -> dict[str, Any]:
    """A line in a state where HCR_EL2.TID1 is set."""
    line = {"model": "v9.4", "enc": [3, 0, 0, 0, 6], "dir": "R", "el": 1, "outcome": outcome}
    return {**line, "state": {"HCR_EL2": "0x10000"}, **keys}


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (random_line("el2"), Score()),
        (random_line("exec"), Score(problem="expected exec")),
        (random_line("el1"), Score(reason="random state, el1")),
        (random_line("exec", impdef=True), Score(reason="IMPLEMENTATION DEFINED")),
        (random_line("el2", impdef=True), Score()),
    ],
)
def test_random_states_are_scored_as_their_readme_says(
    judge: Architecture, record: dict[str, Any], expected: Score
) -> None:
    """`el2` means forwarded, `exec` not; the rest is left out by reason."""
    score = judge.judge(record)
    assert score.reason == expected.reason
    assert score.problem.startswith(expected.problem)
    assert bool(score.problem) == bool(expected.problem)


@pytest.mark.parametrize(
    "record",
    [changed(model="v7"), changed(dir="X"), changed(enc=[1, 2]), changed(enc=[9, 0, 0, 0, 0])],
)
def test_a_malformed_line_is_a_usage_error(judge: Architecture, record: dict[str, Any]) -> None:
    """An unknown model, direction or encoding is said, not guessed."""
    with pytest.raises(UsageError):
        judge.judge(record)


def test_memory_is_no_trap(arch: Table) -> None:
    """With NV, NV1 and NV2 VBAR_EL1 is memory at its offset from VNCR_EL2."""
    nv = 1 << 42 | 1 << 43 | 1 << 45
    outcome = arch.decide_at(State({"HCR_EL2": nv}), arch.encoding("VBAR_EL1"), write=True)
    assert (outcome.outcome, outcome.memory) == ("local", 0x250)
