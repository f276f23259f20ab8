"""The machine that KVM runs on, as far as its VGIC depends on it."""

from __future__ import annotations

from nvtrap.errors import UsageError
from nvtrap.gic.parameters import USUAL
from nvtrap.kvm.vgic.icc import missing
from nvtrap.kvm.vgic.vgic import GICV2

TYPE_CHECKING = False
if TYPE_CHECKING:
    from nvtrap.gic.parameters import Parameters
    from nvtrap.kvm.vcpu import Vcpu
    from nvtrap.kvm.vgic.lists import Lists


class Host:
    """A host with a GICv3 (`gic` 3) or a GICv2 (`gic` 2); immutable by custom.

    `parameters` are those of its GIC; a GICv2 takes only the number of list registers
    from them. `emulates_v2`: whether it can make GICv2 guests, which a GICv3 can do
    when it still has the memory-mapped CPU interfaces. `missing` are the registers of
    the CPU interface that its implementation leaves out. `has_maintenance_group`: its
    Linux is 6.16 or later and has the attributes of `Group.MAINT_IRQ`.

    Raises `UsageError` when `gic` is neither.
    """

    __slots__ = ("emulates_v2", "gic", "has_maintenance_group", "missing", "parameters")

    def __init__(
        self,
        parameters: Parameters = USUAL,
        gic: int = 3,
        emulates_v2: bool | None = None,
        *,
        has_maintenance_group: bool = False,
    ) -> None:
        if gic not in {2, 3}:
            raise UsageError("the host has a GICv2 or a GICv3")
        self.parameters = parameters
        self.gic = gic
        self.missing = missing(parameters)
        self.has_maintenance_group = has_maintenance_group
        self.emulates_v2 = gic == 2 if emulates_v2 is None else emulates_v2

    @property
    def emulates_v3(self) -> bool:
        """Whether it can make GICv3 guests."""
        return self.gic == 3

    @property
    def list_registers(self) -> int:
        """How many list registers a CPU has."""
        return self.parameters.list_registers

    def lists_of(self, vcpu: Vcpu) -> Lists:
        """New list registers of the host's GIC for a vCPU.

        A GICv3 works with a GICv2 guest through its legacy interface, which is a GICv2's.
        """
        if self.gic == 3 and vcpu.vgic.model != GICV2:
            from nvtrap.kvm.vgic.lists_v3 import ListsV3

            return ListsV3(vcpu)
        from nvtrap.kvm.vgic.lists_v2 import ListsV2

        return ListsV2(vcpu)
