"""Page-table memory: the host's pages, and a vCPU's store of them that is filled beforehand.

A page cannot be allocated under the lock that page tables change under, so that KVM tops
up the vCPU's store before a fault is handled (Linux 6.12, kvm_mmu_topup_memory_cache).
"""

from __future__ import annotations

from errno import ENOMEM

from nvtrap.arch.memory import PAGE_SIZE
from nvtrap.errors import UsageError
from nvtrap.kvm.errno import refuse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from nvtrap.arch.memory import Memory

# KVM_ARCH_NR_OBJS_PER_MEMORY_CACHE: how many pages a store takes in.
CAPACITY = 40


class HostPages:
    """The host's pages in `memory` from `base` on, `count` of them, for page tables.

    Raises `UsageError` when `base` is not that of a page or the pages are not RAM.
    """

    __slots__ = ("_end", "_free", "_next", "memory", "used")

    def __init__(self, memory: Memory, base: int, count: int) -> None:
        if base % PAGE_SIZE or not memory.holds(base, count * PAGE_SIZE):
            raise UsageError(f"there are no {count} pages of memory at {base:#x}")
        self.memory = memory
        self.used = 0
        """How many pages are handed out."""
        self._next = base
        self._end = base + count * PAGE_SIZE
        self._free: dict[int, list[int]] = {}

    def allocate(self, pages: int = 1) -> int | None:
        """The address of `pages` pages of zeros that lie together, or None.

        `pages` is a power of two, to which the address is aligned.
        """
        free = self._free.get(pages)
        size = pages * PAGE_SIZE
        if free:
            address = free.pop()
        else:
            address = -(-self._next // size) * size
            if address + size > self._end:
                return None
            for gap in range(self._next, address, PAGE_SIZE):
                self._free.setdefault(1, []).append(gap)
            self._next = address + size
        self.used += pages
        self.memory.write_bytes(address, bytes(size))
        return address

    def free(self, address: int, pages: int = 1) -> None:
        """Take back what `allocate` gave for the same number of pages."""
        self.used -= pages
        self._free.setdefault(pages, []).append(address)


class PageCache:
    """A store of zeroed pages for one vCPU (struct kvm_mmu_memory_cache)."""

    __slots__ = ("_host", "_pages", "shortest")

    def __init__(self, host: HostPages) -> None:
        self._host = host
        self._pages: list[int] = []
        self.shortest = CAPACITY
        """The fewest pages that were left after one was taken."""

    def __len__(self) -> int:
        return len(self._pages)

    def top_up(self, least: int) -> None:
        """Fill up, unless there are `least` pages already.

        Raises `OSError` ENOMEM when the host has not even those.
        """
        if len(self._pages) >= least:
            return
        while len(self._pages) < CAPACITY:
            page = self._host.allocate()
            if page is None:
                break
            self._pages.append(page)
        if len(self._pages) < least:
            refuse(ENOMEM)

    def take(self) -> int | None:
        """A page of zeros; None when the store is empty, which `top_up` rules out."""
        if not self._pages:
            return None
        page = self._pages.pop()
        self.shortest = min(self.shortest, len(self._pages))
        return page

    def free(self) -> None:
        """Give everything back."""
        for page in self._pages:
            self._host.free(page)
        self._pages.clear()
