"""A table taken apart into what generated code is made of, numbered and named.

Everything is in the order of the table, so that the same table gives the same text:
words (the table's slots), parts, rules as runs of a list of parts, encodings as sorted
ranges, and the conditions that several of them share.
"""

from __future__ import annotations

from nvtrap.emit.texts import constants, identifiers
from nvtrap.errors import TableError
from nvtrap.table.conditions import SPECIAL, TRUE, uses_index

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from nvtrap.engine import Table
    from nvtrap.table import Part, Rule
    from nvtrap.table.conditions import Condition

NONE = 0xFFFF  # no control, group, part, need or memory


class Numbered:
    """Conditions that were met, each with a number; number 0 is "always"."""

    def __init__(self) -> None:
        self.all: list[Condition] = [TRUE]
        self._numbers = {str(TRUE): 0}

    def number(self, condition: Condition) -> int:
        """The number of a condition, the same for equal ones."""
        found = self._numbers.setdefault(str(condition), len(self.all))
        if found == len(self.all):
            self.all.append(condition)
        return found


class RuleRecord:
    """A rule: `fine` parts from `start` in the list of parts, behind them `coarse` ones.

    `memory` is (offset, number of a guard) or None.
    """

    __slots__ = ("coarse", "fine", "host_el0", "memory", "rule", "start")

    def __init__(
        self, rule: Rule, start: int, host_el0: bool, memory: tuple[int, int] | None
    ) -> None:
        self.rule = rule
        self.start = start
        self.fine = len(rule.fine)
        self.coarse = len(rule.coarse)
        self.host_el0 = host_el0
        self.memory = memory


class Absent:
    """Bits of a register's word that belong to a feature.

    Without what `need` says they do not exist and read as `ones`.
    """

    __slots__ = ("mask", "need", "ones", "slot")

    def __init__(self, slot: int, need: int, mask: int, ones: int) -> None:
        self.slot = slot
        self.need = need
        self.mask = mask
        self.ones = ones


class Emission:
    """What is generated from one table; see the module's docstring.

    `words` are the constants of the slots, `members` the names of the registers' slots
    in structures, `fgu` the members of the groups' keys, `features` the constants of the
    features that matter, `controls` those of the controls.

    Raises `TableError` for a table from elsewhere that no rules compile to.
    """

    def __init__(self, table: Table) -> None:
        self.table = table
        self.name = table.name or "table"
        self.prefix = f"nvtrap_{identifiers([self.name])[self.name]}"
        self.write_slot = table.slot("access.write")
        names = table.slots
        self.words = list(constants("WORD_", names).values())
        registers = [n for n in names if n not in SPECIAL and not n.startswith("FEAT_")]
        spelled = identifiers(registers)
        self.members = {names.index(name): spelled[name] for name in registers}
        self.fgu = identifiers(group.fgu for group in table.groups if group.fgu)
        self.control_list = [table.control(n) for n in range(table.control_count)]
        self.controls = list(_unique("CONTROL_", [c.name for c in self.control_list]))
        self.guards, self.needs = Numbered(), Numbered()
        self.parts: list[Part] = []
        self.lists: list[int] = []
        self._numbers: dict[int, int] = {}
        self.rules = [self._rule(table.rule(n)) for n in range(table.rule_count)]
        self.ranges = list(_ranges(table.rule_of))
        self.absent = list(self._absent())
        self.undefined = list(self._undefined()) if table.disarm else []
        self.features = _feature_constants(self._features())
        self._check()

    # ---- rules -------------------------------------------------------------

    def _rule(self, rule: Rule) -> RuleRecord:
        start = len(self.lists)
        self.lists += [self.part_number(part) for part in (*rule.fine, *rule.coarse)]
        host_el0 = any(self.table.control(part.control).host_el0 for part in rule.coarse)
        memory = None
        if rule.memory is not None:
            memory = rule.memory[0], self.guards.number(rule.memory[1])
        return RuleRecord(rule, start, host_el0, memory)

    def part_number(self, part: Part) -> int:
        """The number of a part in the generated table."""
        number = self._numbers.setdefault(id(part), len(self.parts))
        if number == len(self.parts):
            self.parts.append(part)
            self.guards.number(part.guard)
        return number

    def part_name(self, part: Part, write: bool = False) -> str:
        """`HCR.TID1`, or a bit such as `HFGRTR_EL2.PAR_EL1` of the side of a direction."""
        if part.is_fine:
            return self.table.groups[part.group].bit_name(part.bit, write)
        return self.control_list[part.control].name

    # ---- features ----------------------------------------------------------

    def _absent(self) -> Iterator[Absent]:
        """What absent features take from the registers that lose bits by it."""
        table = self.table
        of_groups = {name for group in table.groups if group.fgu for name in group.registers}
        record = table.features._record["fields"]
        for slot in self.members:
            name = table.slots[slot]
            if table.disarm or slot in table.sanitised or name in of_groups:
                for when, mask, ones in record.get(name, ()):
                    yield Absent(slot, self.needs.number(when), mask, ones if table.disarm else 0)

    def _undefined(self) -> Iterator[tuple[int, int, int]]:
        """(first, last, need): encodings that are undefined unless the need is met."""
        needs: dict[int, list[Condition]] = {}
        for when, encodings in self.table.features._record["registers"]:
            for encoding in dict.fromkeys(encodings):
                needs.setdefault(encoding, []).append(when)
        numbers = [0] * len(self.table.rule_of)
        for encoding, conditions in needs.items():
            all_ = conditions[0] if len(conditions) == 1 else ["and", *conditions]
            numbers[encoding] = self.needs.number(all_)
        return _ranges(numbers)

    def _features(self) -> list[str]:
        """The features that anything depends on, in the catalogue's order."""
        used = {name for need in self.needs.all for name in _fields(need)}
        used |= {name for name in self.table.slots if name.startswith("FEAT_")}
        order = {name: number for number, name in enumerate(self.table.features.names)}
        return sorted(used, key=lambda name: (order.get(name, len(order)), name))

    # ---- texts -------------------------------------------------------------

    def range_name(self, first: int, last: int) -> str:
        """`REVIDR_EL1`, or `FIRST .. LAST`."""
        names = dict.fromkeys(self.table.name_of(encoding) for encoding in (first, last))
        return " .. ".join(names)

    def _check(self) -> None:
        """Raise `TableError` for what the generated code has no room or no words for."""
        table, most = self.table, NONE - 1
        counts = (self.parts, self.controls, self.guards.all, self.needs.all, table.slots)
        if any(len(count) > most for count in counts) or len(self.lists) > 1 << 31:
            raise TableError("the table is too large to be emitted")
        if any(slot not in self.members for group in table.groups for slot in group.slots):
            raise TableError("a fine-grained group of the table is on no register")
        for part in self.parts:
            if part.index < 0 and (uses_index(part.guard) or self._counts(part)):
                raise TableError("a condition asks for the index of an access that has none")
        if any(uses_index(table.rule(n).memory[1]) for n in self._with_memory()):  # type: ignore[index]
            raise TableError("a condition asks for the index of an access that has none")

    def _with_memory(self) -> list[int]:
        return [number for number, rule in enumerate(self.rules) if rule.memory is not None]

    def _counts(self, part: Part) -> bool:
        if part.is_fine:
            return False
        control = self.control_list[part.control]
        members = [self.control_list[number] for number in control.members] or [control]
        return any(uses_index(member.when) for member in members)


def _feature_constants(names: list[str]) -> dict[str, str]:
    """`FEAT_NV2` for a feature, whatever a table from elsewhere calls it."""
    return {
        name: word if word.startswith("FEAT_") else f"FEAT_{word}"
        for name, word in constants("", names).items()
    }


def _unique(prefix: str, names: list[str]) -> Iterator[str]:
    """A constant for each name, even where a table from elsewhere has a name twice."""
    seen: dict[str, int] = {}
    spelled = constants(prefix, names)
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        yield spelled[name] if seen[name] == 1 else f"{spelled[name]}_AGAIN_{seen[name]}"


def _ranges(numbers: Sequence[int] | memoryview[int]) -> Iterator[tuple[int, int, int]]:
    """(first, last, number) of the runs of a number other than 0."""
    first = 0
    for at in range(1, len(numbers) + 1):
        if at == len(numbers) or numbers[at] != numbers[first]:
            if numbers[first]:
                yield first, at - 1, numbers[first]
            first = at


def _fields(condition: Condition) -> Iterator[Any]:
    """What the fields of a condition are bits of."""
    from nvtrap.table.conditions import terms

    for term in terms(condition):
        if term[0] == "f":
            yield term[1]
