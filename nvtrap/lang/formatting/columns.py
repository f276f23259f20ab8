"""Rows of text whose cells stand below one another.

Rows of one group that follow each other share their columns; an empty line ends that, a line
that is a comment does not. A column stands where most of its cells can, and as far left as
that allows, so that one long row does not push away all others.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

WIDTH = 110
COMMENT = 99


class Cell:
    """Text of a column, at least `gap` characters behind the last.

    The first of a row has the column that it stands in or behind, 0 before the first one.
    """

    __slots__ = ("column", "gap", "text")

    def __init__(self, column: int, gap: int, text: str) -> None:
        self.column = column
        self.gap = gap
        self.text = text


class Row:
    """A line of text: its group (empty if it shares no columns) and its cells."""

    __slots__ = ("cells", "group")

    def __init__(self, group: str, cells: list[Cell]) -> None:
        self.group = group
        self.cells = cells


def lines(rows: Sequence[Row]) -> list[str]:
    """The text of each row; one without cells is an empty line."""
    found: dict[int, str] = {}
    for places in _groups(rows):
        texts = _aligned([rows[place] for place in places])
        found.update(zip(places, texts, strict=True))
    return [found[place] for place in range(len(rows))]


def _groups(rows: Sequence[Row]) -> Iterator[list[int]]:
    """The places of rows that share columns."""
    group: list[int] = []
    for place, row in enumerate(rows):
        if _is_comment(row):
            yield [place]
            continue
        if group and (not row.group or rows[group[-1]].group != row.group):
            yield group
            group = []
        group.append(place)
    if group:
        yield group


def _is_comment(row: Row) -> bool:
    return bool(row.cells) and row.cells[0].text.lstrip().startswith("#")


def _aligned(rows: Sequence[Row]) -> list[str]:
    texts = [row.cells[0].text if row.cells else "" for row in rows]
    for column in sorted({cell.column for row in rows for cell in row.cells[1:]}):
        # A row that lacks the column and goes on behind it makes room as well.
        rests = {place: rest for place, row in enumerate(rows) if (rest := _rest(row, column))}
        edges = {place: len(texts[place]) + rest[0].gap for place, rest in rests.items()}
        best = _best([(edges[place], _length(rest)) for place, rest in rests.items()])
        for place, rest in rests.items():
            if rest[0].column == column:
                fits = edges[place] <= best and best + _length(rest) <= WIDTH
                edge = best if fits else edges[place]
                texts[place] = texts[place].ljust(edge) + rest[0].text
    return texts


def _rest(row: Row, column: int) -> list[Cell]:
    """The cells of a row from a column on.

    None if the row begins in or behind that column, or has only a comment there.
    """
    rest = [cell for cell in row.cells[1:] if cell.column >= column]
    only_comment = bool(rest) and rest[0].column == COMMENT != column
    return [] if only_comment or (row.cells and row.cells[0].column >= column) else rest


def _length(cells: Sequence[Cell]) -> int:
    """The least length of a row from its first cell of these on, but for the comment."""
    first, *others = cells
    return len(first.text) + sum(
        cell.gap + len(cell.text) for cell in others if cell.column != COMMENT
    )


def _best(sizes: Sequence[tuple[int, int]]) -> int:
    """Where most of cells can stand that begin at these edges or behind, and are so long."""
    edges = sorted({edge for edge, _ in sizes if edge <= WIDTH}) or [0]
    fitting = [sum(e <= edge and edge + rest <= WIDTH for e, rest in sizes) for edge in edges]
    return edges[fitting.index(max(fitting))]
