"""The exits to L0, by exception class: forwarded to vEL2, refused, or emulated.

Linux, arch/arm64/kvm/handle_exit.c (6.12; WFx and debug exceptions are forwarded since
6.14). Every handler leaves what follows pending in the vCPU's context; the words that they
give back are what became of the instruction.
"""

from __future__ import annotations

from nvtrap.arch.aarch32 import is_executed
from nvtrap.arch.esr import (
    EC_BKPT32,
    EC_BREAKPOINT_LOW,
    EC_BRK64,
    EC_CP10_ID,
    EC_CP14_32,
    EC_CP14_64,
    EC_CP14_LS,
    EC_CP15_32,
    EC_CP15_64,
    EC_DABT_LOW,
    EC_ERET,
    EC_FP_ASIMD,
    EC_HVC32,
    EC_HVC64,
    EC_IABT_LOW,
    EC_PAUTH,
    EC_SMC32,
    EC_SMC64,
    EC_STEP_LOW,
    EC_SVC64,
    EC_SVE,
    EC_SYSREG,
    EC_WATCHPOINT_LOW,
    EC_WFX,
    decode_sysreg,
)
from nvtrap.engine.table import FORWARD, LOCAL
from nvtrap.kvm.context import HCR_TGE, increment_pc, is_hyp_context
from nvtrap.kvm.exits import handlers
from nvtrap.kvm.exits.eret import handle_eret
from nvtrap.kvm.exits.exceptions import inject_nested_sync, inject_undefined
from nvtrap.kvm.exits.mmio import AGED, FAULT_IN
from nvtrap.kvm.hyp.traps import HCR_TWE, HCR_TWI, MDCR_TDE
from nvtrap.kvm.hyp.worldswitch import LOADED, fp_trap
from nvtrap.kvm.nested import coprocessors, events
from nvtrap.kvm.nested.calls import answer_call
from nvtrap.kvm.nested.registers import emulate_read, emulate_write
from nvtrap.kvm.nested.vcpummu import L1_FAULT, RESTART

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from nvtrap.kvm.nested.vcpu import NestedVcpu

# What became of the instruction.
FORWARDED = "forwarded"  # L1's hypervisor has been given it
UNDEFINED = "undefined"  # the guest gets an Undefined Instruction exception
EMULATED = "emulated"  # L0 did it, and the guest goes on behind it
RETURNED = "returned"  # an ERET of vEL2, done by L0
RESTARTED = "restarted"  # to be executed again
INJECTED = "injected"  # the guest gets another exception in its place
SKIPPED = "skipped"  # nothing is done, the guest goes on behind it
USER = "user"  # user space is asked, or told
WAITS = "waits"  # the vCPU waits for an interrupt
STOPPED = "stopped"  # it is off
WFE = 1 << 0
RT = 0x1F << 5
_accesses: dict[int, tuple[int, bool]] = {}  # by their syndromes without Rt

_WORDS = {
    handlers.TO_EL2: FORWARDED,
    handlers.UNDEF: UNDEFINED,
    handlers.UNREACHABLE: UNDEFINED,
    handlers.NOT_SUPPORTED: EMULATED,
    handlers.NOTHING: SKIPPED,
}
_RETURNS = {
    "emulated": RETURNED,
    "forwarded": FORWARDED,
    "fpac": INJECTED,
    "undef": UNDEFINED,
    "nothing": SKIPPED,
}


def handle(vcpu: NestedVcpu) -> str:
    """Handle the exit whose syndrome is in the vCPU's context (handle_exit)."""
    esr = vcpu.context.esr
    ec = esr >> 26 & 0x3F
    if ec == EC_SYSREG:
        return _sysreg(vcpu, esr)
    if vcpu.machine.watch is not None:
        vcpu.tell_exit(esr)
    if not is_executed(esr, vcpu.context.pstate):
        increment_pc(vcpu.context)
        return SKIPPED
    return _HANDLERS.get(ec, _unknown)(vcpu)


# ---- system registers -------------------------------------------------------------------


def _sysreg(vcpu: NestedVcpu, esr: int) -> str:
    """EC 0x18: the kernel's table decides with L1's controls (triage_sysreg_trap)."""
    key = esr & ~RT
    found = _accesses.get(key)
    if found is None:
        found = _accesses[key] = decode_sysreg(esr)
    encoding, write = found
    context = vcpu.context
    outcome = vcpu.kernel.decide(encoding, write)
    if vcpu.machine.watch is not None:
        vcpu.tell_exit(esr, vcpu.machine.name_of(encoding, write), outcome)
    trace = context.trace
    if trace is not None:
        trace("kvm_handle_sys_reg", (esr,))
    if outcome.outcome is FORWARD:
        if trace is not None:
            trace("kvm_forward_sysreg_trap", (context.pc, encoding, int(not write)))
        inject_nested_sync(context, esr)
        return FORWARDED
    if outcome.outcome is not LOCAL:
        inject_undefined(context)
        return UNDEFINED
    return _emulate(vcpu, encoding, write, esr >> 5 & 31)


def _emulate(vcpu: NestedVcpu, encoding: int, write: bool, rt: int) -> str:
    context = vcpu.context
    name = vcpu.machine.name_of(encoding, write)
    if write:
        done = emulate_write(vcpu, name, encoding, context.register(rt))
    else:
        value = emulate_read(vcpu, name, encoding)
        done = value is not None
        if value is not None:
            context.set_register(rt, value)
    if not done:
        inject_undefined(context)
        return UNDEFINED
    increment_pc(context)
    return EMULATED


def _coprocessor(vcpu: NestedVcpu) -> str:
    if coprocessors.belongs_to_l1(vcpu):
        return _forward(vcpu)
    return EMULATED if coprocessors.emulate(vcpu) else UNDEFINED


# ---- calls and returns --------------------------------------------------------------------


def _hvc(vcpu: NestedVcpu) -> str:
    return _called(vcpu, handlers.handle_hvc(vcpu.context))


def _smc(vcpu: NestedVcpu) -> str:
    return _called(vcpu, handlers.handle_smc(vcpu.context))


def _called(vcpu: NestedVcpu, word: str) -> str:
    if word != handlers.CALL:
        return _WORDS[word]
    answer_call(vcpu)
    if vcpu.exit is not None:
        vcpu.tell(events.USER, exit=vcpu.exit)
    if vcpu.kvm.powered_off:
        return STOPPED
    if vcpu.kvm.waiting:
        return WAITS
    return EMULATED if vcpu.exit is None else USER


def _svc(vcpu: NestedVcpu) -> str:
    return _WORDS[handlers.handle_svc(vcpu.context)]


def _eret(vcpu: NestedVcpu) -> str:
    return _RETURNS[handle_eret(vcpu.context).what]


# ---- instruction sets -----------------------------------------------------------------------


def _fpasimd(vcpu: NestedVcpu) -> str:
    if _loads_fp(vcpu, sve=False):
        return RESTARTED
    return _WORDS[handlers.handle_fpasimd(vcpu.context)]


def _sve(vcpu: NestedVcpu) -> str:
    if _loads_fp(vcpu, sve=True):
        return RESTARTED
    return _WORDS[handlers.handle_sve(vcpu.context)]


def _loads_fp(vcpu: NestedVcpu, *, sve: bool) -> bool:
    """Whether the guest's registers are loaded, so that the instruction can run."""
    return fp_trap(vcpu.context, vcpu.state, vcpu.machine.cpu, sve=sve) == LOADED


def _pauth(vcpu: NestedVcpu) -> str:
    return _WORDS[handlers.handle_ptrauth(vcpu.context)]


def _unknown(vcpu: NestedVcpu) -> str:
    """A class that the host does not expect (kvm_handle_unknown_ec)."""
    inject_undefined(vcpu.context)
    return UNDEFINED


# ---- waiting, debugging ---------------------------------------------------------------------


def _wfx(vcpu: NestedVcpu) -> str:
    is_wfe = vcpu.context.esr & WFE
    if _l1_has(vcpu, "HCR_EL2", HCR_TWE if is_wfe else HCR_TWI):
        return _forward(vcpu)
    increment_pc(vcpu.context)
    if is_wfe:
        return EMULATED  # the host lets other vCPUs run
    return WAITS if vcpu.wait() else EMULATED


def _debug(vcpu: NestedVcpu) -> str:
    """L1's where MDCR_EL2.TDE or HCR_EL2.TGE says so, else the debugger's."""
    if _l1_has(vcpu, "MDCR_EL2", MDCR_TDE) or _l1_has(vcpu, "HCR_EL2", HCR_TGE):
        return _forward(vcpu)
    vcpu.exit = "KVM_EXIT_DEBUG"
    vcpu.tell(events.USER, exit=vcpu.exit)
    return USER


def _l1_has(vcpu: NestedVcpu, register: str, bit: int) -> bool:
    context = vcpu.context
    if not context.features.nv or is_hyp_context(context):
        return False
    return context.sysregs[register] & bit != 0


def _forward(vcpu: NestedVcpu) -> str:
    inject_nested_sync(vcpu.context, vcpu.context.esr)
    return FORWARDED


# ---- memory -----------------------------------------------------------------------------------


def _abort(vcpu: NestedVcpu) -> str:
    """A stage-2 fault: L1's, memory that the host maps, or a device."""
    abort, vcpu.abort = vcpu.abort, None
    assert abort is not None
    pending = vcpu.context.pending
    handled = vcpu.mmu.handle(abort)
    if handled.outcome == L1_FAULT:
        return FORWARDED
    if handled.exit is not None:
        return vcpu.ask_user_space(handled)
    if vcpu.context.pending != pending:
        return INJECTED if vcpu.context.pending & 1 else SKIPPED
    if handled.outcome in {FAULT_IN, AGED, RESTART} and handled.ret > 0:
        return RESTARTED
    vcpu.exit = handled
    vcpu.tell(events.USER, exit=f"error {handled.ret}")
    return USER


_HANDLERS: dict[int, Callable[[NestedVcpu], str]] = {
    EC_WFX: _wfx,
    **dict.fromkeys(
        (EC_CP15_32, EC_CP15_64, EC_CP14_32, EC_CP14_LS, EC_CP10_ID, EC_CP14_64), _coprocessor
    ),
    **dict.fromkeys((EC_HVC32, EC_HVC64), _hvc),
    **dict.fromkeys((EC_SMC32, EC_SMC64), _smc),
    EC_SVC64: _svc,
    EC_SVE: _sve,
    EC_ERET: _eret,
    EC_FP_ASIMD: _fpasimd,
    EC_PAUTH: _pauth,
    **dict.fromkeys((EC_IABT_LOW, EC_DABT_LOW), _abort),
    **dict.fromkeys(
        (EC_STEP_LOW, EC_WATCHPOINT_LOW, EC_BREAKPOINT_LOW, EC_BKPT32, EC_BRK64), _debug
    ),
}
