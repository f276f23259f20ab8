"""Software generated interrupts: which PEs a write names, and who takes them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvtrap.gic import Parameters
from tests.gic.machines import FULL, IGROUPR, IGRPMODR, ISPENDR, NSACR, TWO_STATES, Driver

REGISTERS = ("ICC_SGI0R_EL1", "ICC_SGI1R_EL1", "ICC_ASGI1R_EL1")
SCR_NS = 1
AFFINITIES = (0x0, 0x1, 0xF, 0x10, 0x1F, 0x100, 0x1_0001, 0x0100_0001)


def receivers(driver: Driver) -> list[int]:
    """The PEs that have SGI 3 pending."""
    return [n for n in range(len(driver.machine.pes)) if driver.gicr(ISPENDR, pe=n) == 1 << 3]


def value(targets: int, cluster: int = 0, selected: int = 0) -> int:
    """A register's value for SGI 3; the cluster is Aff3.Aff2.Aff1."""
    aff3, aff2, aff1 = cluster >> 16, cluster >> 8 & 0xFF, cluster & 0xFF
    return aff3 << 48 | selected << 44 | aff2 << 32 | 3 << 24 | aff1 << 16 | targets


@given(st.integers(0, 0xFFFF), st.sampled_from([0, 1, 2, 0x100, 0x1_0000]), st.integers(0, 15))
def test_a_write_names_a_cluster_a_range_and_a_list(
    targets: int, cluster: int, selected: int
) -> None:
    """A PE gets it when its Aff3.Aff2.Aff1 is the cluster and its Aff0 is in the list."""
    driver = Driver(Parameters(affinities=AFFINITIES, range_selector=True))
    driver.msr("ICC_SGI0R_EL1", value(targets, cluster, selected))
    named = {cluster << 8 | selected << 4 | n for n in range(16) if targets >> n & 1}
    assert receivers(driver) == [n for n, a in enumerate(AFFINITIES) if a in named]


def test_without_the_range_selector_it_is_ignored() -> None:
    """RS is RES0."""
    driver = Driver()
    driver.msr("ICC_SGI0R_EL1", value(2, selected=5))
    assert receivers(driver) == [1]


@pytest.mark.parametrize("sender", [0, 2])
def test_irm_reaches_all_others(sender: int) -> None:
    """Whatever the list and the cluster say."""
    driver = Driver(Parameters(affinities=AFFINITIES, range_selector=True))
    driver.msr("ICC_SGI0R_EL1", 1 << 40 | value(1, 0x77), pe=sender)
    assert receivers(driver) == [n for n in range(len(AFFINITIES)) if n != sender]


@pytest.mark.parametrize(
    ("register", "groups"),
    [("ICC_SGI0R_EL1", "0"), ("ICC_SGI1R_EL1", "01"), ("ICC_ASGI1R_EL1", "0")],
)
@pytest.mark.parametrize("group", ["0", "1"])
def test_forwarding_with_one_security_state(register: str, groups: str, group: str) -> None:
    """SGI1R reaches either group, the others Group 0."""
    driver = Driver()
    driver.gicr(IGROUPR, (group == "1") << 3)
    driver.msr(register, value(1), el=1)
    assert receivers(driver) == ([0] if group in groups else [])


# (register, Secure write) → the group of the SGI → the least level of GICR_NSACR; 3 is none.
FORWARDED = {
    ("ICC_SGI0R_EL1", True): {"0": 0},
    ("ICC_SGI1R_EL1", True): {"0": 0, "1S": 0},
    ("ICC_ASGI1R_EL1", True): {"1NS": 0},
    ("ICC_SGI0R_EL1", False): {"0": 1},
    ("ICC_SGI1R_EL1", False): {"1NS": 0},
    ("ICC_ASGI1R_EL1", False): {"0": 1, "1S": 2},
}


@pytest.mark.parametrize("register", REGISTERS)
@pytest.mark.parametrize("group", ["0", "1S", "1NS"])
@pytest.mark.parametrize("level", [0, 1, 2])
@pytest.mark.parametrize("from_el", ["secure", "non-secure", "el3"])
def test_forwarding_with_two_security_states(
    register: str, group: str, level: int, from_el: str
) -> None:
    """By register, security state, configured group and GICR_NSACR; EL3 is Secure."""
    driver = Driver(TWO_STATES)
    driver.gicr(IGROUPR, (group == "1NS") << 3)
    driver.gicr(IGRPMODR, (group == "1S") << 3)
    driver.gicr(NSACR, level << 6)
    driver.msr("SCR_EL3", 0 if from_el == "secure" else SCR_NS, el=3)
    driver.msr(register, value(1), el=3 if from_el == "el3" else 1)
    needed = FORWARDED[register, from_el != "non-secure"].get(group)
    assert receivers(driver) == ([0] if needed is not None and level >= needed else [])


def test_an_sgi_reaches_a_sleeping_pe() -> None:
    """It is pending when the PE wakes, and asks for it."""
    driver = Driver(FULL)
    driver.machine.redistributors[1].asleep = True
    driver.gicr(0x100, 1 << 3, pe=1)
    driver.msr("ICC_SGI0R_EL1", value(2), el=3)
    assert receivers(driver) == [1]
    assert driver.machine.pes[1].physical.wakes()


@given(st.sampled_from(REGISTERS), st.integers(0, (1 << 64) - 1))
def test_any_value_is_a_write(register: str, anything: int) -> None:
    """Nothing but pending SGIs comes of it."""
    driver = Driver(FULL)
    driver.msr(register, anything, el=3)
    for redistributor in driver.machine.redistributors:
        assert redistributor.ppis.latch in (0, 1 << (anything >> 24 & 15))
