"""SGIs of a GICv3: a vCPU writes ICC_SGI1R_EL1, ICC_SGI0R_EL1 or ICC_ASGI1R_EL1.

Linux 6.12, vgic_v3_dispatch_sgi of arch/arm64/kvm/vgic/vgic-mmio-v3.c.
"""

from __future__ import annotations

from nvtrap.kvm.vgic.queue import queue

TYPE_CHECKING = False
if TYPE_CHECKING:
    from nvtrap.kvm.vcpu import Vcpu

ALL_OTHERS = 1 << 40  # IRM


def dispatch(vcpu: Vcpu, value: int, allow_group1: bool) -> None:
    """Send the SGI that `value` names to its vCPUs.

    To those of the target list with Aff3.Aff2.Aff1, the range selector is not looked
    at; or to all but the sender. Without `allow_group1` only those for which it is in
    Group 0 get it.
    """
    intid = value >> 24 & 0xF
    if value & ALL_OTHERS:
        targets = [other for other in vcpu.vm.vcpus if other is not vcpu]
    else:
        targets = _listed(vcpu, value)
    for target in targets:
        irq = target.private[intid]
        if allow_group1 or not irq.group:
            irq.pending_latch = True
            queue(irq)


def _listed(vcpu: Vcpu, value: int) -> list[Vcpu]:
    cluster = (value >> 48 & 0xFF) << 32 | (value >> 32 & 0xFF) << 16 | (value >> 16 & 0xFF) << 8
    found = (vcpu.vm.vcpu_by_mpidr(cluster | aff0) for aff0 in range(16) if value >> aff0 & 1)
    return [target for target in found if target is not None]
