"""Exceptions that KVM gives to a guest: queued, taken at the next entry, or by a switch.

An exception for EL1, and one for vEL2 from a context that shares its translation regime,
is only queued. Any other for vEL2 is taken at once, between a put and a load of the vCPU
(arch/arm64/kvm: emulate-nested.c, inject_fault.c, hyp/exception.c, 6.12).

KVM takes some things for granted that the architecture makes depend on features: PAN and
DIT are kept, PAN is set by SPAN and SSBS by DSSBS in either layout of SCTLR_EL2.
"""

from __future__ import annotations

from nvtrap.arch import esr as syndromes
from nvtrap.arch.pstate import (
    AARCH32,
    BTYPE,
    DAIF,
    DIT,
    EL0T,
    EL1H,
    EL2H,
    EL2T,
    MODE,
    NZCV,
    PAN,
    SP_ELX,
    SS,
    SSBS,
    TCO,
)
from nvtrap.kvm.context import (
    EL1_SYNC,
    EL2_IRQ,
    EL2_SYNC,
    EXCEPTION,
    HCR_IMO,
    INCREMENT_PC,
    MASK_64,
    NOTHING_PENDING,
    Context,
    is_e2h,
    is_el2,
    is_tge,
    pend,
)
from nvtrap.kvm.exits.aarch32 import (
    enter_aarch32_exception,
    inject_aarch32_abort,
    inject_aarch32_undef,
    skip_aarch32_instruction,
)

EINVAL = 22
BACK_TO_GUEST = 1
# Vector offsets (DDI 0487, D1.3.1.2): where the exception comes from, and what it is.
FROM_SP_EL0, FROM_SP_ELX, FROM_LOWER_AARCH64, FROM_LOWER_AARCH32 = 0x0, 0x200, 0x400, 0x600
SYNC, IRQ = 0x0, 0x80
SCTLR_SPAN = 1 << 23
SCTLR_DSSBS = 1 << 44
_KEPT = NZCV | DIT | PAN
_NAMES = {
    EL1H: ("ELR_EL1", "SPSR_EL1", "VBAR_EL1", "SCTLR_EL1"),
    EL2H: ("ELR_EL2", "SPSR_EL2", "VBAR_EL2", "SCTLR_EL2"),
}
_TAKEN = {EL1_SYNC: (EL1H, SYNC), EL2_SYNC: (EL2H, SYNC), EL2_IRQ: (EL2H, IRQ)}


# ---- at the next entry ------------------------------------------------------------


def adjust_pc(context: Context) -> None:
    """Apply what is pending, as KVM does before it enters the guest (__kvm_adjust_pc).

    Pending values that name no exception KVM ever queues are dropped.
    """
    pending = context.pending
    context.pending = NOTHING_PENDING
    if not pending & EXCEPTION:
        if pending & INCREMENT_PC:
            skip_instruction(context)
    elif context.features.el1_32bit:
        enter_aarch32_exception(context, pending)
    elif pending in _TAKEN:
        enter_exception(context, *_TAKEN[pending])


def skip_instruction(context: Context) -> None:
    """Move to the next instruction, its length told by ESR.IL for T32 (kvm_skip_instr).

    BTYPE, or the IT state, and the single-step state advance too.
    """
    if context.pstate & AARCH32:
        skip_aarch32_instruction(context)
    else:
        context.pc = context.pc + 4 & MASK_64
        context.pstate &= ~BTYPE
    context.pstate &= ~SS


def enter_exception(context: Context, target: int, kind: int) -> None:
    """Take an exception to `target`, EL1H or EL2H; `kind` is SYNC or IRQ.

    ESR and FAR are left to who queued it (enter_exception64).
    """
    registers, old = context.sysregs, context.pstate
    elr, spsr, vbar, control = _NAMES[target]
    registers[elr] = context.pc
    registers[spsr] = old
    context.pc = registers[vbar] + _vector(old & MODE, target) + kind & MASK_64
    sctlr = registers[control]
    new = old & _KEPT | DAIF | target
    if not sctlr & SCTLR_SPAN:
        new |= PAN
    if sctlr & SCTLR_DSSBS:
        new |= SSBS
    if context.features.mte:
        new |= TCO
    context.pstate = new


def _vector(mode: int, target: int) -> int:
    if mode == target:
        return FROM_SP_ELX
    if mode | SP_ELX == target:
        return FROM_SP_EL0
    return FROM_LOWER_AARCH32 if mode & AARCH32 else FROM_LOWER_AARCH64


# ---- for vEL2 ---------------------------------------------------------------------


def inject_nested_sync(context: Context, esr: int) -> int:
    """Give vEL2 a synchronous exception with this syndrome.

    1, or -22 for a vCPU without EL2, to which nothing happens.
    """
    return _inject_nested(context, esr, EL2_SYNC)


def inject_nested_irq(context: Context) -> int:
    """Give vEL2 an IRQ, which at vEL2 itself needs HCR_EL2.IMO or TGE.

    From EL1 and EL0 it always takes it: IMO is the caller's business. The result is that
    of `inject_nested_sync`, also 1 for an interrupt that vEL2 does not take.
    """
    if is_el2(context) and not is_tge(context) and not context.sysregs["HCR_EL2"] & HCR_IMO:
        return BACK_TO_GUEST
    return _inject_nested(context, 0, EL2_IRQ)


def _inject_nested(context: Context, esr: int, exception: int) -> int:
    if not context.features.nv:
        return -EINVAL
    if _shares_vel2_regime(context):
        _queue_for_el2(context, esr, exception)
        return BACK_TO_GUEST
    adjust_pc(context)  # what is pending belongs to the context that ends here
    context.put(context)
    _queue_for_el2(context, esr, exception)
    adjust_pc(context)
    context.load(context)
    return BACK_TO_GUEST


def _shares_vel2_regime(context: Context) -> bool:
    mode = context.pstate & MODE
    if mode == EL0T:
        return is_e2h(context) and is_tge(context)
    return mode in (EL2H, EL2T)


def _queue_for_el2(context: Context, esr: int, exception: int) -> None:
    if context.trace is not None:
        kind = SYNC if exception == EL2_SYNC else IRQ
        values = kind, esr, context.pc, context.pstate, context.sysregs["HCR_EL2"]
        context.trace("kvm_inject_nested_exception", values)
    pend(context, exception)
    if exception == EL2_SYNC:
        context.sysregs["ESR_EL2"] = esr


# ---- for the exception level that the guest is at -----------------------------------


def inject_undefined(context: Context) -> None:
    """Queue an Undefined Instruction exception for the instruction that was trapped."""
    if context.features.el1_32bit:
        inject_aarch32_undef(context)
    else:
        level = _pend_sync(context)
        context.sysregs[f"ESR_{level}"] = context.esr & syndromes.IL


def inject_data_abort(context: Context, address: int) -> None:
    """Queue a synchronous external Data Abort at `address` (kvm_inject_dabt)."""
    _inject_abort(context, address, is_prefetch=False)


def inject_prefetch_abort(context: Context, address: int) -> None:
    """Queue a synchronous external Instruction Abort at `address` (kvm_inject_pabt)."""
    _inject_abort(context, address, is_prefetch=True)


def _inject_abort(context: Context, address: int, *, is_prefetch: bool) -> None:
    if context.features.el1_32bit:
        inject_aarch32_abort(context, address, is_prefetch=is_prefetch)
        return
    from_el0 = context.pstate & AARCH32 or context.pstate & MODE == EL0T
    if is_prefetch:
        ec = syndromes.EC_IABT_LOW if from_el0 else syndromes.EC_IABT_CUR
    else:
        ec = syndromes.EC_DABT_LOW if from_el0 else syndromes.EC_DABT_CUR
    esr = ec << syndromes.EC_SHIFT | context.esr & syndromes.IL | syndromes.FSC_EXTERNAL
    level = _pend_sync(context)
    context.sysregs[f"FAR_{level}"] = address & MASK_64
    context.sysregs[f"ESR_{level}"] = esr


def _pend_sync(context: Context) -> str:
    """Queue a synchronous exception; the result is the level that takes it.

    It never needs a switch. The kernel stops itself in a mode that no guest of an AArch64
    EL1 can be in; here EL1 takes the exception.
    """
    mode = context.pstate & MODE & ~AARCH32
    from_host_el0 = mode == EL0T and is_tge(context)
    if context.features.nv and (from_host_el0 or mode in (EL2H, EL2T)):
        pend(context, EL2_SYNC)
        return "EL2"
    pend(context, EL1_SYNC)
    return "EL1"
