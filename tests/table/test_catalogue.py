"""The catalogue inside a compiled table: fields in their layouts, features, conditions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvtrap.engine import Table
from nvtrap.errors import UnknownNameError, UsageError
from nvtrap.table.conditions import (
    FALSE,
    TRUE,
    Condition,
    conjunction,
    disjunction,
    evaluate,
    holds,
    joined,
    negation,
    spread,
    terms,
    uses_index,
    with_index,
)
from tests.engine.helpers import table_of

TEXT = """
feature FEAT_A = ID_EL1.A >= 1
feature FEAT_B = ID_EL1.A >= 2 or ID_EL1.B == 0b11
feature FEAT_C
profile v1 = FEAT_A, FEAT_B
profile v2 = v1, FEAT_C
register ID_EL1 = S3_0_C0_C4_0 { A [3:0]  B [63:62] }
register M_EL2 = S3_4_C1_C1_0 { E [0]  SPLIT [9:8, 4]  T<n: 0..2> [20 + 2*n] }
register N_EL2 = S3_4_C1_C1_1 {
    OLD [1] is ALIAS requires FEAT_A
    layout when M_EL2.E == 0 { F [5]  G [7:6] requires FEAT_C else 1 }
    layout when M_EL2.E == 1 { F [9] }
}
register X_EL1 = S3_0_C1_C1_0 requires FEAT_B
register Y_EL1 = S3_0_C1_C1_1
control K.x traps any when M_EL2.E == 1
trap Y_EL1 by K.x
table t { parts are additive }
"""


@pytest.fixture(scope="module")
def table() -> Table:
    """A table with something of everything in its catalogue."""
    return table_of(TEXT)


def nothing(register: str) -> int:
    """Where no layout should be looked at."""
    raise AssertionError(register)


def test_a_field_is_where_its_layout_has_it(table: Table) -> None:
    """Names are found in any case; a field that moves is where the state says."""
    for e, pieces in ((0, [[5, 1]]), (1, [[9, 1]])):
        assert table.fields.pieces("N_EL2", "f", {"M_EL2": e}.__getitem__) == pieces
    assert table.fields.pieces("M_EL2", "SPLIT", nothing) == [[8, 2], [4, 1]]
    assert table.fields.pieces("N_EL2", "ALIAS", nothing) == [[1, 1]]
    assert table.fields.pieces("M_EL2", "T2", nothing) == [[24, 1]]
    assert [table.fields.moves("N_EL2", name) for name in ("F", "OLD")] == [True, False]


def test_a_field_that_is_not_there(table: Table) -> None:
    """Not in this layout, not in the register, or of no register."""
    with pytest.raises(UsageError) as caught:
        table.fields.pieces("N_EL2", "G", {"M_EL2": 1}.__getitem__)
    assert caught.value.message == "`N_EL2.G` does not exist in this layout"
    assert caught.value.help == "it does when `M_EL2.E == 0`"
    with pytest.raises(UnknownNameError) as unknown:
        table.fields.pieces("M_EL2", "SPLITS", nothing)
    assert unknown.value.close[0] == "M_EL2.SPLIT"
    with pytest.raises(UnknownNameError):
        table.fields.pieces("Z_EL2", "A", nothing)


@pytest.mark.parametrize(
    ("register", "bit", "e", "found"),
    [
        ("N_EL2", 5, 0, (".F", 5, 1)),
        ("N_EL2", 5, 1, ("[5]", 5, 1)),
        ("N_EL2", 7, 0, (".G", 6, 2)),
        ("N_EL2", 1, 1, (".OLD", 1, 1)),
        ("M_EL2", 4, 0, ("[4]", 4, 1)),
    ],
)
def test_the_field_at_a_bit(
    table: Table, register: str, bit: int, e: int, found: tuple[str, int, int]
) -> None:
    """The field of the current layout, or the bit itself where none is in one piece."""
    assert table.fields.name_at(register, bit, {"M_EL2": e}.__getitem__) == found


def test_all_fields_of_a_register(table: Table) -> None:
    """Bits as they are written, and the layouts they are in."""
    assert table.fields.of("M_EL2")["SPLIT"] == [{"bits": "9:8,4", "when": ""}]
    assert table.fields.of("N_EL2") == {
        "OLD": [{"bits": "1", "when": ""}],
        "ALIAS": [{"bits": "1", "when": ""}],
        "F": [{"bits": "5", "when": "M_EL2.E == 0"}, {"bits": "9", "when": "M_EL2.E == 1"}],
        "G": [{"bits": "7:6", "when": "M_EL2.E == 0"}],
    }
    assert table.fields.of("X_EL1") == table.fields.of("NOTHING") == {}


def test_features_go_by_name_and_profile(table: Table) -> None:
    """Words add and take away in order; profiles hold those of other profiles."""
    features = table.features
    assert features.names == ["FEAT_A", "FEAT_B", "FEAT_C"]
    assert features.profiles == ["v1", "v2"]
    assert features.named(["v1"]) == {"FEAT_A", "FEAT_B"}
    assert features.named(["v2", "-FEAT_B"]) == {"FEAT_A", "FEAT_C"}
    assert features.named(["all", "-v1", "FEAT_A"]) == {"FEAT_A", "FEAT_C"}
    assert features.named([]) == frozenset()
    with pytest.raises(UnknownNameError) as caught:
        features.named(["FEAT_D"])
    assert caught.value.message == "unknown feature `FEAT_D`"


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (0, set()),
        (1, {"FEAT_A"}),
        (2, {"FEAT_A", "FEAT_B"}),
        (3 << 62, {"FEAT_B"}),
    ],
)
def test_features_are_told_from_id_registers(table: Table, value: int, found: set[str]) -> None:
    """A feature that no field announces is never found; a register not given is 0."""
    assert table.features.of_id_registers({"ID_EL1": value}) == found


def test_what_is_not_there_without_features(table: Table) -> None:
    """The bits of their fields with how they read, and the encodings of their registers."""
    features = table.features
    assert features.absent_bits("N_EL2", frozenset()) == (0xC2, 0xC0)
    assert features.absent_bits("N_EL2", frozenset({"FEAT_C"})) == (2, 0)
    assert features.absent_bits("M_EL2", frozenset()) == (0, 0)
    assert features.undefined(frozenset()) == {table.encoding("X_EL1")}
    assert features.undefined(frozenset({"FEAT_B"})) == frozenset()


def test_a_table_knows_its_slots(table: Table) -> None:
    """Registers that the table reads have a number, others have none."""
    assert table.slots[table.slot("M_EL2")] == "M_EL2"
    assert table.slot("N_EL2") == -1
    assert (table.rule_count, table.control_count, repr(table)) == (2, 1, "table t")


# ---- conditions -------------------------------------------------------------------

BIT = holds(0)
INDEXED: Condition = ["cmp", ">=", ["i"], ["f", 1, [[0, 4]]]]


@pytest.mark.parametrize(
    ("made", "simple"),
    [
        (conjunction([]), TRUE),
        (conjunction([TRUE, BIT]), BIT),
        (conjunction([BIT, FALSE]), FALSE),
        (conjunction([BIT, INDEXED]), ["and", BIT, INDEXED]),
        (disjunction([]), FALSE),
        (disjunction([FALSE, BIT]), BIT),
        (disjunction([BIT, TRUE]), TRUE),
        (disjunction([BIT, INDEXED]), ["or", BIT, INDEXED]),
        (negation(TRUE), FALSE),
        (negation(FALSE), TRUE),
        (negation(BIT), ["not", BIT]),
        (negation(["not", BIT]), BIT),
    ],
)
def test_conditions_are_made_simple(made: Condition, simple: Condition) -> None:
    """What always or never holds does not stay in a condition."""
    assert made == simple


def test_an_index_is_put_into_a_condition() -> None:
    """The element's number takes the place of the index, everything else stays."""
    condition: Condition = ["and", ["not", INDEXED], ["or", BIT, TRUE]]
    assert uses_index(condition)
    assert len(terms(condition)) == 4
    put = with_index(condition, 3)
    assert put == [
        "and",
        ["not", ["cmp", ">=", ["k", 3], ["f", 1, [[0, 4]]]]],
        ["or", BIT, TRUE],
    ]
    assert not uses_index(put)
    for value in (2, 3, 4):
        words = {0: 0, 1: value}
        assert evaluate(condition, words.__getitem__, 3) == evaluate(put, words.__getitem__)
        assert evaluate(put, words.__getitem__) == (value > 3)


@given(st.integers(0, (1 << 64) - 1), st.permutations(range(64)), st.integers(1, 20))
def test_bits_are_taken_apart_and_put_back(register: int, order: list[int], count: int) -> None:
    """Spreading the joined bits of a value over a register gives those bits again."""
    pieces = [[bit, 1] for bit in order[:count]]
    number = joined(register, pieces)
    mask, bits = spread(number, pieces)
    assert bits == register & mask
    assert mask.bit_count() == count
    assert joined(bits, pieces) == number
