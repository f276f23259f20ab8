"""Causes: the single controls and bits by which a rule forwards, as functions of the state."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from nvtrap.analysis.formulas import Formulas
from nvtrap.table import READ, WRITE, Part, Place


@dataclass(frozen=True, slots=True)
class Cause:
    """One control (a combo counts by its members) or bit that makes a rule forward.

    `armed` is where its own condition holds, `node` where it forwards: there armed, at
    the right EL, not filtered, and outside hypervisor context.
    """

    name: str
    place: Place
    part: Part
    armed: int
    node: int


def causes(formulas: Formulas, encoding: int, write: bool) -> Iterator[Cause]:
    """Everything that can forward an access, fine-grained bits first."""
    rule = formulas.table.rule(formulas.table.rule_of[encoding])
    for part in (*rule.fine, *rule.coarse):
        yield from _of_part(formulas, part, write)


def _of_part(formulas: Formulas, part: Part, write: bool) -> Iterator[Cause]:
    if not part.directions & (WRITE if write else READ):
        return
    table = formulas.table
    guard = formulas.where(part, write)
    if part.is_fine:
        armed = formulas.fine_bit(part, write)
        name = table.groups[part.group].bit_name(part.bit, write)
        yield Cause(name, part.place, part, armed, formulas.space.bdd.and_(guard, armed))
        return
    for number in formulas.member_numbers(part.control):
        control = table.control(number)
        if control.directions & (WRITE if write else READ):
            armed = formulas.condition(control.when, write, part.index)
            node = formulas.space.bdd.and_(guard, armed, formulas.context_of(control))
            yield Cause(control.name, part.place, part, armed, node)
