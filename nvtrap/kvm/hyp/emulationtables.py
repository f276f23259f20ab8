"""The check of KVM's emulation tables when the host starts.

They are searched by bisection, so that an entry out of order would never be found, and a
register that stands in two could not be told apart. Linux 6.12, check_sysreg_table and
populate_sysreg_config of arch/arm64/kvm.
"""

from __future__ import annotations

from nvtrap.arch.encoding import generic_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

# Ten bits hold an entry's number plus one; 0 is no entry.
MOST_ENTRIES = (1 << 10) - 2
NO_REGISTER = 0
"""The encoding of none: of the AArch64 ones it is no register's."""


def problems(tables: Mapping[str, Sequence[int]]) -> Iterator[str]:
    """What is wrong with AArch64 tables, encodings by the table's name; a sentence each.

    All of them share one space, in which every register may stand once.
    """
    seen: dict[int, str] = {}
    for name, encodings in tables.items():
        yield from out_of_order(name, [(encoding,) for encoding in encodings])
        for index, encoding in enumerate(encodings):
            register = generic_name(encoding)
            if index >= MOST_ENTRIES:
                yield f"{name}: {register} is entry {index}, there are {MOST_ENTRIES} at most"
            if encoding == NO_REGISTER:
                yield f"{name}: encoding 0 is reserved"
            if seen.setdefault(encoding, name) != name:
                yield f"{name}: {register} stands in {seen[encoding]} too"


def out_of_order(name: str, keys: Iterable[tuple[int, ...]]) -> Iterator[str]:
    """A sentence for each key that is not above the one before it."""
    last: tuple[int, ...] | None = None
    for index, key in enumerate(keys):
        if last is not None and key <= last:
            what = "duplicate" if key == last else "out of order"
            yield f"{name}: entry {index} {key} is {what}"
        last = key
