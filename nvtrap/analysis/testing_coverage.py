"""How much of a table its expectations reach.

Counted are expectations that are met, and what decides in them: not what the engine
happens to evaluate on the way.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from nvtrap.analysis.expectations import Decided, Verdict, bit_names
from nvtrap.arch.encoding import generic_name
from nvtrap.engine import Table
from nvtrap.table import READ, WRITE, Part, Place

# What is counted, and what it is.
KINDS = {
    "rules": "`trap` and `local` lines that decide",
    "controls": "controls, conditions and fine-grained bits that decide",
    "directions": "the same, for reads and for writes",
    "encodings": "encodings with a rule that are asked about",
}
_WORDS = {READ: "read", WRITE: "write"}


class Coverage:
    """What the expectations of one table reach.

    `hits` has for each kind every item there is, and how many directions of met
    expectations reach it. `lines` has the same for lines of rule files: rules, and
    the definitions of controls, as (file, line).
    """

    __slots__ = ("_definitions", "_names", "_table", "hits", "lines", "name")

    def __init__(self, table: Table, name: str) -> None:
        self.name = name
        self._table = table
        self._names = _names(table)
        self.hits: dict[str, dict[str, int]] = {kind: {} for kind in KINDS}
        self.lines: dict[tuple[str, int], int] = {}
        self._definitions: dict[str, Place] = {}
        self._count_everything()

    # ---- what there is -----------------------------------------------------

    def _count_everything(self) -> None:
        possible = self._directions_of_rules()
        for number, directions in possible.items():
            rule = self._table.rule(number)
            if rule.local_place is not None:
                self._there_is("rules", str(rule.local_place), rule.local_place)
            for part in (*rule.fine, *rule.coarse):
                self._there_is("rules", str(part.place), part.place)
                for name, traps in self._leaves(part):
                    self._there_is("controls", name, self._definitions.get(name))
                    for direction, word in _WORDS.items():
                        if traps & directions & direction:
                            self._there_is("directions", f"{name} {word}")

    def _directions_of_rules(self) -> dict[int, int]:
        """The directions that the registers of each rule have; counts its encodings."""
        table = self._table
        flags: dict[int, int] = {}
        for _, encoding, letters in table.names:
            mine = READ * ("r" in letters) | WRITE * ("w" in letters)
            flags[encoding] = flags.get(encoding, 0) | mine
        possible: dict[int, int] = {}
        for encoding, number in enumerate(table.rule_of):
            if number:
                possible[number] = possible.get(number, 0) | flags.get(encoding, READ | WRITE)
                if table.rule(number).has_parts:
                    self._there_is("encodings", self._name(encoding))
        return possible

    def _leaves(self, part: Part) -> Iterator[tuple[str, int]]:
        """(name, directions it traps) of a part's bit, control, or members of a combo."""
        if part.is_fine:
            yield bit_names(self._table, part)[0], part.directions & self._sides(part)
            return
        control = self._table.control(part.control)
        for leaf in [self._table.control(number) for number in control.members] or [control]:
            self._definitions[leaf.name] = leaf.place
            yield leaf.name, part.directions & leaf.directions

    def _sides(self, part: Part) -> int:
        """The directions in which the bit of a fine part can trap."""
        if self._table.fine_by_position:
            return READ | WRITE
        defined = self._table.groups[part.group].defined
        return sum(
            way for way, bits in zip((READ, WRITE), defined, strict=True) if bits >> part.bit & 1
        )

    def _name(self, encoding: int) -> str:
        return self._names.get(encoding) or generic_name(encoding)

    def _there_is(self, kind: str, item: str, place: Place | None = None) -> None:
        self.hits[kind].setdefault(item, 0)
        if place is not None:
            self.lines.setdefault((place.file, place.line), 0)

    # ---- what is reached ---------------------------------------------------

    def add(self, verdict: Verdict) -> None:
        """Count an expectation that is met."""
        for decided in verdict.decided:
            outcome = decided.outcome
            if self._table.rule(outcome.number).has_parts:
                self._reach("encodings", self._name(verdict.encoding))
            if outcome.place is not None:
                self._reach("rules", str(outcome.place), outcome.place)
            if outcome.step in ("fine", "coarse"):
                self._reach_control(decided)

    def _reach_control(self, decided: Decided) -> None:
        name = decided.names[0] if decided.outcome.step == "fine" else decided.names[-1]
        self._reach("controls", name, self._definitions.get(name))
        self._reach("directions", f"{name} {'write' if decided.outcome.write else 'read'}")

    def _reach(self, kind: str, item: str, place: Place | None = None) -> None:
        """Count an item; a write to a read-only register, say, is nothing to reach."""
        if item in self.hits[kind]:
            self.hits[kind][item] += 1
        if place is not None:
            self.lines[place.file, place.line] += 1

    # ---- figures -----------------------------------------------------------

    def missing(self, kind: str) -> list[str]:
        """The items of a kind that no expectation reaches, in order of the table."""
        return [item for item, hits in self.hits[kind].items() if not hits]


def _names(table: Table) -> dict[int, str]:
    """A name for each encoding that has one; that for reads where there are two."""
    found: dict[int, str] = {}
    for name, encoding, flags in table.names:
        if "r" in flags or encoding not in found:
            found[encoding] = name
    return found


def figures(coverages: Iterable[Coverage], kind: str) -> tuple[int, int]:
    """(reached, all) items of a kind, of all tables together."""
    hits = [count for coverage in coverages for count in coverage.hits[kind].values()]
    return sum(map(bool, hits)), len(hits)


def percent(reached: int, there: int) -> float:
    """How much is reached; all of nothing is everything."""
    return 100 * reached / there if there else 100.0
