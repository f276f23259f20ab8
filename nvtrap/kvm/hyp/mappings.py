"""What a host without VHE maps for its code at EL2: kernel addresses, devices, stacks.

EL2 has tables of its own: the kernel's addresses with other high bits, beside an identity
map of the code that turns the MMU on, and a private region that grows downwards from
there. Linux 6.12, arch/arm64/kvm/mmu.c and va_layout.c.
"""

from __future__ import annotations

from errno import EINVAL, ENOMEM

from nvtrap.arch.memory import PAGE_BITS, PAGE_SIZE
from nvtrap.kvm.errno import refuse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from nvtrap.kvm.memory.pagepool import HostPages

# How a page is mapped.
DATA, CODE, CONSTANTS, DEVICE = "RW", "RX", "RO", "device"

TABLE_SHARE = PAGE_BITS + 9
"""Bits of the addresses that share one last-level table."""


class Layout:
    """Addresses of a kernel with `va_bits` bits of them.

    `linear` is (kernel address, physical address, bytes) of its linear map, `idmap` (start,
    end) of the code that is mapped at its physical addresses.
    """

    __slots__ = ("_mask", "_tag", "idmap", "linear", "va_bits")

    def __init__(
        self, linear: tuple[int, int, int], idmap: tuple[int, int], *, va_bits: int = 48
    ) -> None:
        self.linear = linear
        self.idmap = (idmap[0] & -PAGE_SIZE, -(-idmap[1] // PAGE_SIZE) * PAGE_SIZE)
        self.va_bits = va_bits
        base, _, size = linear
        # The bits in which addresses of RAM differ stay; the top bit is not the idmap's.
        self._mask = (1 << (base ^ base + size - 1).bit_length()) - 1
        self._tag = ~idmap[0] & 1 << va_bits - 1

    def hyp_va(self, address: int) -> int:
        """EL2's address of a kernel address (kern_hyp_va)."""
        return address & self._mask | self._tag

    def physical(self, address: int) -> int:
        """The physical address of a kernel address in the linear map."""
        base, physical, _ = self.linear
        return physical + address - base

    @property
    def collides(self) -> bool:
        """Whether the identity map lies among EL2's addresses of RAM."""
        start = self.hyp_va(self.linear[0])
        end = self.hyp_va(self.linear[0] + self.linear[2] - 1)
        return start <= self.idmap[0] < end


class HypMappings:
    """EL2's tables: page → (physical page, one of the words above).

    Raises `OSError`: EINVAL when the identity map is in the way, ENOMEM without memory for
    tables.
    """

    __slots__ = ("_next", "_pages", "_tables", "layout", "mapped", "root")

    def __init__(self, pages: HostPages, layout: Layout) -> None:
        if layout.collides:
            refuse(EINVAL)
        self.layout = layout
        self.mapped: dict[int, tuple[int, str]] = {}
        self._pages = pages
        self._tables: dict[int, int] = {}
        self.root = self._allocate()
        self._next = layout.idmap[0]
        start, end = layout.idmap
        try:
            self.map(start, end - start, start, CODE)
        except OSError:
            self.free()
            raise

    def map(self, va: int, size: int, pa: int, kind: str) -> None:
        """Map the pages that [va, va + size) touches.

        Raises `OSError`: EINVAL where something else is mapped, ENOMEM.
        """
        first = va & -PAGE_SIZE
        pa &= -PAGE_SIZE
        for offset in range(0, va + size - first, PAGE_SIZE):
            page, new = first + offset, (pa + offset, kind)
            if self.mapped.get(page, new) != new:
                refuse(EINVAL)
            table = page >> TABLE_SHARE
            if table not in self._tables:
                self._tables[table] = self._allocate()
            self.mapped[page] = new

    def map_kernel(self, start: int, end: int, kind: str) -> None:
        """Map kernel memory [start, end) at EL2's address of it (create_hyp_mappings).

        Raises `OSError` as `map` does.
        """
        start &= -PAGE_SIZE
        self.map(self.layout.hyp_va(start), end - start, self.layout.physical(start), kind)

    def map_private(self, pa: int, size: int, kind: str) -> int:
        """Map a device's registers or code in the private region; EL2's address of `pa`.

        Raises `OSError` as `map` does, and ENOMEM when the region is used up.
        """
        offset = pa % PAGE_SIZE
        va = self._reserve(self._next - _up(size + offset))
        self.map(va, size + offset, pa, kind)
        return va + offset

    def map_stack(self, pa: int) -> int:
        """Map a page of stack above one that stays unmapped; the initial stack pointer.

        In a valid stack pointer's address bit 12 is set: that tells an overflow. Raises
        `OSError` as `map_private` does.
        """
        size = 2 * PAGE_SIZE
        va = self._reserve((self._next - size) & -size)
        self.map(va + PAGE_SIZE, PAGE_SIZE, pa, DATA)
        return va + size

    def find(self, va: int) -> tuple[int, str] | None:
        """(physical address, how it is mapped) of an address at EL2, or None."""
        found = self.mapped.get(va & -PAGE_SIZE)
        return None if found is None else (found[0] | va % PAGE_SIZE, found[1])

    def free(self) -> None:
        """Unmap everything and give the tables back (free_hyp_pgds)."""
        for table in (*self._tables.values(), self.root):
            self._pages.free(table)
        self._tables.clear()
        self.mapped.clear()

    def _reserve(self, base: int) -> int:
        """Take the private region down to `base`, unless it would leave its half."""
        if base < 0 or (base ^ self._next) & 1 << self.layout.va_bits - 1:
            refuse(ENOMEM)
        self._next = base
        return base

    def _allocate(self) -> int:
        page = self._pages.allocate()
        if page is None:
            refuse(ENOMEM)
        return page


def _up(size: int) -> int:
    return -(-size // PAGE_SIZE) * PAGE_SIZE
