"""Where a table and the architecture disagree about one control of one register, and how."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from nvtrap.analysis.bdd import FALSE
from nvtrap.analysis.causes import Cause, causes
from nvtrap.analysis.formulas import Formulas, Space, guest_states
from nvtrap.arch import ENCODINGS
from nvtrap.engine import State, Table

MISSING = "missing"
HOLE = "hole in an array"
SURPLUS = "surplus"
DIRECTION = "wrong direction"
POLARITY = "wrong polarity"
LAYOUT = "wrong layout"
CONTEXT = "wrong EL or context"
CONDITION = "other condition"
DELIBERATE = "deliberate gap"
KINDS = (MISSING, HOLE, DIRECTION, POLARITY, LAYOUT, CONTEXT, CONDITION, SURPLUS, DELIBERATE)


@dataclass(frozen=True, slots=True)
class Gap:
    """One disagreement about one control.

    `control` is the architecture's name for it (the table's, where the architecture has
    none), `arch_place` and `place` are the rules of both, empty where there is none;
    `witness` is a state in which the two differ, `reason` that of a deliberate gap.
    """

    kind: str
    encoding: int
    write: bool
    control: str
    arch_place: str
    place: str
    witness: State
    reason: str = ""


class Coverage:
    """Holds a table against the architecture's, under one set of features."""

    def __init__(self, table: Table, arch: Table, features: frozenset[str] | None = None) -> None:
        self._space = Space()
        self._table = Formulas(table, self._space, features)
        self._arch = Formulas(arch, self._space, features)
        self._domain = guest_states([self._table, self._arch])
        self._causes: dict[tuple[bool, int, bool], list[Cause]] = {}
        self._families = _families(arch)
        self._flags: dict[int, str] = {}
        for _, encoding, flags in arch.names:
            self._flags[encoding] = self._flags.get(encoding, "") + flags

    def gaps(self) -> list[Gap]:
        """Every disagreement, by kind and encoding."""
        found = [gap for encoding in self._encodings() for gap in self._at(encoding)]
        found = list(self._with_holes(found))
        return sorted(found, key=lambda gap: (KINDS.index(gap.kind), gap.encoding, gap.control))

    def _encodings(self) -> Iterator[int]:
        table, arch = self._table.table.rule_of, self._arch.table.rule_of
        for encoding in range(ENCODINGS):
            if (table[encoding] or arch[encoding]) and encoding not in self._arch.undefined:
                yield encoding

    def _at(self, encoding: int) -> Iterator[Gap]:
        bdd = self._space.bdd
        told: set[frozenset[int]] = set()
        for write in self._directions(encoding):
            arch = self._arch.behaviour(encoding, write).forward(bdd)
            table = self._table.behaviour(encoding, write).forward(bdd)
            lacks = bdd.and_(self._domain, arch, bdd.not_(table))
            adds = bdd.and_(self._domain, table, bdd.not_(arch))
            for cause in self._of(self._arch, encoding, write):
                if (where := bdd.and_(lacks, cause.node)) != FALSE:
                    told.add(self._bits(cause))
                    yield self._lacking(cause, where, encoding, write)
            for cause in self._of(self._table, encoding, write):
                where = bdd.and_(adds, cause.node)
                if where != FALSE and not self._is_told(cause, told):
                    yield self._added(cause, where, encoding, write)

    def _is_told(self, cause: Cause, told: set[frozenset[int]]) -> bool:
        """Whether the bits of a cause are, or are part of, a disagreement told already."""
        bits = self._bits(cause)
        return any(bits <= other or other <= bits for other in told)

    def _directions(self, encoding: int) -> list[bool]:
        """The directions that exist: a write-only register is never read."""
        flags = self._flags.get(encoding, "rw")
        return [write for write in (False, True) if "rw"[write] in flags]

    def _of(self, side: Formulas, encoding: int, write: bool) -> list[Cause]:
        key = side is self._arch, side.table.rule_of[encoding], write
        if key not in self._causes:
            self._causes[key] = list(causes(side, encoding, write))
        return self._causes[key]

    # ---- one disagreement --------------------------------------------------

    def _lacking(self, cause: Cause, where: int, encoding: int, write: bool) -> Gap:
        """The architecture traps and the table does not."""
        rule = self._table.table.rule(self._table.table.rule_of[encoding])
        witness = self._witness(where)
        arch_place = str(cause.place)
        if rule.local_reason:
            return Gap(
                DELIBERATE,
                encoding,
                write,
                cause.name,
                arch_place,
                str(rule.local_place),
                witness,
                rule.local_reason,
            )
        kind, place = self._relation(cause, self._table, encoding, write, MISSING)
        return Gap(kind, encoding, write, cause.name, arch_place, place, witness)

    def _added(self, cause: Cause, where: int, encoding: int, write: bool) -> Gap:
        """The table traps and the architecture does not."""
        kind, place = self._relation(cause, self._arch, encoding, write, SURPLUS)
        witness = self._witness(where)
        return Gap(kind, encoding, write, cause.name, place, str(cause.place), witness)

    def _relation(
        self, cause: Cause, other: Formulas, encoding: int, write: bool, otherwise: str
    ) -> tuple[str, str]:
        """(kind, place) of what the other side does about the bits of a cause."""
        bits = self._bits(cause)
        same = [c for c in self._of(other, encoding, write) if self._bits(c) & bits]
        if same:
            return self._compare(cause, same[0]), str(same[0].place)
        turned = [c for c in self._of(other, encoding, not write) if self._bits(c) & bits]
        if turned:
            return DIRECTION, str(turned[0].place)
        return otherwise, ""

    def _compare(self, one: Cause, other: Cause) -> str:
        bdd = self._space.bdd
        if one.armed == other.armed:
            return CONTEXT
        if one.armed == bdd.not_(other.armed):
            return POLARITY
        e2h = self._space.number("HCR_EL2", 34)
        halves = [
            bdd.restrict(one.armed, {e2h: value}) == bdd.restrict(other.armed, {e2h: value})
            for value in (0, 1)
        ]
        return LAYOUT if any(halves) else CONDITION

    def _bits(self, cause: Cause) -> frozenset[int]:
        """The bits that arm a cause; that of E2H only picks a layout where there are others."""
        bits = frozenset(self._space.bdd.support(cause.armed))
        return bits - {self._space.number("HCR_EL2", 34)} or bits

    def _witness(self, where: int) -> State:
        witness = self._space.witness(where)
        assert witness is not None
        return witness

    # ---- arrays ------------------------------------------------------------

    def _with_holes(self, gaps: list[Gap]) -> Iterator[Gap]:
        """The gaps, those called holes that other elements of their array do not have."""
        lacking = {(gap.encoding, gap.write, gap.control) for gap in gaps if gap.kind == MISSING}
        for gap in gaps:
            if gap.kind == MISSING and self._is_hole(gap, lacking):
                yield replace(gap, kind=HOLE)
            else:
                yield gap

    def _is_hole(self, gap: Gap, lacking: set[tuple[int, bool, str]]) -> bool:
        for encoding in self._siblings(gap.encoding):
            if (encoding, gap.write, gap.control) in lacking:
                continue
            arch = [c.name for c in self._of(self._arch, encoding, gap.write)]
            if gap.control in arch:
                return True
        return False

    def _siblings(self, encoding: int) -> Iterable[int]:
        """The other elements of the array that the register at `encoding` belongs to."""
        family = self._families.get(encoding, ())
        return (other for other in family if other != encoding)


def _families(table: Table) -> dict[int, list[int]]:
    """Encoding → the encodings of all registers whose names differ only in one number."""
    families: dict[str, list[int]] = {}
    for name, encoding, _ in table.names:
        head, _, tail = name.partition("_EL")
        pattern = re.sub(r"\d+$", "#", head)
        if pattern != head:
            families.setdefault(f"{pattern}_EL{tail}", []).append(encoding)
    arrays = [members for members in families.values() if len(members) > 1]
    return {encoding: members for members in arrays for encoding in members}
