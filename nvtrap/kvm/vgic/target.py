"""Where an interrupt goes: vgic_target_oracle of Linux 6.12, arch/arm64/kvm/vgic/vgic.c."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from nvtrap.kvm.vcpu import Vcpu
    from nvtrap.kvm.vgic.interrupt import Interrupt


def target_of(irq: Interrupt) -> Vcpu | None:
    """The vCPU that an interrupt is to be listed at, None for nowhere.

    An active one stays where it is. A pending and enabled one goes to its target while
    the distributor is on. Groups, priorities and masks play no part.
    """
    if irq.active:
        return irq.vcpu or irq.target_vcpu
    if irq.enabled and (irq.pending_latch or (irq.line_level and not irq.edge)):
        vcpu = irq.target_vcpu
        return vcpu if vcpu is not None and vcpu.vgic.enabled else None
    return None
