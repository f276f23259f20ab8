"""What would have to be set for a condition to hold: a short list of field settings."""

from __future__ import annotations

from nvtrap.table.conditions import evaluate, joined, spread, term_value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from nvtrap.table.conditions import Condition
    from nvtrap.table.model import CompiledTable, Control

    Word = Callable[[int], int]

# A setting of bits: slot, pieces, value.
Setting = tuple[int, list[list[int]], int]


class Wish:
    """`HCR_EL2.TID1 = 1`."""

    __slots__ = ("name", "value")

    def __init__(self, name: str, value: int) -> None:
        self.name = name
        self.value = value

    def __str__(self) -> str:
        shown = str(self.value) if self.value < 10 else hex(self.value)
        return f"{self.name} = {shown}"

    __repr__ = __str__


def fulfil(control: Control, table: CompiledTable, word: Word, index: int) -> list[Wish] | None:
    """The fewest settings found that arm `control`; empty when it is, None if there are none.

    The settings are found greedily and then tried, so what is returned always works.
    """
    settings = _wanted(control.when, True, word, index)
    if settings is None or not _works(control.when, settings, word, index):
        return None
    return [Wish(_name(setting, control, table), setting[2]) for setting in settings]


def _works(condition: Condition, settings: list[Setting], word: Word, index: int) -> bool:
    def changed(slot: int) -> int:
        value = word(slot)
        for at, pieces, number in settings:
            if at == slot:
                mask, bits = spread(number, pieces)
                value = value & ~mask | bits
        return value

    return evaluate(condition, changed, index)


def _name(setting: Setting, control: Control, table: CompiledTable) -> str:
    slot, pieces, _ = setting
    for use in control.fields:
        if use.slot == slot and use.pieces == pieces:
            return use.name
    joined_names = [
        use.name
        for piece in pieces
        for use in control.fields
        if use.slot == slot and use.pieces == [piece]
    ]
    if len(joined_names) == len(pieces) > 1:
        register = table.slots[slot]
        fields = ", ".join(name.partition(".")[2] for name in joined_names)
        return f"{register}.{{{fields}}}"
    return table.slots[slot]


def _wanted(condition: Condition, wanted: bool, word: Word, index: int) -> list[Setting] | None:
    """Settings that make `condition` be `wanted`, or None when none were found."""
    if evaluate(condition, word, index) == wanted:
        return []
    kind = condition[0]
    if kind == "not":
        return _wanted(condition[1], not wanted, word, index)
    if kind in ("and", "or"):
        found = [_wanted(part, wanted, word, index) for part in condition[1:]]
        if (kind == "and") == wanted:
            return None if None in found else [s for part in found if part for s in part]
        possible = [part for part in found if part is not None]
        return min(possible, key=len, default=None)
    if kind == "cmp":
        return _compare(condition, wanted, word, index)
    return None


_OPPOSITE = {"==": "!=", "!=": "==", "<": ">=", ">=": "<", "<=": ">", ">": "<="}
_MIRRORED = {"==": "==", "!=": "!=", "<": ">", ">": "<", "<=": ">=", ">=": "<="}


def _compare(condition: Condition, wanted: bool, word: Word, index: int) -> list[Setting] | None:
    _, op, left, right = condition
    if not wanted:
        op = _OPPOSITE[op]
    sides = [(right, left, op), (left, right, _MIRRORED[op])]
    for moved, kept, how in reversed(sides) if left[0] == "f" else sides:
        if moved[0] == "f":
            setting = _move(moved, how, term_value(kept, word, index), word)
            if setting is not None:
                return [setting]
    return None


def _move(field: Condition, op: str, other: int, word: Word) -> Setting | None:
    """The setting of `field` with which `other op-mirrored field` holds: other op field."""
    slot, pieces = field[1], field[2]
    most = (1 << sum(width for _, width in pieces)) - 1
    now = joined(word(slot), pieces)
    value = {
        "==": other,
        "!=": now ^ 1,
        "<": other + 1,
        "<=": other,
        ">": other - 1,
        ">=": other,
    }[op]
    return (slot, pieces, value) if 0 <= value <= most else None
