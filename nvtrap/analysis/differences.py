"""What two tables do differently, exactly, over all states that both admit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from nvtrap.analysis.bdd import FALSE, TRUE
from nvtrap.analysis.causes import Cause, causes
from nvtrap.analysis.formulas import Behaviour, Formulas, Space, guest_states, levels_of
from nvtrap.arch import ENCODINGS, Access
from nvtrap.engine import Outcome, State, Table

OUTCOME = "outcome"
UNDEF = "undef"
STEP = "step"
TEXT = "text"


@dataclass(slots=True)
class Difference:
    """One cause of a difference and the accesses it concerns.

    `kind` is what changes: the `outcome`, `undef` (by disabled features), only the
    deciding `step`, or only the `text` of the rules. `side` (0 or 1) is the table that
    forwards in `witness` and the other does not, by `cause`; for the other kinds it is 0.
    `places` are the lines of both sides, `outcomes` what both say in the witness.
    """

    kind: str
    side: int
    cause: str
    witness: State
    outcomes: tuple[str, str]
    places: tuple[list[str], list[str]]
    accesses: list[tuple[int, bool]] = field(default_factory=list)


class Comparison:
    """Compares two tables; `everywhere` takes in hypervisor contexts as well."""

    def __init__(
        self,
        first: Table,
        second: Table,
        features: frozenset[str] | None = None,
        *,
        everywhere: bool = False,
    ) -> None:
        self.tables = first, second
        self._features = features
        self._space = Space()
        self._sides = [Formulas(table, self._space, features) for table in self.tables]
        if everywhere:
            self._domain = levels_of(self._space)
        else:
            self._domain = guest_states(self._sides)
        self._found: dict[tuple[object, ...], Difference] = {}
        self._known: dict[tuple[object, ...], list[tuple[object, ...]]] = {}

    def differences(self) -> list[Difference]:
        """Every difference, outcomes first, the most accesses first."""
        for encoding in self._encodings():
            for write in (False, True):
                self._compare(encoding, write)
        order = (OUTCOME, UNDEF, STEP, TEXT)
        return sorted(
            self._found.values(),
            key=lambda d: (order.index(d.kind), -len(d.accesses), d.side, d.accesses[0]),
        )

    def _encodings(self) -> list[int]:
        """The encodings that either table says something about; instructions by name apart."""
        first, second = (table.rule_of for table in self.tables)
        undefined = {e for side in self._sides for e in side.undefined if e < ENCODINGS}
        ruled = (e for e in range(ENCODINGS) if first[e] or second[e])
        return sorted(undefined.union(ruled))

    def _compare(self, encoding: int, write: bool) -> None:
        key = self._key(encoding, write)
        if key not in self._known:
            self._known[key] = [self._enter(new) for new in self._of(encoding, write)]
        for name in self._known[key]:
            self._found[name].accesses.append((encoding, write))

    def _key(self, encoding: int, write: bool) -> tuple[object, ...]:
        """What the comparison of an access hangs on; accesses share it by rule."""
        rules = [table.rule_of[encoding] for table in self.tables]
        undefined = [encoding in side.undefined for side in self._sides]
        return (*rules, *undefined, write)

    def _enter(self, new: Difference) -> tuple[object, ...]:
        name = (new.kind, new.side, new.cause, repr(new.witness), new.outcomes)
        group = self._found.setdefault(name, new)
        for known, places in zip(group.places, new.places, strict=True):
            known += [place for place in places if place not in known]
        return name

    def _of(self, encoding: int, write: bool) -> Iterator[Difference]:
        first, second = (side.behaviour(encoding, write) for side in self._sides)
        if TRUE in (first.undef, second.undef):
            if first.undef != second.undef:
                yield self._difference(UNDEF, 0, "", self._domain, encoding, write)
            return
        bdd = self._space.bdd
        forwards = first.forward(bdd), second.forward(bdd)
        found = False
        for side in (0, 1):
            only = bdd.and_(self._domain, forwards[side], bdd.not_(forwards[1 - side]))
            if only != FALSE:
                found = True
                yield from self._by_cause(side, only, encoding, write)
        if not found:
            yield from self._quiet(first, second, encoding, write)

    def _by_cause(self, side: int, only: int, encoding: int, write: bool) -> Iterator[Difference]:
        """One difference for each cause by which the side forwards and the other does not."""
        seen = set()
        for cause in causes(self._sides[side], encoding, write):
            where = self._space.bdd.and_(only, cause.node)
            if where != FALSE and cause.name not in seen:
                seen.add(cause.name)
                yield self._difference(OUTCOME, side, cause.name, where, encoding, write)

    def _quiet(
        self, first: Behaviour, second: Behaviour, encoding: int, write: bool
    ) -> Iterator[Difference]:
        """Differences that change no outcome: of the deciding step, or of the text alone."""
        bdd = self._space.bdd
        steps = bdd.and_(self._domain, bdd.xor(first.fine, second.fine))
        if steps != FALSE:
            yield self._difference(STEP, 0, "", steps, encoding, write)
        elif self._words(0, encoding, write) != self._words(1, encoding, write):
            yield self._difference(TEXT, 0, "", self._domain, encoding, write)

    def _words(self, side: int, encoding: int, write: bool) -> list[tuple[str, str]]:
        """What the rule of one side says, without its place."""
        table = self.tables[side]
        found = [
            (cause.name, _condition_text(table, cause))
            for cause in causes(self._sides[side], encoding, write)
        ]
        reason = table.rule(table.rule_of[encoding]).local_reason
        return sorted([*found, ("local", reason)])

    def _difference(
        self, kind: str, side: int, cause: str, where: int, encoding: int, write: bool
    ) -> Difference:
        witness = self._space.witness(where)
        assert witness is not None
        if self._features is not None:
            witness = State(witness.registers, el=witness.el, features=self._features)
        access = Access(encoding, write)
        told = [table.decide(witness, access) for table in self.tables]
        places = [
            _places(table, encoding, outcome)
            for table, outcome in zip(self.tables, told, strict=True)
        ]
        outcomes = told[0].outcome, told[1].outcome
        return Difference(kind, side, cause, witness, outcomes, (places[0], places[1]))


def _condition_text(table: Table, cause: Cause) -> str:
    part = cause.part
    text = "" if part.is_fine else table.control(part.control).text
    return f"{text} {part.text}".strip()


def _places(table: Table, encoding: int, outcome: Outcome) -> list[str]:
    """The line that decided, or else all lines that could have."""
    if outcome.place is not None:
        return [str(outcome.place)]
    rule = table.rule(table.rule_of[encoding])
    return list(dict.fromkeys(str(part.place) for part in (*rule.fine, *rule.coarse)))


def changed(differences: Iterable[Difference]) -> bool:
    """Whether any outcome differs."""
    return any(difference.kind in (OUTCOME, UNDEF) for difference in differences)
