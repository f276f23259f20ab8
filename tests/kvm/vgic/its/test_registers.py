"""GITS_*: what a guest and user space read and may write."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvtrap.kvm.vgic.table_bases import IN_GICR, IN_GITS, sanitised
from tests.kvm.vgic.its.guests import (
    BASER0,
    BASER1,
    CBASER,
    CREADR,
    CTLR,
    CWRITER,
    DEVICE_TABLE,
    GITS,
    LPI,
    QUEUE,
    VALID,
    Guest,
    mapc,
    refusal,
)

INDIRECT = 1 << 62
# After reset: inner shareable, read-allocate and write-back, pages of 64 KiB, entries of 8 bytes.
BASER = 3 << 59 | 7 << 48 | 1 << 10 | 2 << 8
U64 = st.integers(0, (1 << 64) - 1)


def test_an_its_after_reset() -> None:
    guest = Guest(1, on=False)
    values = {
        0x00: 0x8000_0000,
        0x04: 0x4B00_043B,
        0x08: 0x1_EF71,
        CBASER: 0,
        CWRITER: 0,
        CREADR: 0,
        BASER0: BASER | 1 << 56,
        BASER1: BASER | 4 << 56,
        0x110: 0,
        0x138: 0,
    }
    assert {offset: guest.register(offset) for offset in values} == values
    ids = [guest.read(GITS + offset, 4) for offset in range(0xFFD0, 0x1_0000, 4)]
    assert ids == [0x40, 0, 0, 0, 0x92, 0xB4, 0x3B, 0, 0x0D, 0xF0, 0x05, 0xB1]


def test_halves_of_wide_registers_are_read_and_written_alone() -> None:
    guest = Guest(1, on=False)
    assert (guest.read(GITS + 8, 4), guest.read(GITS + 12, 4)) == (0x1_EF71, 0)
    guest.write(GITS + BASER0, 4, DEVICE_TABLE | 7)
    guest.write(GITS + BASER0 + 4, 4, VALID >> 32)
    assert guest.read(GITS + BASER0, 8) == BASER & ~0x400 | VALID | 1 << 56 | DEVICE_TABLE | 7


@pytest.mark.parametrize(
    ("offset", "size"),
    [(0, 8), (0, 2), (0, 1), (4, 8), (0x84, 8), (0x10, 4), (0x140, 8), (0xFFE0, 8), (0x1_0040, 4)],
)
def test_what_no_register_takes_reads_as_zero(offset: int, size: int) -> None:
    guest = Guest(1)
    guest.write(GITS + offset, size, (1 << 8 * size) - 1)
    assert guest.read(GITS + offset, size) == 0
    assert guest.read(GITS, 4) == 0x8000_0001


def test_what_cannot_be_set_stays() -> None:
    guest = Guest(1, on=False)
    ones = (1 << 64) - 1
    for offset in (BASER0, BASER1, CBASER):
        guest.write(GITS + offset, 8, ones)
    fixed = ones & ~(0x1F << 48 | 7 << 56 | 7 << 53 | 3 << 8)
    assert guest.register(BASER0) == fixed | 7 << 48 | 1 << 56 | 2 << 8
    assert guest.register(BASER1) == fixed & ~INDIRECT | 7 << 48 | 4 << 56 | 2 << 8
    assert guest.register(CBASER) == ones & ~(7 << 53 | 0xF000)


@given(U64, st.sampled_from([IN_GICR, IN_GITS]))
def test_attributes_are_replaced_by_allowed_ones(value: int, places: tuple[int, int]) -> None:
    inner, outer = places
    result = sanitised(value, places)
    assert result >> 10 & 3 == {0: 0, 1: 1, 2: 1, 3: 3}[value >> 10 & 3]
    assert result >> inner & 7 == max(value >> inner & 7, 3 if value >> inner & 7 < 2 else 0)
    assert result >> outer & 7 == (1 if value >> outer & 7 == 1 else 0)
    attributes = 3 << 10 | 7 << inner | 7 << outer
    assert result & ~attributes == value & ~attributes
    assert sanitised(result, places) == result


def test_tables_and_queue_are_frozen_while_enabled() -> None:
    guest = Guest(1)
    before = [guest.register(offset) for offset in (BASER0, BASER1, CBASER)]
    for offset in (BASER0, BASER1, CBASER):
        guest.write(GITS + offset, 8, 0)
        guest.set_register(offset, 0)
    assert [guest.register(offset) for offset in (BASER0, BASER1, CBASER)] == before


def test_a_new_queue_is_empty() -> None:
    guest = Guest(1)
    guest.send(mapc(0, 0))
    guest.write(GITS + CTLR, 4, 0)
    guest.write(GITS + CBASER, 8, guest.register(CBASER))
    assert (guest.register(CREADR), guest.register(CWRITER)) == (0, 0)


def test_another_table_has_no_mappings_the_same_one_keeps_them() -> None:
    guest = Guest(1)
    guest.map(3, 4, LPI, 0, 0)
    guest.write(GITS + CTLR, 4, 0)
    for offset in (BASER0, BASER1):
        guest.write(GITS + offset, 8, guest.register(offset))
    guest.write(GITS + CTLR, 4, 1)
    assert guest.msi(3, 4) == 1
    guest.write(GITS + CTLR, 4, 0)
    guest.write(GITS + BASER1, 8, guest.register(BASER1) | 1)
    assert guest.its.mappings.collections == {}
    assert guest.its.mappings.event(3, 4) is not None
    guest.write(GITS + BASER0, 8, guest.register(BASER0) | 1)
    assert guest.its.mappings.device(3) is None


def test_user_space_may_move_the_read_offset_of_an_idle_queue() -> None:
    guest = Guest(1, on=False)
    guest.set_register(CBASER, VALID | QUEUE)
    guest.set_register(CREADR, 0x47)
    guest.set_register(CWRITER, 0x40)
    assert (guest.register(CREADR), guest.register(CTLR)) == (0x40, 0x8000_0000)
    assert refusal(guest.set_register, CREADR, 0x1000) == "EINVAL"
    guest.set_register(CREADR, 0x10_0020)
    assert guest.register(CREADR) == 0x20


def test_not_that_of_one_that_is_enabled() -> None:
    guest = Guest(1)
    assert refusal(guest.set_register, CREADR, 0) == "EBUSY"
    guest.write(GITS + CREADR, 8, 0x40)
    assert guest.register(CREADR) == 0


def test_there_is_one_abi() -> None:
    guest = Guest(1, on=False)
    guest.set_register(4, 0xFFFF_0FFF)
    assert guest.register(4) == 0x4B00_043B
    assert refusal(guest.set_register, 4, 0x4B00_143B) == "EINVAL"
