"""`nvtrap gic`: sub-commands about the GICv3, a module `nvtrap.cli.gic_NAME` each.

Such a module has EXAMPLES, `add_arguments` and `run`, as the commands have; only that of
the chosen sub-command is imported.
"""

from __future__ import annotations

from importlib import import_module

from nvtrap.cli.arguments import Parser

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from typing import Any

SUBCOMMANDS = {
    "decode": "values of ICH_, ICC_, ICV_, GICD_, GICR_ and GITS_ registers as fields",
    "encode": "a register's value from its fields",
    "run": "a sequence of operations: each step, its result, what changed",
}
EXAMPLES = """\
  nvtrap gic decode ICH_LR0_EL2 0x50a000000000001b
  nvtrap gic encode ICH_LR0_EL2 State=pending Priority=0xa0 Group=1 vINTID=27"""


class SubParser(Parser):
    """A sub-command's parser, which learns what it takes when it is asked."""

    def __init__(self, prog: str, module: str) -> None:
        super().__init__(prog, SUBCOMMANDS[module], "")
        self._module = module

    def prepare(self) -> None:
        """Add what the sub-command takes."""
        module = _module(self._module)
        module.add_arguments(self)
        self.epilog = f"examples:\n{module.EXAMPLES}"

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """What the words say.

        Raises `UsageError` for words that mean nothing here: the parser above does not
        know the options to suggest.
        """
        self.prepare()
        found, unknown = super().parse_known_args(args, namespace)
        if unknown:
            raise self._unknown(unknown[0])
        return found, unknown


def _module(subcommand: str) -> Any:
    return import_module(f"nvtrap.cli.gic_{subcommand}")


def add_arguments(parser: Parser) -> None:
    """Add what `gic` takes."""
    commands = parser.add_subparsers(
        dest="command", metavar="COMMAND", required=True, parser_class=SubParser
    )
    for name, about in SUBCOMMANDS.items():
        commands.add_parser(name, help=about, module=name)


def run(arguments: Namespace) -> int:
    """Run the sub-command."""
    result: int = _module(arguments.command).run(arguments)
    return result
