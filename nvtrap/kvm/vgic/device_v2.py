"""The device of a GICv2: its addresses and registers, and the older way to set the addresses.

Linux 6.12, arch/arm64/kvm/vgic/vgic-kvm-device.c, Documentation/virt/kvm/devices/arm-vgic.rst.
"""

from __future__ import annotations

from errno import EINVAL, ENODEV, ENXIO

from nvtrap.errors import UsageError
from nvtrap.gic.v2.interface import FRAME
from nvtrap.kvm.errno import refuse
from nvtrap.kvm.vgic import cpu_v2, dist_v2
from nvtrap.kvm.vgic.device import U32, U64, Address, Control, GicDevice, Group, given
from nvtrap.kvm.vgic.mmio import Frame
from nvtrap.kvm.vgic.regions import check_range
from nvtrap.kvm.vgic.vgic import GICV2, UNDEFINED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from nvtrap.kvm.vcpu import Vcpu
    from nvtrap.kvm.vm import Vm

K4 = 0x1000
ADDRESSES = (Address.V2_DIST, Address.V2_CPU)
TABLES = {Group.DIST_REGS: dist_v2.REGISTERS, Group.CPU_REGS: cpu_v2.REGISTERS}
CPU_SHIFT, CPU = 32, 0xFF
# The `id` of KVM_ARM_SET_DEVICE_ADDR: which device, of which there is one, and what of it.
DEVICE_SHIFT, DEVICE_VGIC_V2 = 16, 0


class VgicV2Device(GicDevice):
    """KVM_DEV_TYPE_ARM_VGIC_V2. Making it makes the VM's GIC.

    Raises `OSError` as `Vm.create_gic` does.
    """

    __slots__ = ()

    def __init__(self, vm: Vm) -> None:
        super().__init__(vm)
        vm.create_gic(GICV2)

    def _has(self, group: int, attr: int) -> None:
        if group in TABLES:
            vcpu, offset = self._vcpu(attr), attr & U32
            if offset & 3 or TABLES[group].find(vcpu.vgic, offset, 4) is None:
                refuse(ENXIO)
        elif not (
            (group == Group.ADDR and attr in ADDRESSES)
            or group == Group.NR_IRQS
            or (group == Group.CTRL and attr == Control.INIT)
        ):
            refuse(ENXIO)

    def _set(self, group: int, attr: int, value: int | None) -> None:
        if group not in TABLES:
            super()._set(group, attr, value)
            return
        vcpu = self._vcpu(attr)
        word = given(value) & U32
        self._make_accessible()
        TABLES[group].user_write(vcpu, attr & U32, word)

    def _get(self, group: int, attr: int, buffer: int | None) -> int:
        if group not in TABLES:
            return super()._get(group, attr, buffer)
        vcpu = self._vcpu(attr)
        self._make_accessible()
        return TABLES[group].user_read(vcpu, attr & U32)

    def _vcpu(self, attr: int) -> Vcpu:
        """The vCPU whose id bits 39:32 of the attribute are; `OSError` EINVAL if there is none."""
        vcpu = self.vm.vcpu_by_id(attr >> CPU_SHIFT & CPU)
        if vcpu is None:
            refuse(EINVAL)
        return vcpu

    def _make_accessible(self) -> None:
        """Registers are accessed while no vCPU runs, and a GICv2 is initialised by it."""
        self.vm.check_vcpus_stopped()
        self.vm.vgic.initialize()

    def _set_address(self, attr: int, address: int) -> None:
        if attr not in ADDRESSES:
            refuse(ENXIO)
        _set_base(self.vm, attr, address)

    def _get_address(self, attr: int, buffer: int | None) -> int:
        if attr == Address.V3_REDIST_REGION:
            given(buffer)  # it is looked at before the model is
        if attr not in ADDRESSES:
            refuse(ENXIO)
        vgic = self.vm.vgic
        return vgic.dist_base if attr == Address.V2_DIST else vgic.cpu_base


def set_legacy_address(vm: Vm, id: int, address: int) -> None:
    """KVM_ARM_SET_DEVICE_ADDR: `id` has the device in 31:16 and an `Address` in 15:0.

    Raises `OSError`: ENODEV for another device, for what it has not, and without a
    GICv2; else as `check_range`. Raises `UsageError` for numbers beyond 64 bits.
    """
    if not (0 <= id <= U64 and 0 <= address <= U64):
        raise UsageError("an address and its id are numbers of 64 bits")
    kind = id & 0xFFFF
    if id >> DEVICE_SHIFT & 0xFFFF != DEVICE_VGIC_V2 or kind not in ADDRESSES:
        refuse(ENODEV)
    if vm.vgic.model != GICV2:
        refuse(ENODEV)
    _set_base(vm, kind, address)


def _set_base(vm: Vm, kind: int, address: int) -> None:
    vgic = vm.vgic
    if kind == Address.V2_DIST:
        check_range(vm, vgic.dist_base, address, K4, dist_v2.LENGTH)
        vgic.dist_base = address
    else:
        check_range(vm, vgic.cpu_base, address, K4, FRAME)
        vgic.cpu_base = address


def map_resources(vm: Vm) -> None:
    """At the first run: put the distributor where it belongs, the CPU interface is mapped.

    Raises `OSError`: ENXIO for an address that is missing, EINVAL when the two overlap
    (vgic_v2_map_resources). The GIC is initialised if it was not.
    """
    vgic = vm.vgic
    dist, cpu = vgic.dist_base, vgic.cpu_base
    if UNDEFINED in (dist, cpu):
        refuse(ENXIO)
    if dist < cpu + FRAME and cpu < dist + dist_v2.LENGTH:
        refuse(EINVAL)
    vgic.initialize()
    vm.bus.register(Frame(dist_v2.REGISTERS, dist, dist_v2.LENGTH))
