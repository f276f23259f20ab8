"""`nvtrap decide`: a stream of traps."""

from __future__ import annotations

import sys

from nvtrap import load
from nvtrap.cli.terminal import progress, warn
from nvtrap.conform import Decider, read_lines, size_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace

    from nvtrap.cli.arguments import Parser

EXAMPLES = """\
  nvtrap decide traps.jsonl
  echo '{"id":1,"state":{"HCR_EL2":"0x10000"},"esr":"0x623c0001"}' | nvtrap decide -

a line in:   {"id", "state", "el", "nv", "res0", "fgu", "esr"} or "enc" and "dir" for "esr";
             without "state" it keeps the context of the line before
a line out:  {"id", "outcome", "step", "control", "rule"} or {"id", "error"}"""


def add_arguments(parser: Parser) -> None:
    """Add what `decide` takes."""
    parser.add_argument(
        "file", metavar="FILE", help="JSON Lines, plain or gzipped; `-`: standard input"
    )
    parser.table_option()


def run(arguments: Namespace) -> int:
    """Answer every line; the exit code is 1 when one was bad."""
    table = load(arguments.table, warn)
    decider = Decider(table)
    lines = progress(read_lines(arguments.file), size_of(arguments.file))
    write = sys.stdout.write
    for line in lines:
        if not line.isspace():
            write(decider.answer(line) + "\n")
    return 1 if decider.bad else 0
