"""`nvtrap.analysis.coverage`: one disagreement of each kind."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from nvtrap.analysis.coverage import (
    CONDITION,
    CONTEXT,
    DELIBERATE,
    DIRECTION,
    HOLE,
    LAYOUT,
    MISSING,
    POLARITY,
    SURPLUS,
    Coverage,
    Gap,
)
from nvtrap.arch import Access
from nvtrap.engine import FORWARD
from tests.analysis.small_tables import table_of, texts

COMMON = """
register HCR_EL2 = S3_4_C1_C1_0 { A [0]  B [1]  E2H [34] }
register CPTR_EL2 = S3_4_C1_C1_2 {
    layout when HCR_EL2.E2H == 0 { TTA [20] }
    layout when HCR_EL2.E2H == 1 { TTA [28] }
}
register R<n: 0..3>_EL1 = S3_0_C1_C0_<n>
register WO_EL1 = S3_0_C1_C1_0 write-only
control C.A traps any when HCR_EL2.A == 1
control C.A_read traps read when HCR_EL2.A == 1
control C.notA traps any when HCR_EL2.A == 0
control C.AB traps any when HCR_EL2.{B, A} == 0b11
condition C.TTA traps any when CPTR_EL2.TTA == 1
control C.TTA20 traps any when CPTR_EL2[20] == 1
table t { parts are exclusive absent fields read as zero }
"""


def gaps(table: str, arch: str) -> list[Gap]:
    """The disagreements of two sets of rules over the common definitions."""
    return Coverage(table_of(COMMON + table), table_of(COMMON + arch)).gaps()


@pytest.mark.parametrize(
    ("table", "arch", "expected"),
    [
        ("", "trap R0_EL1 by C.A", {(MISSING, "C.A")}),
        ("trap R0_EL1 by C.A", "", {(SURPLUS, "C.A")}),
        ("trap R0_EL1 by C.A_read", "trap R0_EL1 by C.A", {(DIRECTION, "C.A")}),
        ("trap R0_EL1 by C.notA", "trap R0_EL1 by C.A", {(POLARITY, "C.A")}),
        ("trap R0_EL1 by C.TTA20", "trap R0_EL1 by C.TTA", {(LAYOUT, "C.TTA")}),
        ("trap R0_EL1 by C.A from EL0", "trap R0_EL1 by C.A", {(CONTEXT, "C.A")}),
        ("trap R0_EL1 by C.AB", "trap R0_EL1 by C.A", {(CONDITION, "C.A")}),
        ('local R0_EL1 because "no"', "trap R0_EL1 by C.A", {(DELIBERATE, "C.A")}),
        ("trap R<0..2>_EL1 by C.A", "trap R<n>_EL1 by C.A", {(HOLE, "C.A")}),
        ("trap R0_EL1 by C.A", "trap R0_EL1 by C.A", set()),
    ],
)
def test_each_kind_is_told(table: str, arch: str, expected: set[tuple[str, str]]) -> None:
    """A small table with one slip gives the kind of that slip and names the control."""
    assert {(gap.kind, gap.control) for gap in gaps(table, arch)} == expected


def test_a_direction_that_does_not_exist_is_no_gap() -> None:
    """Nobody reads a write-only register, so only its writes are missing."""
    assert [gap.write for gap in gaps("", "trap WO_EL1 by C.A")] == [True]


def test_a_hole_is_only_what_other_elements_have() -> None:
    """When a control is missing for the whole array, that is no hole in it."""
    assert {gap.kind for gap in gaps("", "trap R<n>_EL1 by C.A")} == {MISSING}


@given(texts(), texts())
@settings(max_examples=40, deadline=None)
def test_every_witness_shows_its_gap(one: str, other: str) -> None:
    """In the witness of a gap the two tables really disagree about the access."""
    table, arch = table_of(one), table_of(other)
    for gap in Coverage(table, arch).gaps():
        access = Access(gap.encoding, gap.write)
        told = [each.decide(gap.witness, access).outcome == FORWARD for each in (table, arch)]
        assert told[0] != told[1]
