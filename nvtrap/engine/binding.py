"""A table's view of one state: the numbers its programs read."""

from __future__ import annotations

from nvtrap.engine.programs import Writer
from nvtrap.table.conditions import EL, SPECIAL

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from nvtrap.engine.features import FeatureView
    from nvtrap.engine.state import State
    from nvtrap.table.model import CompiledTable, Group

    Program = Callable[[tuple[int, ...]], int]

NO_CONTEXT = 0
HYPERVISOR = 1
HOST_EL0 = 2


def compile_program(source: str) -> Program:
    """The function of a bound state that `source` (see `programs`) computes."""
    program: Program = eval(f"lambda v: {source}", {"__builtins__": {}})
    return program


class Binder:
    """Turns states into the words of one table, in the order `programs` gives them."""

    def __init__(self, table: CompiledTable) -> None:
        sanitised = set(table.sanitised)
        self._registers = [
            (slot, name, slot in sanitised)
            for slot, name in enumerate(table.slots)
            if name not in SPECIAL and not name.startswith("FEAT_")
        ]
        self._features = [
            (slot, name) for slot, name in enumerate(table.slots) if name.startswith("FEAT_")
        ]
        self._special = {name: table.slot(name) for name in SPECIAL if table.slot(name) >= 0}
        self._groups = table.groups
        self._sanitised = {table.slots[slot] for slot in sanitised}
        self._by_position = table.fine_by_position
        self._count = len(table.slots)
        self._size = self._count + 1 + 3 * len(table.groups)
        writer = Writer(table)
        self._hypervisor = compile_program(writer.condition(table.hypervisor, False, -1))
        self._host_el0 = compile_program(writer.condition(table.host_el0, False, -1))

    def bind(self, state: State, view: FeatureView | None = None) -> tuple[tuple[int, ...], int]:
        """(words, context) of a state; the context is one of the three above.

        `view` is what the state's features leave of the table, None for all features.
        """
        words = [0] * self._size
        registers, res0 = state.registers, state.res0
        for slot, name, sanitised in self._registers:
            value = registers.get(name, 0)
            words[slot] = value & ~res0.get(name, 0) if sanitised else value
        words[self._count] = state.el
        if view is not None:
            self._without_features(words, view)
        self._bind_groups(words, state, view)
        if self._features:
            for slot, name in self._features:
                words[slot] = state.features is None or name in state.features
        if EL in self._special:
            words[self._special[EL]] = state.el
        if "context.nv" in self._special:
            words[self._special["context.nv"]] = state.nv
        context = self._context(tuple(words))
        if "context.hypervisor" in self._special:
            words[self._special["context.hypervisor"]] = context != NO_CONTEXT
        if "context.host_EL0" in self._special:
            words[self._special["context.host_EL0"]] = context == HOST_EL0
        return tuple(words), context

    def _without_features(self, words: list[int], view: FeatureView) -> None:
        for slot, name, _ in self._registers:
            mask, value = view.absent.get(name, (0, 0))
            words[slot] = words[slot] & ~mask | value

    def _bind_groups(self, words: list[int], state: State, view: FeatureView | None) -> None:
        at = self._count + 1
        for number, group in enumerate(self._groups):
            read, write = group.slots
            words[at] = self._traps(words[read], 0, group, state, view)
            if write != read:
                words[at + 1] = self._traps(words[write], 1, group, state, view)
            if state.fgu:
                words[at + 2] = state.fgu.get(group.fgu, 0)
            if view is not None:
                words[at + 2] |= view.fgu[number]
            at += 3

    def _traps(
        self, value: int, side: int, group: Group, state: State, view: FeatureView | None
    ) -> int:
        """The bits that trap: set ones, or clear ones of negative polarity.

        Bits that the vCPU lacks never trap; in a table that tests bits by name, neither
        do those that the register of this direction does not have.
        """
        traps: int = value ^ group.negative[side]
        register = group.registers[side]
        if register in self._sanitised:
            traps &= ~state.res0.get(register, 0)
        if view is not None:
            traps &= ~view.absent.get(register, (0, 0))[0]
        return traps if self._by_position else traps & group.defined[side]

    def _context(self, words: tuple[int, ...]) -> int:
        if not self._hypervisor(words):
            return NO_CONTEXT
        return HOST_EL0 if self._host_el0(words) else HYPERVISOR
