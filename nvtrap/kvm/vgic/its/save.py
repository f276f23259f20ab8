"""Saving the mappings of an ITS to its tables in guest RAM, and restoring them.

Linux 6.12, arch/arm64/kvm/vgic/vgic-its.c, ABI 0.
"""

from __future__ import annotations

from errno import EEXIST, EINVAL

from nvtrap.kvm.errno import refuse
from nvtrap.kvm.vgic.guest_memory import read_guest, write_guest
from nvtrap.kvm.vgic.interrupt import FIRST_LPI
from nvtrap.kvm.vgic.its.mappings import MappedDevice
from nvtrap.kvm.vgic.its.tables import (
    ENTRY,
    INDIRECT,
    LEVEL1_ADDRESS,
    NOT_MAPPED,
    PAGE,
    VALID,
    collection_entry,
    collection_fields,
    device_entry,
    device_fields,
    event_entry,
    event_fields,
    scan,
    table_address,
    table_size,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from nvtrap.kvm.vgic.its.its import Its

MOST_EVENT_BITS = 16


# ---- save -------------------------------------------------------------------------------


def save_tables(its: Its) -> None:
    """KVM_DEV_ARM_ITS_SAVE_TABLES; of a table without GITS_BASER<n>.Valid nothing.

    Raises `OSError` EFAULT where a table is not in RAM.
    """
    if its.device_baser & VALID:
        _save_devices(its)
    if its.collection_baser & VALID:
        _save_collections(its)


def _save_devices(its: Its) -> None:
    """Devices that the table has no room for any more are left out."""
    devices = its.mappings.sort_devices()
    for place, device in enumerate(devices):
        address = its.device_address(device.id)
        if address is None:
            continue
        _save_events(its, device)
        step = _following_id(its, devices, place) - device.id
        entry = device_entry(step, device.table, device.event_bits)
        write_guest(its.memory, address, ENTRY, entry)


def _following_id(its: Its, devices: list[MappedDevice], place: int) -> int:
    """The id of the next device that is saved, its own for the last one."""
    for following in range(place + 1, len(devices)):
        if its.device_address(devices[following].id) is not None:
            return devices[following].id
    return devices[place].id


def _save_events(its: Its, device: MappedDevice) -> None:
    """An event whose collection is gone is saved as none."""
    ids = sorted(device.events)
    for id, following in zip(ids, [*ids[1:], *ids[-1:]], strict=True):
        event = device.events[id]
        entry = 0
        if event.collection is not None:
            entry = event_entry(following - id, event.irq.intid, event.collection.id)
        write_guest(its.memory, device.table + id * ENTRY, ENTRY, entry)


def _save_collections(its: Its) -> None:
    """In the order of their creation, with an entry that is not valid at the end."""
    address = table_address(its.collection_baser)
    end = address + table_size(its.collection_baser)
    for collection in its.mappings.collections.values():
        target = NOT_MAPPED if collection.vcpu is None else collection.vcpu.id
        write_guest(its.memory, address, ENTRY, collection_entry(target, collection.id))
        address += ENTRY
    if address != end:
        write_guest(its.memory, address, ENTRY, 0)


# ---- restore ----------------------------------------------------------------------------


def restore_tables(its: Its) -> None:
    """KVM_DEV_ARM_ITS_RESTORE_TABLES: collections first, then devices with their events.

    Raises `OSError`, and then no collection is mapped, nor a device if it was their turn:
    EINVAL for an entry that cannot be, EEXIST for a collection that is there, EFAULT
    outside RAM.
    """
    mappings = its.mappings
    try:
        if its.collection_baser & VALID:
            _restore_collections(its)
        if its.device_baser & VALID:
            try:
                _restore_devices(its)
            except OSError:
                its.drop_devices()
                raise
    except OSError:
        mappings.drop_collections()
        raise


def _restore_collections(its: Its) -> None:
    """Up to the first entry that is not valid."""
    address = table_address(its.collection_baser)
    end = address + table_size(its.collection_baser)
    while address < end:
        entry = read_guest(its.memory, address, ENTRY)
        if not entry & VALID:
            return
        _restore_collection(its, entry)
        address += ENTRY


def _restore_collection(its: Its, entry: int) -> None:
    target, id = collection_fields(entry)
    vcpu = None if target == NOT_MAPPED else its.vm.vcpu_by_id(target)
    if vcpu is None and target != NOT_MAPPED:
        refuse(EINVAL)
    if id in its.mappings.collections:
        refuse(EEXIST)
    if its.collection_address(id) is None:
        refuse(EINVAL)
    its.mappings.map_collection(id, vcpu)


def _restore_devices(its: Its) -> None:
    def restore(id: int, entry: int) -> int:
        return _restore_device(its, id, entry)

    def level1(index: int, entry: int) -> int:
        if not entry & VALID:
            return 1
        first = index * (PAGE // ENTRY)
        return 0 if scan(its.memory, entry & LEVEL1_ADDRESS, PAGE, first, restore) else 1

    baser = its.device_baser
    each = level1 if baser & INDIRECT else restore
    scan(its.memory, table_address(baser), table_size(baser), 0, each)


def _restore_device(its: Its, id: int, entry: int) -> int:
    if not entry & VALID:
        return 1
    step, table, event_bits = device_fields(entry)
    if event_bits > MOST_EVENT_BITS or its.device_address(id) is None:
        refuse(EINVAL)
    device = MappedDevice(id, table, event_bits)
    its.mappings.add_device(device)

    def restore(event_id: int, entry: int) -> int:
        return _restore_event(its, device, event_id, entry)

    scan(its.memory, table, ENTRY << event_bits, 0, restore)
    return step


def _restore_event(its: Its, device: MappedDevice, id: int, entry: int) -> int:
    step, lpi, collection_id = event_fields(entry)
    if not lpi:
        return 1
    collection = its.mappings.collections.get(collection_id)
    if (
        lpi < FIRST_LPI
        or id + step >= 1 << device.event_bits
        or collection is None
        or not its.has_room(device, id)
    ):
        refuse(EINVAL)
    its.mappings.add_event(device, id, collection, lpi)
    return step
