"""`nvtrap vgic`: KVM's VGIC, driven by recorded steps; a module `nvtrap.cli.vgic_NAME` each."""

from __future__ import annotations

from importlib import import_module

from nvtrap.cli.subcommands import add_subcommands

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace

    from nvtrap.cli.arguments import Parser

SUBCOMMANDS = {
    "run": "cases of steps: each step, its result, what changed",
    "show": "the interrupts and list registers after the steps of a case",
}
MODULES = "nvtrap.cli.vgic_"
EXAMPLES = """\
  nvtrap vgic run cases.jsonl --case v2-banked
  nvtrap vgic show cases.jsonl --case v2-banked --after 9"""


def add_arguments(parser: Parser) -> None:
    """Add what `vgic` takes."""
    add_subcommands(parser, SUBCOMMANDS, MODULES)


def run(arguments: Namespace) -> int:
    """Run the sub-command."""
    result: int = import_module(MODULES + arguments.command).run(arguments)
    return result
