"""Which kind of recording a line is, and who judges it.

The kind is told from the keys of a line alone, never from the name of its file.
"""

from __future__ import annotations

from nvtrap.conform.lines import parse_object
from nvtrap.conform.traps import TrapReader
from nvtrap.conform.verdicts import PASSED, Verdict, failed
from nvtrap.errors import UsageError
from nvtrap.inputs import shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any

    from nvtrap.conform.verdicts import Score
    from nvtrap.engine import Table

    Judge = Callable[[dict[str, Any]], Score]

LINUX_TRAP = "Linux trap"
ARCHITECTURE = "architecture"
# The table that a kind is held against unless another is named.
USUAL_TABLES = {LINUX_TRAP: "linux-6.12", ARCHITECTURE: "arch"}
MOST_OF_A_NAME = 1000


def kind_of(record: dict[str, Any]) -> str:
    """The kind of a line, told from its keys.

    Raises `UsageError` when no kind has such keys.
    """
    if {"esr", "expect", "state"} <= record.keys():
        return LINUX_TRAP
    if "enc" in record and ("base" in record or "outcome" in record):
        return ARCHITECTURE
    keys = ", ".join(f"`{shown(key)}`" for key in list(record)[:6])
    raise UsageError(f"no kind of recording has the keys {keys or '(none)'}")


class Judges:
    """Makes and keeps the judge of each kind; `load` gives the table a kind is held against."""

    def __init__(self, load: Callable[[str], Table]) -> None:
        self._load = load
        self._judges: dict[str, Judge] = {}

    def verdict(self, line: bytes, name: str) -> Verdict:
        """The verdict on one line; `name` is what it goes by until its id is known."""
        try:
            record = parse_object(line)
            name = shown(record.get("id", name), MOST_OF_A_NAME)
            kind = kind_of(record)
        except UsageError as error:
            return Verdict(name, failed(error.message))
        judge = self._judge(kind)  # without its table no line can be judged: not a verdict
        try:
            return Verdict(name, judge(record))
        except UsageError as error:
            return Verdict(name, failed(error.message))

    def _judge(self, kind: str) -> Judge:
        if kind not in self._judges:
            table = self._load(USUAL_TABLES[kind])
            is_linux = kind == LINUX_TRAP
            self._judges[kind] = _linux_trap(table) if is_linux else _architecture(table)
        return self._judges[kind]


def _linux_trap(table: Table) -> Judge:
    reader = TrapReader(table)

    def judge(record: dict[str, Any]) -> Score:
        outcome = reader.decide(record)
        if outcome.outcome == record["expect"]:
            return PASSED
        return failed(f"expected {shown(record['expect'])}, got {outcome!r}")

    return judge


def _architecture(table: Table) -> Judge:
    from nvtrap.conform.architecture import Architecture

    return Architecture(table).judge


def conform(lines: Iterable[bytes], load: Callable[[str], Table]) -> Iterator[Verdict]:
    """The verdict on each line; blank lines have none.

    A line that cannot be run is a failure with its reason. Raises what `load` raises.
    """
    judges = Judges(load)
    for number, line in enumerate(lines, 1):
        if not line.isspace():
            yield judges.verdict(line, f"line {number}")
