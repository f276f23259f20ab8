"""What the commands of an ITS have mapped: devices, their events, and collections."""

from __future__ import annotations

from nvtrap.kvm.vgic.lpis import map_lpi, unmap_lpi

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from nvtrap.kvm.vcpu import Vcpu
    from nvtrap.kvm.vgic.interrupt import Interrupt
    from nvtrap.kvm.vgic.vgic import Vgic


class Collection:
    """The vCPU that LPIs go to together; None for one that was named but never mapped."""

    __slots__ = ("id", "vcpu")

    def __init__(self, id: int, vcpu: Vcpu | None = None) -> None:
        self.id = id
        self.vcpu = vcpu


class Event:
    """An event of a device: its LPI, and its collection, None once that was unmapped."""

    __slots__ = ("collection", "id", "irq")

    def __init__(self, id: int, irq: Interrupt, collection: Collection) -> None:
        self.id = id
        self.irq = irq
        self.collection: Collection | None = collection

    @property
    def vcpu(self) -> Vcpu | None:
        """Where it goes; None while its collection is not mapped."""
        return None if self.collection is None else self.collection.vcpu


class MappedDevice:
    """A device with `event_bits` bits of events, whose translation table is at `table`."""

    __slots__ = ("event_bits", "events", "id", "table")

    def __init__(self, id: int, table: int, event_bits: int) -> None:
        self.id = id
        self.table = table
        self.event_bits = event_bits
        self.events: dict[int, Event] = {}


class Mappings:
    """All mappings of one ITS.

    Collections are in the order of their creation. A device's id may be there several
    times: restoring tables over devices that are mapped adds to them, and the oldest
    answers.
    """

    __slots__ = ("_devices", "_vgic", "collections")

    def __init__(self, vgic: Vgic) -> None:
        self._vgic = vgic
        self._devices: dict[int, list[MappedDevice]] = {}
        self.collections: dict[int, Collection] = {}

    def device(self, id: int) -> MappedDevice | None:
        """The device with this id."""
        devices = self._devices.get(id)
        return devices[0] if devices else None

    def event(self, device_id: int, event_id: int) -> Event | None:
        """The event of a device."""
        device = self.device(device_id)
        return None if device is None else device.events.get(event_id)

    def sort_devices(self) -> list[MappedDevice]:
        """All devices by id; of those with one id the newest is the first, from now on."""
        for devices in self._devices.values():
            devices.reverse()
        return [device for id in sorted(self._devices) for device in self._devices[id]]

    def add_device(self, device: MappedDevice) -> None:
        """Map a device."""
        self._devices.setdefault(device.id, []).append(device)

    def drop_device(self, device: MappedDevice) -> None:
        """Unmap a device and all its events."""
        for event in list(device.events.values()):
            self.drop_event(device, event)
        devices = self._devices[device.id]
        devices.remove(device)
        if not devices:
            del self._devices[device.id]

    def drop_devices(self) -> None:
        """Unmap all devices."""
        for devices in list(self._devices.values()):
            for device in list(devices):
                self.drop_device(device)

    def add_event(
        self, device: MappedDevice, event_id: int, collection: Collection, lpi: int
    ) -> None:
        """Map an event to an LPI; raises `OSError` EFAULT when the LPI's tables are not in RAM."""
        irq = map_lpi(self._vgic, lpi, collection.vcpu)
        device.events[event_id] = Event(event_id, irq, collection)

    def drop_event(self, device: MappedDevice, event: Event) -> None:
        """Unmap an event."""
        del device.events[event.id]
        unmap_lpi(self._vgic, event.irq)

    def map_collection(self, id: int, vcpu: Vcpu | None) -> Collection:
        """Map a collection to a vCPU, to none at first when an event names it before."""
        collection = self.collections.get(id)
        if collection is None:
            collection = self.collections[id] = Collection(id, vcpu)
            return collection
        collection.vcpu = vcpu
        for event in self._events():
            if event.collection is collection:
                event.irq.target_vcpu = vcpu
        return collection

    def drop_collection(self, id: int) -> None:
        """Unmap a collection; its events keep their LPIs."""
        collection = self.collections.pop(id, None)
        if collection is not None:
            for event in self._events():
                if event.collection is collection:
                    event.collection = None

    def drop_collections(self) -> None:
        """Unmap all collections."""
        self.collections.clear()
        for event in self._events():
            event.collection = None

    def _events(self) -> Iterator[Event]:
        for devices in self._devices.values():
            for device in devices:
                yield from device.events.values()
