"""Which kind of recording a line is, and who judges it.

The kind is told from the keys of a line alone, never from the name of its file.
"""

from __future__ import annotations

from nvtrap.conform.lines import parse_object
from nvtrap.conform.traps import TrapReader
from nvtrap.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any

    from nvtrap.engine import Table

    Judge = Callable[[dict[str, Any]], str]

LINUX_TRAP = "Linux trap"


class Verdict:
    """What came of one line: `problem` is empty when it passed."""

    __slots__ = ("name", "problem")

    def __init__(self, name: str, problem: str) -> None:
        self.name = name
        self.problem = problem


def kind_of(record: dict[str, Any]) -> str:
    """The kind of a line, told from its keys.

    Raises `UsageError` when no kind has such keys.
    """
    if {"esr", "expect", "state"} <= record.keys():
        return LINUX_TRAP
    keys = ", ".join(f"`{key}`" for key in list(record)[:6])
    raise UsageError(f"no kind of recording has the keys {keys or '(none)'}")


class Judges:
    """Makes and keeps the judge of each kind; `load` gives the table a kind is held against."""

    def __init__(self, load: Callable[[str], Table]) -> None:
        self._load = load
        self._judges: dict[str, Judge] = {}

    def problem(self, record: dict[str, Any]) -> str:
        """What is wrong with the table's answer to one line, or an empty text."""
        kind = kind_of(record)
        if kind not in self._judges:
            self._judges[kind] = _linux_trap(self._load("linux-6.12"))
        return self._judges[kind](record)


def _linux_trap(table: Table) -> Judge:
    reader = TrapReader(table)

    def judge(record: dict[str, Any]) -> str:
        outcome = reader.decide(record)
        if outcome.outcome == record["expect"]:
            return ""
        return f"expected {record['expect']}, got {outcome!r}"

    return judge


def conform(lines: Iterable[bytes], load: Callable[[str], Table]) -> Iterator[Verdict]:
    """The verdict on each line; blank lines have none.

    A line that cannot be run is a failure with its reason.
    """
    judges = Judges(load)
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        name = f"line {number}"
        try:
            record = parse_object(line)
            name = str(record.get("id", name))
            yield Verdict(name, judges.problem(record))
        except UsageError as error:
            yield Verdict(name, error.message)
