"""Test vectors as C: what the engine decides where it matters.

For every rule and direction: nothing set, each part armed (or disarmed where nothing
arms it) by the fewest settings, L1 itself, and a vCPU without EL2. The file goes with the
generated header; `…_vector_holds` runs one, and whoever has another implementation reads
the array.
"""

from __future__ import annotations

from nvtrap.arch import generic_name, operands
from nvtrap.emit.c_header import block, filled, lines_of, steps
from nvtrap.emit.pieces import notice
from nvtrap.emit.texts import at, comment
from nvtrap.engine import STEPS, State
from nvtrap.engine.wishes import granted, ways
from nvtrap.table.conditions import conjunction
from nvtrap.table.model import READ, WRITE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from nvtrap.emit.emission import Emission
    from nvtrap.engine import Outcome
    from nvtrap.table import Part
    from nvtrap.table.conditions import Condition


class Vector:
    """An access in a state, with what the engine says of it."""

    __slots__ = ("encoding", "outcome", "state", "write")

    def __init__(self, state: State, encoding: int, write: bool, outcome: Outcome) -> None:
        self.state = state
        self.encoding = encoding
        self.write = write
        self.outcome = outcome


def vectors(emission: Emission) -> Iterator[Vector]:
    """Every vector, in the order of rules, at the first encoding of each."""
    first: dict[int, int] = {}
    for encoding, _, number in emission.ranges or [(0, 0, 0)]:
        first.setdefault(number, encoding)
    contexts = [State(), State(el=2), State(nv=False), State(el=0), *_contexts(emission)]
    for number, encoding in sorted(first.items()):
        for write in (False, True):
            seen: list[State] = []
            for state in (*contexts, *_states(emission, number, write)):
                if state not in seen:
                    seen.append(state)
                    outcome = emission.table.decide_at(state, encoding, write)
                    yield Vector(state, encoding, write, outcome)


def _contexts(emission: Emission) -> Iterator[State]:
    """A hypervisor's contexts other than EL2, where there are such."""
    table = emission.table
    yield from _moved(emission, table.hypervisor, 1, False)
    yield from _moved(emission, conjunction([table.hypervisor, table.host_el0]), 0, False)


def _states(emission: Emission, number: int, write: bool) -> Iterator[State]:
    """The states in which a part of the rule, or its memory, is other than with nothing set."""
    rule = emission.rules[number].rule
    for part in (*rule.fine, *rule.coarse):
        level = next((el for el in (1, 0, 2) if part.levels >> el & 1), 1)
        if part.directions & (WRITE if write else READ):
            for condition in _conditions(emission, part, write):
                whole = conjunction([condition, part.guard])
                yield from _moved(emission, whole, level, write, part.index)
    if rule.memory is not None:
        yield from _moved(emission, rule.memory[1], 1, write)


def _conditions(emission: Emission, part: Part, write: bool) -> Iterator[Condition]:
    """What arms a part: each member of a combo by itself."""
    if part.is_fine:
        group = emission.table.groups[part.group]
        negative = group.negative[write] >> part.bit & 1
        yield ["cmp", "!=", ["f", group.slots[write], [[part.bit, 1]]], ["k", negative]]
        return
    control = emission.control_list[part.control]
    for member in [emission.control_list[number] for number in control.members] or [control]:
        if member.directions & (WRITE if write else READ):
            yield member.when


def _moved(
    emission: Emission, condition: Condition, level: int, write: bool, index: int = -1
) -> Iterator[State]:
    """A state in which the condition is other than with nothing set, if one is found."""
    table = emission.table
    words = table.bind(State(el=level)).words

    def word(slot: int) -> int:
        return int(write) if slot == emission.write_slot else words[slot]

    for wanted in (True, False):
        for way in ways(condition, table, word, index, wanted=wanted)[:1]:
            yield State(granted({}, way, table.slots), el=level)


def render(emission: Emission, licence: str, header_name: str) -> str:
    """The vectors as a header of their own, to be included beside the table's."""
    settings: list[str] = []
    rows = []
    for vector in vectors(emission):
        start = len(settings)
        settings += _settings(emission, vector.state)
        rows.append(_row(emission, vector, start, len(settings) - start))
    return filled(
        _HEADER,
        emission,
        licence=licence,
        notice=block(notice(emission)),
        header=header_name,
        settings=lines_of(settings or ["{ 0, 0 },"]),
        count=str(len(rows)),
        vectors=lines_of(rows),
    )


def _settings(emission: Emission, state: State) -> list[str]:
    upper, slots = emission.prefix.upper(), emission.table.slots
    return [
        f"{{ {upper}_NUMBER({emission.members[slots.index(name)]}), {value:#x} }},"
        for name, value in state.registers.items()
    ]


def _row(emission: Emission, vector: Vector, start: int, count: int) -> str:
    upper, outcome = emission.prefix.upper(), vector.outcome
    part = outcome.part
    decision = (
        f"{upper}_{outcome.outcome.upper()}",
        steps(upper)[STEPS.index(outcome.step)],
        f"{upper}_NO_PART" if part is None else str(emission.part_number(part)),
        f"{outcome.ec:#x}",
        "-1" if outcome.memory is None else f"{outcome.memory:#x}",
    )
    encoding = (
        f"{upper}_ENCODING({', '.join(map(str, operands(vector.encoding)))})"
        if generic_name(vector.encoding)
        else f"{vector.encoding:#x}"
    )
    flags = ["false", "true"]
    said = emission.table.name_of(vector.encoding, vector.write)
    said = f"{'write' if vector.write else 'read'} {said}"
    if part is not None:
        said += f": {emission.part_name(part, vector.write)}, {at(part.place)}"
    return (
        f"{{ {start}, {count}, {vector.state.el}, {flags[vector.state.nv]}, {encoding}, "
        f"{flags[vector.write]}, {{ {', '.join(decision)} }} }},\t/* {comment(said)} */"
    )


_HEADER = """\
/* SPDX-License-Identifier: @licence@ */
@notice@
#ifndef @P@_VECTORS_H
#define @P@_VECTORS_H

#ifdef __KERNEL__
#include <linux/stddef.h>
#else
#include <stddef.h>
#endif
#include "@header@"

/* The value of a register, told by its number among the registers. */
struct @p@_setting {
	uint16_t number;
	uint64_t value;
};

/* An access in a state with `settings` registers from `start` and no other, and its decision. */
struct @p@_vector {
	uint32_t start;
	uint16_t settings;
	uint8_t el;
	bool nv;
	uint32_t encoding;
	bool write;
	struct @p@_decision decision;
};

#define @P@_NUMBER(name) (offsetof(struct @p@_registers, name) / sizeof(uint64_t))

static const struct @p@_setting @p@_settings[] = {
@settings@
};

#define @P@_VECTORS @count@

static const struct @p@_vector @p@_vectors[] = {
@vectors@
};

/* Whether the generated table decides a vector as it should. */
static inline bool @p@_vector_holds(const struct @p@_vector *vector)
{
	struct @p@_state state = { .el = vector->el, .nv = vector->nv };
	struct @p@_bound bound;
	struct @p@_decision found;

	for (uint32_t i = vector->start; i < vector->start + vector->settings; i++)
		*((uint64_t *)&state.registers + @p@_settings[i].number) = @p@_settings[i].value;
	@p@_bind(&bound, &state);
	found = @p@_decide(&bound, vector->encoding, vector->write);
	return found.outcome == vector->decision.outcome && found.step == vector->decision.step &&
		found.part == vector->decision.part && found.ec == vector->decision.ec &&
		found.memory == vector->decision.memory;
}

#endif
"""
