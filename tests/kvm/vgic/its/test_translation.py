"""From an MSI to an LPI: KVM_SIGNAL_MSI, and what is remembered of a translation."""

from __future__ import annotations

import pytest

from nvtrap.errors import UsageError
from nvtrap.kvm.vm import Vm
from tests.kvm.vgic.its.guests import (
    CTLR,
    DISCARD,
    DOORBELL,
    GITS,
    LPI,
    NOWHERE,
    RAM,
    SPURIOUS,
    Guest,
    about,
    event_table,
    mapc,
    mapd,
    mapti,
    movall,
    movi,
    refusal,
    unmapc,
    unmapd,
)
from tests.kvm.vgic.machines import GICD, GICR, REDISTRIBUTOR, machine


def refused(vm: Vm, address: int, data: int, devid: int, flags: int) -> str:
    """The name of the errno that an MSI fails with."""
    return refusal(vm.signal_msi, address, data, devid, flags)


@pytest.mark.parametrize("offset", [0, 4, 0x8000, 0x1_0040, 0x1_FFFF])
def test_any_address_in_its_frames_will_do(offset: int) -> None:
    guest = Guest(1)
    guest.map(3, 4, LPI, 0, 0)
    assert guest.vm.signal_msi(GITS + offset, 4, 3, 1) == 1


@pytest.mark.parametrize("address", [GITS - 1, GITS + 0x2_0000, GICD, RAM, NOWHERE, (1 << 64) - 1])
def test_no_other_address(address: int) -> None:
    guest = Guest(1)
    guest.map(3, 4, LPI, 0, 0)
    assert refused(guest.vm, address, 4, 3, 1) == "EINVAL"


def test_it_takes_a_device_id_and_no_other_flag() -> None:
    guest = Guest(1)
    guest.map(3, 4, LPI, 0, 0)
    assert refused(guest.vm, DOORBELL, 4, 3, 0) == "EINVAL"
    assert refused(guest.vm, DOORBELL, 4, 3, 3) == "EINVAL"


def test_it_needs_a_gic_and_an_its() -> None:
    assert refused(Vm(), DOORBELL, 4, 3, 1) == "EINVAL"
    assert refused(machine()[0], DOORBELL, 4, 3, 1) == "ENODEV"
    assert refused(machine()[0], DOORBELL, 4, 3, 2) == "EINVAL"


def test_what_is_mapped_to_nothing_is_blocked() -> None:
    guest = Guest(1)
    guest.map(3, 4, LPI, 0, 0)
    for devid, event in ((3, 5), (4, 4), (0xFFFF_FFFF, 4), (3, 0xFFFF_FFFF)):
        assert guest.vm.signal_msi(DOORBELL, event, devid, 1) == 0


def test_its_and_redistributor_must_be_enabled() -> None:
    guest = Guest(2)
    guest.map(3, 4, LPI, 0, 1)
    guest.write(GICR + REDISTRIBUTOR, 4, 0, vcpu=1)
    assert refused(guest.vm, DOORBELL, 4, 3, 1) == "EBUSY"
    guest.write(GICR + REDISTRIBUTOR, 4, 1, vcpu=1)
    guest.write(GITS + CTLR, 4, 0)
    assert refused(guest.vm, DOORBELL, 4, 3, 1) == "EBUSY"
    assert refused(guest.vm, DOORBELL, 9, 9, 1) == "EBUSY"


def test_a_known_translation_needs_no_device_flag() -> None:
    guest = Guest(1)
    guest.map(3, 4, LPI, 0, 0)
    assert guest.msi(3, 4) == 1
    assert guest.vm.signal_msi(DOORBELL, 4, 3, 0) == 1
    assert refused(guest.vm, DOORBELL, 4, 3, 2) == "EINVAL"


def test_a_known_translation_reaches_a_vcpu_whose_lpis_are_off() -> None:
    """Mapping the collection elsewhere forgets no translation."""
    guest = Guest(2)
    guest.map(3, 4, LPI, 0, 0)
    guest.write(GICR + REDISTRIBUTOR, 4, 0, vcpu=1)
    assert (guest.msi(3, 4), guest.take(0)) == (1, LPI)
    guest.send(mapc(0, 1))
    assert (guest.msi(3, 4), guest.take(1)) == (1, LPI)


@pytest.mark.parametrize(
    "command",
    [
        about(DISCARD, 3, 5),
        unmapc(9),
        unmapd(5),
        mapd(5, event_table(5)),
        movi(3, 5, 0),
        movall(0, 1),
    ],
)
def test_changes_of_mappings_forget_all_translations(command: bytes) -> None:
    guest = Guest(2)
    guest.map(3, 4, LPI, 0, 0)
    guest.send(mapti(3, 5, LPI + 5, 0), mapd(5, event_table(5)))
    assert guest.msi(3, 4) == 1
    guest.send(command)
    assert refused(guest.vm, DOORBELL, 4, 3, 0) == "EINVAL"
    assert guest.msi(3, 4) == 1


def test_a_guest_cannot_write_the_doorbell_itself() -> None:
    guest = Guest(1)
    guest.map(0, 4, LPI, 0, 0)
    guest.write(DOORBELL, 4, 4)
    assert guest.take(0) == SPURIOUS


@pytest.mark.parametrize(
    ("address", "data", "devid", "flags"),
    [(-1, 0, 0, 1), (1 << 64, 0, 0, 1), (0, 1 << 32, 0, 1), (0, 0, -1, 1), (0, 0, 0, 1 << 32)],
)
def test_numbers_that_no_caller_could_pass(address: int, data: int, devid: int, flags: int) -> None:
    with pytest.raises(UsageError, match="it is a number of"):
        Guest(1).vm.signal_msi(address, data, devid, flags)
