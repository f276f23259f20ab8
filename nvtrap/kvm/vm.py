"""A virtual machine: the VM's system calls as methods.

Each method is one ioctl of Documentation/virt/kvm/api.rst and fails as it does: with
`OSError` and its errno. Arguments that no caller in C could hand over are `UsageError`s.
"""

from __future__ import annotations

from errno import E2BIG, EBUSY, EEXIST, EINVAL, EIO, ENODEV
from importlib import import_module

from nvtrap.arch.memory import Memory
from nvtrap.errors import UsageError
from nvtrap.kvm.bus import Bus
from nvtrap.kvm.errno import refuse
from nvtrap.kvm.host import Host
from nvtrap.kvm.vcpu import Vcpu
from nvtrap.kvm.vgic import inject, regions, routing
from nvtrap.kvm.vgic.vgic import GICV2, GICV3, UNDEFINED, Vgic, allocate_private

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from nvtrap.kvm.vgic.device import Device
    from nvtrap.kvm.vgic.routing import Irqfd, Route

MOST_VCPUS = {2: 8, 3: 512}
VCPU_IDS = 512
LEAST_IPA_BITS, MOST_IPA_BITS = 32, 52


class DeviceType:
    """The `type` of KVM_CREATE_DEVICE."""

    VGIC_V2 = 5
    VGIC_V3 = 7
    ITS = 8


# Type → (module, class, the guest's GIC that the host must be able to make).
_DEVICES = {
    DeviceType.VGIC_V2: ("nvtrap.kvm.vgic.device_v2", "VgicV2Device", GICV2),
    DeviceType.VGIC_V3: ("nvtrap.kvm.vgic.device_v3", "VgicV3Device", GICV3),
    DeviceType.ITS: ("nvtrap.kvm.vgic.device_its", "ItsDevice", GICV3),
}


class Vm:
    """KVM_CREATE_VM: a VM with `ipa_bits` of physical address space and RAM at `ram`.

    `vcpus` are in the order of creation, `running` counts those in KVM_RUN; `current`
    is the vCPU that the kernel works for now, None for user space
    (kvm_get_running_vcpu). `dead`: a first run was refused, every call is EIO.

    Raises `UsageError` when `ipa_bits` is not 32 to 52.
    """

    __slots__ = (
        "bus",
        "current",
        "dead",
        "devices",
        "host",
        "ipa_bits",
        "irqfds",
        "max_vcpus",
        "memory",
        "routes",
        "running",
        "vcpus",
        "vgic",
    )

    def __init__(
        self, ipa_bits: int = 40, ram: Iterable[tuple[int, int]] = (), host: Host | None = None
    ) -> None:
        if type(ipa_bits) is not int or not LEAST_IPA_BITS <= ipa_bits <= MOST_IPA_BITS:
            raise UsageError(f"a VM has {LEAST_IPA_BITS} to {MOST_IPA_BITS} bits of addresses")
        self.host = host or Host()
        self.ipa_bits = ipa_bits
        self.memory = Memory(ram)
        self.max_vcpus = MOST_VCPUS[self.host.gic]
        self.vcpus: list[Vcpu] = []
        self.devices: list[Device] = []
        self.bus = Bus()
        self.vgic = Vgic(self, self.host)
        self.running = 0
        self.current: Vcpu | None = None
        self.dead = False
        # GSI → what it leads to, and the eventfds bound to GSIs: `nvtrap.kvm.vgic.routing`.
        self.routes: dict[int, Route] = {}
        self.irqfds: list[Irqfd] = []

    # ---- system calls --------------------------------------------------------------

    def create_vcpu(self, id: int, powered_off: bool = False) -> Vcpu:
        """KVM_CREATE_VCPU and KVM_ARM_VCPU_INIT, with KVM_ARM_VCPU_POWER_OFF if so said.

        Raises `OSError`: EINVAL for an id that is too large, for too many vCPUs and for
        a redistributor that has no room; EBUSY once the GIC is initialised; EEXIST.
        """
        self.check_alive()
        number(id, "a vCPU's id")
        if not 0 <= id < VCPU_IDS or len(self.vcpus) >= self.max_vcpus:
            refuse(EINVAL)
        if self.vgic.model and self.vgic.initialized:
            refuse(EBUSY)
        if id >= self.max_vcpus:
            refuse(EINVAL)
        vcpu = Vcpu(self, id, len(self.vcpus), powered_off)
        if self.vgic.model:
            allocate_private(vcpu)
        if self.vgic.model == GICV3:
            regions.place(vcpu)
        if self.vcpu_by_id(id) is not None:
            regions.displace(vcpu)
            refuse(EEXIST)
        self.vcpus.append(vcpu)
        return vcpu

    def create_device(self, type: int, test: bool = False) -> Device | None:
        """KVM_CREATE_DEVICE; with `test` (KVM_CREATE_DEVICE_TEST) nothing is made.

        Raises `OSError`: ENODEV for a type that there is not, else what the device says.
        """
        self.check_alive()
        module, name, gic = _DEVICES.get(number(type, "a device's type"), ("", "", 0))
        if not gic or not (self.host.emulates_v3 if gic == GICV3 else self.host.emulates_v2):
            refuse(ENODEV)
        if test:
            return None
        device: Device = getattr(import_module(module), name)(self)
        self.devices.append(device)
        return device

    def create_irqchip(self) -> None:
        """KVM_CREATE_IRQCHIP: a GICv2 with a legacy interface.

        Raises `OSError`: ENODEV where the host can make none, else as `create_gic`.
        """
        self.check_alive()
        if not self.host.emulates_v2:
            refuse(ENODEV)
        self.create_gic(GICV2)

    def set_device_addr(self, id: int, address: int) -> None:
        """KVM_ARM_SET_DEVICE_ADDR: `id` has the device in 31:16 and the kind in 15:0.

        Raises `OSError`: ENODEV for what is none, else as KVM_DEV_ARM_VGIC_GRP_ADDR.
        """
        self.check_alive()
        from nvtrap.kvm.vgic.device_v2 import set_legacy_address

        set_legacy_address(self, number(id, "an address's id"), number(address, "an address"))

    def irq_line(self, irq: int, level: int) -> None:
        """KVM_IRQ_LINE.

        Raises `OSError` as `nvtrap.kvm.vgic.inject.irq_line` does.
        """
        self.check_alive()
        inject.irq_line(self, number(irq, "an irq") & 0xFFFF_FFFF, bool(number(level, "a level")))

    def signal_msi(self, address: int, data: int, devid: int = 0, flags: int = 0) -> int:
        """KVM_SIGNAL_MSI: 1 when it was delivered, 0 when the guest blocks it.

        Raises `OSError` as `nvtrap.kvm.vgic.routing.signal_msi` does.
        """
        self.check_alive()
        return routing.signal_msi(self, address, data, devid, flags)

    def set_gsi_routing(self, routes: Iterable[Route]) -> None:
        """KVM_SET_GSI_ROUTING: `IrqchipRoute`s and `MsiRoute`s of `nvtrap.kvm.vgic.routing`.

        Raises `OSError` as `nvtrap.kvm.vgic.routing.set_routing` does.
        """
        self.check_alive()
        routing.set_routing(self, routes)

    def irqfd(self, gsi: int, resample: bool = False) -> Irqfd:
        """KVM_IRQFD: a new eventfd bound to a GSI, whose `write` injects.

        Raises `OSError` as `nvtrap.kvm.vgic.routing.assign` does.
        """
        self.check_alive()
        return routing.assign(self, gsi, resample)

    # ---- for the kernel's own parts --------------------------------------------------

    def check_alive(self) -> None:
        """Raises `OSError` EIO for a dead VM."""
        if self.dead:
            refuse(EIO)

    def check_vcpus_stopped(self) -> None:
        """Take every vCPU's mutex; raises `OSError` EBUSY when one is in KVM_RUN."""
        if self.running:
            refuse(EBUSY)

    def vcpu_by_id(self, id: int) -> Vcpu | None:
        """The vCPU with this id."""
        # Mostly a vCPU's id is its place.
        if id < len(self.vcpus) and self.vcpus[id].id == id:
            return self.vcpus[id]
        return next((vcpu for vcpu in self.vcpus if vcpu.id == id), None)

    def vcpu_by_mpidr(self, mpidr: int) -> Vcpu | None:
        """The vCPU with this affinity, Aff3 in bits 39:32."""
        id = mpidr & 0xF | (mpidr >> 8 & 0xFF) << 4 | (mpidr >> 16 & 0xFF) << 12
        vcpu = self.vcpu_by_id(id)
        return vcpu if vcpu is not None and vcpu.mpidr == mpidr else None

    def create_gic(self, model: int) -> None:
        """Make the VM's GIC, of model 2 or 3 (kvm_vgic_create).

        Raises `OSError`, in this order: EBUSY while a vCPU runs, EEXIST, EBUSY once one
        has run, E2BIG for more vCPUs than it can have.
        """
        self.check_vcpus_stopped()
        if self.vgic.model:
            refuse(EEXIST)
        if any(vcpu.has_run for vcpu in self.vcpus):
            refuse(EBUSY)
        self.max_vcpus = MOST_VCPUS[model]
        if len(self.vcpus) > self.max_vcpus:
            refuse(E2BIG)
        self.vgic.model = model
        self.vgic.dist_base = self.vgic.cpu_base = UNDEFINED
        for vcpu in self.vcpus:
            vcpu.lists = self.host.lists_of(vcpu)

    def set_default_routing(self) -> None:
        """GSI n leads to SPI 32 + n, as the GIC is initialised."""
        routing.set_default(self)

    def notify_acked(self, pin: int) -> None:
        """The guest has ended the level SPI 32 + `pin` (kvm_notify_acked_irq)."""
        routing.notify_acked(self, pin)

    def device_read(self, vcpu: Vcpu, address: int, size: int) -> int | None:
        """What a device in the kernel answers to a load; None where there is none."""
        device = self.bus.find(address, size)
        if device is None:
            return None
        before, self.current = self.current, vcpu
        try:
            return device.read(vcpu, address - device.base, size)
        finally:
            self.current = before

    def device_write(self, vcpu: Vcpu, address: int, size: int, value: int) -> bool:
        """Store to a device in the kernel; False where there is none."""
        device = self.bus.find(address, size)
        if device is None:
            return False
        before, self.current = self.current, vcpu
        try:
            device.write(vcpu, address - device.base, size, value)
        finally:
            self.current = before
        return True

    def stop_guests(self) -> None:
        """Have every vCPU leave the guest; each goes back when it goes on."""
        if self.running:
            for vcpu in self.vcpus:
                vcpu.exit_guest()


def number(value: object, what: str) -> int:
    """`value` itself if it is an integer; raises `UsageError` for anything else."""
    if not isinstance(value, int):
        raise UsageError(f"{what} is `{value!r:.40}`, it is an integer")
    return value
