"""What each command does, and that a bad one does nothing."""

from __future__ import annotations

import pytest

from tests.kvm.vgic.its.guests import (
    BASER0,
    CLEAR,
    CONFIGURATION,
    CREADR,
    CTLR,
    CWRITER,
    DEVICE_TABLE,
    DISCARD,
    GITS,
    INT,
    INV,
    LPI,
    NOWHERE,
    PENDING,
    QUEUE,
    SPURIOUS,
    SYNC,
    VALID,
    Guest,
    about,
    command,
    event_table,
    invall,
    mapc,
    mapd,
    mapi,
    mapti,
    movall,
    movi,
    pending_table,
    unmapc,
    unmapd,
)


def test_an_event_that_is_mapped_goes_to_the_vcpu_of_its_collection() -> None:
    guest = Guest()
    guest.map(3, 4, LPI + 5, 0, 1)
    assert guest.msi(3, 4) == 1
    assert (guest.take(0), guest.take(1), guest.take(1)) == (SPURIOUS, LPI + 5, SPURIOUS)


def test_mapi_takes_the_event_for_the_lpi() -> None:
    guest = Guest()
    guest.send(mapd(3, event_table(3), 14), mapc(0, 0), mapi(3, LPI + 1, 0), mapi(3, 5, 0))
    assert (guest.msi(3, LPI + 1), guest.msi(3, 5)) == (1, 0)
    assert guest.take(0) == LPI + 1


def test_int_triggers_an_event() -> None:
    guest = Guest()
    guest.map(3, 4, LPI, 0, 0)
    guest.send(about(INT, 3, 4))
    assert guest.take(0) == LPI


def test_clear_takes_the_pending_state_away() -> None:
    guest = Guest()
    guest.map(3, 4, LPI, 0, 0)
    guest.send(about(INT, 3, 4), about(CLEAR, 3, 4))
    assert guest.take(0) == SPURIOUS


def test_discard_frees_the_event_and_zeroes_its_entry() -> None:
    guest = Guest()
    guest.map(3, 4, LPI, 0, 0)
    guest.vm.memory.write(event_table(3) + 32, 8, 1)
    guest.send(about(DISCARD, 3, 4))
    assert guest.msi(3, 4) == 0
    assert guest.entry(event_table(3) + 32) == 0
    assert guest.vm.vgic.lpis == {}


def test_discard_needs_a_collection_that_is_mapped() -> None:
    guest = Guest()
    guest.map(3, 4, LPI, 0, 0)
    guest.send(unmapc(0), about(DISCARD, 3, 4))
    assert guest.its.mappings.event(3, 4) is not None


def test_inv_reads_the_configuration_again() -> None:
    guest = Guest()
    guest.vm.memory.write(CONFIGURATION, 1, 0xA0)
    guest.map(3, 4, LPI, 0, 0)
    assert (guest.msi(3, 4), guest.take(0)) == (1, SPURIOUS)
    guest.vm.memory.write(CONFIGURATION, 1, 0x47)
    assert guest.take(0) == SPURIOUS
    guest.send(about(INV, 3, 4))
    assert guest.vm.vgic.lpis[LPI].priority == 0x44
    assert guest.take(0) == LPI


def test_invall_reads_that_of_all_lpis_of_the_vcpu() -> None:
    guest = Guest()
    guest.vm.memory.write(CONFIGURATION, 3, 0)
    guest.map(3, 0, LPI, 0, 0)
    guest.send(mapc(1, 0), mapti(3, 1, LPI + 1, 1), mapc(2, 1), mapti(3, 2, LPI + 2, 2))
    guest.vm.memory.write(CONFIGURATION, 3, 0x212121)
    guest.send(invall(0))
    enabled = [guest.vm.vgic.lpis[LPI + n].enabled for n in range(3)]
    assert enabled == [True, True, False]
    guest.send(invall(7))
    assert not guest.vm.vgic.lpis[LPI + 2].enabled


def test_movi_moves_what_comes_next() -> None:
    guest = Guest()
    guest.map(3, 4, LPI, 0, 0)
    guest.send(mapc(1, 1), movi(3, 4, 1))
    assert (guest.msi(3, 4), guest.take(0), guest.take(1)) == (1, SPURIOUS, LPI)


def test_movi_needs_both_collections() -> None:
    guest = Guest()
    guest.map(3, 4, LPI, 0, 0)
    guest.send(movi(3, 4, 1), movi(3, 5, 0), movi(9, 4, 0), mapti(3, 6, LPI + 6, 2))
    guest.send(movi(3, 4, 2), movi(3, 6, 0))
    first, second = guest.its.mappings.event(3, 4), guest.its.mappings.event(3, 6)
    assert first is not None
    assert first.collection is guest.its.mappings.collections[0]
    assert second is not None
    assert second.collection is guest.its.mappings.collections[2]


def test_movall_moves_every_lpi_of_a_vcpu_and_no_collection() -> None:
    guest = Guest(3)
    guest.map(3, 0, LPI, 0, 0)
    guest.send(mapc(1, 1), mapti(3, 1, LPI + 1, 1), movall(0, 2), movall(9, 1), movall(1, 1))
    targets = [guest.vm.vgic.lpis[LPI + n].target_vcpu for n in range(2)]
    assert targets == [guest.vm.vcpus[2], guest.vm.vcpus[1]]
    guest.send(mapti(3, 2, LPI + 2, 0))
    assert guest.vm.vgic.lpis[LPI + 2].target_vcpu is guest.vm.vcpus[0]


def test_mapping_a_collection_elsewhere_moves_its_lpis() -> None:
    guest = Guest()
    guest.map(3, 4, LPI, 0, 0)
    guest.send(mapc(0, 1))
    assert (guest.msi(3, 4), guest.take(0), guest.take(1)) == (1, SPURIOUS, LPI)


def test_an_event_outlives_its_collection_but_goes_nowhere() -> None:
    guest = Guest()
    guest.map(3, 4, LPI, 0, 0)
    guest.send(unmapc(0))
    assert guest.msi(3, 4) == 0
    guest.send(mapc(0, 0))
    assert guest.msi(3, 4) == 0
    assert LPI in guest.vm.vgic.lpis


def test_an_event_may_come_before_its_collection() -> None:
    guest = Guest()
    guest.send(mapd(3, event_table(3)), mapti(3, 4, LPI, 0))
    assert guest.msi(3, 4) == 0
    guest.send(mapc(0, 1))
    assert (guest.msi(3, 4), guest.take(1)) == (1, LPI)


def test_an_event_that_is_mapped_stays() -> None:
    guest = Guest()
    guest.map(3, 4, LPI, 0, 0)
    guest.send(mapti(3, 4, LPI + 1, 0))
    assert (guest.msi(3, 4), guest.take(0)) == (1, LPI)


def test_two_events_may_lead_to_one_lpi_and_the_first_says_where_it_goes() -> None:
    guest = Guest()
    guest.map(3, 4, LPI, 0, 0)
    guest.send(mapc(1, 1), mapti(3, 5, LPI, 1))
    assert (guest.msi(3, 5), guest.take(1), guest.take(0)) == (1, SPURIOUS, LPI)
    guest.send(about(DISCARD, 3, 4))
    assert (guest.msi(3, 5), guest.take(0)) == (1, LPI)
    guest.send(about(DISCARD, 3, 5))
    assert guest.vm.vgic.lpis == {}


def test_a_device_that_is_mapped_again_has_no_events() -> None:
    guest = Guest()
    guest.map(3, 4, LPI, 0, 0)
    guest.send(mapd(3, event_table(3)))
    assert guest.msi(3, 4) == 0
    assert guest.vm.vgic.lpis == {}


def test_unmapping_a_device_zeroes_its_entry() -> None:
    guest = Guest()
    guest.map(3, 4, LPI, 0, 0)
    guest.vm.memory.write(DEVICE_TABLE + 24, 8, VALID)
    guest.send(unmapd(3))
    assert guest.msi(3, 4) == 0
    assert guest.entry(DEVICE_TABLE + 24) == 0


def test_an_lpi_that_is_queued_outlives_its_event_until_it_was_taken() -> None:
    guest = Guest()
    guest.map(3, 4, LPI, 0, 0)
    assert guest.msi(3, 4) == 1
    guest.send(unmapd(3))
    assert (guest.take(0), guest.take(0)) == (LPI, SPURIOUS)
    assert guest.vm.vgic.lpis == {}


def test_a_new_event_takes_its_pending_bit_and_clears_it() -> None:
    guest = Guest()
    guest.vm.memory.write(pending_table(1) + LPI // 8, 1, 0b11)
    guest.map(3, 4, LPI, 0, 1)
    assert guest.vm.memory.read(pending_table(1) + LPI // 8, 1) == 0b10
    assert guest.take(1) == LPI


@pytest.mark.parametrize(
    "bad",
    [
        mapd(0x1_0000, event_table(0)),  # beyond 16 bits
        mapd(0x2000, event_table(0)),  # beyond the table
        mapd(4, event_table(4), 17),
        mapc(0, 5),  # no such vCPU
        mapc(0x2000, 0),
        mapti(3, 32, LPI + 1, 0),  # beyond the device
        mapti(3, 5, LPI - 1, 0),
        mapti(3, 5, 0x1_0000, 0),
        mapti(3, 5, LPI + 1, 0x2000),
        mapti(9, 5, LPI + 1, 0),
        about(INT, 3, 9),
        about(CLEAR, 9, 4),
        about(INV, 3, 9),
        about(DISCARD, 3, 9),
        movi(3, 4, 7),
        invall(7),
        command(SYNC, (1 << 64) - 1, (1 << 64) - 1),
        command(0x29),  # VMAPP, of GICv4
        command(0xFF),
        bytes(32),
    ],
)
def test_a_command_that_cannot_be_is_passed_over(bad: bytes) -> None:
    guest = Guest()
    guest.map(3, 4, LPI, 0, 0)
    before = set(guest.its.mappings.collections), guest.its.mappings.sort_devices()
    guest.send(bad)
    assert (set(guest.its.mappings.collections), guest.its.mappings.sort_devices()) == before
    assert list(guest.vm.vgic.lpis) == [LPI]
    assert (guest.msi(3, 4), guest.take(0)) == (1, LPI)


def test_fewer_id_bits_leave_fewer_lpis() -> None:
    guest = Guest(on=False)
    for vcpu in (0, 1):
        guest.write(0x080A_0000 + 0x2_0000 * vcpu, 4, 0)
    guest.write(0x080A_0070, 8, CONFIGURATION | 13)
    guest.start_its()
    guest.map(3, 4, 0x4000, 0, 0)
    guest.map(4, 4, 0x3FFF, 0, 0)
    assert list(guest.vm.vgic.lpis) == [0x3FFF]


def test_an_lpi_whose_tables_are_not_in_ram_is_not_mapped() -> None:
    guest = Guest(on=False)
    guest.write(0x080A_0000, 4, 0)
    guest.write(0x080A_0078, 8, NOWHERE)
    guest.start_its()
    guest.map(3, 4, LPI, 0, 0)
    guest.send(mapc(1, 1), mapti(3, 5, LPI + 5, 1))
    assert list(guest.vm.vgic.lpis) == [LPI + 5]
    assert list(guest.its.mappings.collections) == [0, 1]


def test_a_collection_that_came_with_an_event_goes_with_it() -> None:
    guest = Guest(on=False)
    for vcpu in (0, 1):
        guest.write(0x080A_0000 + 0x2_0000 * vcpu, 4, 0)
    guest.write(0x080A_0070, 8, NOWHERE | 15)
    guest.start_its()
    guest.send(mapd(3, event_table(3)), mapti(3, 4, LPI, 6))
    assert guest.its.mappings.collections == {}
    assert guest.vm.vgic.lpis == {}


def test_devices_in_a_table_of_two_levels_need_a_second_one_in_ram() -> None:
    guest = Guest(on=False)
    guest.write(GITS + BASER0, 8, VALID | 1 << 62 | DEVICE_TABLE)
    guest.vm.memory.write(DEVICE_TABLE, 8, VALID | PENDING + 0x8_0000)
    guest.vm.memory.write(DEVICE_TABLE + 8, 8, VALID | NOWHERE)
    guest.vm.memory.write(DEVICE_TABLE + 16, 8, PENDING + 0x9_0000)
    start_with(guest)
    guest.send(*(mapd(device, event_table(0)) for device in (1, 0x1FFF, 0x2000, 0x4000, 0x6000)))
    assert [device.id for device in guest.its.mappings.sort_devices()] == [1, 0x1FFF]


def start_with(guest: Guest) -> None:
    """Start the ITS with the device table that it has."""
    table = guest.register(BASER0)
    guest.start_its()
    guest.write(GITS + CTLR, 4, 0)
    guest.write(GITS + BASER0, 8, table)
    guest.write(GITS + CTLR, 4, 1)


# ---- the queue --------------------------------------------------------------------------


def test_the_queue_wraps() -> None:
    guest = Guest()
    guest.write(GITS + CTLR, 4, 0)
    guest.write(GITS + 0x80, 8, VALID | QUEUE)
    guest.write(GITS + CTLR, 4, 1)
    guest.written = 0
    guest.send(*[command(SYNC)] * 127)
    memory = guest.vm.memory
    memory.write_bytes(QUEUE + 127 * 32, mapd(3, event_table(3)))
    memory.write_bytes(QUEUE, mapc(0, 0))
    memory.write_bytes(QUEUE + 32, mapti(3, 4, LPI, 0))
    guest.write(GITS + CWRITER, 8, 64)
    assert guest.read(GITS + CREADR, 8) == 64
    assert guest.msi(3, 4) == 1


def test_an_offset_beyond_the_queue_is_ignored() -> None:
    guest = Guest()
    guest.write(GITS + CWRITER, 8, 0x1_0000)
    assert guest.read(GITS + CWRITER, 8) == 0


def test_commands_wait_for_the_its_to_be_enabled() -> None:
    guest = Guest()
    guest.write(GITS + CTLR, 4, 0)
    guest.vm.memory.write_bytes(QUEUE, mapc(0, 0))
    guest.write(GITS + CWRITER, 8, 32)
    assert guest.read(GITS + CTLR, 4) == 0
    assert guest.its.mappings.collections == {}
    guest.write(GITS + CTLR, 4, 1)
    assert guest.read(GITS + CTLR, 4) == 0x8000_0001
    assert list(guest.its.mappings.collections) == [0]


def test_commands_that_are_not_in_ram_are_passed_over() -> None:
    guest = Guest()
    guest.write(GITS + CTLR, 4, 0)
    guest.write(GITS + 0x80, 8, VALID | NOWHERE | 1)
    guest.write(GITS + CTLR, 4, 1)
    guest.write(GITS + CWRITER, 8, 0x1FE0)
    assert guest.read(GITS + CREADR, 8) == 0x1FE0
