"""What is saved of an ITS, and what is restored or refused."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from nvtrap.kvm.vgic.device import Control, Group
from nvtrap.kvm.vgic.its import tables
from tests.kvm.vgic.its.guests import (
    BASER0,
    BASER1,
    CBASER,
    COLLECTION_TABLE,
    CREADR,
    CTLR,
    CWRITER,
    DEVICE_TABLE,
    LPI,
    NOWHERE,
    PENDING,
    QUEUE,
    RAM,
    RAM_SIZE,
    SPURIOUS,
    VALID,
    Guest,
    event_table,
    mapc,
    mapd,
    mapti,
    pending_table,
    refusal,
    unmapc,
)

INDIRECT = 1 << 62
SAVE, RESTORE = Control.ITS_SAVE_TABLES, Control.ITS_RESTORE_TABLES


# ---- what is written --------------------------------------------------------------------


def test_entries_of_a_saved_its() -> None:
    guest = Guest(2)
    guest.send(mapc(5, 1), mapc(2, 0), mapd(9, event_table(9)), mapd(3, event_table(3), 16))
    guest.send(mapti(3, 7, LPI + 1, 2), mapti(3, 2, LPI + 2, 5), mapti(9, 0, LPI, 8))
    guest.control(SAVE)
    assert guest.entry(DEVICE_TABLE + 24) == VALID | 6 << 49 | event_table(3) >> 8 << 5 | 15
    assert guest.entry(DEVICE_TABLE + 72) == VALID | event_table(9) >> 8 << 5 | 4
    assert guest.entry(event_table(3) + 16) == 5 << 48 | (LPI + 2) << 16 | 5
    assert guest.entry(event_table(3) + 56) == (LPI + 1) << 16 | 2
    assert guest.entry(event_table(9)) == LPI << 16 | 8
    collections = [guest.entry(COLLECTION_TABLE + 8 * n) for n in range(4)]
    assert collections == [
        VALID | 1 << 16 | 5,
        VALID | 2,
        VALID | 0xFFFF_FFFF << 16 | 8,  # an event named it, nothing mapped it
        0,
    ]


def test_an_event_without_a_collection_is_saved_as_none() -> None:
    guest = Guest(1)
    guest.map(3, 4, LPI, 0, 0)
    guest.send(unmapc(0))
    guest.vm.memory.write(event_table(3) + 32, 8, VALID)
    guest.control(SAVE)
    assert guest.entry(event_table(3) + 32) == 0


def test_steps_are_capped() -> None:
    assert tables.device_fields(tables.device_entry(0x8000, 0, 1)) == (0x3FFF, 0, 1)
    assert tables.event_fields(tables.event_entry(0x1_0000, LPI, 0)) == (0xFFFF, LPI, 0)


def test_what_is_not_valid_is_not_saved() -> None:
    guest = Guest(1)
    guest.map(3, 4, LPI, 0, 0)
    guest.control(Control.ITS_RESET)
    before = guest.vm.memory.pages()
    guest.control(SAVE)
    guest.control(RESTORE)
    assert guest.vm.memory.pages() == before
    assert guest.its.mappings.collections == {}


def test_devices_that_lost_their_entry_are_left_out() -> None:
    guest = two_level()
    guest.vm.memory.write(DEVICE_TABLE + 8, 8, 0)
    guest.control(SAVE)
    assert guest.entry(SECOND) == 0
    assert guest.entry(FIRST + 8) == VALID | event_table(1) >> 8 << 5 | 4


def test_saving_needs_ram() -> None:
    guest = Guest(1)
    guest.send(mapd(3, NOWHERE))
    guest.control(SAVE)
    guest.send(mapd(3, RAM + RAM_SIZE - 0x100, 6), mapc(0, 0), mapti(3, 31, LPI, 0))
    guest.control(SAVE)
    guest.write(0x0808_0000, 4, 0)
    guest.set_register(BASER1, VALID | NOWHERE)
    assert refusal(guest.control, SAVE) == "EFAULT"


# ---- what is restored -------------------------------------------------------------------


FIRST, SECOND = PENDING + 0x8_0000, PENDING + 0x9_0000


def two_level() -> Guest:
    """Devices 1 and 0x2000 in a table of two levels."""
    guest = Guest(1, on=False)
    guest.set_register(BASER0, VALID | INDIRECT | DEVICE_TABLE)
    guest.set_register(BASER1, VALID | COLLECTION_TABLE)
    guest.set_register(CBASER, VALID | QUEUE | 15)
    guest.set_register(CTLR, 1)
    guest.vm.memory.write(DEVICE_TABLE, 8, VALID | FIRST)
    guest.vm.memory.write(DEVICE_TABLE + 8, 8, VALID | SECOND)
    guest.send(mapc(0, 0), mapd(1, event_table(1)), mapd(0x2000, event_table(2)))
    guest.send(mapti(0x2000, 1, LPI, 0))
    return guest


def test_a_table_of_two_levels_comes_back() -> None:
    guest = two_level()
    guest.control(SAVE)
    assert guest.entry(FIRST + 8) >> 49 & 0x3FFF == 0x1FFF
    assert restored(guest).its.mappings.event(0x2000, 1) is not None


def test_restoring_over_mappings_drops_the_collections() -> None:
    guest = Guest(1)
    guest.map(3, 4, LPI, 0, 0)
    guest.control(SAVE)
    assert refusal(guest.control, RESTORE) == "EEXIST"
    assert guest.its.mappings.collections == {}
    assert guest.msi(3, 4) == 0
    guest.control(RESTORE)
    assert [device.id for device in guest.its.mappings.sort_devices()] == [3, 3]


def collection(target: int, id: int) -> int:
    """A collection's entry."""
    return tables.collection_entry(target, id)


GOOD = (collection(0, 0), tables.device_entry(0, event_table(0), 5), tables.event_entry(0, LPI, 0))


@pytest.mark.parametrize(
    ("entries", "errno"),
    [
        (GOOD, ""),
        ((collection(0xFFFF_FFFF, 0), *GOOD[1:]), ""),
        ((collection(7, 0), *GOOD[1:]), "EINVAL"),  # no such vCPU
        ((collection(0, 0x2000), *GOOD[1:]), "EINVAL"),  # beyond the table
        ((0, *GOOD[1:]), "EINVAL"),  # an event of a collection that there is not
        ((GOOD[0], tables.device_entry(0, event_table(0), 17), GOOD[2]), "EINVAL"),
        ((GOOD[0], tables.device_entry(0, NOWHERE, 5), GOOD[2]), "EFAULT"),
        ((*GOOD[:2], tables.event_entry(0, LPI - 1, 0)), "EINVAL"),
        ((*GOOD[:2], tables.event_entry(0, 1 << 31, 0)), "EFAULT"),  # its configuration
        ((*GOOD[:2], tables.event_entry(0, LPI, 1)), "EINVAL"),
        ((*GOOD[:2], tables.event_entry(32, LPI, 0)), "EINVAL"),
        ((*GOOD[:2], tables.event_entry(31, LPI, 0)), ""),
        ((*GOOD[:2], 0xFFFF << 48), ""),  # no LPI: not an entry
        ((GOOD[0], GOOD[1] & ~VALID, GOOD[2]), ""),
    ],
)
def test_entries_that_cannot_be_are_refused(entries: tuple[int, int, int], errno: str) -> None:
    guest = Guest(1)
    for address, entry in zip(
        (COLLECTION_TABLE, DEVICE_TABLE, event_table(0)), entries, strict=True
    ):
        guest.vm.memory.write(address, 8, entry)
    assert refusal(guest.control, RESTORE) == errno
    if errno:
        assert guest.its.mappings.collections == {}
        assert guest.its.mappings.sort_devices() == []
        assert guest.vm.vgic.lpis == {}


def test_a_collection_is_there_once() -> None:
    guest = Guest(1)
    guest.vm.memory.write(COLLECTION_TABLE, 16, GOOD[0] | GOOD[0] << 64)
    assert refusal(guest.control, RESTORE) == "EEXIST"
    assert guest.its.mappings.collections == {}


def test_restored_lpis_take_their_pending_bits() -> None:
    guest = Guest(1)
    guest.write(0x0800_0000, 4, 0)
    guest.map(3, 4, LPI, 0, 0)
    assert guest.msi(3, 4) == 1
    guest.gic.set_attr(Group.CTRL, Control.SAVE_PENDING_TABLES)
    guest.control(SAVE)
    new = restored(guest)
    assert (new.take(0), new.take(0)) == (LPI, SPURIOUS)
    assert new.vm.memory.read(pending_table(0) + LPI // 8, 1) == 0


# ---- save, then restore -----------------------------------------------------------------


def restored(guest: Guest) -> Guest:
    """A fresh VM with the RAM of a saved one and the registers of its ITS."""
    new = Guest(len(guest.vm.vcpus), on=False)
    new.vm.memory = guest.vm.memory.copy()
    for offset in (CBASER, CREADR, CWRITER, BASER0, BASER1, 4):
        new.set_register(offset, guest.register(offset))
    new.control(RESTORE)
    new.set_register(CTLR, guest.register(CTLR))
    return new


DEVICES, EVENTS, COLLECTIONS, VCPUS = 8, 16, 6, 3
MAPPINGS = st.lists(
    st.tuples(
        st.integers(0, DEVICES - 1),
        st.integers(0, EVENTS - 1),
        st.integers(LPI, LPI + 40),
        st.integers(0, COLLECTIONS - 1),
    ),
    max_size=24,
)
TARGETS = st.lists(
    st.tuples(st.integers(0, COLLECTIONS - 1), st.integers(0, VCPUS - 1)), max_size=12
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(MAPPINGS, TARGETS, TARGETS)
@example([(7, 15, LPI, 0), (0, 0, LPI + 1, 0)], [(0, 1)], [])
def test_an_its_translates_alike_after_save_and_restore(
    mappings: list[tuple[int, int, int, int]],
    before: list[tuple[int, int]],
    after: list[tuple[int, int]],
) -> None:
    """Every event has the outcome that it had, and reaches the vCPU that it reached.

    Provided that no LPI has two events: the first one says where it goes, and tables do
    not tell which one that was.
    """
    guest = Guest(VCPUS)
    commands = [mapc(*target) for target in before]
    used = set()
    devices = {mapping[0] for mapping in mappings}
    commands += [mapd(device, event_table(device), 4) for device in devices]
    for mapping in mappings:
        if mapping[2] not in used:
            commands.append(mapti(*mapping))
        used.add(mapping[2])
    commands += [mapc(*target) for target in after]
    guest.send(*commands)
    guest.control(SAVE)
    new = restored(guest)
    for device in range(DEVICES):
        for event in range(EVENTS):
            assert new.msi(device, event) == guest.msi(device, event)
    for vcpu in range(VCPUS):
        assert sorted(taken(new, vcpu)) == sorted(taken(guest, vcpu))


def taken(guest: Guest, vcpu: int) -> list[int]:
    """Every interrupt that a vCPU takes until there are no more."""
    return list(iter(lambda: guest.take(vcpu), SPURIOUS))
