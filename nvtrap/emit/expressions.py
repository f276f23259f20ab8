"""Conditions of a table as expressions that C and Rust read alike.

Both languages agree on what is used here: unsigned 64-bit words, hexadecimal numbers,
comparisons, `&&`, `||` and `!`, with a bracket around every operation. What compilers
warn about is decided beforehand: comparisons whose answer is always the same.
"""

from __future__ import annotations

from nvtrap.errors import TableError
from nvtrap.table.conditions import COMPARE, spread

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from nvtrap.table.conditions import Condition

    Term = tuple[str, int, int]  # its text, the least and the largest it can be

MOST_INDEX = (1 << 16) - 1
TRUE = "true"
FALSE = "false"


class Expressions:
    """Writes conditions; `word` gives the text for a slot, `access` stands before the
    members `write` and `index` (empty where a condition knows no access).

    INVARIANT: `word` gives identifiers only, so nothing else of a table reaches the code.
    """

    def __init__(self, word: Callable[[Any], str], access: str, write_slot: int = -1) -> None:
        self._word = word
        self._access = access
        self._write_slot = write_slot

    def condition(self, condition: Condition) -> str:
        """The condition as an expression: `true`, `false`, or one in brackets.

        Raises `TableError` when it asks for the index of an access that has none.
        """
        kind = condition[0]
        if kind in (TRUE, FALSE):
            return str(kind)
        if kind == "cmp":
            return self._comparison(condition)
        parts = [self.condition(part) for part in condition[1:]]
        if kind == "not":
            return negated(parts[0])
        return all_of(parts) if kind == "and" else any_of(parts)

    def _comparison(self, condition: Condition) -> str:
        _, op, left, right = condition
        first, second = self._term(left), self._term(right)
        known = _known(op, first, second)
        if known is not None:
            return TRUE if known else FALSE
        is_field = left[0] == "f" and left[1] != self._write_slot
        if is_field and right[0] == "k" and op in ("==", "!="):
            mask, bits = spread(right[1], left[2])
            if bits == mask and not mask & mask - 1:  # one bit reads best against 0
                op, bits = "!=" if op == "==" else "==", 0
            return f"(({self._word(left[1])} & {mask:#x}) {op} {bits:#x})"
        return f"({first[0]} {op} {second[0]})"

    def _term(self, term: Condition) -> Term:
        if term[0] == "k":
            return f"{term[1]:#x}", term[1], term[1]
        if term[0] == "i":
            if not self._access:
                raise TableError("a condition asks for the index of an access that has none")
            return f"{self._access}index", 0, MOST_INDEX
        slot, pieces = term[1], term[2]
        if slot == self._write_slot:
            return (f"{self._access}write", 0, 1) if self._access else ("0x0", 0, 0)
        most = (1 << sum(width for _, width in pieces)) - 1
        return _field(self._word(slot), pieces), 0, most


def _field(word: str, pieces: list[list[int]]) -> str:
    """The bits of a word, concatenated, high part first."""
    texts, left = [], sum(width for _, width in pieces)
    for lsb, width in pieces:
        left -= width
        text = f"({word} >> {lsb})" if lsb else word
        text = f"({text} & {(1 << width) - 1:#x})"
        texts.append(f"({text} << {left})" if left else text)
    return texts[0] if len(texts) == 1 else "(" + " | ".join(texts) + ")"


def _known(op: str, left: Term, right: Term) -> bool | None:
    """What a comparison always comes to, or None."""
    if left[0] == right[0]:
        return bool(COMPARE[op](0, 0))
    (_, low, high), (_, least, most) = left, right
    if high < least or low > most:
        return bool(COMPARE[op](low, least))
    if low == high == least == most:
        return bool(COMPARE[op](0, 0))
    if high <= least and op in ("<=", ">"):
        return op == "<="
    if low >= most and op in (">=", "<"):
        return op == ">="
    return None


def negated(part: str) -> str:
    """`not` of an expression."""
    if part in (TRUE, FALSE):
        return FALSE if part == TRUE else TRUE
    return f"!{part}"


def all_of(parts: list[str]) -> str:
    """`and` of expressions."""
    kept = [part for part in dict.fromkeys(parts) if part != TRUE]
    if FALSE in kept:
        return FALSE
    return _joined(kept, " && ") or TRUE


def any_of(parts: list[str]) -> str:
    """`or` of expressions."""
    kept = [part for part in dict.fromkeys(parts) if part != FALSE]
    if TRUE in kept:
        return TRUE
    return _joined(kept, " || ") or FALSE


def _joined(parts: list[str], operator: str) -> str:
    return parts[0] if len(parts) == 1 else f"({operator.join(parts)})" if parts else ""


def outermost(expression: str) -> str:
    """The expression without the brackets around all of it."""
    if not expression.startswith("("):
        return expression
    depth = 0
    for at, char in enumerate(expression):
        depth += (char == "(") - (char == ")")
        if not depth:
            return expression[1:-1] if at == len(expression) - 1 else expression
    return expression
