"""The tables of the ITS in memory, flat and with two levels."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nvtrap.arch.memory import Memory
from nvtrap.errors import AddressError, InputError
from nvtrap.gic.its.tables import DEVICES, VPES, Device, Interrupt, Tables, Vpe
from nvtrap.gic.parameters import Parameters
from tests.engine.helpers import examples
from tests.gic.its import INDIRECT, VALID

GICV4 = Parameters(its=True, direct_injection=True, gits_base=0x0900_0000)
BASE, LEVEL2 = 0x100_0000, 0x200_0000
PAGES = {0: 0x1000, 1: 0x4000, 2: 0x1_0000, 3: 0x1_0000}  # Page_Size → bytes


def tables(baser: int, memory: Memory | None = None) -> Tables:
    """Tables that all have the same GITS_BASER<n>."""
    made = Tables(GICV4, memory or Memory())
    for number in range(3):
        made.set_baser(number, baser)
    return made


@pytest.mark.parametrize("page_size", range(4))
@pytest.mark.parametrize("pages", [1, 3, 256])
def test_a_flat_table_has_eight_bytes_an_entry(page_size: int, pages: int) -> None:
    """As many as its pages have room for."""
    made = tables(VALID | BASE | page_size << 8 | pages - 1)
    entries = pages * PAGES[page_size] // 8
    assert made.reaches(DEVICES, entries - 1)
    assert not made.reaches(DEVICES, entries)
    assert made.set_collection(entries - 1, 2)
    assert made.collection(entries - 1) == 2
    assert not made.set_collection(entries, 2)
    assert made.collection(entries) is None


@pytest.mark.parametrize("page_size", range(4))
def test_two_levels_have_a_page_for_every_descriptor(page_size: int) -> None:
    """The first level has 64-bit descriptors, which need Valid."""
    memory, page = Memory(), PAGES[page_size]
    made = tables(VALID | INDIRECT | BASE | page_size << 8 | 1, memory)
    entries = page // 8
    assert not made.reaches(DEVICES, 0)
    memory.write(BASE + 5 * 8, 8, VALID | LEVEL2 | 0xFFF)
    assert made.set_device(5 * entries + 3, Device(0x300, 4))
    assert memory.read(LEVEL2 + 3 * 8, 8) == VALID | 0x300 | 3
    assert not made.reaches(DEVICES, 6 * entries)
    assert not made.reaches(DEVICES, 5 * entries - 1)
    last = 2 * page // 8 - 1
    memory.write(BASE + last * 8, 8, VALID | LEVEL2 + page)
    assert made.reaches(DEVICES, (last + 1) * entries - 1)
    assert not made.reaches(DEVICES, (last + 1) * entries)


def test_the_address_of_64k_pages_has_its_top_bits_low() -> None:
    """Bits [15:12] are bits [51:48] of the address (IHI 0069, GITS_BASER<n>)."""
    memory = Memory()
    made = tables(VALID | BASE | 0xA000 | 2 << 8, memory)
    made.set_collection(1, 0)
    assert memory.pages().keys() == {0xA_0000_0000_0000 | BASE}
    made = tables(VALID | BASE | 0x3000 | 1 << 8, memory)
    made.set_collection(1, 0)
    assert BASE in memory.pages()


def test_a_table_that_is_not_valid_has_nothing() -> None:
    """GITS_BASER<n>.Valid."""
    made = tables(BASE | 0xFF)
    assert not made.reaches(VPES, 0)
    assert [made.device(0), made.collection(0), made.vpe(0)] == [None] * 3
    assert not made.set_vpe(0, Vpe(0, 0, 16))


@given(
    st.integers(0, (1 << 44) - 1), st.integers(1, 32), st.integers(0, 0xFFFF), st.integers(1, 32)
)
def test_entries_come_back(itt: int, bits: int, pe: int, vpt_bits: int) -> None:
    """Every field of every entry, and None after unmapping."""
    made = tables(VALID | BASE | 0xFF)
    made.set_device(7, Device(itt << 8, bits))
    device = made.device(7)
    assert device is not None
    assert (device.itt, device.event_bits) == (itt << 8, bits)
    made.set_collection(7, pe)
    assert made.collection(7) == pe
    made.set_vpe(7, Vpe(pe, itt >> 8 << 16, vpt_bits))
    vpe = made.vpe(7)
    assert vpe is not None
    assert (vpe.pe, vpe.table, vpe.bits) == (pe, itt >> 8 << 16, vpt_bits)
    made.set_device(7, None)
    made.set_vpe(7, None)
    made.set_collection(7, None)
    assert [made.device(7), made.collection(7), made.vpe(7)] == [None] * 3


@given(
    st.integers(0, (1 << 32) - 1),
    st.integers(0, 0xFFFF),
    st.booleans(),
    st.integers(0, (1 << 32) - 1),
    st.integers(0, (1 << 32) - 1),
)
def test_entries_of_an_itt_come_back(
    intid: int, target: int, is_virtual: bool, doorbell: int, event_id: int
) -> None:
    """Physical and virtual ones."""
    made, device = tables(0), Device(0x1_0000, 32)
    assert made.interrupt(device, event_id) is None
    made.set_interrupt(device, event_id, Interrupt(intid, target, is_virtual, doorbell))
    found = made.interrupt(device, event_id)
    assert found is not None
    assert (found.intid, found.target) == (intid, target)
    assert (found.is_virtual, found.doorbell) == (is_virtual, doorbell)
    made.set_interrupt(device, event_id, None)
    assert made.interrupt(device, event_id) is None


@settings(max_examples=examples(100))
@given(st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 0xFFFF)), max_size=30))
def test_flat_and_two_levels_hold_the_same(entries: list[tuple[int, int]]) -> None:
    """With all pages of the second level there, nothing tells them apart."""
    memory = Memory()
    for index in range(10):
        memory.write(BASE + 8 * index, 8, VALID | LEVEL2 + 0x2000 * index)
    two, flat = tables(VALID | INDIRECT | BASE, memory), tables(VALID | 0x800_0000 | 9)
    for index, pe in entries:
        assert two.set_collection(index, pe) == flat.set_collection(index, pe) == (index < 5120)
    assert [two.collection(i) for i in range(0, 5200, 7)] == [
        flat.collection(i) for i in range(0, 5200, 7)
    ]
    assert [two.collection(i) for i, _ in entries] == [flat.collection(i) for i, _ in entries]


def test_a_table_outside_ram_is_an_address_error() -> None:
    """The queue and the translation make of it what the architecture allows."""
    made = tables(VALID | BASE, Memory([]))
    assert made.reaches(DEVICES, 0)
    with pytest.raises(AddressError):
        made.device(0)


def test_a_damaged_state_is_refused() -> None:
    """Every table has a number."""
    with pytest.raises(InputError, match="number for `1`"):
        tables(0).load({"0": 1})
