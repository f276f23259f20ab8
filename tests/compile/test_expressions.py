"""What expressions mean, field by field and layout by layout."""

from __future__ import annotations

import pytest

from nvtrap.compile.expressions import MOST_IN_ONE, Slots
from tests.compile.helpers import CATALOGUE, findings, outcome, table

E2H = 1 << 34


def _holds(expression: str, access: str = "read X_EL1", el: int = 1, **registers: int) -> bool:
    """Whether a condition forwards an access."""
    made = table(f"condition T.T traps any when {expression}\ntrap {access.split()[1]} by T.T\n")
    return outcome(made, access, el, **registers).startswith("forward")


def _found(expression: str) -> list[str]:
    return findings(f"condition T.T traps any when {expression}")


@pytest.mark.parametrize(
    ("op", "holds"),
    [("==", [5]), ("!=", [4, 6]), ("<", [4]), ("<=", [4, 5]), (">", [6]), (">=", [5, 6])],
)
def test_comparisons(op: str, holds: list[int]) -> None:
    """Each operator compares unsigned numbers."""
    assert [n for n in (4, 5, 6) if _holds(f"C_EL2.N {op} 5", C_EL2=n << 4)] == holds


@pytest.mark.parametrize("expression", ["C_EL2.N == 5", "5 == C_EL2.N", "C_EL2[7:4] == 5"])
def test_sides_may_be_swapped(expression: str) -> None:
    """A term stands on either side; raw bits are the field's."""
    assert _holds(expression, C_EL2=0x50)
    assert not _holds(expression, C_EL2=0x40)


def test_fields_are_concatenated_in_the_order_written() -> None:
    """The first field is the high part."""
    assert _holds("C_EL2.{B, A} == 0b10", C_EL2=0b10)
    assert not _holds("C_EL2.{A, B} == 0b10", C_EL2=0b10)


def test_whole_registers_and_levels() -> None:
    """A bare name is a register's 64 bits, `EL` the exception level."""
    assert _holds("X_EL1 == 0x8000000000000001", X_EL1=1 << 63 | 1)
    assert _holds("EL == 0 or EL == 1", el=0)
    assert not _holds("EL < 1")


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("C_EL2.A == 1 or C_EL2.B == 1 and EL == 0", True),
        ("(C_EL2.A == 1 or C_EL2.B == 1) and EL == 0", False),
        ("not C_EL2.A == 1", False),
        ("not (C_EL2.A == 1 and EL == 0)", True),
        ("not not C_EL2.A == 1", True),
    ],
)
def test_words_between_comparisons(expression: str, expected: bool) -> None:
    """`not` binds closest, `or` loosest; here A is 1 and the EL is 1."""
    assert _holds(expression, C_EL2=1) == expected


def test_access_words() -> None:
    """The direction of the access can be asked for."""
    assert _holds("access.read")
    assert not _holds("access.write")
    assert _holds("access.write", "write X_EL1")


def test_index_of_the_access() -> None:
    """An element of an array knows its number."""
    made = table("condition T.T traps any when access.index >= C_EL2.N\ntrap V<n>_EL0 by T.T\n")
    assert [outcome(made, f"read V{n}_EL0", C_EL2=2 << 4) for n in range(4)] == [
        "local none",
        "local none",
        "forward coarse T.T",
        "forward coarse T.T",
    ]


def test_features_are_there_by_default() -> None:
    """A vCPU has every feature unless told otherwise."""
    assert _holds("FEAT_P and context.nv")


# ---- layouts -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("registers", "expected"),
    [
        ({"D_EL2": 1 << 20}, True),
        ({"D_EL2": 1 << 28}, False),
        ({"D_EL2": 1 << 20, "C_EL2": E2H}, False),
        ({"D_EL2": 1 << 28, "C_EL2": E2H}, True),
    ],
)
def test_field_is_where_the_layout_has_it(registers: dict[str, int], expected: bool) -> None:
    """A field that moves is read in the current layout."""
    c, d = registers.get("C_EL2", 0), registers["D_EL2"]
    assert _holds("D_EL2.T == 1", C_EL2=c, D_EL2=d) == expected


@pytest.mark.parametrize("expression", ["D_EL2.NEW == 0", "not D_EL2.NEW == 1", "D_EL2.NEW != 3"])
def test_field_that_the_layout_lacks_holds_for_nothing(expression: str) -> None:
    """However it is written, it does not hold; in its own layout it may."""
    assert not _holds(expression)
    assert _holds(expression, C_EL2=E2H)


def test_raw_bits_know_no_layout() -> None:
    """Bits by number are there in every layout."""
    assert all(_holds("D_EL2[28] == 1", D_EL2=1 << 28, C_EL2=c) for c in (0, E2H))


def test_fields_of_contradicting_layouts_never_hold() -> None:
    """No state has both layouts at once."""
    assert not any(_holds("D_EL2.OLD == 0 or D_EL2.NEW == 0", C_EL2=c) for c in (0, E2H))


# ---- contexts ---------------------------------------------------------------------------


def test_named_context_is_its_condition() -> None:
    """A context may use another, defined before or after it."""
    made = table(
        "condition T.T traps any when not context.outer\ntrap X_EL1 by T.T\n"
        "context outer when context.inner and C_EL2.A == 1\ncontext inner when EL == 0\n"
    )
    assert outcome(made, "read X_EL1", 0, C_EL2=1) == "local none"
    assert outcome(made, "read X_EL1", 1, C_EL2=1) == "forward coarse T.T"


def test_feature_and_context_of_one_name_are_two() -> None:
    """`FEAT_P` is the feature whatever contexts there are."""
    assert _holds("FEAT_P")
    made = table(
        "context FEAT_P when EL == 0\n"
        "condition T.T traps any when FEAT_P\ntrap X_EL1 by T.T\n"
        "condition T.U traps any when context.FEAT_P\ntrap Y_EL1 by T.U\n"
    )
    assert outcome(made, "read X_EL1") == "forward coarse T.T"
    assert outcome(made, "read Y_EL1") == "local none"


def test_ring_of_contexts_is_found() -> None:
    """A context that reaches itself means nothing, used or not."""
    found = findings("context a when context.b\ncontext b when context.a\n")
    assert found
    assert all("hangs on itself" in text for text in found)


# ---- what is wrong --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ("Z_EL2.A == 1", "NV010 unknown register `Z_EL2`"),
        ("Z_EL2[1] == 1", "NV010 unknown register `Z_EL2`"),
        ("Z_EL2 == 1", "NV010 unknown register `Z_EL2`"),
        ("C_EL2.Z == 1", "NV011 `C_EL2` has no field `Z`"),
        ("C_EL2[64] == 1", "NV026 bit 64 is not within [63:0]"),
        ("C_EL2[1:2] == 1", "NV026 bits [1:2] are not within [63:0], high bit first"),
        ("C_EL2.{A, B, A} == 1", "NV026 `C_EL2.{A, B, A}` has a bit twice"),
        ("C_EL2.A == 2", "NV020 `2` does not fit 1 bit"),
        ("16 == C_EL2.N", "NV020 `16` does not fit 4 bits"),
        ("EL == 4", "NV020 `4` does not fit 2 bits"),
        ("C_EL2.A", "NV016 `C_EL2.A` is a number, not something that holds"),
        ("access.reed", "NV016 `access.reed` is nothing that holds or not"),
        ("FEAT_NONE", "NV014 unknown feature `FEAT_NONE`"),
        ("context.none", "NV016 `context.none` is nothing that holds or not"),
    ],
)
def test_what_is_wrong_with_an_expression(expression: str, found: str) -> None:
    """Unknown words, and numbers that cannot be."""
    assert _found(expression) == [found]


@pytest.mark.parametrize(
    "expression", ["access.index == 1", "access.write", "context.hypervisor", "context.host_EL0"]
)
def test_context_hangs_on_the_state(expression: str) -> None:
    """The hypervisor context cannot ask what the access is, or for itself."""
    (found,) = findings(f"table t {{ hypervisor context when {expression} }}", CATALOGUE)
    assert found.startswith("NV016")


def test_context_of_a_table_may_have_layouts() -> None:
    """The hypervisor context reads fields as any expression does."""
    made = table(
        "table t { hypervisor context when D_EL2.T == 1 }\n"
        "trap X_EL1 by C.A\ntrap Y_EL1 by C.nP\ntrap R_EL1 by C.B\n"
    )
    assert outcome(made, "read X_EL1", C_EL2=1, D_EL2=1 << 20) == "local hyp-context"
    assert outcome(made, "read X_EL1", C_EL2=1, D_EL2=1 << 28) == "forward coarse C.A"


def test_as_many_comparisons_as_there_may_be() -> None:
    """The bound counts every layout."""
    assert _found(" or ".join(["C_EL2.A == 1"] * MOST_IN_ONE)) == []
    assert _found(" or ".join(["D_EL2.T == 1"] * MOST_IN_ONE)) != []


def test_slots_are_numbered_as_they_come() -> None:
    """A name has one number, however often it is asked for."""
    slots = Slots()
    assert [slots.number(name) for name in ("A", "B", "A")] == [0, 1, 0]
    assert slots.names == ["A", "B"]
