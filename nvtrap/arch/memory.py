"""Physical memory as the models see it: bytes at addresses, little-endian.

Memory is sparse: a page comes into being when it is first written, and reads as zero
before. Accesses may cross pages.
"""

from __future__ import annotations

from nvtrap.errors import AddressError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

PAGE_BITS = 12
PAGE_SIZE = 1 << PAGE_BITS
_OFFSET = PAGE_SIZE - 1


class Memory:
    """RAM at `regions`, pairs of (base, size) in bytes; without them RAM is everywhere.

    Reads and writes raise `AddressError` when any byte of them lies outside RAM; such a
    write changes nothing.
    """

    __slots__ = ("_pages", "_regions")

    def __init__(self, regions: Iterable[tuple[int, int]] | None = None) -> None:
        self._regions = None if regions is None else sorted(regions)
        self._pages: dict[int, bytearray] = {}

    @property
    def regions(self) -> list[tuple[int, int]] | None:
        """Where RAM is, sorted by base; None where it is everywhere."""
        return None if self._regions is None else list(self._regions)

    def holds(self, address: int, size: int) -> bool:
        """Whether the bytes [address, address + size) all lie in RAM.

        They may stretch over regions that touch.
        """
        if address < 0:
            return False
        if self._regions is None:
            return True
        end = address + size
        for base, length in self._regions:
            if base <= address < base + length:
                address = base + length
                if end <= address:
                    return True
        return end <= address and size == 0

    def read(self, address: int, size: int) -> int:
        """The little-endian number in `size` bytes."""
        return int.from_bytes(self.read_bytes(address, size), "little")

    def write(self, address: int, size: int, value: int) -> None:
        """Store the low `size` bytes of `value`, little-endian."""
        value &= (1 << 8 * size) - 1
        self.write_bytes(address, value.to_bytes(size, "little"))

    def read_bytes(self, address: int, size: int) -> bytes:
        """`size` bytes from `address` on."""
        self._must_hold(address, size)
        parts = []
        for number, start, length in _pieces(address, size):
            page = self._pages.get(number)
            parts.append(bytes(length) if page is None else page[start : start + length])
        return b"".join(parts)

    def write_bytes(self, address: int, data: bytes) -> None:
        """Store `data` from `address` on."""
        self._must_hold(address, len(data))
        done = 0
        for number, start, length in _pieces(address, len(data)):
            page = self._pages.get(number)
            if page is None:
                page = self._pages[number] = bytearray(PAGE_SIZE)
            page[start : start + length] = data[done : done + length]
            done += length

    def page(self, address: int) -> bytearray:
        """The page that `address` lies in, itself: for who reads and writes a lot of it."""
        self._must_hold(address & -PAGE_SIZE, PAGE_SIZE)
        return self._pages.setdefault(address >> PAGE_BITS, bytearray(PAGE_SIZE))

    def copy(self) -> Memory:
        """Memory of the same contents, independent of this one."""
        copy = Memory(self._regions)
        copy._pages = {number: bytearray(page) for number, page in self._pages.items()}
        return copy

    def pages(self) -> dict[int, bytes]:
        """The pages that are not all zero, by their base address."""
        return {
            number << PAGE_BITS: bytes(page)
            for number, page in sorted(self._pages.items())
            if any(page)
        }

    def _must_hold(self, address: int, size: int) -> None:
        if not self.holds(address, size):
            raise AddressError(address)


def _pieces(address: int, size: int) -> Iterable[tuple[int, int, int]]:
    """(page, offset in it, length) of every page that the bytes touch."""
    end = address + size
    while address < end:
        start = address & _OFFSET
        length = min(PAGE_SIZE - start, end - address)
        yield address >> PAGE_BITS, start, length
        address += length
