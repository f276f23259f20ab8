"""Guests in AArch32: skipping an instruction, and exceptions where EL1 is AArch32 too.

KVM gives an AArch32 EL1 only Undefined Instruction and Abort exceptions
(arch/arm64/kvm: hyp/aarch32.c, hyp/exception.c, inject_fault.c, 6.12).
"""

from __future__ import annotations

from nvtrap.arch.aarch32 import advance_it
from nvtrap.arch.esr import IL
from nvtrap.arch.pstate import (
    A_MASKED,
    ABT,
    BIG_ENDIAN,
    DIT,
    F_MASKED,
    GE,
    I_MASKED,
    NZCV,
    PAN,
    SSBS_32,
    T32,
    UND,
    Q,
    aarch32_view,
)
from nvtrap.kvm.context import (
    AARCH32_DATA_ABORT,
    AARCH32_PREFETCH_ABORT,
    AARCH32_UNDEF,
    MASK_32,
    MASK_64,
    Context,
    pend,
)

# SCTLR_EL1 as AArch32 has it (DDI 0487, G8.2.120).
SCTLR_V, SCTLR_SPAN, SCTLR_EE, SCTLR_TE, SCTLR_DSSBS = 1 << 13, 1 << 23, 1 << 25, 1 << 30, 1 << 31
HIGH_VECTORS = 0xFFFF_0000
TTBCR_EAE = 1 << 31
# DFSR and IFSR of a synchronous external abort (DDI 0487, G8.2.45).
FSR_EXTERNAL_LONG = 1 << 9 | 0x10
FSR_EXTERNAL_SHORT = 0x08
# The banked registers that AArch64 sees as X20 and X22 (DDI 0487, D1.6.1).
LR_ABT, LR_UND = 20, 22
_KEPT = NZCV | Q | DIT | PAN | GE | A_MASKED | F_MASKED
# Pending exception -> mode, vector, preferred return address past the PC in A32 and T32.
_TAKEN = {
    AARCH32_UNDEF: (UND, 0x4, 4, 2),
    AARCH32_PREFETCH_ABORT: (ABT, 0xC, 4, 4),
    AARCH32_DATA_ABORT: (ABT, 0x10, 8, 8),
}


def skip_aarch32_instruction(context: Context) -> None:
    """Move to the next instruction and advance the IT state (kvm_skip_instr32)."""
    is_short = context.pstate & T32 and not context.esr & IL
    context.pc = context.pc + (2 if is_short else 4) & MASK_32
    context.pstate = advance_it(context.pstate)


def enter_aarch32_exception(context: Context, pending: int) -> None:
    """Take a pending exception to an AArch32 EL1; any but the three is dropped."""
    if pending not in _TAKEN:
        return
    mode, vector, *offsets = _TAKEN[pending]
    old, registers = context.pstate, context.sysregs
    sctlr = registers["SCTLR_EL1"]
    link = context.pc + offsets[bool(old & T32)] & MASK_32
    if mode == ABT:
        registers["SPSR_abt"], context.x[LR_ABT] = aarch32_view(old), link
    else:
        registers["SPSR_und"], context.x[LR_UND] = aarch32_view(old), link
    base = HIGH_VECTORS if sctlr & SCTLR_V else registers["VBAR_EL1"]
    context.pc = base + vector & MASK_32
    context.pstate = _entered(old, sctlr, mode)


def _entered(old: int, sctlr: int, mode: int) -> int:
    new = old & _KEPT | I_MASKED | mode
    if mode != UND:
        new |= A_MASKED
    if sctlr & SCTLR_DSSBS:
        new |= SSBS_32
    if not sctlr & SCTLR_SPAN:
        new |= PAN
    if sctlr & SCTLR_EE:
        new |= BIG_ENDIAN
    if sctlr & SCTLR_TE:
        new |= T32
    return new


def inject_aarch32_undef(context: Context) -> None:
    """Queue an Undefined Instruction exception."""
    pend(context, AARCH32_UNDEF)


def inject_aarch32_abort(context: Context, address: int, *, is_prefetch: bool) -> None:
    """Queue a synchronous external abort at `address`, of which 32 bits count.

    IFSR and DFSR are IFSR32_EL2 and ESR_EL1, IFAR and DFAR the halves of FAR_EL1.
    """
    registers, address = context.sysregs, address & MASK_32
    is_long = registers["TCR_EL1"] & TTBCR_EAE
    fsr = FSR_EXTERNAL_LONG if is_long else FSR_EXTERNAL_SHORT
    far = registers["FAR_EL1"]
    if is_prefetch:
        pend(context, AARCH32_PREFETCH_ABORT)
        registers["IFSR32_EL2"] = fsr
        registers["FAR_EL1"] = far & MASK_32 | address << 32
    else:
        pend(context, AARCH32_DATA_ABORT)
        registers["ESR_EL1"] = fsr
        registers["FAR_EL1"] = far & MASK_64 & ~MASK_32 | address
