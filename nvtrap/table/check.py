"""Whether the sections of a table file are what a compiler writes.

A table from elsewhere is checked whole before anything of it is used: every number is
where it points to, every condition of the known forms, every line of the catalogue in
its place. What has passed can be decided, explained and searched without surprises.
"""

from __future__ import annotations

import re
from json import loads

from nvtrap.table import conditions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

KINDS = ("control", "condition", "combo")
NO_ENTRY: list[object] = [[], "", None, None]
_NAMES = re.compile(r"\n(?:[A-Za-z_]\w* [0-9a-f]{4,5} r?w?i?\n)*", re.ASCII)
_REGISTER = re.compile(r"([A-Za-z_]\w*) (\{.*\})", re.ASCII)


def check(
    data: Any, rule_of: memoryview[int], names: bytes, fields: bytes, features: bytes
) -> None:
    """Raise something unless the sections are sound and fit each other.

    That is `TableError` with a reason, or any error that taking a record for what it is
    not leads to.
    """
    _check_settings(data)
    _check_controls(data)
    _check_rules(data)
    _require(max(rule_of) < len(data["rules"]))
    _check_names(names.decode(), len(rule_of))
    _check_fields(fields.decode())
    _check_features(loads(features), len(rule_of))


def _require(condition: bool) -> None:
    if not condition:
        raise ValueError


def _within(count: int, *numbers: Any) -> None:
    _require(all(type(number) is int and 0 <= number < count for number in numbers))


def _texts(*values: Any) -> None:
    _require(all(type(value) is str for value in values))


def _flags(*values: Any) -> None:
    _require(all(type(value) is bool for value in values))


def _lists(*values: Any) -> None:
    _require(all(type(value) is list for value in values))


# ---- records --------------------------------------------------------------------


def _check_settings(data: Any) -> None:
    slots = data["slots"]
    _texts(data["name"], data["key"], data["tool"], *slots, *data["files"])
    _flags(data["additive"], data["fine_by_position"], data["disarm"])
    _lists(slots, data["files"], data["sanitised"], data["sources"])
    _require(len(set(slots)) == len(slots))
    _within(len(slots), *data["sanitised"])
    conditions.check(data["hypervisor"], len(slots))
    conditions.check(data["host_el0"], len(slots))
    for path, size, time, digest in data["sources"]:
        _texts(path, digest)
        _within(1 << 64, size, time)
    for name, fgu, registers, sides, negative, defined, bits in data["groups"]:
        _texts(name, fgu)
        _within(len(slots), *sides)
        _within(1 << 64, *negative, *defined)
        _require(len(sides) == len(negative) == len(defined) == 2)
        _require(registers == [slots[side] for side in sides])
        for bit, fields in bits.items():
            _within(64, int(bit))
            _texts(*fields)
            _require(len(fields) == 2)


def _check_controls(data: Any) -> None:
    slots, controls = len(data["slots"]), data["controls"]
    _lists(controls)
    for place, fields, name, kind, directions, host_el0, when, text, members in controls:
        _check_place(place, data)
        _texts(name, text)
        _flags(host_el0)
        _within(4, directions)
        _require(kind in KINDS)
        conditions.check(when, slots)
        _lists(members)
        _within(len(controls), *members)
        for used, slot, pieces in fields:
            _texts(used)
            _within(slots, slot)
            conditions.check_pieces(pieces)


def _check_rules(data: Any) -> None:
    parts, rules = data["parts"], data["rules"]
    _lists(parts, rules)
    _require(rules[:1] == [NO_ENTRY])
    for part in parts:
        _check_part(part, data)
    for numbers, reason, place, memory in rules:
        _lists(numbers)
        _within(len(parts), *numbers)
        _texts(reason)
        if place is not None:
            _check_place(place, data)
        if memory is not None:
            offset, when = memory
            _within(1 << 16, offset)
            conditions.check(when, len(data["slots"]))


def _check_part(part: Any, data: Any) -> None:
    place, control, group, bit, directions, levels, guard, text, ec, index = part
    _check_place(place, data)
    if control == -1:
        _within(len(data["groups"]), group)
        _within(64, bit)
    else:
        _within(len(data["controls"]), control)
        _require(group == bit == -1)
    _within(4, directions)
    _within(16, levels)
    _within(64, ec)
    _require(type(index) is int and -1 <= index < 1 << 16)
    _texts(text)
    conditions.check(guard, len(data["slots"]))


def _check_place(place: Any, data: Any) -> None:
    file, line = place
    _within(len(data["files"]), file)
    _within(1 << 32, line)


# ---- the catalogue ----------------------------------------------------------------


def _check_names(text: str, count: int) -> None:
    _require(_NAMES.fullmatch(text) is not None)
    _within(count, *(int(line.split(" ")[1], 16) for line in text.split("\n") if line))


def _check_fields(text: str) -> None:
    _require(text[:1] == text[-1:] == "\n")
    for line in text[1:-1].split("\n") if len(text) > 1 else ():
        found = _REGISTER.fullmatch(line)
        _require(found is not None)
        for layouts in loads(found[2]).values():  # type: ignore[index]
            _require(bool(layouts))
            for guard, pieces, written in layouts:
                if guard is not None:
                    conditions.check(guard, None)
                conditions.check_pieces(pieces)
                _texts(written)


def _check_features(record: Any, count: int) -> None:
    for when in record["predicates"].values():
        if when is not None:
            conditions.check(when, None)
    known = {*record["predicates"]}
    for name, members in record["profiles"].items():
        _lists(members)
        _require(known.issuperset(members))  # a profile has only profiles before it
        known.add(name)
    for absent in record["fields"].values():
        for when, mask, value in absent:
            conditions.check(when, None)
            _within(1 << 64, mask, value)
    for when, encodings in record["registers"]:
        conditions.check(when, None)
        _check_encodings(encodings, count)


def _check_encodings(encodings: Iterable[Any], count: int) -> None:
    _lists(encodings)
    _within(count, *encodings)
