"""Where a guest's memory comes from: IPA → the VMM's address → the host's memory.

A VM's memory slots (KVM_SET_USER_MEMORY_REGION, virt/kvm/kvm_main.c of Linux 6.12) lead
to addresses of its VMM, and those to the host's. When the VMM's memory changes, the VMs
that were built on it are told by notifiers before it does.
"""

from __future__ import annotations

from bisect import bisect_right
from errno import EEXIST, EFAULT, EINVAL

from nvtrap.arch.memory import PAGE_SIZE
from nvtrap.errors import AddressError, UsageError
from nvtrap.kvm.errno import refuse
from nvtrap.kvm.exits.mmio import NO_SLOT, RAM, READ_ONLY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Protocol

    from nvtrap.arch.memory import Memory

    class Notified(Protocol):
        """A VM that hears of changes to its VMM's memory, in VMM's addresses."""

        def on_unmap(self, hva: int, size: int) -> None:
            """Nothing may be mapped to [hva, hva + size) any more."""
            ...

        def on_age(self, hva: int, size: int, *, clear: bool) -> bool:
            """Whether the guest used it since last asked with `clear`."""
            ...


BLOCK_SIZES = (PAGE_SIZE, 2 << 20, 1 << 30)

# Flags of a slot, as in the ioctl.
LOG_DIRTY_PAGES = 1 << 0
READONLY = 1 << 1
MOST_SLOTS = 32767
MOST_BYTES = (1 << 31) - 1 << 12  # KVM_MEM_MAX_NR_PAGES


class Area:
    """[base, base + size) of a VMM's addresses, which lie at `pa` in the host's memory.

    `block` is the size that the host maps it with, a page or a huge page of 2M or 1G.
    `device`: it is no memory but a device's registers.
    """

    __slots__ = ("base", "block", "device", "pa", "size", "writable")

    def __init__(
        self, base: int, size: int, pa: int, *, block: int, writable: bool, device: bool
    ) -> None:
        self.base = base
        self.size = size
        self.pa = pa
        self.block = block
        self.writable = writable
        self.device = device

    def part(self, start: int, end: int) -> Area:
        """What of it lies in [start, end); in pages when that cuts a huge page."""
        start, end = max(start, self.base), min(end, self.base + self.size)
        pa = self.pa + start - self.base
        block = PAGE_SIZE if (start | end) % self.block else self.block
        return Area(start, end - start, pa, block=block, writable=self.writable, device=self.device)


class AddressSpace:
    """The addresses of one VMM, in order, over the host's `memory`."""

    __slots__ = ("_areas", "memory", "notified")

    def __init__(self, memory: Memory) -> None:
        self.memory = memory
        self.notified: list[Notified] = []
        """The VMs to tell."""
        self._areas: list[Area] = []

    def find(self, hva: int) -> Area | None:
        """The area that an address lies in."""
        index = bisect_right(self._areas, hva, key=_base)
        if index == 0:
            return None
        area = self._areas[index - 1]
        return area if hva < area.base + area.size else None

    def map(
        self,
        hva: int,
        size: int,
        pa: int,
        *,
        block: int = PAGE_SIZE,
        writable: bool = True,
        device: bool = False,
    ) -> None:
        """Put the host's memory at `pa` behind [hva, hva + size), instead of what was there.

        This is mmap as well as a page that moves. Raises `UsageError` when a number is no
        multiple of `block`, or that no size of a page.
        """
        if block not in BLOCK_SIZES:
            raise UsageError(f"a page of {block} bytes is not among {BLOCK_SIZES}")
        if size <= 0 or min(hva, pa) < 0 or (hva | size | pa) % block:
            raise UsageError(f"{hva:#x}, {size:#x} and {pa:#x} are not all pages of {block:#x}")
        self.unmap(hva, size)
        area = Area(hva, size, pa, block=block, writable=writable, device=device)
        self._areas.insert(bisect_right(self._areas, hva, key=_base), area)

    def unmap(self, hva: int, size: int) -> None:
        """munmap, or the host takes the memory: nothing is behind [hva, hva + size)."""
        for vm in self.notified:
            vm.on_unmap(hva, size)
        end = hva + size
        kept: list[Area] = []
        for area in self._areas:
            last = area.base + area.size
            if last <= hva or area.base >= end:
                kept.append(area)
                continue
            if area.base < hva:
                kept.append(area.part(area.base, hva))
            if last > end:
                kept.append(area.part(end, last))
        self._areas = kept

    def age(self, hva: int, size: int, *, clear: bool = True) -> bool:
        """Whether a guest used [hva, hva + size) since this was last asked with `clear`."""
        return True in [vm.on_age(hva, size, clear=clear) for vm in self.notified]


class Slot:
    """[base, base + size) of a VM's physical addresses, at `hva` of its VMM.

    `dirty` are the pages, counted from `base`, written while they are logged.
    """

    __slots__ = ("base", "dirty", "flags", "hva", "id", "size")

    def __init__(self, id: int, base: int, size: int, hva: int, flags: int) -> None:
        self.id = id
        self.base = base
        self.size = size
        self.hva = hva
        self.flags = flags
        self.dirty: set[int] = set()

    @property
    def is_read_only(self) -> bool:
        """Whether the guest's stores go to user space."""
        return self.flags & READONLY != 0

    @property
    def logs_dirty(self) -> bool:
        """Whether the pages that the guest writes are noted (memslot_is_logging)."""
        return self.flags & (LOG_DIRTY_PAGES | READONLY) == LOG_DIRTY_PAGES

    def hva_of(self, ipa: int) -> int:
        """The VMM's address of an IPA in the slot."""
        return self.hva + ipa - self.base

    def take_dirty(self) -> set[int]:
        """KVM_GET_DIRTY_LOG: the pages written since the last call."""
        dirty, self.dirty = self.dirty, set()
        return dirty


class Slots:
    """The slots of one VM, for IPAs of `ipa_bits` bits, on the addresses of its VMM."""

    __slots__ = ("_by_base", "_by_id", "ipa_bits", "space")

    def __init__(self, space: AddressSpace, ipa_bits: int = 40) -> None:
        self.space = space
        self.ipa_bits = ipa_bits
        self._by_id: dict[int, Slot] = {}
        self._by_base: list[Slot] = []

    def __iter__(self) -> Iterator[Slot]:
        return iter(self._by_base)

    def find(self, ipa: int) -> Slot | None:
        """The slot that an IPA lies in."""
        index = bisect_right(self._by_base, ipa, key=_base)
        if index == 0:
            return None
        slot = self._by_base[index - 1]
        return slot if ipa < slot.base + slot.size else None

    def behind(self, ipa: int) -> str:
        """What lies behind an IPA, in the words of `nvtrap.kvm.exits.mmio`."""
        slot = self.find(ipa)
        if slot is None:
            return NO_SLOT
        return READ_ONLY if slot.is_read_only else RAM

    def set(self, id: int, base: int, size: int, hva: int, flags: int = 0) -> tuple[Slot, ...]:
        """KVM_SET_USER_MEMORY_REGION; size 0 deletes. The slots whose mappings must go.

        Raises `OSError`: EINVAL for what is not whole pages, an id or flags that there are
        not, a deletion of nothing, and a change of size, address or read-only; EEXIST for
        an overlap; EFAULT beyond the VM's addresses.
        """
        if (base | size | hva) % PAGE_SIZE or min(base, size, hva) < 0 or size > MOST_BYTES:
            refuse(EINVAL)
        if not 0 <= id < MOST_SLOTS or flags & ~(LOG_DIRTY_PAGES | READONLY):
            refuse(EINVAL)
        old = self._by_id.get(id)
        if not size:
            if old is None:
                refuse(EINVAL)
            self._replace(old, None)
            return (old,)
        new = Slot(id, base, size, hva, flags)
        if old is not None:
            return self._change(old, new)
        self._check_place(new)
        self._replace(None, new)
        return ()

    def read(self, ipa: int, size: int) -> int:
        """The little-endian number in `size` bytes of guest memory (kvm_read_guest).

        Raises `AddressError` where there is none.
        """
        value = 0
        for start, length, done in _pieces(ipa, size):
            value |= self.space.memory.read(self._pa(start), length) << 8 * done
        return value

    def write(self, ipa: int, size: int, value: int) -> None:
        """Store `size` bytes, little-endian (kvm_write_guest).

        Raises `AddressError` where the guest has no memory that can be written.
        """
        pieces = [
            (self._pa(start, write=True), length, done)
            for start, length, done in _pieces(ipa, size)
        ]
        for pa, length, done in pieces:
            self.space.memory.write(pa, length, value >> 8 * done)

    def ranges(self, hva: int, size: int) -> Iterator[tuple[int, int]]:
        """(IPA, size) of everything that lies at [hva, hva + size) of the VMM."""
        for slot in self._by_base:
            start, end = max(hva, slot.hva), min(hva + size, slot.hva + slot.size)
            if start < end:
                yield slot.base + start - slot.hva, end - start

    def _pa(self, ipa: int, *, write: bool = False) -> int:
        slot = self.find(ipa)
        if slot is None or (write and slot.is_read_only):
            raise AddressError(ipa)
        hva = slot.hva_of(ipa)
        area = self.space.find(hva)
        if area is None or area.device or (write and not area.writable):
            raise AddressError(ipa)
        if write and slot.logs_dirty:
            slot.dirty.add((ipa - slot.base) // PAGE_SIZE)
        return area.pa + hva - area.base

    def _change(self, old: Slot, new: Slot) -> tuple[Slot, ...]:
        if old.size != new.size or old.hva != new.hva or (old.flags ^ new.flags) & READONLY:
            refuse(EINVAL)
        if old.base != new.base:
            self._check_place(new)
        new.dirty = old.dirty if new.logs_dirty else set()
        self._replace(old, new)
        return (old,) if old.base != new.base else ()

    def _check_place(self, new: Slot) -> None:
        end = new.base + new.size
        if any(
            new.base < slot.base + slot.size and slot.base < end and slot.id != new.id
            for slot in self._by_base
        ):
            refuse(EEXIST)
        if end > 1 << self.ipa_bits:
            refuse(EFAULT)

    def _replace(self, old: Slot | None, new: Slot | None) -> None:
        if old is not None:
            self._by_base.remove(old)
            del self._by_id[old.id]
        if new is not None:
            self._by_base.insert(bisect_right(self._by_base, new.base, key=_base), new)
            self._by_id[new.id] = new


def _base(place: Area | Slot) -> int:
    return place.base


def _pieces(address: int, size: int) -> Iterator[tuple[int, int, int]]:
    """(address, length, bytes before it) of each page's part of [address, address + size)."""
    done = 0
    while done < size:
        start = address + done
        length = min(size - done, PAGE_SIZE - start % PAGE_SIZE)
        yield start, length, done
        done += length
