"""A guest with an ITS that is set up, and the commands that it gives."""

from __future__ import annotations

from collections.abc import Callable
from errno import errorcode

from nvtrap.kvm.vcpu import Vcpu
from nvtrap.kvm.vgic.device import Address, Control, Device, Group
from nvtrap.kvm.vgic.its.its import Its
from nvtrap.kvm.vm import DeviceType, Vm
from tests.kvm.vgic.machines import GICD, GICR, REDISTRIBUTOR, machine

GITS = 0x0808_0000
DOORBELL = GITS + 0x1_0040
RAM, RAM_SIZE = 0x4000_0000, 0x40_0000
DEVICE_TABLE, COLLECTION_TABLE, QUEUE = RAM, RAM + 0x1_0000, RAM + 0x2_0000
EVENT_TABLES = RAM + 0x3_0000
CONFIGURATION, PENDING = RAM + 0x8_0000, RAM + 0x10_0000
NOWHERE = 0x1_0000_0000
VALID = 1 << 63
CTLR, CBASER, CWRITER, CREADR, BASER0, BASER1 = 0x0, 0x80, 0x88, 0x90, 0x100, 0x108
LPI = 8192
SPURIOUS = 1023


class Guest:
    """A VM of some vCPUs with an ITS, everything switched on and nothing mapped.

    LPIs from 8192 on have priority 0xA0 and are enabled. vCPUs are outside KVM_RUN
    between the calls.
    """

    def __init__(self, vcpus: int = 2, on: bool = True, lpis: int = 64) -> None:
        self.vm, self.gic = machine(vcpus, ram=[(RAM, RAM_SIZE)])
        self.device: Device = add_its(self.vm, GITS)
        self.vm.memory.write_bytes(CONFIGURATION, b"\xa1" * lpis)
        for vcpu in self.vm.vcpus:
            self.switch_on(vcpu)
        self.write(GICD, 4, 2)
        self.written = 0
        if on:
            self.start_its()

    @property
    def its(self) -> Its:
        """The ITS itself."""
        return self.vm.vgic.its[0]

    def switch_on(self, vcpu: Vcpu) -> None:
        """The CPU interface and the LPIs of a vCPU."""
        vcpu.enter()
        vcpu.msr("ICC_PMR_EL1", 0xFF)
        vcpu.msr("ICC_IGRPEN1_EL1", 1)
        frame = GICR + REDISTRIBUTOR * vcpu.index
        vcpu.write(frame + 0x70, 8, CONFIGURATION | 0xF)
        vcpu.write(frame + 0x78, 8, pending_table(vcpu.index))
        vcpu.write(frame, 4, 1)
        vcpu.exit()

    def start_its(self, base: int = GITS) -> None:
        """Give the ITS its tables and its queue, and enable it."""
        self.write(base + BASER0, 8, VALID | DEVICE_TABLE)
        self.write(base + BASER1, 8, VALID | COLLECTION_TABLE)
        self.write(base + CBASER, 8, VALID | QUEUE | 0xF)
        self.write(base, 4, 1)
        self.written = 0

    def write(self, address: int, size: int, value: int, vcpu: int = 0) -> None:
        """A store of a vCPU."""
        self.vm.vcpus[vcpu].enter()
        assert self.vm.vcpus[vcpu].write(address, size, value)
        self.vm.vcpus[vcpu].exit()

    def read(self, address: int, size: int, vcpu: int = 0) -> int:
        """A load of a vCPU."""
        self.vm.vcpus[vcpu].enter()
        value = self.vm.vcpus[vcpu].read(address, size)
        self.vm.vcpus[vcpu].exit()
        assert value is not None
        return value

    def send(self, *commands: bytes) -> None:
        """Put commands into the queue and announce them; they are all taken."""
        for command in commands:
            self.vm.memory.write_bytes(QUEUE + self.written, command)
            self.written = (self.written + 32) % 0x1_0000
        self.write(GITS + CWRITER, 8, self.written)
        assert self.read(GITS + CREADR, 8) == self.written

    def map(self, device: int, event: int, lpi: int, collection: int, vcpu: int) -> None:
        """Map a device of 32 events, one of them, and its collection."""
        self.send(
            mapd(device, event_table(device)),
            mapc(collection, vcpu),
            mapti(device, event, lpi, collection),
        )

    def msi(self, device: int, event: int) -> int:
        """KVM_SIGNAL_MSI."""
        return self.vm.signal_msi(DOORBELL, event, device, 1)

    def take(self, vcpu: int) -> int:
        """A vCPU acknowledges an interrupt and ends it; 1023 for none."""
        cpu = self.vm.vcpus[vcpu]
        cpu.enter()
        intid = cpu.mrs("ICC_IAR1_EL1")
        if intid != SPURIOUS:
            cpu.msr("ICC_EOIR1_EL1", intid)
        cpu.exit()
        return intid

    def entry(self, address: int) -> int:
        """Eight bytes of RAM."""
        return self.vm.memory.read(address, 8)

    def control(self, attribute: int) -> None:
        """Set an attribute of the group CTRL."""
        self.device.set_attr(Group.CTRL, attribute)

    def register(self, offset: int) -> int:
        """User space reads a register of the ITS."""
        return self.device.get_attr(Group.ITS_REGS, offset)

    def set_register(self, offset: int, value: int) -> None:
        """User space writes one."""
        self.device.set_attr(Group.ITS_REGS, offset, value)


def refusal(call: Callable[..., object], *arguments: object) -> str:
    """The name of the errno that a system call fails with, empty when it succeeds."""
    try:
        call(*arguments)
    except OSError as error:
        return errorcode[error.errno or 0]
    return ""


def add_its(vm: Vm, base: int) -> Device:
    """An ITS at `base`."""
    device = vm.create_device(DeviceType.ITS)
    assert device is not None
    device.set_attr(Group.ADDR, Address.ITS, base)
    device.set_attr(Group.CTRL, Control.INIT)
    return device


def pending_table(vcpu: int) -> int:
    """Where the Pending table of the n-th vCPU is."""
    return PENDING + 0x1_0000 * vcpu


def event_table(device: int) -> int:
    """Where the translation table of a device is."""
    return EVENT_TABLES + 0x200 * device


def command(*words: int) -> bytes:
    """The bytes of a command."""
    return b"".join(word.to_bytes(8, "little") for word in (*words, 0, 0, 0, 0)[:4])


def mapd(device: int, table: int, bits: int = 5) -> bytes:
    """Map a device."""
    return command(0x08 | device << 32, bits - 1, VALID | table)


def unmapd(device: int) -> bytes:
    """Unmap a device."""
    return command(0x08 | device << 32)


def mapc(collection: int, vcpu: int) -> bytes:
    """Map a collection."""
    return command(0x09, 0, VALID | vcpu << 16 | collection)


def unmapc(collection: int) -> bytes:
    """Unmap a collection."""
    return command(0x09, 0, collection)


def mapti(device: int, event: int, lpi: int, collection: int) -> bytes:
    """Map an event."""
    return command(0x0A | device << 32, event | lpi << 32, collection)


def mapi(device: int, event: int, collection: int) -> bytes:
    """Map an event to the LPI of its own number."""
    return command(0x0B | device << 32, event, collection)


def movi(device: int, event: int, collection: int) -> bytes:
    """Move an event to another collection."""
    return command(0x01 | device << 32, event, collection)


def movall(old: int, new: int) -> bytes:
    """Move all LPIs of a vCPU."""
    return command(0x0E, 0, old << 16, new << 16)


def about(code: int, device: int, event: int) -> bytes:
    """INT, CLEAR, INV or DISCARD of an event."""
    return command(code | device << 32, event)


INT, CLEAR, SYNC, INV, DISCARD = 0x03, 0x04, 0x05, 0x0C, 0x0F


def invall(collection: int) -> bytes:
    """Read the configuration of a collection's LPIs."""
    return command(0x0D, 0, collection)
