"""Pieces of rule text as lines: the author's, and those that a longer one is broken into."""

from __future__ import annotations

from nvtrap.lang.formatting.columns import COMMENT, WIDTH, Cell, Row

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from nvtrap.lang.formatting.layout import Piece
    from nvtrap.lang.formatting.tokens import Token


def rows(pieces: Sequence[Piece], tokens: Sequence[Token]) -> Iterator[Row]:
    """The lines of a text, with its comments and at most one empty line between two others.

    `tokens` are those of the pieces, and the end of the text.
    """
    place = 0
    before: Piece | None = None
    for line in _lines(pieces):
        yield from _above(line[0], before)
        place += len(line)
        yield _row(line, tokens[place].comment)
        before = line[-1]
    yield from _at_end(tokens[-1], is_first=before is None)


def _lines(pieces: Sequence[Piece]) -> Iterator[list[Piece]]:
    """The pieces of each line."""
    line: list[Piece] = []
    for piece in pieces:
        if line and (piece.must or (piece.may and piece.token.breaks)):
            yield from _broken(line)
            line = []
        line.append(piece)
    if line:
        yield from _broken(line)


def _broken(line: list[Piece]) -> Iterator[list[Piece]]:
    """A line as it is if it is short enough, or broken.

    That is before its last column if a line may begin there, and then where it is full.
    """
    if _length(line) <= WIDTH:
        yield line
        return
    columns = [place for place, piece in enumerate(line) if place and piece.column and piece.may]
    if columns:
        yield from _broken(line[: columns[-1]])
        yield from _filled(line[columns[-1] :])
    else:
        yield from _filled(line)


def _filled(line: list[Piece]) -> Iterator[list[Piece]]:
    """Lines that hold as much as they can."""
    start = 0
    place = 0
    length = line[0].indent
    for at, piece in enumerate(line):
        length += len(piece.token.text) + (piece.gap if at > start else 0)
        if piece.may and at > start:
            place = at
        if length > WIDTH and place > start:
            yield line[start:place]
            start = place
            length = _length(line[start : at + 1])
    yield line[start:]


def _length(line: Sequence[Piece]) -> int:
    return line[0].indent - line[0].gap + sum(piece.gap + len(piece.token.text) for piece in line)


def _row(line: Sequence[Piece], comment: str) -> Row:
    """A line with its cells; one of several items has no columns."""
    first = line[0]
    cells = [Cell(first.reached, 0, " " * first.indent + first.token.text)]
    alone = not any(piece.begins for piece in line[1:])
    for piece in line[1:]:
        if piece.column and alone:
            cells.append(Cell(piece.column, piece.gap, piece.token.text))
        else:
            cells[-1].text += " " * piece.gap + piece.token.text
    if comment:
        cells.append(Cell(COMMENT, 2, comment))
    return Row(first.unit.group if alone else "", cells)


def _above(piece: Piece, before: Piece | None) -> Iterator[Row]:
    """The comments and empty lines above a line."""
    lines = list(piece.token.above)
    closes = piece.token.kind == "RBRACE"
    opens = before is None or before.token.kind == "LBRACE"
    if not piece.begins and not closes:
        lines = [line for line in lines if line]
    yield from _kept(lines, piece.inner, first=opens, last=closes)


def _at_end(end: Token, *, is_first: bool) -> Iterator[Row]:
    return _kept(list(end.above), 0, first=is_first, last=True)


def _kept(lines: list[str], indent: int, *, first: bool, last: bool) -> Iterator[Row]:
    """Comments, and one empty line for several, but none in `first` or `last` place."""
    while first and lines and not lines[0]:
        lines.pop(0)
    while last and lines and not lines[-1]:
        lines.pop()
    empty = False
    for line in lines:
        if line or not empty:
            yield Row("", [Cell(0, 0, " " * indent + line)] if line else [])
        empty = not line
