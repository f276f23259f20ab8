"""Many accesses in few words: directions joined, runs of array elements folded."""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from nvtrap.engine import Table


def in_words(table: Table, accesses: Iterable[tuple[int, bool]]) -> str:
    """`read REVIDR_EL1, AIDR_EL1; read/write DBGBVR0_EL1 .. DBGBVR15_EL1`."""
    return "; ".join(f"{word} {', '.join(names)}" for word, names in folded(table, accesses))


def folded(table: Table, accesses: Iterable[tuple[int, bool]]) -> Iterator[tuple[str, list[str]]]:
    """(direction, names), runs of names folded."""
    directions: dict[str, set[bool]] = {}
    for encoding, write in sorted(accesses):
        directions.setdefault(table.name_of(encoding, write), set()).add(write)
    by_directions: dict[str, list[str]] = {}
    for name, both in directions.items():
        by_directions.setdefault(direction_word(both), []).append(name)
    for word, names in by_directions.items():
        yield word, list(_folded(names))


def direction_word(directions: set[bool]) -> str:
    """`read`, `write` or `read/write`."""
    return "read/write" if len(directions) == 2 else "write" if True in directions else "read"


def _folded(names: list[str]) -> Iterator[str]:
    """The names, runs of three and more consecutive numbers as `first .. last`."""
    families: dict[tuple[str, str], list[int]] = {}
    plain: list[str] = []
    for name in names:
        match = re.match(r"^(.*?\D)(\d+)((?:_EL\d+)?)$", name)
        if match is None or name.startswith("S"):
            plain.append(name)
        else:
            families.setdefault((match[1], match[3]), []).append(int(match[2]))
    yield from _runs_of_encodings(plain)
    for (head, tail), numbers in families.items():
        for first, last in _runs(sorted(numbers)):
            if last - first < 2:
                yield from (f"{head}{number}{tail}" for number in range(first, last + 1))
            else:
                yield f"{head}{first}{tail} .. {head}{last}{tail}"


def _runs_of_encodings(names: list[str]) -> Iterator[str]:
    """Names as they are; unnamed encodings in runs."""
    from nvtrap.arch import generic_name, parse_encoding

    encodings = []
    for name in names:
        encoding = parse_encoding(name)
        if encoding is None:
            yield name
        else:
            encodings.append(encoding)
    for first, last in _runs(sorted(encodings)):
        if last - first < 2:
            yield from (generic_name(encoding) for encoding in range(first, last + 1))
        else:
            yield f"{generic_name(first)} .. {generic_name(last)}"


def _runs(numbers: list[int]) -> Iterator[tuple[int, int]]:
    first = last = None
    for number in numbers:
        if last is not None and number == last + 1:
            last = number
            continue
        if first is not None and last is not None:
            yield first, last
        first = last = number
    if first is not None and last is not None:
        yield first, last
