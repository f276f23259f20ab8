"""The VLPI frame: scheduling a vPE, and its virtual LPIs."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from nvtrap.arch.memory import Memory
from nvtrap.gic.lpi.vlpis import PENDING_LAST, VALID, VPENDBASER, VPROPBASER, Vlpis
from nvtrap.gic.parameters import Parameters
from nvtrap.gic.virtual.interface import HCR_EN, VirtualInterface
from tests.engine.helpers import examples

CONFIGURATION, TABLE, OTHER = 0x4000_0000, 0x4010_0000, 0x4012_0000
RAM = [(0x4000_0000, 0x20_0000)]
BITS = 16
GICV4 = Parameters(its=True, direct_injection=True, gits_base=0x0900_0000)


def fresh(memory: Memory) -> Vlpis:
    """A VLPI frame with the Configuration table in place."""
    vlpis = Vlpis(GICV4, memory)
    vlpis.write(VPROPBASER, 8, CONFIGURATION | BITS - 1)
    return vlpis


def schedule(vlpis: Vlpis, table: int = TABLE) -> None:
    """Make a vPE run."""
    vlpis.write(VPENDBASER, 8, VALID | table)


def enable(memory: Memory, vintid: int, priority: int = 0x80) -> None:
    """Enable a virtual LPI."""
    memory.write(CONFIGURATION + vintid - 8192, 1, priority | 1)


def test_registers_keep_their_fields() -> None:
    """PendingLast and Dirty cannot be written, RES0 bits stay 0."""
    vlpis = Vlpis(GICV4, Memory(RAM))
    vlpis.write(VPROPBASER, 8, (1 << 64) - 1)
    vlpis.write(VPENDBASER, 8, (1 << 63) - 1)
    assert vlpis.read(VPROPBASER, 8) == 0x070F_FFFF_FFFF_FF9F
    assert vlpis.read(VPENDBASER, 8) == 0x470F_FFFF_FFFF_0F80
    assert vlpis.read(VPENDBASER + 4, 4) == 0x470F_FFFF
    assert vlpis.read(0x80, 8) == vlpis.read(VPENDBASER, 1) == 0


def test_only_valid_can_be_written_while_a_vpe_is_scheduled() -> None:
    """Other fields of both registers keep their values."""
    vlpis = fresh(Memory(RAM))
    schedule(vlpis)
    vlpis.write(VPENDBASER, 8, VALID | OTHER)
    vlpis.write(VPENDBASER, 4, OTHER)
    vlpis.write(VPROPBASER, 8, 0)
    assert vlpis.read(VPENDBASER, 8) == VALID | TABLE
    assert vlpis.read(VPROPBASER, 8) == CONFIGURATION | BITS - 1
    vlpis.write(VPENDBASER, 8, OTHER)
    assert vlpis.read(VPENDBASER, 8) == TABLE


def test_a_vpe_has_its_pending_state_in_memory_while_it_is_not_scheduled() -> None:
    """What arrives then is in its table, asks for the doorbell once, and is seen when it runs."""
    memory = Memory(RAM)
    enable(memory, 8195)
    vlpis = fresh(memory)
    assert vlpis.set_pending(TABLE, BITS, 8195)
    assert not vlpis.set_pending(TABLE, BITS, 8195)
    assert memory.read(TABLE + 8195 // 8, 1) == 1 << 3
    assert vlpis.highest_pending() is None
    schedule(vlpis)
    assert vlpis.highest_pending() == (0x80, 8195)
    vlpis.acknowledge(8195)
    vlpis.write(VPENDBASER, 8, 0)
    assert memory.read(TABLE + 8195 // 8, 1) == 0
    assert vlpis.read(VPENDBASER, 8) == TABLE


def test_a_scheduled_vpe_needs_no_doorbell() -> None:
    """Its interrupts reach it; those of others stay in memory."""
    memory = Memory(RAM)
    enable(memory, 9000)
    vlpis = fresh(memory)
    schedule(vlpis)
    assert not vlpis.set_pending(TABLE, BITS, 9000)
    assert vlpis.set_pending(OTHER, BITS, 9000)
    assert vlpis.highest_pending() == (0x80, 9000)
    assert memory.read(TABLE + 9000 // 8, 1) == 0
    assert memory.read(OTHER + 9000 // 8, 1) == 1
    assert vlpis.clear_pending(OTHER, BITS, 9000)
    assert not vlpis.clear_pending(OTHER, BITS, 9000)
    assert vlpis.clear_pending(TABLE, BITS, 9000)
    assert vlpis.highest_pending() is None


def test_pending_last_says_whether_something_enabled_waits() -> None:
    """Set when a vPE is descheduled, cleared when one is scheduled."""
    memory = Memory(RAM)
    vlpis = fresh(memory)
    schedule(vlpis)
    vlpis.set_pending(TABLE, BITS, 8192)
    vlpis.write(VPENDBASER, 8, 0)
    assert not vlpis.read(VPENDBASER, 8) & PENDING_LAST
    enable(memory, 8192)
    schedule(vlpis)
    vlpis.write(VPENDBASER, 8, 0)
    assert vlpis.read(VPENDBASER, 8) == PENDING_LAST | TABLE
    schedule(vlpis)
    assert vlpis.read(VPENDBASER, 8) == VALID | TABLE


def test_configuration_is_read_again_only_for_the_vpe_that_is_meant() -> None:
    """INV and VINVALL."""
    memory = Memory(RAM)
    vlpis = fresh(memory)
    schedule(vlpis)
    vlpis.set_pending(TABLE, BITS, 8192)
    enable(memory, 8192)
    vlpis.invalidate(OTHER, 8192)
    vlpis.invalidate_all(OTHER)
    assert vlpis.highest_pending() is None
    vlpis.invalidate(TABLE, 8192)
    assert vlpis.highest_pending() == (0x80, 8192)
    enable(memory, 8192, 0x40)
    vlpis.invalidate_all(TABLE)
    assert vlpis.highest_pending() == (0x40, 8192)


def test_a_guest_takes_a_virtual_lpi_without_a_list_register() -> None:
    """The virtual CPU interface acknowledges and ends it."""
    memory = Memory(RAM)
    enable(memory, 8192, 0x20)
    vlpis = fresh(memory)
    schedule(vlpis)
    interface = VirtualInterface(GICV4, lambda _: None)
    interface.direct = vlpis
    interface.hcr, interface.pmr, interface.enabled = HCR_EN, 0xFF, [0, 1]
    vlpis.set_pending(TABLE, BITS, 8192)
    assert interface.signalled() == (True, False)
    assert interface.acknowledge(1) == 8192
    assert interface.running_priority() == 0x20
    assert interface.acknowledge(1) == 1023
    interface.end(1, 8192)
    assert interface.running_priority() == 0xFF
    assert vlpis.highest_pending() is None


def test_without_direct_injection_the_frame_is_empty() -> None:
    """RAZ/WI."""
    vlpis = Vlpis(Parameters(), Memory(RAM))
    vlpis.write(VPROPBASER, 8, (1 << 64) - 1)
    vlpis.write(VPENDBASER, 8, (1 << 64) - 1)
    assert vlpis.read(VPROPBASER, 8) == vlpis.read(VPENDBASER, 8) == 0


VINTIDS = st.sampled_from([0, 8191, 8192, 8200, 65535, 65536, 1 << 31])
TABLES = st.sampled_from([TABLE, OTHER, 0, (1 << 52) - 0x1_0000])
STEPS = st.one_of(
    st.tuples(
        st.just("write"),
        st.sampled_from([0, 0x70, 0x74, 0x78, 0x7C, 0x79, 0x80]),
        st.sampled_from([1, 4, 8]),
        st.one_of(TABLES.map(lambda table: VALID | table), TABLES, st.integers(0, (1 << 64) - 1)),
    ),
    st.tuples(st.just("set"), TABLES, st.sampled_from([13, 14, 16, 32]), VINTIDS),
    st.tuples(st.just("clear"), TABLES, st.sampled_from([13, 14, 16, 32]), VINTIDS),
    st.tuples(
        st.just("enable"), st.sampled_from([8192, 8200, 65535]), st.integers(0, 255), st.just(0)
    ),
    st.tuples(st.just("invalidate"), TABLES, VINTIDS, st.just(0)),
)
Step = tuple[str, int, int, int]


def do(vlpis: Vlpis, memory: Memory, step: Step) -> object:
    """Take a step and look at everything there is to see."""
    what, first, second, third = step
    answer: object = None
    if what == "write":
        vlpis.write(first, second, third)
    elif what == "set":
        answer = vlpis.set_pending(first, second, third)
    elif what == "clear":
        answer = vlpis.clear_pending(first, second, third)
    elif what == "invalidate":
        vlpis.invalidate(first, second)
    else:
        enable(memory, first, second & 0xFC)
    return answer, vlpis.read(VPROPBASER, 8), vlpis.read(VPENDBASER, 8), vlpis.highest_pending()


@settings(max_examples=examples(150))
@given(st.lists(STEPS, max_size=25), st.lists(STEPS, max_size=25))
def test_a_copy_through_json_has_the_same_future(before: list[Step], after: list[Step]) -> None:
    """Hostile accesses never raise, and a snapshot says all that the future hangs on."""
    memory = Memory(RAM)
    vlpis = fresh(memory)
    for step in before:
        do(vlpis, memory, step)
    copied = memory.copy()
    copy = Vlpis(GICV4, copied)
    copy.load(json.loads(json.dumps(vlpis.state())))
    assert copy.state() == vlpis.state()
    for step in after:
        assert do(copy, copied, step) == do(vlpis, memory, step)
    assert copied.pages() == memory.pages()


def test_a_state_that_is_valid_without_tables_has_no_vpe() -> None:
    """Valid and the tables of a vPE come together."""
    vlpis = Vlpis(GICV4, Memory(RAM))
    vlpis.load({"vpropbaser": 15, "vpendbaser": VALID | TABLE, "tables": None})
    assert vlpis.read(VPENDBASER, 8) == TABLE
