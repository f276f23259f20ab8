"""One interrupt of a VM: what struct vgic_irq of include/kvm/arm_vgic.h keeps."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from nvtrap.kvm.vcpu import Vcpu
    from nvtrap.kvm.vgic.forwarded import HostInterrupt

SGIS = 16
PRIVATE = 32
FIRST_LPI = 8192


class Interrupt:
    """The state of one SGI, PPI, SPI or LPI.

    `edge` tells its configuration; `line_level` is the input of a level interrupt,
    `pending_latch` what an edge or a write to a set-pending register left. `vcpu` is the
    vCPU whose list of pending and active interrupts (`ap_list`) holds it, `target_vcpu`
    where it is to go; either may be None. `hw` is the host's interrupt that it forwards,
    None when it forwards none; `owner` is the device in the kernel that alone may
    move its line. `mpidr` is the affinity of GICD_IROUTER<n> (Aff2.Aff1.Aff0, GICv3).

    GICv2 only: `targets` is the byte of GICD_ITARGETSR<n>, `source` the set of vCPUs
    whose SGI is pending, `active_source` the vCPU whose SGI is active. LPIs: `mappings`
    counts the ITS events that lead to it.
    """

    __slots__ = (
        "active",
        "active_source",
        "edge",
        "enabled",
        "group",
        "hw",
        "intid",
        "line_level",
        "mappings",
        "mpidr",
        "owner",
        "pending_latch",
        "priority",
        "source",
        "target_vcpu",
        "targets",
        "vcpu",
    )

    def __init__(self, intid: int, target_vcpu: Vcpu | None, edge: bool, group: int = 0) -> None:
        self.intid = intid
        self.target_vcpu = target_vcpu
        self.edge = edge
        self.group = group
        self.vcpu: Vcpu | None = None
        self.line_level = False
        self.pending_latch = False
        self.active = False
        self.enabled = intid < SGIS
        self.priority = 0
        self.mpidr = 0
        self.hw: HostInterrupt | None = None
        self.owner: object = None
        self.targets = 0
        self.source = 0
        self.active_source = 0
        self.mappings = 0

    def pending(self) -> bool:
        """Whether it is pending; computed, so that it follows a change of `edge` at once."""
        return self.pending_latch or (self.line_level and not self.edge)

    def is_mapped_level(self) -> bool:
        """Whether it is a level interrupt that forwards one of the host's."""
        return self.hw is not None and not self.edge

    def is_at_reset(self) -> bool:
        """Whether nobody has touched it since the GIC was made: nothing worth showing."""
        private = self.intid < PRIVATE
        return (
            self.enabled == (self.intid < SGIS)
            and not (self.pending_latch or self.line_level or self.active or self.priority)
            and self.vcpu is None
            and self.edge != (SGIS <= self.intid < PRIVATE)
            and (private or not (self.mpidr or self.targets))
        )

    def __repr__(self) -> str:
        return f"Interrupt({self.intid})"
