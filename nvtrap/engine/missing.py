"""Which registers an answer hangs on that were not given.

A register is missing when the state lacks it and some value of it, all else being as it
is, gives another outcome. Values are tried. Of a register of which the rule reads at most
`FEW_BITS` bits, every combination is, so that the answer is exact; of others each value
that one of its comparisons tells apart, alone, and in pairs where there are at most
`FEW_VALUES` of them. Registers that change the outcome only together are not missing, each
of them for itself being of no account.
"""

from __future__ import annotations

from itertools import combinations

from nvtrap.engine.programs import FEATURE, STEPS
from nvtrap.engine.table import OUTCOMES, Bound
from nvtrap.table.conditions import SPECIAL, spread, term_value, terms, with_index

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from nvtrap.engine.state import State
    from nvtrap.engine.table import Outcome, Table
    from nvtrap.table.conditions import Condition
    from nvtrap.table.model import Rule

    # Bits of a register and a value for them.
    Trial = tuple[list[list[int]], int]

FEW_BITS = 10
FEW_VALUES = 40


def missing(table: Table, state: State, outcome: Outcome) -> list[str]:
    """The registers that `outcome` hangs on and `state` lacks, in the table's order."""
    if outcome.step == STEPS[FEATURE]:
        return []
    conditions = _conditions(table, table.rule(outcome.number), outcome.write)
    words = Bound(table, state).words
    used = {term[1] for condition in conditions for term in terms(condition) if term[0] == "f"}
    names = {slot: table.slots[slot] for slot in sorted(used)}
    return [
        name
        for slot, name in names.items()
        if name not in state.registers
        and name not in SPECIAL
        and not name.startswith("FEAT_")
        and any(
            _outcome(table, state, name, value, outcome) != outcome.outcome
            for value in _values(slot, conditions, words)
        )
    ]


def _outcome(table: Table, state: State, name: str, value: int, asked: Outcome) -> str:
    """The outcome with one more register given."""
    other = state.having({**state.registers, name: value})
    return OUTCOMES[Bound(table, other).step(asked.number, asked.write)]


def _conditions(table: Table, rule: Rule, write: bool) -> list[Condition]:
    """Every condition that the decision may come to."""
    found = [table.hypervisor, table.host_el0]
    for part in (*rule.fine, *rule.coarse):
        found.append(part.guard)
        if part.is_fine:
            slot = table.groups[part.group].slots[write]
            found.append(["cmp", "!=", ["f", slot, [[part.bit, 1]]], ["k", 0]])
            continue
        control = table.control(part.control)
        members = [table.control(number) for number in control.members] or [control]
        found += [with_index(member.when, part.index) for member in members]
    return found


# ---- values to try ----------------------------------------------------------------


def _values(slot: int, conditions: list[Condition], words: Sequence[int]) -> Iterator[int]:
    trials = list(_trials(slot, conditions, words))
    mask = 0
    for pieces, _ in trials:
        mask |= spread(0, pieces)[0]
    if mask.bit_count() <= FEW_BITS:
        bits = [[bit, 1] for bit in range(64) if mask >> bit & 1]
        for value in range(1, 1 << len(bits)):
            yield spread(value, bits)[1]
        return
    for pieces, value in trials:
        yield spread(value, pieces)[1]
    if len(trials) <= FEW_VALUES:
        for one, other in combinations(trials, 2):
            yield spread(one[1], one[0])[1] | spread(other[1], other[0])[1]


def _trials(slot: int, conditions: list[Condition], words: Sequence[int]) -> Iterator[Trial]:
    """What the comparisons tell apart: the values about each number, and the greatest.

    Not 0, which a register that is not given reads as.
    """
    seen = set()
    for left, right in _compared(conditions):
        for field, other in ((left, right), (right, left)):
            if field[0] != "f" or field[1] != slot:
                continue
            most = (1 << sum(width for _, width in field[2])) - 1
            near = term_value(other, words.__getitem__)
            for value in (most, near - 1, near, near + 1):
                if 0 < value <= most and (str(field[2]), value) not in seen:
                    seen.add((str(field[2]), value))
                    yield field[2], value


def _compared(conditions: list[Condition]) -> Iterator[tuple[Condition, Condition]]:
    """The two sides of every comparison."""
    for condition in conditions:
        sides = iter(terms(condition))
        yield from zip(sides, sides, strict=True)
