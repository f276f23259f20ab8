"""Lines of JSON from files, plain or gzipped, or from standard input."""

from __future__ import annotations

import os
import sys
import zlib
from json import loads

from nvtrap.errors import InputError, UsageError

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
    """The lines of a file; `-` is standard input, a gzipped file is unpacked.

    Raises `InputError` when the file cannot be read, is damaged, or has an endless line.
    """
    if path == "-":
        yield from _bounded(sys.stdin.buffer, "standard input")
        return
    try:
        with open(path, "rb") as file:
            packed = file.read(2) == _GZIP
            file.seek(0)
            yield from _unpacked(file, path) if packed else _bounded(file, path)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise InputError(f"`{path}` cannot be read: {reason}") from None


def size_of(path: str) -> int:
    """The size of a plain file, for a progress bar; 0 where it says nothing."""
    try:
        with open(path, "rb") as file:
            packed = file.read(2) == _GZIP
        return 0 if packed else os.path.getsize(path)
    except OSError:
        return 0


def _unpacked(file: IO[bytes], path: str) -> Iterator[bytes]:
    import gzip

    try:
        with gzip.open(file) as plain:
            yield from _bounded(plain, path)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        reason = str(error)
        raise InputError(f"`{path}` is damaged: {reason[:1].lower()}{reason[1:]}") from None


def _bounded(file: Lines, name: str) -> Iterator[bytes]:
    while line := file.readline(MOST_IN_A_LINE + 1):
        if len(line) > MOST_IN_A_LINE:
            raise InputError(f"`{name}` has a line of more than {MOST_IN_A_LINE >> 20} MiB")
        yield line


def parse_object(line: bytes) -> dict[str, Any]:
    """The JSON object in a line.

    Raises `UsageError` when the line is anything else.
    """
    try:
        record = loads(line)
    except (ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise UsageError(f"this is not JSON: {reason[:1].lower()}{reason[1:]}") from None
    if type(record) is not dict:
        raise UsageError("a line is one JSON object")
    return record
