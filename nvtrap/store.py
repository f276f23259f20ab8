"""Finding tables: shipped ones by name, others by path, compiled anew when need be.

A shipped table of an installed package is a compiled file, trusted on its checksum. A
table from rule files is kept in the user's cache and used from there while its sources
are unchanged; a cache that cannot be written costs time, nothing else.
"""

from __future__ import annotations

import os

from nvtrap.engine import Table
from nvtrap.errors import TableError, UnknownNameError
from nvtrap.places import cache_root, rules_root, shipped_tables
from nvtrap.sources import tool_stamp, unchanged
from nvtrap.table.file import MAGIC, SUFFIX, read, unpack, write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

RULE_SUFFIX = ".trap"


def _say_nothing(message: str) -> None:
    """Take a warning and keep it to oneself."""
    del message


def load(name: str, warn: Callable[[str], None] = _say_nothing) -> Table:
    """The table `name`: the name of a shipped one, or the path of a rule or table file.

    `warn` is told when a damaged cached table was made again. Raises
    `UnknownNameError`, `TableError`, or `RulesError` when the rules have errors.
    """
    if os.sep in name or name.endswith((RULE_SUFFIX, SUFFIX)) or os.path.isfile(name):
        return _from_path(name, warn)
    folder = shipped_tables()
    if folder is not None:
        path = os.path.join(folder, name + SUFFIX)
        if os.path.isfile(path):
            return unpack(read(path), Table, trusted=True)
        raise UnknownNameError("table", name, table_names())
    from_cache = _cached(f"shipped {name} {rules_root()}", warn)
    if from_cache is not None:
        return from_cache
    from nvtrap.compile import find_table

    rules = find_table(name)
    if rules is None:
        raise UnknownNameError("table", name, table_names())
    return _compile(rules, f"shipped {name} {rules_root()}")


def table_names() -> list[str]:
    """The names of the shipped tables, sorted."""
    folder = shipped_tables()
    if folder is not None:
        names = [name for name in os.listdir(folder) if name.endswith(SUFFIX)]
        return sorted(name[: -len(SUFFIX)] for name in names)
    from nvtrap.compile import table_files

    return sorted(table_files())


def _from_path(path: str, warn: Callable[[str], None]) -> Table:
    if not os.path.isfile(path):
        kind = "a folder" if os.path.isdir(path) else "no file"
        raise TableError(f"`{path}` is {kind}, a table is one rule file or compiled table")
    try:
        with open(path, "rb") as file:
            is_compiled = file.read(len(MAGIC)) == MAGIC
    except OSError as error:
        raise TableError(f"`{path}` cannot be read: {error.strerror or error}") from None
    if is_compiled or path.endswith(SUFFIX):
        return _unpack(path)
    key = os.path.realpath(path)
    return _cached(key, warn) or _compile(key, key)


def _unpack(path: str) -> Table:
    try:
        return unpack(read(path), Table)
    except TableError as error:
        raise TableError(f"`{path}`: {error.message}", error.help) from None


def _cache_path(key: str) -> str:
    from zlib import adler32, crc32

    name = key.encode(errors="surrogateescape")
    return os.path.join(cache_root(), f"{crc32(name):08x}{adler32(name):08x}{SUFFIX}")


def _cached(key: str, warn: Callable[[str], None]) -> Table | None:
    """The cached table for `key`, if it is there, sound, and its sources are unchanged."""
    path = _cache_path(key)
    if not os.path.isfile(path):
        return None
    try:
        table = unpack(read(path), Table, trusted=True)
    except TableError as error:
        warn(f"the cached table `{path}` was made again: {error.message}")
        return None
    if table.key != key or table.tool != tool_stamp() or not unchanged(table.sources):
        return None
    return table


def _compile(path: str, key: str) -> Table:
    """Compile the rules at `path` and keep the result in the cache."""
    from nvtrap.compile import compiled

    blob = compiled(path, key=key)
    try:
        write(_cache_path(key), blob)
    except OSError:
        pass
    return unpack(blob, Table, trusted=True)
