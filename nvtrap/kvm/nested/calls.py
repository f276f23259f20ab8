"""HVC and SMC that are the host's to answer: SMCCC services, and PSCI with what it starts.

Linux 6.12, arch/arm64/kvm/hypercalls.c, psci.c, and kvm_reset_vcpu of reset.c.
"""

from __future__ import annotations

from nvtrap.arch.pstate import AARCH32, DAIF, EL1H, EL2H
from nvtrap.kvm.calls.psci import SLEEP, STOPPED, VCPU_RESET, Call
from nvtrap.kvm.context import NOTHING_PENDING
from nvtrap.kvm.exits.endian import is_big_endian

TYPE_CHECKING = False
if TYPE_CHECKING:
    from nvtrap.kvm.nested.vcpu import NestedVcpu


def answer_call(vcpu: NestedVcpu) -> None:
    """Answer the call in X0 to X3, whose syndrome is in the context."""
    context, machine = vcpu.context, vcpu.machine
    call = Call(
        context.x[:4],
        esr=context.esr,
        aarch32=context.pstate & AARCH32 != 0,
        big_endian=is_big_endian(context.pstate, context.sysregs["SCTLR_EL1"]),
    )
    machine.smccc.call(vcpu.index, call)
    context.x[:4] = call.x
    vcpu.exit = call.exit
    for other in machine.vcpus:
        apply_power(other)
    if call.waits and not vcpu.kvm.powered_off:
        vcpu.wait()


def apply_power(vcpu: NestedVcpu) -> None:
    """Do what PSCI has asked of a vCPU (check_vcpu_requests)."""
    power, kvm = vcpu.power, vcpu.kvm
    if VCPU_RESET in power.requests and power.reset is not None:
        reset(vcpu, *power.reset)
        kvm.powered_off = False
    elif SLEEP in power.requests and power.state == STOPPED:
        vcpu.stop()
    power.requests.clear()


def reset(vcpu: NestedVcpu, pc: int, x0: int, big_endian: bool) -> None:
    """Start a vCPU: at EL2 if it has that, interrupts masked, its registers zero."""
    context = vcpu.context
    is_loaded = vcpu.mmu.cpu >= 0
    if is_loaded:
        context.put(context)
    context.x[:] = [0] * len(context.x)
    context.x[0] = x0
    context.pc = pc
    context.pending = NOTHING_PENDING
    context.pstate = DAIF | (EL2H if context.features.nv else EL1H)
    vcpu.reset_registers()
    if big_endian:
        context.sysregs["SCTLR_EL1"] |= 1 << 25
    if is_loaded:
        context.load(context)
