"""System registers that a guest reaches without an exit: what the hardware does.

The hardware runs vEL2 at EL1. There the EL1 names mean vEL2's own registers when it has
E2H, and some EL2 names are further names of the hardware's EL1 registers (DDI 0487,
D8.14); a guest's ICC_*_EL1 reach the virtual CPU interface (IHI 0069, 12.3).
"""

from __future__ import annotations

from nvtrap.arch.pstate import DAIF, NZCV, PAN, SP_ELX, SSBS, TCO, UAO
from nvtrap.engine.table import FORWARD
from nvtrap.gic.virtual import icv
from nvtrap.kvm.context import MASK_64, is_e2h, is_el2
from nvtrap.kvm.hyp.vel2 import EL2_IN_EL1
from nvtrap.kvm.nested.controls import level_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from nvtrap.kvm.nested.vcpu import NestedVcpu

# What the hardware's registers of EL1 and EL0 hold while a vEL2 with E2H runs.
VHE_NAMES = {
    **EL2_IN_EL1,
    **{f"{name}_EL1": f"{name}_EL2" for name in ("CONTEXTIDR", "TCR2", "SCTLR2", "PIR", "PIRE0")},
    **{f"{name}_EL1": f"{name}_EL2" for name in ("POR", "SMCR", "TRFCR", "TFSR", "MAIR2")},
    "CNTKCTL_EL1": "CNTHCTL_EL2",
    **{
        f"CNT{timer}_{part}_EL0": f"CNTH{timer}_{part}_EL2"
        for timer in "PV"
        for part in ("CTL", "CVAL", "TVAL")
    },
}
# EL2's names of the hardware's EL1 registers, which at EL1 mean something to vEL2 alone.
NV2_NAMES = frozenset({"SPSR_EL2", "ELR_EL2", "ESR_EL2", "FAR_EL2", "TFSR_EL2"})
# PSTATE's parts as registers, by the bits that they have of it.
_PSTATE = {"NZCV": NZCV, "DAIF": DAIF, "PAN": PAN, "UAO": UAO, "SSBS": SSBS, "TCO": TCO}
# IDs of which the hardware gives EL1 what EL2 chose, and which ones are L1's choice for L2.
_VIRTUAL_IDS = {"MIDR_EL1": "VPIDR_EL2", "MPIDR_EL1": "VMPIDR_EL2"}
_COUNTERS = frozenset({"CNTVCT_EL0", "CNTPCT_EL0", "CNTVCTSS_EL0", "CNTPCTSS_EL0"})
FIRST_WITH_L1_IDS = (6, 13)
ISR_I, ISR_F = 1 << 7, 1 << 6


def stored_name(vcpu: NestedVcpu, name: str) -> str:
    """The register of the vCPU that a name means for the context that runs."""
    if vcpu.is_hyp and is_e2h(vcpu.context):
        return VHE_NAMES.get(name, name)
    return name


def is_undefined(vcpu: NestedVcpu, name: str, encoding: int, write: bool) -> bool:
    """Whether the hardware has no such access at the level that the context runs at.

    Of the encodings with op1 3 EL0 has all, of those with 0 to 2 EL1; EL2's are there for a
    hypervisor under FEAT_NV alone. Directions are the catalogue's.
    """
    machine = vcpu.machine
    if encoding >> 14 == 1:
        return False  # what is left of the instructions acts on nothing that is modelled
    if not machine.has_direction(encoding, write):
        return True
    op1 = encoding >> 11 & 7
    if level_of(vcpu.context) == 0:
        return op1 != 3
    if op1 < 4:
        return name.startswith("ICC_") and name in vcpu.kvm.vm.host.missing
    return not (name in NV2_NAMES and _runs_hypervisor(vcpu))


def is_done_at_el2(vcpu: NestedVcpu, encoding: int, write: bool) -> bool:
    """Whether L0, having traps of its own, does an access without leaving the guest.

    A host whose GIC needs them emulates the virtual CPU interface at EL2, but for what L1
    traps (hyp/vgic-v3-sr.c, __vgic_v3_perform_cpuif_access, 6.15).
    """
    name = vcpu.machine.name_of(encoding, write)
    known = name in (icv.WRITES if write else icv.READS)
    return known and vcpu.kernel.decide(encoding, write).outcome is not FORWARD


def _runs_hypervisor(vcpu: NestedVcpu) -> bool:
    """Whether the hardware's HCR_EL2.NV is on: vEL2, or an L2 that L1 lets have NV."""
    return vcpu.is_hyp or bool(vcpu.registers["HCR_EL2"] >> 42 & 1)


def _gives_l2_its_ids(vcpu: NestedVcpu) -> bool:
    """Whether VPIDR_EL2 and VMPIDR_EL2 of the hardware are L1's: below vEL2, since 6.13."""
    if not vcpu.context.features.nv or vcpu.is_hyp:
        return False
    return vcpu.machine.kernel_version >= FIRST_WITH_L1_IDS


def read(vcpu: NestedVcpu, name: str) -> int:
    """What MRS of a register gives that neither traps nor is memory."""
    context, registers = vcpu.context, vcpu.registers
    gic = icv.READS.get(name)
    if gic is not None:
        return gic(vcpu.lists.hardware)
    if name in _PSTATE:
        return context.pstate & _PSTATE[name]
    if name == "CurrentEL":
        return (2 if is_el2(context) else level_of(context)) << 2
    if name == "SPSel":
        return context.pstate & SP_ELX
    if name == "ISR_EL1":
        irq, fiq = vcpu.signalled()
        return ISR_I * irq | ISR_F * fiq
    if name in _VIRTUAL_IDS and _gives_l2_its_ids(vcpu):
        return registers[_VIRTUAL_IDS[name]]
    if name in _COUNTERS:
        return vcpu.machine.counter(vcpu, name)
    if name == "MPIDR_EL1" or name in vcpu.machine.id_registers:
        return vcpu.machine.id_register(vcpu, name)
    return registers[stored_name(vcpu, name)]


def write(vcpu: NestedVcpu, name: str, value: int) -> None:
    """What MSR of such a register does."""
    context = vcpu.context
    gic = icv.WRITES.get(name)
    if gic is not None:
        gic(vcpu.lists.hardware, value)
    elif name in _PSTATE:
        bits = _PSTATE[name]
        context.pstate = context.pstate & ~bits | value & bits
    elif name == "SPSel":
        context.pstate = context.pstate & ~SP_ELX | value & SP_ELX
    else:
        vcpu.registers[stored_name(vcpu, name)] = value & MASK_64
