"""Where distributor and redistributors may be, and who gets which place."""

from __future__ import annotations

from errno import E2BIG, EEXIST, EINVAL, ENOENT, ENXIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvtrap.errors import UsageError
from nvtrap.kvm.host import Host
from nvtrap.kvm.vgic.device import Address, Control, Device, Group
from nvtrap.kvm.vgic.regions import K64, REDISTRIBUTOR, is_sound
from nvtrap.kvm.vgic.vgic import UNDEFINED
from nvtrap.kvm.vm import DeviceType, Vm
from tests.kvm.vgic.machines import GICD, GICR, refused

TYPER = 8
LAST = 1 << 4


def with_gic(vcpus: int = 0, ipa_bits: int = 40) -> tuple[Vm, Device]:
    """A VM with some vCPUs and a GICv3 that has no address yet."""
    vm = Vm(ipa_bits=ipa_bits)
    for id in range(vcpus):
        vm.create_vcpu(id)
    gic = vm.create_device(DeviceType.VGIC_V3)
    assert gic is not None
    return vm, gic


def region(index: int, base: int, count: int, flags: int = 0) -> int:
    """The value of REDIST_REGION."""
    return count << 52 | base | flags << 12 | index


def set_region(gic: Device, index: int, base: int, count: int) -> None:
    """Add a region."""
    gic.set_attr(Group.ADDR, Address.V3_REDIST_REGION, region(index, base, count))


def test_an_address_is_checked_in_order() -> None:
    """Set already, alignment, wrap, range."""
    _, gic = with_gic()
    for address, errno in (
        (0x1000, EINVAL),
        ((1 << 64) - K64, EINVAL),
        (1 << 40, E2BIG),
        (1 << 48, E2BIG),
    ):
        with refused(errno):
            gic.set_attr(Group.ADDR, Address.V3_DIST, address)
    assert gic.get_attr(Group.ADDR, Address.V3_DIST) == UNDEFINED
    gic.set_attr(Group.ADDR, Address.V3_DIST, (1 << 40) - K64)
    with refused(EEXIST):
        gic.set_attr(Group.ADDR, Address.V3_DIST, 0x1000)


def test_a_legacy_region_grows_with_the_vcpus() -> None:
    """Each new vCPU is placed, and checked with the size before it."""
    vm, gic = with_gic(vcpus=1, ipa_bits=32)
    assert gic.get_attr(Group.ADDR, Address.V3_REDIST) == UNDEFINED
    end = 1 << 32
    gic.set_attr(Group.ADDR, Address.V3_REDIST, end - 2 * REDISTRIBUTOR)
    assert gic.get_attr(Group.ADDR, Address.V3_REDIST) == end - 2 * REDISTRIBUTOR
    vm.create_vcpu(1)
    vm.create_vcpu(2)  # beyond the end, which is found with the next one
    with refused(EINVAL):
        vm.create_vcpu(3)
    assert not is_sound(vm)
    with refused(EEXIST):
        gic.set_attr(Group.ADDR, Address.V3_REDIST, 0)


def test_a_legacy_region_does_not_overlap_with_the_distributor() -> None:
    """When it is set after it; a region is checked when a vCPU is placed in it."""
    _, gic = with_gic(vcpus=2)
    gic.set_attr(Group.ADDR, Address.V3_DIST, GICD)
    for base in (GICD, GICD - REDISTRIBUTOR):
        with refused(EINVAL):
            gic.set_attr(Group.ADDR, Address.V3_REDIST, base)
        with refused(EINVAL):
            set_region(gic, 0, base, 2)
    assert gic.vm.vgic.regions == []
    set_region(gic, 0, GICD - 2 * REDISTRIBUTOR, 2)


def test_a_region_in_which_nobody_can_be_placed_leaves_no_trace() -> None:
    """Those who were placed in it before lose their redistributors again."""
    vm, gic = with_gic(vcpus=2)
    set_region(gic, 0, GICR, 1)
    gic.set_attr(Group.ADDR, Address.V3_DIST, GICR)
    with refused(EINVAL):
        set_region(gic, 1, GICR + REDISTRIBUTOR, 1)
    assert len(vm.vgic.regions) == 1
    assert vm.vcpus[1].redistributor is None
    with refused(ENXIO):
        vm.vcpus[0].run()


def test_wrong_regions() -> None:
    """No place, flags, a gap in the indices, a wrap, an overlap, too far, a legacy one after."""
    _, gic = with_gic()
    attr = Address.V3_REDIST_REGION
    for value, errno in (
        (region(0, GICR, 0), EINVAL),
        (region(0, GICR, 1, flags=1), EINVAL),
        (region(1, GICR, 1), EINVAL),
        (region(0, (1 << 52) - K64, 1), E2BIG),
        (region(0, (1 << 40) - REDISTRIBUTOR, 2), E2BIG),
    ):
        with refused(errno):
            gic.set_attr(Group.ADDR, attr, value)
    set_region(gic, 0, GICR, 2)
    for value in (region(0, GICR, 2), region(2, 0, 1), region(1, GICR + REDISTRIBUTOR, 1)):
        with refused(EINVAL):
            gic.set_attr(Group.ADDR, attr, value)
    with refused(EINVAL):
        gic.set_attr(Group.ADDR, Address.V3_REDIST, 0)
    assert gic.get_attr(Group.ADDR, attr, 0) == region(0, GICR, 2)
    with refused(ENOENT):
        gic.get_attr(Group.ADDR, attr, 1)


def test_a_wrap_around_the_end_of_addresses_is_refused() -> None:
    """A legacy base has all 64 bits."""
    _, gic = with_gic(vcpus=2)
    with refused(EINVAL):
        gic.set_attr(Group.ADDR, Address.V3_REDIST, (1 << 64) - REDISTRIBUTOR)


@given(st.lists(st.integers(1, 3), min_size=1, max_size=4), st.integers(1, 9), st.booleans())
def test_vcpus_fill_regions_in_order(counts: list[int], vcpus: int, apart: bool) -> None:
    """By creation and by index; the last of a run of redistributors says that it is."""
    vm, gic = with_gic(vcpus)
    base, places = GICR, []
    for index, count in enumerate(counts):
        set_region(gic, index, base, count)
        places += [base + REDISTRIBUTOR * n for n in range(count)]
        base += REDISTRIBUTOR * (count + apart)
    placed = [vcpu.redistributor.base for vcpu in vm.vcpus if vcpu.redistributor]
    assert placed == places[:vcpus]
    gic.set_attr(Group.ADDR, Address.V3_DIST, GICD)
    gic.set_attr(Group.CTRL, Control.INIT)
    first = vm.vcpus[0]
    if vcpus > len(places):
        with refused(ENXIO):
            first.run()
        return
    first.enter()
    for n, place in enumerate(placed):
        is_last = n + 1 == vcpus or places[n + 1] != place + REDISTRIBUTOR
        assert first.read(place + TYPER, 4) == n << 8 | (LAST if is_last else 0)


def test_a_host_has_a_gicv2_or_a_gicv3() -> None:
    """There is no other."""
    with pytest.raises(UsageError, match="GICv2 or a GICv3"):
        Host(gic=4)
