"""What would have to be set for a condition to hold, or to stop holding.

Settings are searched from the condition's form and are few: a comparison is met by moving
the nearer side, an `and` by meeting each part, an `or` by meeting the cheapest. Whoever
asks tries what is found on a state before telling anyone; so what is told always works,
while for a condition of which one part thwarts another nothing may be found.
"""

from __future__ import annotations

from contextlib import suppress
from itertools import islice, product

from nvtrap.errors import UsageError
from nvtrap.table.conditions import SPECIAL, evaluate, joined, spread, term_value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from nvtrap.table.conditions import Condition
    from nvtrap.table.model import CompiledTable, FieldUse

    Word = Callable[[int], int]
    Pieces = list[list[int]]

    # Bits of a slot and what to set them to; a way is the settings that together do it.
    Setting = tuple[int, Pieces, int]
    Way = list[Setting]

MOST_WAYS = 16
MOST_MIXED = 64


class Wish:
    """`HCR_EL2.TID1 = 1`: the bits `pieces` of a register and what to set them to.

    `name` is how rules name the bits: a field, `REG.{HIGH, LOW}`, `REG[29]`, a register.
    """

    __slots__ = ("name", "pieces", "register", "value")

    def __init__(self, name: str, register: str, pieces: Pieces, value: int) -> None:
        self.name = name
        self.register = register
        self.pieces = pieces
        self.value = value

    def __str__(self) -> str:
        shown = str(self.value) if self.value < 10 else hex(self.value)
        return f"{self.name} = {shown}"

    __repr__ = __str__


def ways(
    condition: Condition, table: CompiledTable, word: Word, index: int, *, wanted: bool
) -> list[Way]:
    """The ways found to make `condition` be `wanted`, fewest settings first.

    None when it is so already, or when nothing that can be set changes it.
    """
    if evaluate(condition, word, index) == wanted:
        return []
    return _Search(table, word, index).ways(condition, wanted)


def granted(registers: Mapping[str, int], way: Way, slots: Sequence[str]) -> dict[str, int]:
    """The values of the registers once the settings are made."""
    after = dict(registers)
    for slot, pieces, value in way:
        mask, bits = spread(value, pieces)
        after[slots[slot]] = after.get(slots[slot], 0) & ~mask | bits
    return after


class _Search:
    """The search for ways in one state, for one element of an array."""

    def __init__(self, table: CompiledTable, word: Word, index: int) -> None:
        self._slots = table.slots
        self._word = word
        self._index = index

    def ways(self, condition: Condition, wanted: bool) -> list[Way]:
        """The ways to make the condition be `wanted`, the shortest first."""
        if evaluate(condition, self._word, self._index) == wanted:
            return [[]]
        kind = condition[0]
        found: list[Way] = []
        if kind == "not":
            found = self.ways(condition[1], not wanted)
        elif kind == "cmp":
            found = list(self._comparison(condition, wanted))
        elif kind in ("and", "or"):
            parts = [self.ways(part, wanted) for part in condition[1:]]
            found = _all_of(parts) if (kind == "and") == wanted else [w for p in parts for w in p]
        return sorted(found, key=len)[:MOST_WAYS]

    def _comparison(self, condition: Condition, wanted: bool) -> Iterator[Way]:
        _, op, left, right = condition
        if not wanted:
            op = _OPPOSITE[op]
        for moved, kept, how in ((left, right, op), (right, left, _MIRRORED[op])):
            if self._can_set(moved):
                other = term_value(kept, self._word, self._index)
                for value in self._values(moved, how, other):
                    if 0 <= value <= _most(moved):
                        yield [(moved[1], moved[2], value)]
        if self._can_set(left) and self._can_set(right):
            low, high = {"<": (0, _most(right)), ">": (_most(left), 0)}.get(op, (0, op == "!="))
            yield [(left[1], left[2], low), (right[1], right[2], int(high))]

    def _can_set(self, term: Condition) -> bool:
        """Whether the term is bits of a register, not of what the vCPU or the access is."""
        if term[0] != "f":
            return False
        name = self._slots[term[1]]
        return name not in SPECIAL and not name.startswith("FEAT_")

    def _values(self, field: Condition, op: str, other: int) -> list[int]:
        """Values with which `field op other` holds: the nearest and the farthest, or a bit away."""
        if op == "!=":
            now = joined(self._word(field[1]), field[2])
            return [now ^ 1 << bit for bit in range(_most(field).bit_length())]
        nearest = other + {"<": -1, ">": 1}.get(op, 0)
        if op == "==":
            return [nearest]
        farthest = 0 if op[0] == "<" else _most(field)
        return [nearest, farthest]


def _most(field: Condition) -> int:
    width: int = sum(width for _, width in field[2])
    return (1 << width) - 1


def _all_of(parts: list[list[Way]]) -> list[Way]:
    """One way of each part together, where they do not contradict each other."""
    mixed = islice(product(*parts), MOST_MIXED)
    return [way for ways in mixed if (way := _together(ways)) is not None]


def _together(ways: Iterable[Way]) -> Way | None:
    """The settings of all the ways, each once; None if two want a bit to differ."""
    together: dict[str, Setting] = {}
    wants: dict[int, tuple[int, int]] = {}
    for way in ways:
        for setting in way:
            slot, pieces, value = setting
            mask, bits = spread(value, pieces)
            known, known_bits = wants.get(slot, (0, 0))
            if (bits ^ known_bits) & mask & known:
                return None
            wants[slot] = known | mask, known_bits | bits
            together[str(setting)] = setting
    return list(together.values())


_OPPOSITE = {"==": "!=", "!=": "==", "<": ">=", ">=": "<", "<=": ">", ">": "<="}
_MIRRORED = {"==": "==", "!=": "!=", "<": ">", ">": "<", "<=": ">=", ">=": "<="}


# ---- names ----------------------------------------------------------------------


def named(
    way: Way, table: CompiledTable, uses: Sequence[FieldUse], value_of: Callable[[str], int]
) -> list[Wish]:
    """The settings under the names of their fields, bit by bit where they have none.

    `uses` are fields under the names that the rules have for them; `value_of` gives the
    registers as they will be, since a name means other bits in another layout.
    """
    return [wish for setting in way for wish in _wishes(setting, table, uses, value_of)]


def _wishes(
    setting: Setting,
    table: CompiledTable,
    uses: Sequence[FieldUse],
    value_of: Callable[[str], int],
) -> Iterator[Wish]:
    slot, pieces, value = setting
    register = table.slots[slot]
    known: dict[str, str] = {}
    preferred = [use.name.partition(".")[2] for use in uses if use.slot == slot]
    for field in (*filter(None, preferred), *table.fields.of(register)):
        with suppress(UsageError):
            known.setdefault(str(table.fields.pieces(register, field, value_of)), field)
    fields = _split(pieces, known)
    if fields:
        inside = fields[0] if len(fields) == 1 else "{" + ", ".join(fields) + "}"
        yield Wish(f"{register}.{inside}", register, pieces, value)
        return
    for lsb, width in reversed(pieces):
        name = f"{register}{_of_bits(lsb, width)}"
        yield Wish(name, register, [[lsb, width]], value & (1 << width) - 1)
        value >>= width


def _of_bits(lsb: int, width: int) -> str:
    if width == 64:
        return ""
    return f"[{lsb + width - 1}:{lsb}]" if width > 1 else f"[{lsb}]"


def _split(pieces: Pieces, known: Mapping[str, str]) -> list[str]:
    """The known fields that the pieces are made of, in order; empty if they are not."""
    fields = []
    at = 0
    while at < len(pieces):
        ends = range(len(pieces), at, -1)
        end = next((end for end in ends if str(pieces[at:end]) in known), at)
        if end == at:
            return []
        fields.append(known[str(pieces[at:end])])
        at = end
    return fields
