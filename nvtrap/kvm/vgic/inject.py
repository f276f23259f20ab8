"""Lines, edges and their owners: how interrupts come in.

Linux 6.12, kvm_vgic_inject_irq of arch/arm64/kvm/vgic/vgic.c and KVM_IRQ_LINE of
arch/arm64/kvm/arm.c.
"""

from __future__ import annotations

from errno import EINVAL, ENXIO

from nvtrap.kvm.errno import refuse
from nvtrap.kvm.vgic.interrupt import PRIVATE, SGIS
from nvtrap.kvm.vgic.queue import queue

TYPE_CHECKING = False
if TYPE_CHECKING:
    from nvtrap.kvm.vcpu import Vcpu
    from nvtrap.kvm.vgic.vgic import Vgic
    from nvtrap.kvm.vm import Vm

# What the type field of KVM_IRQ_LINE's irq says.
TYPE_CPU, TYPE_SPI, TYPE_PPI = 0, 1, 2
CPU_FIQ = 1


def inject(vgic: Vgic, vcpu: Vcpu | None, intid: int, level: bool, owner: object = None) -> None:
    """Move the line of an interrupt, a PPI's that of `vcpu`; an edge interrupt latches a 1.

    Nothing happens when the interrupt has another owner, when a level line stays as it
    is, or an edge falls. Raises `OSError`: EBUSY for a GICv3 that is not initialised,
    EINVAL for an INTID that is none.
    """
    vgic.lazy_initialize()
    if vcpu is None and intid < PRIVATE:
        refuse(EINVAL)
    irq = vgic.interrupt(vcpu, intid)
    if irq is None:
        refuse(EINVAL)
    if irq.owner is not owner:
        return
    if irq.edge:
        if not level:
            return
        irq.pending_latch = True
    else:
        if irq.line_level == level:
            return
        irq.line_level = level
    queue(irq)


def irq_line(vm: Vm, irq: int, level: bool) -> None:
    """KVM_IRQ_LINE: type in bits 27:24, vCPU id in 31:28 and 23:16, number in 15:0.

    Raises `OSError`: ENXIO for the CPU's own lines with a GIC in the kernel, and for SPIs
    and PPIs without one; EINVAL for a type, vCPU or number that is none; else as `inject`.
    """
    kind, number = irq >> 24 & 0xF, irq & 0xFFFF
    if kind not in (TYPE_CPU, TYPE_SPI, TYPE_PPI):
        refuse(EINVAL)
    if (vm.vgic.model == 0) != (kind == TYPE_CPU):
        refuse(ENXIO)
    vcpu = None
    if kind != TYPE_SPI:
        vcpu = vm.vcpu_by_id((irq >> 28 & 0xF) * 256 + (irq >> 16 & 0xFF))
        if vcpu is None:
            refuse(EINVAL)
    if kind == TYPE_CPU:
        assert vcpu is not None
        if number > CPU_FIQ:
            refuse(EINVAL)
        vcpu.set_cpu_line(number, level)
    elif (number < PRIVATE) if kind == TYPE_SPI else not SGIS <= number < PRIVATE:
        refuse(EINVAL)
    else:
        inject(vm.vgic, vcpu, number, level)
