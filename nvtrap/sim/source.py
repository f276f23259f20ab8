"""Scenario files: where they are found, what they say, and places in them."""

from __future__ import annotations

import os

from nvtrap.errors import InputError, UnknownNameError
from nvtrap.inputs import BOM, standard_input
from nvtrap.places import display_path, scenarios_root

SUFFIX = ".sim"
MOST_BYTES = 1 << 18


class Place:
    """Where something stands: file, line and column, both counted from 1."""

    __slots__ = ("column", "file", "line")

    def __init__(self, file: str, line: int, column: int) -> None:
        self.file = file
        self.line = line
        self.column = column

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"

    def error(self, message: str, help: str = "") -> InputError:
        """What is wrong here."""
        return InputError(f"{self}: {message}", help)


def names() -> list[str]:
    """The names of the shipped scenarios, sorted."""
    found = (name.removesuffix(SUFFIX) for name in os.listdir(scenarios_root()))
    return sorted(name for name in found if os.path.isfile(_shipped(name)))


def read(name: str) -> tuple[str, str]:
    """(name for people, text) of a file, a shipped scenario's name, or `-` for standard input.

    Raises `UnknownNameError` for a name that is neither, `InputError` for what is no text.
    """
    path = name
    if name != "-" and not os.path.exists(name):
        if os.sep in name or name.endswith(SUFFIX):
            raise InputError(f"there is no file `{name}`")
        path = _shipped(name)
        if not os.path.isfile(path):
            raise UnknownNameError("scenario", name, names())
    shown = "standard input" if name == "-" else display_path(path)
    raw = _bytes(path)
    if len(raw) > MOST_BYTES:
        raise InputError(f"`{shown}` is larger than a scenario can be ({MOST_BYTES >> 10} KiB)")
    try:
        text = raw.removeprefix(BOM).decode()
    except UnicodeDecodeError as error:
        raise InputError(f"`{shown}`: byte {error.start} is not UTF-8") from None
    return shown, text.replace("\r\n", "\n").replace("\r", "\n")


def _shipped(name: str) -> str:
    return os.path.join(scenarios_root(), name + SUFFIX)


def _bytes(path: str) -> bytes:
    if path == "-":
        return standard_input().read(MOST_BYTES + 1)
    try:
        with open(path, "rb") as file:
            return file.read(MOST_BYTES + 1)
    except OSError as error:
        problem = (error.strerror or str(error)).lower()
        raise InputError(f"`{path}` cannot be read: {problem}") from None
