"""Into the guest and out of it: list registers are filled and folded back.

What GICv2 and GICv3 hosts have in common: which interrupts get one of the few list
registers. Linux 6.12, arch/arm64/kvm/vgic/vgic.c (kvm_vgic_flush_hwstate,
kvm_vgic_sync_hwstate).
"""

from __future__ import annotations

from nvtrap.kvm.vgic.interrupt import SGIS
from nvtrap.kvm.vgic.queue import prune, sort
from nvtrap.kvm.vgic.target import target_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from nvtrap.kvm.vcpu import Vcpu
    from nvtrap.kvm.vgic.interrupt import Interrupt


class Lists:
    """A vCPU's list registers and the rest of its CPU interface, as KVM keeps them.

    This is the common part; `ListsV3` and `ListsV2` know a host's registers. `count` is
    the number of list registers, `used` how many of them were filled for this entry,
    `underflow` whether more was waiting: ICH_HCR_EL2.UIE makes the guest exit then.
    """

    __slots__ = ("count", "underflow", "used", "vcpu")

    def __init__(self, vcpu: Vcpu, count: int) -> None:
        self.vcpu = vcpu
        self.count = count
        self.used = 0
        self.underflow = False

    # ---- what a host's GIC does its own way ------------------------------------------

    @property
    def interface(self) -> Any:
        """The virtual CPU interface of the hardware that the guest works with."""
        raise NotImplementedError

    @property
    def priority_mask(self) -> int:
        """The priority mask as last saved from the hardware, 8 bits as in ICC_PMR_EL1."""
        raise NotImplementedError

    @property
    def interrupts(self) -> bool:
        """Whether the maintenance interrupt is raised; it does no more than force an exit."""
        raise NotImplementedError

    def enable(self) -> None:
        """Reset the CPU interface, as the GIC is initialised."""
        raise NotImplementedError

    def load(self) -> None:
        """Give the hardware what outlives an exit: masks, binary points, active priorities."""
        raise NotImplementedError

    def put(self) -> None:
        """Take that back; the interface is quiescent then, it makes no maintenance interrupt."""
        raise NotImplementedError

    def populate(self, irq: Interrupt, n: int) -> None:
        """Fill list register `n` with an interrupt."""
        raise NotImplementedError

    def clear(self, n: int) -> None:
        """Empty list register `n`."""
        raise NotImplementedError

    def restore(self) -> None:
        """Switch the interface on with the list registers that are filled."""
        raise NotImplementedError

    def save(self) -> None:
        """Switch it off."""
        raise NotImplementedError

    def fold(self) -> None:
        """Bring what the guest made of the `used` list registers back to the interrupts."""
        raise NotImplementedError

    # ---- what all do alike -----------------------------------------------------------

    def flush(self) -> None:
        """Before the guest is entered: fill the list registers; nothing if the list is empty."""
        if self.vcpu.ap_list:
            self._fill()
            self.restore()

    def sync(self) -> None:
        """After the exit: fold them, and tidy the list; nothing if the list is empty."""
        if not self.vcpu.ap_list:
            return
        self.save()
        if self.used:
            self.underflow = False
            self.fold()
            self.used = 0
        prune(self.vcpu)

    def _fill(self) -> None:
        vcpu = self.vcpu
        needed, has_multiple = depth(vcpu.ap_list)
        if needed > self.count or has_multiple:
            sort(vcpu)
        # Every sender of an SGI is to be seen before anything of lower priority.
        lowest = 0xFF
        n = 0
        last = len(vcpu.ap_list) - 1
        for place, irq in enumerate(vcpu.ap_list):
            if has_multiple and irq.priority > lowest:
                break
            if target_of(irq) is vcpu:
                self.populate(irq, n)
                n += 1
                if irq.source:
                    lowest = irq.priority
            if n == self.count:
                self.underflow = self.underflow or place < last
                break
        for rest in range(n, self.count):
            self.clear(rest)
        self.used = n


def lists_of(irq: Interrupt) -> int:
    """How many list registers an interrupt would take (vgic_irq_get_lr_count).

    A GICv2 SGI takes one for each sender and one for its active state.
    """
    if irq.source and irq.intid < SGIS:
        return irq.source.bit_count() + irq.active
    return int(irq.active or irq.pending())


def depth(listed: list[Interrupt]) -> tuple[int, bool]:
    """How many list registers they would take, and whether one of them takes several."""
    needed = 0
    has_multiple = False
    for irq in listed:
        count = lists_of(irq)
        needed += count
        has_multiple = has_multiple or count > 1
    return needed, has_multiple
