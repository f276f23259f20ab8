"""The list registers of a vCPU with EL2: its own interrupts, or its L2's.

While L2 runs the hardware holds what L1 has put into its own list registers, and L1's
interrupts wait; one of them that can be taken forces the switch to L1 before L2 is entered.
Linux, arch/arm64/kvm/vgic: vgic_state_is_nested and its users of vgic.c and vgic-v3.c,
vgic-v3-nested.c (6.16 and later).
"""

from __future__ import annotations

from nvtrap.gic.virtual import lr as lrs
from nvtrap.gic.virtual import maintenance
from nvtrap.gic.virtual.ich import READS, WRITES
from nvtrap.gic.virtual.interface import HCR_EN
from nvtrap.kvm.vgic.forwarded import own
from nvtrap.kvm.vgic.inject import inject
from nvtrap.kvm.vgic.lists_v3 import ListsV3
from nvtrap.kvm.vgic.nested import AT_EXIT, NestedVgic, maintenance_level
from nvtrap.kvm.vgic.queue import has_pending

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, MutableMapping

    from nvtrap.gic.virtual.interface import VirtualInterface
    from nvtrap.kvm.vcpu import Vcpu
    from nvtrap.kvm.vgic.interrupt import Interrupt

REASONS = 0xFE  # the maintenance interrupts of ICH_HCR_EL2 that are enabled there
MAINTENANCE = 25  # the PPI of L1's maintenance interrupt, unless user space chooses another


class Hardware(dict[str, int]):
    """The ICH_*_EL2 registers of a virtual CPU interface by name; it keeps none itself."""

    __slots__ = ("interface",)

    def __init__(self, interface: VirtualInterface) -> None:
        super().__init__()
        self.interface = interface

    def __getitem__(self, name: str) -> int:
        return READS[name](self.interface)

    def __setitem__(self, name: str, value: int) -> None:
        WRITES[name](self.interface, value)

    def __iter__(self) -> Iterator[str]:
        return iter(WRITES)


class Forwarded:
    """An interrupt of L1 that one of its list registers names by pINTID."""

    __slots__ = ("irq",)

    def __init__(self, irq: Interrupt) -> None:
        self.irq = irq

    @property
    def is_mapped(self) -> bool:
        """Whether it forwards an interrupt of the host's."""
        return self.irq.hw is not None

    @property
    def host_intid(self) -> int:
        """Which one, 0 for none."""
        return 0 if self.irq.hw is None else self.irq.hw.intid

    def deactivate(self) -> bool:
        """Clear the active state; whether it was active."""
        was_active, self.irq.active = self.irq.active, False
        return was_active


class NestedLists(ListsV3):
    """The list registers of one vCPU, whoever runs on it.

    `nested` says whether L2's interrupts are on now (vgic_state_is_nested); `l1` are L1's
    ICH_* registers. `shadow` is what is loaded for L2, `runs_l2` whether it is. `request`
    is set when L1 has to run instead of L2 (KVM_REQ_GUEST_HYP_IRQ_PENDING). `deactivated`
    is called with each INTID of L1 that a guest's EOI has ended by the HW bit.
    """

    __slots__ = ("deactivated", "l1", "maintenance_intid", "nested", "request", "runs_l2", "shadow")

    def __init__(
        self,
        vcpu: Vcpu,
        l1: MutableMapping[str, int],
        nested: Callable[[], bool],
        *,
        writes_back: str,
        host_traps: int = 0,
        maintenance_intid: int = MAINTENANCE,
    ) -> None:
        super().__init__(vcpu)
        self.l1 = l1
        self.nested = nested
        self.maintenance_intid = maintenance_intid
        self.request = False
        self.runs_l2 = False
        self.deactivated: Callable[[int], None] | None = None
        self.shadow = NestedVgic(
            l1,
            Hardware(self.hardware),
            self._lookup,
            count=self.count,
            apr_count=self.apr_count,
            writes_back=writes_back,
            host_traps=host_traps,
        )

    def _lookup(self, intid: int) -> Forwarded | None:
        irq = self.vcpu.vgic.interrupt(self.vcpu, intid)
        return None if irq is None else Forwarded(irq)

    # ---- as the vCPU is loaded, entered, left and put ---------------------------------

    def load(self) -> None:
        """Load L2's list registers, or what outlives an exit of L1's own interrupts."""
        self.runs_l2 = self.nested()
        if self.runs_l2:
            self.shadow.load()
        else:
            super().load()

    def put(self) -> None:
        """The inverse."""
        if self.runs_l2:
            self.shadow.put()
            self.runs_l2 = False
        else:
            super().put()

    def flush(self) -> None:
        """Before the guest is entered: L2 finds everything loaded already.

        All that is done for it is to see whether L1 has an interrupt to take.
        """
        if self.runs_l2:
            if has_pending(self.vcpu):
                self.request = True
            self.shadow.enter()
        else:
            self.set_maintenance(maintenance_level(self.l1, self.count))
            super().flush()

    def sync(self) -> None:
        """After an exit: the HW bits of L2's interrupts act on L1's."""
        if not self.runs_l2:
            super().sync()
            self.set_maintenance(maintenance_level(self.l1, self.count))
            return
        for intid in self.shadow.sync():
            if self.deactivated is not None:
                self.deactivated(intid)
        if self.shadow.writes_back == AT_EXIT:
            self.set_maintenance(maintenance_level(self.l1, self.count))

    # ---- maintenance interrupts --------------------------------------------------------

    def own_maintenance(self) -> None:
        """Make L1's maintenance interrupt the host's to move, at the first run.

        Raises `OSError` EINVAL where it is no PPI, EEXIST where a device has it.
        """
        own(self.vcpu, self.maintenance_intid, self)

    def set_maintenance(self, level: bool) -> None:
        """Move L1's maintenance interrupt: a virtual line, not tied to the host's."""
        if self.vcpu.private[self.maintenance_intid].line_level is not level:
            inject(self.vcpu.vgic, self.vcpu, self.maintenance_intid, level, owner=self)

    @property
    def host_maintenance(self) -> bool:
        """Whether the hardware's own maintenance interrupt is asserted now."""
        hardware = self.hardware
        if not hardware.hcr & HCR_EN:
            return False
        if hardware.hcr & REASONS:
            return maintenance.signalled(hardware)
        return any(lrs.requests_eoi(lr) for lr in hardware.lrs if lr & lrs.EOI)

    def take_host_maintenance(self) -> None:
        """The host's maintenance interrupt has made the guest exit.

        It becomes L1's while L2 runs; since 6.19 `sync` has seen to that already.
        """
        if self.runs_l2 and self.shadow.writes_back != AT_EXIT:
            misr = maintenance.misr(self.hardware)
            self.set_maintenance(self.shadow.take_host_maintenance(misr))
