"""The argument parser: argparse with this project's messages, and values users write."""

from __future__ import annotations

import argparse
import os

from nvtrap.errors import UsageError, closest, did_you_mean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

DEFAULT_TABLE = "linux-6.12"


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """argparse's, but its width does not cost the import of shutil when no help is shown."""

    def __init__(self, prog: str) -> None:
        try:
            width = os.get_terminal_size().columns or 80  # 0: it does not know
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

    def read(self, words: list[str]) -> argparse.Namespace:
        """What the words say.

        Raises `UsageError` for words that mean nothing here.
        """
        arguments, unknown = self.parse_known_args(words)
        if unknown:
            raise self._unknown(unknown[0])
        return arguments

    def _unknown(self, word: str) -> UsageError:
        known = [option for action in self._actions for option in action.option_strings]
        close = did_you_mean(closest(word, known, most=1))
        kind = "option" if word.startswith("-") else "argument"
        return UsageError(f"unknown {kind} `{word}`", close or f"see `{self.prog} --help`")

    def print_help(self, file: Any = None) -> None:
        """Print the help; argparse's own way would keep a full disk to itself."""
        print(self.format_help(), end="", file=file)

    def error(self, message: str) -> NoReturn:
        """Raise what is wrong with the arguments."""
        raise UsageError(message.replace("'", "`"), f"see `{self.prog} --help`")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """Raise for a value that is not among the choices, in this project's words."""
        if action.choices is not None and value not in action.choices:
            known = [str(choice) for choice in action.choices]
            name = "/".join(action.option_strings) or action.dest.upper()
            close = did_you_mean(closest(str(value), known))
            one_of = f"it is one of {', '.join(known)}"
            raise UsageError(f"`{value}` is no value for `{name}`", close or one_of)

    def table_option(self, default: str | None = DEFAULT_TABLE) -> None:
        """Add `--table NAME`."""
        shown = f" (default: {default})" if default else ""
        self.add_argument(
            "--table",
            default=default,
            metavar="NAME",
            help=f"a shipped table's name, or the path of a rule file or compiled table{shown}",
        )
