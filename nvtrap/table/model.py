"""A compiled table in memory.

`rule_of` maps each of the 65,536 encodings to a rule, and behind them each instruction
that has no encoding; rule 0 is "no entry". A rule is
the parts that can trap its encodings; a part is a control, or a bit of a fine-grained
group, with the directions, ELs and filters that go with it.

Nothing is built before it is asked for: records stay as the file has them until then.
"""

from __future__ import annotations

from nvtrap.table.features import Features
from nvtrap.table.names import Fields, Names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from nvtrap.table.conditions import Condition

READ = 1
WRITE = 2
ANY = 3


class Place:
    """`file:line` of the statement that something comes from."""

    __slots__ = ("file", "line")

    def __init__(self, file: str, line: int) -> None:
        self.file = file
        self.line = line

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"

    __repr__ = __str__


class FieldUse:
    """A field that a condition reads: its name, slot and [lsb, width] pieces."""

    __slots__ = ("name", "pieces", "slot")

    def __init__(self, name: str, slot: int, pieces: list[list[int]]) -> None:
        self.name = name
        self.slot = slot
        self.pieces = pieces


class Control:
    """A control, condition or combo.

    `directions` are READ | WRITE; `when` is the condition, `members` the controls of a
    combo (then `when` is `["false"]`); `text` is the condition as it was written.
    """

    __slots__ = (
        "directions",
        "fields",
        "host_el0",
        "kind",
        "members",
        "name",
        "place",
        "text",
        "when",
    )

    def __init__(
        self,
        place: Place,
        fields: Sequence[FieldUse],
        name: str,
        kind: str,
        directions: int,
        host_el0: bool,
        when: Condition,
        text: str,
        members: Sequence[int],
    ) -> None:
        self.name = name
        self.kind = kind
        self.directions = directions
        self.host_el0 = host_el0
        self.when = when
        self.text = text
        self.members = members
        self.fields = fields
        self.place = place


class Group:
    """A fine-grained group.

    `slots` are the slots of its read and its write register (one slot twice, or two),
    `negative` and `defined` the bits of each side that trap when 0, and that exist;
    `fgu` is the key of its disabled features; `bits` names each bit on both sides.
    """

    __slots__ = ("bits", "defined", "fgu", "name", "negative", "registers", "slots")

    def __init__(
        self,
        name: str,
        fgu: str,
        registers: Sequence[str],
        slots: Sequence[int],
        negative: Sequence[int],
        defined: Sequence[int],
        bits: dict[str, list[str]],
    ) -> None:
        self.name = name
        self.fgu = fgu
        self.registers = registers
        self.slots = slots
        self.negative = negative
        self.defined = defined
        self.bits = bits

    def bit_name(self, bit: int, write: bool) -> str:
        """`HFGRTR_EL2.PAR_EL1`, or `HFGRTR_EL2[27]` where the side has no such bit."""
        field = self.bits.get(str(bit), ["", ""])[write]
        register = self.registers[write]
        return f"{register}.{field}" if field else f"{register}[{bit}]"


class Part:
    """One thing that can trap an encoding.

    `control` is the number of a control (-1 for a fine part), `group` and `bit` those of
    a fine part (-1 for a coarse one). `directions` are READ | WRITE, `levels` a mask of
    ELs, `guard` a further condition, `ec` how the trap is reported, `index` the array
    index of the encoding (-1 without).
    """

    __slots__ = (
        "bit",
        "control",
        "directions",
        "ec",
        "group",
        "guard",
        "index",
        "levels",
        "place",
        "text",
    )

    def __init__(
        self,
        place: Place,
        control: int,
        group: int,
        bit: int,
        directions: int,
        levels: int,
        guard: Condition,
        text: str,
        ec: int,
        index: int,
    ) -> None:
        self.control = control
        self.group = group
        self.bit = bit
        self.directions = directions
        self.levels = levels
        self.guard = guard
        self.text = text
        self.ec = ec
        self.index = index
        self.place = place

    @property
    def is_fine(self) -> bool:
        """Whether this is a fine-grained part."""
        return self.group >= 0

    def of(self, control: int) -> Part:
        """The same part by another control."""
        return Part(
            self.place,
            control,
            -1,
            -1,
            self.directions,
            self.levels,
            self.guard,
            self.text,
            self.ec,
            self.index,
        )


class Rule:
    """What can trap an encoding: fine parts, coarse parts, or a reason why nothing does.

    `memory` is (offset from VNCR_EL2, condition) where FEAT_NV2 turns it into memory.
    """

    __slots__ = ("coarse", "fine", "local_place", "local_reason", "memory")

    def __init__(
        self,
        fine: Sequence[Part],
        coarse: Sequence[Part],
        local_reason: str,
        local_place: Place | None,
        memory: tuple[int, Condition] | None,
    ) -> None:
        self.fine = fine
        self.coarse = coarse
        self.local_reason = local_reason
        self.local_place = local_place
        self.memory = memory

    @property
    def has_parts(self) -> bool:
        """Whether anything can trap here (rule 0 and deliberate gaps have nothing)."""
        return bool(self.fine or self.coarse)


class CompiledTable:
    """A compiled table; see the module's docstring.

    `data` is the decoded record section, `rule_of` 65,536 rule numbers, `names` and
    `fields` the catalogue's sections as the file has them. Made by
    `nvtrap.table.file.unpack`.
    """

    def __init__(
        self,
        data: dict[str, Any],
        rule_of: memoryview[int],
        names: bytes,
        fields: bytes,
        features: bytes,
    ) -> None:
        self._data = data
        self.rule_of = rule_of
        self.names = Names(names)
        self.fields = Fields(fields)
        self.features = Features(features)
        self.name: str = data["name"]
        self.key: str = data["key"]
        self.tool: str = data["tool"]
        self.sources: list[list[Any]] = data["sources"]
        self.additive: bool = data["additive"]
        self.fine_by_position: bool = data["fine_by_position"]
        self.disarm: bool = data["disarm"]
        self.slots: list[str] = data["slots"]
        self.sanitised: list[int] = data["sanitised"]
        self.hypervisor: Condition = data["hypervisor"]
        self.host_el0: Condition = data["host_el0"]
        self.groups = [Group(*record) for record in data["groups"]]
        self._rules: dict[int, Rule] = {}
        self._controls: dict[int, Control] = {}
        self._parts: dict[int, Part] = {}

    @property
    def rule_count(self) -> int:
        """How many rules there are, "no entry" among them."""
        return len(self._data["rules"])

    @property
    def control_count(self) -> int:
        """How many controls, conditions and combos there are."""
        return len(self._data["controls"])

    def rule(self, number: int) -> Rule:
        """The rule `number`."""
        rule = self._rules.get(number)
        if rule is None:
            parts, reason, place, memory = self._data["rules"][number]
            made = [self.part(part) for part in parts]
            rule = self._rules[number] = Rule(
                [part for part in made if part.is_fine],
                [part for part in made if not part.is_fine],
                reason,
                None if place is None else self._place(place),
                None if memory is None else (memory[0], memory[1]),
            )
        return rule

    def part(self, number: int) -> Part:
        """The part `number`."""
        part = self._parts.get(number)
        if part is None:
            place, *values = self._data["parts"][number]
            part = self._parts[number] = Part(self._place(place), *values)
        return part

    def control(self, number: int) -> Control:
        """The control `number`."""
        control = self._controls.get(number)
        if control is None:
            place, fields, *values = self._data["controls"][number]
            uses = [FieldUse(*use) for use in fields]
            control = self._controls[number] = Control(self._place(place), uses, *values)
        return control

    def _place(self, place: list[int]) -> Place:
        return Place(self._data["files"][place[0]], place[1])

    def encoding(self, name: str) -> int:
        """The encoding that a name, `S3_0_C1_C0_1` or a 5-tuple in text means."""
        from nvtrap.arch.encoding import parse_encoding

        encoding = parse_encoding(name)
        return self.names.find(name) if encoding is None else encoding

    def name_of(self, encoding: int, write: bool = False) -> str:
        """The register's name, or `S3_0_C1_C0_1` where it has none."""
        from nvtrap.arch.encoding import generic_name

        return self.names.of(encoding, write) or generic_name(encoding)

    def slot(self, name: str) -> int:
        """The slot of a register or special word; -1 when the table does not read it."""
        try:
            return self.slots.index(name)
        except ValueError:
            return -1

    def __repr__(self) -> str:
        return f"table {self.name}"
