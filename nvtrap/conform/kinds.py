"""Which kind of recording a line is, and who judges it.

The kind is told from the keys of a line alone, never from the name of its file. The
judge of a kind is imported when its first line comes.
"""

from __future__ import annotations

from importlib import import_module

from nvtrap.conform.lines import parse_object
from nvtrap.conform.verdicts import Verdict, failed
from nvtrap.errors import UsageError, closest, did_you_mean
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
GIC_SEQUENCE = "GIC sequence"
DEVICE_API = "device API"
# The table that a kind is held against unless another is named; other kinds need none.
USUAL_TABLES = {LINUX_TRAP: "linux-6.12", ARCHITECTURE: "arch"}
# Kind → (module, name) of its judge: of what makes one from a table for the kinds above,
# of the judge itself for the others, which stand in a line's `kind` where no key tells.
JUDGES = {
    LINUX_TRAP: ("nvtrap.conform.traps", "judge_by"),
    ARCHITECTURE: ("nvtrap.conform.architecture", "judge_by"),
    GIC_SEQUENCE: ("nvtrap.conform.sequences", "judge"),
    DEVICE_API: ("nvtrap.conform.vgic_api", "judge"),
    "eret": ("nvtrap.conform.host.exceptions", "judge_eret"),
    "inject": ("nvtrap.conform.host.exceptions", "judge_inject"),
    "iss": ("nvtrap.conform.host.iss", "judge_iss"),
    "excursion": ("nvtrap.conform.host.nested", "judge_excursion"),
    "mmio": ("nvtrap.conform.host.mmio", "judge"),
    "psci": ("nvtrap.conform.host.psci", "judge"),
    "s2walk": ("nvtrap.conform.host.s2walk", "judge"),
    "trap": ("nvtrap.conform.host.exceptions", "judge_trap"),
    "status": ("nvtrap.conform.host.nested", "judge_status"),
    "vmid": ("nvtrap.conform.host.vmid", "judge"),
}
MOST_OF_A_NAME = 1000


def kind_of(record: dict[str, Any]) -> str:
    """The kind of a line, told from its keys.

    Raises `UsageError` when no kind has such keys.
    """
    if "ops" in record:
        return GIC_SEQUENCE
    if _has_steps_that_do(record):
        return DEVICE_API
    if {"esr", "expect", "state"} <= record.keys():
        return LINUX_TRAP
    if "enc" in record and ("base" in record or "outcome" in record):
        return ARCHITECTURE
    if "kind" in record:
        return _named(record["kind"])
    keys = ", ".join(f"`{shown(key)}`" for key in list(record)[:6])
    raise UsageError(f"no kind of recording has the keys {keys or '(none)'}")


def _has_steps_that_do(record: dict[str, Any]) -> bool:
    steps = record.get("steps")
    return (
        isinstance(steps, list) and steps != [] and isinstance(steps[0], dict) and "do" in steps[0]
    )


def _named(kind: object) -> str:
    if isinstance(kind, str) and kind in JUDGES and kind not in USUAL_TABLES:
        return kind
    close = closest(kind, JUDGES) if isinstance(kind, str) else []
    raise UsageError(f"no recording is of kind `{shown(kind)}`", did_you_mean(close))


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
            module, name = JUDGES[kind]
            judge = getattr(import_module(module), name)
            table = USUAL_TABLES.get(kind)
            self._judges[kind] = judge if table is None else judge(self._load(table))
        return self._judges[kind]


def conform(lines: Iterable[bytes], load: Callable[[str], Table]) -> Iterator[Verdict]:
    """The verdict on each line; blank lines have none.

    A line that cannot be run is a failure with its reason. Raises what `load` raises.
    """
    judges = Judges(load)
    for number, line in enumerate(lines, 1):
        if not line.isspace():
            yield judges.verdict(line, f"line {number}")
