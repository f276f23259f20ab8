"""Sets of encodings: names, arrays, ranges, wildcards and raw encodings."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nvtrap.arch import encode, generic_name, parse_encoding
from nvtrap.arch.encoding import LIMITS
from nvtrap.compile.catalogue import Catalogue
from nvtrap.errors import UsageError, closest, did_you_mean
from nvtrap.lang import indexes, nodes
from nvtrap.lang.findings import Report

if TYPE_CHECKING:
    from pyroaring import BitMap


@dataclass(slots=True)
class EncodingSet:
    """The encodings a rule names; `index` has the array index of those that have one."""

    encodings: BitMap
    index: dict[int, int] = field(default_factory=dict)


def resolve(items: tuple[nodes.SetItem, ...], catalogue: Catalogue, report: Report) -> EncodingSet:
    """The union of `items`; what is wrong with one of them is reported and adds nothing."""
    from pyroaring import BitMap

    found = EncodingSet(BitMap())
    for item in items:
        try:
            _add(found, item, catalogue, report)
        except _UnknownRegisterError as unknown:
            report.add("NV010", unknown.message, item.first.span, unknown.help)
        except UsageError as error:
            report.add("NV023", error.message, item.span, error.help)
    return found


class _UnknownRegisterError(UsageError):
    """A name in a set that no register has."""


def _add(found: EncodingSet, item: nodes.SetItem, catalogue: Catalogue, report: Report) -> None:
    if item.last is not None:
        _add_range(found, item, catalogue, report)
        return
    if isinstance(item.first, nodes.Name):
        pattern = indexes.split(item.first.text)
        if pattern is not None:
            _add_array(found, pattern, catalogue)
            return
        if "*" in item.first.text:
            _add_wildcard(found, item.first.text)
            return
    encoding, index = _one(item.first, catalogue)
    found.encodings.add(encoding)
    if index >= 0:
        found.index[encoding] = index


def _one(written: nodes.Name | nodes.Operands, catalogue: Catalogue) -> tuple[int, int]:
    """(encoding, array index or -1) of a plain name or a raw encoding."""
    if isinstance(written, nodes.Operands):
        encoding = encode(*written.numbers)
        return encoding, _index_at(encoding, catalogue)
    element = catalogue.elements.get(written.text)
    if element is not None:
        return element.encoding, element.index
    raw = parse_encoding(written.text) if written.text[:1] == "S" else None
    if raw is None:
        close = closest(written.text, [*catalogue.elements, *catalogue.families])
        raise _UnknownRegisterError(f"unknown register `{written.text}`", did_you_mean(close))
    return raw, _index_at(raw, catalogue)


def _index_at(encoding: int, catalogue: Catalogue) -> int:
    named = catalogue.by_encoding.get(encoding)
    return named[0].index if named else -1


def _add_array(found: EncodingSet, pattern: indexes.Pattern, catalogue: Catalogue) -> None:
    family = catalogue.families.get(pattern.family)
    if family is None:
        known = {key.replace("<>", "<n>"): key for key in catalogue.families}
        close = closest(pattern.family.replace("<>", "<n>"), known)
        raise _UnknownRegisterError(
            f"unknown array `{pattern.before}<{pattern.inside}>{pattern.after}`",
            did_you_mean(close),
        )
    for number in indexes.chosen(pattern, family.index, family.first, family.last):
        element = catalogue.elements[pattern.element(number)]
        found.encodings.add(element.encoding)
        found.index[element.encoding] = number


def _add_wildcard(found: EncodingSet, text: str) -> None:
    words = text[1:].split("_")
    choices = []
    for word, limit in zip(words, LIMITS, strict=True):
        digits = word.removeprefix("C")
        if digits == "*":
            choices.append(range(limit + 1))
        elif digits.isdigit() and len(digits) <= 2 and int(digits) <= limit:
            choices.append(range(int(digits), int(digits) + 1))
        else:
            raise UsageError(f"`{word}` is no operand of an encoding")
    op0s, op1s, crns, crms, op2s = choices
    for op0 in op0s:
        for op1 in op1s:
            for crn in crns:
                for crm in crms:
                    first = encode(op0, op1, crn, crm, op2s[0])
                    found.encodings.add_range(first, first + len(op2s))


def _add_range(
    found: EncodingSet, item: nodes.SetItem, catalogue: Catalogue, report: Report
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
