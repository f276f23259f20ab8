"""LPI Configuration and Pending tables against a dictionary, and at the edges of memory."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nvtrap.arch.memory import Memory
from nvtrap.errors import InputError
from nvtrap.gic.lpi.tables import LpiTables
from tests.engine.helpers import examples

CONFIGURATION, PENDING = 0x1_0000, 0x10_0000
BITS = 15
INTIDS = st.sampled_from([8191, 8192, 8193, 9215, 9216, 9300, 32767, 32768, 0, 1 << 24, 1 << 40])
OPERATIONS = st.one_of(
    st.tuples(st.sampled_from(["set", "clear", "invalidate"]), INTIDS, st.just(0)),
    st.tuples(st.just("configure"), INTIDS, st.integers(0, 255)),
    st.tuples(st.just("invalidate all"), st.just(0), st.just(0)),
)


def tables(memory: Memory, bits: int = BITS, priority_bits: int = 5) -> LpiTables:
    """Fresh tables over a memory."""
    return LpiTables(memory, CONFIGURATION, PENDING, bits, priority_bits)


def configure(memory: Memory, intid: int, byte: int) -> None:
    """Write the configuration of an LPI."""
    memory.write(CONFIGURATION + intid - 8192, 1, byte)


def is_lpi(intid: int) -> bool:
    """Whether the tables have it."""
    return 8192 <= intid < 1 << BITS


def best(pending: set[int], bytes_: dict[int, int]) -> tuple[int, int] | None:
    """The highest pending LPI, by definition."""
    enabled = [(bytes_.get(i, 0) & 0xF8, i) for i in pending if bytes_.get(i, 0) & 1]
    return min(enabled, default=None)


@settings(max_examples=examples(200), deadline=None)
@given(st.lists(OPERATIONS, max_size=40))
def test_the_highest_pending_is_the_least_of_a_dictionary(
    operations: list[tuple[str, int, int]],
) -> None:
    """After every configuration write comes an invalidation, as software must do it."""
    memory = Memory()
    real = tables(memory)
    pending: set[int] = set()
    configured: dict[int, int] = {}
    for operation, intid, byte in operations:
        if operation == "set":
            assert real.set_pending(intid) == (is_lpi(intid) and intid not in pending)
            pending |= {intid} if is_lpi(intid) else set()
        elif operation == "clear":
            assert real.clear_pending(intid) == (intid in pending)
            pending -= {intid}
        elif operation == "configure" and is_lpi(intid):
            configure(memory, intid, byte)
            configured[intid] = byte
            real.invalidate(intid)
        elif operation == "invalidate":
            real.invalidate(intid)
        elif operation == "invalidate all":
            real.invalidate_all()
        assert real.highest_pending() == best(pending, configured)
        assert all(real.is_pending(i) for i in pending)
    real.write_back()
    again = tables(memory)
    again.fetch()
    assert again.highest_pending() == best(pending, configured)
    stored = memory.read(PENDING, (1 << BITS) // 8)
    assert {bit for bit in range(1 << BITS) if stored >> bit & 1} == pending


def test_all_that_the_pending_table_says_is_taken_in_order() -> None:
    """A full table: every LPI once, by priority and then by INTID; nothing below 8192."""
    memory = Memory()
    memory.write_bytes(PENDING, b"\xff" * ((1 << 14) // 8))
    for intid in range(8192, 1 << 14):
        configure(memory, intid, (intid % 3) << 6 | 1)
    real = tables(memory, 14)
    real.fetch()
    taken = []
    while (waiting := real.highest_pending()) is not None:
        assert real.clear_pending(waiting[1])
        taken.append(waiting)
    assert taken == sorted(taken)
    assert sorted(intid for _, intid in taken) == list(range(8192, 1 << 14))


def test_configuration_is_cached_until_it_is_invalidated() -> None:
    """A change in memory is not seen before INV, and INV of another LPI does not show it."""
    memory = Memory()
    configure(memory, 8200, 0x81)
    real = tables(memory)
    real.set_pending(8200)
    configure(memory, 8200, 0x41)
    real.invalidate(8201)
    assert real.highest_pending() == (0x80, 8200)
    real.invalidate(8200)
    assert real.highest_pending() == (0x40, 8200)
    configure(memory, 8200, 0x40)
    real.invalidate_all()
    assert real.highest_pending() is None


@pytest.mark.parametrize("bits", range(1, 14))
def test_fewer_than_14_bits_reach_no_lpi(bits: int) -> None:
    """IHI 0069: such a GICR_PROPBASER.IDbits puts all LPIs out of range."""
    memory = Memory()
    memory.write_bytes(PENDING, b"\xff" * 8192)
    real = tables(memory, bits)
    real.fetch()
    assert not real.set_pending(8192)
    assert real.highest_pending() is None


@pytest.mark.parametrize(
    ("priority_bits", "priority"), [(4, 0xF0), (5, 0xF8), (6, 0xFC), (8, 0xFC)]
)
def test_priorities_have_the_implemented_bits(priority_bits: int, priority: int) -> None:
    """An LPI has at most six bits of priority."""
    memory = Memory()
    configure(memory, 8192, 0xFF)
    real = tables(memory, priority_bits=priority_bits)
    real.set_pending(8192)
    assert real.highest_pending() == (priority, 8192)


def test_without_memory_nothing_is_enabled_and_nothing_is_lost_but_the_table() -> None:
    """Tables outside RAM read as zero; writing them back is nothing."""
    real = tables(Memory([]))
    real.fetch()
    assert real.set_pending(9000)
    real.invalidate(9000)
    real.invalidate_all()
    assert real.highest_pending() is None
    assert real.clear_pending(9000)
    real.write_back()


def test_moving_takes_what_the_other_has_room_for() -> None:
    """All pending LPIs go; those that the other table does not reach are lost."""
    memory = Memory()
    source, destination = tables(memory, 16), LpiTables(memory, CONFIGURATION, 0x20_0000, 14, 5)
    for intid in (8192, 9000, 16383, 16384, 60000):
        configure(memory, intid, 0x11)
        source.set_pending(intid)
    destination.set_pending(8200)
    source.move_all(destination)
    assert source.highest_pending() is None
    assert [i for i in range(8192, 65536) if destination.is_pending(i)] == [8192, 8200, 9000, 16383]
    assert destination.highest_pending() == (0x10, 8192)


def test_a_full_table_of_24_bits_does_not_cost_an_object_an_lpi() -> None:
    """16 million pending LPIs are found and taken by blocks."""
    memory = Memory()
    memory.write_bytes(PENDING, b"\xff" * (1 << 21))
    configure(memory, (1 << 24) - 1, 0x21)
    configure(memory, 1 << 20, 0x31)
    real = tables(memory, 24)
    real.fetch()
    assert real.highest_pending() == (0x20, (1 << 24) - 1)
    assert real.clear_pending((1 << 24) - 1)
    assert real.highest_pending() == (0x30, 1 << 20)


@pytest.mark.parametrize(
    "state",
    [
        {},
        {"pending": {}, "cached": []},
        {"pending": {"x": 1}, "cached": {}},
        {"pending": {"7": 1}, "cached": {}},
        {"pending": {"9": -1}, "cached": {}},
        {"pending": {"9": 1 << 1024}, "cached": {}},
        {"pending": {"99999": 1}, "cached": {}},
        {"pending": {}, "cached": {"9": "00"}},
        {"pending": {}, "cached": {"9": 5}},
    ],
)
def test_a_damaged_state_is_refused(state: dict[str, dict[str, object]]) -> None:
    """With one error, whatever is wrong."""
    with pytest.raises(InputError, match="damaged"):
        tables(Memory()).load(state)
