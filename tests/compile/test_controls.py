"""Controls, combos and fine-grained groups."""

from __future__ import annotations

import pytest

from tests.compile.helpers import CATALOGUE, findings, outcome, table


@pytest.mark.parametrize(
    "when", ["C_EL2.A == 1", "C_EL2.{B, A} == 0b01", "C_EL2[0] == 1", "C_EL2[1:0] == 1"]
)
def test_control_is_a_register_equal_to_a_number(when: str) -> None:
    """Fields and bits of one register, equal to a number, make a control."""
    made = table(f"control T.T traps any when {when}\ntrap X_EL1 by T.T\n")
    assert outcome(made, "read X_EL1", C_EL2=1) == "forward coarse T.T"
    assert outcome(made, "read X_EL1", C_EL2=2) == "local none"


@pytest.mark.parametrize(
    "when",
    ["C_EL2.A != 1", "1 == C_EL2.A", "C_EL2.A == C_EL2.B", "not C_EL2.A == 1", "FEAT_P", "EL == 1"],
)
def test_anything_else_is_a_condition(when: str) -> None:
    """A control that is more than that is refused; a condition is not."""
    assert findings(f"control T.T traps any when {when}") == [
        "NV044 a control is one register's field or fields being equal to a number"
    ]
    assert findings(f"condition T.T traps any when {when}") == []


def test_directions_of_a_control() -> None:
    """A control traps the directions that it says."""
    made = table("trap X_EL1 by C.B\n")
    assert outcome(made, "read X_EL1", C_EL2=2) == "forward coarse C.B"
    assert outcome(made, "write X_EL1", C_EL2=2) == "local none"


def test_members_of_a_combo_keep_their_directions() -> None:
    """Any member traps what it would trap alone."""
    made = table("combo C.AB = C.A | C.B\ntrap X_EL1 by C.AB\n")
    assert outcome(made, "write X_EL1", C_EL2=2) == "local none"
    assert outcome(made, "write X_EL1", C_EL2=1) == "forward coarse C.AB"
    assert outcome(made, "read X_EL1", C_EL2=2) == "forward coarse C.AB"


def test_host_el0() -> None:
    """In host EL0 only a control acts that says so, also within a combo; no fine part does."""
    made = table(
        "table t { hypervisor context when C_EL2.E2H == 1  host EL0 when EL == 0 }\n"
        "control T.H traps any, also in host EL0 when C_EL2.B == 1\n"
        "combo T.AH = C.A | T.H\n"
        "trap X_EL1 by T.AH, fine F.X_EL1\ntrap Y_EL1 by C.nP\ntrap R_EL1 by C.B\n"
    )
    host = 1 << 34
    assert outcome(made, "read X_EL1", 0, C_EL2=host | 2) == "forward coarse T.AH"
    assert outcome(made, "read X_EL1", 1, C_EL2=host | 2) == "local hyp-context"
    assert outcome(made, "read X_EL1", 0, C_EL2=host | 1, FR_EL2=1) == "local none"
    assert outcome(made, "read Y_EL1", 0, C_EL2=host) == "local hyp-context"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("control C.A traps any when C_EL2.B == 1", ["NV040 control `C.A` is defined twice"]),
        ("combo C.A = C.B", ["NV040 control `C.A` is defined twice"]),
        ("combo T.T = C.A | C.Z", ["NV012 unknown control `C.Z`"]),
        ("combo T.T = C.A | C.B | C.A", ["NV032 `C.A` is a member twice"]),
        ("combo T.T = C.A | T.T", ["NV034 combo `T.T` contains itself"]),
        ("combo T.T = C.A\ncombo T.U = T.T", ["NV033 combo `T.U` contains the combo `T.T`"]),
        (
            "combo T.T = T.U\ncombo T.U = T.T",
            ["NV034 combo `T.T` contains itself", "NV034 combo `T.U` contains itself"],
        ),
        ("fine group G { any Z_EL2 }", ["NV010 unknown register `Z_EL2`"]),
        ("fine group G { write FW_EL2 }", ["NV047 group `G` has no register for `read`"]),
        ("fine group G { }", ["NV047 group `G` has no register for `read`"]),
        (
            "fine group G { any FR_EL2 read FR_EL2 }",
            ["NV040 group `G` has two registers for `read`"],
        ),
        ("fine group F { any FR_EL2 }", ["NV040 fine-grained group `F` is defined twice"]),
        ("trap X_EL1 fine G.X_EL1", ["NV013 unknown fine-grained group `G`"]),
    ],
)
def test_what_is_wrong_with_a_definition(text: str, found: list[str]) -> None:
    """Names are defined once, combos are flat, groups have both sides."""
    assert findings(text) == found


def test_combos_may_stand_before_their_members() -> None:
    """The order of definitions does not matter."""
    text = (
        "combo T.T = T.A | T.B\ncondition T.A traps any when EL == 0\n"
        "control T.B traps any when C_EL2.A == 1\n"
    )
    assert findings(text, CATALOGUE) == []
