"""Save and restore of a whole GICv3 by user space, through its device alone.

The order matters, as what is restored pending or active goes to a list register's queue
at once: Documentation/virt/kvm/devices/arm-vgic-v3.rst. So the revision comes first, then
everything that says where an interrupt goes, then what is pending, then what is active.
Guest RAM, where ITSs and redistributors have their tables, goes its own way.

There is no way to tell KVM of a line that is high while its interrupt is edge-triggered, of
the vCPU that an SPI is active on when its route has changed since, and of active LPIs.
"""

from __future__ import annotations

from nvtrap.gic.registers import REGISTERS
from nvtrap.kvm.vgic.device import Control, Group
from nvtrap.kvm.vgic.dist_v3 import CTLR, IIDR
from nvtrap.kvm.vgic.interrupt import PRIVATE
from nvtrap.kvm.vgic.redist_v3 import SGI_BASE
from nvtrap.kvm.vgic.sysregs import LAST_APR

TYPE_CHECKING = False
if TYPE_CHECKING:
    from nvtrap.kvm.vcpu import Vcpu
    from nvtrap.kvm.vgic.device import Device

    Attributes = list[tuple[int, int, int]]

# Offset and bits an interrupt of the arrays, in the order in which they are restored.
ROUTING = ((0x080, 1), (0xC00, 2), (0x400, 8))  # IGROUPR, ICFGR, IPRIORITYR
ENABLES, PENDING, ACTIVE = (0x100, 1), (0x200, 1), (0x300, 1)
ICENABLER, IROUTER = 0x180, 0x6000
GICR_CTLR, PROPBASER, PENDBASER = 0x00, 0x70, 0x78
GITS_CTLR = 0x0
ITS_REGISTERS = (0x80, 0x90, 0x88, 0x100, 0x108)  # CBASER, CREADR, CWRITER, BASER0, BASER1
CTLR_EL1 = REGISTERS["ICC_CTLR_EL1"].encoding
INTERFACE = (
    "ICC_SRE_EL1",
    "ICC_IGRPEN0_EL1",
    "ICC_IGRPEN1_EL1",
    "ICC_PMR_EL1",
    "ICC_BPR0_EL1",
    "ICC_BPR1_EL1",
)
CBPR = 1


def save(gic: Device) -> Attributes:
    """Everything a GICv3 has, as (group, attribute, value) in the order to restore it in.

    With an ITS in the VM the pending tables of LPIs are written to guest RAM. Raises
    `OSError` as the device does: EBUSY while a vCPU runs.
    """
    if gic.vm.vgic.its:
        gic.set_attr(Group.CTRL, Control.SAVE_PENDING_TABLES)
    attributes = [(Group.DIST_REGS, offset) for offset in (IIDR, CTLR)]
    vcpus = gic.vm.vcpus
    for vcpu in vcpus:
        attributes += _redistributor(vcpu, 0, (PROPBASER, PROPBASER + 4, PENDBASER, PENDBASER + 4))
    attributes += _arrays(gic, ROUTING)
    spis = range(PRIVATE, gic.vm.vgic.nr_irqs)
    attributes += [(Group.DIST_REGS, IROUTER + 8 * intid) for intid in spis]
    attributes += _arrays(gic, (ENABLES,))
    for vcpu in vcpus:
        attributes.append((Group.LEVEL_INFO, vcpu_attr(vcpu)))
    attributes += [(Group.LEVEL_INFO, vcpu_attr(vcpus[0]) | intid) for intid in spis[::32]]
    attributes += _arrays(gic, (PENDING, ACTIVE))
    for vcpu in vcpus:
        attributes += _redistributor(vcpu, 0, (GICR_CTLR,))
    # SGIs are enabled from the beginning, and those that are not are to be disabled.
    saved = [
        (Group.REDIST_REGS, vcpu_attr(vcpu) | SGI_BASE + ICENABLER, 0xFFFF_FFFF) for vcpu in vcpus
    ]
    saved += [(group, attr, gic.get_attr(group, attr)) for group, attr in attributes]
    for vcpu in vcpus:
        saved += _interface(gic, vcpu)
    return saved


def restore(gic: Device, saved: Attributes) -> None:
    """Make a GIC, or an ITS, what another was; no vCPU of its VM has run yet.

    Raises `OSError` as the device does.
    """
    for group, attr, value in saved:
        gic.set_attr(group, attr, value)


def save_its(its: Device) -> Attributes:
    """The same of an ITS, whose tables are written to guest RAM.

    It is to be saved before the GIC, and restored after it and the RAM.
    """
    its.set_attr(Group.CTRL, Control.ITS_SAVE_TABLES)
    registers = [(Group.ITS_REGS, offset) for offset in ITS_REGISTERS]
    saved = [(group, attr, its.get_attr(group, attr)) for group, attr in registers]
    saved.append((Group.CTRL, Control.ITS_RESTORE_TABLES, 0))
    return [*saved, (Group.ITS_REGS, GITS_CTLR, its.get_attr(Group.ITS_REGS, GITS_CTLR))]


def vcpu_attr(vcpu: Vcpu) -> int:
    """What of an attribute names a vCPU: its affinity in the high word."""
    return vcpu.mpidr << 32


def _arrays(gic: Device, arrays: tuple[tuple[int, int], ...]) -> list[tuple[int, int]]:
    """The words of arrays: those of each redistributor, and the distributor's rest."""
    words = []
    for offset, bits in arrays:
        first, last = offset + 4 * bits, offset + gic.vm.vgic.nr_irqs * bits // 8
        for vcpu in gic.vm.vcpus:
            words += _redistributor(vcpu, SGI_BASE, range(offset, first, 4))
        words += [(Group.DIST_REGS, word) for word in range(first, last, 4)]
    return words


def _redistributor(
    vcpu: Vcpu, base: int, offsets: range | tuple[int, ...]
) -> list[tuple[int, int]]:
    return [(Group.REDIST_REGS, vcpu_attr(vcpu) | base + offset) for offset in offsets]


def _interface(gic: Device, vcpu: Vcpu) -> Attributes:
    """The CPU interface; CBPR is taken off meanwhile, as it hides BPR1."""
    attr = vcpu_attr(vcpu) | CTLR_EL1
    ctlr = gic.get_attr(Group.CPU_SYSREGS, attr)
    aprs = range(LAST_APR.get((ctlr >> 8 & 7) + 1, 0) + 1)
    names = [*INTERFACE, *(f"ICC_AP{group}R{n}_EL1" for group in (0, 1) for n in aprs)]
    without = (Group.CPU_SYSREGS, attr, ctlr & ~CBPR)
    gic.set_attr(*without)
    saved = [without]
    for name in names:
        register = vcpu_attr(vcpu) | REGISTERS[name].encoding
        saved.append((Group.CPU_SYSREGS, register, gic.get_attr(Group.CPU_SYSREGS, register)))
    gic.set_attr(Group.CPU_SYSREGS, attr, ctlr)
    return [*saved, (Group.CPU_SYSREGS, attr, ctlr)]
