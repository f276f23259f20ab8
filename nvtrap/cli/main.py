"""The `nvtrap` command: picks the sub-command, and turns errors into one line and a code.

Only the chosen sub-command's module is imported, and heavy libraries only where it
needs them: a query of a compiled table starts in little more than Python itself.
"""

from __future__ import annotations

import gc
import sys

from nvtrap import __version__
from nvtrap.cli.terminal import give_up, say
from nvtrap.errors import InputError, NvtrapError, closest, did_you_mean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

COMMANDS = {
    "check": "parse, resolve and validate rule files",
    "test": "run the expectations of rule files and of test files",
    "fmt": "rule files in their canonical layout",
    "query": "what becomes of one access, by which rule, and why",
    "decide": "outcomes for a stream of traps, JSON Lines in and out",
    "conform": "hold a table against recorded vectors",
    "replay": "traces of real kernels: each trap decided and compared",
    "search": "from settings to the accesses they forward, and back",
    "diff": "what two tables do differently, exactly",
    "cover": "where a table and the architecture disagree",
    "import": "the text of a kernel's table as a rule file",
    "emit": "code, data and references from a table: C, Rust, JSON, vectors, Markdown",
    "tables": "the shipped tables",
    "registers": "registers, their encodings and fields",
    "gic": "the GICv3: decode registers, run sequences",
    "vgic": "KVM's VGIC: run recorded steps, show interrupts and list registers",
    "sim": "scenarios: L0, L1 and L2 together, step by step",
    "completion": "a completion script for bash, zsh or fish",
}
# Where a command's module cannot have its name.
_MODULES = {"import": "import_"}
INTERRUPTED = 130
PIPE_CLOSED = 141


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the result is its exit code (0 fine, 1 findings, 2 failure)."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    # Start-up allocates and keeps; looking for garbage meanwhile costs a tenth of a query.
    gc.set_threshold(50_000)
    try:
        _prepare_output()
        code = _answer(words)
        sys.stdout.flush()
    except NvtrapError as error:
        complain(error)
        return error.exit_code
    except KeyboardInterrupt:
        say("nvtrap: interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        give_up(sys.stdout)  # whoever read has read enough
        return PIPE_CLOSED
    except OSError as error:
        give_up(sys.stdout)
        say(f"nvtrap: {_os_error(error)}")
        return 2
    return code


def _answer(words: list[str]) -> int:
    """Run the command; what it had to say before an error comes before the error."""
    try:
        return _run(words)
    except NvtrapError:
        sys.stdout.flush()
        raise


def _prepare_output() -> None:
    """Let standard output take every character, whatever its encoding."""
    if sys.stdout is None:
        raise InputError("standard output is closed")
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")


def complain(error: NvtrapError) -> None:
    """Print an error and its help to standard error."""
    say(f"nvtrap: {error.message}")
    if error.help:
        say(f"  help: {error.help}")


def _os_error(error: OSError) -> str:
    reason = (error.strerror or str(error)).lower()
    return f"`{error.filename}`: {reason}" if error.filename else reason


def _run(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help", "help"):
        if words[:1] == ["help"] and words[1:]:
            return _run([words[1], "--help"])
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


def module_of(command: str) -> str:
    """The name of the module of a command."""
    return f"nvtrap.cli.commands.{_MODULES.get(command, command)}"


def _command(name: str, words: list[str]) -> int:
    from importlib import import_module

    from nvtrap.cli.arguments import Parser

    module = import_module(module_of(name))
    parser = Parser(f"nvtrap {name}", COMMANDS[name], module.EXAMPLES)
    module.add_arguments(parser)
    try:
        arguments = parser.read(words)
    except SystemExit:  # how argparse ends when it has shown the help
        return 0
    result: int = module.run(arguments)
    return result


def _overview() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {about}" for name, about in COMMANDS.items()]
    return "\n".join(
        [
            "usage: nvtrap COMMAND [ARGUMENT ...]",
            "",
            "Which system-register traps does a nested hypervisor want?",
            "",
            *lines,
            "",
            "`nvtrap COMMAND --help` says more, with examples.",
            "Exit codes: 0 fine, 1 findings or mismatches, 2 usage error or failure.",
        ]
    )
