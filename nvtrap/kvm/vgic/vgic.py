"""The GIC of one VM: what struct vgic_dist of include/kvm/arm_vgic.h keeps."""

from __future__ import annotations

from errno import EBUSY

from nvtrap.kvm.errno import refuse
from nvtrap.kvm.vgic.interrupt import FIRST_LPI, PRIVATE, SGIS, Interrupt

TYPE_CHECKING = False
if TYPE_CHECKING:
    from nvtrap.kvm.host import Host
    from nvtrap.kvm.vcpu import Vcpu
    from nvtrap.kvm.vgic.its.its import Its
    from nvtrap.kvm.vgic.regions import Region
    from nvtrap.kvm.vm import Vm

NO_GIC, GICV2, GICV3 = 0, 2, 3
USUAL_IRQS = 256
LATEST_REVISION = 3
# An address that was not set yet: all ones, as user space reads it.
UNDEFINED = (1 << 64) - 1


class Vgic:
    """The distributor of one VM and what all its vCPUs share.

    It is there with every VM; `model` is `NO_GIC` until the device is created, `spis` is
    empty until it is initialised. `nr_spis` is 0 until user space or INIT sets it,
    `revision` (GICD_IIDR.Revision) likewise. `dist_base` and `cpu_base` (GICv2) are
    addresses or `UNDEFINED`; `regions` the redistributor regions. `ready` says that the
    addresses were found good at the first run. `lpis` are the LPIs that some ITS event
    leads to or that are queued, by INTID; `its` the ITS devices in the order of creation.
    """

    __slots__ = (
        "cpu_base",
        "dist_base",
        "enabled",
        "host",
        "initialized",
        "its",
        "lpis",
        "maintenance_intid",
        "model",
        "nr_spis",
        "propbaser",
        "ready",
        "regions",
        "revision",
        "spis",
        "v2_groups_writable",
        "vm",
    )

    def __init__(self, vm: Vm, host: Host) -> None:
        self.vm = vm
        self.host = host
        self.model = NO_GIC
        self.initialized = False
        self.ready = False
        self.enabled = False
        self.nr_spis = 0
        self.revision = 0
        self.spis: list[Interrupt] = []
        self.lpis: dict[int, Interrupt] = {}
        self.its: list[Its] = []
        self.propbaser = 0
        # The PPI by which a guest hypervisor hears of its own list registers.
        self.maintenance_intid = host.parameters.maintenance_intid
        self.dist_base = self.cpu_base = UNDEFINED
        self.regions: list[Region] = []
        # GICv2: user space may write the groups only after it has written GICD_IIDR.
        self.v2_groups_writable = False

    @property
    def nr_irqs(self) -> int:
        """The number of SGIs, PPIs and SPIs, as NR_IRQS counts them."""
        return self.nr_spis + PRIVATE

    def interrupt(self, vcpu: Vcpu | None, intid: int) -> Interrupt | None:
        """The interrupt of an INTID; SGIs and PPIs are those of `vcpu`. None if there is none."""
        if intid < PRIVATE:
            return vcpu.private[intid] if vcpu is not None and vcpu.private else None
        if intid < PRIVATE + self.nr_spis:
            return self.spis[intid - PRIVATE] if self.spis else None
        return self.lpis.get(intid) if intid >= FIRST_LPI else None

    def release(self, irq: Interrupt) -> None:
        """Forget an LPI that no event leads to any more and that is on no list."""
        if irq.intid >= FIRST_LPI and irq.vcpu is None and not irq.mappings:
            self.lpis.pop(irq.intid, None)

    def initialize(self) -> None:
        """KVM_DEV_ARM_VGIC_CTRL_INIT; nothing when it was done (vgic-init.c, vgic_init)."""
        if self.initialized:
            return
        vcpus = self.vm.vcpus
        first = vcpus[0] if vcpus else None
        group = 1 if self.model == GICV3 else 0
        self.nr_spis = self.nr_spis or USUAL_IRQS - PRIVATE
        # SPIs come out edge-triggered: Linux leaves the configuration at zero.
        self.spis = [
            Interrupt(intid, first, edge=True, group=group)
            for intid in range(PRIVATE, self.nr_irqs)
        ]
        for vcpu in vcpus:
            allocate_private(vcpu)
            for irq in vcpu.private:
                irq.group = group
                if self.model == GICV2:
                    irq.targets = 1 << vcpu.index & 0xFF
                else:
                    irq.mpidr = vcpu.mpidr
        for vcpu in vcpus:
            vcpu.enable()
        self.vm.set_default_routing()
        self.revision = self.revision or LATEST_REVISION
        self.initialized = True

    def lazy_initialize(self) -> None:
        """Initialise a GICv2 that is first used; a GICv3 must be initialised by user space.

        Raises `OSError` EBUSY for a GICv3 that was not (vgic-init.c, vgic_lazy_init).
        """
        if self.initialized:
            return
        if self.model != GICV2:
            refuse(EBUSY)
        self.initialize()


def allocate_private(vcpu: Vcpu) -> None:
    """Make the SGIs and PPIs of a vCPU, once (vgic_allocate_private_irqs)."""
    if not vcpu.private:
        vcpu.private = [Interrupt(intid, vcpu, edge=intid < SGIS) for intid in range(PRIVATE)]
