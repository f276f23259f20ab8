"""The device of an ITS: which attributes there are, and how they fail, in which order."""

from __future__ import annotations

import pytest

from nvtrap.kvm.host import Host
from nvtrap.kvm.vgic.device import Address, Control, Device, Group
from nvtrap.kvm.vgic.vgic import UNDEFINED
from nvtrap.kvm.vm import DeviceType, Vm
from tests.kvm.vgic.its.guests import (
    BASER0,
    BASER1,
    CBASER,
    CONFIGURATION,
    CTLR,
    CWRITER,
    GITS,
    LPI,
    QUEUE,
    SPURIOUS,
    VALID,
    Guest,
    add_its,
    event_table,
    mapc,
    mapd,
    mapti,
    refusal,
)
from tests.kvm.vgic.machines import GICR, machine


@pytest.fixture(name="its")
def new_its() -> Device:
    """An ITS without an address, in a VM of 40 bits."""
    device = machine()[0].create_device(DeviceType.ITS)
    assert device is not None
    return device


def test_the_address_is_set_once_and_checked(its: Device) -> None:
    assert its.get_attr(Group.ADDR, Address.ITS) == UNDEFINED
    failures = [
        (None, "EFAULT"),
        (GITS | 0x8000, "EINVAL"),
        ((1 << 64) - 0x1_0000, "EINVAL"),
        ((1 << 40) - 0x1_0000, "E2BIG"),
        (1 << 40, "E2BIG"),
    ]
    for value, expected in failures:
        assert refusal(its.set_attr, Group.ADDR, Address.ITS, value) == expected
    its.set_attr(Group.ADDR, Address.ITS, (1 << 40) - 0x2_0000)
    assert its.get_attr(Group.ADDR, Address.ITS) == (1 << 40) - 0x2_0000
    assert refusal(its.set_attr, Group.ADDR, Address.ITS, 1) == "EEXIST"


@pytest.mark.parametrize("attr", [0, Address.V3_DIST, 5, 1 << 32 | 4])
def test_no_other_address_is_there(its: Device, attr: int) -> None:
    assert refusal(its.set_attr, Group.ADDR, attr, None) == "ENODEV"
    assert refusal(its.get_attr, Group.ADDR, attr, None) == "ENODEV"
    assert refusal(its.has_attr, Group.ADDR, attr) == "ENXIO"


def test_attributes_that_are_there(its: Device) -> None:
    for attr in (0, 1, 2, 4):
        its.has_attr(Group.CTRL, attr)
    its.has_attr(Group.ADDR, Address.ITS)
    for offset in (0, 4, 8, CBASER, 0x88, 0x90, 0x100, 0x138, 0xFFD0, 0xFFFC):
        its.has_attr(Group.ITS_REGS, offset)


@pytest.mark.parametrize("group", [1, 2, 3, 5, 6, 7, 9, 0xFFFF_FFFF])
def test_no_other_group_is_there(its: Device, group: int) -> None:
    for call, value in (("has_attr", ()), ("get_attr", (0,)), ("set_attr", (0,))):
        assert refusal(getattr(its, call), group, 0, *value) == "ENXIO"


def test_controls_that_are_none_do_nothing(its: Device) -> None:
    for attr in (Control.SAVE_PENDING_TABLES, 5, 1 << 63):
        assert refusal(its.has_attr, Group.CTRL, attr) == "ENXIO"
        its.set_attr(Group.CTRL, attr)
    assert refusal(its.get_attr, Group.CTRL, 0) == "ENXIO"


@pytest.mark.parametrize(
    ("offset", "errno"),
    [
        (2, "EINVAL"),
        (0x84, "EINVAL"),
        (0x14, "EINVAL"),
        (0xFFCC, "EINVAL"),
        (0xFFD2, "EINVAL"),
        (0x10, "ENXIO"),
        (0x140, "ENXIO"),
        (0xFFC8, "ENXIO"),
        (0x1_0000, "ENXIO"),
        (0x1_0040, "ENXIO"),
    ],
)
def test_offsets_that_are_no_register(offset: int, errno: str) -> None:
    its = Guest(1).device
    assert refusal(its.has_attr, Group.ITS_REGS, offset) == errno
    assert refusal(its.get_attr, Group.ITS_REGS, offset) == errno
    assert refusal(its.set_attr, Group.ITS_REGS, offset, 0) == errno


def test_only_the_low_word_of_an_offset_counts() -> None:
    guest = Guest(1)
    assert guest.register(1 << 32 | CTLR) == guest.register(CTLR)


def test_the_order_in_which_register_accesses_fail(its: Device) -> None:
    def get(offset: int) -> str:
        return refusal(its.get_attr, Group.ITS_REGS, offset, None)

    def set_(offset: int, value: int | None) -> str:
        return refusal(its.set_attr, Group.ITS_REGS, offset, value)

    its.vm.running = 1  # as if one were in KVM_RUN
    assert (set_(2, None), set_(2, 0), get(2)) == ("EFAULT", "EINVAL", "EINVAL")
    assert (set_(0x10, 0), get(0x10)) == ("EBUSY", "EBUSY")
    its.vm.running = 0
    assert (set_(0, 0), get(0), get(0x10)) == ("ENXIO", "ENXIO", "ENXIO")
    its.set_attr(Group.ADDR, Address.ITS, GITS)
    assert (set_(0, 0), get(0), get(0x10)) == ("", "EFAULT", "ENXIO")


def test_tables_are_not_touched_while_a_vcpu_runs() -> None:
    guest = Guest(2)
    guest.vm.vcpus[1].enter()
    for attr in (1, 2, 3, 4, 99):
        assert refusal(guest.device.set_attr, Group.CTRL, attr) == "EBUSY"
    guest.control(Control.INIT)
    guest.vm.vcpus[1].exit()
    guest.control(Control.ITS_SAVE_TABLES)


def test_reset_drops_everything_but_the_tables_places() -> None:
    guest = Guest(1)
    guest.map(3, 4, LPI, 0, 0)
    before = [guest.register(offset) for offset in (BASER0, BASER1)]
    guest.control(Control.ITS_RESET)
    assert [guest.register(offset) for offset in (BASER0, BASER1)] == [
        baser & ~VALID for baser in before
    ]
    assert [guest.register(offset) for offset in (CTLR, CBASER, 0x88, 0x90)] == [1 << 31, 0, 0, 0]
    guest.start_its()
    assert guest.msi(3, 4) == 0
    assert guest.vm.vgic.lpis == {}


def test_an_its_makes_redistributors_have_lpis() -> None:
    vm, gic = machine(1)
    typer = gic.get_attr(Group.DIST_REGS, 4)
    assert (typer >> 17 & 1, typer >> 19 & 31) == (0, 9)
    assert gic.get_attr(Group.REDIST_REGS, 0x70) == 0
    gic.set_attr(Group.REDIST_REGS, 0, 1)
    assert gic.get_attr(Group.REDIST_REGS, 0) == 6
    add_its(vm, GITS)
    typer = gic.get_attr(Group.DIST_REGS, 4)
    assert (typer >> 17 & 1, typer >> 19 & 31) == (1, 15)
    assert gic.get_attr(Group.REDIST_REGS, 8) & 1 == 1
    assert gic.get_attr(Group.REDIST_REGS, 0x70) == 0x580
    assert gic.get_attr(Group.REDIST_REGS, 0x78) == 0x580


def test_a_vm_may_have_several_which_share_lpis() -> None:
    guest = Guest(1)
    other = GITS + 0x10_0000
    add_its(guest.vm, other)
    assert guest.read(GICR + 0x70, 8) == 0x580  # the second one has reset it
    guest.write(GICR, 4, 0)
    guest.write(GICR + 0x70, 8, CONFIGURATION | 15)
    guest.write(GICR, 4, 1)
    guest.map(3, 4, LPI, 0, 0)
    assert refusal(guest.vm.signal_msi, other + 0x1_FFFF, 4, 3, 1) == "EBUSY"
    guest.start_its(other)
    assert guest.vm.signal_msi(other, 4, 3, 1) == 0
    guest.vm.memory.write_bytes(QUEUE, mapd(9, event_table(9)) + mapc(0, 0) + mapti(9, 1, LPI, 0))
    guest.write(other + CWRITER, 8, 96)
    assert (guest.vm.signal_msi(other, 1, 9, 1), guest.msi(9, 1)) == (1, 0)
    assert (guest.take(0), guest.take(0)) == (LPI, SPURIOUS)
    assert guest.vm.vgic.lpis[LPI].mappings == 2


def test_an_its_needs_no_gic_but_is_none_without_one() -> None:
    vm = Vm(ram=[(0x4000_0000, 0x1_0000)])
    vm.create_vcpu(0)
    add_its(vm, GITS)
    assert refused_msi(vm) == "EINVAL"
    gic = vm.create_device(DeviceType.VGIC_V3)
    assert gic is not None
    assert refused_msi(vm) == "EBUSY"


def test_a_gicv2_has_no_its() -> None:
    vm = Vm(host=Host(emulates_v2=True))
    vm.create_vcpu(0)
    add_its(vm, GITS)
    vm.create_device(DeviceType.VGIC_V2)
    assert refused_msi(vm) == "ENODEV"
    assert refusal(Vm(host=Host(gic=2)).create_device, DeviceType.ITS) == "ENODEV"


def refused_msi(vm: Vm) -> str:
    """The name of the errno that an MSI fails with."""
    return refusal(vm.signal_msi, GITS, 0, 0, 1)
