"""The devices that the host emulates, by the physical addresses of the guest.

Linux 6.12, kvm_io_bus of virt/kvm/kvm_main.c. Nothing keeps user space from putting an ITS
where another device is; which of them answers then hangs on the order here.
"""

from __future__ import annotations

from errno import ENOSPC

from nvtrap.kvm.errno import refuse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from nvtrap.kvm.vcpu import Vcpu

    class BusDevice(Protocol):
        """What stands at [base, base + length)."""

        base: int
        length: int

        def read(self, vcpu: Vcpu, offset: int, size: int) -> int:
            """A load of `size` bytes by `vcpu`, `offset` from `base`."""
            ...

        def write(self, vcpu: Vcpu, offset: int, size: int, value: int) -> None:
            """A store."""
            ...


MOST_DEVICES = 1000


class Bus:
    """Devices in the order of their addresses; of several at an address the first answers.

    One that begins lower is before another, unless it covers that whole and came later;
    of two that begin at the same address the shorter is, of equal ones the earlier.
    """

    __slots__ = ("_devices", "_last", "_overlaps")

    def __init__(self) -> None:
        self._devices: list[BusDevice] = []
        self._last: BusDevice | None = None
        self._overlaps = False

    def register(self, device: BusDevice) -> None:
        """Put a device on the bus (kvm_io_bus_register_dev).

        Raises `OSError` ENOSPC when it is full.
        """
        devices = self._devices
        if len(devices) >= MOST_DEVICES:
            refuse(ENOSPC)
        end = device.base + device.length
        behind = (
            place
            for place, other in enumerate(devices)
            if _order(other.base, other.length, device) > 0
        )
        self._overlaps = self._overlaps or any(
            other.base < end and device.base < other.base + other.length for other in devices
        )
        devices.insert(next(behind, len(devices)), device)
        self._last = None

    def unregister(self, device: BusDevice) -> None:
        """Take it off; nothing when it is not there."""
        self._devices = [other for other in self._devices if other is not device]
        self._last = None

    def find(self, address: int, size: int) -> BusDevice | None:
        """The device that has all bytes of an access (kvm_io_bus_get_first_dev)."""
        last = self._last
        if last is not None and not _order(address, size, last):
            return last
        place = self._search(address, size)
        if place < 0:
            return None
        while place and not _order(address, size, self._devices[place - 1]):
            place -= 1
        found = self._devices[place]
        if not self._overlaps:
            self._last = found
        return found

    def _search(self, address: int, size: int) -> int:
        """The place of some device that has them, -1 for none; by halves, as bsearch goes."""
        first, count = 0, len(self._devices)
        while count:
            place = first + count // 2
            order = _order(address, size, self._devices[place])
            if not order:
                return place
            if order > 0:
                first = place + 1
                count -= 1
            count //= 2
        return -1


def _order(address: int, size: int, device: BusDevice) -> int:
    """Whether [address, address + size) is before (-1), behind (1) or in a device (0)."""
    if address < device.base:
        return -1
    return int(address + size > device.base + device.length)
