"""VMs with a GICv2 that is ready, and shorthands for what user space and guests do."""

from __future__ import annotations

from nvtrap.gic.parameters import Parameters
from nvtrap.gic.v2 import interface as gicv2
from nvtrap.kvm.host import Host
from nvtrap.kvm.vcpu import OUTSIDE, Vcpu
from nvtrap.kvm.vgic.device import Address, Control, Device, Group
from nvtrap.kvm.vm import DeviceType, Vm

GICD, GICC = 0x0800_0000, 0x0801_0000
CTLR, TYPER, IIDR = 0x0, 0x4, 0x8
ITARGETSR, SGIR, CPENDSGIR, SPENDSGIR = 0x800, 0xF00, 0xF10, 0xF20
SPURIOUS = 1023


def host(list_registers: int = 4, gic: int = 2) -> Host:
    """A host that can make GICv2 guests, with a GICv2 of its own or a GICv3."""
    return Host(Parameters(list_registers=list_registers), gic, emulates_v2=True)


def machine(
    vcpus: int = 1, irqs: int = 64, list_registers: int = 4, gic: int = 2
) -> tuple[Vm, Device]:
    """A VM whose GICv2 is initialised and has its addresses, and the GIC's device."""
    vm = Vm(host=host(list_registers, gic))
    for id in range(vcpus):
        vm.create_vcpu(id)
    device = vm.create_device(DeviceType.VGIC_V2)
    assert device is not None
    device.set_attr(Group.NR_IRQS, 0, irqs)
    device.set_attr(Group.ADDR, Address.V2_DIST, GICD)
    device.set_attr(Group.ADDR, Address.V2_CPU, GICC)
    device.set_attr(Group.CTRL, Control.INIT)
    return vm, device


def started(
    vcpus: int = 1, list_registers: int = 4, ctlr: int = 1, gic: int = 2
) -> tuple[Vm, Device]:
    """The same with the distributor, the CPU interfaces and SPI 32 to 63 switched on."""
    vm, device = machine(vcpus, list_registers=list_registers, gic=gic)
    store(vm, 0, GICD + 0x104, 0xFFFF_FFFF)
    store(vm, 0, GICD + CTLR, 1)
    for vcpu in vm.vcpus:
        store(vm, vcpu.id, GICC + gicv2.PMR, 0xFF)
        store(vm, vcpu.id, GICC + gicv2.CTLR, ctlr)
    return vm, device


def _enter(vm: Vm, vcpu: int) -> tuple[Vcpu, bool]:
    entered = vm.vcpu_by_id(vcpu)
    assert entered is not None
    was_outside = entered.mode is OUTSIDE
    if was_outside:
        entered.enter()
    return entered, was_outside


def load(vm: Vm, vcpu: int, address: int, size: int = 4) -> int:
    """The guest loads from a device, on a vCPU that is entered for it if it must be."""
    entered, leaves = _enter(vm, vcpu)
    value = entered.read(address, size)
    if leaves:
        entered.exit()
    assert value is not None
    return value


def store(vm: Vm, vcpu: int, address: int, value: int, size: int = 4) -> None:
    """The guest stores to a device, in the same way."""
    entered, leaves = _enter(vm, vcpu)
    assert entered.write(address, size, value)
    if leaves:
        entered.exit()


def acknowledge(vm: Vm, vcpu: int = 0) -> int:
    """The guest reads GICC_IAR."""
    return load(vm, vcpu, GICC + gicv2.IAR)


def end(vm: Vm, value: int, vcpu: int = 0) -> None:
    """The guest writes GICC_EOIR."""
    store(vm, vcpu, GICC + gicv2.EOIR, value)


def isr(vm: Vm, vcpu: int = 0) -> int:
    """ISR_EL1 of the guest: 0x80 for an IRQ, 0x40 for a FIQ."""
    entered, leaves = _enter(vm, vcpu)
    value = entered.mrs("ISR_EL1")
    if leaves:
        entered.exit()
    return value


def send(vm: Vm, vcpu: int, intid: int, targets: int = 0, target_filter: int = 0) -> None:
    """The guest writes GICD_SGIR."""
    store(vm, vcpu, GICD + SGIR, target_filter << 24 | targets << 16 | intid)


def spi_line(vm: Vm, intid: int, level: int) -> None:
    """KVM_IRQ_LINE of an SPI."""
    vm.irq_line(1 << 24 | intid, level)


def make_level(vm: Vm, intid: int) -> None:
    """Let an SPI of the first sixteen be level-triggered, alone among them."""
    store(vm, 0, GICD + 0xC08, 0xAAAA_AAAA & ~(2 << 2 * (intid - 32)))
