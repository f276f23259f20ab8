"""The registers with a field for each interrupt, of distributors and redistributors alike.

Linux 6.12, arch/arm64/kvm/vgic/vgic-mmio.c. A guest and user space see some of them
otherwise: the functions of user space have `user` in their names.
"""

from __future__ import annotations

from nvtrap.kvm.vgic.interrupt import PRIVATE, SGIS
from nvtrap.kvm.vgic.mmio import intid_at
from nvtrap.kvm.vgic.queue import queue
from nvtrap.kvm.vgic.vgic import GICV2, GICV3

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from nvtrap.kvm.vcpu import Vcpu
    from nvtrap.kvm.vgic.interrupt import Interrupt

PRIORITY = 0xF8  # five bits of a priority are kept


def interrupts(vcpu: Vcpu, offset: int, size: int, bits: int) -> list[Interrupt]:
    """The interrupts that `size` bytes at `offset` are about."""
    first = intid_at(offset, bits)
    last = first + size * 8 // bits
    if first < PRIVATE:
        return vcpu.private[first:last]
    return vcpu.vgic.spis[first - PRIVATE : last - PRIVATE]


def chosen(vcpu: Vcpu, offset: int, size: int, value: int) -> Iterator[Interrupt]:
    """The interrupts whose bit is set in `value`."""
    if value:
        for irq in interrupts(vcpu, offset, size, 1):
            if value & 1:
                yield irq
            value >>= 1


# ---- groups, enables ----------------------------------------------------------------


def read_group(vcpu: Vcpu, offset: int, size: int) -> int:
    """IGROUPR."""
    value = 0
    for i, irq in enumerate(interrupts(vcpu, offset, size, 1)):
        value |= irq.group << i
    return value


def write_group(vcpu: Vcpu, offset: int, size: int, value: int) -> None:
    """IGROUPR; queues every interrupt of the word that is to be."""
    for irq in interrupts(vcpu, offset, size, 1):
        irq.group = value & 1
        value >>= 1
        queue(irq)


def read_enable(vcpu: Vcpu, offset: int, size: int) -> int:
    """ISENABLER and ICENABLER."""
    value = 0
    for i, irq in enumerate(interrupts(vcpu, offset, size, 1)):
        value |= irq.enabled << i
    return value


def set_enable(vcpu: Vcpu, offset: int, size: int, value: int) -> None:
    """ISENABLER by a guest.

    The line of a mapped level interrupt is sampled: it may have moved while the
    interrupt was disabled. If it fell, the host's interrupt is let go of.
    """
    for irq in chosen(vcpu, offset, size, value):
        if irq.hw is not None and not irq.edge:
            was_high, irq.line_level = irq.line_level, irq.hw.level()
            if was_high and not irq.line_level and not irq.active:
                irq.hw.active = False
        irq.enabled = True
        queue(irq)


def user_set_enable(vcpu: Vcpu, offset: int, size: int, value: int) -> None:
    """ISENABLER by user space."""
    for irq in chosen(vcpu, offset, size, value):
        irq.enabled = True
        queue(irq)


def clear_enable(vcpu: Vcpu, offset: int, size: int, value: int) -> None:
    """ICENABLER."""
    for irq in chosen(vcpu, offset, size, value):
        irq.enabled = False


# ---- pending ------------------------------------------------------------------------


def read_pending(vcpu: Vcpu, offset: int, size: int) -> int:
    """ISPENDR and ICPENDR by a guest; a mapped level interrupt is sampled at its device."""
    value = 0
    for i, irq in enumerate(interrupts(vcpu, offset, size, 1)):
        host = None if irq.edge else irq.hw
        value |= (irq.pending() if host is None else host.level()) << i
    return value


def user_read_pending(vcpu: Vcpu, offset: int, size: int) -> int:
    """ISPENDR by user space: of a GICv3 the latches alone, lines are LEVEL_INFO's."""
    only_latch = vcpu.vgic.model == GICV3
    value = 0
    for i, irq in enumerate(interrupts(vcpu, offset, size, 1)):
        value |= (irq.pending_latch if only_latch else irq.pending()) << i
    return value


def set_pending(vcpu: Vcpu, offset: int, size: int, value: int) -> None:
    """ISPENDR by a guest; not the SGIs of a GICv2. The host's interrupt becomes active."""
    for irq in chosen(vcpu, offset, size, value):
        if _is_v2_sgi(vcpu, irq):
            continue
        irq.pending_latch = True
        if irq.hw is not None:
            irq.hw.active = True
        queue(irq)


def user_set_pending(vcpu: Vcpu, offset: int, size: int, value: int) -> None:
    """ISPENDR by user space; an SGI of a GICv2 comes from the vCPU itself."""
    for irq in chosen(vcpu, offset, size, value):
        if _is_v2_sgi(vcpu, irq):
            irq.source |= 1 << vcpu.id & 0xFF
        irq.pending_latch = True
        queue(irq)


def clear_pending(vcpu: Vcpu, offset: int, size: int, value: int) -> None:
    """ICPENDR by a guest; not the SGIs of a GICv2.

    The host's interrupt is let go of unless the guest's is active; otherwise a write to
    ISPENDR and one to ICPENDR would mask the device for good.
    """
    for irq in chosen(vcpu, offset, size, value):
        if _is_v2_sgi(vcpu, irq):
            continue
        irq.pending_latch = False
        if irq.hw is not None and not irq.active:
            irq.hw.active = False


def user_clear_pending(vcpu: Vcpu, offset: int, size: int, value: int) -> None:
    """ICPENDR by user space; of an SGI of a GICv2 all senders go."""
    for irq in chosen(vcpu, offset, size, value):
        if _is_v2_sgi(vcpu, irq):
            irq.source = 0
        irq.pending_latch = False


def user_write_pending(vcpu: Vcpu, offset: int, size: int, value: int) -> None:
    """ISPENDR of a GICv3 by user space: the latches become exactly `value`."""
    user_set_pending(vcpu, offset, size, value)
    user_clear_pending(vcpu, offset, size, ~value & 0xFFFF_FFFF)


def _is_v2_sgi(vcpu: Vcpu, irq: Interrupt) -> bool:
    return irq.intid < SGIS and vcpu.vgic.model == GICV2


# ---- active -------------------------------------------------------------------------


def user_read_active(vcpu: Vcpu, offset: int, size: int) -> int:
    """ISACTIVER and ICACTIVER by user space: the guest's state, whatever the host's is."""
    value = 0
    for i, irq in enumerate(interrupts(vcpu, offset, size, 1)):
        value |= irq.active << i
    return value


def read_active(vcpu: Vcpu, offset: int, size: int) -> int:
    """ISACTIVER and ICACTIVER by a guest."""
    _stop(vcpu, offset)
    return user_read_active(vcpu, offset, size)


def set_active(vcpu: Vcpu, offset: int, size: int, value: int) -> None:
    """ISACTIVER by a guest, or by user space: `_change_active` tells them apart."""
    _stop(vcpu, offset)
    for irq in chosen(vcpu, offset, size, value):
        _change_active(vcpu, irq, True)


def clear_active(vcpu: Vcpu, offset: int, size: int, value: int) -> None:
    """ICACTIVER by a guest, or by user space."""
    _stop(vcpu, offset)
    for irq in chosen(vcpu, offset, size, value):
        _change_active(vcpu, irq, False)


def _stop(vcpu: Vcpu, offset: int) -> None:
    """Have list registers folded before active states are looked at.

    Those of all vCPUs for SPIs, and for private interrupts of a GICv3 that another vCPU
    asks about (vgic_access_active_prepare).
    """
    vm = vcpu.vm
    is_foreign = vcpu.vgic.model == GICV3 and vm.current is not vcpu
    if is_foreign or intid_at(offset, 1) >= PRIVATE:
        vm.stop_guests()


def _change_active(vcpu: Vcpu, irq: Interrupt, active: bool) -> None:
    """Set an active state; of a mapped interrupt with the host's, and not by user space."""
    requester = vcpu.vm.current
    if irq.hw is not None:
        if requester is None:
            active = irq.active
        else:
            irq.active = irq.hw.active = active
    else:
        irq.active = active
        if active and _is_v2_sgi(vcpu, irq):
            irq.active_source = requester.id if requester is not None else 0
    if active:
        queue(irq)


# ---- priorities, configuration, lines -----------------------------------------------


def read_priority(vcpu: Vcpu, offset: int, size: int) -> int:
    """IPRIORITYR, a byte an interrupt."""
    return int.from_bytes(
        bytes([irq.priority for irq in interrupts(vcpu, offset, size, 8)]), "little"
    )


def write_priority(vcpu: Vcpu, offset: int, size: int, value: int) -> None:
    """IPRIORITYR; what is in a list register keeps its priority until the next exit."""
    for irq in interrupts(vcpu, offset, size, 8):
        irq.priority = value & PRIORITY
        value >>= 8


def read_config(vcpu: Vcpu, offset: int, size: int) -> int:
    """ICFGR, two bits an interrupt: 2 is edge."""
    value = 0
    for i, irq in enumerate(interrupts(vcpu, offset, size, 2)):
        value |= irq.edge << 2 * i + 1
    return value


def write_config(vcpu: Vcpu, offset: int, size: int, value: int) -> None:
    """ICFGR; that of SGIs and PPIs stays."""
    for irq in interrupts(vcpu, offset, size, 2):
        if irq.intid >= PRIVATE:
            irq.edge = value >> 1 & 1 == 1
        value >>= 2


def line_levels(vcpu: Vcpu, intid: int) -> list[Interrupt | None]:
    """The 32 interrupts from `intid` on that have a line; None for those that have none."""
    last = vcpu.vgic.nr_irqs
    return [
        vcpu.vgic.interrupt(vcpu, n) if SGIS <= n < last else None for n in range(intid, intid + 32)
    ]


def read_line_levels(vcpu: Vcpu, intid: int) -> int:
    """LEVEL_INFO: the lines of 32 interrupts; that of an edge interrupt reads as 0."""
    value = 0
    for i, irq in enumerate(line_levels(vcpu, intid)):
        if irq is not None and irq.line_level and not irq.edge:
            value |= 1 << i
    return value


def write_line_levels(vcpu: Vcpu, intid: int, value: int) -> None:
    """LEVEL_INFO; lines of edge interrupts are kept too, they may become level later."""
    for i, irq in enumerate(line_levels(vcpu, intid)):
        if irq is not None:
            irq.line_level = value >> i & 1 == 1
            if irq.line_level:
                queue(irq)
