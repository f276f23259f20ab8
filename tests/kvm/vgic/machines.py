"""VMs with a GICv3 that is ready, and shorthands for what user space and guests do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from os import strerror

import pytest

from nvtrap.gic.parameters import Parameters
from nvtrap.kvm.host import Host
from nvtrap.kvm.vcpu import Vcpu
from nvtrap.kvm.vgic.device import Address, Control, Device, Group
from nvtrap.kvm.vgic.interrupt import Interrupt
from nvtrap.kvm.vm import DeviceType, Vm

GICD, GICR = 0x0800_0000, 0x080A_0000
REDISTRIBUTOR = 0x2_0000
SGI_BASE = 0x1_0000
CTLR = 0x0
IGROUPR, ISENABLER, ICENABLER, ISPENDR, ICPENDR = 0x80, 0x100, 0x180, 0x200, 0x280
ISACTIVER, ICACTIVER, IPRIORITYR, ICFGR, IROUTER = 0x300, 0x380, 0x400, 0xC00, 0x6000
SPI_TYPE, PPI_TYPE = 1 << 24, 2 << 24


def host(list_registers: int = 4) -> Host:
    """A GICv3 host with this many list registers."""
    return Host(Parameters(list_registers=list_registers))


def machine(
    vcpus: int = 1, irqs: int = 64, list_registers: int = 4, ram: Iterable[tuple[int, int]] = ()
) -> tuple[Vm, Device]:
    """A VM whose GIC is initialised and has its addresses, and the GIC's device."""
    vm = Vm(ram=ram, host=host(list_registers))
    for id in range(vcpus):
        vm.create_vcpu(id)
    gic = vm.create_device(DeviceType.VGIC_V3)
    assert gic is not None
    gic.set_attr(Group.NR_IRQS, 0, irqs)
    gic.set_attr(Group.ADDR, Address.V3_DIST, GICD)
    gic.set_attr(Group.ADDR, Address.V3_REDIST, GICR)
    gic.set_attr(Group.CTRL, Control.INIT)
    return vm, gic


def started(
    vcpus: int = 1, irqs: int = 64, list_registers: int = 4
) -> tuple[Vm, Device, list[Vcpu]]:
    """The same with every vCPU in the guest, the GIC switched on, SPIs enabled and level."""
    vm, gic = machine(vcpus, irqs, list_registers)
    for vcpu in vm.vcpus:
        vcpu.enter()
        vcpu.msr("ICC_PMR_EL1", 0xFF)
        vcpu.msr("ICC_IGRPEN1_EL1", 1)
    first = vm.vcpus[0]
    for word in range(1, irqs // 32):
        first.write(GICD + ISENABLER + 4 * word, 4, 0xFFFF_FFFF)
        first.write(GICD + ICFGR + 8 * word, 4, 0)
        first.write(GICD + ICFGR + 8 * word + 4, 4, 0)
    first.write(GICD, 4, 2)
    return vm, gic, vm.vcpus


def redistributor(vcpu: int) -> int:
    """Where the SGI frame of the n-th vCPU's redistributor is."""
    return GICR + REDISTRIBUTOR * vcpu + SGI_BASE


def line(vm: Vm, intid: int, level: int, vcpu: int = 0) -> None:
    """KVM_IRQ_LINE of an SPI, or of a PPI of the vCPU with this id."""
    kind = SPI_TYPE if intid >= 32 else PPI_TYPE | vcpu << 16
    vm.irq_line(kind | intid, level)


def spi(vm: Vm, intid: int) -> Interrupt:
    """An SPI."""
    irq = vm.vgic.interrupt(None, intid)
    assert irq is not None
    return irq


def acknowledge(vcpu: Vcpu) -> int:
    """The guest reads ICC_IAR1_EL1."""
    return vcpu.mrs("ICC_IAR1_EL1")


def end(vcpu: Vcpu, intid: int) -> None:
    """The guest writes ICC_EOIR1_EL1."""
    vcpu.msr("ICC_EOIR1_EL1", intid)


@contextmanager
def refused(number: int) -> Iterator[None]:
    """What is done inside fails with this errno."""
    with pytest.raises(OSError, match=strerror(number)) as failure:
        yield
    assert failure.value.errno == number
