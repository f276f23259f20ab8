"""`nvtrap diff`: what two tables do differently."""

from __future__ import annotations

import sys
from contextlib import ExitStack

from nvtrap import load
from nvtrap.analysis.differences import Comparison, changed
from nvtrap.cli.terminal import show
from nvtrap.revisions import checked_out, is_revision
from nvtrap.states import features_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace

    from nvtrap.cli.arguments import Parser
    from nvtrap.engine import Table

EXAMPLES = """\
  nvtrap diff linux-6.12 arch
  nvtrap diff HEAD~1:rules/linux/6.12/linux-6.12.trap linux-6.12 --markdown
  nvtrap diff old.trap new.trap --json

exit code: 0 the same behaviour, 1 some outcome differs, 2 failure"""


def add_arguments(parser: Parser) -> None:
    """Add what `diff` takes."""
    add = parser.add_argument
    about = "a shipped table, a rule file or compiled table, or REV:PATH of a git revision"
    add("first", metavar="A", help=about)
    add("second", metavar="B", help="the same")
    add(
        "--features",
        metavar="LIST",
        help="features and profiles, such as armv8.4,FEAT_NV2 (default: all)",
    )
    add(
        "--contexts",
        choices=("guest", "all"),
        default="guest",
        help="`all`: hypervisor contexts too",
    )
    add("--text", action="store_true", help="list accesses whose rules differ in text alone")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="as JSON")
    form.add_argument("--markdown", action="store_true", help="as a comment on a pull request")


def run(arguments: Namespace) -> int:
    """Compare, and print by cause."""
    from nvtrap.cli import differences as forms

    names = arguments.first, arguments.second
    with ExitStack() as stack:
        first, second = (table_at(name, stack) for name in names)
        features = features_of(arguments.features, second)
        everywhere = arguments.contexts == "all"
        found = Comparison(first, second, features, everywhere=everywhere).differences()
        report = forms.Report(names, (first, second), found, with_text=arguments.text)
        if arguments.json:
            sys.stdout.write(report.json())
        elif arguments.markdown:
            sys.stdout.write(report.markdown())
        else:
            show(report.lines())
    return 1 if changed(found) else 0


def table_at(name: str, stack: ExitStack) -> Table:
    """The table by name, path or git revision; unpacked files last as long as the stack."""
    if not is_revision(name):
        return load(name, warn=lambda message: print(f"nvtrap: {message}", file=sys.stderr))
    from nvtrap.compile import compiled
    from nvtrap.engine import Table
    from nvtrap.table.file import unpack

    path, snapshot = stack.enter_context(checked_out(name))
    return unpack(compiled(path, snapshot=snapshot), Table, trusted=True)
