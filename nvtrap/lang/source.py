"""Source text and places in it."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field


def one_line_end(text: str) -> str:
    """`text` with every line end as a newline.

    A lone carriage return ends a line too: otherwise what an editor shows as the line
    after a comment would be part of the comment.
    """
    return text.replace("\r\n", "\n").replace("\r", "\n")


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """One rule file: its text and the name by which people are told of it.

    `path` is where it lies (an absolute path), `display` what is printed and stored
    in tables: `rules/…` for a shipped file, otherwise the path as it was given.
    """

    path: str
    display: str
    text: str = field(repr=False)
    _starts: list[int] = field(default_factory=list, repr=False)

    def place(self, offset: int) -> tuple[int, int]:
        """(line, column) of a character, both counted from 1."""
        starts = self._line_starts()
        line = bisect_right(starts, offset)
        return line, offset - starts[line - 1] + 1

    def line(self, number: int) -> str:
        """The text of line `number` (from 1) without its line end."""
        starts = self._line_starts()
        end = starts[number] if number < len(starts) else len(self.text)
        return self.text[starts[number - 1] : end].rstrip("\n")

    def _line_starts(self) -> list[int]:
        if not self._starts:
            self._starts.append(0)
            self._starts.extend(i + 1 for i, char in enumerate(self.text) if char == "\n")
        return self._starts


@dataclass(frozen=True, slots=True)
class Span:
    """Characters `start` to `end` (exclusive) of a source."""

    source: Source
    start: int
    end: int

    @property
    def line(self) -> int:
        """The line of the first character, from 1."""
        return self.source.place(self.start)[0]

    @property
    def column(self) -> int:
        """The column of the first character, from 1."""
        return self.source.place(self.start)[1]

    @property
    def text(self) -> str:
        """What stands there."""
        return self.source.text[self.start : self.end]

    @property
    def one_line(self) -> str:
        """What stands there, on one line."""
        return " ".join(self.text.split())

    def __str__(self) -> str:
        return f"{self.source.display}:{self.line}:{self.column}"

    def key(self) -> tuple[str, int, int]:
        """What spans are sorted and compared by."""
        return self.source.display, self.start, self.end
