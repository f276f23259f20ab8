"""GSI routing, MSIs and irqfds: KVM_SET_GSI_ROUTING, KVM_SIGNAL_MSI, KVM_IRQFD.

Linux 6.12, virt/kvm/irqchip.c and eventfd.c, arch/arm64/kvm/vgic/vgic-irqfd.c.
"""

from __future__ import annotations

from errno import EAGAIN, EINVAL, ENODEV

from nvtrap.errors import UsageError
from nvtrap.kvm.errno import refuse
from nvtrap.kvm.vgic.inject import inject
from nvtrap.kvm.vgic.interrupt import PRIVATE
from nvtrap.kvm.vgic.its.its import Its
from nvtrap.kvm.vgic.vgic import GICV3

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from nvtrap.kvm.vm import Vm

GSIS = MOST_ROUTES = 4096
IRQCHIPS = 1
PINS = 1020 - PRIVATE
MSI_VALID_DEVID = 1


class Route:
    """Where a GSI leads: KVM's struct kvm_irq_routing_entry; `IrqchipRoute` or `MsiRoute`."""

    __slots__ = ("flags", "gsi")
    allowed_flags = 0

    def __init__(self, gsi: int, flags: int) -> None:
        self.gsi = _number(gsi, "a GSI")
        self.flags = _number(flags, "a route's flags")

    @property
    def is_valid(self) -> bool:
        """Whether the kernel takes it."""
        return self.gsi < GSIS and not self.flags & ~self.allowed_flags

    def set(self, vm: Vm, level: int) -> None:
        """The GSI's line moves; raises `OSError` when it cannot be delivered."""
        raise NotImplementedError

    def set_at_once(self, vm: Vm) -> bool:
        """The line rises, where that can be done without waiting; False if it cannot."""
        raise NotImplementedError


class IrqchipRoute(Route):
    """KVM_IRQ_ROUTING_IRQCHIP: to SPI 32 + `pin`."""

    __slots__ = ("irqchip", "pin")

    def __init__(self, gsi: int, pin: int, irqchip: int = 0, flags: int = 0) -> None:
        super().__init__(gsi, flags)
        self.irqchip = _number(irqchip, "an irqchip")
        self.pin = _number(pin, "a pin")

    @property
    def is_valid(self) -> bool:
        """Whether the kernel takes it; it does not look at NR_IRQS."""
        return super().is_valid and self.irqchip < IRQCHIPS and self.pin < PINS

    def set(self, vm: Vm, level: int) -> None:
        """Move the line of the SPI; raises `OSError` EINVAL if there is none."""
        if self.pin >= vm.vgic.nr_spis:
            refuse(EINVAL)
        inject(vm.vgic, None, PRIVATE + self.pin, bool(level))

    def set_at_once(self, vm: Vm) -> bool:
        """An SPI never makes anybody wait; its line stays high."""
        self.set(vm, 1)
        return True


class MsiRoute(Route):
    """KVM_IRQ_ROUTING_MSI: a write of `data` to the doorbell at `address` by `devid`."""

    __slots__ = ("address", "data", "devid")
    allowed_flags = MSI_VALID_DEVID

    def __init__(self, gsi: int, address: int, data: int, devid: int = 0, flags: int = 0) -> None:
        super().__init__(gsi, flags)
        self.address = _number(address, "an address", 64)
        self.data = _number(data, "an MSI's data")
        self.devid = _number(devid, "a device's id")

    def set(self, vm: Vm, level: int) -> None:
        """Send the MSI as the line rises."""
        if level:
            _send(vm, self)

    def set_at_once(self, vm: Vm) -> bool:
        """Only an event that was translated before needs no lock."""
        its = _its_at(vm, self.address) if _has_its(vm) else None
        return its is not None and its.trigger_known(self.devid, self.data)


class Irqfd:
    """An eventfd bound to a GSI; with `resample` it is for level interrupts.

    `resampled` counts how often the guest has ended the interrupt of a resampling one: its
    second eventfd.
    """

    __slots__ = ("_vm", "gsi", "resample", "resampled")

    def __init__(self, vm: Vm, gsi: int, resample: bool = False) -> None:
        self._vm = vm
        self.gsi = gsi
        self.resample = resample
        self.resampled = 0

    def write(self) -> None:
        """A device writes 1 to the eventfd: the interrupt is injected, or lost (irqfd_wakeup)."""
        vm = self._vm
        route = vm.routes.get(self.gsi)
        if self not in vm.irqfds or route is None:
            return
        try:
            if not route.set_at_once(vm):
                route.set(vm, 1)
        except OSError:
            return

    def deassign(self) -> None:
        """KVM_IRQFD_FLAG_DEASSIGN; the last resampling one of a GSI lowers the line."""
        vm = self._vm
        if self in vm.irqfds:
            vm.irqfds.remove(self)
            if self.resample and not any(_resamplers(vm, self.gsi)):
                _lower(vm, self.gsi)


# ---- MSIs -------------------------------------------------------------------------------


def signal_msi(vm: Vm, address: int, data: int, devid: int = 0, flags: int = 0) -> int:
    """KVM_SIGNAL_MSI: 1 when delivered, 0 when the guest has mapped the event to nothing.

    Raises `OSError`: EINVAL without a GIC in the kernel, for other flags than
    `MSI_VALID_DEVID`, without that one, and for an address in no ITS; ENODEV without
    an ITS; EBUSY while the ITS or the LPIs of the target are disabled. An event that was
    translated before goes through with fewer checks: its device needs no flag.
    """
    route = MsiRoute(0, address, data, devid, flags)
    if not vm.vgic.model or not route.is_valid:
        refuse(EINVAL)
    return _send(vm, route)


def _send(vm: Vm, route: MsiRoute) -> int:
    if not _has_its(vm):
        refuse(ENODEV)
    if route.set_at_once(vm):
        return 1
    its = _its_at(vm, route.address)
    if not route.flags & MSI_VALID_DEVID or its is None:
        refuse(EINVAL)
    return int(its.trigger(route.devid, route.data))


def _has_its(vm: Vm) -> bool:
    return vm.vgic.model == GICV3 and bool(vm.vgic.its)


def _its_at(vm: Vm, address: int) -> Its | None:
    """The ITS whose frames have the doorbell; any address in them will do."""
    device = vm.bus.find(address, 1)
    return device if isinstance(device, Its) else None


# ---- routes and irqfds ------------------------------------------------------------------


def set_routing(vm: Vm, routes: Iterable[Route]) -> None:
    """KVM_SET_GSI_ROUTING: these routes and no others.

    Raises `OSError` EINVAL, and nothing changes: for more than 4096 routes, GSIs from
    4096 on, flags, irqchips and pins that are none, and for a GSI that leads to two places.
    """
    routes = list(routes)
    by_gsi = {route.gsi: route for route in routes}
    if len(routes) > MOST_ROUTES or len(by_gsi) < len(routes):
        refuse(EINVAL)
    if not all(route.is_valid for route in routes):
        refuse(EINVAL)
    vm.routes = by_gsi


def set_default(vm: Vm) -> None:
    """GSI n leads to SPI 32 + n, for every SPI; instead of what user space had set."""
    vm.routes = {n: IrqchipRoute(n, n) for n in range(vm.vgic.nr_spis)}


def assign(vm: Vm, gsi: int, resample: bool = False) -> Irqfd:
    """KVM_IRQFD: bind a new eventfd to a GSI, which need not have a route.

    Raises `OSError` EAGAIN before the GIC is initialised.
    """
    gsi = _number(gsi, "a GSI")
    if not vm.vgic.initialized:
        refuse(EAGAIN)
    irqfd = Irqfd(vm, gsi, resample)
    vm.irqfds.append(irqfd)
    return irqfd


def notify_acked(vm: Vm, pin: int) -> None:
    """The guest has ended SPI 32 + `pin`: its resampling irqfds lower the line and are told."""
    if not any(irqfd.resample for irqfd in vm.irqfds):
        return
    # Of several GSIs that lead to a pin the last one counts.
    for route in reversed(vm.routes.values()):
        if isinstance(route, IrqchipRoute) and route.pin == pin:
            resamplers = _resamplers(vm, route.gsi)
            if resamplers:
                _lower(vm, route.gsi)
            for irqfd in resamplers:
                irqfd.resampled += 1
            return


def _resamplers(vm: Vm, gsi: int) -> list[Irqfd]:
    return [irqfd for irqfd in vm.irqfds if irqfd.resample and irqfd.gsi == gsi]


def _lower(vm: Vm, gsi: int) -> None:
    route = vm.routes.get(gsi)
    if route is not None:
        try:
            route.set(vm, 0)
        except OSError:
            return


def _number(value: object, what: str, bits: int = 32) -> int:
    """`value` itself; raises `UsageError` when it is no number of so many bits."""
    if type(value) is not int or not 0 <= value < 1 << bits:
        raise UsageError(f"{what} is `{value!r:.40}`, it is a number of {bits} bits")
    return value
