"""A frame of memory-mapped registers: which register an access reaches, and what if none.

IHI 0069, 12.1 "GIC memory-mapped register access": an access of another size than the
register has, unaligned, or where no register is, is RAZ/WI; GICD_STATUSR and GICR_STATUSR
say that there was one.
"""

from __future__ import annotations

from nvtrap.gic.distributor.families import SECURE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from nvtrap.gic.distributor.families import Family

    Read = Callable[[Any, int], int]
    Write = Callable[[Any, int, int], None]
    Entry = tuple[Read | None, Write | None]

FRAME = 0x1_0000
# Families begin at multiples of 128 bytes.
_BLOCK_BITS = 7
_WORD = 0xFFFF_FFFF

# STATUSR: reads and writes of reserved places, reads of write-only and writes of read-only
# registers.
RRD, WRD, RWOD, WROD = 1 << 0, 1 << 1, 1 << 2, 1 << 3
STATUS_FIELDS = RRD | WRD | RWOD | WROD

DESIGNER_ARM = 0x43B


class Status:
    """STATUSR of a distributor or redistributor, banked by security state."""

    __slots__ = ("non_secure", "secure")

    def __init__(self) -> None:
        self.non_secure = self.secure = 0

    def note(self, view: int, what: int) -> None:
        """Remember an access that reached no register of its kind."""
        if view == SECURE:
            self.secure |= what
        else:
            self.non_secure |= what

    def read(self, view: int) -> int:
        """The register in a view."""
        return self.secure if view == SECURE else self.non_secure

    def write(self, view: int, value: int) -> None:
        """Writing 1 clears a bit."""
        if view == SECURE:
            self.secure &= ~value
        else:
            self.non_secure &= ~value

    def state(self) -> list[int]:
        """The Non-secure and the Secure copy."""
        return [self.non_secure, self.secure]

    def load(self, state: list[int]) -> None:
        """Become what `state` gave."""
        self.non_secure, self.secure = (value & STATUS_FIELDS for value in state)


class Frame:
    """64 KiB of registers: single ones by offset, and families.

    `registers` is offset → (read, write) of a 32-bit register, functions of the part that
    has the registers, the view and the value; None where there is no such direction.
    `doubles` is the same for 64-bit registers that are read only. `families` are
    (first offset, offset after the last, family, whether of an `E` array).
    """

    __slots__ = ("_blocks", "_registers")

    def __init__(
        self,
        registers: dict[int, Entry],
        families: Iterable[tuple[int, int, Family, bool]] = (),
        doubles: dict[int, Read] | None = None,
    ) -> None:
        self._registers: dict[tuple[int, int], Entry] = {
            (offset, 4): entry for offset, entry in registers.items()
        }
        for offset, read in (doubles or {}).items():
            self._registers[offset, 8] = read, None
            self._registers[offset, 4] = _half(read, 0), None
            self._registers[offset + 4, 4] = _half(read, 32), None
        self._blocks = {
            block: family
            for family in families
            for block in range(family[0] >> _BLOCK_BITS, (family[1] - 1 >> _BLOCK_BITS) + 1)
        }

    def allow(self, size: int, offsets: Iterable[int]) -> None:
        """Let registers be accessed with another size as well, in bytes."""
        for offset in offsets:
            self._registers[offset, size] = self._registers[offset, 4]

    def read(self, part: Any, offset: int, size: int, view: int) -> int:
        """What a read of `size` bytes at `offset` of the frame returns."""
        entry = self._registers.get((offset, size))
        if entry is not None:
            if entry[0] is not None:
                return entry[0](part, view)
            part.status.note(view, RWOD)
            return 0
        block = self._blocks.get(offset >> _BLOCK_BITS)
        if block is not None:
            first, end, family, extended = block
            if offset < end and size in family.sizes and not offset % size:
                return family.read(part, offset - first, size, extended, view)
        part.status.note(view, RRD)
        return 0

    def write(self, part: Any, offset: int, size: int, view: int, value: int) -> None:
        """Write the low `size` bytes of `value` at `offset` of the frame."""
        entry = self._registers.get((offset, size))
        if entry is not None:
            if entry[1] is not None:
                entry[1](part, view, value)
            else:
                part.status.note(view, WROD)
            return
        block = self._blocks.get(offset >> _BLOCK_BITS)
        if block is not None:
            first, end, family, extended = block
            if offset < end and size in family.sizes and not offset % size:
                family.write(part, offset - first, size, extended, view, value)
                return
        part.status.note(view, WRD)


def _half(read: Read, shift: int) -> Read:
    def read_half(part: Any, view: int) -> int:
        return read(part, view) >> shift & _WORD

    return read_half


def constant(value: int) -> Entry:
    """A read-only register that does not change."""

    def read(_part: Any, _view: int) -> int:
        return value

    return read, None


def _read_status(part: Any, view: int) -> int:
    status: Status = part.status
    return status.read(view)


def _write_status(part: Any, view: int, value: int) -> None:
    part.status.write(view, value)


STATUSR: Entry = _read_status, _write_status


def _pidr2(part: Any, _view: int) -> int:
    """The architecture's version, and 1011: the designer's code is a JEP106 one (Arm)."""
    return (4 if part.parameters.direct_injection else 3) << 4 | 0xB


def identification(part_number: int) -> dict[int, Entry]:
    """PIDR4 to PIDR7, PIDR0 to PIDR3 and CIDR0 to CIDR3 of a CoreSight component by Arm."""
    pidr = (part_number & 0xFF, 0xB0 | part_number >> 8, 0, 0)
    values = (0x44, 0, 0, 0, *pidr, 0x0D, 0xF0, 0x05, 0xB1)
    entries = {0xFFD0 + 4 * n: constant(value) for n, value in enumerate(values)}
    return entries | {0xFFE8: (_pidr2, None)}
