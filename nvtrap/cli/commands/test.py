"""`nvtrap test`: the expectations of rule files and of test files."""

from __future__ import annotations

import sys
from importlib import import_module

from nvtrap.analysis.testing import run_expectations
from nvtrap.analysis.testing_coverage import KINDS, figures, percent
from nvtrap.cli.outputs import add_format_options, outputs_of, write_file
from nvtrap.cli.terminal import show, warn
from nvtrap.errors import UnknownNameError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace

    from nvtrap.analysis.testing import Results
    from nvtrap.cli.arguments import Parser

FORMATS = ("text", "tap", "junit", "json", "lcov")
EXAMPLES = """\
  nvtrap test rules/linux/6.12
  nvtrap test mine.trap --run 'TTBR._EL1' --fail-on-empty --format tap
  nvtrap test mine.trap --coverage --threshold 50 --output junit=t.xml --output lcov=t.info

A test file says `use table NAME` or uses a file that says a table, and has `expect` lines.

exit code: 0 all expectations are met, 1 one is not, a file has errors, or too little is
reached, 2 usage error or failure"""


def add_arguments(parser: Parser) -> None:
    """Add what `test` takes."""
    add = parser.add_argument
    add("paths", nargs="+", metavar="PATH", help="rule and test files, or folders of them")
    add(
        "--run",
        default="",
        metavar="PATTERN",
        help="only expectations in whose `file:line: text` the regular expression is found",
    )
    add("--fail-on-empty", action="store_true", help="end with 1 if no expectation was run")
    add("--coverage", action="store_true", help="say what the expectations reach")
    add(
        "--threshold",
        action="append",
        default=[],
        metavar="[KIND=]PERCENT",
        help="end with 1 if they reach less of the rules, or of another kind"
        f" ({', '.join(KINDS)}); may be repeated",
    )
    add_format_options(parser, FORMATS)
    add(
        "--root",
        action="append",
        default=[],
        metavar="DIR",
        help="a further folder that `use` may reach",
    )


def run(arguments: Namespace) -> int:
    """Run, print, and write the other formats."""
    outputs = outputs_of(arguments, FORMATS)
    thresholds = [_threshold(text) for text in arguments.threshold]
    results = run_expectations(arguments.paths, arguments.root, arguments.run)
    for name, path in outputs:
        write_file(path, render(results, name))
    if arguments.format == "text":
        from nvtrap.cli.results.text import lines

        show(lines(results, with_coverage=arguments.coverage))
    else:
        sys.stdout.write(render(results, arguments.format))
    problems = _problems(results, thresholds, fail_on_empty=arguments.fail_on_empty)
    for problem in problems:
        warn(problem)
    return 1 if results.failed or results.findings or problems else 0


def render(results: Results, name: str) -> str:
    """The whole result in one format."""
    text: str = import_module(f"nvtrap.cli.results.{name}").render(results)
    return text


def _problems(
    results: Results, thresholds: list[tuple[str, float]], *, fail_on_empty: bool
) -> list[str]:
    """What is wrong with a run whose expectations are met."""
    problems = []
    if fail_on_empty and not results.cases:
        problems.append("no expectation was run")
    for kind, wanted in thresholds:
        reached, there = figures(results.coverages, kind)
        share = percent(reached, there)
        if share < wanted:
            text = f"expectations reach {reached} of {there} {kind} ({share:.1f}%)"
            problems.append(f"{text}, less than {wanted:g}%")
    return problems


def _threshold(text: str) -> tuple[str, float]:
    """(kind, percent) of a `--threshold`."""
    kind, equals, number = text.rpartition("=")
    kind = kind if equals else next(iter(KINDS))
    if kind not in KINDS:
        raise UnknownNameError("kind of coverage", kind, KINDS)
    try:
        wanted = float(number)
    except ValueError:
        wanted = -1
    if not 0 <= wanted <= 100:
        raise UsageError(f"`{number}` is no percentage", "it goes from 0 to 100")
    return kind, wanted
