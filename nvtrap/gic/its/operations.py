"""What the commands for physical LPIs do (IHI 0069, 5.3).

Each takes the fields of the command and returns the reason of its error, an empty text
where there is none. What touches memory comes first, so that a command with an error
has no effect.
"""

from __future__ import annotations

from nvtrap.gic.its.tables import Device, Interrupt

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from nvtrap.gic.its.translate import Translation

    Fields = Mapping[str, int]
    Operation = Callable[[Translation, Fields], str]


def mapd(its: Translation, fields: Fields) -> str:
    """MAPD: map a device to an ITT, or unmap it."""
    device_id, event_bits = fields["DeviceID"], fields["Size"] + 1
    if not its.has_device(device_id):
        return "DEVICE_OOR"
    if fields["V"] and event_bits > its.parameters.its_event_bits:
        return "ITTSIZE_OOR"
    device = Device(fields["ITT_addr"] << 8, event_bits) if fields["V"] else None
    its.tables.set_device(device_id, device)
    return ""


def mapc(its: Translation, fields: Fields) -> str:
    """MAPC: map a collection to a PE, or unmap it."""
    if not its.has_collection(fields["ICID"]):
        return "COLLECTION_OOR"
    if fields["V"] and not its.has_pe(fields["RDbase"]):
        return "PROCNUM_OOR"
    its.tables.set_collection(fields["ICID"], fields["RDbase"] if fields["V"] else None)
    return ""


def mapti(its: Translation, fields: Fields) -> str:
    """MAPTI: map an event to an LPI in a collection. An earlier mapping is replaced."""
    return _map(its, fields, fields["pINTID"])


def mapi(its: Translation, fields: Fields) -> str:
    """MAPI: map an event to the LPI of the same number."""
    return _map(its, fields, fields["EventID"])


def _map(its: Translation, fields: Fields, intid: int) -> str:
    device = its.device(fields["DeviceID"], fields["EventID"])
    if isinstance(device, str):
        return device
    if not its.has_collection(fields["ICID"]):
        return "COLLECTION_OOR"
    if not its.has_lpi(intid):
        return "PHYSICALID_OOR"
    its.tables.set_interrupt(device, fields["EventID"], Interrupt(intid, fields["ICID"]))
    return ""


def movi(its: Translation, fields: Fields) -> str:
    """MOVI: move an event to another collection, with its pending state."""
    device = its.device(fields["DeviceID"], fields["EventID"])
    if isinstance(device, str):
        return device
    interrupt = its.tables.interrupt(device, fields["EventID"])
    if interrupt is None:
        return "UNMAPPED_INTERRUPT"
    if interrupt.is_virtual:
        return "ID_IS_VIRTUAL"
    if not its.has_collection(fields["ICID"]):
        return "COLLECTION_OOR"
    moved = Interrupt(interrupt.intid, fields["ICID"])
    old, new = its.target(interrupt), its.target(moved)
    if new is None:
        return "UNMAPPED_COLLECTION"
    if old is None:
        return "ITE_INVALID"
    its.tables.set_interrupt(device, fields["EventID"], moved)
    if old.clear_pending():
        new.set_pending()
    return ""


def movall(its: Translation, fields: Fields) -> str:
    """MOVALL: move all that is pending from one PE to another."""
    source, destination = fields["RDbase1"], fields["RDbase2"]
    if not (its.has_pe(source) and its.has_pe(destination)):
        return "PROCNUM_OOR"
    its.lpis[source].move_all(its.lpis[destination])
    return ""


def discard(its: Translation, fields: Fields) -> str:
    """DISCARD: unmap an event and take back its interrupt."""
    device = its.device(fields["DeviceID"], fields["EventID"])
    if isinstance(device, str):
        return device
    target = its.find(fields["DeviceID"], fields["EventID"])
    if isinstance(target, str):
        return target
    its.tables.set_interrupt(device, fields["EventID"], None)
    target.clear_pending()
    return ""


def generate(its: Translation, fields: Fields) -> str:
    """INT: do what a write of the device to GITS_TRANSLATER would do."""
    target = its.find(fields["DeviceID"], fields["EventID"])
    if isinstance(target, str):
        return target
    target.set_pending()
    return ""


def clear(its: Translation, fields: Fields) -> str:
    """CLEAR: take back the interrupt of an event."""
    target = its.find(fields["DeviceID"], fields["EventID"])
    if isinstance(target, str):
        return target
    target.clear_pending()
    return ""


def inv(its: Translation, fields: Fields) -> str:
    """INV: have the configuration of an event's LPI read again."""
    target = its.find(fields["DeviceID"], fields["EventID"])
    if isinstance(target, str):
        return target
    target.invalidate()
    return ""


def invall(its: Translation, fields: Fields) -> str:
    """INVALL: have the configuration of all LPIs of a collection's PE read again."""
    if not its.has_collection(fields["ICID"]):
        return "COLLECTION_OOR"
    lpis = its.lpis_of(fields["ICID"])
    if lpis is None:
        return "UNMAPPED_COLLECTION"
    lpis.invalidate_all()
    return ""


def sync(_its: Translation, _fields: Fields) -> str:
    """SYNC: wait for what came before, which is always done."""
    return ""


OPERATIONS: dict[str, Operation] = {
    "MAPD": mapd,
    "MAPC": mapc,
    "MAPTI": mapti,
    "MAPI": mapi,
    "MOVI": movi,
    "MOVALL": movall,
    "DISCARD": discard,
    "INT": generate,
    "CLEAR": clear,
    "INV": inv,
    "INVALL": invall,
    "SYNC": sync,
}
