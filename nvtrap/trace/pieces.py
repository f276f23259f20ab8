"""A trace cut into pieces at the ends of lines, and read by one process or several.

Each piece is scanned for itself and says what it changes; `Replay` puts the changes
together in the order of the trace. So where it is cut makes no difference to the report.
"""

from __future__ import annotations

from collections import deque
from functools import partial
from os import fstat

from nvtrap.errors import InputError, NvtrapError
from nvtrap.streams import size_of, unpacked
from nvtrap.trace.scan import MOST_IN_A_LINE, scan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from concurrent.futures import Future, ProcessPoolExecutor
    from typing import IO

    from nvtrap.trace.scan import Piece

PIECE = 4 << 20
_LOOK_AHEAD = 1 << 16
# What tracers write before they print it: how it begins, and what prints it.
BINARY = {b"\x17\x08\x44tracing": "trace-cmd report -i", b"PERFILE2": "perf script -i"}


class Range:
    """Whole lines of a plain file, from one byte to another."""

    __slots__ = ("end", "path", "start")

    def __init__(self, path: str, start: int, end: int) -> None:
        self.path = path
        self.start = start
        self.end = end

    def __len__(self) -> int:
        return self.end - self.start


def blocks_of(path: str, jobs: int = 1, size: int = PIECE) -> Iterator[bytes | Range]:
    """The lines of a file, about `size` bytes of them at a time; `-` is standard input.

    Several jobs read a plain file themselves, and get no more than ranges of it. Raises
    `InputError` when the file cannot be read or is damaged.
    """
    with unpacked(path) as file:
        _refuse_binary(file, path)
        if jobs > 1 and size_of(path):
            yield from _ranges(path, file, size)
        else:
            yield from cut(iter(partial(file.read, size), b""))


def _refuse_binary(file: IO[bytes], path: str) -> None:
    peek = getattr(file, "peek", None)
    start = b"" if peek is None else peek(max(map(len, BINARY)))
    for mark, command in BINARY.items():
        if start.startswith(mark):
            raise InputError(f"`{path}` is a recording, not its text", f"{command} {path}")


def cut(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes, cut at the ends of lines.

    Of a line longer than a line may be enough comes for `scan` to refuse it.
    """
    rest = b""
    for block in blocks:
        end = block.rfind(b"\n") + 1
        if end:
            yield rest + block[:end]
            rest = block[end:]
        elif len(rest) <= MOST_IN_A_LINE:
            rest += block
        rest = rest[: MOST_IN_A_LINE + 1]
    if rest:
        yield rest


def _ranges(path: str, file: IO[bytes], size: int) -> Iterator[Range]:
    length = fstat(file.fileno()).st_size
    start = 0
    while start < length:
        end = _line_end(file, start + size) or length
        yield Range(path, start, end)
        start = end


def _line_end(file: IO[bytes], at: int) -> int:
    """Where the line ends in which byte `at - 1` is; 0 where the file does."""
    at -= 1
    file.seek(at)
    while ahead := file.read(_LOOK_AHEAD):
        found = ahead.find(b"\n") + 1
        if found:
            return at + found
        at += len(ahead)
    return 0


def scan_block(block: bytes | Range, most: int) -> list[Piece]:
    """What the lines of a block come to; a range is read piece by piece."""
    if isinstance(block, bytes):
        return [scan(block, most)]
    with open(block.path, "rb") as file:
        file.seek(block.start)
        return [scan(lines, most) for lines in cut(_limited(file, len(block)))]


def _limited(file: IO[bytes], left: int) -> Iterator[bytes]:
    """So many bytes of a file."""
    while left > 0 and (block := file.read(min(left, PIECE))):
        left -= len(block)
        yield block


def scanned(blocks: Iterable[bytes | Range], most: int, jobs: int = 1) -> Iterator[Piece]:
    """What the blocks come to, in their order, by `jobs` processes.

    Few blocks are on their way at a time. Raises `NvtrapError` when a process is killed.
    """
    if jobs == 1:
        for block in blocks:
            yield from scan_block(block, most)
        return
    from concurrent.futures import BrokenExecutor

    with _pool(jobs) as pool:
        on_the_way: deque[Future[list[Piece]]] = deque()
        try:
            for block in blocks:
                on_the_way.append(pool.submit(scan_block, block, most))
                if len(on_the_way) > 2 * jobs:
                    yield from on_the_way.popleft().result()
            while on_the_way:
                yield from on_the_way.popleft().result()
        except BrokenExecutor:
            raise NvtrapError("a process that read the trace was killed") from None


def _pool(jobs: int) -> ProcessPoolExecutor:
    """Processes that leave Ctrl-C to this one; forked before any thread is there."""
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_all_start_methods, get_context
    from signal import SIG_IGN, SIGINT, signal

    context = get_context("fork" if "fork" in get_all_start_methods() else None)
    pool = ProcessPoolExecutor(jobs, context, initializer=signal, initargs=(SIGINT, SIG_IGN))
    pool.submit(int).result()
    return pool
