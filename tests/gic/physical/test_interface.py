"""The physical CPU interface: selection, acknowledge, end, and the two security states."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvtrap.gic import Parameters
from nvtrap.gic.distributor.bank import GROUP0, GROUP1_NS, GROUP1_S
from nvtrap.gic.priority import group_mask
from tests.gic.machines import (
    FULL,
    GICR,
    ICACTIVER,
    ICENABLER,
    ICFGR,
    IGROUPR,
    IGRPMODR,
    INMIR,
    IPRIORITYR,
    ISACTIVER,
    ISENABLER,
    ISPENDR,
    TWO_STATES,
    Driver,
)

NMI_PARAMETERS = Parameters(nmi=True)
SCR_NS, SCR_IRQ, SCR_FIQ = 1, 2, 4
IRQ, FIQ, IDLE = 1 << 7, 1 << 6, 0xFF
INTIDS = st.sampled_from([0, 3, 15, 17, 31, 32, 33, 77, 255])
PRIORITIES = st.sampled_from([0, 0x20, 0x28, 0x30, 0x80, 0xA8, 0xF0])


# ---- selection ------------------------------------------------------------------------------


@given(
    st.dictionaries(INTIDS, st.tuples(PRIORITIES, st.integers(0, 1)), max_size=6),
    st.integers(0, 3),
    st.integers(0, 3),
    st.sets(INTIDS, max_size=2),
)
def test_the_highest_pending_is_the_best_of_the_enabled_groups(
    pending: dict[int, tuple[int, int]], forwarded: int, enabled: int, active: set[int]
) -> None:
    """Both enables of a group count; what is active does not; ties go to the lower INTID."""
    driver = Driver()
    for intid, (priority, group) in pending.items():
        driver.pend(intid, priority, group)
    for intid in active:
        access = driver.gicr if intid < 32 else driver.gicd
        access(ISACTIVER + intid // 32 * 4, 1 << intid % 32)
    driver.gicd(0, forwarded)
    driver.msr("ICC_IGRPEN0_EL1", enabled & 1)
    driver.msr("ICC_IGRPEN1_EL1", enabled >> 1)
    candidates = [
        (priority, intid, group)
        for intid, (priority, group) in pending.items()
        if forwarded & enabled & 1 << group and intid not in active
    ]
    _, intid, group = min(candidates, default=(0, 1023, 0))
    seen = [driver.mrs(f"ICC_HPPIR{n}_EL1") for n in (0, 1)]
    assert seen == [intid if n == group else 1023 for n in (0, 1)]


@given(PRIORITIES, PRIORITIES, PRIORITIES, st.integers(0, 7), st.integers(0, 1), st.booleans())
def test_mask_and_running_priority_hold_interrupts_back(
    running: int, priority: int, mask: int, bpr: int, group: int, common: bool
) -> None:
    """Strictly higher than the mask, and in group priority than what runs; the lines agree.

    What counts of both priorities is group priority under the present binary point.
    """
    driver = Driver()
    driver.pend(40, running, 0)
    driver.msr("ICC_PMR_EL1", 0xF8)
    assert driver.mrs("ICC_IAR0_EL1") == 40
    running = running & group_mask(2, 0)
    assert driver.mrs("ICC_RPR_EL1") == running
    driver.msr("ICC_CTLR_EL1", int(common))
    driver.msr("ICC_BPR0_EL1", bpr)
    if not common:
        driver.msr("ICC_BPR1_EL1", bpr)
    driver.msr("ICC_PMR_EL1", mask)
    driver.pend(41, priority, group)
    by_bpr1 = group and not common
    bits = group_mask(max(bpr, 3 if by_bpr1 else 2), int(by_bpr1))
    taken = priority < mask and priority & bits < running & bits
    assert driver.mrs("ISR_EL1") == (0 if not taken else IRQ if group else FIQ)
    assert driver.mrs(f"ICC_HPPIR{group}_EL1") == 41
    assert driver.mrs(f"ICC_IAR{1 - group}_EL1") == 1023
    assert driver.mrs(f"ICC_IAR{group}_EL1") == (41 if taken else 1023)
    assert driver.mrs("ICC_RPR_EL1") == (priority & bits if taken else running)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, (1 << 64) - 1)), max_size=4))
def test_the_running_priority_is_the_highest_active(writes: list[tuple[int, int]]) -> None:
    """The lowest set bit of all active-priority registers together."""
    driver = Driver(Parameters(physical_priority_bits=8))
    words: dict[int, int] = {}
    for n, value in writes:
        driver.msr(f"ICC_AP{n & 1}R{n}_EL1", value)
        words[n] = value & 0xFFFF_FFFF
        assert driver.mrs(f"ICC_AP{n & 1}R{n}_EL1") == words[n]
    active = sum(word << 32 * n for n, word in words.items())
    wanted = ((active & -active).bit_length() - 1) * 2 if active else IDLE
    assert driver.mrs("ICC_RPR_EL1") == wanted


# ---- registers ------------------------------------------------------------------------------


@given(st.integers(0, (1 << 64) - 1))
def test_control_registers_keep_their_fields(value: int) -> None:
    """Reserved bits read 0, read-only fields stay, binary points have a minimum."""
    driver = Driver()
    wanted = {
        "ICC_PMR_EL1": value & 0xF8,
        "ICC_BPR0_EL1": max(value & 7, 2),
        "ICC_IGRPEN0_EL1": value & 1,
        "ICC_IGRPEN1_EL1": value & 1,
        "ICC_SRE_EL1": 7,
        "ICC_SRE_EL2": 0xF,
        "ICC_AP0R0_EL1": value & 0xFFFF_FFFF,
        "ICC_AP1R0_EL1": value & 0xFFFF_FFFF,
        "ICC_BPR1_EL1": max(value & 7, 3),
        "ICC_CTLR_EL1": 0x8C00 | value & 3,
    }
    for register, result in wanted.items():
        driver.msr(register, value)
        assert driver.mrs(register) == result, register
    if value & 1:
        assert driver.mrs("ICC_BPR1_EL1") == min(max(value & 7, 2) + 1, 7)


def test_ctlr_says_what_was_chosen() -> None:
    """ExtRange, RSS, A3V, SEIS, IDbits, PRIbits; at EL3 as well."""
    driver = Driver(FULL)
    assert driver.mrs("ICC_CTLR_EL1") == 1 << 19 | 1 << 18 | 1 << 15 | 1 << 11 | 6 << 8
    assert driver.mrs("ICC_CTLR_EL3", 3) == 1 << 19 | 1 << 18 | 1 << 15 | 1 << 11 | 6 << 8
    other = Driver(
        Parameters(a3v=False, seis=True, intid_bits=16, physical_priority_bits=8, lpis=False)
    )
    assert other.mrs("ICC_CTLR_EL1") == 1 << 14 | 7 << 8


# ---- the end of an interrupt ----------------------------------------------------------------


@pytest.mark.parametrize("split", [False, True])
@pytest.mark.parametrize("group", [0, 1])
def test_the_priority_drops_and_the_interrupt_is_deactivated(split: bool, group: int) -> None:
    """At once, or by ICC_DIR_EL1 with EOImode 1."""
    driver = Driver()
    driver.msr("ICC_CTLR_EL1", split << 1)
    driver.pend(77, 0x40, group)
    assert driver.mrs(f"ICC_IAR{group}_EL1") == 77
    assert driver.gicd(ISPENDR + 8) == 0
    assert driver.gicd(ISACTIVER + 8) == 1 << 13
    driver.msr("ICC_DIR_EL1", 77 if not split else 1023)
    driver.msr(f"ICC_EOIR{1 - group}_EL1", 77)  # of the other group: no drop
    assert driver.mrs("ICC_RPR_EL1") == 0x40
    assert driver.gicd(ISACTIVER + 8) == 1 << 13
    driver.msr(f"ICC_EOIR{group}_EL1", 77)
    assert driver.mrs("ICC_RPR_EL1") == IDLE
    assert driver.gicd(ISACTIVER + 8) == split << 13
    driver.msr("ICC_DIR_EL1", 77)
    assert driver.gicd(ISACTIVER + 8) == 0


@pytest.mark.parametrize("intid", [1020, 1023, 500, 1056, 4096, 7000, 1 << 16, 0xFF_FFFF])
def test_an_intid_that_there_is_not_ends_nothing(intid: int) -> None:
    """Special and reserved numbers, and those beyond what is implemented."""
    driver = Driver()
    driver.pend(40, 0x40)
    driver.mrs("ICC_IAR1_EL1")
    driver.msr("ICC_EOIR1_EL1", intid)
    driver.msr("ICC_DIR_EL1", intid)
    assert driver.mrs("ICC_RPR_EL1") == 0x40


def test_an_end_with_nothing_active_is_nothing() -> None:
    """No priority drops and no interrupt is deactivated."""
    driver = Driver()
    driver.gicd(ISACTIVER + 4, 1 << 8)
    driver.msr("ICC_EOIR1_EL1", 40)
    assert driver.gicd(ISACTIVER + 4) == 1 << 8
    assert driver.mrs("ICC_RPR_EL1") == IDLE


def test_preemption_nests() -> None:
    """Three deep, of both groups; EOIs take them off in the order of their priorities."""
    driver = Driver()
    order = [(40, 0xA0, 1), (41, 0x60, 0), (5, 0x20, 1)]
    for intid, priority, group in order:
        driver.pend(intid, priority, group)
        assert driver.mrs(f"ICC_IAR{group}_EL1") == intid
        assert driver.mrs("ICC_RPR_EL1") == priority
    running = [0x60, 0xA0, IDLE]
    for (intid, _, group), left in zip(reversed(order), running, strict=True):
        driver.msr(f"ICC_EOIR{group}_EL1", intid)
        assert driver.mrs("ICC_RPR_EL1") == left


def test_clearing_active_state_by_memory_leaves_the_priority() -> None:
    """GICD_ICACTIVER does not touch the active-priority registers."""
    driver = Driver()
    driver.pend(40, 0x40)
    driver.mrs("ICC_IAR1_EL1")
    driver.gicd(ICACTIVER + 4, 1 << 8)
    assert driver.gicd(ISACTIVER + 4) == 0
    assert driver.mrs("ICC_RPR_EL1") == 0x40
    assert driver.mrs("ICC_AP1R0_EL1") == 1 << 8


@pytest.mark.parametrize("intid", [3, 20, 40, 1023, 5000, 9000])
def test_a_guests_deactivation_reaches_the_physical_interrupt(intid: int) -> None:
    """Of a list register with HW = 1; numbers of nothing do nothing."""
    driver = Driver()
    driver.gicr(ISACTIVER, 1 << 3 | 1 << 20)
    driver.gicd(ISACTIVER + 4, 1 << 8)
    driver.machine.pes[0].physical.deactivate_by_hardware(intid)
    left = [n for n in (3, 20) if driver.gicr(ISACTIVER) >> n & 1]
    left += [40] * bool(driver.gicd(ISACTIVER + 4))
    assert left == [n for n in (3, 20, 40) if n != intid]


def test_a_level_is_pending_again_after_its_end() -> None:
    """While the line is high; an edge is not."""
    driver = Driver()
    driver.pend(40, 0x40)
    driver.pend(41, 0x48)
    driver.gicd(ICFGR + 8, 2 << 18)
    for intid in (40, 41):
        driver.machine.wire(intid, True)
    for intid in (40, 41):
        assert driver.mrs("ICC_IAR1_EL1") == intid
        driver.msr("ICC_EOIR1_EL1", intid)
        driver.gicd(ICENABLER + 4, 1 << 8)  # the level does not get in the way of the edge
    assert driver.gicd(ISPENDR + 4) == 1 << 8


# ---- LPIs -----------------------------------------------------------------------------------


def with_lpi(parameters: Parameters, configuration: int) -> Driver:
    """A machine with LPI 8195 pending for PE 0."""
    driver = Driver(parameters)
    driver.machine.memory.write(0x10_0003, 1, configuration)
    for offset, value in ((0x70, 0x10_0000 | 15), (0x78, 0x20_0000)):
        driver.machine.write(GICR + offset, 8, value)
    driver.machine.write(GICR, 4, 1)
    driver.machine.redistributors[0].lpis.set_pending(8195)
    return driver


def test_lpis_are_group_1_and_have_no_active_state() -> None:
    """They are taken as others are; the end drops the priority, deactivation is nothing."""
    driver = with_lpi(Parameters(), 0x41)
    driver.pend(40, 0x80)
    assert (driver.mrs("ICC_HPPIR0_EL1"), driver.mrs("ICC_HPPIR1_EL1")) == (1023, 8195)
    assert driver.mrs("ICC_IAR1_EL1") == 8195
    assert driver.mrs("ICC_RPR_EL1") == 0x40
    assert driver.mrs("ICC_HPPIR1_EL1") == 40
    driver.msr("ICC_EOIR1_EL1", 8195)
    driver.pend(41, 0x20)
    driver.machine.redistributors[0].lpis.set_pending(8195)
    assert driver.mrs("ICC_HPPIR1_EL1") == 41
    driver.gicd(ICENABLER + 4, 1 << 9)
    assert driver.mrs("ICC_IAR1_EL1") == 8195
    driver.msr("ICC_EOIR1_EL1", 8195)
    assert driver.mrs("ICC_IAR1_EL1") == 40


def test_the_priority_of_an_lpi_is_a_non_secure_view() -> None:
    """In the lower half with two security states, behind every Secure interrupt."""
    driver = with_lpi(TWO_STATES, 0x01)
    driver.msr("SCR_EL3", SCR_NS, el=3)
    assert driver.mrs("ICC_IAR1_EL1") == 8195
    assert driver.mrs("ICC_RPR_EL1", 3) == 0x80
    driver.machine.pes[0].physical.enables = 1
    driver.machine.redistributors[0].lpis.set_pending(8195)
    assert driver.mrs("ICC_HPPIR1_EL1") == 1023


# ---- two security states --------------------------------------------------------------------


GROUPS = {"0": GROUP0, "1S": GROUP1_S, "1NS": GROUP1_NS}
ORIGINS = {"secure": (1, 0), "non-secure": (2, SCR_NS), "el3": (3, SCR_NS)}


def pending(group: str) -> Driver:
    """A machine with two security states and SPI 40 of a group pending."""
    driver = Driver(TWO_STATES)
    driver.gicd(IGROUPR + 4, (group == "1NS") << 8)
    driver.gicd(IGRPMODR + 4, (group == "1S") << 8)
    driver.gicd(IPRIORITYR + 40, 0xA0, size=1)
    driver.gicd(ISENABLER + 4, 1 << 8)
    driver.gicd(ISPENDR + 4, 1 << 8)
    return driver


# What the registers of Group 0 and Group 1 return.
SEEN = {
    ("0", "secure"): (40, 1023),
    ("0", "non-secure"): (1023, 1023),
    ("0", "el3"): (40, 1023),
    ("1S", "secure"): (1023, 40),
    ("1S", "non-secure"): (1023, 1023),
    ("1S", "el3"): (1020, 40),
    ("1NS", "secure"): (1023, 1023),
    ("1NS", "non-secure"): (1023, 40),
    ("1NS", "el3"): (1021, 40),
}


@pytest.mark.parametrize(("group", "origin"), SEEN)
def test_who_sees_and_ends_an_interrupt(group: str, origin: str) -> None:
    """Each security state its own; EL3 all, and the special INTIDs."""
    el, scr = ORIGINS[origin]
    driver = pending(group)
    driver.msr("SCR_EL3", scr, el=3)
    seen = SEEN[group, origin]
    assert (driver.mrs("ICC_HPPIR0_EL1", el), driver.mrs("ICC_HPPIR1_EL1", el)) == seen
    register = int(group != "0")
    assert driver.mrs(f"ICC_IAR{1 - register}_EL1", el) == seen[1 - register]
    assert driver.mrs(f"ICC_IAR{register}_EL1", el) == seen[register]
    taken = seen[register] == 40
    assert driver.gicd(ISACTIVER + 4) == taken << 8
    if not taken:
        return
    for other, (other_el, other_scr) in ORIGINS.items():
        if 40 not in SEEN[group, other]:
            driver.msr("SCR_EL3", other_scr, el=3)
            driver.msr(f"ICC_EOIR{register}_EL1", 40, el=other_el)
            assert driver.mrs("ICC_RPR_EL1", 3) == 0xA0
    driver.msr("SCR_EL3", scr, el=3)
    driver.msr(f"ICC_EOIR{register}_EL1", 40, el=el)
    assert driver.mrs("ICC_RPR_EL1", 3) == IDLE
    assert driver.gicd(ISACTIVER + 4) == 0


@pytest.mark.parametrize(
    ("group", "origin", "lines"),
    [
        ("0", "secure", (False, True)),
        ("0", "non-secure", (False, True)),
        ("0", "el3", (False, True)),
        ("1S", "secure", (True, False)),
        ("1S", "non-secure", (False, True)),
        ("1S", "el3", (False, True)),
        ("1NS", "secure", (False, True)),
        ("1NS", "non-secure", (True, False)),
        ("1NS", "el3", (False, True)),
    ],
)
def test_irq_and_fiq(group: str, origin: str, lines: tuple[bool, bool]) -> None:
    """Group 1 of the own security state is an IRQ, all else a FIQ."""
    el, scr = ORIGINS[origin]
    assert pending(group).machine.pes[0].physical.signalled(el, not scr) == lines


@pytest.mark.parametrize("origin", ORIGINS)
def test_with_security_disabled_group_1_is_an_irq_and_everybodys(origin: str) -> None:
    """GICD_CTLR.DS = 1 is as one security state."""
    el, scr = ORIGINS[origin]
    driver = pending("1NS")
    driver.gicd(0, 0x43)
    driver.msr("SCR_EL3", scr, el=3)
    assert driver.machine.pes[0].physical.signalled(el, not scr) == (True, False)
    assert driver.mrs("ICC_IAR1_EL1", el) == 40


@pytest.mark.parametrize(("group", "scr", "el"), [*product(GROUPS, range(8), (1, 2, 3))])
def test_who_may_deactivate(group: str, scr: int, el: int) -> None:
    """Not what SCR_EL3 routes to EL3, and Non-secure software nothing that is Secure."""
    secure = not scr & SCR_NS
    if (el == 2 and secure) or (el < 3 and scr & 6 == 6):
        return  # no EL2 there; trapped to EL3
    driver = pending(group)
    driver.gicd(ISACTIVER + 4, 1 << 8)
    driver.machine.pes[0].physical.ctlr = 0b11100  # EOImode 1 everywhere
    driver.msr("SCR_EL3", scr, el=3)
    driver.msr("ICC_DIR_EL1", 40, el=el)
    routed = scr & (SCR_FIQ if group == "0" else SCR_IRQ)
    may = el == 3 or (not routed and (secure or group == "1NS"))
    assert driver.gicd(ISACTIVER + 4) == (not may) << 8


def test_a_non_secure_end_does_not_deactivate_a_secure_interrupt() -> None:
    """Even when the highest active priority is a Non-secure one."""
    driver = pending("1NS")
    driver.msr("SCR_EL3", SCR_NS, el=3)
    assert driver.mrs("ICC_IAR1_EL1") == 40
    driver.gicd(ISACTIVER + 4, 1 << 9)  # SPI 41 is of Group 0
    driver.msr("ICC_EOIR1_EL1", 41)
    assert driver.mrs("ICC_RPR_EL1", 3) == IDLE
    assert driver.gicd(ISACTIVER + 4) == 3 << 8


def test_eoimode_is_one_an_el_and_a_security_state() -> None:
    """ICC_CTLR_EL3 has all three; ICC_CTLR_EL1 shows that of the security state."""
    driver = Driver(TWO_STATES)
    ctlr = driver.mrs("ICC_CTLR_EL3", 3)
    for field, scr in ((3, 0), (4, SCR_NS)):
        driver.msr("SCR_EL3", scr, el=3)
        driver.msr("ICC_CTLR_EL1", 0b11, el=1)  # CBPR is read-only here
        assert driver.mrs("ICC_CTLR_EL1", 1) == ctlr | 2
        assert driver.mrs("ICC_CTLR_EL3", 3) == ctlr | 1 << field
        driver.msr("ICC_CTLR_EL1", 0, el=1)
    driver.msr("ICC_CTLR_EL3", (1 << 64) - 1, el=3)
    assert driver.mrs("ICC_CTLR_EL3", 3) == ctlr | 0b11111
    driver.msr("ICC_CTLR_EL3", 0b00100, el=3)
    assert driver.mrs("ICC_CTLR_EL1", 1) == ctlr
    physical = driver.machine.pes[0].physical
    physical.active[GROUP0] = 1
    driver.gicd(ISACTIVER + 4, 1 << 8)
    driver.msr("ICC_EOIR0_EL1", 40, el=3)
    assert (physical.active[GROUP0], driver.gicd(ISACTIVER + 4)) == (0, 1 << 8)
    driver.msr("ICC_DIR_EL1", 40, el=3)
    assert driver.gicd(ISACTIVER + 4) == 0


def test_banked_registers() -> None:
    """ICC_BPR1_EL1, ICC_IGRPEN1_EL1 and ICC_AP1R0_EL1, at EL3 by SCR_EL3.NS."""
    driver = Driver(TWO_STATES, groups=0)
    assert driver.mrs("ICC_BPR1_EL1", 3) == 2  # Secure: the minimum of ICC_BPR0_EL1
    driver.msr("ICC_BPR1_EL1", 5, el=3)
    driver.msr("ICC_IGRPEN1_EL1", 1, el=3)
    driver.msr("ICC_AP1R0_EL1", 0x10, el=3)
    assert driver.mrs("ICC_IGRPEN1_EL3", 3) == 2
    driver.msr("SCR_EL3", SCR_NS, el=3)
    assert [driver.mrs(f"ICC_{name}_EL1", 3) for name in ("BPR1", "IGRPEN1", "AP1R0")] == [3, 0, 0]
    driver.msr("ICC_IGRPEN1_EL3", 1, el=3)
    assert driver.mrs("ICC_IGRPEN1_EL1") == 1
    driver.msr("SCR_EL3", 0, el=3)
    assert [driver.mrs(f"ICC_{n}_EL1", 1) for n in ("BPR1", "IGRPEN1", "AP1R0")] == [5, 0, 0x10]
    assert driver.mrs("ICC_SRE_EL3", 3) == 0xF


def test_a_common_binary_point_is_one_a_security_state() -> None:
    """Secure software reaches ICC_BPR0_EL1 itself, Non-secure reads one more, EL3 its own."""
    driver = Driver(TWO_STATES)
    driver.msr("ICC_CTLR_EL3", 0b11, el=3)
    driver.msr("ICC_BPR1_EL1", 6, el=1)
    assert driver.mrs("ICC_BPR0_EL1", 1) == driver.mrs("ICC_BPR1_EL1", 1) == 6
    assert driver.mrs("ICC_BPR1_EL1", 3) == 2
    driver.msr("SCR_EL3", SCR_NS, el=3)
    driver.msr("ICC_BPR1_EL1", 4)
    assert (driver.mrs("ICC_BPR1_EL1"), driver.mrs("ICC_BPR1_EL1", 3)) == (7, 3)
    physical = driver.machine.pes[0].physical
    assert {physical.mask(group) for group in GROUPS.values()} == {group_mask(6, 0)}
    physical.ctlr = 0
    assert physical.mask(GROUP1_S) == group_mask(2, 0)
    assert physical.mask(GROUP1_NS) == group_mask(3, 1)


def test_non_secure_software_sees_half_of_the_priorities() -> None:
    """ICC_PMR_EL1 and ICC_RPR_EL1 when Group 0 is EL3's (SCR_EL3.FIQ)."""
    driver = Driver(TWO_STATES)
    driver.msr("ICC_PMR_EL1", 0x70, el=3)
    driver.msr("SCR_EL3", SCR_NS | SCR_FIQ, el=3)
    assert driver.mrs("ICC_PMR_EL1") == 0
    driver.msr("ICC_PMR_EL1", 0xFF)
    assert driver.mrs("ICC_PMR_EL1", 3) == 0x70
    driver.msr("ICC_PMR_EL1", 0x80, el=3)
    driver.msr("ICC_PMR_EL1", 0x50)
    assert (driver.mrs("ICC_PMR_EL1"), driver.mrs("ICC_PMR_EL1", 3)) == (0x50, 0xA8)
    assert driver.mrs("ICC_RPR_EL1") == IDLE
    driver.machine.pes[0].physical.active[GROUP1_NS] = 1 << (0xA8 >> 3)
    assert driver.mrs("ICC_RPR_EL1") == 0x50
    driver.machine.pes[0].physical.active[GROUP0] = 1 << (0x40 >> 3)
    assert (driver.mrs("ICC_RPR_EL1"), driver.mrs("ICC_RPR_EL1", 3)) == (0, 0x40)
    driver.msr("SCR_EL3", SCR_NS, el=3)
    assert (driver.mrs("ICC_PMR_EL1"), driver.mrs("ICC_RPR_EL1")) == (0xA8, 0x40)


# ---- non-maskable interrupts ----------------------------------------------------------------


def non_maskable(parameters: Parameters = NMI_PARAMETERS) -> Driver:
    """A machine with SPI 40 of Group 1 pending and non-maskable, of the lowest priority."""
    driver = Driver(parameters)
    driver.pend(40, 0xF8)
    driver.gicd(INMIR + 4, 1 << 8)
    return driver


def test_a_non_maskable_interrupt_goes_first_and_past_the_mask() -> None:
    """Before priority 0, with a mask that lets nothing through; RPR and AP1R0 say so."""
    driver = non_maskable()
    driver.pend(41, 0)
    driver.msr("ICC_PMR_EL1", 0)
    assert driver.mrs("ISR_EL1") & IRQ
    assert driver.mrs("ICC_HPPIR1_EL1") == 40
    assert driver.mrs("ICC_NMIAR1_EL1") == 40
    assert driver.mrs("ICC_RPR_EL1") == 1 << 63
    assert driver.mrs("ICC_AP1R0_EL1") == 1 << 63
    driver.msr("ICC_PMR_EL1", 0xF8)
    assert driver.mrs("ICC_IAR1_EL1") == driver.mrs("ICC_NMIAR1_EL1") == 1023
    driver.msr("ICC_EOIR1_EL1", 40)
    assert driver.mrs("ICC_RPR_EL1") == IDLE
    assert driver.mrs("ICC_NMIAR1_EL1") == 1023  # what is left is an ordinary one
    assert driver.mrs("ICC_IAR1_EL1") == 41


def test_a_non_maskable_interrupt_preempts_priority_0() -> None:
    """But not another non-maskable one."""
    driver = Driver(NMI_PARAMETERS)
    driver.pend(41, 0, 0)
    assert driver.mrs("ICC_IAR0_EL1") == 41
    for intid in (40, 42):
        driver.pend(intid, 0xF8)
    driver.gicd(INMIR + 4, 1 << 8 | 1 << 10)
    assert driver.mrs("ICC_NMIAR1_EL1") == 40
    assert driver.mrs("ICC_NMIAR1_EL1") == 1023
    assert driver.mrs("ISR_EL1") == 0
    driver.msr("ICC_EOIR1_EL1", 40)
    assert driver.mrs("ICC_RPR_EL1") == 0
    assert driver.mrs("ICC_NMIAR1_EL1") == 42


def test_iar1_leaves_it_to_nmiar1_when_the_pe_takes_nmis() -> None:
    """1022 with SCTLR_ELx.NMI, the INTID without."""
    driver = non_maskable()
    physical = driver.machine.pes[0].physical
    physical.nmi_levels = 1 << 2
    assert driver.mrs("ICC_IAR1_EL1", 2) == 1022
    assert driver.mrs("ICC_RPR_EL1") == IDLE
    physical.nmi_levels = 1 << 1
    assert driver.mrs("ICC_IAR1_EL1", 2) == 40
    assert driver.mrs("ICC_RPR_EL1") == 1 << 63


def test_group_0_is_never_non_maskable() -> None:
    """The property has no effect on it."""
    driver = non_maskable()
    driver.pend(40, 0x40, 0)
    driver.msr("ICC_PMR_EL1", 0x40)
    assert driver.mrs("ICC_IAR0_EL1") == 1023
    assert driver.mrs("ISR_EL1") == 0


def test_a_non_secure_nmi_is_behind_secure_interrupts() -> None:
    """Its priority is 0x80, for Secure software's mask as well; NMI_NS tells Secure software."""
    driver = non_maskable(FULL)
    physical = driver.machine.pes[0].physical
    for pmr, non_secure, secure in ((0x70, False, False), (0x80, True, False), (0x82, True, True)):
        driver.msr("ICC_PMR_EL1", pmr, el=3)
        assert any(physical.signalled(2)) == non_secure
        assert any(physical.signalled(1, secure=True)) == secure
    driver.pend(41, 0x40, 0)
    assert driver.mrs("ICC_HPPIR0_EL1", 3) == 41
    driver.gicd(ICENABLER + 4, 1 << 9)
    assert driver.mrs("ICC_NMIAR1_EL1", 3) == 40
    assert driver.mrs("ICC_RPR_EL1", 3) == 0x80 | 1 << 62
    driver.msr("SCR_EL3", SCR_NS, el=3)
    assert driver.mrs("ICC_RPR_EL1", 2) == 0x80 | 1 << 63
    driver.gicd(ISENABLER + 4, 1 << 9)
    assert driver.mrs("ICC_IAR0_EL1", 3) == 41
    driver.msr("ICC_EOIR0_EL1", 41, el=3)
    driver.msr("ICC_EOIR1_EL1", 40, el=2)
    assert driver.mrs("ICC_RPR_EL1", 3) == IDLE


def test_active_nmis_are_saved_and_restored_in_ap1r0() -> None:
    """Bit 63, a copy a security state; without the feature it is RES0."""
    driver = non_maskable(FULL)
    driver.msr("ICC_AP1R0_EL1", 1 << 63, el=3)
    assert driver.mrs("ICC_RPR_EL1", 3) == 1 << 63
    driver.msr("SCR_EL3", SCR_NS, el=3)
    assert driver.mrs("ICC_AP1R0_EL1", 3) == 0
    plain = Driver()
    plain.msr("ICC_AP1R0_EL1", 1 << 63)
    assert plain.mrs("ICC_AP1R0_EL1") == 0
