"""`nvtrap conform`: recorded vectors."""

from __future__ import annotations

from functools import partial
from operator import add

from nvtrap import load
from nvtrap.cli.terminal import progress, show, warn
from nvtrap.conform import conform, read_lines, size_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace

    from nvtrap.cli.arguments import Parser
    from nvtrap.engine import Table

EXAMPLES = """\
  nvtrap conform traps.jsonl.gz
  nvtrap conform --table mine.trap traps-*.jsonl.gz"""


def add_arguments(parser: Parser) -> None:
    """Add what `conform` takes."""
    parser.add_argument("files", nargs="+", metavar="FILE", help="vectors, plain or gzipped")
    parser.table_option(None)


def run(arguments: Namespace) -> int:
    """Run the vectors: a line for each failure, what was left out and why, the counts last."""
    passed = failed = 0
    left_out: dict[str, int] = {}
    apart: dict[str, list[int]] = {}
    for path in arguments.files:
        lines = progress(read_lines(path), size_of(path), prints_little=True)
        for verdict in conform(lines, partial(_table, arguments.table)):
            score = verdict.score
            for reason, counts in (score.apart or {}).items():
                apart[reason] = [*map(add, apart.get(reason, [0, 0]), counts)]
            if score.problem:
                failed += 1
                show([[(f"{path}: {verdict.name}: ", ""), (score.problem, "red")]])
            elif score.reason:
                left_out[score.reason] = left_out.get(score.reason, 0) + 1
            else:
                passed += 1
    for reason, count in sorted(left_out.items()):
        show([[(f"left out, {reason}: {count}", "dim")]])
    for reason, (same, different) in sorted(apart.items()):
        show([[(f"not scored, {reason}: {same} agree, {different} differ", "dim")]])
    style = "bold red" if failed else "bold green"
    show([[(f"{passed} passed, {failed} failed", style)]])
    return 1 if failed else 0


def _table(chosen: str | None, usual: str) -> Table:
    return load(chosen or usual, warn)
