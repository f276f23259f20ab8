"""What the host reads from the syndrome of an abort that the guest took to it.

Syndromes are ESR_EL2 values of EC 0x20 (instruction abort) or 0x24 (data abort) from a
lower exception level (DDI 0487, ISS encodings of both). The questions are those of
arch/arm64/include/asm/kvm_emulate.h and esr.h.
"""

from __future__ import annotations

from nvtrap.arch.esr import EC_IABT_LOW, FSC_EXTERNAL, exception_class
from nvtrap.kvm.context import MASK_64

FSC = 0x3F
WNR = 1 << 6
S1PTW = 1 << 7
CM = 1 << 8
SF = 1 << 15
SSE = 1 << 21
ISV = 1 << 24

# Fault status codes, levels 0 to 3 in their low bits.
FSC_ADDRESS_SIZE = 0x00
FSC_TRANSLATION = 0x04
FSC_ACCESS_FLAG = 0x08
FSC_PERMISSION = 0x0C
FSC_PARITY = 0x18
FSC_TRANSLATION_MINUS_1 = 0x2B
_LEVELS = 0x03
# The external abort and the parity error, and both on table walks of levels -1 to 3.
_EXTERNAL_ABORTS = frozenset({FSC_EXTERNAL, *range(0x13, 0x18), FSC_PARITY, *range(0x1B, 0x20)})


class Abort:
    """One abort: the ESR_EL2, FAR_EL2 and HPFAR_EL2 that the host found."""

    __slots__ = ("esr", "far", "hpfar")

    def __init__(self, esr: int, far: int, hpfar: int) -> None:
        self.esr = esr
        self.far = far
        self.hpfar = hpfar

    @property
    def ipa(self) -> int:
        """The page's address, from HPFAR_EL2: bits 11:0 are 0."""
        return (self.hpfar & ~0xF) << 8 & MASK_64

    def at(self, page: int) -> int:
        """An address in the page at `page`, with bits 11:0 of the guest's address.

        They are twelve whatever the size of the guest's pages.
        """
        return page | self.far & 0xFFF


def is_instruction_abort(esr: int) -> bool:
    """Whether an instruction fetch faulted, or a table walk for one."""
    return exception_class(esr) == EC_IABT_LOW


def is_translation_fault(esr: int) -> bool:
    """Whether it is a translation fault, of level -1 to 3."""
    return _kind(esr) == FSC_TRANSLATION or esr & FSC == FSC_TRANSLATION_MINUS_1


def is_permission_fault(esr: int) -> bool:
    """Whether it is a permission fault."""
    return _kind(esr) == FSC_PERMISSION


def is_access_flag_fault(esr: int) -> bool:
    """Whether it is an access flag fault."""
    return _kind(esr) == FSC_ACCESS_FLAG


def is_external_abort(esr: int) -> bool:
    """Whether it is a synchronous external abort or a parity error, on a table walk too."""
    return esr & FSC in _EXTERNAL_ABORTS


def is_write_fault(esr: int) -> bool:
    """Whether the host handles it as a write.

    A walk of the guest's own tables counts as one when it lacks a permission: it then
    wants to set an access or dirty flag. WnR is not looked at for it.
    """
    if esr & S1PTW:
        return is_permission_fault(esr)
    return not is_instruction_abort(esr) and esr & WNR != 0


def _kind(esr: int) -> int:
    return esr & FSC & ~_LEVELS
