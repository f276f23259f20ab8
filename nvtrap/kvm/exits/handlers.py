"""Exits that KVM hands to vEL2, to its call handler, or back as undefined
(arch/arm64/kvm/handle_exit.c, 6.12). Each handler says which of these it did.
"""

from __future__ import annotations

from nvtrap.arch.esr import immediate
from nvtrap.kvm.context import (
    HCR_HCD,
    HCR_TSC,
    MASK_64,
    Context,
    increment_pc,
    is_e2h,
    is_el2,
    is_hyp_context,
    is_tge,
)
from nvtrap.kvm.exits.exceptions import BACK_TO_GUEST, inject_nested_sync, inject_undefined

TO_EL2 = "el2"
CALL = "smccc"  # to be answered by the call handler, the registers are untouched
UNDEF = "undef"
UNREACHABLE = "unreachable"  # undefined too, but the kernel warns: it should not come here
NOT_SUPPORTED = "x0=-1"
NOTHING = "nothing"  # meant for vEL2, but the vCPU has none

# CPTR_EL2: with E2H two-bit fields, without it bits that trap when set.
CPTR_FPEN_SHIFT, CPTR_ZEN_SHIFT = 20, 16
CPTR_TFP, CPTR_TZ = 1 << 10, 1 << 8
TRAPS_EL0_ONLY, TRAPS_NOTHING = 0b01, 0b11


def handle_hvc(context: Context) -> str:
    """HVC: vEL2's where there is one, or undefined by HCR_EL2.HCD; else a call."""
    if not context.features.nv:
        return CALL
    if context.sysregs["HCR_EL2"] & HCR_HCD:
        return _undefined(context)
    return _to_el2(context)


def handle_smc(context: Context) -> str:
    """SMC: vEL2's below it by HCR_EL2.TSC, and the PC stays; else a call past which it goes.

    An immediate other than 0 is answered with -1 in X0.
    """
    if context.features.nv and context.sysregs["HCR_EL2"] & HCR_TSC and not is_hyp_context(context):
        return _to_el2(context)
    increment_pc(context)
    if immediate(context.esr):
        context.set_register(0, MASK_64)
        return NOT_SUPPORTED
    return CALL


def handle_svc(context: Context) -> str:
    """SVC: it is only trapped for vEL2, by HFGITR_EL2."""
    return _to_el2(context)


def handle_fpasimd(context: Context) -> str:
    """Floating point or Advanced SIMD: vEL2's by CPTR_EL2.FPEN or TFP, else undefined."""
    if is_trapped_by_cptr(context, CPTR_FPEN_SHIFT, CPTR_TFP):
        return _to_el2(context)
    return _undefined(context)


def handle_sve(context: Context) -> str:
    """SVE: vEL2's by CPTR_EL2.ZEN or TZ, else undefined."""
    if is_trapped_by_cptr(context, CPTR_ZEN_SHIFT, CPTR_TZ):
        return _to_el2(context)
    return _undefined(context)


def handle_ptrauth(context: Context) -> str:
    """Pointer authentication: vEL2's below it, undefined without the feature."""
    if not context.features.ptrauth:
        return _undefined(context)
    if context.features.nv and not is_hyp_context(context):
        return _to_el2(context)
    inject_undefined(context)
    return UNREACHABLE


def is_trapped_by_cptr(context: Context, shift: int, nvhe_bit: int) -> bool:
    """Whether L1 traps an instruction set by CPTR_EL2, the exit being of one of it.

    `shift` is of its two-bit field under E2H, `nvhe_bit` its trap bit without; 0b00 and
    0b10 trap at vEL2 too, 0b01 outside it when HCR_EL2.TGE is set.
    """
    if not context.features.nv:
        return False
    cptr = context.sysregs["CPTR_EL2"]
    if not is_e2h(context):
        return cptr & nvhe_bit != 0
    enabled = cptr >> shift & 3
    if enabled == TRAPS_EL0_ONLY:
        return is_tge(context) and not is_el2(context)
    return enabled != TRAPS_NOTHING


def _to_el2(context: Context) -> str:
    taken = inject_nested_sync(context, context.esr) == BACK_TO_GUEST
    return TO_EL2 if taken else NOTHING


def _undefined(context: Context) -> str:
    inject_undefined(context)
    return UNDEF
