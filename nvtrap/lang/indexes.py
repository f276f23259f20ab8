"""Names with an index: `DBGBVR<n: 0..15>_EL1`, and encodings that use it.

A *declared* name gives the index a name and bounds; a name in a rule gives the index's
name again (the whole array), a range of it, or a number. In an encoding or a field name
the index is used: `C<n>`, `<n[2:0]>`, `C<0b10:n[4:3]>`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from nvtrap.arch import encode
from nvtrap.errors import UsageError

MOST_ELEMENTS = 1024

_DECLARED = re.compile(r"([a-z][a-z0-9_]*): ?(\d{1,5})\.\.(\d{1,5})")
_RANGE = re.compile(r"(\d{1,5})(?:\.\.(\d{1,5}))?")
_PIECE = re.compile(r"0b([01]{1,8})|([a-z][a-z0-9_]*)(?:\[(\d{1,2})(?::(\d{1,2}))?\])?")


@dataclass(frozen=True, slots=True)
class Pattern:
    """A name around one index: `before`, what stands between the brackets, `after`."""

    before: str
    inside: str
    after: str

    @property
    def family(self) -> str:
        """The name with its index blanked, by which an array is found."""
        return f"{self.before}<>{self.after}"

    def element(self, number: int) -> str:
        """The name of one element."""
        return f"{self.before}{number}{self.after}"


def split(name: str) -> Pattern | None:
    """The parts of an indexed name; None for a plain one.

    Raises `UsageError` for a name with more than one index.
    """
    before, opened, rest = name.partition("<")
    if not opened:
        return None
    inside, _, after = rest.partition(">")
    if "<" in after:
        raise UsageError(f"`{name}` has more than one index")
    return Pattern(before, inside, after)


def declared(pattern: Pattern) -> tuple[str, int, int]:
    """(index name, first, last) of a declaration such as `n: 0..15`.

    Raises `UsageError` when it is not of that form, runs backwards or is too long.
    """
    match = _DECLARED.fullmatch(pattern.inside)
    if match is None:
        raise UsageError(
            f"an array is declared with its index and bounds, not `<{pattern.inside}>`",
            f"write `{pattern.before}<n: 0..15>{pattern.after}`",
        )
    first, last = int(match[2]), int(match[3])
    if last < first:
        raise UsageError(f"the index runs backwards, from {first} to {last}")
    if last - first >= MOST_ELEMENTS:
        raise UsageError(f"an array has at most {MOST_ELEMENTS} elements")
    return match[1], first, last


def chosen(pattern: Pattern, index: str, first: int, last: int) -> range:
    """Which elements a rule means, of an array declared `index: first..last`.

    Raises `UsageError` when the index is another one or goes beyond the array.
    """
    if pattern.inside == index:
        return range(first, last + 1)
    match = _RANGE.fullmatch(pattern.inside)
    if match is None:
        raise UsageError(
            f"`<{pattern.inside}>` is no index of this array",
            f"write `<{index}>` for all of it, or a range such as `<{first}..{last}>`",
        )
    low = int(match[1])
    high = int(match[2] or match[1])
    if high < low:
        raise UsageError(f"the index runs backwards, from {low} to {high}")
    if low < first or high > last:
        raise UsageError(f"the array goes from {first} to {last}, not to `<{pattern.inside}>`")
    return range(low, high + 1)


def encode_text(text: str, index: str = "", number: int = 0) -> int:
    """The encoding that `text` gives for element `number`.

    Raises `UsageError` when it is no encoding or an operand does not fit.
    """
    parts = text.split("_")
    if len(parts) != 5 or parts[0][:1] != "S" or parts[2][:1] != "C" or parts[3][:1] != "C":
        raise UsageError(
            f"`{text}` is no encoding",
            "write S<op0>_<op1>_C<CRn>_C<CRm>_<op2>, such as `S3_0_C1_C0_1`",
        )
    words = (parts[0][1:], parts[1], parts[2][1:], parts[3][1:], parts[4])
    op0, op1, crn, crm, op2 = (_operand(word, index, number) for word in words)
    return encode(op0, op1, crn, crm, op2)


def _operand(word: str, index: str, number: int) -> int:
    if word.isascii() and word.isdigit() and len(word) <= 3:
        return int(word)
    if not (word.startswith("<") and word.endswith(">")):
        raise UsageError(f"`{word}` is no operand of an encoding")
    value = 0
    pieces = _pieces(word[1:-1])
    for position, piece in enumerate(pieces):
        bits, width = _piece(piece, index, number, alone=len(pieces) == 1 and position == 0)
        value = value << width | bits
    return value


def _pieces(inside: str) -> list[str]:
    """Split at the colons that do not stand in brackets."""
    return re.split(r":(?![^\[]*\])", inside)


def _piece(piece: str, index: str, number: int, *, alone: bool) -> tuple[int, int]:
    """(value, width in bits) of one piece of a concatenation."""
    match = _PIECE.fullmatch(piece)
    if match is None:
        raise UsageError(f"`{piece}` is neither bits such as `0b10` nor part of an index")
    bits, name, msb, lsb = match.groups()
    if bits is not None:
        return int(bits, 2), len(bits)
    if name != index:
        raise UsageError(
            f"`{name}` is not the index of this name",
            f"the index is `{index}`" if index else "the name has no index",
        )
    if msb is None:
        if not alone:
            raise UsageError(f"in a concatenation `{name}` needs its bits, such as `{name}[2:0]`")
        return number, 16
    high, low = int(msb), int(lsb or msb)
    if high < low:
        raise UsageError(f"`{piece}` runs backwards")
    return number >> low & (1 << high - low + 1) - 1, high - low + 1
