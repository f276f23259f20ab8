"""Devices of a VM: KVM_HAS_DEVICE_ATTR, KVM_SET_DEVICE_ATTR and KVM_GET_DEVICE_ATTR.

What the GICv2's and the GICv3's devices have in common is here: Linux 6.12,
arch/arm64/kvm/vgic/vgic-kvm-device.c, Documentation/virt/kvm/devices/arm-vgic*.rst.
"""

from __future__ import annotations

from errno import EBUSY, EFAULT, EINVAL, ENXIO

from nvtrap.errors import UsageError
from nvtrap.kvm.errno import refuse
from nvtrap.kvm.vgic.interrupt import PRIVATE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from nvtrap.kvm.vm import Vm


class Group:
    """The `group` of an attribute: KVM_DEV_ARM_VGIC_GRP_*."""

    ADDR = 0
    DIST_REGS = 1
    CPU_REGS = 2
    NR_IRQS = 3
    CTRL = 4
    REDIST_REGS = 5
    CPU_SYSREGS = 6
    LEVEL_INFO = 7
    ITS_REGS = 8
    MAINT_IRQ = 9


class Address:
    """The attributes of `Group.ADDR`: KVM_VGIC_*_ADDR_TYPE_*."""

    V2_DIST = 0
    V2_CPU = 1
    V3_DIST = 2
    V3_REDIST = 3
    ITS = 4
    V3_REDIST_REGION = 5


class Control:
    """The attributes of `Group.CTRL`: KVM_DEV_ARM_VGIC_*."""

    INIT = 0
    ITS_SAVE_TABLES = 1
    ITS_RESTORE_TABLES = 2
    SAVE_PENDING_TABLES = 3
    ITS_RESET = 4


MOST_IRQS = 1023
LEAST_IRQS = PRIVATE + 32
U64 = (1 << 64) - 1
U32 = (1 << 32) - 1


class Device:
    """A device that KVM_CREATE_DEVICE has made.

    A group is a number below 2^32, an attribute and a value are below 2^64; `UsageError`s
    else. What stands behind the user's pointer is a value, None for a pointer
    that leads nowhere (EFAULT where the kernel follows it).
    """

    __slots__ = ("vm",)

    def __init__(self, vm: Vm) -> None:
        self.vm = vm

    def has_attr(self, group: int, attr: int) -> None:
        """KVM_HAS_DEVICE_ATTR.

        Raises `OSError`: ENXIO for an attribute that there is not; EIO for a dead VM.
        """
        self._check(group, attr, 0)
        self._has(group, attr)

    def set_attr(self, group: int, attr: int, value: int | None = None) -> None:
        """KVM_SET_DEVICE_ATTR with `value` behind the pointer; CTRL's attributes have none.

        Raises `OSError` as the group does; EIO for a dead VM.
        """
        self._check(group, attr, value)
        self._set(group, attr, value)

    def get_attr(self, group: int, attr: int, buffer: int | None = 0) -> int:
        """KVM_GET_DEVICE_ATTR: what stands in the buffer afterwards, `buffer` before.

        Raises `OSError` as the group does; EIO for a dead VM.
        """
        self._check(group, attr, buffer)
        value = self._get(group, attr, buffer)
        if buffer is None:
            refuse(EFAULT)
        return value

    def _check(self, group: int, attr: int, value: int | None) -> None:
        if type(group) is not int or not 0 <= group <= U32:
            raise UsageError(f"a group is `{group!r:.40}`, it is a number of 32 bits")
        if type(attr) is not int or not 0 <= attr <= U64:
            raise UsageError(f"an attribute is `{attr!r:.40}`, it is a number of 64 bits")
        if value is not None and (type(value) is not int or not 0 <= value <= U64):
            raise UsageError(f"a value is `{value!r:.40}`, it is a number of 64 bits")
        self.vm.check_alive()

    def _has(self, group: int, attr: int) -> None:
        raise NotImplementedError

    def _set(self, group: int, attr: int, value: int | None) -> None:
        raise NotImplementedError

    def _get(self, group: int, attr: int, buffer: int | None) -> int:
        raise NotImplementedError


class GicDevice(Device):
    """What the devices of both models have: addresses, NR_IRQS and INIT."""

    __slots__ = ()

    def _set(self, group: int, attr: int, value: int | None) -> None:
        if group == Group.ADDR:
            self._set_address(attr, given(value))
        elif group == Group.NR_IRQS:
            self._set_nr_irqs(given(value) & U32)
        elif group == Group.CTRL and attr == Control.INIT:
            self.vm.vgic.initialize()
        else:
            refuse(ENXIO)

    def _get(self, group: int, attr: int, buffer: int | None) -> int:
        if group == Group.ADDR:
            return self._get_address(attr, buffer)
        if group != Group.NR_IRQS:
            refuse(ENXIO)
        return self.vm.vgic.nr_irqs

    def _set_nr_irqs(self, count: int) -> None:
        if not LEAST_IRQS <= count <= MOST_IRQS or count % 32:
            refuse(EINVAL)
        if self.vm.vgic.nr_spis:
            refuse(EBUSY)
        self.vm.vgic.nr_spis = count - PRIVATE

    def _set_address(self, attr: int, address: int) -> None:
        raise NotImplementedError

    def _get_address(self, attr: int, buffer: int | None) -> int:
        raise NotImplementedError


def given(value: int | None) -> int:
    """What the user's pointer leads to; raises `OSError` EFAULT if nowhere."""
    if value is None:
        refuse(EFAULT)
    return value
