"""The devices that the host emulates, by the physical addresses of the guest.

Linux 6.12, kvm_io_bus of virt/kvm/kvm_main.c.
"""

from __future__ import annotations

from bisect import bisect_right, insort
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
    """Devices in the order of their addresses; of several at an address one answers."""

    __slots__ = ("_devices", "_last")

    def __init__(self) -> None:
        self._devices: list[BusDevice] = []
        self._last: BusDevice | None = None

    def register(self, device: BusDevice) -> None:
        """Put a device on the bus.

        Raises `OSError` ENOSPC when it is full.
        """
        if len(self._devices) >= MOST_DEVICES:
            refuse(ENOSPC)
        insort(self._devices, device, key=_base)
        self._last = None

    def unregister(self, device: BusDevice) -> None:
        """Take it off; nothing when it is not there."""
        self._devices = [other for other in self._devices if other is not device]
        self._last = None

    def find(self, address: int, size: int) -> BusDevice | None:
        """The device that has all bytes of an access."""
        last = self._last
        end = address + size
        if last is not None and last.base <= address and end <= last.base + last.length:
            return last
        place = bisect_right(self._devices, address, key=_base)
        for device in reversed(self._devices[:place]):
            if end <= device.base + device.length:
                self._last = device
                return device
        return None


def _base(device: BusDevice) -> int:
    return device.base
