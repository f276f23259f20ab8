"""Sets of encodings: names, arrays, ranges, wildcards and raw encodings."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING

from nvtrap.arch import encode, generic_name, parse_encoding
from nvtrap.arch.encoding import LIMITS, OPERANDS
from nvtrap.compile.catalogue import Catalogue
from nvtrap.errors import UsageError
from nvtrap.lang import indexes, nodes
from nvtrap.lang.findings import Report

if TYPE_CHECKING:
    from pyroaring import BitMap


class Budget:
    """How many encodings the rules of a table may still name, and how often."""

    def __init__(self, left: int) -> None:
        self.left = left

    def spend(self, count: int) -> None:
        """Use up `count`; raises `OverBudgetError` when there is not so much left."""
        self.left -= count
        if self.left < 0:
            raise OverBudgetError("the rules up to here name too many encodings")


class OverBudgetError(UsageError):
    """The rules name more encodings than any table has use for."""


@dataclass(slots=True)
class EncodingSet:
    """The encodings a rule names; `index` has the array index of those that have one."""

    encodings: BitMap
    index: dict[int, int] = field(default_factory=dict)


def resolve(
    items: tuple[nodes.SetItem, ...], catalogue: Catalogue, report: Report, budget: Budget
) -> EncodingSet:
    """The union of `items`; what is wrong with one of them is reported and adds nothing.

    Raises `OverBudgetError` when the items, each for itself, name more than `budget` has.
    """
    from pyroaring import BitMap

    found = EncodingSet(BitMap())
    for item in items:
        try:
            _add(found, item, catalogue, report, budget)
        except _UnknownNameError as unknown:
            help = report.suggest(unknown.name, unknown.known)
            report.add("NV010", unknown.message, item.first.span, help)
        except _BadEncodingError as error:
            report.add("NV024", error.message, item.span, error.help)
        except OverBudgetError:
            raise
        except UsageError as error:
            report.add("NV023", error.message, item.span, error.help)
    return found


class _UnknownNameError(UsageError):
    """A name in a set that no register or array has; `known` are those of its kind."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        super().__init__(f"unknown {kind} `{name}`")
        self.name = name
        self.known = known


class _BadEncodingError(UsageError):
    """Five numbers that are no encoding."""


def _add(
    found: EncodingSet,
    item: nodes.SetItem,
    catalogue: Catalogue,
    report: Report,
    budget: Budget,
) -> None:
    if item.last is not None:
        _add_range(found, item, catalogue, report, budget)
        return
    if isinstance(item.first, nodes.Name):
        pattern = indexes.split(item.first.text)
        if pattern is not None:
            _add_array(found, pattern, catalogue, budget)
            return
        if "*" in item.first.text:
            _add_wildcard(found, item.first.text, budget)
            return
    budget.spend(1)
    encoding, index = _one(item.first, catalogue)
    found.encodings.add(encoding)
    if index >= 0:
        found.index[encoding] = index


def _one(written: nodes.Name | nodes.Operands, catalogue: Catalogue) -> tuple[int, int]:
    """(encoding, array index or -1) of a plain name or a raw encoding."""
    if isinstance(written, nodes.Operands):
        encoding = _encoded(*written.numbers)
        return encoding, _index_at(encoding, catalogue)
    element = catalogue.elements.get(written.text)
    if element is not None:
        return element.encoding, element.index
    try:
        raw = parse_encoding(written.text) if written.text[:1] == "S" else None
    except UsageError as error:
        raise _BadEncodingError(error.message) from None
    if raw is None:
        raise _UnknownNameError("register", written.text, catalogue.elements)
    return raw, _index_at(raw, catalogue)


def _encoded(op0: int, op1: int, crn: int, crm: int, op2: int) -> int:
    try:
        return encode(op0, op1, crn, crm, op2)
    except UsageError as error:
        raise _BadEncodingError(error.message) from None


def _index_at(encoding: int, catalogue: Catalogue) -> int:
    named = catalogue.by_encoding.get(encoding)
    return named[0].index if named else -1


def _add_array(
    found: EncodingSet, pattern: indexes.Pattern, catalogue: Catalogue, budget: Budget
) -> None:
    family = catalogue.families.get(pattern.family)
    if family is None:
        arrays = (
            f"{array.pattern.before}<{array.index}>{array.pattern.after}"
            for array in catalogue.families.values()
        )
        name = f"{pattern.before}<{pattern.inside}>{pattern.after}"
        raise _UnknownNameError("array", name, arrays)
    numbers = indexes.chosen(pattern, family.index, family.first, family.last)
    budget.spend(len(numbers))
    for number in numbers:
        element = catalogue.elements[pattern.element(number)]
        found.encodings.add(element.encoding)
        found.index[element.encoding] = number


def _choices(word: str, operand: str, limit: int) -> range:
    """The values that one operand of a wildcard may have."""
    digits = word
    if operand in ("CRn", "CRm"):
        digits = "*" if word == "*" else word[1:] if word[0] == "C" else ""
    if digits == "*":
        return range(limit + 1)
    if digits.isdigit() and len(digits) <= 2 and int(digits) <= limit:
        return range(int(digits), int(digits) + 1)
    raise _BadEncodingError(f"`{word}` is no {operand} of an encoding")


def _add_wildcard(found: EncodingSet, text: str, budget: Budget) -> None:
    op0s, op1s, crns, crms, op2s = choices = [
        _choices(word, operand, limit)
        for word, operand, limit in zip(text[1:].split("_"), OPERANDS, LIMITS, strict=True)
    ]
    budget.spend(prod(map(len, choices)))
    for op0 in op0s:
        for op1 in op1s:
            for crn in crns:
                for crm in crms:
                    first = encode(op0, op1, crn, crm, op2s[0])
                    found.encodings.add_range(first, first + len(op2s))


def _add_range(
    found: EncodingSet,
    item: nodes.SetItem,
    catalogue: Catalogue,
    report: Report,
    budget: Budget,
) -> None:
    assert item.last is not None
    first, _ = _one(item.first, catalogue)
    last, _ = _one(item.last, catalogue)
    if last < first:
        report.add(
            "NV021",
            f"the range ends before it starts: {generic_name(last)} comes before"
            f" {generic_name(first)}",
            item.span,
            "ranges count op2, then CRm, then CRn, then op1",
        )
        return
    budget.spend(last - first + 1)
    found.encodings.add_range(first, last + 1)
    for encoding in range(first, last + 1):
        index = _index_at(encoding, catalogue)
        if index >= 0:
            found.index[encoding] = index
    _check_swallowed(item, first, last, catalogue, report)


def _check_swallowed(
    item: nodes.SetItem, first: int, last: int, catalogue: Catalogue, report: Report
) -> None:
    """Warn of named registers of another EL than the ends of the range suggest."""
    suggested = {_level(end) for end in (item.first, item.last) if isinstance(end, nodes.Name)}
    suggested.discard("")
    if not suggested:
        return
    swallowed = [
        element.name
        for encoding in range(first, last + 1)
        for element in catalogue.by_encoding.get(encoding, ())
        if (level := _suffix(element.name)) and level not in suggested
    ]
    if swallowed:
        shown = ", ".join(swallowed[:6]) + (" …" if len(swallowed) > 6 else "")
        report.add(
            "NV022",
            f"the range swallows registers of another EL than its ends suggest: {shown}",
            item.span,
            "split the range, or write its ends as raw encodings if this is meant",
        )


def _level(end: nodes.Name | nodes.Operands) -> str:
    return _suffix(end.text) if isinstance(end, nodes.Name) else ""


def _suffix(name: str) -> str:
    head, _, tail = name.rpartition("_EL")
    return f"EL{tail}" if head and tail.isdigit() else ""
