"""Checked rules → the records, index and catalogue sections of a compiled table."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from json import dumps
from typing import Any

from nvtrap.arch import ENCODINGS
from nvtrap.compile.catalogue import Catalogue, Variant
from nvtrap.compile.controls import Control, Controls, Group, bit_of
from nvtrap.compile.expressions import Resolver, Slots, joined_text
from nvtrap.compile.rules import Entry, Part
from nvtrap.errors import UsageError
from nvtrap.lang import nodes
from nvtrap.lang.findings import Report
from nvtrap.lang.source import Span
from nvtrap.table.conditions import Condition
from nvtrap.table.file import pack

MOST_RULES = 0xFFFF

Polarities = dict[tuple[int, int], bool]


class TooManyRulesError(UsageError):
    """More different rules than the index of a table can number."""


class Lowering:
    """One table being put together; `blob` is the result."""

    def __init__(self, catalogue: Catalogue, controls: Controls, slots: Slots) -> None:
        self._catalogue = catalogue
        self._controls = controls
        self._slots = slots
        # Layouts are kept by register name: a table need not read what they hang on.
        self._layout_slots = Slots()
        self._layouts = Resolver(catalogue, self._layout_slots, Report(), disarm=False)
        self._files: dict[str, int] = {}
        self._parts: dict[tuple[object, ...], int] = {}
        self._numbers: dict[int, int] = {}
        self._sides: dict[str, dict[int, str]] = {}
        self._conditions: dict[int, Condition] = {}
        self._part_records: list[list[Any]] = []
        self._rules: dict[object, int] = {(): 0}
        self._rule_records: list[list[Any]] = [[[], "", None, None]]

    def blob(
        self,
        settings: dict[str, Any],
        sanitised: Sequence[str],
        entries: dict[int, Entry],
        polarities: Polarities,
        sources: list[list[Any]],
    ) -> bytes:
        """The table file: `settings` are the table statement's, `sources` its files."""
        rule_of = self._index(entries)
        data = {
            **settings,
            "sanitised": [self._slots.number(name) for name in sanitised],
            "groups": [self._group(g, polarities) for g in self._controls.groups.values()],
            "controls": [self._control(control) for control in self._controls.controls],
            "parts": self._part_records,
            "rules": self._rule_records,
            "slots": self._slots.names,
            "files": list(self._files),
            "sources": sources,
        }
        return pack(data, rule_of, self._names(), self._fields(), self._features())

    def _index(self, entries: dict[int, Entry]) -> memoryview[int]:
        size = max([ENCODINGS, *(encoding + 1 for encoding in self._catalogue.by_encoding)])
        rule_of = array("H", bytes(2 * size))
        for encoding in sorted(entries):
            rule_of[encoding] = self._rule(entries[encoding])
        return memoryview(rule_of)

    def _rule(self, entry: Entry) -> int:
        parts = tuple(self._part(part) for part in (*entry.fine, *entry.coarse))
        local = entry.local
        memory = entry.memory
        key = (parts, local.span if local else None, memory[0].span if memory else None)
        if not parts and local is None and memory is None:
            return 0
        number = self._rules.get(key)
        if number is None:
            number = self._rules[key] = len(self._rule_records)
            if number > MOST_RULES:
                text = f"the table has more than {MOST_RULES} different rules"
                raise TooManyRulesError(text, "say what several encodings have in common once")
            self._rule_records.append(
                [
                    list(parts),
                    local.reason if local else "",
                    self._place(local.span) if local else None,
                    [memory[0].offset, memory[1]] if memory else None,
                ]
            )
        return number

    def _part(self, part: Part) -> int:
        """The number of a part; most are shared by many encodings."""
        if id(part) not in self._numbers:
            self._numbers[id(part)] = self._new_part(part)
        return self._numbers[id(part)]

    def _new_part(self, part: Part) -> int:
        key = (*part.key(), part.index, part.span)
        number = self._parts.get(key)
        if number is None:
            number = self._parts[key] = len(self._part_records)
            self._part_records.append(
                [
                    self._place(part.span),
                    part.control,
                    part.group,
                    part.bit,
                    part.directions,
                    part.levels,
                    part.guard,
                    part.text,
                    part.ec,
                    part.index,
                ]
            )
        return number

    def _control(self, control: Control) -> list[Any]:
        return [
            self._place(control.span),
            [list(use) for use in control.resolved.fields],
            control.name,
            control.kind,
            control.directions,
            control.host_el0,
            control.resolved.condition,
            control.text,
            list(control.members),
        ]

    def _group(self, group: Group, polarities: Polarities) -> list[Any]:
        negative = sum(
            1 << bit for (number, bit), low in polarities.items() if number == group.number and low
        )
        sides = [self._side_bits(register) for register in group.registers]
        bits = sorted({bit for side in sides for bit in side})
        return [
            group.name,
            group.fgu,
            list(group.registers),
            [self._slots.number(register) for register in group.registers],
            [negative, negative],
            [sum(1 << bit for bit in side) for side in sides],
            {str(bit): [side.get(bit, "") for side in sides] for bit in bits},
        ]

    def _side_bits(self, register: str) -> dict[int, str]:
        if register not in self._sides:
            found = self._sides[register] = {}
            for name, variants in self._catalogue.fields.get(register, {}).items():
                bit = bit_of(variants[0])
                if bit is not None:
                    found[bit] = name
        return self._sides[register]

    def _place(self, span: Span) -> list[int]:
        display = span.source.display
        return [self._files.setdefault(display, len(self._files)), span.line]

    # ---- the catalogue -----------------------------------------------------

    def _names(self) -> str:
        lines = ["\n"]
        for element in sorted(self._catalogue.elements.values(), key=lambda e: e.encoding):
            flags = "r" * element.readable + "w" * element.writable + "i" * element.is_instruction
            lines.append(f"{element.name} {element.encoding:04x} {flags}\n")
        return "".join(lines)

    def _fields(self) -> str:
        lines = ["\n"]
        for register, fields in self._catalogue.fields.items():
            record = {name: [self._layout(v) for v in found] for name, found in fields.items()}
            lines.append(f"{register} {dumps(record, separators=(',', ':'))}\n")
        return "".join(lines)

    def _features(self) -> str:
        """What features mean: predicates, profiles, and what is not there without them."""
        catalogue = self._catalogue
        record = {
            "predicates": {
                name: None if feature.when is None else self._condition(feature.when)
                for name, feature in catalogue.features.items()
            },
            "profiles": self._profiles(),
            "fields": {
                register: absent
                for register in catalogue.fields
                if (absent := self._absent_fields(register))
            },
            "registers": self._absent_registers(),
        }
        return dumps(record, separators=(",", ":"))

    def _profiles(self) -> dict[str, list[str]]:
        """The features of each profile, those of the profiles it names among them."""
        found: dict[str, list[str]] = {}
        for name, profile in self._catalogue.profiles.items():
            members = [found.get(member.text, [member.text]) for member in profile.members]
            found[name] = list(dict.fromkeys(feature for inner in members for feature in inner))
        return found

    def _absent_fields(self, register: str) -> list[list[Any]]:
        """[condition on features, mask, how its bits read without them] of each field."""
        found: dict[str, list[Any]] = {}
        for variants in self._catalogue.fields[register].values():
            for variant in variants:
                if variant.requires is not None:
                    mask = sum(((1 << width) - 1) << lsb for lsb, width in variant.pieces)
                    condition = self._condition(variant.requires)
                    entry = found.setdefault(str((condition, variant.absent)), [condition, 0, 0])
                    entry[1] |= mask
                    entry[2] |= mask * variant.absent
        return list(found.values())

    def _absent_registers(self) -> list[list[Any]]:
        """[condition on features, encodings that are undefined without them]."""
        found: dict[str, list[Any]] = {}
        for element in self._catalogue.elements.values():
            if element.requires is not None:
                condition = self._condition(element.requires)
                found.setdefault(str(condition), [condition, []])[1].append(element.encoding)
        return list(found.values())

    def _condition(self, expr: nodes.Expr) -> Condition:
        """A condition over names of registers and features, for what is outside the table."""
        if id(expr) not in self._conditions:
            self._conditions[id(expr)] = self._named(self._layouts.when(expr))
        return self._conditions[id(expr)]

    def _layout(self, variant: Variant) -> list[Any]:
        """[guard over register names, pieces, guard's text]."""
        pieces = [list(piece) for piece in variant.pieces]
        if variant.guard is None:
            return [None, pieces, ""]
        return [self._condition(variant.guard), pieces, joined_text(variant.guard)]

    def _named(self, condition: Condition) -> Condition:
        """The condition with names in place of slot numbers."""
        if condition[0] == "f":
            return ["f", self._layout_slots.names[condition[1]], condition[2]]
        return [self._named(part) if isinstance(part, list) else part for part in condition]
