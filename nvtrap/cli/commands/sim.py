"""`nvtrap sim`: scenarios of L0, L1 and L2."""

from __future__ import annotations

from nvtrap.cli.terminal import show
from nvtrap.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from typing import TextIO

    from nvtrap.cli.arguments import Parser
    from nvtrap.sim import Scenario

EXAMPLES = """\
  nvtrap sim id-registers
  nvtrap sim --list
  nvtrap sim mine.sim --json
  nvtrap sim timer --trace - | nvtrap replay -

a scenario:  a file, `-` for standard input, or the name of a shipped one; the language is
             described in grammar/sim.md
exit code:   0 every expectation holds, 1 one does not, 2 failure"""


def add_arguments(parser: Parser) -> None:
    """Add what `sim` takes."""
    add = parser.add_argument
    add("files", nargs="*", metavar="FILE", help="a scenario's file, or a shipped one's name")
    add("--list", action="store_true", help="the shipped scenarios, with their titles")
    add("--json", action="store_true", help="a line of JSON for everything that happens")
    add("--quiet", action="store_true", help="only what is not as expected, and the summaries")
    add("--trace", metavar="FILE", help="also as ftrace text; `-`: in place of the timeline")
    parser.table_option(None)


def run(arguments: Namespace) -> int:
    """Run the scenarios; exit 1 when an expectation of one does not hold."""
    if arguments.list:
        return _list()
    if not arguments.files:
        raise UsageError("there is no scenario to run", "`nvtrap sim --list` shows shipped ones")
    if arguments.trace == "-" and arguments.json:
        raise UsageError("standard output is for JSON or for the trace, not both")
    scenarios = [_read(name, arguments.table) for name in arguments.files]
    if arguments.trace is None:
        return _run(scenarios, arguments, None)
    if arguments.trace == "-":
        import sys

        return _run(scenarios, arguments, sys.stdout)
    with open(arguments.trace, "w", encoding="utf-8") as trace:
        return _run(scenarios, arguments, trace)


def _list() -> int:
    from nvtrap.cli.terminal import show_table
    from nvtrap.sim import names, parse, read

    rows = [[name, parse(*read(name)).title] for name in names()]
    show_table(["scenario", "shows"], rows)
    return 0


def _read(name: str, table: str | None) -> Scenario:
    from nvtrap.sim import parse, read

    scenario = parse(*read(name))
    if table is not None:
        scenario.settings.table = table
    return scenario


def _run(scenarios: list[Scenario], arguments: Namespace, trace: TextIO | None) -> int:
    from nvtrap.sim.ftrace import HEADER

    if trace is not None:
        trace.write(HEADER)
    holds = [
        _run_one(scenario, number, arguments, trace) for number, scenario in enumerate(scenarios)
    ]
    return 0 if all(holds) else 1


def _run_one(scenario: Scenario, number: int, arguments: Namespace, trace: TextIO | None) -> bool:
    """Run one and tell it; whether everything was as expected."""
    from json import dumps

    from nvtrap.cli import timeline
    from nvtrap.sim import Runner
    from nvtrap.sim.ftrace import Ftrace

    runner = Runner(scenario)
    ftrace = Ftrace(runner.stage, number)
    is_shown = not arguments.json and arguments.trace != "-"
    if is_shown:
        show([*([[("", "")]] if number else []), timeline.heading(scenario.file, scenario.title)])
    for record in runner.run():
        if trace is not None:
            trace.writelines(f"{line}\n" for line in ftrace.lines(record))
        if arguments.json:
            print(dumps({"scenario": scenario.file, **record.to_json()}))
        elif is_shown and not (arguments.quiet and timeline.is_detail(record)):
            show(timeline.lines(record, several_vcpus=scenario.settings.vcpus > 1))
    return runner.summary.holds
