"""Where the tokens of rule text stand: which begin a line, how far in, behind what space.

A statement begins a line, and so does each item of a block that is not written in one. Inside
a statement the author's line ends count behind commas and before the words of a clause, and
are taken out elsewhere.
"""

from __future__ import annotations

from nvtrap.lang.formatting.blocks import blocks_of
from nvtrap.lang.formatting.columns import WIDTH
from nvtrap.lang.grammar import STATEMENTS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from nvtrap.lang.formatting.blocks import Block
    from nvtrap.lang.formatting.tokens import Token

INDENT = 4
# Terminals that begin a column of a statement's lines, in order.
_REGISTER = {"EQUAL": 1, "MODE": 2, "REQUIRES": 3, "LBRACE": 4}
_CONTROL = {"NAME": 1, "TRAPS": 2, "WHEN": 3}
_TRAP = {"BY": 1, "FINE": 1}
_COLUMNS: Mapping[str, Mapping[str, int]] = {
    "FEATURE": {"EQUAL": 1},
    "PROFILE": {"EQUAL": 1},
    "REGISTER": _REGISTER,
    "INSTRUCTION": _REGISTER,
    "CONTROL": _CONTROL,
    "CONDITION": _CONTROL,
    "COMBO": {"EQUAL": 1},
    "CONTEXT": {"WHEN": 1},
    "FINE": {"LBRACE": 1},
    "TRAP": _TRAP,
    "REPLACE": _TRAP,
    "DROP": _TRAP,
    "LOCAL": {"BECAUSE": 1},
    "MEMORY": {"AT": 1, "WHEN": 2},
    "EXPECT": {"NAME": 1, "LPAR": 1, "OUTCOME": 2, "BY": 3, "FROM": 4, "WHEN": 5},
    "NAME": {"LSQB": 1, "IS": 2, "POLARITY": 3, "REQUIRES": 4},
    "LAYOUT": {"LBRACE": 1},
}
# Statements whose lines share columns with another's.
_GROUPS = {"CONDITION": "CONTROL", "REPLACE": "TRAP", "DROP": "TRAP"}
# Columns with two spaces before them.
_WIDE = {("CONTEXT", 1), ("CONTROL", 2), ("TRAP", 1), ("LOCAL", 1), ("EXPECT", 2)}
# Words of statements inside other statements.
_INNER = {("REPLACE", "TRAP"), ("DROP", "TRAP"), ("USE", "TABLE")}
# What begins an item of a block, apart from a field's name.
_CLAUSES = ("PARTS", "HYPERVISOR", "HOST", "SANITISE", "FINE", "ABSENT", "LIMIT")
_ITEMS = (*_CLAUSES, "LAYOUT", "DIRECTION", "FGU")
# A name behind one of these, and before a bracket, is a field's.
_BEFORE_FIELDS = ("LBRACE", "RBRACE", "NAME", "RSQB", "INT", "POLARITY", "RPAR")
_TIGHT_BEFORE = ("COMMA", "RPAR", "RSQB", "DOT", "COLON", "STAR")
_TIGHT_BEHIND = ("LPAR", "LSQB", "DOT", "COLON", "STAR")
# What a line may begin with.
_BREAKS = ("BY", "FROM", "WHEN", "REPORTED", "BECAUSE", "AT", "REQUIRES", "TRAPS")
_OPERATORS = ("AND", "OR", "VBAR")


class Unit:
    """A statement, or an item of an open block: what has an indentation of its own.

    `group` is what its lines share columns with, `hanging` the indentation of its further lines.
    """

    __slots__ = ("columns", "group", "hanging", "indent", "reached")

    def __init__(self, first: Token, indent: int) -> None:
        self.group = _GROUPS.get(first.kind, first.kind)
        self.columns = _COLUMNS.get(first.kind, {})
        self.indent = indent
        self.hanging = indent + (INDENT if first.kind == "NAME" else len(first.text) + 1)
        self.reached = 0

    def column(self, kind: str) -> int:
        """The column that begins with a token of that terminal, 0 for none."""
        column = self.columns.get(kind, 0)
        if column <= self.reached:
            return 0
        self.reached = column
        return column


class Piece:
    """A token in its place: the `gap` to the one before on its line, and its column if not 0.

    `reached` is the column that it stands in or behind.

    `may` and `must` say whether a line can and has to begin with it, `indent` and `inner` how
    far in the line and comments above it are then; `begins` whether a statement or an item does.
    """

    __slots__ = (
        "begins",
        "column",
        "gap",
        "indent",
        "inner",
        "may",
        "must",
        "reached",
        "token",
        "unit",
    )

    def __init__(self, token: Token, unit: Unit) -> None:
        self.token = token
        self.unit = unit
        self.indent = self.inner = unit.hanging
        self.gap = 1
        self.column = 0
        self.reached = unit.reached
        self.may = False
        self.must = bool(token.comments)
        self.begins = False


def plan(tokens: Sequence[Token]) -> list[Piece]:
    """The pieces of a text, one for each token but its end."""
    return _Planner(tokens).pieces


class _Planner:
    """Goes through the tokens once."""

    def __init__(self, tokens: Sequence[Token]) -> None:
        self.pieces: list[Piece] = []
        self._tokens = tokens
        self._blocks = blocks_of(tokens)
        self._ends = {block.end: block for block in self._blocks.values()}
        # The blocks around a token, and how many brackets are open there.
        self._around: list[Block] = []
        self._brackets = 0
        self._start = 0
        self._unit = Unit(tokens[0], 0)
        for place, token in enumerate(tokens[:-1]):
            self.pieces.append(self._piece(place, token))

    def _piece(self, place: int, token: Token) -> Piece:
        if place in self._ends:
            return self._closing(place, token)
        if not self._around and self._is_statement(place):
            return self._beginning(place, token, 0)
        if self._around and self._is_item(place):
            return self._item(place, token)
        piece = Piece(token, self._unit)
        piece.gap = self._gap(place)
        in_line = self._around and not self._around[-1].open
        if not self._brackets and not in_line:
            piece.column = self._unit.column(token.kind)
            piece.reached = self._unit.reached
        if piece.column and (self._unit.group, piece.column) in _WIDE:
            piece.gap = 2
        piece.may = not in_line and self._may_begin_line(place)
        self._count(place, token)
        return piece

    # ---- statements, items and blocks ----------------------------------------

    def _beginning(self, place: int, token: Token, indent: int) -> Piece:
        self._start = place
        self._unit = Unit(token, indent)
        piece = Piece(token, self._unit)
        piece.indent = piece.inner = indent
        piece.begins = piece.must = True
        return piece

    def _item(self, place: int, token: Token) -> Piece:
        block = self._around[-1]
        if not block.open:
            return self._item_in_line(place, token, block)
        piece = self._beginning(place, token, INDENT * len(self._around))
        piece.gap = 2
        piece.may = True
        piece.must = (
            block.spread
            or place == block.start + 1
            or token.kind == "LAYOUT"
            or self._tokens[place - 1].kind == "RBRACE"
            or bool(token.comments)
        )
        return piece

    def _item_in_line(self, place: int, token: Token, block: Block) -> Piece:
        piece = Piece(token, self._unit)
        if place > block.start + 1:
            piece.gap = 2
            if self._unit.group == "FINE":
                self._unit.reached += 1
                piece.column = self._unit.reached
        return piece

    def _open(self, block: Block) -> None:
        indent = INDENT * len(self._around)
        if not block.open and indent + self._length(self._start, block.end) > WIDTH:
            block.spread_out()
        if block.open:
            self._unit.group = ""
        self._around.append(block)

    def _closing(self, place: int, token: Token) -> Piece:
        block = self._around.pop()
        piece = Piece(token, self._unit)
        piece.must = block.open
        piece.indent = INDENT * len(self._around)
        piece.inner = piece.indent + INDENT
        piece.gap = 0 if place == block.start + 1 else 1
        return piece

    def _count(self, place: int, token: Token) -> None:
        if place in self._blocks:
            self._open(self._blocks[place])
        elif token.kind in ("LPAR", "LSQB", "LBRACE"):
            self._brackets += 1
        elif token.kind in ("RPAR", "RSQB", "RBRACE"):
            self._brackets -= 1

    # ---- one token --------------------------------------------------------------

    def _kind(self, place: int) -> str:
        return self._tokens[place].kind if place >= 0 else ""

    def _is_statement(self, place: int) -> bool:
        kind = self._kind(place)
        if kind == "FINE":
            return self._kind(place + 1) == "GROUP"
        return kind in STATEMENTS and (self._kind(place - 1), kind) not in _INNER

    def _is_item(self, place: int) -> bool:
        return self._kind(place) in _ITEMS or self._is_field(place)

    def _is_field(self, place: int) -> bool:
        """Whether the name at a place within a block is a field's."""
        around = self._kind(place - 1), self._kind(place), self._kind(place + 1)
        return around[1:] == ("NAME", "LSQB") and around[0] in _BEFORE_FIELDS

    def _may_begin_line(self, place: int) -> bool:
        kind, before = self._kind(place), self._kind(place - 1)
        if kind in _OPERATORS:
            return True
        if self._brackets:
            return False
        begins_part = kind == "FINE" and before != "BY"
        return begins_part or kind in _BREAKS or before in ("COMMA", "WHEN")

    def _gap(self, place: int) -> int:
        """The spaces before a token in its line."""
        before, token = self._tokens[place - 1], self._tokens[place]
        if before.kind in _TIGHT_BEHIND or token.kind in _TIGHT_BEFORE or token.text[0] == ",":
            return 0
        if "LBRACE" in (before.kind, token.kind) and place - 1 not in self._blocks:
            return int(place in self._blocks)
        if token.kind == "RBRACE":
            return int(place in self._ends)
        return 1 if token.kind != "LSQB" or self._is_field(place - 1) else 0

    def _length(self, start: int, end: int) -> int:
        """The length of tokens on one line."""
        length = len(self._tokens[start].text)
        for place in range(start + 1, end + 1):
            wide = self._is_item(place) and self._kind(place - 1) != "LBRACE"
            length += len(self._tokens[place].text) + (2 if wide else self._gap(place))
        return length
