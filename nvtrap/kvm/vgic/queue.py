"""The list of pending and active interrupts of each vCPU: `ap_list`.

An interrupt is on at most one list, new ones come to its end. The order is that in which
list registers are filled. Linux 6.12, arch/arm64/kvm/vgic/vgic.c.
"""

from __future__ import annotations

from nvtrap.kvm.vgic.interrupt import FIRST_LPI
from nvtrap.kvm.vgic.target import target_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from nvtrap.kvm.vcpu import Vcpu
    from nvtrap.kvm.vgic.interrupt import Interrupt
    from nvtrap.kvm.vgic.vgic import Vgic


def queue(irq: Interrupt) -> bool:
    """Put an interrupt on the list of its target, and kick that; whether it was put there.

    One that is on a list stays, its target is kicked all the same (vgic_queue_irq_unlock).
    """
    vcpu = target_of(irq)
    if vcpu is None:
        return False
    is_new = irq.vcpu is None
    if is_new:
        vcpu.ap_list.append(irq)
        irq.vcpu = vcpu
    vcpu.kick()
    return is_new


def prune(vcpu: Vcpu) -> None:
    """After an exit: take off the list what has no target, move what has another one.

    What moves comes to the end of the list of its target, which is kicked.
    """
    kept: list[Interrupt] = []
    moved: list[Vcpu] = []
    for irq in vcpu.ap_list:
        target = target_of(irq)
        if target is vcpu:
            kept.append(irq)
        elif target is None:
            irq.vcpu = None
            vcpu.vgic.release(irq)
        else:
            irq.vcpu = target
            target.ap_list.append(irq)
            moved.append(target)
    vcpu.ap_list = kept
    for target in moved:
        target.kick()


def sort(vcpu: Vcpu) -> None:
    """Sort a list: active ones first, then those to deliver, each by priority (vgic_irq_cmp)."""
    vcpu.ap_list.sort(key=_rank)


def _rank(irq: Interrupt) -> int:
    if irq.active:
        return -1
    return irq.priority if irq.enabled and irq.pending() else 0x100


def drop_lpis(vcpu: Vcpu) -> None:
    """Take all LPIs off a list and forget that they were pending (vgic_flush_pending_lpis)."""
    dropped = [irq for irq in vcpu.ap_list if irq.intid >= FIRST_LPI]
    vcpu.ap_list = [irq for irq in vcpu.ap_list if irq.intid < FIRST_LPI]
    for irq in dropped:
        irq.pending_latch = False
        irq.vcpu = None
        vcpu.vgic.release(irq)


def has_pending(vcpu: Vcpu) -> bool:
    """Whether a listed interrupt wakes a waiting vCPU (kvm_vgic_vcpu_pending_irq).

    Its priority counts, as user space would read ICC_PMR_EL1; groups and what is active
    do not.
    """
    if not vcpu.vgic.enabled:
        return False
    mask = vcpu.lists.priority_mask
    return any(
        irq.enabled and not irq.active and irq.priority < mask and irq.pending()
        for irq in vcpu.ap_list
    )


def kick_all(vgic: Vgic) -> None:
    """Kick every vCPU that has something to take (vgic_kick_vcpus)."""
    for vcpu in vgic.vm.vcpus:
        if has_pending(vcpu):
            vcpu.kick()
