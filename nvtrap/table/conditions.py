"""Conditions as compiled tables keep them.

A condition is a nested list, its first item saying what it is::

    ["true"]  ["false"]
    ["and", c, …]  ["or", c, …]  ["not", c]
    ["cmp", op, term, term]       op one of == != < <= > >=

    ["k", number]
    ["f", slot, [[lsb, width], …]]   bits of a slot, concatenated, high part first
    ["i"]                            the array index of the access

A *slot* is one number of the state: a register, or one of the words of `SPECIAL`. No
other form exists, so every question about a condition has an exact answer.
"""

from __future__ import annotations

from operator import eq, ge, gt, le, lt, ne

from nvtrap.errors import TableError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Condition = list[Any]
else:
    Condition = list

TRUE: Condition = ["true"]
FALSE: Condition = ["false"]
COMPARE = {"==": eq, "!=": ne, "<": lt, "<=": le, ">": gt, ">=": ge}
# Python nests brackets 200 deep; the engine makes Python of conditions, and a term of many
# pieces nests as well.
DEEPEST = 100

# Slots that are no register: the EL, and what holds of the access and the context.
EL = "EL"
WRITE = "access.write"
SPECIAL = (EL, WRITE, "context.nv", "context.hypervisor", "context.host_EL0")


def conjunction(parts: list[Condition]) -> Condition:
    """`and` of the parts, simplified."""
    kept = [part for part in parts if part != TRUE]
    if FALSE in kept:
        return FALSE
    if not kept:
        return TRUE
    return kept[0] if len(kept) == 1 else ["and", *kept]


def disjunction(parts: list[Condition]) -> Condition:
    """`or` of the parts, simplified."""
    kept = [part for part in parts if part != FALSE]
    if TRUE in kept:
        return TRUE
    if not kept:
        return FALSE
    return kept[0] if len(kept) == 1 else ["or", *kept]


def negation(part: Condition) -> Condition:
    """`not` of a condition, simplified."""
    if part == TRUE:
        return FALSE
    if part == FALSE:
        return TRUE
    return part[1] if part[0] == "not" else ["not", part]


def holds(slot: int) -> Condition:
    """Whether the one-bit slot is 1."""
    return ["cmp", "!=", ["f", slot, [[0, 1]]], ["k", 0]]


def uses_index(condition: Condition) -> bool:
    """Whether the condition asks for the access's array index."""
    return any(term[0] == "i" for term in terms(condition))


def terms(condition: Condition) -> list[Condition]:
    """Every term of a condition, in order."""
    kind = condition[0]
    if kind == "cmp":
        return condition[2:]
    return [term for part in condition[1:] for term in terms(part)]


def with_index(condition: Condition, index: int) -> Condition:
    """The condition for the element `index`."""
    kind = condition[0]
    if kind == "cmp":
        sides = [["k", index] if term[0] == "i" else term for term in condition[2:]]
        return [kind, condition[1], *sides]
    if kind in ("true", "false"):
        return condition
    return [kind, *(with_index(part, index) for part in condition[1:])]


def evaluate(condition: Condition, value: Callable[[Any], int], index: int = -1) -> bool:
    """Whether the condition holds, `value(slot)` giving the slots' values.

    The plain reading of a condition, for a question asked once; the engine compiles
    those it asks often.
    """
    kind = condition[0]
    if kind == "cmp":
        _, op, left, right = condition
        return bool(COMPARE[op](term_value(left, value, index), term_value(right, value, index)))
    if kind == "and":
        return all(evaluate(part, value, index) for part in condition[1:])
    if kind == "or":
        return any(evaluate(part, value, index) for part in condition[1:])
    if kind == "not":
        return not evaluate(condition[1], value, index)
    return bool(kind == "true")


def term_value(term: Condition, value: Callable[[Any], int], index: int = -1) -> int:
    """The number that a term stands for."""
    if term[0] == "k":
        return int(term[1])
    if term[0] == "i":
        return index
    return joined(value(term[1]), term[2])


def joined(register: int, pieces: list[list[int]]) -> int:
    """The bits `pieces` of a register's value, concatenated, high part first."""
    number = 0
    for lsb, width in pieces:
        number = number << width | register >> lsb & (1 << width) - 1
    return number


def spread(number: int, pieces: list[list[int]]) -> tuple[int, int]:
    """(mask, bits) that put `number` into the bits `pieces` of a register."""
    mask = bits = 0
    for lsb, width in reversed(pieces):
        ones = (1 << width) - 1
        mask |= ones << lsb
        bits |= (number & ones) << lsb
        number >>= width
    return mask, bits


def check(condition: object, slots: int | None, depth: int = 0) -> None:
    """Raise `TableError` unless this is a condition over `slots` slots (None: over names).

    INVARIANT: what has passed holds only numbers and the words above; the engine turns
    conditions into code on the strength of it.
    """
    if type(condition) is not list or not condition or depth > DEEPEST:
        raise TableError("a condition of the table is malformed")
    kind, *rest = condition
    if kind in ("true", "false") and not rest:
        return
    if (kind in ("and", "or") and rest) or (kind == "not" and len(rest) == 1):
        for part in rest:
            check(part, slots, depth + 1)
        return
    if kind == "cmp" and len(rest) == 3 and type(rest[0]) is str and rest[0] in COMPARE:
        _check_term(rest[1], slots)
        _check_term(rest[2], slots)
        return
    raise TableError("a condition of the table is malformed")


def _check_term(term: object, slots: int | None) -> None:
    match term:
        case ["i"]:
            return
        case ["k", number] if _is_number(number, 1 << 64):
            return
        case ["f", str(), pieces] if slots is None:
            check_pieces(pieces)
            return
        case ["f", slot, pieces] if slots is not None and _is_number(slot, slots):
            check_pieces(pieces)
            return
    raise TableError("a term of the table is malformed")


def check_pieces(pieces: object) -> None:
    """Raise `TableError` unless these are bits of a register, none of them twice."""
    seen = 0
    if type(pieces) is not list or not pieces:
        raise TableError("the bits of a field are malformed")
    for piece in pieces:
        match piece:
            case [lsb, width] if _is_number(lsb, 64) and _is_number(width, 65 - lsb) and width:
                mask = (1 << width) - 1 << lsb
            case _:
                mask = seen = 1
        if mask & seen:
            raise TableError("the bits of a field are malformed")
        seen |= mask


def _is_number(value: object, count: int) -> bool:
    return type(value) is int and 0 <= value < count
