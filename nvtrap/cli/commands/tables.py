"""`nvtrap tables`: what is shipped."""

from __future__ import annotations

from nvtrap import load
from nvtrap.cli.terminal import show_table, warn
from nvtrap.store import table_names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from typing import Any

    from nvtrap.cli.arguments import Parser

EXAMPLES = """\
  nvtrap tables
  nvtrap tables --json"""


def add_arguments(parser: Parser) -> None:
    """Add what `tables` takes."""
    parser.add_argument("--json", action="store_true", help="as JSON")
    parser.add_argument("--names", action="store_true", help="names only, one a line")


def run(arguments: Namespace) -> int:
    """List the shipped tables."""
    if arguments.names:
        print("\n".join(table_names()))
        return 0
    rows = [_describe(name) for name in table_names()]
    if arguments.json:
        from json import dumps

        print(dumps(rows, indent=2))
    else:
        show_table(
            list(rows[0]) if rows else ["table"], [[str(v) for v in row.values()] for row in rows]
        )
    return 0


def _describe(name: str) -> dict[str, Any]:
    table = load(name, warn)
    return {
        "table": name,
        "parts": "additive" if table.additive else "exclusive",
        "encodings": sum(1 for rule in table.rule_of if rule),
        "rules": table.rule_count - 1,
        "controls": table.control_count,
        "groups": len(table.groups),
    }
