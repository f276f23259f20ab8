"""The commands of an ITS, as KVM carries them out (IHI 0069, 5.3 for their encodings).

A command that cannot be is dropped: the ITS never stalls. Linux 6.12,
arch/arm64/kvm/vgic/vgic-its.c.
"""

from __future__ import annotations

from nvtrap.kvm.vgic.guest_memory import write_guest
from nvtrap.kvm.vgic.interrupt import FIRST_LPI
from nvtrap.kvm.vgic.its.mappings import MappedDevice
from nvtrap.kvm.vgic.its.tables import ENTRY
from nvtrap.kvm.vgic.lpis import configure, configure_all, limit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from nvtrap.kvm.vgic.its.its import Its
    from nvtrap.kvm.vgic.its.mappings import Event

SIZE = 32  # bytes of a command
MOST_EVENT_BITS = 16
WORD = (1 << 32) - 1
MAPTI = 0x0A


class Command:
    """The fields of a command's four double words; which of them count is up to its code."""

    __slots__ = ("words",)

    def __init__(self, encoded: int) -> None:
        self.words = [encoded >> 64 * n & (1 << 64) - 1 for n in range(4)]

    @property
    def code(self) -> int:
        """Which command it is."""
        return self.words[0] & 0xFF

    @property
    def device(self) -> int:
        """DeviceID."""
        return self.words[0] >> 32

    @property
    def event(self) -> int:
        """EventID."""
        return self.words[1] & WORD

    @property
    def lpi(self) -> int:
        """The LPI of an event: pINTID, with MAPI the EventID itself."""
        return self.words[1] >> 32 if self.code == MAPTI else self.event

    @property
    def event_bits(self) -> int:
        """MAPD: the bits of the device's EventIDs."""
        return (self.words[1] & 0x1F) + 1

    @property
    def table(self) -> int:
        """MAPD: ITT_addr."""
        return self.words[2] & (1 << 52) - (1 << 8)

    @property
    def collection(self) -> int:
        """ICID."""
        return self.words[2] & 0xFFFF

    @property
    def target(self) -> int:
        """RDbase, with MOVALL the old one: the id of a vCPU."""
        return self.words[2] >> 16 & WORD

    @property
    def new_target(self) -> int:
        """MOVALL: the new RDbase."""
        return self.words[3] >> 16 & WORD

    @property
    def is_valid(self) -> bool:
        """V: whether MAPD or MAPC maps."""
        return self.words[2] >> 63 == 1


def execute(its: Its, encoded: int) -> None:
    """Carry out a command of 32 bytes; one that there is not does nothing.

    Raises `OSError` for some that fail; what they changed until then remains.
    """
    command = Command(encoded)
    handler = HANDLERS.get(command.code)
    if handler is not None:
        handler(its, command)


# ---- mapping ----------------------------------------------------------------------------


def _mapd(its: Its, command: Command) -> None:
    """A device that was mapped loses its events; unmapping zeroes its entry in RAM."""
    address = its.device_address(command.device)
    if address is None or (command.is_valid and command.event_bits > MOST_EVENT_BITS):
        return
    device = its.mappings.device(command.device)
    if device is not None:
        its.mappings.drop_device(device)
        its.forget_translations()
    if command.is_valid:
        its.mappings.add_device(MappedDevice(command.device, command.table, command.event_bits))
    else:
        write_guest(its.memory, address, ENTRY, 0)


def _mapc(its: Its, command: Command) -> None:
    if not command.is_valid:
        its.mappings.drop_collection(command.collection)
        its.forget_translations()
        return
    vcpu = its.vm.vcpu_by_id(command.target)
    is_known = command.collection in its.mappings.collections
    if vcpu is not None and (is_known or its.collection_address(command.collection) is not None):
        its.mappings.map_collection(command.collection, vcpu)


def _mapti(its: Its, command: Command) -> None:
    """MAPTI and MAPI; an event that is mapped stays. The collection may be mapped later."""
    mappings = its.mappings
    device = mappings.device(command.device)
    if (
        device is None
        or not its.has_room(device, command.event)
        or not FIRST_LPI <= command.lpi < limit(its.vm.vgic)
        or command.event in device.events
    ):
        return
    collection = mappings.collections.get(command.collection)
    is_new = collection is None
    if collection is None:
        if its.collection_address(command.collection) is None:
            return
        collection = mappings.map_collection(command.collection, None)
    try:
        mappings.add_event(device, command.event, collection, command.lpi)
    except OSError:
        if is_new:
            mappings.drop_collection(command.collection)


def _discard(its: Its, command: Command) -> None:
    """Only an event whose collection is mapped; its entry in RAM becomes zero."""
    device = its.mappings.device(command.device)
    event = None if device is None else device.events.get(command.event)
    if device is None or event is None or event.vcpu is None:
        return
    its.forget_translations()
    its.mappings.drop_event(device, event)
    write_guest(its.memory, device.table + event.id * ENTRY, ENTRY, 0)


# ---- moving -----------------------------------------------------------------------------


def _movi(its: Its, command: Command) -> None:
    """Both collections must be mapped; what is queued moves when its vCPU leaves the guest."""
    event = _event(its, command)
    collection = its.mappings.collections.get(command.collection)
    if event is None or event.vcpu is None or collection is None or collection.vcpu is None:
        return
    event.collection = collection
    its.forget_translations()
    event.irq.target_vcpu = collection.vcpu


def _movall(its: Its, command: Command) -> None:
    """All LPIs of a vCPU, whichever ITS leads to them; collections stay."""
    old = its.vm.vcpu_by_id(command.target)
    new = its.vm.vcpu_by_id(command.new_target)
    if old is None or new is None or old is new:
        return
    for irq in its.vm.vgic.lpis.values():
        if irq.target_vcpu is old:
            irq.target_vcpu = new
    its.forget_translations()


# ---- interrupts -------------------------------------------------------------------------


def _int(its: Its, command: Command) -> None:
    its.trigger(command.device, command.event)


def _clear(its: Its, command: Command) -> None:
    event = _event(its, command)
    if event is not None:
        event.irq.pending_latch = False


def _inv(its: Its, command: Command) -> None:
    event = _event(its, command)
    if event is not None:
        configure(its.vm.vgic, event.irq)


def _invall(its: Its, command: Command) -> None:
    """All LPIs of the collection's vCPU, whatever collection they are in."""
    collection = its.mappings.collections.get(command.collection)
    if collection is not None and collection.vcpu is not None:
        configure_all(collection.vcpu)


def _event(its: Its, command: Command) -> Event | None:
    return its.mappings.event(command.device, command.event)


# SYNC (0x05) does nothing, everything is in sync at all times.
HANDLERS: dict[int, Callable[[Its, Command], None]] = {
    0x01: _movi,
    0x03: _int,
    0x04: _clear,
    0x08: _mapd,
    0x09: _mapc,
    MAPTI: _mapti,
    0x0B: _mapti,
    0x0C: _inv,
    0x0D: _invall,
    0x0E: _movall,
    0x0F: _discard,
}
