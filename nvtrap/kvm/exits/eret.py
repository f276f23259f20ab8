"""ERET at vEL2: emulated, or given to vEL2 (arch/arm64/kvm: handle_exit.c,
emulate-nested.c, 6.12).
"""

from __future__ import annotations

from nvtrap.arch.esr import EC_FPAC, EC_SHIFT, ERET_HAS_KEY_B, ERET_IS_AUTHENTICATED
from nvtrap.arch.pstate import DAIF, IL, MODE, NZCV, is_illegal_return_from_el2
from nvtrap.kvm.context import HCR_NV, Context, is_hyp_context, is_tge
from nvtrap.kvm.exits.exceptions import BACK_TO_GUEST, inject_nested_sync, inject_undefined
from nvtrap.kvm.exits.pauth import authenticate_eretax

EMULATED, FORWARDED, FPAC, UNDEF, NOTHING = "emulated", "forwarded", "fpac", "undef", "nothing"
RESULTS = (EMULATED, FORWARDED, FPAC, UNDEF, NOTHING)
_KEPT_BY_ILLEGAL = DAIF | NZCV | MODE


class Eret:
    """What became of an ERET.

    `what`: one of the five words above, `nothing` for a vCPU without EL2 to forward to.
    `authenticated`: for an ERETAx that was tried, whether its address authenticated.
    """

    __slots__ = ("authenticated", "what")

    def __init__(self, what: str, authenticated: bool | None = None) -> None:
        self.what = what
        self.authenticated = authenticated


def handle_eret(context: Context) -> Eret:
    """Handle the exit of an ERET, ERETAA or ERETAB.

    In hypervisor context it is emulated; from anywhere else it is vEL2's, whatever
    HCR_EL2.NV says. ERETAx without pointer authentication is undefined.
    """
    if context.esr & ERET_IS_AUTHENTICATED and not context.features.ptrauth:
        inject_undefined(context)
        return Eret(UNDEF)
    if is_hyp_context(context):
        return emulate_nested_eret(context)
    return _forward(context)


def emulate_nested_eret(context: Context) -> Eret:
    """Return from vEL2 by ELR_EL2 and SPSR_EL2 (kvm_emulate_nested_eret).

    Always with a put and a load of the vCPU, also for a return to vEL2 itself.
    """
    registers = context.sysregs
    if context.features.nv and registers["HCR_EL2"] & HCR_NV and not is_hyp_context(context):
        return _forward(context)
    spsr, authenticated = returned_pstate(context), None
    if context.esr & ERET_IS_AUTHENTICATED:
        elr, authenticated = authenticate_eretax(context)
        if not authenticated and context.features.fpaccombine and not spsr & IL:
            taken = inject_nested_sync(context, fpac_without_il(context.esr)) == BACK_TO_GUEST
            return Eret(FPAC if taken else NOTHING, authenticated)
    else:
        elr = registers["ELR_EL2"]
    context.put(context)
    if context.trace is not None:
        context.trace("kvm_nested_eret", (elr, spsr, registers["HCR_EL2"]))
    context.pc, context.pstate = elr, spsr
    context.load(context)
    return Eret(EMULATED, authenticated)


def returned_pstate(context: Context) -> int:
    """The PSTATE that an ERET at vEL2 gives: SPSR_EL2, all of it with its RES0 bits, or
    what is left by an illegal return.
    """
    spsr = context.sysregs["SPSR_EL2"]
    if is_illegal_return_from_el2(spsr, is_tge(context)):
        return illegal_return_keeps_flags(context.pstate)
    return spsr


def illegal_return_keeps_flags(pstate: int) -> int:
    """PSTATE after an illegal return: the old mode, masks and flags with IL, nothing else.

    The architecture keeps only the mode and takes masks, flags and PAN from SPSR_EL2
    (DDI 0487, D1.4.4).
    """
    return pstate & _KEPT_BY_ILLEGAL | IL


def fpac_without_il(esr: int) -> int:
    """The syndrome of a pointer authentication failure in the ERETAx of syndrome `esr`.

    Its ISS has the key only; IL is left 0, though the instruction has 32 bits.
    """
    return EC_FPAC << EC_SHIFT | esr & ERET_HAS_KEY_B


def _forward(context: Context) -> Eret:
    taken = inject_nested_sync(context, context.esr) == BACK_TO_GUEST
    return Eret(FORWARDED if taken else NOTHING)
