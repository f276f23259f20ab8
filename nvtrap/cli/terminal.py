"""What people see: the same text, painted on a terminal and plain in a pipe.

A line is a list of (text, style) pieces; styles are rich's. Rich is imported only when
standard output is a terminal that wants colour.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rich.console import Console

Line = list[tuple[str, str]]

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


def show(lines: Iterable[Line]) -> None:
    """Print lines, painted if standard output is a terminal."""
    if not wants_colour():
        for line in lines:
            print("".join(text for text, _ in line))
        return
    from rich.text import Text

    painter = console()
    for line in lines:
        painter.print(Text.assemble(*line))


def show_table(headings: list[str], rows: list[list[str]]) -> None:
    """Print columns: a rich table on a terminal, aligned text in a pipe."""
    if wants_colour():
        from rich.box import SIMPLE_HEAD
        from rich.table import Table

        table = Table(*headings, box=SIMPLE_HEAD, header_style="bold")
        for row in rows:
            table.add_row(*row)
        console().print(table)
        return
    widths = [max(map(len, column)) for column in zip(headings, *rows, strict=True)]
    for row in [headings, *rows]:
        cells = [f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)]
        print("  ".join(cells).rstrip())


def progress(lines: Iterable[bytes], size: int) -> Iterator[bytes]:
    """The lines, with a bar on standard error while it takes long and someone watches."""
    if not sys.stderr.isatty():
        yield from lines
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=size or None)
        for line in lines:
            yield line
            bar.advance(task, len(line))
