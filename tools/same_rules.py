"""Whether two tables do the same in every state, rule by rule and exactly."""

from __future__ import annotations

from collections.abc import Iterator

from nvtrap.analysis.formulas import Formulas, Space
from nvtrap.arch import ENCODINGS
from nvtrap.engine import Table

# All features, and none: with none, absent fields and disabled bits count.
FEATURE_SETS: tuple[frozenset[str] | None, ...] = (None, frozenset())


def differences(first: Table, second: Table) -> Iterator[str]:
    """What the tables differ in, a line each: settings, then accesses."""
    yield from _settings(first, second)
    for features in FEATURE_SETS:
        yield from _accesses(first, second, features)


def _settings(first: Table, second: Table) -> Iterator[str]:
    for what, one, other in zip(
        ("additive", "bits by position", "disarm", "sanitised", "keys of groups"),
        _of(first),
        _of(second),
        strict=True,
    ):
        if one != other:
            yield f"{what}: {one} and {other}"


def _of(table: Table) -> tuple[object, ...]:
    """Settings that do not show in every state."""
    sanitised = sorted(table.slots[slot] for slot in table.sanitised)
    keys = sorted((*group.registers, group.fgu) for group in table.groups)
    return table.additive, table.fine_by_position, table.disarm, sanitised, keys


def _accesses(first: Table, second: Table, features: frozenset[str] | None) -> Iterator[str]:
    space = Space()
    sides = Formulas(first, space, features), Formulas(second, space, features)
    word = "all features" if features is None else "no feature"
    if sides[0].hypervisor != sides[1].hypervisor:
        yield f"the hypervisor context, with {word}"
    same: dict[tuple[int, int, bool], bool] = {}
    for encoding in range(ENCODINGS):
        for write in (False, True):
            rules = first.rule_of[encoding], second.rule_of[encoding], write
            if rules not in same:
                one, other = (side.behaviour(encoding, write) for side in sides)
                same[rules] = (one.undef, one.fine, one.coarse) == (
                    other.undef,
                    other.fine,
                    other.coarse,
                )
            if not same[rules]:
                direction = "write" if write else "read"
                yield f"{direction} {first.name_of(encoding, write)}, with {word}"
