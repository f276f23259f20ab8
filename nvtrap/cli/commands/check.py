"""`nvtrap check`: rule files."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from importlib import import_module

from nvtrap.analysis import check_paths
from nvtrap.cli.terminal import show
from nvtrap.errors import InputError, UnknownNameError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace

    from nvtrap.analysis import Checked
    from nvtrap.cli.arguments import Parser

FORMATS = ("text", "json", "sarif", "junit", "github")
EXAMPLES = """\
  nvtrap check rules/linux/6.12
  nvtrap check mine.trap --format github --output sarif=nvtrap.sarif

exit code: 0 nothing found, 1 findings, 2 the check itself failed"""


def add_arguments(parser: Parser) -> None:
    """Add what `check` takes."""
    add = parser.add_argument
    add("paths", nargs="+", metavar="PATH", help="rule files, or folders of them")
    add("--format", choices=FORMATS, default="text", help="what to print (default: text)")
    add(
        "--output",
        action="append",
        default=[],
        metavar="FORMAT=FILE",
        help="write a format to a file as well; may be repeated",
    )
    add(
        "--root",
        action="append",
        default=[],
        metavar="DIR",
        help="a further folder that `use` may reach",
    )


def run(arguments: Namespace) -> int:
    """Check, print, and write the other formats."""
    outputs = [_output(text) for text in arguments.output]
    checked = check_paths(arguments.paths, arguments.root)
    for name, path in outputs:
        write_file(path, render(checked, name))
    if arguments.format == "text":
        from nvtrap.cli.formats.text import lines

        show(lines(checked))
    else:
        sys.stdout.write(render(checked, arguments.format))
    return 1 if checked.findings else 0


def render(checked: Checked, name: str) -> str:
    """The whole result in one format."""
    module = import_module(f"nvtrap.cli.formats.{name}")
    text: str = module.render(checked)
    return text


def _output(text: str) -> tuple[str, str]:
    name, equals, path = text.partition("=")
    if not equals or not path:
        raise UsageError(f"`{text}` is no output", "write FORMAT=FILE, such as sarif=out.sarif")
    if name not in FORMATS:
        raise UnknownNameError("format", name, FORMATS)
    return name, path


def write_file(path: str, text: str) -> None:
    """Write a file in one step: a reader sees the old one or all of the new one."""
    data = text.encode(errors="backslashreplace")  # half characters, from a file's name
    try:
        if os.path.exists(path) and not os.path.isfile(path):
            with open(path, "wb") as device:  # a pipe or terminal must not be replaced
                device.write(data)
        else:
            _replace(os.path.realpath(path), data)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise InputError(f"`{path}` cannot be written: {reason}") from None


def _replace(path: str, data: bytes) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    draft = f"{path}.{os.getpid()}.draft"
    try:
        with open(draft, "xb") as file:
            file.write(data)
        os.replace(draft, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(draft)
        raise
