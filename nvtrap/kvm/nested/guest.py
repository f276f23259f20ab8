"""What becomes of one instruction of a guest: the hardware decides, as L0 has set it up.

It does it, takes an exception within the guest, or exits to L0 (`nvtrap.kvm.nested.exits`).
Stage 1 is off: virtual addresses are intermediate physical ones.
"""

from __future__ import annotations

from nvtrap.arch.aarch32 import CoprocessorAccess, encode_coprocessor
from nvtrap.arch.esr import (
    EC_BRK64,
    EC_DABT_CUR,
    EC_FP_ASIMD,
    EC_HVC64,
    EC_SHIFT,
    EC_SVC64,
    EC_SVE,
    EC_SYSREG,
    ERET_HAS_KEY_B,
    ERET_IS_AUTHENTICATED,
    IL,
    encode_sysreg,
)
from nvtrap.arch.pstate import AARCH32, EL1H, EL2H, F_MASKED, I_MASKED, MODE
from nvtrap.engine.table import FORWARD
from nvtrap.errors import AddressError, UsageError
from nvtrap.kvm.context import (
    HCR_HCD,
    MASK_64,
)
from nvtrap.kvm.exits.aborts import FSC_TRANSLATION, ISV, SF, WNR
from nvtrap.kvm.exits.exceptions import IRQ, SYNC, enter_exception, inject_nested_sync
from nvtrap.kvm.hyp.traps import CPTR_FPEN, CPTR_ZEN
from nvtrap.kvm.memory.faults import fault_info, hpfar_of, syndrome
from nvtrap.kvm.memory.mmu import LOAD, STORE
from nvtrap.kvm.nested import events, exits, native
from nvtrap.kvm.nested.controls import level_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from nvtrap.engine import Outcome
    from nvtrap.kvm.nested.vcpu import NestedVcpu

# How an instruction ended.
NATIVE = "native"  # the hardware did it
MEMORY = "memory"  # the hardware made a memory access of it (FEAT_NV2)
TAKEN = "taken"  # an exception within the guest
# and the words of `nvtrap.kvm.nested.exits` for one that has exited to the host.

FIQ = 0x100
VNCR_BADDR = (1 << 57) - 1 & -1 << 12
MOST_FAULTS = 8
LAST_LEVEL = 3
NO_REGISTER = 31
FIRST_SPECIAL = 1020
ISS_ALWAYS = 0x1E << 20  # CV, and the condition that always holds
ISS_VNCR = 1 << 13
RT_SHIFT = 5
_syndromes: dict[int, int] = {}  # of accesses, with Rt 0


class Result:
    """What became of an instruction: `how` it ended, by the words above.

    `value` is what a read gave, None for one that gave nothing; `exit` what user space is
    asked or told.
    """

    __slots__ = ("exit", "how", "value")

    def __init__(self, how: str, value: int | None = None, exit: object = None) -> None:
        self.how = how
        self.value = value
        self.exit = exit

    def __repr__(self) -> str:
        value = "" if self.value is None else f", {self.value:#x}"
        return f"Result({self.how}{value})"


# ---- system registers and instructions ----------------------------------------------


def mrs(vcpu: NestedVcpu, encoding: int, rt: int = 0) -> Result:
    """MRS or SYSL of an encoding into the register `rt`, 31 for none."""
    vcpu.ready()
    outcome = vcpu.hardware.decide(encoding, False)
    how = NATIVE
    if outcome.outcome is FORWARD:
        if not (vcpu.machine.host_traps and native.is_done_at_el2(vcpu, encoding, False)):
            exited = trap(vcpu, _sysreg_esr(outcome, encoding, False, rt))
            read = vcpu.context.register(rt) if exited is exits.EMULATED else None
            return Result(exited, read, vcpu.exit)
        how = exits.EMULATED
    elif outcome.memory is not None:
        return _read_vncr(vcpu, outcome.memory, rt)
    name = vcpu.machine.name_of(encoding, False)
    if native.is_undefined(vcpu, name, encoding, False):
        return undefined(vcpu)
    value = native.read(vcpu, name)
    _done(vcpu, rt, value)
    if name.startswith("ICC_"):
        _after_gic(vcpu, name, value, False)
    settle(vcpu)
    return Result(how, value)


def msr(vcpu: NestedVcpu, encoding: int, rt: int = 0) -> Result:
    """MSR or SYS of an encoding from the register `rt`, 31 for zero."""
    vcpu.ready()
    outcome = vcpu.hardware.decide(encoding, True)
    how = NATIVE
    if outcome.outcome is FORWARD:
        if not (vcpu.machine.host_traps and native.is_done_at_el2(vcpu, encoding, True)):
            exited = trap(vcpu, _sysreg_esr(outcome, encoding, True, rt))
            return Result(exited, exit=vcpu.exit)
        how = exits.EMULATED
    elif outcome.memory is not None:
        return _write_vncr(vcpu, outcome.memory, rt)
    name = vcpu.machine.name_of(encoding, True)
    if native.is_undefined(vcpu, name, encoding, True):
        return undefined(vcpu)
    value = vcpu.context.register(rt)
    if encoding >> 14 != 1:
        native.write(vcpu, name, value)
    _done(vcpu)
    if name.startswith("ICC_"):
        _after_gic(vcpu, name, value, True)
    settle(vcpu)
    return Result(how)


def _sysreg_esr(outcome: Outcome, encoding: int, write: bool, rt: int) -> int:
    ec = outcome.ec
    if ec != EC_SYSREG:  # a register that is trapped as its instruction set is
        return ec << EC_SHIFT | IL | (ISS_ALWAYS if ec == EC_FP_ASIMD else 0)
    key = encoding << 1 | write
    esr = _syndromes.get(key)
    if esr is None:
        esr = _syndromes[key] = encode_sysreg(encoding, write)
    return esr | rt << RT_SHIFT


def _read_vncr(vcpu: NestedVcpu, offset: int, rt: int) -> Result:
    """The doubleword in L0's page for L1; for an L2 with EL2 of its own, in L1's for it."""
    if vcpu.is_hyp:
        value = vcpu.registers.load(offset)
    else:
        try:
            value = vcpu.machine.slots.read(_l1_page(vcpu) + offset, 8)
        except AddressError:
            return _vncr_abort(vcpu, 0)
    _done(vcpu, rt, value)
    settle(vcpu)
    return Result(MEMORY, value)


def _write_vncr(vcpu: NestedVcpu, offset: int, rt: int) -> Result:
    value = vcpu.context.register(rt)
    if vcpu.is_hyp:
        vcpu.registers.store(offset, value)
    else:
        try:
            vcpu.machine.slots.write(_l1_page(vcpu) + offset, 8, value)
        except AddressError:
            return _vncr_abort(vcpu, WNR)
    _done(vcpu)
    settle(vcpu)
    return Result(MEMORY)


def _l1_page(vcpu: NestedVcpu) -> int:
    return vcpu.registers["VNCR_EL2"] & VNCR_BADDR


def _vncr_abort(vcpu: NestedVcpu, wnr: int) -> Result:
    """L1's VNCR page for its L2 is no memory: an abort of L1's own (DDI 0487, D8.14.4)."""
    vcpu.leave()
    vcpu.registers["FAR_EL2"] = vcpu.registers["VNCR_EL2"] & VNCR_BADDR
    esr = EC_DABT_CUR << EC_SHIFT | IL | ISS_VNCR | wnr | FSC_TRANSLATION | LAST_LEVEL
    inject_nested_sync(vcpu.context, esr)
    vcpu.enter()
    settle(vcpu)
    return Result(exits.FORWARDED)


def _after_gic(vcpu: NestedVcpu, name: str, value: int, write: bool) -> None:
    """What an access to the CPU interface may bring about: interrupts of the host's."""
    if vcpu.machine.watch is not None:
        if name.startswith("ICC_IAR") and value < FIRST_SPECIAL:
            vcpu.tell(events.IRQ, intid=value, what=events.ACKNOWLEDGED)
        elif write and name.startswith(("ICC_EOIR", "ICC_DIR")):
            what = events.ENDED if name.startswith("ICC_EOIR") else events.DEACTIVATED
            vcpu.tell(events.IRQ, intid=value & 0xFF_FFFF, what=what)
    for timer in vcpu.kvm.timers:
        timer.check()
    if vcpu.lists.host_maintenance:
        vcpu.take_host_interrupt()
    else:
        vcpu.ready()


# ---- exceptions -----------------------------------------------------------------------


def trap(vcpu: NestedVcpu, esr: int) -> str:
    """The instruction exits to the host with a syndrome; what the host did with it."""
    vcpu.leave()
    vcpu.exit = None
    vcpu.context.esr = esr
    how = exits.handle(vcpu)
    if vcpu.machine.watch is not None and how in (exits.UNDEFINED, exits.INJECTED):
        vcpu.tell_injection()
    if how is not exits.WAITS and how is not exits.STOPPED:
        vcpu.enter()
        settle(vcpu)
    return how


def undefined(vcpu: NestedVcpu) -> Result:
    """The instruction is undefined: the guest takes that within itself."""
    return take(vcpu, IL)


def take(vcpu: NestedVcpu, esr: int, *, advance: bool = False) -> Result:
    """Take a synchronous exception to the hardware's EL1: vEL2's or EL1's own."""
    level = "EL2" if vcpu.is_hyp else "EL1"
    if advance:
        vcpu.context.pc = vcpu.context.pc + 4 & MASK_64
    vcpu.registers[f"ESR_{level}"] = esr
    vcpu.tell(events.TAKEN, what="exception", target=_target(level), esr=esr)
    enter_exception(vcpu.context, EL2H if level == "EL2" else EL1H, SYNC)
    settle(vcpu)
    return Result(TAKEN)


def settle(vcpu: NestedVcpu) -> None:
    """Take the interrupts that are signalled and not masked, one after the other."""
    context = vcpu.context
    while context.pstate & (I_MASKED | F_MASKED) != I_MASKED | F_MASKED:
        irq, fiq = vcpu.signalled()
        if fiq and not context.pstate & F_MASKED:
            kind, what = FIQ, "FIQ"
        elif irq and not context.pstate & I_MASKED:
            kind, what = IRQ, "IRQ"
        else:
            return
        level = "EL2" if vcpu.is_hyp else "EL1"
        vcpu.tell(events.TAKEN, what=what, target=_target(level))
        enter_exception(context, EL2H if level == "EL2" else EL1H, kind)


def _target(level: str) -> str:
    return "vEL2" if level == "EL2" else level


def _done(vcpu: NestedVcpu, rt: int = NO_REGISTER, value: int = 0) -> None:
    """The instruction is done, and gave `value` for the register `rt`."""
    context = vcpu.context
    context.set_register(rt, value)
    context.pc = context.pc + 4 & MASK_64


def _next(vcpu: NestedVcpu) -> None:
    _done(vcpu)
    settle(vcpu)


# ---- other instructions ---------------------------------------------------------------


def eret(vcpu: NestedVcpu, key: str = "") -> Result:
    """ERET, or with a key "a" or "b" ERETAA or ERETAB.

    Raises `UsageError` for any other key.
    """
    if key not in ("", "a", "b"):
        raise UsageError(f"a return has key `a` or `b`, not `{key:.20}`")
    iss = (ERET_IS_AUTHENTICATED | (ERET_HAS_KEY_B if key == "b" else 0)) if key else 0
    exited = _trapped(vcpu, "ERET", iss)
    if exited is not None:
        return exited
    context, registers = vcpu.context, vcpu.registers
    if level_of(context) == 0:
        return undefined(vcpu)
    spsr = registers["SPSR_EL1"]
    if spsr & AARCH32 or spsr & MODE > EL1H:
        return undefined(vcpu)
    context.pc, context.pstate = registers["ELR_EL1"], spsr
    settle(vcpu)
    return Result(NATIVE)


def hvc(vcpu: NestedVcpu, immediate: int = 0) -> Result:
    """HVC: undefined at EL0 and by the hardware's HCR_EL2.HCD, which L0 never sets itself."""
    vcpu.ready()
    disabled = vcpu.hardware.value_of("HCR_EL2") & HCR_HCD
    if level_of(vcpu.context) == 0 or disabled:
        return undefined(vcpu)
    # The preferred return address of a call is behind it.
    vcpu.context.pc = vcpu.context.pc + 4 & MASK_64
    how = trap(vcpu, EC_HVC64 << EC_SHIFT | IL | immediate & 0xFFFF)
    return Result(how, exit=vcpu.exit)


def smc(vcpu: NestedVcpu, immediate: int = 0) -> Result:
    """SMC: L0 traps it at EL1, at EL0 it is undefined."""
    return _trapped(vcpu, "SMC", immediate & 0xFFFF) or undefined(vcpu)


def svc(vcpu: NestedVcpu, immediate: int = 0) -> Result:
    """SVC: taken to EL1, or trapped by HFGITR_EL2 where L1 wants that."""
    esr = EC_SVC64 << EC_SHIFT | IL | immediate & 0xFFFF
    return _trapped(vcpu, "SVC", immediate & 0xFFFF) or take(vcpu, esr, advance=True)


def brk(vcpu: NestedVcpu, immediate: int = 0) -> Result:
    """BRK: a debug exception, which goes to EL2 by the hardware's MDCR_EL2.TDE."""
    vcpu.ready()
    esr = EC_BRK64 << EC_SHIFT | IL | immediate & 0xFFFF
    if vcpu.hardware.value_of("MDCR_EL2") >> 8 & 1:
        how = trap(vcpu, esr)
        return Result(how, exit=vcpu.exit)
    return take(vcpu, esr)


def nop(vcpu: NestedVcpu) -> Result:
    """NOP: time for interrupts that are signalled."""
    vcpu.ready()
    _next(vcpu)
    return Result(NATIVE)


def wfi(vcpu: NestedVcpu) -> Result:
    """WFI, which L0 traps; one that an interrupt would end at once does not."""
    vcpu.ready()
    if True in vcpu.signalled():
        return nop(vcpu)
    return _hint(vcpu, "WFI", 0)


def wfe(vcpu: NestedVcpu) -> Result:
    """WFE, which L0 traps."""
    return _hint(vcpu, "WFE", 1)


def _hint(vcpu: NestedVcpu, name: str, iss: int) -> Result:
    exited = _trapped(vcpu, name, iss)
    if exited is not None:
        return exited
    _next(vcpu)
    return Result(NATIVE)


def fp(vcpu: NestedVcpu) -> Result:
    """A floating-point or Advanced SIMD instruction."""
    return _floating(vcpu, "SIMD_FP", CPTR_FPEN, ISS_ALWAYS)


def sve(vcpu: NestedVcpu) -> Result:
    """An SVE instruction."""
    return _floating(vcpu, "SVE", CPTR_ZEN, 0)


def _floating(vcpu: NestedVcpu, name: str, field: int, iss: int) -> Result:
    """Loaded lazily: an instruction whose registers are not there exits, and is tried again."""
    exited = _trapped(vcpu, name, iss)
    if exited is not None and exited.how is exits.RESTARTED:
        exited = _trapped(vcpu, name, iss)
    if exited is not None:
        return exited
    enabled = vcpu.hardware.value_of("CPACR_EL1") & field
    if not enabled & field & -field or (level_of(vcpu.context) == 0 and enabled != field):
        ec = EC_FP_ASIMD if name == "SIMD_FP" else EC_SVE
        return take(vcpu, ec << EC_SHIFT | IL | iss)
    _next(vcpu)
    return Result(NATIVE)


def pauth(vcpu: NestedVcpu) -> Result:
    """A pointer authentication instruction, one whose key is enabled."""
    exited = _trapped(vcpu, "PAUTH", 0)
    if exited is not None:
        return exited
    if not vcpu.context.features.ptrauth:
        return undefined(vcpu)
    _next(vcpu)
    return Result(NATIVE)


def coprocessor(vcpu: NestedVcpu, ec: int, access: CoprocessorAccess) -> Result:
    """An AArch32 access to coprocessor 10, 14 or 15 with the class `ec` of its syndrome.

    It exits to the host; what of it runs without an exit is not modelled.
    """
    vcpu.ready()
    if not vcpu.context.pstate & AARCH32:
        raise UsageError("AArch64 has no coprocessors")
    how = trap(vcpu, encode_coprocessor(ec, access))
    value = vcpu.context.register(access.rt) if how is exits.EMULATED else None
    return Result(how, None if access.write else value)


def _trapped(vcpu: NestedVcpu, name: str, iss: int) -> Result | None:
    """The exit of an instruction that the hardware traps; None for one that it does not."""
    vcpu.ready()
    outcome = vcpu.hardware.decide(vcpu.machine.encoding(name), True)
    if outcome.outcome is not FORWARD:
        return None
    how = trap(vcpu, outcome.ec << EC_SHIFT | IL | iss)
    return Result(how, exit=vcpu.exit)


# ---- memory ---------------------------------------------------------------------------


def load(vcpu: NestedVcpu, address: int, size: int, rt: int = 0) -> Result:
    """Load `size` bytes (1, 2, 4, 8), zero-extended, into `rt`."""
    found = _access(vcpu, address, size, LOAD, rt)
    if isinstance(found, Result):
        return found
    value = vcpu.machine.host_memory.read(found, size)
    _done(vcpu, rt, value)
    settle(vcpu)
    return Result(NATIVE, value)


def store(vcpu: NestedVcpu, address: int, size: int, rt: int = 0) -> Result:
    """Store the low `size` bytes of `rt`."""
    found = _access(vcpu, address, size, STORE, rt)
    if isinstance(found, Result):
        return found
    vcpu.machine.host_memory.write(found, size, vcpu.context.register(rt))
    _next(vcpu)
    return Result(NATIVE)


def _access(vcpu: NestedVcpu, address: int, size: int, kind: str, rt: int) -> int | Result:
    """The physical address of an access, or what became of it otherwise.

    Raises `UsageError` for a size that is none, and for an address that is not aligned.
    """
    if size not in (1, 2, 4, 8) or not 0 <= address < 1 << 64 or address % size:
        raise UsageError(f"an access has 1, 2, 4 or 8 bytes, aligned: not {size} at {address:#x}")
    vcpu.ready()
    mmu = vcpu.mmu
    for _ in range(MOST_FAULTS):
        assert mmu.mmu is not None
        pa, status = mmu.mmu.translate(mmu.cpu, address, kind)
        if not status:
            return pa
        how = _fault(vcpu, address, syndrome(kind, status, _iss(size, rt)))
        if how is not exits.RESTARTED:
            value = vcpu.context.register(rt) if how is exits.EMULATED and kind == LOAD else None
            return Result(how, value, vcpu.exit)
    return Result(exits.RESTARTED)


def _iss(size: int, rt: int) -> int:
    return ISV | (size.bit_length() - 1) << 22 | rt << 16 | (SF if size == 8 else 0)


def _fault(vcpu: NestedVcpu, address: int, esr: int) -> str:
    """A stage-2 fault: the host gets ESR_EL2, FAR_EL2 and HPFAR_EL2."""
    abort = fault_info(esr, address, hpfar_of(address), lambda ipa: ipa)
    assert abort is not None  # with stage 1 off every address leads somewhere
    vcpu.abort = abort
    return trap(vcpu, esr)
