"""The byte order of the guest's data accesses, as KVM takes it to be."""

from __future__ import annotations

from nvtrap.arch.pstate import AARCH32, BIG_ENDIAN

SCTLR_E0E = 1 << 24
SCTLR_EE = 1 << 25
_AARCH64_MODE = 0xF


def is_big_endian(pstate: int, sctlr_el1: int) -> bool:
    """Whether data is big-endian in the mode of `pstate`.

    SCTLR_EL1 decides for vEL2 as well, where the architecture has SCTLR_EL2.EE
    (include/asm/kvm_emulate.h, kvm_vcpu_is_be).
    """
    if pstate & AARCH32:
        return pstate & BIG_ENDIAN != 0
    return sctlr_el1 & (SCTLR_EE if pstate & _AARCH64_MODE else SCTLR_E0E) != 0
