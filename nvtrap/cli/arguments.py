"""The argument parser: argparse with this project's messages, and values users write."""

from __future__ import annotations

import argparse
import os

from nvtrap.errors import UsageError, closest, did_you_mean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

DEFAULT_TABLE = "linux-6.12"


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """argparse's, but its width does not cost the import of shutil when no help is shown."""

    def __init__(self, prog: str) -> None:
        try:
            width = os.get_terminal_size().columns
        except OSError:
            width = 80
        super().__init__(prog, width=min(width, 100) - 2)


class Parser(argparse.ArgumentParser):
    """A sub-command's parser; errors are `UsageError`s, a misspelt option gets a suggestion."""

    def __init__(self, prog: str, about: str, examples: str) -> None:
        super().__init__(
            prog=prog,
            description=about[:1].upper() + about[1:] + ".",
            epilog=f"examples:\n{examples}",
            formatter_class=_Formatter,
            allow_abbrev=False,
        )

    def error(self, message: str) -> NoReturn:
        """Raise what is wrong with the arguments."""
        unknown = message.removeprefix("unrecognized arguments: ")
        if unknown != message:
            word = unknown.split()[0]
            known = [option for action in self._actions for option in action.option_strings]
            close = did_you_mean(closest(word, known, most=1))
            kind = "option" if word.startswith("-") else "argument"
            raise UsageError(f"unknown {kind} `{word}`", close or f"see `{self.prog} --help`")
        raise UsageError(message, f"see `{self.prog} --help`")

    def table_option(self, default: str | None = DEFAULT_TABLE) -> None:
        """Add `--table NAME`."""
        shown = f" (default: {default})" if default else ""
        self.add_argument(
            "--table",
            default=default,
            metavar="NAME",
            help=f"a shipped table's name, or the path of a rule file or compiled table{shown}",
        )
