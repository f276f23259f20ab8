"""Names with an index, and encodings made of it."""

from __future__ import annotations

import pytest

from nvtrap.arch import encode
from nvtrap.errors import UsageError
from nvtrap.lang import indexes


def _pattern(name: str) -> indexes.Pattern:
    pattern = indexes.split(name)
    assert pattern is not None
    return pattern


def test_plain_name_has_no_index() -> None:
    """A name without angle brackets is no array."""
    assert indexes.split("HCR_EL2") is None


def test_split_finds_what_is_around_the_index() -> None:
    """The parts of a name, the name of the array and of an element."""
    pattern = _pattern("DBGBVR<n: 0..15>_EL1")
    assert (pattern.before, pattern.inside, pattern.after) == ("DBGBVR", "n: 0..15", "_EL1")
    assert pattern.family == "DBGBVR<>_EL1"
    assert pattern.element(7) == "DBGBVR7_EL1"


def test_one_index_only() -> None:
    """A name with two indexes is refused."""
    with pytest.raises(UsageError, match="`A<n>B<m>` has more than one index"):
        indexes.split("A<n>B<m>")


@pytest.mark.parametrize("inside", ["n: 0..15", "n:0..15"])
def test_declaration_gives_name_and_bounds(inside: str) -> None:
    """Both bounds belong to the array."""
    assert indexes.declared(_pattern(f"A<{inside}>")) == ("n", 0, 15)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("A<n>", "an array is declared with its index and bounds, not `<n>`"),
        ("A<0..3>", "an array is declared with its index and bounds"),
        ("A<n: 3..0>", "the index runs backwards, from 3 to 0"),
        ("A<n: 0..1024>", "an array has at most 1024 elements"),
    ],
)
def test_bad_declaration(name: str, message: str) -> None:
    """An array without bounds, a backward or an endless one is refused."""
    with pytest.raises(UsageError, match=message):
        indexes.declared(_pattern(name))


@pytest.mark.parametrize(
    ("inside", "numbers"), [("n", [2, 3, 4]), ("3", [3]), ("2..3", [2, 3]), ("4..4", [4])]
)
def test_chosen_elements(inside: str, numbers: list[int]) -> None:
    """The index itself means all, a number one, a range some."""
    assert list(indexes.chosen(_pattern(f"A<{inside}>"), "n", 2, 4)) == numbers


@pytest.mark.parametrize(
    ("inside", "message"),
    [
        ("m", "`<m>` is no index of this array"),
        ("4..2", "the index runs backwards, from 4 to 2"),
        ("1", "the array goes from 2 to 4, not to `<1>`"),
        ("2..5", "the array goes from 2 to 4, not to `<2..5>`"),
    ],
)
def test_bad_choice(inside: str, message: str) -> None:
    """Another index, a backward range and one beyond the array are refused."""
    with pytest.raises(UsageError, match=message):
        indexes.chosen(_pattern(f"A<{inside}>"), "n", 2, 4)


@pytest.mark.parametrize(
    ("text", "operands"),
    [
        ("S3_0_C1_C0_1", (3, 0, 1, 0, 1)),
        ("S2_0_C0_C<n>_4", (2, 0, 0, 13, 4)),
        ("S3_3_C14_C<0b10:n[4:3]>_<n[2:0]>", (3, 3, 14, 9, 5)),
        ("S2_1_C8_C<n[3:0]>_<n[3]:0b00>", (2, 1, 8, 13, 4)),
        ("S3_0_C0_C<n[1]>_0", (3, 0, 0, 0, 0)),
    ],
)
def test_encoding_of_an_element(text: str, operands: tuple[int, int, int, int, int]) -> None:
    """The index stands whole, in slices and between bits; here it is 13."""
    assert indexes.encode_text(text, "n", 13) == encode(*operands)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("HCR_EL2", "`HCR_EL2` is no encoding"),
        ("S3_0_1_0_1", "is no encoding"),
        ("S3_0_C1_C0_8", "op2 is 8, it goes from 0 to 7"),
        ("S3_0_C1_C0_1234", "`1234` is no operand"),
        ("S3_0_C1_Cn_1", "`n` is no operand"),
        ("S3_0_C1_C<m>_1", "`m` is not the index of this name"),
        ("S3_0_C1_C<0b1:n>_1", "in a concatenation `n` needs its bits"),
        ("S3_0_C1_C<n[0:1]>_1", r"`n\[0:1\]` runs backwards"),
        ("S3_0_C1_C<0b2>_1", "`0b2` is neither bits such as `0b10` nor part of an index"),
        ("S3_0_C1_C<n>_1", "CRm is 16, it goes from 0 to 15"),
    ],
)
def test_bad_encoding(text: str, message: str) -> None:
    """What is no encoding, or does not fit one, is refused; the index is 16."""
    with pytest.raises(UsageError, match=message):
        indexes.encode_text(text, "n", 16)


def test_index_of_a_plain_name() -> None:
    """A register without an index has none to use."""
    with pytest.raises(UsageError) as caught:
        indexes.encode_text("S3_0_C1_C<n>_1")
    assert caught.value.help == "the name has no index"
