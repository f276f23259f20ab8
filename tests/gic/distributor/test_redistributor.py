"""GICR_*: private interrupts, the power state, and what the redistributor says it is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvtrap.gic import Machine, Parameters
from nvtrap.gic.distributor.redistributor import Redistributor
from tests.gic.machines import (
    FULL,
    GICR,
    ICFGR,
    ICPENDR,
    IGROUPR,
    IGRPMODR,
    INMIR,
    IPRIORITYR,
    ISENABLER,
    ISPENDR,
    NSACR,
    TWO_STATES,
    Driver,
)

# RD_base, from the SGI frame.
RD = -0x1_0000
CTLR, IIDR, TYPER, STATUSR, WAKER = RD, RD + 4, RD + 8, RD + 0x10, RD + 0x14
SETLPIR, PROPBASER = RD + 0x40, RD + 0x70
ONES = 0xFFFF_FFFF
WORDS = st.integers(0, ONES)


def test_identification_is_that_of_qemus_board() -> None:
    """GICR_TYPER of both PEs, whole and in halves, GICR_CTLR, GICR_IIDR, GICR_PIDR2."""
    driver = Driver()
    assert driver.gicr(TYPER, size=8) == 0x1000001
    assert driver.gicr(TYPER, pe=1, size=8) == 0x1_0100_0111
    assert driver.gicr(TYPER, pe=1) == 0x0100_0111
    assert driver.gicr(TYPER + 4, pe=1) == 1
    assert driver.gicr(CTLR) == 0x2
    assert driver.gicr(IIDR) == 0x43B
    assert driver.gicr(RD + 0xFFE8) == 0x3B
    assert driver.gicr(RD + 0x18) == driver.gicr(RD + 0x1C) == 0


@pytest.mark.parametrize(
    ("choice", "bits", "value"),
    [
        ({"extended_ppis": 32}, 0x1F << 27, 1 << 27),
        ({"extended_ppis": 64}, 0x1F << 27, 2 << 27),
        ({"one_of_n": True}, 1 << 5, 1 << 5),
        ({"lpis": False}, 3 << 24 | 1, 0),
        ({"direct_injection": True, "its": True}, 1 << 1, 1 << 1),
    ],
)
def test_typer_says_what_was_chosen(choice: dict[str, int], bits: int, value: int) -> None:
    """A field a choice; the others stay as they were."""
    if "its" in choice:
        choice = choice | {"gicr_base": 0x900_0000}
    typer = Machine(Parameters.from_dict(choice)).redistributors[0].read(8, 8)
    assert typer & bits == value
    assert typer & ~bits == 0x1000001 & ~bits


def test_typer_has_the_affinity() -> None:
    """Aff3.Aff2.Aff1.Aff0 in the upper half, the number of the PE in [23:8]."""
    driver = Driver(FULL)
    typer = driver.gicr(TYPER, pe=2, size=8)
    assert (typer >> 32, typer >> 8 & 0xFFFF, typer >> 4 & 1) == (0x0100_0213, 2, 0)
    assert driver.gicr(TYPER, pe=3, size=8) >> 4 & 1


@given(WORDS, WORDS)
def test_ctlr_has_the_exclusions_of_one_of_n(secure: int, non_secure: int) -> None:
    """DPG0 and DPG1S are Secure; without 1-of-N there is none."""
    secure, non_secure = secure & ~1, non_secure & ~1
    driver = Driver(FULL)
    assert driver.gicr(CTLR, secure) == secure & 7 << 24 | 2
    assert driver.gicr(CTLR, non_secure, s=False) == non_secure & 2 << 24 | 2
    assert driver.gicr(CTLR) == secure & 5 << 24 | non_secure & 2 << 24 | 2
    assert Driver().gicr(CTLR, secure) == 2


def test_lpis_are_enabled_in_ctlr() -> None:
    """EnableLPIs, which can be cleared again; nothing of it without LPIs."""
    driver = Driver()
    assert driver.gicr(CTLR, 1) == 3
    assert driver.machine.redistributors[0].lpis.enabled
    assert driver.gicr(CTLR, 0) == 2
    assert Driver(Parameters(lpis=False)).gicr(CTLR, 1) == 0


def test_the_registers_of_direct_lpis_come_with_them() -> None:
    """GICR_TYPER.DirectLPI and GICR_CTLR.IR; else GICR_SETLPIR and the like are reserved."""
    driver = Driver()
    driver.gicr(PROPBASER, 0x10_0000 | 15, size=8)
    driver.gicr(RD + 0x78, 0x20_0000, size=8)
    assert driver.gicr(PROPBASER, size=8) == 0x10_0000 | 15
    driver.gicr(CTLR, 1)
    lpis = driver.machine.redistributors[0].lpis
    driver.machine.write(GICR + 0x40, 8, 8192)
    assert (lpis.is_pending(8192), driver.gicr(STATUSR)) == (False, 2)
    driver = Driver(Parameters(direct_lpis=True))
    driver.gicr(PROPBASER, 0x10_0000 | 15, size=8)
    driver.gicr(RD + 0x78, 0x20_0000, size=8)
    driver.gicr(CTLR, 1)
    driver.machine.write(GICR + 0x40, 8, 8192)
    assert driver.machine.redistributors[0].lpis.is_pending(8192)
    assert driver.gicr(CTLR) == 7
    assert driver.gicr(TYPER, size=8) == 0x1000009


def test_a_sleeping_pe_gets_nothing() -> None:
    """ProcessorSleep and ChildrenAsleep go together; awake again it has what was pending."""
    driver = Driver()
    driver.pend(40, 0x10)
    assert driver.mrs("ICC_HPPIR1_EL1") == 40
    assert driver.gicr(WAKER, 2) == 6
    assert driver.mrs("ICC_HPPIR1_EL1") == driver.mrs("ICC_IAR1_EL1") == 1023
    assert driver.mrs("ISR_EL1") == 0
    assert driver.machine.pes[0].physical.wakes()
    assert driver.gicr(WAKER, ~2) == 0
    assert driver.mrs("ISR_EL1") == 1 << 7
    assert not driver.machine.pes[0].physical.wakes()


def test_the_power_state_is_secure_softwares() -> None:
    """GICR_WAKER is RAZ/WI to Non-secure accesses, and PEs sleep out of reset."""
    machine = Machine(TWO_STATES)
    assert machine.read(GICR + 0x14, 4, secure=True) == 6
    assert machine.read(GICR + 0x14, 4) == 0
    machine.write(GICR + 0x14, 4, 0)
    assert machine.redistributors[0].asleep
    machine.write(GICR + 0x14, 4, 0, secure=True)
    assert not machine.redistributors[0].asleep


# ---- private interrupts ---------------------------------------------------------------------


def test_private_interrupts_are_a_pes_own() -> None:
    """Nothing is seen in the frame of another PE."""
    driver = Driver()
    for offset in (IGROUPR, ISENABLER, ISPENDR, IPRIORITYR + 16):
        assert driver.gicr(offset, 0xF8F8_F8F8) == 0xF8F8_F8F8
        assert driver.gicr(offset, pe=1) == 0


def test_sgis_are_edges_and_the_maintenance_interrupt_is_a_level() -> None:
    """The rest of the PPIs are as software says."""
    driver = Driver()
    assert driver.gicr(ICFGR, 0) == driver.gicr(ICFGR, ONES) == 0xAAAA_AAAA
    assert driver.gicr(ICFGR + 4) == 0
    assert driver.gicr(ICFGR + 4, ONES) == 0xAAAA_AAAA & ~(2 << 2 * 9)


def test_the_maintenance_interrupt_is_the_pes() -> None:
    """Pending while the virtual interface has something to say; nobody can clear it."""
    driver = Driver()
    assert driver.gicr(ISPENDR) == 0
    driver.msr("ICH_HCR_EL2", 1 | 1 << 1)  # En, UIE: no list register is in use
    assert driver.gicr(ISPENDR) == driver.gicr(ICPENDR, ONES) == 1 << 25
    driver.gicr(IGROUPR, 1 << 25)
    driver.gicr(ISENABLER, 1 << 25)
    assert driver.mrs("ICC_IAR1_EL1") == 25
    assert driver.gicr(ISPENDR) == 1 << 25  # and active
    assert driver.mrs("ICC_HPPIR1_EL1") == 1023
    driver.msr("ICC_EOIR1_EL1", 25)
    assert driver.mrs("ICC_HPPIR1_EL1") == 25
    driver.msr("ICH_HCR_EL2", 0)
    assert driver.gicr(ISPENDR) == 0
    assert driver.mrs("ICC_HPPIR1_EL1") == 1023


def test_without_a_pe_the_maintenance_interrupt_is_low() -> None:
    """A redistributor alone."""
    machine = Machine()
    alone = Redistributor(
        machine.parameters, 0, machine.distributor, machine.redistributors[0].lpis
    )
    assert alone.state()["ppis"]["line"] == "0"


def test_extended_ppis_follow() -> None:
    """INTIDs from 1056 on have the next words of every family."""
    driver = Driver(FULL)
    assert driver.gicr(IGROUPR + 8, 1 << 31) == 1 << 31
    assert driver.gicr(ISENABLER + 8, 1 << 31) == 1 << 31
    assert driver.gicr(IPRIORITYR + 95, 0x40, size=1) == 0x40
    assert driver.gicr(ICFGR + 0x14, ONES) == 0xAAAA_AAAA
    assert driver.gicr(IGRPMODR + 8, 3) == 3
    assert driver.gicr(INMIR + 4, 3) == 3
    driver.machine.wire(1119, True)
    assert driver.gicr(ISPENDR + 8) == 1 << 31
    assert driver.mrs("ICC_IAR1_EL1", 3) == 1119
    assert driver.gicr(IGROUPR + 12, ONES) == driver.gicr(NSACR + 4, ONES) == 0
    none = Driver()
    assert none.gicr(IGROUPR + 4, ONES) == none.gicr(IPRIORITYR + 32, ONES) == 0


@given(WORDS, WORDS)
def test_non_secure_software_reaches_non_secure_interrupts(groups: int, value: int) -> None:
    """GICR_NSACR gives no access to registers: it is about generating SGIs."""
    driver = Driver(TWO_STATES)
    driver.gicr(IGROUPR, groups)
    assert driver.gicr(NSACR, ONES) == ONES
    assert driver.gicr(NSACR, s=False) == 0
    assert driver.gicr(ISPENDR, value, s=False) == value & groups
    assert driver.gicr(ISENABLER, value, s=False) == value & groups
    assert driver.gicr(IGROUPR, value, s=False) == 0
    assert driver.gicr(IGROUPR) == groups


def test_the_vlpi_frame_answers_with_direct_injection() -> None:
    """RD_base + 0x20000; the frame after it is reserved."""
    parameters = Parameters(direct_injection=True, its=True, gicr_base=0x900_0000)
    machine = Machine(parameters)
    machine.write(0x902_0070, 8, 0x123_000F)
    assert machine.read(0x902_0070, 8) == 0x123_000F
    machine.write(0x903_0070, 8, 0x123_000F)
    assert machine.read(0x903_0070, 8) == 0
    assert machine.read(0x904_0008, 8) == 0x1_0100_0113


@given(
    st.lists(
        st.tuples(
            st.integers(0, 0x1_FFFF) | st.sampled_from([0, 0x14, 0x1_0C04, 0x1_0E00, 0x1_0F80]),
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
        machine.write(GICR + offset, size, value, secure)
        assert 0 <= machine.read(GICR + offset, size, secure) < 1 << 8 * size
    redistributor = machine.redistributors[0]
    ppis = redistributor.ppis
    for bits in (ppis.group, ppis.modifier, ppis.enabled, ppis.latch, ppis.active):
        assert 0 <= bits <= ppis.mask
    assert ppis.edge & 0x200_FFFF == 0xFFFF
    assert (ppis.nmi, ppis.access_low >> 16, redistributor.dpg) == (0, 0, 0)
    assert all(priority & 7 == 0 for priority in ppis.priority)
    assert redistributor.eppis.state() == Machine(TWO_STATES).redistributors[0].eppis.state()
