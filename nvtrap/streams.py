"""Files and standard input as streams of bytes: what is packed is unpacked on the way."""

from __future__ import annotations

import os
from contextlib import contextmanager, nullcontext
from importlib import import_module
from io import BufferedReader, RawIOBase

from nvtrap.errors import InputError
from nvtrap.inputs import standard_input

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from typing import IO, Any

GZIP, ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"


@contextmanager
def unpacked(path: str) -> Iterator[IO[bytes]]:
    """The contents of a file, plain, gzip or zstd; `-` is standard input.

    Raises `InputError` when the file cannot be read or is damaged, also for what goes
    wrong while it is read.
    """
    name = "standard input" if path == "-" else path
    damage: tuple[type[Exception], ...] = ()
    try:
        with _opened(path) as file:
            stream, damage = _unpacker(file, name)
            yield stream
    except EOFError:
        raise InputError(f"`{name}` is damaged: it ends too early") from None
    except damage as error:
        reason = str(error)
        raise InputError(f"`{name}` is damaged: {reason[:1].lower()}{reason[1:]}") from None
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise InputError(f"`{name}` cannot be read: {reason}") from None


def size_of(path: str) -> int:
    """The size of a plain file, for a progress bar; 0 where it says nothing."""
    if not os.path.isfile(path):  # what is read from a pipe is gone
        return 0
    try:
        with open(path, "rb") as file:
            packed = file.read(len(ZSTD)).startswith((GZIP, ZSTD))
        return 0 if packed else os.path.getsize(path)
    except OSError:
        return 0


def _opened(path: str) -> AbstractContextManager[IO[bytes]]:
    return nullcontext(standard_input()) if path == "-" else open(path, "rb")


def _unpacker(file: IO[bytes], name: str) -> tuple[IO[bytes], tuple[type[Exception], ...]]:
    """The stream to read, and what it raises when the file is damaged."""
    # Looking ahead instead of going back: a pipe has no way back.
    peek = getattr(file, "peek", None)
    mark = b"" if peek is None else peek(len(ZSTD))
    if mark.startswith(GZIP):
        import gzip
        import zlib

        plain: Any = gzip.GzipFile(fileobj=file)
        return plain, (zlib.error, gzip.BadGzipFile)
    if mark.startswith(ZSTD):
        zstandard = _zstandard(name)
        return BufferedReader(_Frames(file, zstandard)), (zstandard.ZstdError,)
    return file, ()


def _zstandard(name: str) -> Any:
    """The library that unpacks zstd; an optional extra."""
    try:
        return import_module("zstandard")
    except ImportError:
        raise InputError(
            f"`{name}` is packed with zstd, and the library `zstandard` is not installed",
            "`pip install nvtrap[zstd]`, or unpack it: zstd -dc FILE | nvtrap … -",
        ) from None


class _Frames(RawIOBase):
    """The contents of zstd frames, one after the other.

    The library's own reader takes a file that ends within a frame for a whole one.
    """

    _PIECE = 1 << 18

    def __init__(self, file: IO[bytes], zstandard: Any) -> None:
        self._file = file
        self._begin = zstandard.ZstdDecompressor().decompressobj
        self._frame: Any = None
        self._plain = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._plain and self._unpack():
            pass
        taken = self._plain[: len(buffer)]
        buffer[: len(taken)] = taken
        self._plain = self._plain[len(taken) :]
        return len(taken)

    def _unpack(self) -> bool:
        """Unpack a piece of the file; False at its end."""
        packed = self._file.read(self._PIECE)
        if not packed and self._frame is not None:
            raise EOFError
        pieces = []
        while packed:
            self._frame = self._frame or self._begin()
            pieces.append(self._frame.decompress(packed))
            packed = self._frame.unused_data
            if self._frame.eof:
                self._frame = None
        self._plain = b"".join(pieces)
        return bool(pieces)
