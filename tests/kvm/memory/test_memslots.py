"""Memory slots, the VMM's addresses behind them, and the device that a VM is given."""

from __future__ import annotations

from errno import EEXIST, EFAULT, EINVAL, ENOMEM

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvtrap.arch.memory import PAGE_SIZE, Memory
from nvtrap.errors import AddressError, UsageError
from nvtrap.kvm.exits.mmio import NO_SLOT, RAM, READ_ONLY
from nvtrap.kvm.memory.memslots import LOG_DIRTY_PAGES, READONLY, AddressSpace, Slots
from nvtrap.kvm.memory.mmu import LOAD, STORE, HostMmu, VmMmu
from nvtrap.kvm.memory.pagepool import CAPACITY, HostPages, PageCache

BLOCK = 2 << 20
HVA, IPA, PA = 0x7000_0000_0000, 0x8000_0000, 0x1_0000_0000


def slots() -> Slots:
    """16 pages of memory at IPA."""
    space = AddressSpace(Memory())
    space.map(HVA, 16 * PAGE_SIZE, PA)
    made = Slots(space)
    made.set(0, IPA, 16 * PAGE_SIZE, HVA)
    return made


def test_guest_memory_is_where_the_slot_and_the_vmm_have_it() -> None:
    """Little-endian, over the ends of pages; what is not there raises."""
    made = slots()
    made.space.map(HVA + PAGE_SIZE, PAGE_SIZE, PA + 0x10_0000)
    made.write(IPA + PAGE_SIZE - 4, 8, 0x1122_3344_5566_7788)
    assert made.space.memory.read(PA + PAGE_SIZE - 4, 4) == 0x5566_7788
    assert made.space.memory.read(PA + 0x10_0000, 4) == 0x1122_3344
    assert made.read(IPA + PAGE_SIZE - 4, 8) == 0x1122_3344_5566_7788
    for address in (IPA - 1, IPA + 16 * PAGE_SIZE - 1, 0):
        with pytest.raises(AddressError):
            made.read(address, 2)


def test_a_write_that_cannot_be_done_whole_changes_nothing() -> None:
    """To a read-only slot, memory that is not writable, a device, nothing."""
    made = slots()
    made.space.map(HVA + PAGE_SIZE, PAGE_SIZE, PA + PAGE_SIZE, writable=False)
    with pytest.raises(AddressError):
        made.write(IPA + PAGE_SIZE - 4, 8, (1 << 64) - 1)
    assert made.read(IPA + PAGE_SIZE - 8, 8) == 0
    made.space.map(HVA, PAGE_SIZE, PA, device=True)
    with pytest.raises(AddressError):
        made.read(IPA, 1)
    made.set(1, 0, PAGE_SIZE, HVA + 2 * PAGE_SIZE, READONLY)
    with pytest.raises(AddressError):
        made.write(0, 1, 1)
    assert made.read(0, 1) == 0
    assert [made.behind(ipa) for ipa in (0, IPA, PAGE_SIZE)] == [READ_ONLY, RAM, NO_SLOT]


def test_slots_are_whole_pages_that_do_not_overlap() -> None:
    """The errno of each refusal is the ioctl's."""
    made = slots()
    for errno, arguments in (
        (EINVAL, (1, IPA + 1, PAGE_SIZE, HVA)),
        (EINVAL, (1, IPA, PAGE_SIZE, HVA + 1)),
        (EINVAL, (40000, 0, PAGE_SIZE, HVA)),
        (EINVAL, (1, 0, PAGE_SIZE, HVA, 1 << 5)),
        (EINVAL, (1, 0, 0, HVA)),
        (EEXIST, (1, IPA + 15 * PAGE_SIZE, 2 * PAGE_SIZE, HVA)),
        (EFAULT, (1, (1 << 40) - PAGE_SIZE, 2 * PAGE_SIZE, HVA)),
        (EINVAL, (0, IPA, 8 * PAGE_SIZE, HVA)),
        (EINVAL, (0, IPA, 16 * PAGE_SIZE, HVA + PAGE_SIZE)),
        (EINVAL, (0, IPA, 16 * PAGE_SIZE, HVA, READONLY)),
    ):
        with pytest.raises(OSError, match=rf"Errno {errno}\]"):
            made.set(*arguments)
    assert [slot.base for slot in made] == [IPA]


def test_a_slot_that_moves_or_goes_is_to_be_unmapped() -> None:
    """One whose flags change is not."""
    made = slots()
    assert made.set(0, IPA, 16 * PAGE_SIZE, HVA, LOG_DIRTY_PAGES) == ()
    (old,) = made.set(0, IPA + PAGE_SIZE, 16 * PAGE_SIZE, HVA)
    assert (old.base, made.find(IPA)) == (IPA, None)
    (old,) = made.set(0, IPA + PAGE_SIZE, 0, 0)
    assert old.base == IPA + PAGE_SIZE
    assert list(made) == []


def test_the_hosts_own_writes_are_logged_too() -> None:
    """By page of the slot."""
    made = slots()
    made.set(0, IPA, 16 * PAGE_SIZE, HVA, LOG_DIRTY_PAGES)
    made.write(IPA + 3 * PAGE_SIZE - 1, 2, 0xFFFF)
    slot = made.find(IPA)
    assert slot is not None
    assert slot.take_dirty() == {2, 3}
    assert slot.take_dirty() == set()


@given(
    st.lists(
        st.tuples(st.booleans(), st.integers(0, 40), st.integers(1, 20), st.integers(0, 100)),
        max_size=20,
    )
)
def test_addresses_of_a_vmm_are_the_last_that_was_put_there(
    steps: list[tuple[bool, int, int, int]],
) -> None:
    """Against a dictionary of pages."""
    space = AddressSpace(Memory())
    expected: dict[int, int] = {}
    for is_map, start, count, pa in steps:
        hva = HVA + start * PAGE_SIZE
        if is_map:
            space.map(hva, count * PAGE_SIZE, pa * PAGE_SIZE)
        else:
            space.unmap(hva, count * PAGE_SIZE)
        for n in range(count):
            expected.pop(start + n, None)
            if is_map:
                expected[start + n] = (pa + n) * PAGE_SIZE
    for page in range(64):
        hva = HVA + page * PAGE_SIZE + 7
        area = space.find(hva)
        found = None if area is None else area.pa + hva - area.base - 7
        assert found == expected.get(page)


def test_a_huge_page_that_is_cut_is_pages() -> None:
    """What is left whole stays huge; what is no multiple of it is refused."""
    space = AddressSpace(Memory())
    space.map(HVA, 2 * BLOCK, PA, block=BLOCK)
    space.unmap(HVA, PAGE_SIZE)
    first, second = space.find(HVA + PAGE_SIZE), space.find(HVA)
    assert second is None
    assert first is not None
    assert (first.block, first.pa) == (PAGE_SIZE, PA + PAGE_SIZE)
    space.map(HVA, 2 * BLOCK, PA, block=BLOCK)
    space.unmap(HVA, BLOCK)
    rest = space.find(HVA + BLOCK)
    assert rest is not None
    assert rest.block == BLOCK
    for wrong in ((HVA, BLOCK, PA + PAGE_SIZE, BLOCK), (HVA, 0, PA, PAGE_SIZE), (HVA, 8, PA, 8)):
        with pytest.raises(UsageError):
            space.map(*wrong[:3], block=wrong[3])


# ---- a device of the host's, given to the guest -----------------------------------

GICC, GICV = 0x0801_0000, 0x2C06_F000


def vm(pool: int = 64) -> VmMmu:
    """A VM without memory."""
    host = HostMmu(Memory(), (0x1000_0000, pool))
    return VmMmu(host, AddressSpace(host.memory))


def test_the_gicv2s_virtual_cpu_interface_is_mapped_at_the_guests_gicc() -> None:
    """Two pages of device memory, readable and writable, not code."""
    made = vm()
    made.map_device(GICC, GICV, 0x2000)
    made.mmu.activate(0, 0)
    assert made.mmu.translate(0, GICC + 0x100C, STORE) == (GICV + 0x100C, 0)
    assert made.mmu.translate(0, GICC, "fetch") == (0, 0x0F)
    assert made.mmu.translate(0, GICC + 0x2000, LOAD) == (0, 0x07)
    assert all(descriptor >> 2 & 0xF == 1 for _, _, descriptor in made.mmu.table.leaves())


def test_a_device_that_is_only_read_faults_when_it_is_written() -> None:
    """As GICv4.1's or a counter's page may be given."""
    made = vm()
    made.map_device(GICC, GICV, 0x1000, writable=False)
    made.mmu.activate(0, 0)
    assert made.mmu.translate(0, GICC, LOAD) == (GICV, 0)
    assert made.mmu.translate(0, GICC, STORE) == (0, 0x0F)


def test_a_device_mapping_without_memory_for_tables_fails() -> None:
    """-ENOMEM, and the store of pages is given back."""
    made = vm(4)
    made.map_device(GICC, GICV, 0x1000)
    with pytest.raises(OSError, match=rf"Errno {ENOMEM}\]"):
        made.map_device(GICC + (1 << 30), GICV, 0x1000)
    assert made.host.pages.used == 4


# ---- page-table memory ------------------------------------------------------------


def test_a_store_of_pages_is_filled_before_it_is_needed() -> None:
    """To its capacity, unless there are enough; what the host has not is an error."""
    host = HostPages(Memory(), 0x1000_0000, CAPACITY + 2)
    cache = PageCache(host)
    cache.top_up(2)
    assert len(cache) == CAPACITY
    while len(cache) > 2:
        cache.take()
    cache.top_up(2)
    assert (len(cache), cache.shortest) == (2, 2)
    other = PageCache(host)
    other.top_up(2)
    assert len(other) == 2
    with pytest.raises(OSError, match="memory"):
        PageCache(host).top_up(1)
    assert [other.take() is None for _ in range(3)] == [False, False, True]


def test_pages_come_zeroed_and_aligned_to_their_number() -> None:
    """Also those that were used before."""
    memory = Memory()
    host = HostPages(memory, 0x1000, 64)
    one = host.allocate()
    four = host.allocate(4)
    assert (one, four) == (0x1000, 0x4000)
    memory.write(0x1000, 8, 5)
    host.free(0x1000)
    pages = [host.allocate() for _ in range(3)]
    assert sorted(page for page in pages if page) == [0x1000, 0x2000, 0x3000]
    assert memory.read(0x1000, 8) == 0
    with pytest.raises(UsageError):
        HostPages(Memory([(0, 0x1000)]), 0, 2)
