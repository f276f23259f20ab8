"""`nvtrap replay`: traces of real kernels."""

from __future__ import annotations

from nvtrap import load
from nvtrap.cli.commands.query import assignment
from nvtrap.cli.terminal import progress, warn
from nvtrap.errors import UsageError
from nvtrap.states import StateBuilder, features_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace

    from nvtrap import State, Table
    from nvtrap.cli.arguments import Parser

EXAMPLES = """\
  nvtrap replay trace.txt
  nvtrap replay trace.txt.gz --set HFGRTR_EL2.MIDR_EL1=1 --by rule
  trace-cmd report -i trace.dat | nvtrap replay - --jobs 2 --json

the trace:   text of ftrace, `trace-cmd report` or `perf script` with the events of KVM
             kvm_handle_sys_reg and kvm_forward_sysreg_trap, better also kvm_sys_access,
             kvm_entry, kvm_nested_eret and kvm_inject_nested_exception
L1's state:  EL and HCR_EL2 from the last two, else as given; other registers as given, or
             from lines such as `nvtrap_l1_state: HFGRTR_EL2=0x100 MDCR_EL2=0x40`, written
             through trace_marker or trace_printk for the task that writes them
             (`pid=N`: for another, `pid=*`: for all)
exit code:   0 no disagreement, 1 some, 2 failure; damaged lines are counted"""

MOST_JOBS = 256


def add_arguments(parser: Parser) -> None:
    """Add what `replay` takes."""
    add = parser.add_argument
    add("trace", metavar="TRACE", help="a trace, plain, gzip or zstd; `-`: standard input")
    add(
        "--set",
        action="append",
        default=[],
        metavar="REG.FIELD=N",
        help="set a field of L1's state, or a register with REG=N",
    )
    add("--state", metavar="FILE", help="L1's state as JSON or TOML (default: all registers 0)")
    add(
        "--el", choices=("0", "1", "2"), metavar="N", help="the EL until one is traced (default: 1)"
    )
    add(
        "--features",
        metavar="LIST",
        help="features and profiles, such as armv8.4,FEAT_NV2 (default: all)",
    )
    parser.table_option()
    add("--by", choices=("register", "rule"), default="register", help="what is counted")
    add(
        "--limit",
        type=int,
        default=20,
        metavar="N",
        help="how many disagreements and damaged lines to show (default: 20)",
    )
    add("--jobs", type=int, default=1, metavar="N", help="processes that read (default: 1)")
    add("--json", action="store_true", help="as JSON")


def run(arguments: Namespace) -> int:
    """Decide and compare; the exit code is 1 when something disagrees."""
    if arguments.limit < 0:
        raise UsageError(f"`{arguments.limit}` is no number of lines to show")
    if not 1 <= arguments.jobs <= MOST_JOBS:
        raise UsageError(f"`{arguments.jobs}` is no number of processes", f"1 to {MOST_JOBS}")
    if arguments.trace == arguments.state == "-":
        raise UsageError("standard input is the trace or the state, not both")
    table = load(arguments.table, warn)
    given = _state(arguments, table)
    from nvtrap.cli import replayed
    from nvtrap.streams import size_of
    from nvtrap.trace import blocks_of, replay, scanned

    path, most = arguments.trace, arguments.limit
    blocks = progress(blocks_of(path, arguments.jobs), size_of(path), prints_little=True)
    report = replay(scanned(blocks, most, arguments.jobs), table, given, most)
    if arguments.json:
        replayed.print_json(table, report, arguments)
    else:
        replayed.print_text(table, report, arguments)
    return 1 if report.disagreements else 0


def _state(arguments: Namespace, table: Table) -> State:
    builder = StateBuilder(table)
    if arguments.state is not None:
        builder.read_file(arguments.state)
    builder.set_all([assignment(text) for text in arguments.set])
    if arguments.el is not None:
        builder.el = int(arguments.el)
    if arguments.features is not None:
        builder.features = features_of(arguments.features, table)
    return builder.state()
