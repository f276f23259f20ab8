"""Lines of JSON from files, plain or gzipped, or from standard input."""

from __future__ import annotations

import os
import zlib

from nvtrap.errors import InputError, UsageError
from nvtrap.inputs import parse_json, standard_input

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import IO, Any, Protocol

    class Lines(Protocol):
        """What lines are read from."""

        def readline(self, most: int, /) -> bytes:
            """At most so many bytes of the next line."""
            ...


MOST_IN_A_LINE = 1 << 24
_GZIP = b"\x1f\x8b"


def read_lines(path: str) -> Iterator[bytes]:
    """The lines of a file; `-` is standard input, what is gzipped is unpacked.

    Of a line longer than a line may be only the beginning comes, too long for
    `parse_object`. Raises `InputError` when the file cannot be read or is damaged.
    """
    if path == "-":
        yield from _lines(standard_input(), "standard input")
        return
    try:
        with open(path, "rb") as file:
            yield from _lines(file, path)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise InputError(f"`{path}` cannot be read: {reason}") from None


def size_of(path: str) -> int:
    """The size of a plain file, for a progress bar; 0 where it says nothing."""
    if not os.path.isfile(path):  # what is read from a pipe is gone
        return 0
    try:
        with open(path, "rb") as file:
            packed = file.read(2) == _GZIP
        return 0 if packed else os.path.getsize(path)
    except OSError:
        return 0


def _lines(file: IO[bytes], name: str) -> Iterator[bytes]:
    # Looking ahead instead of going back: a pipe has no way back.
    peek = getattr(file, "peek", None)
    packed = peek is not None and peek(len(_GZIP))[: len(_GZIP)] == _GZIP
    yield from _unpacked(file, name) if packed else _bounded(file)


def _unpacked(file: IO[bytes], name: str) -> Iterator[bytes]:
    import gzip

    try:
        with gzip.open(file) as plain:
            yield from _bounded(plain)
    except EOFError:
        raise InputError(f"`{name}` is damaged: it ends too early") from None
    except (zlib.error, gzip.BadGzipFile) as error:
        reason = str(error)
        raise InputError(f"`{name}` is damaged: {reason[:1].lower()}{reason[1:]}") from None


def _bounded(file: Lines) -> Iterator[bytes]:
    while line := file.readline(MOST_IN_A_LINE + 1):
        yield line
        while len(line) > MOST_IN_A_LINE and not line.endswith(b"\n"):
            line = file.readline(MOST_IN_A_LINE + 1)  # the rest of it


def parse_object(line: bytes) -> dict[str, Any]:
    """The JSON object in a line.

    Raises `UsageError` when the line is anything else.
    """
    if len(line) > MOST_IN_A_LINE:
        raise UsageError(f"a line has at most {MOST_IN_A_LINE >> 20} MiB")
    record = parse_json(line)
    if type(record) is not dict:
        raise UsageError("a line is one JSON object")
    return record
