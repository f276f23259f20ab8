"""GICv2 list registers: filled before a vCPU enters the guest, folded back after its exit.

Linux 6.12, arch/arm64/kvm/vgic/vgic-v2.c. What goes into a list register and what comes
back is as with a GICv3 (`lists_v3`), in a narrower form: 32 bits, priorities of five.
"""

from __future__ import annotations

from nvtrap.gic.v2 import gich
from nvtrap.gic.v2 import lr as lr_v2
from nvtrap.gic.v2.interface import HCR_EN, VirtualInterfaceV2
from nvtrap.kvm.vgic.interrupt import PRIVATE, SGIS
from nvtrap.kvm.vgic.lists import Lists
from nvtrap.kvm.vgic.lists_v3 import filled, fold_one

TYPE_CHECKING = False
if TYPE_CHECKING:
    from nvtrap.kvm.vcpu import Vcpu
    from nvtrap.kvm.vgic.interrupt import Interrupt


class ListsV2(Lists):
    """`vmcr` is GICH_VMCR and `apr` GICH_APR as last saved, or as user space has set them.

    `lrs` is KVM's copy of the list registers; the hardware holds them only between entry
    and exit.
    """

    __slots__ = ("apr", "hardware", "lrs", "vmcr")

    def __init__(self, vcpu: Vcpu) -> None:
        super().__init__(vcpu, vcpu.vm.host.list_registers)
        self.hardware = VirtualInterfaceV2(self.count, vcpu.deactivate_host_interrupt)
        self.lrs = [0] * self.count
        self.vmcr = 0
        self.apr = 0

    @property
    def interface(self) -> VirtualInterfaceV2:
        """The virtual CPU interface that the guest works with."""
        return self.hardware

    @property
    def priority_mask(self) -> int:
        """GICH_VMCR.VMPriMask as last saved, as a priority of eight bits."""
        return self.vmcr >> gich.VMPRIMASK_SHIFT << lr_v2.PRIORITY_DROPPED & 0xF8

    @property
    def interrupts(self) -> bool:
        """Whether GICH_MISR has a reason that GICH_HCR lets through."""
        return gich.signalled(self.hardware)

    def enable(self) -> None:
        """Reset the CPU interface; a VMCR of 0 sets the binary points to their minimum."""
        self.vmcr = 0

    def load(self) -> None:
        """Write GICH_VMCR and GICH_APR."""
        gich.set_vmcr(self.hardware, self.vmcr)
        self.hardware.active = self.apr

    def put(self) -> None:
        """Read them back."""
        self.vmcr = gich.vmcr(self.hardware)
        self.apr = self.hardware.active

    def restore(self) -> None:
        """Write GICH_HCR and the list registers, if one is filled."""
        if self.used:
            self.hardware.hcr = HCR_EN | (gich.UIE if self.underflow else 0)
            self.hardware.lrs[: self.used] = self.lrs[: self.used]

    def save(self) -> None:
        """Read the list registers that were filled, and switch the interface off."""
        if self.used:
            self.lrs[: self.used] = self.hardware.lrs[: self.used]
            self.hardware.lrs[: self.used] = [0] * self.used
            self.hardware.hcr = 0

    def clear(self, n: int) -> None:
        """Empty list register `n`."""
        self.lrs[n] = 0

    def populate(self, irq: Interrupt, n: int) -> None:
        """Fill list register `n`; an edge's latch and the sender of an SGI go into it."""
        self.lrs[n] = lr_v2.from_v3(filled(irq, irq.intid < SGIS))

    def fold(self) -> None:
        """Bring the list registers back to their interrupts."""
        vcpu = self.vcpu
        vgic = vcpu.vgic
        for lr in self.lrs[: self.used]:
            intid = lr & lr_v2.VINTID
            if lr_v2.requests_eoi(lr) and PRIVATE <= intid < vgic.nr_irqs:
                vcpu.vm.notify_acked(intid - PRIVATE)
            irq = vgic.interrupt(vcpu, intid)
            if irq is not None:
                fold_one(irq, lr_v2.to_v3(lr), intid < SGIS)
