"""Affinity routing of SPIs: to the one PE they name, or to any one of those that take part.

IHI 0069, 2.3 "Affinity routing" and GICD_IROUTER<n>. An affinity is Aff3.Aff2.Aff1.Aff0 as
a 32-bit number.
"""

from __future__ import annotations

from nvtrap.gic.distributor.bank import Bank

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from nvtrap.gic.parameters import Parameters
    from nvtrap.gic.physical.interface import PhysicalInterface

# GICD_IROUTER<n>: Aff3 [39:32], Interrupt_Routing_Mode [31], Aff2 to Aff0 [23:0].
AFF3 = 0xFF << 32
ANY_PE = 1 << 31
AFF2_TO_AFF0 = 0xFF_FFFF
# Where an interrupt goes that goes to any one PE; no affinity is negative.
ANYWHERE = -1


def affinity_of(route: int) -> int:
    """The affinity that a GICD_IROUTER<n> value names."""
    return route >> 8 & 0xFF00_0000 | route & AFF2_TO_AFF0


class RoutedBank(Bank):
    """SPIs: a bank with a route for every interrupt.

    `to` has the set of interrupts that go to an affinity, or to `ANYWHERE`.
    """

    __slots__ = ("route_mask", "routes", "to")

    def __init__(self, parameters: Parameters, first: int, count: int) -> None:
        super().__init__(parameters, first, count)
        self.route_mask = AFF2_TO_AFF0 | (AFF3 if parameters.a3v else 0)
        if parameters.one_of_n:
            self.route_mask |= ANY_PE
        self.routes: dict[int, int] = {}
        self.to: dict[int, int] = {0: self.mask}

    def route(self, index: int) -> int:
        """GICD_IROUTER<n> of the interrupt at `index`."""
        return self.routes.get(index, 0)

    def set_route(self, index: int, route: int) -> None:
        """Write GICD_IROUTER<n>; what is not implemented stays 0."""
        bit, before = 1 << index, _target(self.routes.pop(index, 0))
        self.to[before] &= ~bit
        if not self.to[before]:
            del self.to[before]
        route &= self.route_mask
        if route:
            self.routes[index] = route
        target = _target(route)
        self.to[target] = self.to.get(target, 0) | bit

    def state(self) -> dict[str, Any]:
        """As a bank's, with `routes`: pairs of an index and its GICD_IROUTER<n>."""
        return {**super().state(), "routes": sorted([*pair] for pair in self.routes.items())}

    def load(self, state: dict[str, Any]) -> None:
        """Become what `state` gave. Raises as a bank's does."""
        super().load(state)
        self.routes, self.to = {}, {0: self.mask}
        for index, route in state["routes"]:
            if not 0 <= index < self.count:
                raise ValueError(f"a route of the interrupt {index} of {self.count}")
            self.set_route(index, route)

    def assign(self, other: Bank) -> None:
        """Take the state of a bank of the same size."""
        super().assign(other)
        if isinstance(other, RoutedBank):
            self.routes, self.to = dict(other.routes), dict(other.to)


def _target(route: int) -> int:
    return ANYWHERE if route & ANY_PE else affinity_of(route)


def chosen(
    interfaces: Iterable[PhysicalInterface], group: int, wakes: bool
) -> PhysicalInterface | None:
    """The PE that gets interrupts of `group` which may go to any one; None when none takes part.

    Those take part whose redistributor does not exclude the group (GICR_CTLR.DPG) and is
    awake, with the group enabled at the CPU interface. The architecture leaves the choice
    among them open: here an idle PE, and of several the first. When all sleep, `wakes`
    (GICD_CTLR.E1NWF) lets the first one be woken.
    """
    willing = [one for one in interfaces if not one.redistributor.excludes(group)]
    awake = [one for one in willing if not one.redistributor.asleep and one.enables >> group & 1]
    idle = [one for one in awake if not any(one.active)]
    asleep = [one for one in willing if wakes and one.redistributor.asleep]
    return next(iter(idle or awake or asleep), None)
