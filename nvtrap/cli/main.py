"""The `nvtrap` command: picks the sub-command, and turns errors into one line and a code.

Only the chosen sub-command's module is imported, and heavy libraries only where it
needs them: a query of a compiled table starts in little more than Python itself.
"""

from __future__ import annotations

import os
import sys

from nvtrap import __version__
from nvtrap.errors import NvtrapError, closest, did_you_mean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

COMMANDS = {
    "check": "parse, resolve and validate rule files",
    "query": "what becomes of one access, by which rule, and why",
    "decide": "outcomes for a stream of traps, JSON Lines in and out",
    "conform": "hold a table against recorded vectors",
    "tables": "the shipped tables",
    "registers": "registers, their encodings and fields",
    "completion": "a completion script for bash, zsh or fish",
}
INTERRUPTED = 130
PIPE_CLOSED = 141


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the result is its exit code (0 fine, 1 findings, 2 failure)."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        code = _run(words)
        sys.stdout.flush()
    except NvtrapError as error:
        complain(error)
        return error.exit_code
    except KeyboardInterrupt:
        print("nvtrap: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read has read enough. Python flushes once more at exit: give it a sink.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
    except OSError as error:
        print(f"nvtrap: {_os_error(error)}", file=sys.stderr)
        return 2
    return code


def complain(error: NvtrapError) -> None:
    """Print an error and its help to standard error."""
    print(f"nvtrap: {error.message}", file=sys.stderr)
    if error.help:
        print(f"  help: {error.help}", file=sys.stderr)


def _os_error(error: OSError) -> str:
    reason = (error.strerror or str(error)).lower()
    return f"`{error.filename}`: {reason}" if error.filename else reason


def _run(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help", "help"):
        if words[1:] and words[1] in COMMANDS:
            return _command(words[1], ["--help"])
        print(_overview())
        return 0
    if words[0] in ("-V", "--version"):
        print(f"nvtrap {__version__}")
        return 0
    if words[0] not in COMMANDS:
        kind = "option" if words[0].startswith("-") else "command"
        close = did_you_mean(closest(words[0], COMMANDS, most=1))
        raise NvtrapError(f"unknown {kind} `{words[0]}`", close or "`nvtrap --help` lists them")
    return _command(words[0], words[1:])


def _command(name: str, words: list[str]) -> int:
    from importlib import import_module

    from nvtrap.cli.arguments import Parser

    module = import_module(f"nvtrap.cli.commands.{name}")
    parser = Parser(f"nvtrap {name}", COMMANDS[name], module.EXAMPLES)
    module.add_arguments(parser)
    result: int = module.run(parser.parse_args(words))
    return result


def _overview() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {about}" for name, about in COMMANDS.items()]
    return "\n".join(
        [
            "usage: nvtrap COMMAND [ARGUMENT …]",
            "",
            "Which system-register traps does a nested hypervisor want?",
            "",
            *lines,
            "",
            "`nvtrap COMMAND --help` says more, with examples.",
            "Exit codes: 0 fine, 1 findings or mismatches, 2 usage error or failure.",
        ]
    )
