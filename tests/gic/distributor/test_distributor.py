"""GICD_*: what software reads and writes, in each view of the security states."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvtrap.gic import Machine, Parameters
from nvtrap.gic.distributor.families import gather, spread
from tests.gic.machines import (
    FULL,
    GICD,
    ICACTIVER,
    ICENABLER,
    ICFGR,
    ICPENDR,
    IGROUPR,
    IGRPMODR,
    INMIR,
    IPRIORITYR,
    IROUTER,
    ISACTIVER,
    ISENABLER,
    ISPENDR,
    NSACR,
    TWO_STATES,
    Driver,
)

CTLR, TYPER, TYPER2, STATUSR = 0x0, 0x4, 0xC, 0x10
SETSPI_NSR, CLRSPI_NSR, SETSPI_SR, CLRSPI_SR = 0x40, 0x48, 0x50, 0x58
ONES = 0xFFFF_FFFF
WORDS = st.integers(0, ONES)


# ---- what it is -----------------------------------------------------------------------------


def test_identification_is_that_of_qemus_board() -> None:
    """GICD_TYPER, GICD_IIDR, GICD_PIDR2 as recorded; the CoreSight numbers."""
    driver = Driver()
    assert driver.gicd(TYPER) == 0x37A0007
    assert driver.gicd(0x8) == 0x43B
    assert driver.gicd(TYPER2) == 0
    identification = [driver.gicd(offset) for offset in range(0xFFD0, 0x1_0000, 4)]
    assert identification == [0x44, 0, 0, 0, 0x92, 0xB4, 0x3B, 0, 0x0D, 0xF0, 0x05, 0xB1]


@pytest.mark.parametrize(
    ("choice", "bits", "value"),
    [
        ({"spis": 988}, 0x1F, 31),
        ({"spis": 0}, 0x1F, 0),
        ({"extended_spis": 1024}, 0x1F << 27 | 1 << 8, 31 << 27 | 1 << 8),
        ({"extended_spis": 32}, 0x1F << 27 | 1 << 8, 1 << 8),
        ({"range_selector": True}, 1 << 26, 1 << 26),
        ({"one_of_n": True}, 1 << 25, 0),
        ({"a3v": False}, 1 << 24, 0),
        ({"distributor_intid_bits": 24}, 0x1F << 19, 23 << 19),
        ({"direct_injection": True, "its": True}, 1 << 18, 1 << 18),
        ({"lpis": False}, 1 << 17, 0),
        ({"security_states": 2}, 1 << 10, 1 << 10),
        ({"nmi": True}, 1 << 9, 1 << 9),
    ],
)
def test_typer_says_what_was_chosen(choice: dict[str, int], bits: int, value: int) -> None:
    """A field a choice; the others stay as they were."""
    usual = Driver().gicd(TYPER)
    if "its" in choice:
        choice = choice | {"gicr_base": 0x900_0000}
    machine = Machine(Parameters.from_dict(choice))
    typer = machine.distributor.read(TYPER, 4)
    assert typer & bits == value
    assert typer & ~bits == usual & ~bits


def test_gicv4_is_in_pidr2() -> None:
    """ArchRev, bits [7:4]."""
    machine = Machine(Parameters(direct_injection=True, its=True, gicr_base=0x900_0000))
    assert machine.distributor.read(0xFFE8, 4) == 0x4B


# ---- GICD_CTLR ------------------------------------------------------------------------------


@given(WORDS)
def test_ctlr_with_one_security_state(value: int) -> None:
    """The enables are software's; ARE and DS are 1."""
    driver = Driver()
    assert driver.gicd(CTLR, value) == value & 3 | 0x50
    assert driver.gicd(CTLR, s=False) == value & 3 | 0x50


@given(WORDS, WORDS)
def test_ctlr_with_two_security_states(secure: int, non_secure: int) -> None:
    """Non-secure software has the enable of its Group 1, and nothing else."""
    driver = Driver(TWO_STATES)
    secure &= ~(1 << 6)
    assert driver.gicd(CTLR, secure) == secure & 7 | 0x30
    assert driver.gicd(CTLR, s=False) == secure & 2 | 0x10
    assert driver.gicd(CTLR, non_secure, s=False) == non_secure & 2 | 0x10
    assert driver.gicd(CTLR) == secure & 5 | non_secure & 2 | 0x30


def test_disabling_security_is_final() -> None:
    """GICD_CTLR.DS goes to 1 by Secure software and stays; views and TYPER follow."""
    driver = Driver(TWO_STATES)
    driver.gicd(CTLR, 1 << 6, s=False)
    assert not driver.machine.distributor.is_single
    driver.gicd(IGROUPR + 4, 0x1)
    driver.gicd(IGRPMODR + 4, 0x2)
    assert driver.gicd(TYPER) >> 10 & 1
    assert driver.gicd(CTLR, 1 << 6 | 7) == 0x53
    assert driver.gicd(CTLR, 0) == 0x50
    assert driver.gicd(CTLR, s=False) == 0x50
    assert not driver.gicd(TYPER) >> 10 & 1
    assert driver.gicd(IGRPMODR + 4) == 0
    assert driver.gicd(IGROUPR + 4, 0xF0, s=False) == 0xF0


def test_e1nwf_is_there_with_one_of_n() -> None:
    """And not for Non-secure software."""
    driver = Driver(FULL)
    assert driver.gicd(CTLR, 1 << 7) == 0xB0
    assert driver.gicd(CTLR, 0, s=False) == 0x10
    assert driver.gicd(CTLR) == 0xB0
    assert Driver(TWO_STATES).gicd(CTLR, 1 << 7) == 0x30


# ---- families -------------------------------------------------------------------------------

# The registers of standard and extended SPIs: (first offset, `E` offset).
FAMILIES = {
    IGROUPR: 0x1000,
    ISENABLER: 0x1200,
    ICENABLER: 0x1400,
    ISPENDR: 0x1600,
    ICPENDR: 0x1800,
    ISACTIVER: 0x1A00,
    ICACTIVER: 0x1C00,
    IPRIORITYR: 0x2000,
    ICFGR: 0x3000,
    IGRPMODR: 0x3400,
    NSACR: 0x3600,
    INMIR: 0x3B00,
}


@given(WORDS)
def test_two_bit_fields_come_apart_and_together(word: int) -> None:
    """The even bits of a word as 16 bits, and back."""
    bits = gather(word)
    assert spread(bits << 7, 7) == word & 0x5555_5555
    assert bits == sum((word >> 2 * n & 1) << n for n in range(16))


@given(WORDS, WORDS, st.sampled_from([(ISENABLER, ICENABLER), (ISACTIVER, ICACTIVER)]))
def test_set_and_clear_registers_are_two_sides_of_one_state(
    first: int, second: int, pair: tuple[int, int]
) -> None:
    """Writing 1 acts, writing 0 does not; both read the state."""
    driver = Driver()
    to_set, to_clear = pair
    assert driver.gicd(to_set + 4, first) == first
    assert driver.gicd(to_clear + 4, second) == first & ~second
    assert driver.gicd(to_set + 4) == first & ~second
    assert driver.gicd(to_set + 8) == 0


@given(WORDS, WORDS, WORDS, WORDS)
def test_pending_registers_show_levels_and_change_latches(
    lines: int, edges: int, setting: int, clearing: int
) -> None:
    """A level cannot be cleared; an edge can."""
    driver = Driver()
    edge_config = [spread(edges >> 16 * n, 0) << 1 for n in range(2)]
    driver.gicd(ICFGR + 8, edge_config[0])
    driver.gicd(ICFGR + 12, edge_config[1])
    for index in range(32):
        if lines >> index & 1:
            driver.machine.wire(32 + index, True)
    assert driver.gicd(ISPENDR + 4) == lines
    assert driver.gicd(ISPENDR + 4, setting) == lines | setting
    left = lines & ~edges | (lines | setting) & ~clearing
    assert driver.gicd(ICPENDR + 4, clearing) == driver.gicd(ISPENDR + 4) == left


def test_priorities_have_bytes_and_the_implemented_bits() -> None:
    """Byte and word access, nothing between; five bits of a byte."""
    driver = Driver()
    assert driver.gicd(IPRIORITYR + 32, 0x12345678) == 0x10305078
    assert driver.gicd(IPRIORITYR + 33, 0xFF, size=1) == 0xF8
    assert driver.gicd(IPRIORITYR + 32) == 0x1030F878
    assert driver.gicd(IPRIORITYR + 32, 0xFFFF, size=2) == 0
    assert driver.gicd(IPRIORITYR + 32) == 0x1030F878


@pytest.mark.parametrize("bits", [4, 5, 6, 7, 8])
def test_priority_bits_are_as_chosen(bits: int) -> None:
    """The upper ones."""
    driver = Driver(Parameters(physical_priority_bits=bits))
    assert driver.gicd(IPRIORITYR + 100, 0xFF, size=1) == 0x100 - (1 << 8 - bits)


@given(st.integers(0, (1 << 64) - 1), st.booleans())
def test_irouter_has_halves_and_fields(value: int, one_of_n: bool) -> None:
    """64 bits at once or 32 at a time; RES0 where there is no field."""
    driver = Driver(Parameters(one_of_n=one_of_n))
    mask = 0xFF_00FF_FFFF | one_of_n << 31
    offset = IROUTER + 8 * 77
    assert driver.gicd(offset, value, size=8) == value & mask
    assert driver.gicd(offset) == value & mask & ONES
    assert driver.gicd(offset + 4) == (value & mask) >> 32
    driver.gicd(offset + 4, 0x5A)
    assert driver.gicd(offset, size=8) == 0x5A << 32 | value & mask & ONES
    driver.gicd(offset, 0x010203)
    assert driver.gicd(offset, size=8) == 0x5A_0001_0203


@pytest.mark.parametrize("offset", FAMILIES)
def test_private_interrupts_are_not_the_distributors(offset: int) -> None:
    """With affinity routing the words of INTIDs 0 to 31 are RAZ/WI."""
    driver = Driver(FULL)
    width = {IPRIORITYR: 32, ICFGR: 8, NSACR: 8}.get(offset, 4)
    for place in range(offset, offset + width, 4):
        assert driver.gicd(place, ONES) == 0
    assert driver.gicd(IROUTER + 8 * 31, ONES, size=8) == 0
    assert driver.machine.distributor.spis.state() == Machine(FULL).distributor.spis.state()


@pytest.mark.parametrize("offset", [0x800, 0x820, 0xBF8, 0xF00, 0xF10, 0xF1C, 0xF20, 0xF2C])
def test_registers_of_gicv2_are_raz_wi(offset: int) -> None:
    """ITARGETSR, SGIR, CPENDSGIR, SPENDSGIR, by word and by byte; no status tells of it."""
    driver = Driver()
    assert driver.gicd(offset, ONES) == driver.gicd(offset, 0xFF, size=1) == 0
    assert driver.gicd(STATUSR) == 0


@pytest.mark.parametrize(("standard", "extended"), FAMILIES.items())
def test_extended_spis_have_registers_of_their_own(standard: int, extended: int) -> None:
    """The same families at other offsets, for INTIDs from 4096 on."""
    driver = Driver(FULL)
    width = {IPRIORITYR: 8, ICFGR: 2, NSACR: 2}.get(standard, 1)
    if standard == ICENABLER:
        driver.gicd(0x1204, ONES)
    if standard == ICACTIVER:
        driver.gicd(0x1A04, ONES)
    value = 0x1234_5678 & (0x5555_5555 << 1 if standard == ICFGR else 0xFEFE_FEFE)
    second_word = extended + 4 * width
    got = driver.gicd(second_word, value)
    wanted = ~value & ONES if standard in (ICENABLER, ICACTIVER) else value
    assert got == (0 if standard == ICPENDR else wanted)
    assert driver.gicd(extended + 8 * width, ONES) == 0  # 64 of them
    spis, fresh = driver.machine.distributor.spis, Machine(FULL).distributor.spis
    assert spis.state() == fresh.state()


def test_extended_routes() -> None:
    """GICD_IROUTER<n>E from 0x8000 on."""
    driver = Driver(FULL)
    assert driver.gicd(0x8000 + 8 * 63, 0x213, size=8) == 0x213
    assert driver.machine.distributor.espis.route(63) == 0x213
    assert driver.gicd(0x8000 + 8 * 64, 0x213, size=8) == 0


def test_interrupts_that_are_not_there_have_no_fields() -> None:
    """The words of INTIDs from 256 on; of 988 SPIs, 1020 to 1023."""
    driver = Driver()
    for offset in (IGROUPR, ISENABLER, ISPENDR, ISACTIVER):
        assert driver.gicd(offset + 4 * 7, ONES) == ONES
        assert driver.gicd(offset + 4 * 8, ONES) == 0
    assert driver.gicd(IPRIORITYR + 256, ONES) == driver.gicd(ICFGR + 64, ONES) == 0
    all_of_them = Driver(Parameters(spis=988))
    assert all_of_them.gicd(ISENABLER + 4 * 31, ONES) == 0x0FFF_FFFF
    assert all_of_them.gicd(IPRIORITYR + 1016, ONES) == 0xF8F8F8F8
    assert all_of_them.gicd(IROUTER + 8 * 1020, 1, size=8) == 0


def test_non_maskable_needs_the_feature() -> None:
    """GICD_INMIR is RES0 without FEAT_GICv3_NMI."""
    assert Driver().gicd(INMIR + 4, ONES) == 0
    assert Driver(FULL).gicd(INMIR + 4, ONES) == ONES


# ---- two security states --------------------------------------------------------------------


@given(WORDS, WORDS, st.sampled_from([ISENABLER, ISPENDR, ISACTIVER, INMIR]))
def test_non_secure_software_reaches_non_secure_interrupts(
    groups: int, value: int, offset: int
) -> None:
    """The others are RAZ/WI; what Secure software set is not touched."""
    driver = Driver(FULL)
    driver.gicd(IGROUPR + 4, groups)
    assert driver.gicd(offset + 4, value, s=False) == value & groups
    assert driver.gicd(offset + 4) == value & groups
    driver.gicd(offset + 4, ONES)
    assert driver.gicd(offset + 4, s=False) == groups


def test_groups_are_secure_softwares() -> None:
    """IGROUPR, IGRPMODR and NSACR are RAZ/WI to Non-secure accesses."""
    driver = Driver(TWO_STATES)
    for offset in (IGROUPR + 4, IGRPMODR + 4, NSACR + 8):
        assert driver.gicd(offset, 0xA5) == 0xA5
        assert driver.gicd(offset, 0xFF, s=False) == 0
        assert driver.gicd(offset) == 0xA5


def test_non_secure_priorities_are_the_lower_half() -> None:
    """Written 0xvv they are 0x80 | vv >> 1, with a bit less; read they are shifted back."""
    driver = Driver(TWO_STATES)
    driver.gicd(IGROUPR + 4, 0b0101)
    driver.gicd(IPRIORITYR + 32, 0x20406080)
    assert driver.gicd(IPRIORITYR + 32, s=False) == 0x00800000
    driver.gicd(IPRIORITYR + 32, 0xFFA0FFF8, s=False)
    assert driver.gicd(IPRIORITYR + 32) == 0x20D060F8
    assert driver.gicd(IPRIORITYR + 32, s=False) == 0x00A000F0
    assert driver.gicd(IPRIORITYR + 34, 0x10, size=1, s=False) == 0x10
    assert driver.gicd(IPRIORITYR + 34, size=1) == 0x88


def test_triggers_of_secure_interrupts_are_secure_softwares() -> None:
    """ICFGR, two bits each."""
    driver = Driver(TWO_STATES)
    driver.gicd(IGROUPR + 4, 0b01)
    assert driver.gicd(ICFGR + 8, ONES, s=False) == 0b10
    assert driver.gicd(ICFGR + 8, 0b1000) == 0b1000
    assert driver.gicd(ICFGR + 8, s=False) == 0


@pytest.mark.parametrize("level", [0, 1, 2, 3])
def test_nsacr_gives_non_secure_software_more(level: int) -> None:
    """Level 1 pending, 2 also clearing it and reading active, 3 also the route."""
    driver = Driver(TWO_STATES)
    driver.gicd(NSACR + 8, level)
    assert driver.gicd(ISPENDR + 4, 1, s=False) == (level >= 1)
    assert driver.gicd(ISPENDR + 4, 1) == 1
    driver.gicd(ICPENDR + 4, 1, s=False)
    assert driver.gicd(ISPENDR + 4) == (level < 2)
    driver.gicd(ISACTIVER + 4, 1, s=False)
    assert driver.gicd(ISACTIVER + 4) == 0
    driver.gicd(ISACTIVER + 4, 1)
    assert driver.gicd(ISACTIVER + 4, s=False) == driver.gicd(ICACTIVER + 4, s=False)
    assert driver.gicd(ISACTIVER + 4, s=False) == (level >= 2)
    assert driver.gicd(ISENABLER + 4, 1, s=False) == 0
    driver.gicd(IROUTER + 8 * 32, 1, size=8, s=False)
    assert driver.gicd(IROUTER + 8 * 32, size=8) == (level == 3)


# ---- message-based SPIs ---------------------------------------------------------------------


def with_messages() -> Driver:
    """A machine with two security states and GICD_TYPER.MBIS; SPI 33 is Non-secure."""
    driver = Driver(Parameters.from_dict({**FULL.as_dict(), "message_based_spis": True}))
    driver.gicd(IGROUPR + 4, 0b10)
    return driver


@pytest.mark.parametrize("size", [2, 4])
@pytest.mark.parametrize("is_edge", [False, True])
def test_messages_set_and_clear_the_pending_state(size: int, is_edge: bool) -> None:
    """Of edges and of levels; a level stays when it is acknowledged."""
    driver = with_messages()
    driver.gicd(ICFGR + 8, 0b1000 if is_edge else 0)
    driver.gicd(SETSPI_NSR, 33, size=size, s=False)
    assert driver.gicd(ISPENDR + 4) == 0b10
    driver.gicd(ISENABLER + 4, 0b10)
    assert driver.mrs("ICC_IAR1_EL1", 3) == 33
    assert driver.gicd(ISPENDR + 4) == (0 if is_edge else 0b10)
    driver.gicd(SETSPI_NSR, 33)
    driver.gicd(CLRSPI_NSR, 33, size=size, s=False)
    assert driver.gicd(ISPENDR + 4) == 0


def test_messages_of_non_secure_software_reach_what_nsacr_gives() -> None:
    """Set at level 1, clear at level 2; the Secure registers not at all."""
    driver = with_messages()
    for offset in (SETSPI_NSR, SETSPI_SR):
        driver.gicd(offset, 32, s=False)
        assert driver.gicd(ISPENDR + 4) == 0
    driver.gicd(SETSPI_SR, 32)
    assert driver.gicd(ISPENDR + 4) == 1
    for level, left in ((1, 1), (2, 0)):
        driver.gicd(NSACR + 8, level)
        driver.gicd(SETSPI_NSR, 32, s=False)
        driver.gicd(CLRSPI_SR, 32, s=False)
        driver.gicd(CLRSPI_NSR, 32, s=False)
        assert driver.gicd(ISPENDR + 4) == left
    driver.gicd(SETSPI_NSR, 4096 + 3)
    assert driver.gicd(0x1600) == 1 << 3
    driver.gicd(CLRSPI_SR, 4096 + 3)
    assert driver.gicd(0x1600) == 0
    for intid in (31, 1023, 8191):
        driver.gicd(SETSPI_SR, intid)


def test_without_mbis_there_are_no_messages() -> None:
    """The registers are reserved."""
    driver = Driver()
    driver.gicd(SETSPI_NSR, 40)
    assert driver.gicd(ISPENDR + 4) == 0
    assert driver.gicd(STATUSR) & 2


# ---- what is not there ----------------------------------------------------------------------


def test_statusr_tells_of_wrong_accesses() -> None:
    """A bit a kind, cleared by writing 1, a copy a security state."""
    driver = with_messages()
    assert driver.gicd(STATUSR) == 0
    driver.gicd(0x14)
    assert driver.gicd(STATUSR) == 0b0001
    driver.machine.write(GICD + 0x14, 4, 1, True)
    driver.gicd(SETSPI_SR)
    driver.machine.write(GICD + TYPER, 4, 1, True)
    assert driver.gicd(STATUSR) == 0b1111
    assert driver.gicd(STATUSR, s=False) == 0
    assert driver.gicd(STATUSR, 0b0110) == 0b1001
    driver.gicd(IPRIORITYR + 32, size=8, s=False)
    assert driver.gicd(STATUSR, s=False) == 0b0001
    assert driver.gicd(STATUSR, 1, s=False) == 0
    assert driver.gicd(STATUSR) == 0b1001


@given(
    st.lists(
        st.tuples(
            st.integers(0, 0xFFFF) | st.sampled_from([o + 4 for o in FAMILIES]),
            st.sampled_from([1, 2, 4, 8]),
            st.integers(0, (1 << 64) - 1),
            st.booleans(),
        ),
        max_size=30,
    )
)
def test_any_access_keeps_what_is_not_implemented_zero(
    accesses: list[tuple[int, int, int, bool]],
) -> None:
    """No exception, values that fit their size, no bit of an absent field or interrupt."""
    machine = Machine(TWO_STATES)
    for offset, size, value, secure in accesses:
        machine.write(GICD + offset, size, value, secure)
        assert 0 <= machine.read(GICD + offset, size, secure) < 1 << 8 * size
    spis = machine.distributor.spis
    for bits in (spis.group, spis.modifier, spis.enabled, spis.latch, spis.active, spis.edge):
        assert 0 <= bits <= spis.mask
    assert spis.nmi == 0
    assert all(priority & 7 == 0 for priority in spis.priority)
    assert all(route & ~0xFF_00FF_FFFF == 0 for route in spis.routes.values())
    assert machine.distributor.espis.state() == Machine(TWO_STATES).distributor.espis.state()
