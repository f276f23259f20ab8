"""`nvtrap gic run`: a sequence of operations, each with its result and what it changed."""

from __future__ import annotations

from nvtrap.cli.terminal import show
from nvtrap.conform import read_lines
from nvtrap.conform.lines import parse_object
from nvtrap.conform.sequences import Operation, Result, Runner, read_sequence
from nvtrap.errors import InputError, NvtrapError, UsageError
from nvtrap.gic import codecs, view

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Iterator
    from typing import Any

    from nvtrap.cli.terminal import Line


EXAMPLES = """\
  nvtrap gic run sequence.jsonl
  nvtrap gic run sequences.jsonl.gz --id 17 --json"""
# Where a change has more to say than two numbers.
DESCRIBED = ("ICH_", "GICD_IS", "GICR_IS", "GICD_IGROUPR", "GICR_IGROUPR", "GICD_IROUTER")


class Step:
    """One operation that was run: its result, whether that was expected, what it changed."""

    __slots__ = ("changes", "number", "operation", "result")

    def __init__(
        self,
        number: int,
        operation: Operation,
        result: Result,
        changes: dict[str, tuple[int, int]],
    ) -> None:
        self.number = number
        self.operation = operation
        self.result = result
        self.changes = changes

    @property
    def differs(self) -> bool:
        """Whether a scored result is another than the sequence says."""
        operation = self.operation
        scored = operation.expected is not None and not operation.unscored
        return scored and operation.expected != self.result

    def to_json(self, sequence: object) -> dict[str, Any]:
        """Plain data, for a line of JSON."""
        result = self.result
        data: dict[str, Any] = {"sequence": sequence, "step": self.number}
        data["operation"] = repr(self.operation)
        if result.is_trap:
            data |= {"trap": f"{result.esr:#x}", "el": result.el}
        elif result.el:
            data |= {"undef": result.el, "esr": f"{result.esr:#x}"}
        elif result.value is not None:
            data["value"] = f"{result.value:#x}"
        if self.differs:
            data["expected"] = repr(self.operation.expected)
        data["changes"] = {
            name: [f"{old:#x}", f"{new:#x}"] for name, (old, new) in self.changes.items()
        }
        return data


def add_arguments(parser: ArgumentParser) -> None:
    """Add what `run` takes."""
    add = parser.add_argument
    add(
        "file",
        metavar="FILE",
        help="operations or whole sequences, a line of JSON each; - is stdin",
    )
    add("--id", help="only the sequence with this id")
    add("--json", action="store_true", help="a line of JSON for each step")


def run(arguments: Namespace) -> int:
    """Run the sequences; exit 1 when a result is not the expected one."""
    differing = found = 0
    for place, record in _sequences(arguments.file):
        if arguments.id is not None and str(record.get("id")) != arguments.id:
            continue
        found += 1
        try:
            differing += _run_one(record, arguments.json)
        except NvtrapError as error:
            raise InputError(f"{place}: {error.message}", error.help) from None
    if not found:
        which = "" if arguments.id is None else f" with the id `{arguments.id}`"
        raise InputError(f"`{arguments.file}` has no sequence{which}")
    return 1 if differing else 0


def _sequences(path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """(place, sequence) of a file: one a line, or one whose operations are lines.

    A line of `parameters` before the operations chooses their machine.
    """
    loose: dict[str, Any] = {"ops": []}
    first = ""
    for number, line in enumerate(read_lines(path), 1):
        place = f"{path}:{number}"
        if line.isspace():
            continue
        try:
            record = parse_object(line)
        except UsageError as error:
            raise InputError(f"{place}: {error.message}", error.help) from None
        if "op" in record:
            first = first or place
            loose["ops"].append(record)
        elif "parameters" in record and "ops" not in record:
            loose["parameters"] = record["parameters"]
        else:
            yield place, record
    if first:
        yield first, loose


def _run_one(record: dict[str, Any], as_json: bool) -> int:
    """Run one sequence and print its steps; how many results differ from the expected ones."""
    from json import dumps

    differing = 0
    for step in _steps(record):
        differing += step.differs
        if as_json:
            print(dumps(step.to_json(record.get("id"))))
        else:
            show(_lines(step))
    return differing


def _steps(record: dict[str, Any]) -> Iterator[Step]:
    operations, parameters = read_sequence(record)
    runner = Runner(parameters)
    before = view.registers(runner.machine)
    for number, operation in enumerate(operations):
        result = runner.run(operation)
        after = view.registers(runner.machine)
        yield Step(number, operation, result, view.changes(before, after))
        before = after


def _lines(step: Step) -> Iterator[Line]:
    """The operation with its result, and a line for each change."""
    line: Line = [(f"{step.number:4}  ", "dim"), (repr(step.operation), "bold")]
    if step.result.value is not None or step.result.el:
        line.append((f"  → {step.result!r}", "red" if step.result.el else "cyan"))
    if step.differs:
        line.append((f"  expected {step.operation.expected!r}", "bold red"))
    yield line
    for name, (old, new) in step.changes.items():
        yield [("      ", ""), (name, "green"), (_change(name, old, new), "")]


def _change(name: str, old: int, new: int) -> str:
    if name.rpartition(" ")[2] in view.LINES:
        return " rises" if new else " falls"
    return f" {old:#x} → {new:#x}{_meaning(name, new)}"


def _meaning(name: str, value: int) -> str:
    register = name.rpartition(" ")[2]
    if not register.startswith(DESCRIBED):
        return ""
    return f"  ({codecs.decode(register, value).sentence})"
