"""What people see: the same text, painted on a terminal and plain in a pipe.

A line is a list of (text, style) pieces; styles are rich's. Rich is imported only when
standard output is a terminal that wants colour.
"""

from __future__ import annotations

import os
import re
import stat
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sized
    from typing import TextIO, TypeVar

    from rich.console import Console

    Piece = TypeVar("Piece", bound=Sized)

Line = list[tuple[str, str]]

# Control characters, half characters, and those that turn the direction of writing: from
# a rule file or a vector they could move the cursor or hide what is said.
_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
OUTCOME_STYLES = {"forward": "bold green", "local": "bold yellow", "undef": "bold red"}


def wants_colour() -> bool:
    """Whether standard output is a terminal whose user did not ask for plain text."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return sys.stdout.isatty()


def console() -> Console:
    """Rich's console on standard output."""
    from rich.console import Console

    return Console(highlight=False, soft_wrap=True)


def plain(text: str) -> str:
    """The text as one line that does nothing to a terminal."""
    return _UNSAFE.sub("\N{REPLACEMENT CHARACTER}", text)


def say(message: str) -> None:
    """A line on standard error, if there is one that takes it."""
    if sys.stderr is None:
        return
    try:
        print(plain(message), file=sys.stderr, flush=True)
    except OSError:
        give_up(sys.stderr)


def give_up(stream: TextIO) -> None:
    """Put a sink below a stream that takes nothing: Python flushes it once more at exit."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    except OSError:
        pass  # what is no file, such as a test's buffer, has nothing to flush


def warn(message: str) -> None:
    """Say what the user should know although the work goes on."""
    say(f"nvtrap: {message}")


def show(lines: Iterable[Line]) -> None:
    """Print lines, painted if standard output is a terminal."""
    if not wants_colour():
        for line in lines:
            print(plain("".join(text for text, _ in line)))
        return
    from rich.text import Text

    painter = console()
    for line in lines:
        painter.print(Text.assemble(*((plain(text), style) for text, style in line)))


def show_table(headings: list[str], rows: list[list[str]]) -> None:
    """Print columns: a rich table on a terminal with room for it, else aligned text."""
    widths = [max(map(len, column)) for column in zip(headings, *rows, strict=True)]
    if wants_colour() and _draw_table(headings, rows, sum(widths) + 3 * len(widths) + 1):
        return
    for row in [headings, *rows]:
        cells = [f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)]
        print("  ".join(cells).rstrip())


def _draw_table(headings: list[str], rows: list[list[str]], width: int) -> bool:
    """Draw a rich table of that width, unless it would have to cut what it shows."""
    painter = console()
    if painter.width < width:
        return False
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(*headings, box=SIMPLE_HEAD, header_style="bold")
    for row in rows:
        table.add_row(*row)
    painter.print(table)
    return True


def progress(lines: Iterable[Piece], size: int, *, prints_little: bool = False) -> Iterator[Piece]:
    """The lines (or blocks of some length), with a bar on standard error if someone watches.

    The answers must not share the screen with it: they go to a file, or are few enough
    to be printed above it. Behind a pipe may be a program that prints.
    """
    above = prints_little and sys.stdout.isatty()
    if sys.stderr is None or not sys.stderr.isatty() or not (above or _is_file(sys.stdout)):
        yield from lines
        return
    from rich.console import Console
    from rich.progress import Progress

    painter = Console(stderr=True)
    with Progress(
        console=painter, transient=True, redirect_stdout=above, redirect_stderr=False
    ) as bar:
        task = bar.add_task("", total=size or None)
        for line in lines:
            yield line
            bar.advance(task, len(line))


def _is_file(stream: TextIO) -> bool:
    return stat.S_ISREG(os.fstat(stream.fileno()).st_mode)
