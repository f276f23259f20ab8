"""ERETAA and ERETAB: authenticating ELR_EL2 for a vEL2 (arch/arm64/kvm/pauth.c, 6.12).

The result of PACGA comes from the context; everything around it is KVM's emulation.
"""

from __future__ import annotations

from nvtrap.arch.esr import ERET_HAS_KEY_B
from nvtrap.kvm.context import MASK_64, Context, is_e2h

SCTLR_EN_IB, SCTLR_EN_IA = 1 << 30, 1 << 31
BIT_55 = 1 << 55
# TCR_EL2 (DDI 0487, D24.2.176): with E2H a TBI and a TBID for either half of the addresses.
TCR_TBI_NVHE, TCR_TBID_NVHE = 1 << 20, 1 << 29
TCR_TBI0, TCR_TBI1, TCR_TBID0, TCR_TBID1 = 1 << 37, 1 << 38, 1 << 51, 1 << 52
T1SZ_SHIFT, TXSZ_MASK = 16, 0x3F
LEAST_TXSZ, MOST_TXSZ = 16, 39


def authenticate_eretax(context: Context) -> tuple[int, bool]:
    """(address to return to, whether ELR_EL2 authenticates) for the ERETAx of the exit.

    A disabled key authenticates everything and changes nothing. A failure gives the
    address with its error in it (kvm_auth_eretax).
    """
    registers, esr = context.sysregs, context.esr
    pointer = registers["ELR_EL2"]
    is_b = esr & ERET_HAS_KEY_B
    if not registers["SCTLR_EL2"] & (SCTLR_EN_IB if is_b else SCTLR_EN_IA):
        return pointer, True
    mask = _pac_mask(context, pointer)
    plain = pointer | mask if pointer & BIT_55 else pointer & ~mask
    key = "APIBKey" if is_b else "APIAKey"
    low, high = registers[f"{key}Lo_EL1"], registers[f"{key}Hi_EL1"]
    code = context.pacga(plain, registers["SP_EL2"], low, high)
    if (code ^ pointer) & mask == 0:
        return plain, True
    if context.features.pauth2:
        return pointer ^ code & mask, False
    return int_shift_quirk(plain, 2 if is_b else 1, _ignores_top_byte(context, pointer)), False


def int_shift_quirk(address: int, error: int, top_byte_ignored: bool) -> int:
    """The address of a failure before FEAT_PAuth2, its error code in the wrong place.

    The architecture puts the two bits into 54:53, or 62:61 where the top byte counts. The
    kernel clears these and shifts a 32-bit number to there, by 53 or 61: undefined in C,
    taken modulo 32 by the compilers, so that the code is added at 22:21 or 30:29.
    """
    shift = 53 if top_byte_ignored else 61
    return address & ~(3 << shift) | error << shift % 32


def _pac_mask(context: Context, pointer: int) -> int:
    """The bits of a pointer that hold its code: from the address size up, without bit 55."""
    tcr = context.sysregs["TCR_EL2"]
    upper_half = is_e2h(context) and pointer & BIT_55
    size = (tcr >> T1SZ_SHIFT if upper_half else tcr) & TXSZ_MASK
    bottom = 64 - min(max(size, LEAST_TXSZ), MOST_TXSZ)
    mask = BIT_55 - (1 << bottom)
    return mask if _ignores_top_byte(context, pointer) else mask | MASK_64 & -(BIT_55 << 1)


def _ignores_top_byte(context: Context, pointer: int) -> bool:
    """Whether the top byte of this instruction address is ignored: TBI without TBID."""
    tcr = context.sysregs["TCR_EL2"]
    if not is_e2h(context):
        tbi, tbid = TCR_TBI_NVHE, TCR_TBID_NVHE
    elif pointer & BIT_55:
        tbi, tbid = TCR_TBI1, TCR_TBID1
    else:
        tbi, tbid = TCR_TBI0, TCR_TBID0
    return tcr & tbi != 0 and not tcr & tbid
