"""The host's own stage-2 page tables (arch/arm64/kvm/hyp/pgtable.c of Linux 6.12).

They are real ones, descriptors in the host's memory as DDI 0487, D8.3 has them: 4K pages,
blocks of 2M and 1G, up to 16 tables side by side at the start level. Everything beyond a
leaf is made and undone with the break-before-make that the architecture asks for.
"""

from __future__ import annotations

from array import array
from errno import ENOMEM

from nvtrap.arch.memory import PAGE_BITS, PAGE_SIZE
from nvtrap.errors import UsageError
from nvtrap.kvm.errno import refuse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from nvtrap.kvm.memory.pagepool import HostPages, PageCache

LAST_LEVEL = 3
FIRST_BLOCK_LEVEL = 1
STRIDE = 9
ENTRIES = 1 << STRIDE

VALID, TABLE = 1 << 0, 1 << 1
READ, WRITE = 1 << 6, 1 << 7
ACCESS_FLAG = 1 << 10
NOT_EXECUTABLE = 1 << 54
INNER_SHAREABLE = 0b11 << 8
NORMAL, DEVICE = 0xF << 2, 0x1 << 2  # MemAttr: write-back, Device-nGnRE
MEMORY_TYPE = 0xF << 2
# Two software bits keep the level at which L1 maps the page, 1 to 3, 0 for none.
GUEST_LEVEL_SHIFT = 55
GUEST_LEVEL = 0b11 << GUEST_LEVEL_SHIFT
PERMISSIONS = READ | WRITE | NOT_EXECUTABLE
ADDRESS = (1 << 48) - 1 & -1 << PAGE_BITS

LEAST_LEVELS, LEAST_IPA_BITS, MOST_IPA_BITS = 2, 32, 48


def block_bits(level: int) -> int:
    """The bits of an address below what one descriptor of a level maps."""
    return (LAST_LEVEL - level) * STRIDE + PAGE_BITS


def block_size(level: int) -> int:
    """The bytes that one descriptor of a level maps."""
    return 1 << block_bits(level)


class PageTable:
    """The tables of one MMU, for IPAs of `ia_bits` bits.

    `flush` is called with (IPA, size) when a translation is taken away. Raises
    `UsageError` for sizes below 32 or above 48 bits, `OSError` ENOMEM without memory.
    """

    __slots__ = ("_flush", "_pages", "_root_pages", "ia_bits", "root", "start_level")

    def __init__(
        self, pages: HostPages, ia_bits: int, flush: Callable[[int, int], None] = lambda *_: None
    ) -> None:
        if not LEAST_IPA_BITS <= ia_bits <= MOST_IPA_BITS:
            raise UsageError(f"an IPA has {LEAST_IPA_BITS} to {MOST_IPA_BITS} bits")
        self._pages = pages
        self._flush = flush
        self.ia_bits = ia_bits
        # 16 tables may stand side by side: four bits fewer to resolve.
        levels = max(LEAST_LEVELS, (ia_bits - 8) // STRIDE)
        self.start_level = LAST_LEVEL + 1 - levels
        self._root_pages = 1 << max(0, ia_bits - block_bits(self.start_level) - STRIDE)
        root = pages.allocate(self._root_pages)
        if root is None:
            refuse(ENOMEM)
        self.root = root

    @property
    def least_pages(self) -> int:
        """How many pages one more mapping may take: a table for each level but the first."""
        return LAST_LEVEL - self.start_level

    def destroy(self) -> None:
        """Give all tables back to the host."""
        self._free_tables(self.root, self._root_pages * ENTRIES, self.start_level)
        self._pages.free(self.root, self._root_pages)

    # ---- reading -------------------------------------------------------------------

    def leaf(self, ipa: int) -> tuple[int, int]:
        """(level, descriptor) where the walk of an IPA ends; the descriptor may be invalid.

        An IPA beyond the tables ends at the start level with 0.
        """
        level, _, descriptor = self._find(ipa)
        return level, descriptor

    def leaves(self) -> Iterator[tuple[int, int, int]]:
        """(IPA, level, descriptor) of every mapping, by IPA."""
        for level, _, ipa, descriptor in self._walk(0, 1 << self.ia_bits):
            yield ipa, level, descriptor

    def _find(self, ipa: int) -> tuple[int, int, int]:
        """(level, address of the descriptor, descriptor) where the walk of an IPA ends."""
        if ipa >> self.ia_bits:
            return self.start_level, 0, 0
        level, read = self.start_level, self._pages.memory.read
        at = self.root + (ipa >> block_bits(level)) * 8
        descriptor = read(at, 8)
        while is_table(descriptor, level):
            level += 1
            at = descriptor & ADDRESS | (ipa >> block_bits(level) & ENTRIES - 1) * 8
            descriptor = read(at, 8)
        return level, at, descriptor

    def _walk(
        self, start: int, end: int, *, tables: bool = False
    ) -> Iterator[tuple[int, int, int, int]]:
        """(level, address, IPA, descriptor) of each valid leaf that [start, end) touches.

        With `tables`, of each table as well, after what is in it.
        """
        entries = self._root_pages * ENTRIES
        yield from self._walk_table(self.root, entries, self.start_level, 0, start, end, tables)

    def _walk_table(
        self, table: int, entries: int, level: int, base: int, start: int, end: int, tables: bool
    ) -> Iterator[tuple[int, int, int, int]]:
        bits = block_bits(level)
        first = max(0, start - base >> bits)
        last = min(entries, -(-(end - base) >> bits))
        words = array("Q", self._pages.memory.read_bytes(table + first * 8, (last - first) * 8))
        for index, descriptor in enumerate(words, first):
            if not descriptor & VALID:
                continue
            ipa = base + (index << bits)
            if is_table(descriptor, level):
                yield from self._walk_table(
                    descriptor & ADDRESS, ENTRIES, level + 1, ipa, start, end, tables
                )
                if not tables:
                    continue
            yield level, table + index * 8, ipa, descriptor

    # ---- changing ------------------------------------------------------------------

    def map(self, ipa: int, size: int, pa: int, attributes: int, cache: PageCache) -> bool:
        """Map [ipa, ipa + size) to `pa`, a page, 2M or 1G; false if it is there already.

        A mapping that differs in permissions alone is left as well: `relax` is for those.
        Raises `OSError` ENOMEM when `cache` runs out, which filling it beforehand rules out.
        """
        largest = block_size(max(self.start_level, FIRST_BLOCK_LEVEL))
        if size > largest:
            parts = range(0, size, largest)
            return True in [self.map(ipa + n, largest, pa + n, attributes, cache) for n in parts]
        memory = self._pages.memory
        new = pa & ADDRESS | attributes | VALID | (TABLE if size == PAGE_SIZE else 0)
        level = self.start_level
        table, index = self.root, ipa >> block_bits(level)
        while True:
            at, old = table + index * 8, memory.read(table + index * 8, 8)
            if block_size(level) == size:
                return self._make_leaf(at, level, ipa, old, new)
            if is_table(old, level):
                table = old & ADDRESS
            else:
                page = cache.take()
                if page is None:
                    refuse(ENOMEM)
                if old & VALID:
                    self._break(at, level, ipa)
                memory.write(at, 8, page | TABLE | VALID)
                table = page
            level += 1
            index = ipa >> block_bits(level) & ENTRIES - 1

    def unmap(self, ipa: int, size: int) -> None:
        """Take away what [ipa, ipa + size) touches, blocks as a whole, and empty tables."""
        memory = self._pages.memory
        for level, at, start, descriptor in list(self._walk(ipa, ipa + size, tables=True)):
            if not is_table(descriptor, level):
                self._break(at, level, start)
            elif not any(memory.read_bytes(descriptor & ADDRESS, PAGE_SIZE)):
                memory.write(at, 8, 0)
                self._pages.free(descriptor & ADDRESS)

    def relax(self, ipa: int, attributes: int) -> bool:
        """Add the permissions in `attributes` to a mapping; whether there was one."""
        level, at, old = self._find(ipa)
        if not old & VALID:
            return False
        new = old | attributes & (READ | WRITE)
        if not attributes & NOT_EXECUTABLE:
            new &= ~NOT_EXECUTABLE
        self._pages.memory.write(at, 8, new)
        self._flush(ipa & -block_size(level), block_size(level))
        return True

    def write_protect(self, ipa: int, size: int) -> None:
        """Take the write permission from what [ipa, ipa + size) touches; nothing is flushed."""
        for _, at, _, descriptor in self._walk(ipa, ipa + size):
            if descriptor & WRITE:
                self._pages.memory.write(at, 8, descriptor & ~WRITE)

    def make_young(self, ipa: int) -> int:
        """Set the access flag of a mapping; its descriptor before, invalid if there is none."""
        _, at, old = self._find(ipa)
        if old & VALID and not old & ACCESS_FLAG:
            self._pages.memory.write(at, 8, old | ACCESS_FLAG)
        return old

    def test_young(self, ipa: int, size: int, *, clear: bool) -> bool:
        """Whether anything in [ipa, ipa + size) was used since its access flag was cleared.

        With `clear` the flags are cleared; flushing is left to the caller.
        """
        young = False
        for _, at, _, descriptor in self._walk(ipa, ipa + size):
            if descriptor & ACCESS_FLAG:
                young = True
                if clear:
                    self._pages.memory.write(at, 8, descriptor & ~ACCESS_FLAG)
        return young

    def _make_leaf(self, at: int, level: int, ipa: int, old: int, new: int) -> bool:
        if old & VALID:
            if not is_table(old, level) and not (old ^ new) & ~PERMISSIONS:
                return False
            self._break(at, level, ipa)
            if is_table(old, level):
                self._free_tables(old & ADDRESS, ENTRIES, level + 1)
                self._pages.free(old & ADDRESS)
        self._pages.memory.write(at, 8, new)
        return True

    def _free_tables(self, table: int, entries: int, level: int) -> None:
        """Give back all tables below one."""
        end = entries << block_bits(level)
        for below, _, _, descriptor in self._walk_table(table, entries, level, 0, 0, end, True):
            if is_table(descriptor, below):
                self._pages.free(descriptor & ADDRESS)

    def _break(self, at: int, level: int, ipa: int) -> None:
        self._pages.memory.write(at, 8, 0)
        self._flush(ipa & -block_size(level), block_size(level))


def is_table(descriptor: int, level: int) -> bool:
    """Whether a descriptor leads to a table of the next level."""
    return level < LAST_LEVEL and descriptor & (VALID | TABLE) == VALID | TABLE
