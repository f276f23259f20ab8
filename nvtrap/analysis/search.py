"""Questions that go from states to accesses and back."""

from __future__ import annotations

from collections.abc import Iterator

from nvtrap.analysis.bdd import FALSE
from nvtrap.analysis.formulas import Formulas, Space, guest_states
from nvtrap.arch import ENCODINGS, Access
from nvtrap.engine import FORWARD, OUTCOMES, Outcome, State, Table
from nvtrap.table.conditions import EL

Setting = tuple[str, int]


def forwarded_by(table: Table, base: State, changed: State) -> Iterator[tuple[Access, Outcome]]:
    """The accesses that `changed` forwards and `base` does not, with what decides."""
    before, after = table.decide_all(base), table.decide_all(changed)
    for encoding in range(ENCODINGS):
        for write in (False, True):
            steps = (
                all_[encoding] >> 4 if write else all_[encoding] & 15 for all_ in (before, after)
            )
            old, new = (OUTCOMES[step] for step in steps)
            if new == FORWARD != old:
                access = Access(encoding, write)
                yield access, table.decide(changed, access)


def minimal_settings(table: Table, base: State, access: Access) -> list[list[Setting]]:
    """The minimal changes of `base` with which the access is forwarded, smallest first.

    Each is a list of (field, value); an empty list means that it is forwarded already.
    Leaving out any change of a list keeps the access from being forwarded.
    """
    space = Space()
    formulas = Formulas(table, space, base.features)
    forward = formulas.behaviour(table.encoding_of(access), access.write).forward(space.bdd)
    fixed = {space.number(EL, bit): base.el >> bit & 1 for bit in (0, 1)}
    node = space.bdd.restrict(space.bdd.and_(forward, guest_states([formulas])), fixed)
    flipped = {v for v in space.bdd.support(node) if _bit(space, base, v)}
    sets = space.bdd.minimal_sets(space.bdd.flip(node, flipped))
    found = {tuple(_settings(table, space, base, flips)) for flips in sets}
    return [list(settings) for settings in sorted(found, key=lambda s: (len(s), s))]


def _bit(space: Space, base: State, variable: int) -> int:
    register, bit = space.place(variable)
    return base.registers.get(register, 0) >> bit & 1


def _settings(table: Table, space: Space, base: State, flips: frozenset[int]) -> Iterator[Setting]:
    """The flipped bits as settings of fields, in order of register and field."""
    changed = dict(base.registers)
    places = sorted(space.place(variable) for variable in flips)
    for register, bit in places:
        changed[register] = changed.get(register, 0) ^ 1 << bit
    named = {
        table.fields.name_at(register, bit, lambda name: changed.get(name, 0)): register
        for register, bit in places
    }
    for (name, lsb, width), register in named.items():
        yield f"{register}{name}", changed[register] >> lsb & (1 << width) - 1


def never_forwarded(table: Table) -> Iterator[Access]:
    """The accesses to named registers that no state of a guest forwards."""
    space = Space()
    formulas = Formulas(table, space)
    domain = guest_states([formulas])
    for _, encoding, flags in table.names:
        for write in (False, True):
            if ("w" if write else "r") in flags and encoding < ENCODINGS:
                forward = formulas.behaviour(encoding, write).forward(space.bdd)
                if space.bdd.and_(domain, forward) == FALSE:
                    yield Access(encoding, write)
