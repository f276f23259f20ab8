"""`nvtrap vgic run`: the steps of cases, each with its result and what it changed."""

from __future__ import annotations

from nvtrap.cli.cases import cases, field_name, field_text, file_arguments
from nvtrap.cli.terminal import show
from nvtrap.conform.vgic_api import difference
from nvtrap.errors import InputError, UsageError
from nvtrap.inputs import shown
from nvtrap.kvm.vgic import view

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Iterator
    from typing import Any

    from nvtrap.cli.cases import Case
    from nvtrap.cli.terminal import Line
    from nvtrap.kvm.steps import Result

    Changes = dict[str, dict[str, list[Any]]]

EXAMPLES = """\
  nvtrap vgic run cases.jsonl
  nvtrap vgic run cases.jsonl.gz --case v2-banked --json"""
# What of a step is a comment, or said elsewhere.
UNSAID = ("do", "expect", "expect_in", "value_out", "mask", "what", "note", "reg", "save_as")


class Step:
    """One step that was run: its result, how that differs from what it expects, what changed."""

    __slots__ = ("changes", "number", "problem", "result", "step")

    def __init__(self, number: int, step: dict[str, Any], result: Result, changes: Changes) -> None:
        self.number = number
        self.step = step
        self.result = result
        self.changes = changes
        self.problem = difference(step, result)

    def to_json(self, case: str) -> dict[str, Any]:
        """Plain data, for a line of JSON."""
        data: dict[str, Any] = {"case": case, "step": self.number, "do": self.step["do"]}
        data["outcome"] = self.result.outcome
        value = self.result.value
        if value is not None:
            data["value"] = f"{value:#x}" if isinstance(value, int) else value
        if self.problem:
            data["problem"] = self.problem
        return data | {"changes": self.changes}


def add_arguments(parser: ArgumentParser) -> None:
    """Add what `run` takes."""
    file_arguments(parser)
    parser.add_argument("--json", action="store_true", help="a line of JSON for each step")


def run(arguments: Namespace) -> int:
    """Run the cases; exit 1 when a result is not the expected one."""
    from json import dumps

    differing = 0
    for case in cases(arguments.file, arguments.case):
        if not arguments.json:
            show([[(case.id, "bold")]])
        for step in _steps(case):
            differing += step.problem != ""
            if arguments.json:
                print(dumps(step.to_json(case.id)))
            else:
                show(_lines(step))
    return 1 if differing else 0


def _steps(case: Case) -> Iterator[Step]:
    before: dict[str, view.Fields] = {}
    for number, step in enumerate(case.steps):
        result = case.run(number)
        vm = case.runner.made
        after = {} if vm is None else view.everything(vm)
        try:
            yield Step(number, step, result, view.changes(before, after))
        except UsageError as error:  # what it expects is no value
            place = f"{case.place}: steps[{number}]"
            raise InputError(f"{place}: {error.message}", error.help) from None
        before = after


def _lines(step: Step) -> Iterator[Line]:
    """The step with its result, and a line for each thing that changed."""
    line: Line = [(f"{step.number:4}  ", "dim"), (_sentence(step.step), "bold")]
    outcome, value = step.result.outcome, step.result.value
    if outcome != 0:
        line.append((f"  → {outcome}", "red" if isinstance(outcome, str) else "cyan"))
    elif value is not None:
        line.append((f"  → {value:#x}" if isinstance(value, int) else f"  → {value}", "cyan"))
    if step.problem:
        line.append((f"  {step.problem}", "bold red"))
    yield line
    for name, fields in step.changes.items():
        said = ", ".join(_change(field, *values) for field, values in fields.items())
        yield [("      ", ""), (name, "green"), (f": {said}", "")]


def _change(field: str, old: object, new: object) -> str:
    return f"{field_name(field)} {field_text(field, old)} → {field_text(field, new)}"


def _sentence(step: dict[str, Any]) -> str:
    """`set_attr gic DIST_REGS 0x104 value=0x5 (GICD_ISENABLER)`: names, then what it takes."""
    named: tuple[str, ...] = ("dev", "group", "attr")
    about = step.get("what")
    words = [shown(step["do"])]
    if step["do"] == "guest":
        words = [f"vCPU {shown(step.get('vcpu'))}"]
        named = ("vcpu", "op")
        if step.get("op") in ("mrs", "msr"):
            named = (*named, "reg")
        else:
            about = step.get("reg")
    words += [shown(step[key]) for key in named if key in step and key != "vcpu"]
    said = {*UNSAID, *named}
    words += [f"{key}={shown(value)}" for key, value in step.items() if key not in said]
    return " ".join(words) + (f" ({shown(about)})" if about is not None else "")
