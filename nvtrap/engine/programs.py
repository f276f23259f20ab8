"""Conditions and rules as Python code over the words of a bound state.

A bound state is a tuple of numbers `v`: the slots, then for every fine-grained group
the trap words of its read and its write side (a bit set there traps, whatever its
polarity), then its disabled bits. See `nvtrap.engine.binding`.

INVARIANT: the text made here holds nothing but numbers, `v` and operators. Conditions
come from `nvtrap.table.conditions.check`, so no word of a rule file can reach it.
"""

from __future__ import annotations

from nvtrap.table.conditions import spread
from nvtrap.table.model import READ, WRITE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from nvtrap.table.conditions import Condition
    from nvtrap.table.model import CompiledTable, Part, Rule

# The steps of a decision, numbered as the programs number them.
STEPS = ("no-entry", "fgu", "feature", "no-el2", "hyp-context", "fine", "coarse", "none")
NO_ENTRY, FGU, FEATURE, NO_EL2, HYP_CONTEXT, FINE, COARSE, NONE = range(8)


class Writer:
    """Writes the code for one table."""

    def __init__(self, table: CompiledTable, word: str = "v[{}]") -> None:
        self._table = table
        self._word = word.format
        self._write_slot = table.slot("access.write")

    # ---- rules -------------------------------------------------------------

    def rule(self, rule: Rule, write: bool, *, host_el0: bool = False) -> str:
        """The step FINE, COARSE or NONE that decides in a context the rules apply to."""
        fine = self._any(rule.fine, write, host_el0)
        coarse = self._any(rule.coarse, write, host_el0)
        if fine == "False" and coarse == "False":
            return str(NONE)
        rest = str(NONE) if coarse == "False" else f"{COARSE} if {coarse} else {NONE}"
        return rest if fine == "False" else f"{FINE} if {fine} else {rest}"

    def fgu(self, rule: Rule) -> str:
        """Whether a bit of the rule's fine parts belongs to a disabled feature."""
        tests = [f"{self._word(fgu_word(self._table, p.group))}&{1 << p.bit}" for p in rule.fine]
        return " or ".join(dict.fromkeys(tests)) or "False"

    def part(self, part: Part, write: bool, *, host_el0: bool = False) -> str:
        """Whether the part traps an access of that direction."""
        if not part.directions & (WRITE if write else READ):
            return "False"
        armed = (
            self._fine(part, write, host_el0)
            if part.is_fine
            else self._coarse(part, write, host_el0)
        )
        if armed == "False":
            return armed
        guard = self.condition(part.guard, write, part.index)
        tests = [test for test in (self._level(part.levels), armed, guard) if test != "True"]
        return "False" if "False" in tests else _and(tests)

    def _any(self, parts: Sequence[Part], write: bool, host_el0: bool) -> str:
        tests = [self.part(part, write, host_el0=host_el0) for part in parts]
        return _or([test for test in tests if test != "False"])

    def _level(self, levels: int) -> str:
        if levels & 0b111 == 0b111:
            return "True"
        return f"{levels}>>{self._word(word_of_el(self._table))}&1"

    def _fine(self, part: Part, write: bool, host_el0: bool) -> str:
        if host_el0:
            return "False"
        return f"{self._word(trap_word(self._table, part.group, write))}&{1 << part.bit}"

    def _coarse(self, part: Part, write: bool, host_el0: bool) -> str:
        return self.control(part.control, write, part.index, host_el0=host_el0)

    def control(self, number: int, write: bool, index: int, *, host_el0: bool = False) -> str:
        """Whether the control, or a member of the combo, traps that direction."""
        control = self._table.control(number)
        members = [self._table.control(number) for number in control.members] or [control]
        direction = WRITE if write else READ
        tests = [
            self.condition(member.when, write, index)
            for member in members
            if member.directions & direction and (member.host_el0 or not host_el0)
        ]
        return _or([test for test in tests if test != "False"])

    # ---- conditions --------------------------------------------------------

    def condition(self, condition: Condition, write: bool, index: int) -> str:
        """The condition as an expression that is true or false in Python's sense."""
        kind = condition[0]
        if kind == "true":
            return "True"
        if kind == "false":
            return "False"
        if kind == "cmp":
            return self._comparison(condition, write, index)
        parts = [self.condition(part, write, index) for part in condition[1:]]
        if kind == "not":
            return f"(not {parts[0]})"
        return _and(parts) if kind == "and" else _or(parts)

    def _comparison(self, condition: Condition, write: bool, index: int) -> str:
        _, op, left, right = condition
        if left[0] == "f" and right[0] == "k" and op in ("==", "!="):
            return self._test_bits(left, op, right[1], write)
        return f"({self._term(left, write, index)} {op} {self._term(right, write, index)})"

    def _test_bits(self, field: Condition, op: str, value: int, write: bool) -> str:
        slot, pieces = field[1], field[2]
        if slot == self._write_slot:
            return str((int(write) == value) == (op == "=="))
        width = sum(width for _, width in pieces)
        if value >> width:
            return str(op == "!=")
        mask, bits = spread(value, pieces)
        if mask & mask - 1 == 0:
            wants_one = bool(bits) == (op == "==")
            test = f"{self._word(slot)}&{mask}"
            return test if wants_one else f"(not {test})"
        return f"({self._word(slot)}&{mask} {op} {bits})"

    def _term(self, term: Condition, write: bool, index: int) -> str:
        if term[0] == "k":
            return str(int(term[1]))
        if term[0] == "i":
            return str(index)
        slot, pieces = term[1], term[2]
        if slot == self._write_slot:
            return str(int(write))
        text = ""
        for lsb, width in pieces:
            piece = f"({self._word(slot)}>>{lsb}&{(1 << width) - 1})"
            text = f"({text}<<{width}|{piece})" if text else piece
        return text


def _and(parts: list[str]) -> str:
    kept = [part for part in parts if part != "True"]
    if not kept:
        return "True"
    return kept[0] if len(kept) == 1 else "(" + " and ".join(kept) + ")"


def _or(parts: list[str]) -> str:
    kept = list(dict.fromkeys(parts))
    if "True" in kept:
        return "True"
    if not kept:
        return "False"
    return kept[0] if len(kept) == 1 else "(" + " or ".join(kept) + ")"


# ---- the words of a bound state -------------------------------------------------


def word_of_el(table: CompiledTable) -> int:
    """The word that holds the EL."""
    return len(table.slots)


def trap_word(table: CompiledTable, group: int, write: bool) -> int:
    """The word whose set bits trap for a group and direction."""
    one_register = table.groups[group].slots[0] == table.groups[group].slots[1]
    return len(table.slots) + 1 + 3 * group + (write and not one_register)


def fgu_word(table: CompiledTable, group: int) -> int:
    """The word of a group's disabled bits."""
    return len(table.slots) + 1 + 3 * group + 2
