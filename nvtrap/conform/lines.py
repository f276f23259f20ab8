"""Lines of JSON from files, plain or packed, or from standard input."""

from __future__ import annotations

from nvtrap.errors import UsageError
from nvtrap.inputs import parse_json
from nvtrap.streams import unpacked

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any


MOST_IN_A_LINE = 1 << 24


def read_lines(path: str) -> Iterator[bytes]:
    """The lines of a file; `-` is standard input, what is packed is unpacked.

    Of a line longer than a line may be only the beginning comes, too long for
    `parse_object`. Raises `InputError` when the file cannot be read or is damaged.
    """
    with unpacked(path) as file:
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
