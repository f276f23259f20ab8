"""Which encodings a rule names."""

from __future__ import annotations

import pytest

from nvtrap.arch import encode
from nvtrap.compile import Loader
from nvtrap.compile import catalogue as catalogues
from nvtrap.compile.sets import Budget, EncodingSet, OverBudgetError, resolve
from nvtrap.lang import nodes
from nvtrap.lang.findings import Report
from tests.compile.helpers import CATALOGUE, findings


def _resolve(items: str, budget: int = 1 << 20) -> tuple[EncodingSet, Report]:
    program = Loader().load_text(f'{CATALOGUE}local {items} because "x"', "text", ".")
    report = program.report
    catalogue = catalogues.build(program.statements, report)
    (local,) = (s for s in program.statements if isinstance(s, nodes.Local))
    return resolve(local.sets, catalogue, report, Budget(budget)), report


def _encodings(items: str) -> list[int]:
    found, report = _resolve(items)
    assert report.findings == []
    return list(found.encodings)


@pytest.mark.parametrize(
    "item", ["X_EL1", "S3_0_C1_C0_1", "(3, 0, 1, 0, 1)", "S3_0_C1_C0_1 .. X_EL1"]
)
def test_spellings_of_one_encoding(item: str) -> None:
    """A name, the S-form, five numbers and a range of one are the same."""
    assert _encodings(item) == [encode(3, 0, 1, 0, 1)]


def test_array_whole_and_in_part() -> None:
    """An array by its index, by a range and by a number; elements know their index."""
    base = encode(3, 3, 14, 8, 0)
    assert _encodings("V<n>_EL0") == [base, base + 1, base + 2, base + 3]
    assert _encodings("V<1..2>_EL0") == [base + 1, base + 2]
    assert _encodings("V<3>_EL0") == [base + 3]
    assert _resolve("V<n>_EL0")[0].index == {base + n: n for n in range(4)}


@pytest.mark.parametrize("item", ["V2_EL0", "S3_3_C14_C8_2", "(3, 3, 14, 8, 2)"])
def test_element_by_another_name_has_its_index(item: str) -> None:
    """However an element is named, it is that element."""
    assert list(_resolve(item)[0].index.values()) == [2]


def test_elements_in_a_range_have_their_index() -> None:
    """A range knows the elements of arrays that it runs over."""
    found, _ = _resolve("S3_3_C14_C7_6 .. S3_3_C14_C8_1")
    assert list(found.index.values()) == [0, 1]
    assert len(found.encodings) == 4


def test_range_carries_from_op2_to_op0() -> None:
    """The encoding behind op2 = 7 is the next CRm's."""
    assert _encodings("S3_0_C0_C15_7 .. S3_0_C1_C0_0") == [
        encode(3, 0, 0, 15, 7),
        encode(3, 0, 1, 0, 0),
    ]


@pytest.mark.parametrize(
    ("wildcard", "count"),
    [
        ("S3_*_C11_*_*", 8 * 16 * 8),
        ("S*_*_*_*_*", 1 << 16),
        ("S3_0_C1_C0_*", 8),
        ("S*_0_C1_C0_0", 4),
    ],
)
def test_wildcards(wildcard: str, count: int) -> None:
    """A star is every value of its operand."""
    assert len(_encodings(wildcard)) == count


def test_list_is_a_union() -> None:
    """Items that overlap are not counted twice."""
    assert len(_encodings("S3_0_C1_C0_*, X_EL1, S3_0_C1_C0_3 .. S3_0_C1_C1_0")) == 9


@pytest.mark.parametrize(
    ("item", "found"),
    [
        ("Z_EL1", "NV010 unknown register `Z_EL1`"),
        ("Z<n>_EL1", "NV010 unknown array `Z<n>_EL1`"),
        ("V<m>_EL0", "NV023 `<m>` is no index of this array"),
        ("V<4>_EL0", "NV023 the array goes from 0 to 3, not to `<4>`"),
        ("S3_0_C1_C16_0", "NV024 `S3_0_C1_C16_0` is no encoding: CRm is 16, it goes from 0 to 15"),
        ("(4, 0, 1, 0, 0)", "NV024 op0 is 4, it goes from 0 to 3"),
        ("S3_8_*_*_*", "NV024 `8` is no op1 of an encoding"),
        ("S3_0_11_*_*", "NV024 `11` is no CRn of an encoding"),
        ("S3_C3_C1_*_*", "NV024 `C3` is no op1 of an encoding"),
        ("S3_0_C1*_C0_0", "NV024 `C1*` is no CRn of an encoding"),
        (
            "Y_EL1 .. X_EL1",
            "NV021 the range ends before it starts: S3_0_C1_C0_1 comes before S3_0_C1_C0_2",
        ),
        ("Z_EL1 .. X_EL1", "NV010 unknown register `Z_EL1`"),
    ],
)
def test_what_is_wrong_with_an_item(item: str, found: str) -> None:
    """Unknown names, indexes beyond an array, and what is no encoding."""
    assert findings(f'local {item} because "x"') == [found]


def test_wrong_item_does_not_take_the_others_along() -> None:
    """What is right in a list still counts."""
    found, report = _resolve("X_EL1, Z_EL1, Y_EL1")
    assert len(found.encodings) == 2
    assert report.has_errors


@pytest.mark.parametrize(
    ("item", "swallowed"),
    [
        ("C_EL2 .. D_EL2", ""),
        ("W_EL1 .. C_EL2", "V0_EL0, V1_EL0, V2_EL0, V3_EL0"),
        ("S3_0_C1_C0_4 .. S3_4_C1_C1_0", ""),
    ],
)
def test_range_over_another_level_is_warned_of(item: str, swallowed: str) -> None:
    """A range by name that takes in registers of another EL is suspicious."""
    found = findings(f'local {item} because "x"')
    text = "NV022 the range swallows registers of another EL than its ends suggest: "
    assert found == ([text + swallowed] if swallowed else [])


@pytest.mark.parametrize("item", ["S*_*_*_*_*", "V<n>_EL0", "X_EL1 .. Y_EL1", "X_EL1, Y_EL1"])
def test_budget_is_spent_by_what_is_named(item: str) -> None:
    """Each encoding costs, whether it was named before or not."""
    with pytest.raises(OverBudgetError):
        _resolve(item, budget=1)
