"""The L0 hypervisor as Linux is: VMs, the VGIC and its device API, exits, nested machines.

This is software. What the hardware under it does stands in `nvtrap.gic`; where Linux
differs from the architecture, the difference is here and has a name. A VM is driven as
user space drives it, a method for each system call::

    vm = Vm()
    vcpu = vm.create_vcpu(0)
    gic = vm.create_device(DeviceType.VGIC_V3)
    gic.set_attr(Group.ADDR, Address.V3_DIST, 0x0800_0000)

A call that KVM refuses raises `OSError` with its errno.
"""

from __future__ import annotations

from nvtrap.kvm.host import Host
from nvtrap.kvm.vcpu import Vcpu
from nvtrap.kvm.vgic.device import Address, Control, Group
from nvtrap.kvm.vm import DeviceType, Vm

__all__ = ["Address", "Control", "DeviceType", "Group", "Host", "Vcpu", "Vm"]
