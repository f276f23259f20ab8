"""L1's own stage 2, walked by the host (arch/arm64/kvm/nested.c of Linux 6.12).

When L2 faults, the host looks up the IPA in the tables that L1 built, as VTTBR_EL2 and
VTCR_EL2 describe them, and either goes on with the address it finds or gives the fault to
L1. This is KVM's reading of the tables; where it differs from DDI 0487, D8.2 and D8.3:

* **IPA above the input size**: its bits are ignored, where the architecture has a
  translation fault.
* **XN[0]**: bit 53 is ignored, bit 54 alone says whether code may run.
* **Contiguous bit**: it widens the output at any level, sensible there or not.
* **Bad configuration**: sizes and start level that do not fit are an error of the host
  (-EFAULT) that carries no fault status, where the architecture has a translation fault.
"""

from __future__ import annotations

from errno import EFAULT

from nvtrap.errors import AddressError
from nvtrap.kvm.context import MASK_32
from nvtrap.kvm.exits.aborts import (
    FSC,
    FSC_ACCESS_FLAG,
    FSC_ADDRESS_SIZE,
    FSC_PERMISSION,
    FSC_TRANSLATION,
    is_instruction_abort,
    is_permission_fault,
    is_write_fault,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

SCTLR_EE = 1 << 25
MOST_ADDRESS_BITS = 48
LAST_LEVEL = 3

# VTCR_EL2.TG0 → bits of an offset in a page; the reserved value means 64K.
_PAGE_BITS = (12, 16, 14, 16)
# VTCR_EL2.PS → bits of an output address; the values from 5 on mean 48.
_OUTPUT_BITS = (32, 36, 40, 42, 44, 48, 48, 48)
# Bits of a page's offset → first level of a block, least input bits of a start at that
# level or above it: (level, bits).
_FIRST_BLOCK_LEVEL = {12: 1, 14: 2, 16: 2}
_HIGHEST_START = {12: (0, 43), 14: (1, 41), 16: (1, 43)}

VALID = 1 << 0
TABLE = 1 << 1
READABLE = 1 << 6
WRITABLE = 1 << 7
ACCESS_FLAG = 1 << 10
CONTIGUOUS = 1 << 52
NOT_EXECUTABLE = 1 << 54

BAD_CONFIGURATION = "bad_configuration"
TABLE_READ_FAILED = "table_read_failed"
_FAULT_NAMES = {
    FSC_ADDRESS_SIZE: "address_size",
    FSC_TRANSLATION: "translation",
    FSC_ACCESS_FLAG: "access_flag",
}


class Fault:
    """A walk that leads nowhere.

    `name` says why: address_size, translation and access_flag are faults for L1, of the
    status `fsc` with the level in it; bad_configuration and table_read_failed are errors
    of the host, with `errno` -14 and no status.
    """

    __slots__ = ("errno", "fsc", "name")

    def __init__(self, name: str, fsc: int = 0, errno: int = 0) -> None:
        self.name = name
        self.fsc = fsc
        self.errno = errno

    @property
    def level(self) -> int:
        """The level of a fault for L1; 0 for an error."""
        return self.fsc & LAST_LEVEL

    def esr(self, trap_esr: int) -> int:
        """The syndrome for L1: that of L2's abort with this status, 32 bits."""
        return _with_status(trap_esr, self.fsc)


class Translation:
    """Where an IPA leads: `output` in L1's memory, found in `descriptor` at `level`.

    `block_size` is the bytes that one descriptor of the level maps, contiguous or not.
    """

    __slots__ = ("block_size", "descriptor", "level", "output")

    def __init__(self, output: int, block_size: int, level: int, descriptor: int) -> None:
        self.output = output
        self.block_size = block_size
        self.level = level
        self.descriptor = descriptor

    @property
    def readable(self) -> bool:
        """Whether L1 lets L2 read there."""
        return self.descriptor & READABLE != 0

    @property
    def writable(self) -> bool:
        """Whether L1 lets L2 write there."""
        return self.descriptor & WRITABLE != 0

    @property
    def executable(self) -> bool:
        """Whether L1 lets L2 run code there."""
        return not self.descriptor & NOT_EXECUTABLE


class Stage2:
    """The tables of one VTCR_EL2 and VTTBR_EL2.

    `big_endian` is SCTLR_EL2.EE, `ipa_limit` the bits of the host's largest IPA.
    """

    __slots__ = (
        "_base",
        "_big_endian",
        "_input_bits",
        "_output_bits",
        "_page_bits",
        "_start_level",
        "_stride",
    )

    def __init__(self, vtcr: int, vttbr: int, *, big_endian: bool, ipa_limit: int) -> None:
        self._page_bits = _PAGE_BITS[vtcr >> 14 & 3]
        self._stride = self._page_bits - 3
        self._start_level = (2 if self._page_bits == 12 else 3) - (vtcr >> 6 & 3)
        self._input_bits = 64 - (vtcr & 0x3F)
        self._output_bits = min(ipa_limit, _OUTPUT_BITS[vtcr >> 16 & 7])
        self._base = vttbr
        self._big_endian = big_endian

    def walk(self, ipa: int, read: Callable[[int], int]) -> Translation | Fault:
        """What L1's tables say about `ipa`; at most four descriptors are read.

        `read` gives the 64-bit word at an address of L1's memory as a little-endian load
        sees it, or raises `AddressError`. Nothing is raised from here.
        """
        if not self._is_configured():
            return Fault(BAD_CONFIGURATION, errno=-EFAULT)
        level = self._start_level
        low, high = self._bits(level), self._input_bits
        base = self._base & _mask(MOST_ADDRESS_BITS, high - low + 3)
        if self._is_too_large(base):
            return _fault(FSC_ADDRESS_SIZE, level)
        while True:
            descriptor = self._read(base | (ipa & _mask(high, low)) >> (low - 3), read)
            if descriptor is None:
                return Fault(TABLE_READ_FAILED, errno=-EFAULT)
            is_table = descriptor & TABLE != 0
            if not descriptor & VALID or (level == LAST_LEVEL and not is_table):
                return _fault(FSC_TRANSLATION, level)
            if not is_table or level == LAST_LEVEL:
                return self._leaf(ipa, level, descriptor)
            if self._is_too_large(descriptor):
                return _fault(FSC_ADDRESS_SIZE, level)
            base = descriptor & _mask(MOST_ADDRESS_BITS, self._page_bits)
            level += 1
            low, high = self._bits(level), low

    @property
    def is_inconsistent(self) -> bool:
        """Whether the start level does not fit a legal input size: the kernel warns then."""
        return 25 <= self._input_bits <= MOST_ADDRESS_BITS and not self._is_configured()

    def _is_configured(self) -> bool:
        """Whether the input size is 25..48 bits and starts at a level that can take it.

        Up to 16 tables may stand side by side at the start level.
        """
        highest, least = _HIGHEST_START[self._page_bits]
        level, size = self._start_level, self._input_bits
        if not 25 <= size <= MOST_ADDRESS_BITS or level < highest:
            return False
        if level == highest and size < least:
            return False
        return 1 <= size - self._bits(level) <= self._stride + 4

    def _bits(self, level: int) -> int:
        """The bits of an address below what a descriptor of `level` maps."""
        return (LAST_LEVEL - level) * self._stride + self._page_bits

    def _read(self, address: int, read: Callable[[int], int]) -> int | None:
        try:
            descriptor = read(address)
        except AddressError:
            return None
        if self._big_endian:
            return int.from_bytes(descriptor.to_bytes(8, "little"), "big")
        return descriptor

    def _is_too_large(self, address: int) -> bool:
        return address & _mask(MOST_ADDRESS_BITS, self._output_bits) != 0

    def _leaf(self, ipa: int, level: int, descriptor: int) -> Translation | Fault:
        if level < _FIRST_BLOCK_LEVEL[self._page_bits]:
            return _fault(FSC_TRANSLATION, level)
        if self._is_too_large(descriptor):
            return _fault(FSC_ADDRESS_SIZE, level)
        if not descriptor & ACCESS_FLAG:
            return _fault(FSC_ACCESS_FLAG, level)
        bits = self._bits(level)
        low = bits + self._contiguous_bits(level) if descriptor & CONTIGUOUS else bits
        output = descriptor & _mask(MOST_ADDRESS_BITS, low) | ipa & _mask(low, 0)
        return Translation(output, 1 << bits, level, descriptor)

    def _contiguous_bits(self, level: int) -> int:
        """How many bits of the output a contiguous descriptor leaves to the IPA."""
        if self._page_bits == 14:
            return 5 if level == 2 else 7
        return 4 if self._page_bits == 12 else 5


def permission_fault(translation: Translation, trap_esr: int) -> int | None:
    """The syndrome of a permission fault that belongs to L1; None when it is the host's.

    `trap_esr` is the abort that L2 took. The host found the address in L1's tables, so
    only an abort that was a permission fault itself can be one (nested.c,
    kvm_s2_handle_perm_fault).
    """
    if not is_permission_fault(trap_esr):
        return None
    if is_instruction_abort(trap_esr):
        allowed = translation.executable
    elif is_write_fault(trap_esr):
        allowed = translation.writable
    else:
        allowed = translation.readable
    return None if allowed else _with_status(trap_esr, FSC_PERMISSION | translation.level)


def _mask(high: int, low: int) -> int:
    """The bits from `low` up to, but without, `high`; none where `low` is not below it."""
    return (1 << high) - 1 & -1 << low


def _fault(status: int, level: int) -> Fault:
    return Fault(_FAULT_NAMES[status], status | level)


def _with_status(trap_esr: int, fsc: int) -> int:
    return trap_esr & MASK_32 & ~FSC | fsc
