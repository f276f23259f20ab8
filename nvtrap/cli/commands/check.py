"""`nvtrap check`: rule files."""

from __future__ import annotations

import sys
from importlib import import_module

from nvtrap.analysis import check_paths
from nvtrap.cli.outputs import add_format_options, outputs_of, write_file
from nvtrap.cli.terminal import show

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace

    from nvtrap.analysis import Checked
    from nvtrap.cli.arguments import Parser

FORMATS = (
    "text",
    "json",
    "json-lines",
    "concise",
    "sarif",
    "junit",
    "github",
    "gitlab",
    "tap",
)
EXAMPLES = """\
  nvtrap check rules/linux/6.12
  nvtrap check mine.trap --format github --output sarif=nvtrap.sarif --output gitlab=gl.json

exit code: 0 nothing found, 1 findings, 2 the check itself failed"""


def add_arguments(parser: Parser) -> None:
    """Add what `check` takes."""
    add = parser.add_argument
    add("paths", nargs="+", metavar="PATH", help="rule files, or folders of them")
    add_format_options(parser, FORMATS)
    add(
        "--root",
        action="append",
        default=[],
        metavar="DIR",
        help="a further folder that `use` may reach",
    )


def run(arguments: Namespace) -> int:
    """Check, print, and write the other formats."""
    outputs = outputs_of(arguments, FORMATS)
    checked = check_paths(arguments.paths, arguments.root)
    for name, path in outputs:
        write_file(path, render(checked, name))
    if arguments.format == "text":
        from nvtrap.cli.formats.text import lines

        show(lines(checked))
    else:
        sys.stdout.write(render(checked, arguments.format))
    return 1 if checked.findings else 0


def render(checked: Checked, name: str) -> str:
    """The whole result in one format."""
    module = import_module(f"nvtrap.cli.formats.{name.replace('-', '_')}")
    text: str = module.render(checked)
    return text
