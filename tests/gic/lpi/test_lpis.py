"""The LPI registers of a redistributor."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nvtrap.arch.memory import Memory
from nvtrap.errors import InputError
from nvtrap.gic.lpi.lpis import (
    CLRLPIR,
    INVALLR,
    INVLPIR,
    PENDBASER,
    PROPBASER,
    SETLPIR,
    SYNCR,
    Lpis,
)
from nvtrap.gic.parameters import Parameters
from tests.engine.helpers import examples

CONFIGURATION, PENDING = 0x4000_0000, 0x4010_0000
PTZ = 1 << 62
RAM = [(0x4000_0000, 0x20_0000)]


def fresh(memory: Memory | None = None, **choices: Any) -> Lpis:
    """A redistributor's LPIs out of reset."""
    return Lpis(Parameters(**choices), memory or Memory(RAM))


def ready(memory: Memory, pend: int = PENDING, bits: int = 16) -> Lpis:
    """LPIs with their tables in place and enabled."""
    lpis = fresh(memory)
    lpis.write(PROPBASER, 8, CONFIGURATION | bits - 1)
    lpis.write(PENDBASER, 8, pend)
    lpis.enable(True)
    return lpis


def configure(memory: Memory, intid: int, byte: int) -> None:
    """Write the configuration of an LPI."""
    memory.write(CONFIGURATION + intid - 8192, 1, byte)


def test_base_registers_keep_their_fields() -> None:
    """RES0 bits stay 0, and GICR_PENDBASER.PTZ reads 0 (IHI 0069, 12.11)."""
    lpis = fresh()
    lpis.write(PROPBASER, 8, (1 << 64) - 1)
    lpis.write(PENDBASER, 8, (1 << 64) - 1)
    assert lpis.read(PROPBASER, 8) == 0x070F_FFFF_FFFF_FF9F
    assert lpis.read(PENDBASER, 8) == 0x070F_FFFF_FFFF_0F80


def test_halves_are_accessible_apart() -> None:
    """Each half is written and read without the other."""
    lpis = fresh()
    lpis.write(PROPBASER + 4, 4, 0x0010_0002)
    lpis.write(PROPBASER, 4, 0x3000_000F)
    assert lpis.read(PROPBASER, 8) == 0x0000_0002_3000_000F
    assert lpis.read(PROPBASER, 4) == 0x3000_000F
    assert lpis.read(PROPBASER + 4, 4) == 0x0000_0002


def test_tables_do_not_move_while_they_are_in_use() -> None:
    """Writes to the base registers while EnableLPIs is 1 are ignored."""
    lpis = ready(Memory(RAM))
    before = lpis.read(PROPBASER, 8), lpis.read(PENDBASER, 8)
    lpis.write(PROPBASER, 8, 0)
    lpis.write(PENDBASER, 4, 0)
    assert (lpis.read(PROPBASER, 8), lpis.read(PENDBASER, 8)) == before


def test_pending_state_goes_to_memory_and_comes_back() -> None:
    """GICR_CTLR.EnableLPIs: written back when it is cleared, read when it is set."""
    memory = Memory(RAM)
    configure(memory, 8200, 0xA1)
    lpis = ready(memory)
    lpis.write(SETLPIR, 8, 8200)
    lpis.write(SETLPIR, 4, 9001)
    assert memory.pages().keys() == {CONFIGURATION}
    lpis.enable(False)
    assert not lpis.enabled
    assert lpis.highest_pending() is None
    assert not lpis.is_pending(8200)
    assert memory.read(PENDING + 8200 // 8, 1) == 1 << 8200 % 8
    assert memory.read(PENDING + 9001 // 8, 1) == 1 << 9001 % 8
    lpis.enable(True)
    assert lpis.highest_pending() == (0xA0, 8200)
    lpis.acknowledge(8200)
    lpis.write(CLRLPIR, 8, 9001)
    lpis.enable(False)
    assert memory.pages().keys() == {CONFIGURATION}


def test_a_table_said_to_be_zero_is_not_read() -> None:
    """GICR_PENDBASER.PTZ."""
    memory = Memory(RAM)
    memory.write_bytes(PENDING + 1024, b"\xff" * 64)
    assert not ready(memory, PENDING | PTZ).is_pending(8192)
    assert ready(memory).is_pending(8192)


@pytest.mark.parametrize(("propbaser", "gicd", "bits"), [(16, 16, 16), (20, 16, 16), (14, 16, 14)])
def test_the_smaller_idbits_counts(propbaser: int, gicd: int, bits: int) -> None:
    """GICR_PROPBASER.IDbits is at most GICD_TYPER.IDbits."""
    lpis = fresh(distributor_intid_bits=gicd)
    lpis.write(PROPBASER, 8, CONFIGURATION | propbaser - 1)
    lpis.enable(True)
    assert lpis.set_pending((1 << bits) - 1)
    assert not lpis.set_pending(1 << bits)


def test_invalidation_by_register() -> None:
    """GICR_INVLPIR for one LPI, GICR_INVALLR for all; GICR_SYNCR is never busy."""
    memory = Memory(RAM)
    lpis = ready(memory)
    lpis.set_pending(8192)
    lpis.set_pending(8193)
    configure(memory, 8192, 0x41)
    configure(memory, 8193, 0x21)
    assert lpis.highest_pending() is None
    lpis.write(INVLPIR, 8, 8192)
    assert lpis.highest_pending() == (0x40, 8192)
    lpis.write(INVALLR, 8, 0)
    assert lpis.highest_pending() == (0x20, 8193)
    assert lpis.read(SYNCR, 4) == 0


def test_the_upper_half_of_a_write_only_register_does_nothing() -> None:
    """It holds no INTID."""
    lpis = ready(Memory(RAM))
    lpis.write(SETLPIR + 4, 4, 8192)
    assert not lpis.is_pending(8192)


@pytest.mark.parametrize("register", sorted(Lpis.registers - set(range(0x70, 0x80))))
@pytest.mark.parametrize("size", [1, 2, 4, 8, 16])
def test_what_is_write_only_reads_as_zero(register: int, size: int) -> None:
    """Also in sizes that are none."""
    lpis = ready(Memory(RAM))
    lpis.set_pending(8192)
    assert lpis.read(register, size) == 0


def test_without_lpis_there_is_nothing() -> None:
    """GICD_TYPER.LPIS 0: RAZ/WI, and EnableLPIs cannot be set."""
    lpis = fresh(lpis=False, its=False)
    lpis.write(PROPBASER, 8, (1 << 64) - 1)
    lpis.enable(True)
    lpis.write(SETLPIR, 8, 8192)
    assert (lpis.enabled, lpis.read(PROPBASER, 8), lpis.highest_pending()) == (False, 0, None)


def test_lpis_move_only_between_pes_that_have_them_enabled() -> None:
    """MOVALL to itself, from or to a PE with EnableLPIs 0 changes nothing."""
    memory = Memory(RAM)
    one, other = ready(memory), fresh(memory)
    one.set_pending(8192)
    one.move_all(one)
    one.move_all(other)
    other.move_all(one)
    assert one.is_pending(8192)
    other.write(PROPBASER, 8, CONFIGURATION | 15)
    other.write(PENDBASER, 8, PENDING + 0x1_0000)
    other.enable(True)
    one.move_all(other)
    assert (one.is_pending(8192), other.is_pending(8192)) == (False, True)


INTIDS = st.sampled_from([0, 8191, 8192, 8193, 10000, 65535, 65536, 1 << 31, (1 << 64) - 1])
VALUES = st.one_of(
    INTIDS,
    st.sampled_from([CONFIGURATION | 15, PENDING, PENDING | PTZ, 0x1F, (1 << 52) - 4096 | 13]),
    st.integers(0, (1 << 64) - 1),
)
STEPS = st.one_of(
    st.tuples(
        st.just("write"),
        st.sampled_from([*sorted(Lpis.registers), 0x71, 0xC4, 0]),
        st.sampled_from([1, 2, 4, 8]),
        VALUES,
    ),
    st.tuples(st.just("enable"), st.booleans(), st.just(0), st.just(0)),
    st.tuples(st.just("set"), INTIDS, st.just(0), st.just(0)),
    st.tuples(
        st.just("configure"), st.sampled_from([0, 1, 1808, 57343]), st.integers(0, 255), st.just(0)
    ),
)
Step = tuple[str, int, int, int]


def do(lpis: Lpis, memory: Memory, step: Step) -> object:
    """Take a step and look at everything there is to see."""
    what, first, second, third = step
    if what == "write":
        lpis.write(first, second, third)
    elif what == "enable":
        lpis.enable(bool(first))
    elif what == "set":
        lpis.set_pending(first)
    else:
        memory.write(CONFIGURATION + first, 1, second)
    seen = [lpis.read(offset, size) for offset in Lpis.registers for size in (4, 8)]
    return seen, lpis.highest_pending(), lpis.enabled


@settings(max_examples=examples(150))
@given(st.lists(STEPS, max_size=25), st.lists(STEPS, max_size=25))
def test_a_copy_through_json_has_the_same_future(before: list[Step], after: list[Step]) -> None:
    """Hostile accesses never raise, and a snapshot says all that the future hangs on."""
    memory = Memory(RAM)
    lpis = fresh(memory)
    for step in before:
        do(lpis, memory, step)
    copied = memory.copy()
    copy = fresh(copied)
    copy.load(json.loads(json.dumps(lpis.state())))
    assert copy.state() == lpis.state()
    for step in after:
        assert do(copy, copied, step) == do(lpis, memory, step)
    assert copied.pages() == memory.pages()
    assert copy.state() == lpis.state()


@pytest.mark.parametrize("state", [{}, {"propbaser": "1"}, {"propbaser": 1, "pendbaser": None}])
def test_a_damaged_state_is_refused(state: dict[str, object]) -> None:
    """A register without a number."""
    with pytest.raises(InputError, match="baser"):
        fresh().load(state)
