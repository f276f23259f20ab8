"""Constant expressions of C: numbers, names, BIT() and GENMASK(), and the operators on bits."""

from __future__ import annotations

from collections.abc import Callable

from nvtrap.imports.ctext import NAME, NUMBER, NotUnderstoodError, Token, Tokens, split, whole

WIDEST = (1 << 64) - 1
DEEPEST = 50
# 64 binary digits behind 0b.
LONGEST = 66

Resolve = Callable[[Token], int]

# How tightly an operator binds, and what it does.
_BINARY: dict[str, tuple[int, Callable[[int, int], int]]] = {
    "|": (1, lambda a, b: a | b),
    "^": (2, lambda a, b: a ^ b),
    "&": (3, lambda a, b: a & b),
    "<<": (4, lambda a, b: a << b if 0 <= b < 64 else 0),
    ">>": (4, lambda a, b: a >> b if 0 <= b < 64 else 0),
    "+": (5, lambda a, b: a + b),
    "-": (5, lambda a, b: a - b),
}
_CALLS: dict[str, tuple[int, Callable[..., int]]] = {
    "BIT": (1, lambda bit: 1 << bit),
    "BIT_ULL": (1, lambda bit: 1 << bit),
    "GENMASK": (2, lambda high, low: (2 << high) - (1 << low)),
    "GENMASK_ULL": (2, lambda high, low: (2 << high) - (1 << low)),
    "UL": (1, lambda number: number),
    "ULL": (1, lambda number: number),
}


def evaluate(tokens: Tokens, resolve: Resolve) -> int:
    """The value of an expression of one token or more, as 64 bits without sign.

    `resolve` says what names are. Raises `NotUnderstoodError` for what is no such expression.
    """
    assert tokens
    reader = _Reader(tokens, resolve)
    value = reader.expression(0, 0)
    if not reader.is_done():
        raise reader.puzzled()
    return value & WIDEST


def number(token: Token) -> int:
    """The value of a number as C writes it."""
    text = token.text.lower().rstrip("ul")
    try:
        is_octal = len(text) > 1 and text.isdigit() and text[0] == "0"
        is_ours = len(text) <= LONGEST and "_" not in text
        value = int(text, 8 if is_octal else 0) if is_ours else -1
    except ValueError:
        value = -1
    if not 0 <= value <= WIDEST:
        raise NotUnderstoodError("NV001", "this is no number of 64 bits", token.span)
    return value


class _Reader:
    """Reads one expression, the operator that binds tightest first."""

    def __init__(self, tokens: Tokens, resolve: Resolve) -> None:
        self._tokens = tokens
        self._resolve = resolve
        self._at = 0

    def is_done(self) -> bool:
        """Whether nothing is left."""
        return self._at >= len(self._tokens)

    def puzzled(self) -> NotUnderstoodError:
        """The error for what stands here."""
        if self.is_done():
            return NotUnderstoodError("NV001", "this expression has no end", whole(self._tokens))
        token = self._tokens[self._at]
        return NotUnderstoodError("NV001", "this is no part of an expression", token.span)

    def expression(self, binding: int, depth: int) -> int:
        """The value of what binds tighter than `binding`."""
        value = self._operand(depth)
        while not self.is_done():
            tight, apply = _BINARY.get(self._tokens[self._at].text, (0, min))
            if tight <= binding:
                break
            self._at += 1
            value = apply(value, self.expression(tight, depth + 1)) & WIDEST
        return value

    def _operand(self, depth: int) -> int:
        if self.is_done():
            raise self.puzzled()
        token = self._tokens[self._at]
        if depth > DEEPEST:
            raise NotUnderstoodError("NV003", "this expression is nested too deeply", token.span)
        self._at += 1
        if token.kind == NUMBER:
            return number(token)
        if token.kind == NAME:
            is_call = not self.is_done() and self._tokens[self._at].text == "("
            return self._call(token, depth) if is_call else self._resolve(token)
        if token.text == "~":
            return ~self._operand(depth + 1) & WIDEST
        if token.text == "(":
            value = self.expression(0, depth + 1)
            self._close()
            return value
        self._at -= 1
        raise self.puzzled()

    def _close(self) -> None:
        if self.is_done() or self._tokens[self._at].text != ")":
            raise self.puzzled()
        self._at += 1

    def _call(self, name: Token, depth: int) -> int:
        count, apply = _CALLS.get(name.text, (0, min))
        if not count:
            help = "BIT() and GENMASK() are known"
            raise NotUnderstoodError("NV016", f"unknown macro `{name.text}`", name.span, help)
        self._at += 1
        arguments = [self._argument(depth)]
        while len(arguments) < count:
            if self.is_done() or self._tokens[self._at].text != ",":
                raise self.puzzled()
            self._at += 1
            arguments.append(self._argument(depth))
        self._close()
        if name.text not in ("UL", "ULL") and (
            max(arguments) > 63 or arguments != sorted(arguments, reverse=True)
        ):
            text = f"`{name.text}` takes bits from 63 to 0, the higher one first"
            raise NotUnderstoodError("NV020", text, name.span)
        return apply(*arguments) & WIDEST

    def _argument(self, depth: int) -> int:
        return self.expression(0, depth + 1)


def arguments(tokens: Tokens) -> tuple[Token, list[Tokens]] | None:
    """The name and the arguments of `NAME(…)`; None for anything else."""
    if len(tokens) < 3 or tokens[0].kind != NAME or tokens[1].text != "(":
        return None
    if tokens[-1].text != ")":
        return None
    return tokens[0], split(tokens[2:-1])
