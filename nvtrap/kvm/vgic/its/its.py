"""One ITS of a VM: its state, and how it turns a device's event into an LPI.

Linux 6.12, arch/arm64/kvm/vgic/vgic-its.c; its registers are in `registers`.
"""

from __future__ import annotations

from errno import EBUSY

from nvtrap.errors import AddressError
from nvtrap.kvm.errno import refuse
from nvtrap.kvm.vgic.its import commands, registers
from nvtrap.kvm.vgic.its.mappings import Mappings
from nvtrap.kvm.vgic.its.registers import QUEUE_ADDRESS, initial_baser, queue_size
from nvtrap.kvm.vgic.its.tables import ENTRY, VALID, entry_address
from nvtrap.kvm.vgic.lpis import trigger
from nvtrap.kvm.vgic.vgic import UNDEFINED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from nvtrap.arch.memory import Memory
    from nvtrap.kvm.vcpu import Vcpu
    from nvtrap.kvm.vgic.interrupt import Interrupt
    from nvtrap.kvm.vgic.its.mappings import MappedDevice
    from nvtrap.kvm.vm import Vm

FRAMES = 0x2_0000  # the registers, and the frame of GITS_TRANSLATER
DEVICES, COLLECTIONS = 0, 1  # which GITS_BASER<n> is whose


class Its:
    """An ITS; on the bus once `base` is set, `UNDEFINED` before.

    `enabled` is GITS_CTLR.Enabled, `basers` are GITS_BASER0 (devices) and GITS_BASER1
    (collections), `cbaser`, `creadr` and `cwriter` the command queue. An event that was
    translated is remembered until something changes the mappings, and then goes its
    way without further checks, as in the kernel's cache.
    """

    __slots__ = (
        "_translations",
        "base",
        "basers",
        "cbaser",
        "creadr",
        "cwriter",
        "enabled",
        "length",
        "mappings",
        "vm",
    )

    def __init__(self, vm: Vm) -> None:
        self.vm = vm
        self.base = UNDEFINED
        self.length = FRAMES
        self.enabled = False
        self.basers = [initial_baser(DEVICES), initial_baser(COLLECTIONS)]
        self.cbaser = self.creadr = self.cwriter = 0
        self.mappings = Mappings(vm.vgic)
        self._translations: dict[tuple[int, int], Interrupt] = {}

    def read(self, vcpu: Vcpu, offset: int, size: int) -> int:  # noqa: ARG002
        """A guest's load."""
        return registers.read(self, offset, size)

    def write(self, vcpu: Vcpu, offset: int, size: int, value: int) -> None:  # noqa: ARG002
        """A guest's store; GITS_TRANSLATER takes none from a CPU."""
        registers.write(self, offset, size, value)

    # ---- tables ----------------------------------------------------------------------

    @property
    def memory(self) -> Memory:
        """The guest's RAM."""
        return self.vm.memory

    @property
    def device_baser(self) -> int:
        """GITS_BASER0."""
        return self.basers[DEVICES]

    @property
    def collection_baser(self) -> int:
        """GITS_BASER1."""
        return self.basers[COLLECTIONS]

    def device_address(self, id: int) -> int | None:
        """Where a device's entry is in RAM, None if nowhere: the id does not fit then."""
        return entry_address(self.memory, self.device_baser, id)

    def collection_address(self, id: int) -> int | None:
        """Where the entry of a collection with this id would be, None if nowhere."""
        return entry_address(self.memory, self.collection_baser, id)

    def has_room(self, device: MappedDevice, event_id: int) -> bool:
        """Whether a device's translation table has an entry in RAM for an event."""
        address = device.table + event_id * ENTRY
        return event_id < 1 << device.event_bits and self.memory.holds(address, ENTRY)

    def drop_devices(self) -> None:
        """Unmap all devices."""
        self.mappings.drop_devices()
        self.forget_translations()

    def drop_collections(self) -> None:
        """Unmap all collections."""
        self.mappings.drop_collections()
        self.forget_translations()

    # ---- commands --------------------------------------------------------------------

    def process_commands(self) -> None:
        """Carry out the commands up to GITS_CWRITER, if enabled.

        One that is not in RAM is passed over, as is one that fails.
        """
        if not self.enabled:
            return
        queue = self.cbaser & QUEUE_ADDRESS
        end = queue_size(self.cbaser)
        while self.creadr != self.cwriter:
            try:
                commands.execute(self, self.memory.read(queue + self.creadr, commands.SIZE))
            except (AddressError, OSError):
                pass
            self.creadr = (self.creadr + commands.SIZE) % end

    # ---- translation -----------------------------------------------------------------

    def resolve(self, device_id: int, event_id: int) -> Interrupt | None:
        """The LPI of an event; None if nothing maps it to a vCPU.

        Raises `OSError` EBUSY while the ITS or the target's LPIs are disabled.
        """
        if not self.enabled:
            refuse(EBUSY)
        event = self.mappings.event(device_id, event_id)
        vcpu = None if event is None else event.vcpu
        if event is None or vcpu is None:
            return None
        if not vcpu.lpis_enabled:
            refuse(EBUSY)
        self._translations[device_id, event_id] = event.irq
        return event.irq

    def trigger(self, device_id: int, event_id: int) -> bool:
        """A device signals an event; whether it leads to an LPI.

        Raises `OSError` as `resolve` does.
        """
        irq = self.resolve(device_id, event_id)
        if irq is not None:
            trigger(irq)
        return irq is not None

    def trigger_known(self, device_id: int, event_id: int) -> bool:
        """Signal an event that was translated before; False if it is not remembered."""
        irq = self._translations.get((device_id, event_id))
        if irq is not None:
            trigger(irq)
        return irq is not None

    def forget_translations(self) -> None:
        """The mappings have changed, or LPIs were disabled."""
        self._translations.clear()

    def reset(self) -> None:
        """KVM_DEV_ARM_ITS_CTRL_RESET: no mappings, no tables, no queue; the ABI stays."""
        self.basers = [baser & ~VALID for baser in self.basers]
        self.cbaser = self.creadr = self.cwriter = 0
        self.enabled = False
        self.drop_devices()
        self.drop_collections()
