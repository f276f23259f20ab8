"""The cases of a file of steps, and what is seen of them, for the commands that run them.

A line is a case, or one step; steps that are lines of their own make one case together.
"""

from __future__ import annotations

from nvtrap.conform import read_lines
from nvtrap.conform.lines import parse_object
from nvtrap.conform.vgic_api import MOST_STEPS, host_of
from nvtrap.errors import InputError, NvtrapError, UsageError
from nvtrap.inputs import shown
from nvtrap.kvm.step_members import members
from nvtrap.kvm.steps import Runner

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser
    from collections.abc import Iterator
    from typing import Any

    from nvtrap.kvm.steps import Result

# Fields of `nvtrap.kvm.vgic.view` that are read best in hexadecimal.
HEXADECIMAL = ("value", "priority", "targets", "distributor", "cpu_interface")
REGISTER_PREFIXES = ("GICH_", "ICH_")


class Case:
    """A case: its `id`, the steps, a `runner` for them on a fresh host.

    Raises `InputError` when the record is no case; `place` is where it stands.
    """

    __slots__ = ("id", "place", "runner", "steps")

    def __init__(self, record: dict[str, Any], place: str) -> None:
        self.place = place
        try:
            self.id = shown(record.get("id", place), 200)
            self.steps: list[dict[str, Any]] = members(record, "steps", MOST_STEPS)
            self.runner = Runner(host_of(record))
        except NvtrapError as error:
            raise InputError(f"{place}: {error.message}", error.help) from None

    def run(self, number: int) -> Result:
        """Carry out a step; raises `InputError` when it is none."""
        try:
            return self.runner.run(self.steps[number])
        except UsageError as error:
            place = f"{self.place}: steps[{number}]"
            raise InputError(f"{place}: {error.message}", error.help) from None


def file_arguments(parser: ArgumentParser) -> None:
    """Add FILE and `--case`."""
    parser.add_argument(
        "file", metavar="FILE", help="cases or single steps, a line of JSON each; - is stdin"
    )
    parser.add_argument("--case", metavar="ID", help="only the case with this id")


def cases(path: str, id: str | None) -> Iterator[Case]:
    """The cases of a file, or the one with this id.

    Raises `InputError` for a line that is no case, and when there is none to give.
    """
    found = False
    for place, record in _records(path):
        case = Case(record, place)
        if id is None or case.id == id:
            found = True
            yield case
    if not found:
        raise InputError(f"`{path}` has no case" + ("" if id is None else f" with the id `{id}`"))


def _records(path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """(place, record) of every case; that of single steps comes last, with their first's place."""
    steps: list[dict[str, Any]] = []
    first = ""
    for number, line in enumerate(read_lines(path), 1):
        if line.isspace():
            continue
        place = f"{path}:{number}"
        try:
            record = parse_object(line)
        except UsageError as error:
            raise InputError(f"{place}: {error.message}", error.help) from None
        if "do" in record:
            first = first or place
            steps.append(record)
        else:
            yield place, record
    if steps:
        yield first, {"id": path, "steps": steps}


def field_name(field: str) -> str:
    """The name of a field of a view, for people."""
    return field if field.startswith(REGISTER_PREFIXES) else field.replace("_", " ")


def field_text(field: str, value: object) -> str:
    """The value of a field of a view, for people."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return "+".join(map(str, value)) or "none"
    is_hexadecimal = field in HEXADECIMAL or field.startswith(REGISTER_PREFIXES)
    return f"{value:#x}" if is_hexadecimal else str(value)
