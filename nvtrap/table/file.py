r"""The file of a compiled table.

::

    b"nvtrap-table\\n"  version u16  crc32 u32  five lengths u32     (little endian)
    records   JSON: slots, groups, controls, parts, rules, files, sources
    index     a u16 for each encoding, its rule's number, deflated; behind the 65,536
              encodings come the instructions that have none
    names     lines `NAME encoding flags`, see `nvtrap.table.names`
    fields    lines `REGISTER {…}`
    features  JSON, see `nvtrap.table.features`

The checksum covers everything behind it. All but records and index is decoded when asked for.
Nothing in a file from elsewhere is trusted: see `nvtrap.table.check`.
"""

from __future__ import annotations

import sys
import zlib
from json import dumps, loads

from nvtrap.arch.encoding import ENCODINGS
from nvtrap.errors import TableError
from nvtrap.table.model import CompiledTable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeVar

    T = TypeVar("T", bound=CompiledTable)

MAGIC = b"nvtrap-table\n"
VERSION = 1
SUFFIX = ".nvtable"
MOST_BYTES = 64 << 20
MOST_NAMED = 1024
SECTIONS = 5
# What comes of taking a record for what it is not.
_MALFORMED = (AttributeError, IndexError, KeyError, RecursionError, TypeError, ValueError)
_HEADER = len(MAGIC) + 2 + 4 + 4 * SECTIONS


def pack(
    data: dict[str, Any], rule_of: memoryview[int], names: str, fields: str, features: str
) -> bytes:
    """The bytes of a table file."""
    sections = [
        dumps(data, separators=(",", ":")).encode(),
        zlib.compress(_little_endian(rule_of.tobytes()), 6),
        names.encode(),
        fields.encode(),
        features.encode(),
    ]
    lengths = b"".join(len(section).to_bytes(4, "little") for section in sections)
    body = lengths + b"".join(sections)
    return MAGIC + VERSION.to_bytes(2, "little") + zlib.crc32(body).to_bytes(4, "little") + body


def unpack(blob: bytes, kind: type[T], *, trusted: bool = False) -> T:
    """The table in `blob`, as a `kind`.

    A table that this program wrote itself is `trusted` on its checksum; any other is
    checked whole, see `nvtrap.table.check`.

    Raises `TableError` when it is no table, of another version, or damaged.
    """
    records, index, *catalogue = sections(blob)
    rule_of = memoryview(_little_endian(_inflate(index))).cast("H")
    try:
        data = loads(records)
        if not trusted:
            from nvtrap.table.check import check

            check(data, rule_of, *catalogue)
        return kind(data, rule_of, *catalogue)
    except _MALFORMED:
        raise TableError("the compiled table is malformed (a record has another shape)") from None


def sections(blob: bytes) -> list[bytes]:
    """The sections, after magic, version and checksum were compared."""
    if blob[: len(MAGIC)] != MAGIC:
        raise TableError("this is not a compiled table")
    version = int.from_bytes(blob[len(MAGIC) : len(MAGIC) + 2], "little")
    if version != VERSION:
        raise TableError(
            f"the compiled table has format version {version}, this nvtrap reads {VERSION}",
            "compile it again from its rules",
        )
    body = blob[len(MAGIC) + 6 :]
    crc = int.from_bytes(blob[len(MAGIC) + 2 : len(MAGIC) + 6], "little")
    if len(blob) < _HEADER or zlib.crc32(body) != crc:
        raise TableError("the compiled table is truncated or altered (its checksum differs)")
    lengths = [int.from_bytes(body[at : at + 4], "little") for at in range(0, 4 * SECTIONS, 4)]
    if sum(lengths) != len(body) - 4 * SECTIONS:
        raise TableError("the compiled table is malformed (its sections do not add up)")
    found, at = [], 4 * SECTIONS
    for length in lengths:
        found.append(body[at : at + length])
        at += length
    return found


def _inflate(index: bytes) -> bytes:
    least, most = 2 * ENCODINGS, 2 * (ENCODINGS + MOST_NAMED)
    inflater = zlib.decompressobj()
    try:
        plain = inflater.decompress(index, most + 1)
    except zlib.error:
        plain = b""
    if not least <= len(plain) <= most or len(plain) % 2:
        raise TableError("the compiled table is malformed (its index has another size)")
    return plain


def _little_endian(index: bytes) -> bytes:
    if sys.byteorder == "little":
        return index
    swapped = bytearray(index)
    swapped[::2], swapped[1::2] = index[1::2], index[::2]
    return bytes(swapped)


def write(path: str, blob: bytes) -> None:
    """Put `blob` at `path` in one step: readers see the old file or the new one.

    Raises `OSError` as the file system does; nothing is left behind then.
    """
    import os
    from tempfile import mkstemp

    folder = os.path.dirname(path)
    os.makedirs(folder, exist_ok=True)
    handle, draft = mkstemp(dir=folder, prefix=".nvtrap-")
    try:
        with open(handle, "wb") as file:
            file.write(blob)
        os.chmod(draft, 0o666 & ~_umask())
        os.replace(draft, path)
    except BaseException:
        os.unlink(draft)
        raise


def _umask() -> int:
    """The process's umask, which can only be read by setting it."""
    import os

    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def read(path: str) -> bytes:
    """The bytes of the table file at `path`.

    Raises `TableError` when it cannot be read or is far too large.
    """
    try:
        with open(path, "rb") as file:
            blob = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise TableError(f"`{path}` cannot be read: {error.strerror or error}") from None
    if len(blob) > MOST_BYTES:
        raise TableError(f"`{path}` is too large for a compiled table")
    return blob
