"""The device of a GICv2: attributes, addresses, registers, and the order in which they refuse."""

from __future__ import annotations

from collections.abc import Callable
from errno import E2BIG, EBUSY, EEXIST, EFAULT, EINVAL, EIO, ENODEV, ENXIO
from typing import Any

import pytest

from nvtrap.errors import UsageError
from nvtrap.gic.v2 import interface as gicv2
from nvtrap.kvm.host import Host
from nvtrap.kvm.vgic.device import Address, Control, Device, Group
from nvtrap.kvm.vm import DeviceType, Vm
from tests.kvm.vgic.machines_v2 import CTLR, GICC, GICD, IIDR, TYPER, host, load, machine, store

IIDR_VALUE = 0x4B00_343B
REDIST_REGION = Address.V3_REDIST_REGION


def errno_of(call: Callable[..., object], *arguments: Any, **more: Any) -> int:
    """The errno of a call that fails."""
    with pytest.raises(OSError, match="Errno") as caught:
        call(*arguments, **more)
    assert caught.value.errno is not None
    return caught.value.errno


def new(vcpus: int = 1) -> tuple[Vm, Device]:
    """A VM whose GICv2 was just created."""
    vm = Vm(host=host())
    for id in range(vcpus):
        vm.create_vcpu(id)
    gic = vm.create_device(DeviceType.VGIC_V2)
    assert gic is not None
    return vm, gic


# ---- creation -----------------------------------------------------------------------


def test_a_gicv2_host_makes_gicv2_guests_only() -> None:
    """The other devices are ENODEV there, also as a test."""
    vm = Vm(host=host())
    assert vm.create_device(DeviceType.VGIC_V2, test=True) is None
    assert vm.vgic.model == 0
    for kind in (DeviceType.VGIC_V3, DeviceType.ITS):
        assert errno_of(vm.create_device, kind, test=True) == ENODEV
        assert errno_of(vm.create_device, kind) == ENODEV


def test_a_gicv3_host_may_be_unable_to_make_one() -> None:
    """Then both ways to ask for it are ENODEV."""
    vm = Vm(host=Host(gic=3))
    assert errno_of(vm.create_device, DeviceType.VGIC_V2) == ENODEV
    assert errno_of(vm.create_irqchip) == ENODEV


def test_create_irqchip_makes_one_without_a_device() -> None:
    """Its addresses come by KVM_ARM_SET_DEVICE_ADDR, it is initialised by the first run."""
    vm = Vm(host=host())
    vcpu = vm.create_vcpu(0)
    vm.create_irqchip()
    assert errno_of(vm.create_irqchip) == EEXIST
    assert errno_of(vm.create_device, DeviceType.VGIC_V2) == EEXIST
    vm.set_device_addr(0, GICD)
    vm.set_device_addr(1, GICC)
    vcpu.run()
    assert vm.vgic.initialized
    assert vm.vgic.nr_irqs == 256
    assert errno_of(vm.create_vcpu, 1) == EBUSY


def test_it_is_too_late_once_a_vcpu_has_run() -> None:
    """EBUSY, while it runs and ever after."""
    vm = Vm(host=host())
    vcpu = vm.create_vcpu(0)
    vcpu.enter()
    assert errno_of(vm.create_irqchip) == EBUSY
    vcpu.exit()
    assert errno_of(vm.create_device, DeviceType.VGIC_V2) == EBUSY


def test_it_holds_eight_vcpus() -> None:
    """A GICv3 host can have more of them before; then it is E2BIG."""
    vm = Vm(host=host(gic=3))
    for id in range(9):
        vm.create_vcpu(id)
    assert errno_of(vm.create_device, DeviceType.VGIC_V2) == E2BIG
    vm = Vm(host=host(gic=3))
    vm.create_device(DeviceType.VGIC_V2)
    for id in range(8):
        vm.create_vcpu(id)
    assert errno_of(vm.create_vcpu, 8) == EINVAL


# ---- addresses ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "errno"),
    [
        (0x0800_0800, EINVAL),
        (0xFFFF_FFFF_FFFF_F000, EINVAL),
        (1 << 40, E2BIG),
        ((1 << 40) - 0x1000, E2BIG),
        (1 << 63, E2BIG),
    ],
)
def test_a_bad_address_of_the_cpu_interface(address: int, errno: int) -> None:
    """4 KiB aligned, 8 KiB in the address space; both ways to set it say the same."""
    vm, gic = new()
    assert errno_of(gic.set_attr, Group.ADDR, Address.V2_CPU, address) == errno
    assert errno_of(vm.set_device_addr, Address.V2_CPU, address) == errno


def test_the_last_page_is_room_enough_for_the_distributor() -> None:
    """It has 4 KiB."""
    _, gic = new()
    gic.set_attr(Group.ADDR, Address.V2_DIST, (1 << 40) - 0x1000)
    assert gic.get_attr(Group.ADDR, Address.V2_DIST) == (1 << 40) - 0x1000


def test_an_address_is_set_once() -> None:
    """EEXIST comes before everything else, whichever way it was set."""
    vm, gic = new()
    vm.set_device_addr(0xFFFF_FFFF_0000_0000, GICD)  # the high word of the id means nothing
    assert errno_of(gic.set_attr, Group.ADDR, Address.V2_DIST, 1) == EEXIST
    assert errno_of(vm.set_device_addr, 0, GICD) == EEXIST
    assert gic.get_attr(Group.ADDR, Address.V2_CPU) == (1 << 64) - 1


@pytest.mark.parametrize("kind", [Address.V3_DIST, Address.V3_REDIST, REDIST_REGION, Address.ITS])
def test_other_addresses_are_not_its(kind: int) -> None:
    """ENXIO; the value of a region is read first."""
    _, gic = new()
    assert errno_of(gic.has_attr, Group.ADDR, kind) == ENXIO
    assert errno_of(gic.set_attr, Group.ADDR, kind, 0) == ENXIO
    assert errno_of(gic.get_attr, Group.ADDR, kind) == ENXIO
    fault = EFAULT if kind == REDIST_REGION else ENXIO
    assert errno_of(gic.get_attr, Group.ADDR, kind, None) == fault


def test_set_device_addr_is_for_a_gicv2() -> None:
    """ENODEV for a VM without one, and for another device or address."""
    vm = Vm(host=host())
    assert errno_of(vm.set_device_addr, 0, GICD) == ENODEV
    vm, _ = new()
    for id in (2, 3, 0x1_0000, 0xFFFF_0000):
        assert errno_of(vm.set_device_addr, id, GICD) == ENODEV
    for wrong in (-1, 1 << 64):
        with pytest.raises(UsageError):
            vm.set_device_addr(wrong, 0)
        with pytest.raises(UsageError):
            vm.set_device_addr(0, wrong)


@pytest.mark.parametrize("base", [GICC, GICC + 0x1000])
def test_frames_that_overlap_kill_the_vm(base: int) -> None:
    """EINVAL at the first run, EIO for everything after it."""
    vm, gic = new()
    gic.set_attr(Group.ADDR, Address.V2_CPU, GICC)
    gic.set_attr(Group.ADDR, Address.V2_DIST, base)
    assert errno_of(vm.vcpus[0].run) == EINVAL
    assert errno_of(gic.get_attr, Group.NR_IRQS, 0) == EIO
    assert errno_of(vm.set_device_addr, 0, 0) == EIO
    assert errno_of(vm.vcpus[0].run) == EIO


@pytest.mark.parametrize("base", [GICC - 0x1000, GICC + 0x2000])
def test_frames_may_touch(base: int) -> None:
    """The distributor right before or behind the CPU interface."""
    vm, gic = new()
    gic.set_attr(Group.ADDR, Address.V2_CPU, GICC)
    gic.set_attr(Group.ADDR, Address.V2_DIST, base)
    assert load(vm, 0, base + IIDR) == IIDR_VALUE
    assert load(vm, 0, GICC + gicv2.IIDR) == gicv2.IIDR_VALUE


# ---- attributes ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("group", "attr"),
    [
        (Group.CTRL, Control.SAVE_PENDING_TABLES),
        (Group.CTRL, Control.ITS_SAVE_TABLES),
        (Group.REDIST_REGS, 0),
        (Group.CPU_SYSREGS, 0xC230),
        (Group.LEVEL_INFO, 0),
        (Group.ITS_REGS, 0),
        (99, 0),
    ],
)
def test_a_gicv2_has_no_such_attribute(group: int, attr: int) -> None:
    """ENXIO for all three calls."""
    _, gic = machine()
    assert errno_of(gic.has_attr, group, attr) == ENXIO
    assert errno_of(gic.set_attr, group, attr, 0) == ENXIO
    assert errno_of(gic.get_attr, group, attr) == ENXIO


def test_which_registers_there_are() -> None:
    """SPIs only when NR_IRQS is known; those of the CPU interface that act are not there."""
    _, gic = new()
    dist, cpu = Group.DIST_REGS, Group.CPU_REGS
    there = {dist: {0, 4, 8, 0x80, 0x100, 0x280, 0x41C, 0x81C, 0xC04, 0xF00, 0xF1C, 0xF2C}}
    there[cpu] = {0, 4, 8, 0x1C, 0xD0, 0xDC, 0xFC}
    missing = {dist: {0xC, 0x104, 0x420, 0x820, 0xC08, 0xD00, 0xF04, 0xF30, 0xFE8, 0x1000}}
    missing[cpu] = {0xC, 0x10, 0x14, 0x18, 0x20, 0x24, 0x28, 0xE0, 0x1000, 0x100}
    for group, offsets in there.items():
        for offset in offsets:
            gic.has_attr(group, offset)
            assert errno_of(gic.has_attr, group, offset | 1) == ENXIO
    for group, offsets in missing.items():
        for offset in offsets:
            assert errno_of(gic.has_attr, group, offset) == ENXIO
    gic.set_attr(Group.NR_IRQS, 0, 64)
    gic.has_attr(dist, 0x104)
    assert errno_of(gic.has_attr, dist, 0x108) == ENXIO


@pytest.mark.parametrize("group", [Group.DIST_REGS, Group.CPU_REGS])
def test_what_is_not_there_reads_as_zero(group: int) -> None:
    """Get and set succeed all the same, and any access initialises the GIC."""
    vm, gic = new()
    assert gic.get_attr(group, 0x1004) == 0
    gic.set_attr(group, 0x1004, 0xFFFF_FFFF)
    gic.set_attr(group, 2, 0xFFFF_FFFF)
    assert gic.get_attr(group, 2) == 0
    assert vm.vgic.initialized


def test_the_order_of_refusals() -> None:
    """The vCPU, then the value, then whether vCPUs run; reading faults at the very end."""
    vm, gic = machine(vcpus=2)
    vm.vcpus[1].enter()
    for group in (Group.DIST_REGS, Group.CPU_REGS):
        assert errno_of(gic.set_attr, group, 2 << 32, None) == EINVAL
        assert errno_of(gic.get_attr, group, 2 << 32, None) == EINVAL
        assert errno_of(gic.set_attr, group, 0, None) == EFAULT
        assert errno_of(gic.set_attr, group, 0, 0) == EBUSY
        assert errno_of(gic.get_attr, group, 0, None) == EBUSY
    vm.vcpus[1].exit()
    assert errno_of(gic.get_attr, Group.CPU_REGS, 0, None) == EFAULT
    gic.has_attr(Group.CPU_REGS, 0xFF << 40 | 1 << 32)  # bits above the id mean nothing


def test_without_a_vcpu_no_register_can_be_named() -> None:
    """EINVAL, also of what exists."""
    _, gic = new(vcpus=0)
    assert errno_of(gic.get_attr, Group.DIST_REGS, IIDR) == EINVAL
    assert errno_of(gic.has_attr, Group.DIST_REGS, IIDR) == EINVAL


# ---- registers ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "value", [0x4B00_143B, 0x4B00_443B, 0x4B00_343A, 0x4B01_343B, 0x4C00_343B, 0]
)
def test_iidr_takes_known_revisions_of_this_implementation(value: int) -> None:
    """2 and 3; everything else stays as it was."""
    _, gic = machine()
    assert errno_of(gic.set_attr, Group.DIST_REGS, IIDR, value) == EINVAL
    assert gic.get_attr(Group.DIST_REGS, IIDR) == IIDR_VALUE
    gic.set_attr(Group.DIST_REGS, IIDR, 0x4B00_243B)
    assert gic.get_attr(Group.DIST_REGS, IIDR) == 0x4B00_243B


def test_user_space_writes_groups_only_after_iidr() -> None:
    """A user space of old does not know that a GICv2 has groups; a guest may always."""
    vm, gic = machine()
    gic.set_attr(Group.DIST_REGS, 0x84, 0xFF)
    assert gic.get_attr(Group.DIST_REGS, 0x84) == 0
    store(vm, 0, GICD + 0x84, 0xF0)
    assert gic.get_attr(Group.DIST_REGS, 0x84) == 0xF0
    gic.set_attr(Group.DIST_REGS, IIDR, IIDR_VALUE)
    gic.set_attr(Group.DIST_REGS, 0x84, 0xFF)
    assert load(vm, 0, GICD + 0x84) == 0xFF


def test_ctlr_has_one_bit() -> None:
    """It enables both groups; TYPER and IIDR are read-only for a guest."""
    vm, gic = machine(vcpus=3, irqs=96)
    for offset in (CTLR, TYPER, IIDR):
        store(vm, 0, GICD + offset, 0xFFFF_FFFF)
    assert load(vm, 0, GICD + CTLR) == 1
    assert load(vm, 0, GICD + TYPER) == 2 << 5 | 2
    assert load(vm, 0, GICD + IIDR) == IIDR_VALUE
    gic.set_attr(Group.DIST_REGS, CTLR, 0xFFFF_FFFE)
    assert load(vm, 0, GICD + CTLR) == 0


def test_targets_are_of_vcpus_that_are_there() -> None:
    """By user space as by a guest; those of SGIs and PPIs are the reader's own."""
    _, gic = machine(vcpus=3)
    gic.set_attr(Group.DIST_REGS, 0x820, 0xFF08_0601)
    assert gic.get_attr(Group.DIST_REGS, 0x820) == 0x0700_0601
    gic.set_attr(Group.DIST_REGS, 0x81C, 0)
    assert gic.get_attr(Group.DIST_REGS, 2 << 32 | 0x81C) == 0x0404_0404


def test_user_space_sees_what_the_guest_has_set_in_its_cpu_interface() -> None:
    """And the other way; PMR is five bits wide, IIDR KVM's own."""
    vm, gic = machine(vcpus=2)
    store(vm, 1, GICC + gicv2.CTLR, 0xFFFF_FFFF)
    store(vm, 1, GICC + gicv2.PMR, 0xA7)
    store(vm, 1, GICC + gicv2.BPR, 5)
    store(vm, 1, GICC + gicv2.ABPR, 6)
    values = {0x0: 0x21F, 0x4: 0x14, 0x8: 5, 0x1C: 6, 0xD0: 0, 0xFC: 0x04B2_043B}
    for offset, value in values.items():
        assert gic.get_attr(Group.CPU_REGS, 1 << 32 | offset) == value
    assert gic.get_attr(Group.CPU_REGS, 0x0) == gic.get_attr(Group.CPU_REGS, 0x4) == 0
    gic.set_attr(Group.CPU_REGS, 0x4, 0xFFFF_FFF5)
    gic.set_attr(Group.CPU_REGS, 0x0, 0xFFFF_FDE1)
    gic.set_attr(Group.CPU_REGS, 0xFC, 0)
    assert load(vm, 0, GICC + gicv2.PMR) == 0xA8
    assert load(vm, 0, GICC + gicv2.CTLR) == 1
    assert gic.get_attr(Group.CPU_REGS, 0xFC) == 0x04B2_043B


def test_a_binary_point_below_the_minimum_lasts_until_the_vcpu_runs() -> None:
    """KVM keeps what it is given; the hardware makes it the minimum."""
    vm, gic = machine()
    gic.set_attr(Group.CPU_REGS, 0x8, 0)
    gic.set_attr(Group.CPU_REGS, 0x1C, 1)
    assert gic.get_attr(Group.CPU_REGS, 0x8) == 0
    assert gic.get_attr(Group.CPU_REGS, 0x1C) == 1
    vm.vcpus[0].run()
    assert gic.get_attr(Group.CPU_REGS, 0x8) == 2
    assert gic.get_attr(Group.CPU_REGS, 0x1C) == 3


def test_there_is_one_active_priorities_register() -> None:
    """Restored it holds back what does not preempt; the other three are RAZ/WI."""
    vm, gic = machine()
    for n in range(4):
        gic.set_attr(Group.CPU_REGS, 0xD0 + 4 * n, 1 << 20)
    assert [gic.get_attr(Group.CPU_REGS, 0xD0 + 4 * n) for n in range(4)] == [1 << 20, 0, 0, 0]
    assert load(vm, 0, GICC + gicv2.RPR) == 0xA0


def test_registers_are_accessed_in_their_sizes() -> None:
    """Bytes for priorities, targets and senders, words for the rest, never half-words."""
    vm, _ = machine()
    store(vm, 0, GICD + 0x420, 0xFFFF_FFFF)
    assert load(vm, 0, GICD + 0x421, size=1) == 0xF8
    assert load(vm, 0, GICD + 0x420, size=2) == 0
    assert load(vm, 0, GICD + 0x420, size=8) == 0
    store(vm, 0, GICD + 0x104, 0xFF, size=1)
    store(vm, 0, GICD + 0x106, 0xFFFF, size=2)
    assert load(vm, 0, GICD + 0x104) == 0
    assert load(vm, 0, GICD + 0x422, size=4) == 0
