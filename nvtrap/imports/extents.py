"""Sets of encodings in the words of the rule language: names, arrays, wildcards, ranges."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from nvtrap.arch import generic_name, operands
from nvtrap.compile.catalogue import Family
from nvtrap.imports.model import Extent
from nvtrap.imports.names import Names

# A range is written as names when each of its encodings has one and there are few.
MOST_NAMES = 64
# Fewer elements of an array are written one by one.
FEWEST_OF_RUN = 3
# All of CRm and op2.
PAGE = 1 << 7


def words(extents: Sequence[Extent], names: Names) -> list[str]:
    """The shortest words for the encodings, in the order in which they were named."""
    singles: list[str] = []
    pages: dict[int, Extent] = {}
    for extent in extents:
        singles += _single_names(extent, names)
        if _is_page(extent):
            pages[extent.first] = extent
    folded = _fold(singles, names)
    made: dict[str, None] = {}
    for extent in extents:
        listed = _single_names(extent, names)
        made |= dict.fromkeys(folded[name] for name in listed)
        if not listed:
            word = _wildcard(extent, pages) if _is_page(extent) else _range(extent, names)
            made[word] = None
    return list(made)


def _single_names(extent: Extent, names: Names) -> list[str]:
    """The names of an extent that is written as names; none for another."""
    if extent.first == extent.last:
        return [extent.first_name or names.text(extent.first)]
    known = names.catalogue.by_encoding
    encodings = range(extent.first, extent.last + 1)
    if len(encodings) > MOST_NAMES or not all(encoding in known for encoding in encodings):
        return []
    return [names.text(encoding) for encoding in encodings]


# ---- arrays -----------------------------------------------------------------------


def _fold(singles: Iterable[str], names: Names) -> dict[str, str]:
    """The word that each name is written as: itself, its array, or a part of that."""
    of_family: dict[str, list[int]] = {}
    words = {}
    for name in singles:
        words[name] = name
        family = names.family_of.get(name)
        if family is not None:
            number = names.catalogue.elements[name].index
            of_family.setdefault(family.pattern.family, []).append(number)
    for key, numbers in of_family.items():
        family = names.catalogue.families[key]
        for first, last in _runs(sorted(set(numbers))):
            word = _array(family, first, last)
            if word:
                words |= {family.pattern.element(n): word for n in range(first, last + 1)}
    return words


def _array(family: Family, first: int, last: int) -> str:
    """`DBGBVR<n>_EL1`, `DBGBVR<0..14>_EL1`, or nothing for a few elements."""
    before, after = family.pattern.before, family.pattern.after
    if (first, last) == (family.first, family.last):
        return f"{before}<{family.index}>{after}"
    return f"{before}<{first}..{last}>{after}" if last - first + 1 >= FEWEST_OF_RUN else ""


def _runs(numbers: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Runs of consecutive numbers as (first, last)."""
    start = 0
    for index, number in enumerate(numbers):
        if index + 1 == len(numbers) or numbers[index + 1] != number + 1:
            yield numbers[start], number
            start = index + 1


def line_numbers(lines: Sequence[int]) -> str:
    """`569-571, 580`: where entries stand."""
    runs = _runs(sorted(set(lines)))
    return ", ".join(f"{a}" if a == b else f"{a}-{b}" for a, b in runs)


# ---- ranges -----------------------------------------------------------------------


def _is_page(extent: Extent) -> bool:
    return extent.first % PAGE == 0 and extent.last == extent.first + PAGE - 1


def _wildcard(extent: Extent, pages: dict[int, Extent]) -> str:
    """`S3_0_C11_*_*`, or `S3_*_C11_*_*` where the others of op1 are there too."""
    op0, op1, crn, _, _ = operands(extent.first)
    step = 1 << 11
    base = extent.first - op1 * step
    every = all(base + number * step in pages for number in range(8))
    return f"S{op0}_{'*' if every else op1}_C{crn}_*_*"


def _range(extent: Extent, names: Names) -> str:
    """`HCR_EL2 .. HCRX_EL2`.

    Raw encodings stand for the ends where the names would promise one exception level
    and the range has registers of another.
    """
    ends = [extent.first_name, extent.last_name]
    levels = {_level(name) for name in ends if name} - {""}
    if levels:
        inside = {
            _level(element.name)
            for encoding in range(extent.first, extent.last + 1)
            for element in names.catalogue.by_encoding.get(encoding, ())
        }
        if inside - levels - {""}:
            ends = ["", ""]
    first, last = ends[0] or generic_name(extent.first), ends[1] or generic_name(extent.last)
    return f"{first} .. {last}"


def _level(name: str) -> str:
    head, _, tail = name.rpartition("_EL")
    return tail if head and tail.isdigit() else ""
