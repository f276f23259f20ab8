"""Frames of registers: which there are, in which sizes, and who answers for them.

Linux 6.12, arch/arm64/kvm/vgic/vgic-mmio.c. An access that no register takes, for its
offset, its size, its alignment or an INTID that is none, reads as zero and writes nothing.
"""

from __future__ import annotations

from bisect import bisect_right

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from nvtrap.kvm.vcpu import Vcpu
    from nvtrap.kvm.vgic.vgic import Vgic

    # Of the vCPU (a redistributor's own one), the offset in the frame and the size in bytes.
    Read = Callable[[Vcpu, int, int], int]
    Write = Callable[[Vcpu, int, int, int], None]

WORD = frozenset({4})
BYTE_OR_WORD = frozenset({1, 4})
WORD_OR_DOUBLE = frozenset({4, 8})
# How many INTIDs a distributor's registers have room for.
ROOM = 1024


class Register:
    """One register, or an array of them, at [offset, offset + length) of a frame.

    `bits` is what an array has for each INTID, else 0; `sizes` are the sizes in which a
    guest may access it. `user_read` and `user_write` answer to user space, which
    reads and writes 32 bits at a time; where they are None it is answered as a guest is.
    """

    __slots__ = ("bits", "length", "offset", "read", "sizes", "user_read", "user_write", "write")

    def __init__(
        self,
        offset: int,
        length: int,
        read: Read,
        write: Write,
        *,
        user_read: Read | None = None,
        user_write: Write | None = None,
        bits: int = 0,
        sizes: frozenset[int] = WORD,
    ) -> None:
        self.offset = offset
        self.length = length
        self.read = read
        self.write = write
        self.user_read = user_read or read
        self.user_write = user_write or write
        self.bits = bits
        self.sizes = sizes


class Table:
    """The registers of a kind of frame."""

    __slots__ = ("_offsets", "_registers")

    def __init__(self, registers: Iterable[Register]) -> None:
        self._registers = sorted(registers, key=_offset)
        self._offsets = [register.offset for register in self._registers]

    def find(self, vgic: Vgic, offset: int, size: int) -> Register | None:
        """The register that takes an access of this size at this offset, else None."""
        place = bisect_right(self._offsets, offset) - 1
        if place < 0:
            return None
        register = self._registers[place]
        if offset >= register.offset + register.length:
            return None
        if size not in register.sizes or offset % size:
            return None
        if register.bits and intid_at(offset, register.bits) >= vgic.nr_irqs:
            return None
        return register

    def read(self, vcpu: Vcpu, offset: int, size: int) -> int:
        """A guest's load."""
        register = self.find(vcpu.vgic, offset, size)
        if register is None:
            return 0
        return register.read(vcpu, offset, size) & (1 << 8 * size) - 1

    def write(self, vcpu: Vcpu, offset: int, size: int, value: int) -> None:
        """A guest's store."""
        register = self.find(vcpu.vgic, offset, size)
        if register is not None:
            register.write(vcpu, offset, size, value & (1 << 8 * size) - 1)

    def user_read(self, vcpu: Vcpu, offset: int) -> int:
        """User space reads 32 bits (vgic_uaccess)."""
        register = self.find(vcpu.vgic, offset, 4)
        return 0 if register is None else register.user_read(vcpu, offset, 4) & 0xFFFF_FFFF

    def user_write(self, vcpu: Vcpu, offset: int, value: int) -> None:
        """User space writes 32 bits; raises the `OSError` of a register that refuses it."""
        register = self.find(vcpu.vgic, offset, 4)
        if register is not None:
            register.user_write(vcpu, offset, 4, value)


class Frame:
    """Registers on the bus, at [base, base + length); with `vcpu` they are that vCPU's own."""

    __slots__ = ("base", "length", "table", "vcpu")

    def __init__(self, table: Table, base: int, length: int, vcpu: Vcpu | None = None) -> None:
        self.table = table
        self.base = base
        self.length = length
        self.vcpu = vcpu

    def read(self, vcpu: Vcpu, offset: int, size: int) -> int:
        """A load by `vcpu`."""
        return self.table.read(self.vcpu or vcpu, offset, size)

    def write(self, vcpu: Vcpu, offset: int, size: int, value: int) -> None:
        """A store by `vcpu`."""
        self.table.write(self.vcpu or vcpu, offset, size, value)


def intid_at(offset: int, bits: int) -> int:
    """The first INTID that an offset in an array with `bits` an INTID stands for."""
    return (offset & (bits * ROOM // 8) - 1) * 8 // bits


def per_intid(
    offset: int,
    bits: int,
    read: Read,
    write: Write,
    *,
    user_read: Read | None = None,
    user_write: Write | None = None,
    sizes: frozenset[int] = WORD,
    first: int = 0,
    count: int = ROOM,
) -> Register:
    """An array with `bits` for each of `count` INTIDs from `first` on; INTID 0 at `offset`."""
    return Register(
        offset + first * bits // 8,
        count * bits // 8,
        read,
        write,
        user_read=user_read,
        user_write=user_write,
        bits=bits,
        sizes=sizes,
    )


def part(value: int, offset: int, size: int) -> int:
    """The bytes of a 64-bit register that an access at `offset` reads."""
    return value >> (offset & 7) * 8 & (1 << 8 * size) - 1


def with_part(register: int, offset: int, size: int, value: int) -> int:
    """A 64-bit register after a write to one of its halves, or all of it."""
    shift = (offset & 4) * 8
    mask = (1 << 8 * size) - 1 << shift
    return (register & ~mask | value << shift & mask) & (1 << 64) - 1


def zero(_vcpu: Vcpu, _offset: int, _size: int) -> int:
    """Read as zero."""
    return 0


def ones(_vcpu: Vcpu, _offset: int, _size: int) -> int:
    """Read as ones."""
    return -1


def ignore(_vcpu: Vcpu, _offset: int, _size: int, _value: int) -> None:
    """Ignore a write."""


def _offset(register: Register) -> int:
    return register.offset
