"""The device of a GICv3: its addresses, registers, levels and tables.

Linux 6.12, arch/arm64/kvm/vgic/vgic-kvm-device.c, Documentation/virt/kvm/devices/arm-vgic-v3.rst.
"""

from __future__ import annotations

from errno import EBUSY, EINVAL, ENOENT, ENXIO

from nvtrap.kvm.errno import refuse
from nvtrap.kvm.vgic import dist_v3, lpis, redist_v3, regions, sysregs
from nvtrap.kvm.vgic.device import U32, Address, Control, GicDevice, Group, given
from nvtrap.kvm.vgic.interrupt import PRIVATE, SGIS
from nvtrap.kvm.vgic.regions import DISTRIBUTOR, K64, add_region, check_range
from nvtrap.kvm.vgic.registers import read_line_levels, write_line_levels
from nvtrap.kvm.vgic.vgic import GICV3, UNDEFINED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from nvtrap.kvm.vcpu import Vcpu
    from nvtrap.kvm.vm import Vm

REGISTER_GROUPS = (Group.DIST_REGS, Group.REDIST_REGS, Group.CPU_SYSREGS, Group.LEVEL_INFO)
ADDRESSES = (Address.V3_DIST, Address.V3_REDIST, Address.V3_REDIST_REGION)
CONTROLS = (Control.INIT, Control.SAVE_PENDING_TABLES)
TABLES = {Group.DIST_REGS: dist_v3.REGISTERS, Group.REDIST_REGS: redist_v3.REGISTERS}
# The value of REDIST_REGION: count, base, flags, index.
COUNT_SHIFT = 52
BASE = 0xF_FFFF_FFFF_0000
INDEX = 0xFF  # twelve bits, of which the kernel keeps eight
# The attribute of LEVEL_INFO: what is asked for, and the first INTID.
INFO_SHIFT, INFO = 10, (1 << 22) - 1
LINE_LEVEL = 0
VINTID = 0x3FF


class VgicV3Device(GicDevice):
    """KVM_DEV_TYPE_ARM_VGIC_V3. Making it makes the VM's GIC.

    Raises `OSError` as `Vm.create_gic` does.
    """

    __slots__ = ()

    def __init__(self, vm: Vm) -> None:
        super().__init__(vm)
        vm.create_gic(GICV3)

    # ---- attributes --------------------------------------------------------------

    def _has(self, group: int, attr: int) -> None:
        if group in (Group.DIST_REGS, Group.REDIST_REGS, Group.CPU_SYSREGS):
            self._has_register(group, attr)
        elif not (
            (group == Group.ADDR and attr in ADDRESSES)
            or group == Group.NR_IRQS
            or (group == Group.LEVEL_INFO and attr >> INFO_SHIFT & INFO == LINE_LEVEL)
            or (group == Group.CTRL and attr in CONTROLS)
            or self._is_maintenance(group)
        ):
            refuse(ENXIO)

    def _has_register(self, group: int, attr: int) -> None:
        vcpu = self._vcpu(group, attr)
        offset = attr & U32
        if group == Group.CPU_SYSREGS:
            sysregs.check_exists(attr)
        elif offset & 3 or TABLES[group].find(vcpu.vgic, offset, 4) is None:
            refuse(ENXIO)

    def _set(self, group: int, attr: int, value: int | None) -> None:
        if group == Group.CTRL and attr == Control.SAVE_PENDING_TABLES:
            self.vm.check_vcpus_stopped()
            lpis.save_pending_tables(self.vm.vgic)
        elif self._is_maintenance(group):
            self._set_maintenance(given(value) & U32)
        elif group not in REGISTER_GROUPS:
            super()._set(group, attr, value)
        else:
            vcpu = self._vcpu(group, attr)
            if group != Group.CPU_SYSREGS:
                value = given(value) & U32
            self._check_accessible()
            self._write(vcpu, group, attr, value)

    def _get(self, group: int, attr: int, buffer: int | None) -> int:
        if self._is_maintenance(group):
            return self.vm.vgic.maintenance_intid
        if group not in REGISTER_GROUPS:
            return super()._get(group, attr, buffer)
        vcpu = self._vcpu(group, attr)
        self._check_accessible()
        if group == Group.CPU_SYSREGS:
            return sysregs.read(vcpu, attr)
        if group == Group.LEVEL_INFO:
            return read_line_levels(vcpu, _first_line(attr))
        return TABLES[group].user_read(vcpu, attr & U32)

    def _write(self, vcpu: Vcpu, group: int, attr: int, value: int | None) -> None:
        if group == Group.CPU_SYSREGS:
            sysregs.write(vcpu, attr, given(value))
        elif group == Group.LEVEL_INFO:
            write_line_levels(vcpu, _first_line(attr), given(value))
        else:
            TABLES[group].user_write(vcpu, attr & U32, given(value))

    def _is_maintenance(self, group: int) -> bool:
        return group == Group.MAINT_IRQ and self.vm.host.has_maintenance_group

    def _set_maintenance(self, intid: int) -> None:
        """The maintenance interrupt of a guest hypervisor: a PPI, until the GIC is initialised."""
        vgic = self.vm.vgic
        if vgic.initialized:
            refuse(EBUSY)
        if not SGIS <= intid < PRIVATE:
            refuse(EINVAL)
        vgic.maintenance_intid = intid

    def _vcpu(self, group: int, attr: int) -> Vcpu:
        """The vCPU that the attribute names in its high word; DIST_REGS needs just the first.

        Raises `OSError` EINVAL when there is none.
        """
        if group == Group.DIST_REGS:
            vcpu = self.vm.vcpus[0] if self.vm.vcpus else None
        else:
            affinity = attr >> 32
            vcpu = self.vm.vcpu_by_mpidr(affinity >> 24 << 32 | affinity & 0xFF_FFFF)
        if vcpu is None:
            refuse(EINVAL)
        return vcpu

    def _check_accessible(self) -> None:
        self.vm.check_vcpus_stopped()
        if not self.vm.vgic.initialized:
            refuse(EBUSY)

    # ---- addresses -----------------------------------------------------------------

    def _set_address(self, attr: int, address: int) -> None:
        vm = self.vm
        if attr == Address.V3_DIST:
            check_range(vm, vm.vgic.dist_base, address, K64, DISTRIBUTOR)
            vm.vgic.dist_base = address
        elif attr == Address.V3_REDIST:
            add_region(vm, 0, address, 0)
        elif attr == Address.V3_REDIST_REGION:
            count, flags = address >> COUNT_SHIFT, address >> 12 & 0xF
            if not count or flags:
                refuse(EINVAL)
            add_region(vm, address & INDEX, address & BASE, count)
        else:
            refuse(ENXIO)

    def _get_address(self, attr: int, buffer: int | None) -> int:
        vgic = self.vm.vgic
        if attr == Address.V3_REDIST_REGION:
            return _describe(vgic.regions, given(buffer) & INDEX)
        if attr == Address.V3_REDIST:
            return vgic.regions[0].base if vgic.regions else UNDEFINED
        if attr != Address.V3_DIST:
            refuse(ENXIO)
        return vgic.dist_base


def _describe(known: list[regions.Region], index: int) -> int:
    """The value of REDIST_REGION; raises `OSError` ENOENT for an index that is not there."""
    region = next((region for region in known if region.index == index), None)
    if region is None:
        refuse(ENOENT)
    return region.count << COUNT_SHIFT | region.base | region.index


def _first_line(attr: int) -> int:
    """The first INTID of a LEVEL_INFO attribute.

    Raises `OSError` EINVAL for other information than line levels, and for an INTID
    that is no multiple of 32.
    """
    if attr >> INFO_SHIFT & INFO != LINE_LEVEL or attr & VINTID & 31:
        refuse(EINVAL)
    return attr & VINTID
