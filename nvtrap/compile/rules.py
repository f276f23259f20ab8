"""Rules: which parts each encoding has, joined from all the statements that name it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from nvtrap.compile import sets
from nvtrap.compile.catalogue import Catalogue, Variant
from nvtrap.compile.controls import DIRECTIONS, Controls, Group, bit_of
from nvtrap.compile.expressions import Resolver, joined_text
from nvtrap.errors import UsageError
from nvtrap.lang import indexes, nodes
from nvtrap.lang.findings import Label, Report
from nvtrap.lang.source import Span
from nvtrap.table import READ, WRITE
from nvtrap.table.conditions import (
    TRUE,
    Condition,
    conjunction,
    negation,
    terms,
    uses_index,
    with_index,
)

if TYPE_CHECKING:
    from pyroaring import BitMap

ALL_LEVELS = 0b1111
MOST_ENCODINGS_NAMED = 1 << 20


@dataclass(frozen=True, slots=True)
class Part:
    """One thing that can trap an encoding; `control` or (`group`, `bit`) says what.

    `polarity` is that of a fine part; `guard` joins the filters and the statement's
    `when`; `span` is the statement's.
    """

    control: int
    group: int
    bit: int
    negative: bool
    directions: int
    levels: int
    guard: Condition
    text: str
    ec: int
    index: int
    span: Span

    @property
    def is_fine(self) -> bool:
        """Whether this is a fine-grained part."""
        return self.group >= 0

    def key(self) -> tuple[object, ...]:
        """What makes two parts of an encoding the same thing said twice.

        The index is left out: it is the encoding's.
        """
        return (
            self.control,
            self.group,
            self.bit,
            self.negative,
            self.directions,
            self.levels,
            str(self.guard),
            self.ec,
        )


@dataclass(slots=True)
class Entry:
    """What one encoding has."""

    coarse: list[Part] = field(default_factory=list)
    fine: list[Part] = field(default_factory=list)
    local: nodes.Local | None = None
    memory: tuple[nodes.Memory, Condition] | None = None
    known: dict[tuple[object, ...], Part] = field(default_factory=dict)

    def parts(self, fine: bool) -> list[Part]:
        """Its fine or its coarse parts."""
        return self.fine if fine else self.coarse

    def clear(self, fine: bool) -> None:
        """Forget its fine or its coarse parts."""
        self.parts(fine).clear()
        self.known = {key: part for key, part in self.known.items() if part.is_fine != fine}


class Rules:
    """Collects the parts of every encoding; `entries` is the result."""

    def __init__(
        self,
        catalogue: Catalogue,
        controls: Controls,
        resolver: Resolver,
        report: Report,
        *,
        additive: bool,
        disarm: bool,
    ) -> None:
        self.entries: dict[int, Entry] = {}
        self.controls = controls
        self._catalogue = catalogue
        self._resolver = resolver
        self._report = report
        self._additive = additive
        self._disarm = disarm
        self._budget = sets.Budget(MOST_ENCODINGS_NAMED)
        self._bits: dict[str, dict[int, Variant]] = {}

    def add_all(self, statements: Iterable[nodes.Statement]) -> None:
        """Take in every rule, in order."""
        for statement in statements:
            if isinstance(statement, nodes.Trap | nodes.Local | nodes.Memory):
                try:
                    self._add(statement)
                except sets.OverBudgetError:
                    self._report.add(
                        "NV006",
                        f"the rules up to here name more than {MOST_ENCODINGS_NAMED} encodings",
                        statement.span,
                        "a table has 65,536; say each once",
                    )
                    return

    # ---- statements --------------------------------------------------------

    def _add(self, statement: nodes.Trap | nodes.Local | nodes.Memory) -> None:
        found = sets.resolve(statement.sets, self._catalogue, self._report, self._budget)
        if isinstance(statement, nodes.Local):
            self._add_local(statement, found)
        elif isinstance(statement, nodes.Memory):
            self._add_memory(statement, found)
        elif statement.verb == "drop":
            self._drop(statement, found)
        else:
            self._add_trap(statement, found)

    def _add_trap(self, trap: nodes.Trap, found: sets.EncodingSet) -> None:
        if trap.verb == "replace":
            self._clear(trap, found.encodings, {isinstance(p, nodes.Fine) for p in trap.parts})
        guard = None if trap.guard is None else self._resolver.resolve(trap.guard).condition
        levels = sum(1 << level for level in set(trap.levels)) or ALL_LEVELS
        for written in trap.parts:
            self._budget.spend(len(found.encodings))
            made = (
                self._fine_parts(written, trap, found)
                if isinstance(written, nodes.Fine)
                else self._coarse_parts(written, trap, found)
            )
            filtered, text = self._filter(written.filter)
            for bare, encodings in made:
                part = replace(
                    bare,
                    levels=levels,
                    guard=conjunction([*filter(None, [bare.guard, filtered, guard])]),
                    text=", ".join(filter(None, [text, _guard_text(trap)])),
                )
                self._enter(part, encodings, found.index)

    def _add_local(self, local: nodes.Local, found: sets.EncodingSet) -> None:
        again: dict[Span, list[int]] = {}
        for encoding in found.encodings:
            entry = self.entries.setdefault(encoding, Entry())
            if entry.local is not None:
                again.setdefault(entry.local.span, []).append(encoding)
            entry.local = local
        self._report_again("local", local.span, again)

    def _add_memory(self, memory: nodes.Memory, found: sets.EncodingSet) -> None:
        guard = ["true"]
        if memory.guard is not None:
            guard = self._resolver.resolve(memory.guard).condition
        again: dict[Span, list[int]] = {}
        for encoding in found.encodings:
            entry = self.entries.setdefault(encoding, Entry())
            if entry.memory is not None:
                again.setdefault(entry.memory[0].span, []).append(encoding)
            entry.memory = memory, guard
        self._report_again("memory", memory.span, again)

    def _report_again(self, what: str, span: Span, again: dict[Span, list[int]]) -> None:
        for earlier, shared in again.items():
            names = self._catalogue.describe(shared)
            label = Label(earlier, "first said here")
            self._report.add("NV040", f"said to be {what} twice: {names}", span, "", label)

    def _drop(self, trap: nodes.Trap, found: sets.EncodingSet) -> None:
        kinds = {isinstance(part, nodes.Fine) for part in trap.parts} or {False, True}
        self._clear(trap, found.encodings, kinds)

    def _clear(self, trap: nodes.Trap, encodings: BitMap, kinds: set[bool]) -> None:
        """Remove the inherited coarse and/or fine parts; each encoding must have one."""
        missed = []
        for encoding in encodings:
            entry = self.entries.get(encoding, Entry())
            if not any(entry.parts(fine) for fine in kinds):
                missed.append(encoding)
            for fine in kinds:
                entry.clear(fine)
        if missed:
            self._report.add(
                "NV041",
                f"`{trap.verb} trap` hits nothing at {self._catalogue.describe(missed)}",
                trap.span,
                "the rules before this one have no such part there",
            )

    # ---- parts -------------------------------------------------------------

    def _filter(self, written: nodes.Filter | None) -> tuple[Condition | None, str]:
        if written is None:
            return None, ""
        condition = self._resolver.resolve(written.when).condition
        word = "unless" if written.unless else "when"
        text = f"{word} {joined_text(written.when)}"
        return (negation(condition) if written.unless else condition), text

    def _coarse_parts(
        self, written: nodes.Coarse, trap: nodes.Trap, found: sets.EncodingSet
    ) -> list[tuple[Part, BitMap]]:
        number = self.controls.find(written.path, self._report)
        if number is None:
            return []
        self.controls.use(number)
        part = self._part(trap, written.span, control=number)
        return [(part, found.encodings)]

    def _fine_parts(
        self, written: nodes.Fine, trap: nodes.Trap, found: sets.EncodingSet
    ) -> list[tuple[Part, BitMap]]:
        from pyroaring import BitMap

        group = self.controls.group(written.group, self._report)
        if group is None:
            return []
        if isinstance(written.field, int):
            bit = self._raw_bit(written, written.field, group, trap)
            return [] if bit is None else [(bit, found.encodings)]
        try:
            pattern = indexes.split(written.field.text)
        except UsageError as error:
            self._report.add("NV023", error.message, written.field.span)
            return []
        if pattern is None:
            part = self._field_part(written, written.field, group, trap)
            return [] if part is None else [(part, found.encodings)]
        made = []
        for encoding in found.encodings:
            number = found.index.get(encoding)
            if number is None:
                self._report_no_index(encoding, written.field.span)
                break
            name = nodes.Name(pattern.element(number), written.field.span)
            part = self._field_part(written, name, group, trap)
            if part is None:
                break
            made.append((part, BitMap([encoding])))
        return made

    def _report_no_index(self, encoding: int, span: Span) -> None:
        self._report.add(
            "NV025",
            f"`{self._catalogue.name_of(encoding)}` is no element of an array, so it has no index",
            span,
        )

    def _field_part(
        self, written: nodes.Fine, name: nodes.Name, group: Group, trap: nodes.Trap
    ) -> Part | None:
        """The part for a named bit, looked up in both registers of the group."""
        sides = {
            register: self._catalogue.fields.get(register, {}).get(name.text)
            for register in group.sides
        }
        present = {register: found[0] for register, found in sides.items() if found}
        bits = {register: bit_of(variant) for register, variant in present.items()}
        if not present:
            self._report_unknown_bit(name, group)
            return None
        if None in bits.values():
            self._report.add("NV026", f"`{name.text}` has more than one bit", name.span)
            return None
        if len(set(bits.values())) > 1:
            places = " and ".join(f"`{register}[{bit}]`" for register, bit in bits.items())
            self._report.add(
                "NV042", f"`{name.text}` is at {places}, its positions must agree", name.span
            )
            return None
        variant = next(iter(present.values()))
        negative = written.polarity == "negative" if written.polarity else variant.negative
        bit = next(bit for bit in bits.values() if bit is not None)
        return self._fine_part(written, group, trap, bit, negative, variant)

    def _report_unknown_bit(self, name: nodes.Name, group: Group) -> None:
        fields = self._catalogue.fields
        known = (field for register in group.sides for field in fields.get(register, {}))
        registers = " and ".join(f"`{register}`" for register in group.sides)
        verb = "has" if len(group.sides) == 1 else "have"
        self._report.add(
            "NV011",
            f"{registers} {verb} no field `{name.text}`",
            name.span,
            self._report.suggest(name.text, known),
        )

    def _raw_bit(
        self, written: nodes.Fine, bit: int, group: Group, trap: nodes.Trap
    ) -> Part | None:
        if bit > 63:
            self._report.add("NV026", f"bit {bit} is not within [63:0]", written.span)
            return None
        variants = [
            self._bits_of(register)[bit]
            for register in group.sides
            if bit in self._bits_of(register)
        ]
        if not variants:
            registers = " and ".join(f"`{register}`" for register in group.sides)
            self._report.add("NV039", f"bit {bit} of {registers} is RES0", written.span)
            return None
        negative = written.polarity == "negative" if written.polarity else variants[0].negative
        return self._fine_part(written, group, trap, bit, negative, variants[0])

    def _bits_of(self, register: str) -> dict[int, Variant]:
        """The one-bit fields of a register by their bit."""
        if register not in self._bits:
            fields = self._catalogue.fields.get(register, {})
            variants = [variant for found in fields.values() for variant in found]
            bits = {bit_of(variant): variant for variant in reversed(variants)}
            self._bits[register] = {bit: v for bit, v in bits.items() if bit is not None}
        return self._bits[register]

    def _fine_part(
        self,
        written: nodes.Fine,
        group: Group,
        trap: nodes.Trap,
        bit: int,
        negative: bool,
        variant: Variant,
    ) -> Part:
        part = self._part(trap, written.span, group=group.number, bit=bit, negative=negative)
        if self._disarm and variant.requires is not None:
            return replace(part, guard=self._resolver.when(variant.requires))
        return part

    def _part(
        self,
        trap: nodes.Trap,
        span: Span,
        *,
        control: int = -1,
        group: int = -1,
        bit: int = -1,
        negative: bool = False,
    ) -> Part:
        return Part(
            control,
            group,
            bit,
            negative,
            DIRECTIONS[trap.direction],
            ALL_LEVELS,
            ["true"],
            "",
            trap.ec,
            -1,
            span,
        )

    # ---- entering ----------------------------------------------------------

    def _enter(self, part: Part, encodings: BitMap, index: dict[int, int]) -> None:
        indexed = uses_index(part.guard) or any(
            uses_index(self.controls.controls[number].resolved.condition)
            for number in self._conditions_of(part)
        )
        self._check_direction(part, encodings)
        key = part.key()
        clashes: dict[Span, list[int]] = {}
        for encoding in encodings:
            mine = part
            if indexed:
                number = index.get(encoding)
                if number is None:
                    self._report_no_index(encoding, part.span)
                    return
                mine = self._with_index(part, number)
            entry = self.entries.setdefault(encoding, Entry())
            clash = self._clash(entry, key, mine)
            if clash is not None:
                clashes.setdefault(clash.span, []).append(encoding)
            else:
                entry.known[key] = mine
                entry.parts(part.is_fine).append(mine)
        for earlier, shared in clashes.items():
            self._report_clash(part, earlier, shared)

    def _conditions_of(self, part: Part) -> tuple[int, ...]:
        if part.control < 0:
            return ()
        return self.controls.controls[part.control].members or (part.control,)

    def _with_index(self, part: Part, number: int) -> Part:
        """The part as element `number` of an array has it."""
        if part.guard == TRUE:
            return replace(part, index=number)
        self._budget.spend(len(terms(part.guard)))
        return replace(part, index=number, guard=with_index(part.guard, number))

    def _clash(self, entry: Entry, key: tuple[object, ...], part: Part) -> Part | None:
        if self._additive:
            return entry.known.get(key)
        known = entry.parts(part.is_fine)
        return known[0] if known else None

    def _report_clash(self, part: Part, earlier: Span, shared: list[int]) -> None:
        code = "NV032" if self._additive else "NV031" if part.is_fine else "NV030"
        what = {"NV030": "a second coarse part", "NV031": "a second fine-grained part"}
        self._report.add(
            code,
            f"{what.get(code, 'the same part again')} for {self._catalogue.describe(shared)}",
            part.span,
            "an encoding has one in an exclusive table" if code != "NV032" else "",
            Label(earlier, "the first one is here"),
        )

    def _check_direction(self, part: Part, encodings: BitMap) -> None:
        """A part must trap a direction that its registers have."""
        directions = part.directions
        if part.control >= 0:
            directions &= self.controls.controls[part.control].directions
        never = []
        for encoding in encodings:
            named = self._catalogue.by_encoding.get(encoding, ())
            possible = sum({READ * e.readable for e in named} | {WRITE * e.writable for e in named})
            if named and not possible & directions:
                never.append(encoding)
        if never:
            only, lacking = (
                ("reads", "write-only") if directions == READ else ("writes", "read-only")
            )
            self._report.add(
                "NV037",
                f"this traps only {only}, and {self._catalogue.describe(never)}"
                f" {'is' if len(never) == 1 else 'are'} {lacking}",
                part.span,
            )


def _guard_text(trap: nodes.Trap) -> str:
    words = []
    if trap.levels:
        words.append("from " + ", ".join(f"EL{level}" for level in trap.levels))
    if trap.guard is not None:
        words.append(f"when {joined_text(trap.guard)}")
    return " ".join(words)
