"""The device of an ITS: its address, its registers, its tables.

Linux 6.12, arch/arm64/kvm/vgic/vgic-its.c, Documentation/virt/kvm/devices/arm-vgic-its.rst.
"""

from __future__ import annotations

from errno import EINVAL, ENODEV, ENXIO

from nvtrap.kvm.errno import refuse
from nvtrap.kvm.vgic.device import U32, Address, Control, Device, Group, given
from nvtrap.kvm.vgic.its.its import FRAMES, Its
from nvtrap.kvm.vgic.its.registers import find
from nvtrap.kvm.vgic.its.save import restore_tables, save_tables
from nvtrap.kvm.vgic.regions import K64, check_range
from nvtrap.kvm.vgic.table_bases import IN_GICR, initial
from nvtrap.kvm.vgic.vgic import UNDEFINED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from nvtrap.kvm.vgic.its.registers import Register
    from nvtrap.kvm.vm import Vm

CONTROLS = (
    Control.INIT,
    Control.ITS_SAVE_TABLES,
    Control.ITS_RESTORE_TABLES,
    Control.ITS_RESET,
)
# Registers from here up to there are accessed as 64 bits.
FIRST_WIDE, END_OF_WIDE = 0x08, 0xFFD0


class ItsDevice(Device):
    """KVM_DEV_TYPE_ARM_VGIC_ITS; a VM may have several.

    Making one gives the redistributors LPIs, and GICR_PROPBASER its value after reset.
    """

    __slots__ = ("its",)

    def __init__(self, vm: Vm) -> None:
        super().__init__(vm)
        self.its = Its(vm)
        vm.vgic.its.append(self.its)
        vm.vgic.propbaser = initial(IN_GICR)

    def _has(self, group: int, attr: int) -> None:
        if group == Group.ITS_REGS:
            _check_alignment(attr)
            _register(attr)
        elif not (
            (group == Group.ADDR and attr == Address.ITS)
            or (group == Group.CTRL and attr in CONTROLS)
        ):
            refuse(ENXIO)

    def _set(self, group: int, attr: int, value: int | None) -> None:
        if group == Group.ADDR:
            self._set_address(attr, value)
        elif group == Group.CTRL:
            self._control(attr)
        elif group == Group.ITS_REGS:
            self._write_register(attr, given(value))
        else:
            refuse(ENXIO)

    def _get(self, group: int, attr: int, buffer: int | None) -> int:  # noqa: ARG002
        if group == Group.ADDR:
            if attr != Address.ITS:
                refuse(ENODEV)
            return self.its.base
        if group != Group.ITS_REGS:
            refuse(ENXIO)
        return self._read_register(attr)

    # ---- address, control ----------------------------------------------------------

    def _set_address(self, attr: int, value: int | None) -> None:
        if attr != Address.ITS:
            refuse(ENODEV)
        address = given(value)
        check_range(self.vm, self.its.base, address, K64, FRAMES)
        self.its.base = address
        self.vm.bus.register(self.its)

    def _control(self, attr: int) -> None:
        """INIT has nothing left to do; what is none does nothing either."""
        if attr == Control.INIT:
            return
        self.vm.check_vcpus_stopped()
        if attr == Control.ITS_RESET:
            self.its.reset()
        elif attr == Control.ITS_SAVE_TABLES:
            save_tables(self.its)
        elif attr == Control.ITS_RESTORE_TABLES:
            restore_tables(self.its)

    # ---- registers -----------------------------------------------------------------

    def _read_register(self, attr: int) -> int:
        register, offset, size = self._access(attr)
        return register.read(self.its, offset, size)

    def _write_register(self, attr: int, value: int) -> None:
        register, offset, size = self._access(attr)
        register.user_write(self.its, offset, size, value)

    def _access(self, attr: int) -> tuple[Register, int, int]:
        """The register of an attribute, its offset, and the bytes it is accessed in.

        Raises `OSError`, in this order: EINVAL for its alignment, EBUSY while a vCPU runs,
        ENXIO without an address and for no register.
        """
        _check_alignment(attr)
        self.vm.check_vcpus_stopped()
        if self.its.base == UNDEFINED:
            refuse(ENXIO)
        register = _register(attr)
        return register, attr & U32, 8 if register.is_wide else 4


def _check_alignment(attr: int) -> None:
    """Raises `OSError` EINVAL: registers of 64 bits are accessed as a whole."""
    if attr % (8 if FIRST_WIDE <= attr < END_OF_WIDE else 4):
        refuse(EINVAL)


def _register(attr: int) -> Register:
    """The register of an attribute, of which 32 bits count; raises `OSError` ENXIO."""
    register = find(attr & U32)
    if register is None:
        refuse(ENXIO)
    return register
