"""`nvtrap gic`: the GICv3 as silicon; a module `nvtrap.cli.gic_NAME` each."""

from __future__ import annotations

from importlib import import_module

from nvtrap.cli.subcommands import add_subcommands

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace

    from nvtrap.cli.arguments import Parser

SUBCOMMANDS = {
    "decode": "values of ICH_, ICC_, ICV_, GICD_, GICR_ and GITS_ registers as fields",
    "encode": "a register's value from its fields",
    "run": "a sequence of operations: each step, its result, what changed",
}
MODULES = "nvtrap.cli.gic_"
EXAMPLES = """\
  nvtrap gic decode ICH_LR0_EL2 0x50a000000000001b
  nvtrap gic encode ICH_LR0_EL2 State=pending Priority=0xa0 Group=1 vINTID=27"""


def add_arguments(parser: Parser) -> None:
    """Add what `gic` takes."""
    add_subcommands(parser, SUBCOMMANDS, MODULES)


def run(arguments: Namespace) -> int:
    """Run the sub-command."""
    result: int = import_module(MODULES + arguments.command).run(arguments)
    return result
