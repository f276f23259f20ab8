"""Forwarded interrupts: a virtual interrupt that stands for one of the host's.

The host's interrupt stays active from the time it is taken until the guest deactivates
the virtual one, which its list register (HW = 1) passes on, or until KVM finds the
line low again; so it is taken once, and not again before the guest has ended it.
Linux 6.12, arch/arm64/kvm/vgic/vgic.c (kvm_vgic_map_phys_irq, vgic_irq_handle_resampling).
"""

from __future__ import annotations

from errno import EEXIST, EINVAL

from nvtrap.kvm.errno import refuse
from nvtrap.kvm.vgic.interrupt import FIRST_LPI, SGIS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from nvtrap.kvm.vcpu import Vcpu
    from nvtrap.kvm.vgic.interrupt import Interrupt


class HostInterrupt:
    """An interrupt of the host, as its distributor has it.

    `intid` is its number there, `level` samples its input. `resamples`: the guest's
    deactivation does not reach it, KVM has to do it (no host of today's needs that).
    """

    __slots__ = ("active", "entered_active", "intid", "level", "resamples")

    def __init__(self, intid: int, level: Callable[[], bool], resamples: bool = False) -> None:
        self.intid = intid
        self.level = level
        self.resamples = resamples
        self.active = False
        self.entered_active = False

    def note_entry(self) -> None:
        """Remember the state with which the guest is entered, for `sync`."""
        self.entered_active = self.active

    def sync(self) -> int:
        """After the exit: 1 only if it went from active to inactive while the guest ran.

        The guest has ended it then, and it may be queued to the guest again.
        """
        ended = self.entered_active and not self.active
        self.entered_active = self.active
        return int(ended)


def own(vcpu: Vcpu, intid: int, owner: object) -> None:
    """Give an interrupt to a device in the kernel: it alone moves the line from now on.

    Raises `OSError`: EINVAL for SGIs, LPIs and INTIDs that are none, EEXIST when another
    device has it (kvm_vgic_set_owner).
    """
    irq = vcpu.vgic.interrupt(vcpu, intid)
    if irq is None or intid < SGIS or intid >= FIRST_LPI:
        refuse(EINVAL)
    if irq.owner is not None and irq.owner is not owner:
        refuse(EEXIST)
    irq.owner = owner


def map_interrupt(vcpu: Vcpu, intid: int, host: HostInterrupt) -> None:
    """Let an interrupt of the guest forward one of the host's (kvm_vgic_map_phys_irq).

    Raises `OSError` EINVAL where there is no such interrupt.
    """
    irq = vcpu.vgic.interrupt(vcpu, intid)
    if irq is None:
        refuse(EINVAL)
    irq.hw = host


def unmap_interrupt(vcpu: Vcpu, intid: int) -> None:
    """End that (kvm_vgic_unmap_phys_irq)."""
    irq = vcpu.vgic.interrupt(vcpu, intid)
    if irq is not None:
        irq.hw = None


def reset_mapped(vcpu: Vcpu, intid: int) -> None:
    """Forget what is active and pending of a mapped interrupt, as its device is reset."""
    irq = vcpu.vgic.interrupt(vcpu, intid)
    if irq is not None and irq.hw is not None:
        irq.active = irq.pending_latch = irq.line_level = False


def is_active(vcpu: Vcpu, intid: int) -> bool:
    """Whether an interrupt is mapped and active in the guest (kvm_vgic_map_is_active)."""
    irq = vcpu.vgic.interrupt(vcpu, intid)
    return irq is not None and irq.hw is not None and irq.active


def resample(irq: Interrupt, has_ended: bool, still_pending: bool) -> None:
    """After the exit: bring the line of a mapped level interrupt up to date.

    KVM hears of rising edges only. When the line has fallen the host's interrupt is
    deactivated, so that the next rise is heard.
    """
    host = irq.hw
    if host is None or irq.edge:
        return
    if host.resamples:
        fell = not (irq.active or irq.pending_latch)
    elif still_pending or (has_ended and irq.line_level):
        irq.line_level = host.level()
        fell = not irq.line_level
    else:
        return
    if fell:
        host.active = False
