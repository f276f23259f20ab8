"""What a compiled table holds of its rules."""

from __future__ import annotations

from nvtrap.compile import compile_text
from nvtrap.engine import Table
from nvtrap.table.file import unpack
from tests.compile.helpers import PRELUDE, table


def _rule_of(made: Table, name: str) -> int:
    return made.rule_of[made.encoding(name)]


def test_encodings_with_the_same_parts_share_a_rule() -> None:
    """What stands in one statement is one rule; another statement makes another."""
    made = table("trap X_EL1, Y_EL1 by C.A\ntrap R_EL1 by C.A\n")
    assert _rule_of(made, "X_EL1") == _rule_of(made, "Y_EL1") != 0
    assert _rule_of(made, "R_EL1") not in (0, _rule_of(made, "X_EL1"))
    assert _rule_of(made, "W_EL1") == 0


def test_elements_share_a_rule_unless_they_ask_for_their_index() -> None:
    """The index makes rules of their own only where it matters."""
    shared = table("trap V<n>_EL0 by C.A\n")
    apart = table("condition T.T traps any when access.index == 1\ntrap V<n>_EL0 by T.T\n")
    assert len({_rule_of(shared, f"V{n}_EL0") for n in range(4)}) == 1
    assert len({_rule_of(apart, f"V{n}_EL0") for n in range(4)}) == 4


def test_guards_with_the_index_are_made_for_each_element() -> None:
    """A filter that asks for the index becomes a number in each element's rule."""
    made = table("trap V<n>_EL0 by C.A (when access.index == C_EL2.N)\n")
    guards = [made.rule(_rule_of(made, f"V{n}_EL0")).coarse[0].guard for n in range(2)]
    assert [guard[2] for guard in guards] == [["k", 0], ["k", 1]]


def test_places_are_those_of_the_statements() -> None:
    """Each part knows the file and line that made it."""
    text = f"{PRELUDE}trap X_EL1\n    by C.A,\n    fine F.X_EL1\n"
    made = unpack(compile_text(text, "a.trap").blob, Table)
    rule = made.rule(_rule_of(made, "X_EL1"))
    first = PRELUDE.count("\n") + 1
    assert str(rule.coarse[0].place) == f"a.trap:{first + 1}"
    assert str(rule.fine[0].place) == f"a.trap:{first + 2}"


def test_groups_know_their_bits() -> None:
    """A group has the one-bit fields of both sides, and which trap when clear."""
    made = table("trap Y_EL1 fine F.nY_EL1\n")
    (group,) = made.groups
    assert group.bits["1"] == ["nY_EL1", "nY_EL1"]
    assert group.bits["2"] == ["R_EL1", ""]
    assert (group.fgu, group.negative) == ("F", [2, 2])


def test_profiles_are_written_out() -> None:
    """A profile has the features of the profiles that it names, each once."""
    made = table("profile a = FEAT_P\nprofile b = a, FEAT_Q, FEAT_P\n")
    assert made.features.named(["b"]) == {"FEAT_P", "FEAT_Q"}


def test_layouts_are_kept_by_name() -> None:
    """A field's layouts can be told without the table's slots."""
    made = table("trap X_EL1 by C.A\n")
    assert made.fields.pieces("D_EL2", "T", lambda _: 0) == [[20, 1]]
    assert made.fields.pieces("D_EL2", "T", lambda _: 1 << 34) == [[28, 1]]
