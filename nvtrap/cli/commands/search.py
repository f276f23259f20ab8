"""`nvtrap search`: from settings to accesses, and from accesses to settings."""

from __future__ import annotations

from itertools import groupby

from nvtrap import State, load
from nvtrap.analysis.search import forwarded_by, minimal_settings, never_forwarded
from nvtrap.cli.accesses import folded, in_words
from nvtrap.cli.commands.query import access_of, assignment
from nvtrap.cli.terminal import show
from nvtrap.errors import UsageError
from nvtrap.states import StateBuilder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator
    from typing import Any

    from nvtrap.cli.arguments import Parser
    from nvtrap.cli.terminal import Line
    from nvtrap.engine import Table

EXAMPLES = """\
  nvtrap search HCR_EL2.TID1=1
  nvtrap search --forward ACTLR_EL1 --set HCR_EL2.E2H=1
  nvtrap search --never"""


def add_arguments(parser: Parser) -> None:
    """Add what `search` takes."""
    add = parser.add_argument
    add(
        "settings",
        nargs="*",
        metavar="REG.FIELD=N",
        help="which accesses do these settings forward?",
    )
    add("--forward", metavar="REG", help="which minimal settings forward this access?")
    add("-w", "--write", action="store_true", help="with --forward: a write")
    add("--never", action="store_true", help="which accesses does no state forward?")
    add(
        "--set",
        action="append",
        default=[],
        metavar="REG.FIELD=N",
        help="a setting of the base state",
    )
    add("--state", metavar="FILE", help="the base state as JSON or TOML (default: all registers 0)")
    add("--el", type=int, choices=(0, 1, 2), metavar="N", help="the EL of the access (default: 1)")
    add("--most", type=int, default=50, metavar="N", help="how many settings to show (default: 50)")
    parser.table_option()
    add("--json", action="store_true", help="as JSON")


def run(arguments: Namespace) -> int:
    """Answer one of the three questions."""
    questions = [bool(arguments.settings), bool(arguments.forward), arguments.never]
    if sum(questions) != 1:
        raise UsageError("ask one thing: settings, `--forward REG`, or `--never`")
    table = load(arguments.table)
    if arguments.forward:
        _forward(table, arguments)
    elif arguments.never:
        _never(table, arguments)
    else:
        _settings(table, arguments)
    return 0


def _state(table: Table, arguments: Namespace, settings: list[str]) -> State:
    builder = StateBuilder(table)
    if arguments.state:
        builder.read_file(arguments.state)
    builder.set_all([assignment(text) for text in [*arguments.set, *settings]])
    if arguments.el is not None:
        builder.el = arguments.el
    return builder.state()


def _settings(table: Table, arguments: Namespace) -> None:
    base = _state(table, arguments, [])
    changed = _state(table, arguments, arguments.settings)
    found = list(forwarded_by(table, base, changed))
    if arguments.json:
        _print_json(
            [
                {
                    "register": table.name_of(access.encoding, access.write),
                    "dir": "W" if access.write else "R",
                    "control": outcome.control,
                    "rule": str(outcome.place),
                }
                for access, outcome in found
            ]
        )
        return
    lines: list[Line] = []
    by_control = sorted(found, key=lambda pair: (pair[1].control, pair[0].encoding))
    for control, group in groupby(by_control, key=lambda pair: pair[1].control):
        pairs = list(group)
        places = list(dict.fromkeys(str(outcome.place) for _, outcome in pairs))
        more = f" and {len(places) - 1} more" if len(places) > 1 else ""
        accesses = [(access.encoding, access.write) for access, _ in pairs]
        lines.append([(f"by {control}", "bold"), (f"  {places[0]}{more}", "dim")])
        lines.append([(f"  {in_words(table, accesses)}", "")])
    show([*lines, [(f"{len(found)} accesses are forwarded that were not", "bold")]])


def _forward(table: Table, arguments: Namespace) -> None:
    access = access_of(arguments.forward, arguments.write, table)
    base = _state(table, arguments, [])
    found = minimal_settings(table, base, access)
    if arguments.json:
        _print_json([[{"field": name, "value": value} for name, value in s] for s in found])
        return
    name = f"{access.direction} {table.name_of(table.encoding_of(access), access.write)}"
    show(_forward_lines(name, base, found, arguments.most))


def _forward_lines(
    name: str, base: State, found: list[list[tuple[str, int]]], most: int
) -> Iterator[Line]:
    if not found:
        yield [(f"no setting forwards {name} from EL{base.el}", "bold")]
    elif not found[0]:
        yield [(f"{name} is forwarded in this state already", "bold")]
    for settings in found[:most] if found and found[0] else ():
        yield [(", ".join(f"{field} = {value:#x}" for field, value in settings), "")]
    if len(found) > most:
        yield [(f"and {len(found) - most} more (`--most` shows them)", "dim")]


def _never(table: Table, arguments: Namespace) -> None:
    found = list(never_forwarded(table))
    if arguments.json:
        _print_json(
            [
                {"register": table.name_of(a.encoding, a.write), "dir": "W" if a.write else "R"}
                for a in found
            ]
        )
        return
    accesses = [(access.encoding, access.write) for access in found]
    lines = [[(f"{word} {name}", "")] for word, names in folded(table, accesses) for name in names]
    show([*lines, [(f"no state forwards these {len(found)} accesses", "bold")]])


def _print_json(value: Any) -> None:
    from json import dumps

    print(dumps(value, indent=2))
