"""The tables of an ITS in guest RAM: where entries are, and what KVM's ABI 0 writes in them.

Documentation/virt/kvm/devices/arm-vgic-its.rst; GITS_BASER<n> is IHI 0069, 12.19.1. All
entries have eight bytes.
"""

from __future__ import annotations

from nvtrap.errors import AddressError
from nvtrap.kvm.vgic.guest_memory import read_guest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from nvtrap.arch.memory import Memory

ENTRY = 8
PAGE = 0x1_0000  # of a table: KVM has pages of 64 KiB only
VALID = 1 << 63
INDIRECT = 1 << 62
MOST_ID = 0xFFFF  # of a device or a collection
LEVEL1_ADDRESS = (1 << 52) - (1 << 16)
NOT_MAPPED = 0xFFFF_FFFF  # the target of a collection that has none
MOST_DEVICE_STEP, MOST_EVENT_STEP = (1 << 14) - 1, (1 << 16) - 1


# ---- GITS_BASER<n> ----------------------------------------------------------------------


def table_address(baser: int) -> int:
    """Where a table is; bits 51:48 of the address stand in bits 15:12."""
    return baser & (1 << 48) - (1 << 16) | (baser >> 12 & 0xF) << 48


def table_size(baser: int) -> int:
    """The bytes of a table, of the first level if it has two."""
    return ((baser & 0xFF) + 1) * PAGE


def entry_address(memory: Memory, baser: int, id: int) -> int | None:
    """Where the entry of an id is; None for an id that has none in RAM (vgic_its_check_id)."""
    if id > MOST_ID:
        return None
    base, size, offset = table_address(baser), table_size(baser), id * ENTRY
    if baser & INDIRECT:
        index, offset = divmod(offset, PAGE)
        if index >= size // ENTRY:
            return None
        try:
            level1 = memory.read(base + index * ENTRY, ENTRY)
        except AddressError:
            return None
        if not level1 & VALID:
            return None
        base = level1 & LEVEL1_ADDRESS
    elif offset >= size:
        return None
    return base + offset if memory.holds(base + offset, ENTRY) else None


# ---- entries ----------------------------------------------------------------------------


def device_entry(step: int, table: int, event_bits: int) -> int:
    """A device: valid, how far it is to the next one, its translation table and its size."""
    return VALID | min(step, MOST_DEVICE_STEP) << 49 | table >> 8 << 5 | event_bits - 1


def device_fields(entry: int) -> tuple[int, int, int]:
    """(step, table, event bits) of a device's entry."""
    return entry >> 49 & MOST_DEVICE_STEP, (entry >> 5 & (1 << 44) - 1) << 8, (entry & 0x1F) + 1


def event_entry(step: int, lpi: int, collection: int) -> int:
    """An event: how far it is to the next one, its LPI and its collection."""
    return min(step, MOST_EVENT_STEP) << 48 | lpi << 16 | collection


def event_fields(entry: int) -> tuple[int, int, int]:
    """(step, LPI, collection) of an event's entry."""
    return entry >> 48, entry >> 16 & 0xFFFF_FFFF, entry & 0xFFFF


def collection_entry(target: int, id: int) -> int:
    """A collection: valid, its vCPU's id or `NOT_MAPPED`, its own id."""
    return VALID | target << 16 | id


def collection_fields(entry: int) -> tuple[int, int]:
    """(target, id) of a collection's entry."""
    return entry >> 16 & 0xFFFF_FFFF, entry & 0xFFFF


# ---- reading a table --------------------------------------------------------------------


def scan(
    memory: Memory, base: int, size: int, first: int, restore: Callable[[int, int], int]
) -> bool:
    """Hand a table's entries to `restore`, from the id `first` on; whether the last one was found.

    `restore` takes an id and its entry, and says how far it is to the next one, 0 for
    the last; an entry of zeros is always one away from the next. Raises `OSError` EFAULT
    outside RAM, and what `restore` raises (scan_its_table).
    """
    offset = 0
    while offset < size:
        entry = read_guest(memory, base + offset, ENTRY)
        if entry:
            step = restore(first + offset // ENTRY, entry)
            if step == 0:
                return True
        else:
            step = _zeros(memory, base + offset, size - offset)
        offset += step * ENTRY
    return False


def _zeros(memory: Memory, address: int, most: int) -> int:
    """How many entries of zeros can be passed over at once: to the end of a page, or one."""
    size = min(-address % 4096 or 4096, most)
    if memory.holds(address, size) and memory.read_bytes(address, size) == bytes(size):
        return size // ENTRY
    return 1
