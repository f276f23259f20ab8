"""Sequences of GIC operations: the recorded ones, and what is wrong with others."""

from __future__ import annotations

import gzip
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvtrap.conform import conform
from nvtrap.conform.sequences import BROKEN_PROTOCOL, OWN_CHOICE, judge
from nvtrap.conform.verdicts import Score
from nvtrap.engine import Table
from nvtrap.errors import NvtrapError, UsageError

RECORDED = Path(__file__).parents[1] / "vectors/qemu-gic/sequences.jsonl.gz"


def no_table(name: str) -> Table:
    """Sequences need none."""
    raise AssertionError(name)


def run(*operations: dict[str, Any], **more: Any) -> Score:
    """The score of a sequence."""
    return judge({"id": 1, "ops": list(operations), **more})


def test_every_recorded_sequence_passes() -> None:
    """Of QEMU's 300, all scored results; of the others it is known how many differ."""
    with gzip.open(RECORDED) as lines:
        scores = [verdict.score for verdict in conform(lines, no_table)]
    assert len(scores) == 300
    assert [score.problem for score in scores if score.problem] == []
    apart = [score.apart for score in scores if score.apart]
    assert sum(counts.get(BROKEN_PROTOCOL, (0, 0))[1] for counts in apart) == 0
    assert sum(sum(counts.get(OWN_CHOICE, (0, 0))) for counts in apart) == 374


def test_what_differs_is_named_with_its_operation() -> None:
    """The first of them, and how many more."""
    score = run(
        {"op": "mrs", "el": 1, "reg": "ICC_IAR1_EL1", "expect": "0x1b"},
        {"op": "isr", "expect": "0x80"},
    )
    assert score.problem == (
        "operation 0, mrs ICC_IAR1_EL1 at EL1: expected 0x1b, got 0x3ff (and 1 more)"
    )


def test_an_access_that_ends_elsewhere_is_a_difference() -> None:
    """A trap, UNDEFINED and a plain value are three things; so is a write that should not trap."""
    trap = {"op": "msr", "el": 1, "reg": "ICC_SGI1R_EL1", "val": "0x0"}
    assert "got trap to EL2, ESR 0x623a3016" in run(trap).problem
    assert run({**trap, "trap": "0x623a3016"}).problem == ""
    undefined = {"op": "mrs", "el": 1, "reg": "ICH_HCR_EL2", "undef": 1, "esr": "0x2000000"}
    assert run(undefined).problem == ""
    assert "expected UNDEFINED at EL2" in run({**undefined, "undef": 2}).problem


def test_what_is_not_scored_is_counted_apart() -> None:
    """By why it is not; what the architecture requires counts before what was recorded."""
    read = {"op": "mrs", "el": 1, "reg": "ICC_RPR_EL1", "expect": "0x0"}
    score = run({**read, "impl": True}, {**read, "swerr": True}, {**read, "arch": "0xff"})
    assert score.problem == ""
    assert score.apart == {OWN_CHOICE: (0, 1), BROKEN_PROTOCOL: (0, 1)}


def test_registers_outside_the_gic_keep_what_is_written_or_trap() -> None:
    """HCR_EL2.TVM traps writes of MAIR_EL1, TRVM its reads; EL2 is never trapped."""
    hcr = {"op": "msr", "el": 2, "reg": "HCR_EL2"}
    mair = {"el": 1, "reg": "MAIR_EL1"}
    score = run(
        {"op": "msr", "val": "0x12", **mair},
        {"op": "mrs", "expect": "0x12", **mair},
        {**hcr, "val": hex(1 << 26 | 1 << 30)},
        {"op": "msr", "val": "0x34", "trap": "0x62302804", **mair},
        {"op": "mrs", "trap": "0x62302805", **mair},
        {"op": "mrs", "el": 2, "reg": "MAIR_EL1", "expect": "0x12"},
    )
    assert score.problem == ""


def test_parameters_choose_the_machine() -> None:
    """A user's own sequence may be about another implementation."""
    vtr = {"op": "mrs", "el": 2, "reg": "ICH_VTR_EL2", "expect": "0x90b8000f"}
    assert run(vtr, parameters={"list_registers": 16}).problem == ""
    with pytest.raises(UsageError, match="`list_registers` is `17`"):
        run(vtr, parameters={"list_registers": 17})


BAD: list[tuple[Any, str]] = [
    ("mrs", "operation 0: an operation is an object, not `mrs`"),
    ({"op": "mov"}, "operation 0: `mov` is no operation"),
    ({"op": ["r8"]}, "is no operation"),
    ({"op": "mrs", "reg": "ICC_RPR_EL1"}, "`el` is `null`, it goes from 0 to 3"),
    ({"op": "mrs", "reg": 5, "el": 1}, "`reg` is `5`, it is a register's name"),
    ({"op": "mrs", "reg": "ICC_RPRR_EL1", "el": 1}, "unknown register `ICC_RPRR_EL1`"),
    ({"op": "mrs", "reg": "ICC_RPR_EL1", "el": 3}, "there is no EL3"),
    ({"op": "msr", "reg": "ICC_PMR_EL1", "el": 1}, "`val` is `null`, it is a number"),
    ({"op": "msr", "reg": "ICC_PMR_EL1", "el": 1, "val": "ten"}, "`val` is `ten`"),
    ({"op": "msr", "reg": "ICC_PMR_EL1", "el": 1, "val": 1 << 64}, "at most 64 bits"),
    ({"op": "r32"}, "`addr` is `null`"),
    ({"op": "isr", "expect": -1}, "`expect` is `-1`"),
    ({"op": "isr", "undef": 1}, "`esr` is `null`"),
]


@pytest.mark.parametrize(("operation", "problem"), BAD, ids=lambda case: str(case)[:30])
def test_a_bad_operation_is_told_by_its_number(operation: Any, problem: str) -> None:
    """One sentence that names the key."""
    with pytest.raises(UsageError) as caught:
        run(operation)
    assert caught.value.message.startswith("operation 0: ")
    assert problem in caught.value.message


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner),
    max_leaves=6,
)
KEYS = ("op", "el", "reg", "val", "addr", "expect", "trap", "undef", "esr", "impl", "arch")
KINDS = st.sampled_from(["msr", "mrs", "isr", "mi", "r8", "w64"])
LIKELY = st.sampled_from(["ICC_IAR1_EL1", "ICH_LR0_EL2", "HCR_EL2", "0x1", 1, 2, "ACTLR_EL1"])


@given(st.lists(st.dictionaries(st.sampled_from(KEYS), KINDS | LIKELY | JSON), max_size=5), JSON)
def test_no_line_brings_the_judge_down(operations: list[Any], parameters: Any) -> None:
    """Hostile sequences get a verdict, or a sentence."""
    line = json.dumps({"id": 1, "ops": operations, "parameters": parameters}).encode()
    (verdict,) = conform([line], no_table)
    assert verdict.name == "1"
    with suppress(NvtrapError):
        judge({"ops": operations})
