"""Whether a compiled table still is what its rule files say.

Size and time of each source are compared first; its content only when they differ.
A folder counts by the names of the rule files in it.
"""

from __future__ import annotations

import os

from nvtrap import __version__
from nvtrap.places import grammar_root, shipped_tables

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

SUFFIX = ".trap"


def fingerprint(path: str) -> list[Any]:
    """[path, size, mtime in ns, hash of the content] of a file or folder."""
    size, time = _size_and_time(path)
    return [path, size, time, _digest(path)]


def unchanged(sources: Sequence[Sequence[Any]]) -> bool:
    """Whether every source is as its fingerprint says."""
    for path, size, time, digest in sources:
        try:
            if _size_and_time(path) != (size, time) and _digest(path) != digest:
                return False
        except OSError:
            return False
    return True


def _size_and_time(path: str) -> tuple[int, int]:
    stat = os.stat(path)
    return stat.st_size, stat.st_mtime_ns


def _digest(path: str) -> str:
    from hashlib import sha256

    if os.path.isdir(path):
        names = sorted(name for name in os.listdir(path) if name.endswith(SUFFIX))
        return sha256("\n".join(names).encode()).hexdigest()
    with open(path, "rb") as file:
        return sha256(file.read()).hexdigest()


def tool_stamp() -> str:
    """What compiled a table: the version, and in a checkout the compiler's newest change."""
    if shipped_tables() is not None:
        return __version__
    package = os.path.dirname(os.path.abspath(__file__))
    folders = [os.path.join(package, name) for name in ("lang", "compile", "table")]
    times = [
        entry.stat().st_mtime_ns
        for folder in (*folders, grammar_root())
        for entry in os.scandir(folder)
        if entry.name.endswith((".py", ".lark"))
    ]
    return f"{__version__}+{max(times)}"
