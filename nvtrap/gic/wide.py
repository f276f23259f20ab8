"""64-bit registers in memory, whole or as two 32-bit halves (IHI 0069, 12.1.3).

Offsets are in bytes from the start of a frame. A register stands at a multiple of 8;
its upper half is at + 4.
"""

from __future__ import annotations


def is_access(offset: int, size: int) -> bool:
    """Whether an access of `size` bytes may reach a 64-bit register: aligned, 4 or 8 bytes."""
    return size in (4, 8) and offset % size == 0


def part(register: int, offset: int, size: int) -> int:
    """What reading `size` bytes at `offset` gives of the register that is there."""
    return register if size == 8 else register >> 8 * (offset & 4) & 0xFFFF_FFFF


def merged(register: int, offset: int, size: int, value: int) -> int:
    """The register after writing `value` to `size` of its bytes at `offset`."""
    if size == 8:
        return value & 0xFFFF_FFFF_FFFF_FFFF
    shift = 8 * (offset & 4)
    return register & ~(0xFFFF_FFFF << shift) | (value & 0xFFFF_FFFF) << shift
