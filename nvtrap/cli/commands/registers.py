"""`nvtrap registers`: the catalogue."""

from __future__ import annotations

from fnmatch import fnmatchcase

from nvtrap import load
from nvtrap.arch import generic_name, operands
from nvtrap.cli.terminal import show_table, warn
from nvtrap.errors import UnknownNameError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from typing import Any

    from nvtrap.cli.arguments import Parser
    from nvtrap.engine import Table

EXAMPLES = """\
  nvtrap registers 'ICH_*'
  nvtrap registers HCR_EL2
  nvtrap registers --names"""

ACCESS = {"rw": "read-write", "r": "read-only", "w": "write-only"}


def add_arguments(parser: Parser) -> None:
    """Add what `registers` takes."""
    add = parser.add_argument
    add(
        "pattern",
        nargs="?",
        default="*",
        metavar="NAME",
        help="a name, an encoding, or a pattern with * and ?",
    )
    add("--names", action="store_true", help="names only, one a line")
    add("--json", action="store_true", help="as JSON")
    parser.table_option()


def run(arguments: Namespace) -> int:
    """List registers; a single one with its fields."""
    table = load(arguments.table, warn)
    found = _matching(table, arguments.pattern)
    if arguments.names:
        for row in found:
            print(row["name"])
    elif arguments.json:
        from json import dumps

        print(dumps(found, indent=2))
    else:
        _show(found)
    return 0


def _matching(table: Table, pattern: str) -> list[dict[str, Any]]:
    """The registers that `pattern` means.

    Raises `UnknownNameError` when it means none.
    """
    wanted = pattern.upper().replace(" ", "_")
    rows = [entry for entry in table.names if fnmatchcase(entry[0].upper(), wanted)]
    if not rows:
        if "*" in pattern or "?" in pattern:
            raise UnknownNameError("register", pattern)
        encoding = table.encoding(pattern)
        rows = [entry for entry in table.names if entry[1] == encoding]
    if not rows:
        return [
            {
                "name": generic_name(encoding),
                "encoding": list(operands(encoding)),
                "generic": generic_name(encoding),
                "access": "",
                "fields": {},
            }
        ]
    return [_describe(table, *row) for row in rows]


def _describe(table: Table, name: str, encoding: int, flags: str) -> dict[str, Any]:
    return {
        "name": name,
        "encoding": list(operands(encoding)),
        "generic": generic_name(encoding),
        "access": ACCESS[flags.rstrip("i")],
        "fields": table.fields.of(name),
    }


def _show(rows: list[dict[str, Any]]) -> None:
    headings = ["register", "encoding", "access"]
    show_table(headings, [[r["name"], r.get("generic", r["name"]), r["access"]] for r in rows])
    if len(rows) == 1 and rows[0]["fields"]:
        print()
        fields = [
            [name, layout["bits"], layout["when"]]
            for name, layouts in rows[0]["fields"].items()
            for layout in layouts
        ]
        show_table(["field", "bits", "in the layout"], fields)
