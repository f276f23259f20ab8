"""Banks of interrupts: sets against what is said of each interrupt."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvtrap.gic import Parameters
from nvtrap.gic.distributor.bank import GROUP0, GROUP1_NS, GROUP1_S, NO_RANK, Bank

COUNT = 40
GROUPS = (GROUP0, GROUP1_NS, GROUP1_S)
WITH_NMI = Parameters(nmi=True)
SETS = ("group", "modifier", "enabled", "latch", "line", "active", "edge", "nmi")


@st.composite
def banks(draw: st.DrawFn) -> Bank:
    """A bank in any state."""
    bank = Bank(WITH_NMI, 32, COUNT)
    for name in SETS:
        setattr(bank, name, draw(st.integers(0, bank.mask)))
    few = st.sampled_from((0, 8, 0x80, 0x88, 0xF8))
    bank.priority = bytearray(draw(st.lists(few, min_size=COUNT, max_size=COUNT)))
    return bank


def bit(bits: int, index: int) -> bool:
    """Whether an interrupt is in a set."""
    return bool(bits >> index & 1)


@given(banks())
def test_an_interrupt_is_pending_by_latch_or_by_a_level(bank: Bank) -> None:
    """The line counts for level-sensitive interrupts only."""
    for index in range(COUNT):
        level = bit(bank.line, index) and not bit(bank.edge, index)
        assert bit(bank.pending, index) == (bit(bank.latch, index) or level)


@given(banks(), st.booleans())
def test_every_interrupt_is_in_the_one_group_it_has(bank: Bank, is_single: bool) -> None:
    """The three groups part the bank; with one security state none is Secure Group 1."""
    for index in range(COUNT):
        mine = [group for group in GROUPS if bit(bank.in_group(group, is_single), index)]
        assert mine == [bank.group_of(index, is_single)]
        if bit(bank.group, index):
            assert mine == [GROUP1_NS]
        elif bit(bank.modifier, index) and not is_single:
            assert mine == [GROUP1_S]
        else:
            assert mine == [GROUP0]


@given(banks(), st.integers(0, 7), st.booleans())
def test_what_waits_is_pending_enabled_inactive_and_of_the_groups(
    bank: Bank, groups: int, is_single: bool
) -> None:
    """Interrupt by interrupt."""
    waiting = bank.waiting(groups, is_single)
    for index in range(COUNT):
        wanted = (
            bit(bank.pending, index)
            and bit(bank.enabled, index)
            and not bit(bank.active, index)
            and bit(groups, bank.group_of(index, is_single))
        )
        assert bit(waiting, index) == wanted
    assert waiting <= bank.mask


@given(banks(), st.integers(0, (1 << COUNT) - 1), st.booleans())
def test_the_highest_is_the_minimum_over_all(bank: Bank, bits: int, is_single: bool) -> None:
    """By priority, non-maskable before others of the same, then by INTID."""

    def rank(index: int) -> int:
        group = bank.group_of(index, is_single)
        if bit(bank.nmi, index) and group != GROUP0:
            return 0x100 if group == GROUP1_NS and not is_single else 0
        return bank.priority[index] * 2 + 1

    ranks = [(rank(index), index) for index in range(COUNT) if bit(bits, index)]
    assert bank.highest(bits, is_single) == min(ranks, default=(NO_RANK, -1))


@given(banks(), st.integers(0, COUNT - 1))
def test_an_acknowledged_interrupt_stays_pending_only_by_its_level(bank: Bank, index: int) -> None:
    """Active, and pending again where the line of a level-sensitive one is high."""
    others = bank.pending & ~(1 << index)
    bank.acknowledge(index)
    assert bit(bank.active, index)
    assert bit(bank.pending, index) == (bit(bank.line, index) and not bit(bank.edge, index))
    assert bank.pending & ~(1 << index) == others


@pytest.mark.parametrize("is_edge", [False, True])
def test_levels_come_and_go_and_edges_stay(is_edge: bool) -> None:
    """A level is pending while it is high; an edge once it rose, and once for each rise."""
    bank = Bank(WITH_NMI, 32, COUNT)
    bank.edge = bank.mask if is_edge else 0
    bank.wire(3, True)
    assert bank.pending == 1 << 3
    bank.wire(3, False)
    assert bank.pending == (1 << 3 if is_edge else 0)
    bank.latch = 0
    bank.wire(3, True)
    bank.latch = 0
    bank.wire(3, True)  # no rise
    assert bank.pending == (0 if is_edge else 1 << 3)


def test_without_interrupts_nothing_waits() -> None:
    """A bank of none."""
    bank = Bank(WITH_NMI, 4096, 0)
    assert bank.waiting(7, False) == bank.mask == 0
    assert bank.highest(0, False) == (NO_RANK, -1)


@given(banks())
def test_a_bank_becomes_what_its_state_says(bank: Bank) -> None:
    """State and load, and assign, give the same bank, of which nothing is shared."""
    loaded, assigned = Bank(WITH_NMI, 32, COUNT), Bank(WITH_NMI, 32, COUNT)
    state = bank.state()
    loaded.load(state)
    assigned.assign(bank)
    assert loaded.state() == assigned.state() == state
    bank.priority[0] ^= 0x80
    bank.latch ^= 1
    assert loaded.state() == assigned.state() == state


@pytest.mark.parametrize(("key", "value"), [("priority", "00"), ("latch", "x"), ("edge", None)])
def test_a_damaged_state_is_refused(key: str, value: object) -> None:
    """With an exception that the machine turns into one of its own."""
    bank = Bank(WITH_NMI, 32, COUNT)
    state = bank.state() | {key: value}
    with pytest.raises((ValueError, TypeError)):
        bank.load(state)


def test_bits_that_are_not_implemented_do_not_load() -> None:
    """INTIDs beyond the bank's and priority bits below those implemented."""
    bank = Bank(WITH_NMI, 32, 32)
    ones = dict.fromkeys(bank.state(), "f" * 20) | {"priority": "ff" * 32}
    bank.load(ones)
    assert bank.latch == bank.mask
    assert set(bank.priority) == {0xF8}
