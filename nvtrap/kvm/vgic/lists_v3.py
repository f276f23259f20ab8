"""GICv3 list registers: filled before a vCPU enters the guest, folded back after its exit.

Linux 6.12, arch/arm64/kvm/vgic/vgic-v3.c and arch/arm64/kvm/hyp/vgic-v3-sr.c.
"""

from __future__ import annotations

from nvtrap.gic.virtual import lr as lrs
from nvtrap.gic.virtual.ich import READS, WRITES, read_vmcr, write_vmcr
from nvtrap.gic.virtual.interface import HCR_EN, VirtualInterface
from nvtrap.gic.virtual.maintenance import UIE, signalled
from nvtrap.kvm.vgic.forwarded import resample
from nvtrap.kvm.vgic.interrupt import PRIVATE
from nvtrap.kvm.vgic.lists import Lists, lists_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from nvtrap.kvm.vcpu import Vcpu
    from nvtrap.kvm.vgic.interrupt import Interrupt

SOURCE_SHIFT = 10
SOURCE = 7
VMCR_FIQEN = 1 << 3
VMCR_PMR_SHIFT = 24


class ListsV3(Lists):
    """`vmcr` is ICH_VMCR_EL2 and `aprs` are ICH_AP0R<n>_EL2, ICH_AP1R<n>_EL2 as last saved.

    `lrs` is KVM's copy of the list registers; the hardware holds them only between entry
    and exit.
    """

    __slots__ = ("_implemented", "aprs", "hardware", "hcr", "lrs", "vmcr")

    def __init__(self, vcpu: Vcpu) -> None:
        parameters = vcpu.vm.host.parameters
        super().__init__(vcpu, parameters.list_registers)
        self.hardware = VirtualInterface(parameters, vcpu.deactivate_host_interrupt)
        self._implemented = parameters.lr_mask | parameters.lr_mask_hw
        self.lrs = [0] * self.count
        self.hcr = 0
        self.vmcr = 0
        self.aprs = [[0] * 4, [0] * 4]

    @property
    def interface(self) -> VirtualInterface:
        """The virtual CPU interface that the guest works with."""
        return self.hardware

    @property
    def priority_mask(self) -> int:
        """ICH_VMCR_EL2.VPMR as last saved."""
        return self.vmcr >> VMCR_PMR_SHIFT & 0xFF

    @property
    def interrupts(self) -> bool:
        """Whether ICH_MISR_EL2 has a reason that ICH_HCR_EL2 lets through."""
        return signalled(self.hardware)

    @property
    def apr_count(self) -> int:
        """How many active-priority registers a group has: 1, 2 or 4."""
        return 1 << max(0, self.hardware.parameters.virtual_preemption_bits - 5)

    def enable(self) -> None:
        """Reset the CPU interface; VMCR of 0 sets the binary points to their minimum."""
        self.vmcr = 0
        self.hcr = HCR_EN

    def load(self) -> None:
        """Write VMCR and the active priorities to the hardware."""
        write_vmcr(self.hardware, self.vmcr)
        for group in (0, 1):
            for n in range(self.apr_count):
                WRITES[f"ICH_AP{group}R{n}_EL2"](self.hardware, self.aprs[group][n])

    def put(self) -> None:
        """Read them back."""
        self.vmcr = read_vmcr(self.hardware)
        for group in (0, 1):
            for n in range(self.apr_count):
                self.aprs[group][n] = READS[f"ICH_AP{group}R{n}_EL2"](self.hardware)

    def restore(self) -> None:
        """Write ICH_HCR_EL2 and the list registers, if one is filled.

        The hardware drops bits that it has not: LPIs have six bits of priority here.
        """
        if self.used:
            self.hardware.hcr = self.hcr | (UIE if self.underflow else 0)
            kept = self._implemented
            self.hardware.lrs[: self.used] = [lr & kept for lr in self.lrs[: self.used]]

    def save(self) -> None:
        """Read the list registers that were filled, and clear ICH_HCR_EL2.En."""
        if self.used:
            self.lrs[: self.used] = self.hardware.lrs[: self.used]
            self.hardware.lrs[: self.used] = [0] * self.used
            self.hardware.hcr = self.hcr & ~HCR_EN

    def clear(self, n: int) -> None:
        """Empty list register `n`."""
        self.lrs[n] = 0

    def populate(self, irq: Interrupt, n: int) -> None:
        """Fill list register `n`; an edge interrupt's latch goes into it."""
        self.lrs[n] = filled(irq)

    def fold(self) -> None:
        """Bring the list registers back to their interrupts."""
        vcpu = self.vcpu
        vgic = vcpu.vgic
        for lr in self.lrs[: self.used]:
            intid = lr & lrs.VINTID
            if lrs.requests_eoi(lr) and PRIVATE <= intid < vgic.nr_irqs:
                vcpu.vm.notify_acked(intid - PRIVATE)
            irq = vgic.interrupt(vcpu, intid)
            if irq is not None:  # an LPI may have been unmapped
                fold_one(irq, lr)


def filled(irq: Interrupt, is_v2_sgi: bool = False) -> int:
    """The list register for an interrupt; an edge's latch goes into it.

    An SGI of a GICv2 takes one of its senders along, in bits 12:10 of vINTID.
    """
    lr = irq.intid | irq.priority << lrs.PRIORITY_SHIFT
    if irq.group:
        lr |= lrs.GROUP
    may_be_pending = True
    if irq.active:
        lr |= lrs.ACTIVE_BIT
        if is_v2_sgi:
            lr |= irq.active_source << SOURCE_SHIFT
        if lists_of(irq) > 1:  # the other senders wait until this one has ended
            may_be_pending = False
            lr |= lrs.EOI
    host = irq.hw
    if host is not None and not host.resamples:
        lr = lr & ~lrs.EOI | lrs.HW | host.intid << lrs.PINTID_SHIFT
        host.note_entry()
        # The host's distributor keeps the pending state.
        may_be_pending = may_be_pending and not irq.active
    elif not irq.edge:
        lr |= lrs.EOI
        may_be_pending = may_be_pending and not irq.active
    if may_be_pending and irq.pending():
        lr = _make_pending(irq, lr, is_v2_sgi)
    return lr


def _make_pending(irq: Interrupt, lr: int, is_v2_sgi: bool) -> int:
    if irq.edge:
        irq.pending_latch = False
    if is_v2_sgi:
        if not irq.source:
            return lr  # nobody sent it
        sender = (irq.source & -irq.source).bit_length() - 1
        irq.source &= irq.source - 1
        lr |= sender << SOURCE_SHIFT
        if irq.source:
            irq.pending_latch = True
            lr |= lrs.EOI
    if irq.is_mapped_level():
        irq.line_level = False  # only its next rise is heard
    return lr | lrs.PENDING_BIT


def fold_one(irq: Interrupt, lr: int, is_v2_sgi: bool = False) -> None:
    """Bring one list register, in the form of `filled`, back to its interrupt."""
    is_active = lr & lrs.ACTIVE_BIT != 0
    is_pending = lr & lrs.PENDING_BIT != 0
    has_ended = irq.active and not is_active
    irq.active = is_active
    if is_v2_sgi and is_active:
        irq.active_source = lr >> SOURCE_SHIFT & SOURCE
    if irq.edge:
        if is_pending:
            irq.pending_latch = True
            if is_v2_sgi:
                irq.source |= 1 << (lr >> SOURCE_SHIFT & SOURCE)
    elif not is_active and not is_pending:
        irq.pending_latch = False
    if irq.hw is not None:
        if lr & lrs.HW:
            has_ended = irq.hw.sync() == 1
        resample(irq, has_ended, is_pending)
