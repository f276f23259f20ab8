"""Commands that have sub-commands, each in a module of its own.

Such a module has EXAMPLES, `add_arguments` and `run`, as the commands have; only that of
the chosen sub-command is imported.
"""

from __future__ import annotations

from importlib import import_module

from nvtrap.cli.arguments import Parser

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class SubParser(Parser):
    """A sub-command's parser, which learns what it takes when it is asked."""

    def __init__(self, prog: str, about: str, module: str) -> None:
        super().__init__(prog, about, "")
        self._module = module

    def prepare(self) -> None:
        """Add what the sub-command takes."""
        module = import_module(self._module)
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


def add_subcommands(parser: Parser, abouts: dict[str, str], modules: str) -> None:
    """Let a command take the sub-commands of `abouts`.

    The module of sub-command NAME is `modules` with NAME after it.
    """
    commands = parser.add_subparsers(
        dest="command", metavar="COMMAND", required=True, parser_class=SubParser
    )
    for name, about in abouts.items():
        commands.add_parser(name, help=about, about=about, module=modules + name)
