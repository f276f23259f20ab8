"""Reports in several formats in one run: one printed, others written to files."""

from __future__ import annotations

import os
from contextlib import suppress

from nvtrap.errors import InputError, UnknownNameError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Sequence

    from nvtrap.cli.arguments import Parser


def add_format_options(parser: Parser, formats: Sequence[str]) -> None:
    """Add `--format`, whose default is the first, and `--output`."""
    add = parser.add_argument
    add(
        "--format",
        choices=formats,
        default=formats[0],
        help=f"what to print (default: {formats[0]})",
    )
    add(
        "--output",
        action="append",
        default=[],
        metavar="FORMAT=FILE",
        help="write a format to a file as well; may be repeated",
    )


def outputs_of(arguments: Namespace, formats: Sequence[str]) -> list[tuple[str, str]]:
    """(format, file) of each `--output`.

    Raises `UsageError` for what is none.
    """
    return [_output(text, formats) for text in arguments.output]


def _output(text: str, formats: Sequence[str]) -> tuple[str, str]:
    name, equals, path = text.partition("=")
    if not equals or not path:
        raise UsageError(f"`{text}` is no output", "write FORMAT=FILE, such as json=out.json")
    if name not in formats:
        raise UnknownNameError("format", name, formats)
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
