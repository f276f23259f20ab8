"""A guest's MRS and MSR of the GIC's registers at EL1: ICC_*.

Most reach the virtual CPU interface of the hardware without KVM. Those that send SGIs
trap to KVM, as does ICC_SRE_EL1 (arch/arm64/kvm/sys_regs.c, access_gic_sgi and
access_gic_sre). Without a GICv3 in the VM all of them are UNDEFINED.
"""

from __future__ import annotations

from nvtrap.errors import UnknownNameError
from nvtrap.gic.access import Undefined
from nvtrap.gic.registers import READ, REGISTERS, SGI, SRE, WRITE
from nvtrap.gic.virtual import icv
from nvtrap.kvm.vgic import sgi
from nvtrap.kvm.vgic.vgic import GICV3

TYPE_CHECKING = False
if TYPE_CHECKING:
    from nvtrap.gic.parameters import Parameters
    from nvtrap.kvm.vcpu import Vcpu

SRE_VALUE = 7  # DIB, DFB and SRE


def read(vcpu: Vcpu, name: str) -> int:
    """MRS of a register by its architectural name.

    Raises `Undefined`, and `UnknownNameError` for what is no register of the GIC.
    """
    function = icv.READS.get(name)
    if function is None or not _is_there(vcpu, name):
        if _trapped(vcpu, name, READ) == SRE:
            return SRE_VALUE
        raise Undefined(1)
    return function(vcpu.lists.interface)


def write(vcpu: Vcpu, name: str, value: int) -> None:
    """MSR.

    Raises `Undefined`, and `UnknownNameError` for what is no register of the GIC.
    """
    function = icv.WRITES.get(name)
    if function is not None and _is_there(vcpu, name):
        function(vcpu.lists.interface, value)
        return
    family = _trapped(vcpu, name, WRITE)
    if family == SGI:
        vcpu.exit_guest()
        sgi.dispatch(vcpu, value, allow_group1=name == "ICC_SGI1R_EL1")
    elif family != SRE:
        raise Undefined(1)


def missing(parameters: Parameters) -> frozenset[str]:
    """The registers of the virtual interface that an implementation does not have.

    There are 1, 2 or 4 active-priority registers a group with 5, 6 or 7 preemption bits
    (IHI 0069, 12.4.2).
    """
    there = 1 << max(0, parameters.virtual_preemption_bits - 5)
    names = {f"ICC_AP{group}R{n}_EL1" for group in (0, 1) for n in range(there, 4)}
    return frozenset(names if parameters.nmi else names | {"ICC_NMIAR1_EL1"})


def _is_there(vcpu: Vcpu, name: str) -> bool:
    return vcpu.vgic.model == GICV3 and name not in vcpu.vm.host.missing


def _trapped(vcpu: Vcpu, name: str, direction: int) -> str:
    """The family of a register that KVM answers for; empty when nobody does."""
    register = REGISTERS.get(name)
    if register is None:
        raise UnknownNameError("system register", name, [*REGISTERS, "ISR_EL1", "ID_AA64PFR0_EL1"])
    is_answered = vcpu.vgic.model == GICV3 and register.access & direction
    return register.family if is_answered else ""
