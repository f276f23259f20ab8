"""Tables as boolean functions of the state, exact over all states.

The variables are the bits of the registers that the tables read, and two for the EL.
Everything a table says about an access is a function of these, so questions about all
states at once are questions about functions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from nvtrap.analysis.bdd import FALSE, TRUE, Bdd
from nvtrap.engine import State, Table
from nvtrap.engine.features import FeatureView
from nvtrap.table import READ, WRITE, Control, Part
from nvtrap.table.conditions import EL, SPECIAL, Condition
from nvtrap.table.conditions import WRITE as IS_WRITE

ENTRY_EL = 1


class Space:
    """The variables that several tables share, and states as assignments to them."""

    def __init__(self) -> None:
        self.bdd = Bdd()
        self._numbers: dict[tuple[str, int], int] = {}
        self._places: list[tuple[str, int]] = []
        self._el = [self.number(EL, 1), self.number(EL, 0)]

    def number(self, register: str, bit: int) -> int:
        """The variable of one bit."""
        key = register, bit
        if key not in self._numbers:
            self._numbers[key] = len(self._places)
            self._places.append(key)
        return self._numbers[key]

    def bit(self, register: str, bit: int) -> int:
        """The function that is true when the bit is 1."""
        return self.bdd.variable(self.number(register, bit))

    def place(self, variable: int) -> tuple[str, int]:
        """(register, bit) of a variable."""
        return self._places[variable]

    def at_level(self, level: int) -> int:
        """The function that is true at one EL."""
        return self.bdd.and_(*(self.equals(EL, bit, level >> bit & 1) for bit in (1, 0)))

    def equals(self, register: str, bit: int, value: int) -> int:
        """The function that is true when the bit has that value."""
        node = self.bit(register, bit)
        return node if value else self.bdd.not_(node)

    def weights(self, variable: int) -> tuple[int, int]:
        """What a bit costs in a witness: nothing when it is 0, or as EL1 has it."""
        register, bit = self._places[variable]
        return (1, 0) if (register, bit) == (EL, 0) else (0, 1)

    def witness(self, node: int) -> State | None:
        """A smallest state in which the function is true: fewest bits set, EL1 if possible."""
        chosen = self.bdd.cheapest(node, self.weights)
        if chosen is None:
            return None
        registers: dict[str, int] = {}
        level = ENTRY_EL
        for variable, value in chosen.items():
            register, bit = self._places[variable]
            if register == EL:
                level = level & ~(1 << bit) | value << bit
            elif value:
                registers[register] = registers.get(register, 0) | 1 << bit
        return State(dict(sorted(registers.items())), el=level)


@dataclass(slots=True)
class Behaviour:
    """What a rule does with one direction, as functions of the state.

    `fine` and `coarse` are where these steps forward, `undef` where a disabled feature
    makes the access undefined; each already excludes what comes before it.
    """

    undef: int = FALSE
    fine: int = FALSE
    coarse: int = FALSE

    def forward(self, bdd: Bdd) -> int:
        """Where the access is forwarded."""
        return bdd.or_(self.fine, self.coarse)


@dataclass(slots=True)
class Formulas:
    """One table as functions over a space, under one set of features.

    `hypervisor` is where the table is in hypervisor context; behaviours are for a vCPU
    with EL2.
    """

    table: Table
    space: Space
    features: frozenset[str] | None = None
    hypervisor: int = field(init=False)
    _host_el0: int = field(init=False)
    _view: FeatureView | None = field(init=False)
    _behaviours: dict[tuple[int, bool], Behaviour] = field(init=False, default_factory=dict)
    _parts: dict[tuple[int, bool], int] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self._view = None if self.features is None else FeatureView(self.table, self.features)
        self.hypervisor = self.condition(self.table.hypervisor)
        self._host_el0 = self.condition(self.table.host_el0)

    def behaviour(self, encoding: int, write: bool) -> Behaviour:
        """What the table does with an access."""
        if self._view is not None and encoding in self._view.undefined:
            return Behaviour(undef=TRUE)
        key = self.table.rule_of[encoding], write
        found = self._behaviours.get(key)
        if found is None:
            found = self._behaviours[key] = self._rule(*key)
        return found

    def _rule(self, number: int, write: bool) -> Behaviour:
        bdd, rule = self.space.bdd, self.table.rule(number)
        if self._view is not None and any(self._is_disabled(part) for part in rule.fine):
            return Behaviour(undef=TRUE)
        fine = bdd.any_of(self.part(part, write) for part in rule.fine)
        coarse = bdd.any_of(self.part(part, write) for part in rule.coarse)
        return Behaviour(FALSE, fine, bdd.and_(coarse, bdd.not_(fine)))

    def _is_disabled(self, part: Part) -> bool:
        assert self._view is not None
        return bool(self._view.fgu[part.group] >> part.bit & 1)

    @property
    def undefined(self) -> frozenset[int]:
        """The encodings that absent features make undefined."""
        return frozenset() if self._view is None else self._view.undefined

    # ---- parts -------------------------------------------------------------

    def part(self, part: Part, write: bool) -> int:
        """Where one part traps."""
        key = id(part), write
        if key not in self._parts:
            self._parts[key] = self._part(part, write)
        return self._parts[key]

    def _part(self, part: Part, write: bool) -> int:
        if not part.directions & (WRITE if write else READ):
            return FALSE
        armed = self.fine_bit(part, write) if part.is_fine else self._coarse(part, write)
        return self.space.bdd.and_(self.where(part, write), armed)

    def where(self, part: Part, write: bool) -> int:
        """Where a part can trap at all: its ELs, its filters, and for a bit the context."""
        bdd = self.space.bdd
        levels = bdd.any_of(self.space.at_level(n) for n in range(3) if part.levels >> n & 1)
        context = bdd.not_(self.hypervisor) if part.is_fine else TRUE
        return bdd.and_(levels, self.condition(part.guard, write, part.index), context)

    def context_of(self, control: Control) -> int:
        """Where a control acts: outside hypervisor context, and in host EL0 if it says so."""
        bdd = self.space.bdd
        guest = bdd.not_(self.hypervisor)
        return bdd.or_(guest, self._host_el0) if control.host_el0 else guest

    def fine_bit(self, part: Part, write: bool) -> int:
        """Where the bit of a fine part traps."""
        group = self.table.groups[part.group]
        register = group.registers[write]
        if not self.table.fine_by_position and not group.defined[write] >> part.bit & 1:
            return FALSE
        if self._view is not None and self._view.absent.get(register, (0, 0))[0] >> part.bit & 1:
            return FALSE
        negative = group.negative[write] >> part.bit & 1
        return self.space.equals(register, part.bit, 0 if negative else 1)

    def _coarse(self, part: Part, write: bool) -> int:
        bdd = self.space.bdd
        members = [self.table.control(number) for number in self.member_numbers(part.control)]
        return bdd.any_of(
            bdd.and_(self.condition(member.when, write, part.index), self.context_of(member))
            for member in members
            if member.directions & (WRITE if write else READ)
        )

    def member_numbers(self, control: int) -> Sequence[int]:
        """The members of a combo; of anything else, itself."""
        return self.table.control(control).members or (control,)

    # ---- conditions --------------------------------------------------------

    def condition(self, condition: Condition, write: bool = False, index: int = -1) -> int:
        """The function that a condition is."""
        bdd, kind = self.space.bdd, condition[0]
        if kind == "cmp":
            _, op, left, right = condition
            terms = [self._term(term, write, index) for term in (left, right)]
            return self._compare(op, *terms)
        if kind in ("and", "or"):
            parts = [self.condition(part, write, index) for part in condition[1:]]
            return bdd.and_(*parts) if kind == "and" else bdd.or_(*parts)
        if kind == "not":
            return bdd.not_(self.condition(condition[1], write, index))
        return TRUE if kind == "true" else FALSE

    def _compare(self, op: str, left: list[int], right: list[int]) -> int:
        width = max(len(left), len(right))
        left = left + [FALSE] * (width - len(left))
        right = right + [FALSE] * (width - len(right))
        bdd = self.space.bdd
        if op in ("==", "!="):
            differ = bdd.any_of(bdd.xor(a, b) for a, b in zip(left, right, strict=True))
            return differ if op == "!=" else bdd.not_(differ)
        if op in (">", "<="):
            left, right = right, left
        less = FALSE
        for a, b in zip(left, right, strict=True):
            less = bdd.ite(bdd.xor(a, b), b, less)
        return less if op in ("<", ">") else bdd.not_(less)

    def _term(self, term: Condition, write: bool, index: int) -> list[int]:
        """The bits of a term, low one first."""
        if term[0] in ("k", "i"):
            value = index if term[0] == "i" else int(term[1])
            return [TRUE if value >> bit & 1 else FALSE for bit in range(value.bit_length())]
        name = self.table.slots[term[1]]
        bits: list[int] = []
        for lsb, width in reversed(term[2]):
            bits += [self._bit(name, bit, write) for bit in range(lsb, lsb + width)]
        return bits

    def _bit(self, name: str, bit: int, write: bool) -> int:
        if name == IS_WRITE:
            return TRUE if write else FALSE
        if name.startswith("FEAT_"):
            return TRUE if self.features is None or name in self.features else FALSE
        if name in SPECIAL and name != EL:
            return self._context_word(name)
        if self._view is not None:
            mask, value = self._view.absent.get(name, (0, 0))
            if mask >> bit & 1:
                return TRUE if value >> bit & 1 else FALSE
        return self.space.bit(name, bit)

    def _context_word(self, name: str) -> int:
        if name == "context.nv":
            return TRUE
        if name == "context.host_EL0":
            return self.space.bdd.and_(self.hypervisor, self._host_el0)
        return self.hypervisor


def levels_of(space: Space) -> int:
    """Where the EL is one that exists: 0, 1 or 2."""
    return space.bdd.any_of(space.at_level(level) for level in range(3))


def guest_states(formulas: Sequence[Formulas]) -> int:
    """Where no table is in hypervisor context."""
    bdd = formulas[0].space.bdd
    outside = [bdd.not_(each.hypervisor) for each in formulas]
    return bdd.and_(levels_of(formulas[0].space), *outside)
