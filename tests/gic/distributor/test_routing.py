"""Where SPIs go."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvtrap.gic import Parameters
from nvtrap.gic.distributor.bank import GROUP0, GROUP1_NS, GROUP1_S
from nvtrap.gic.distributor.routing import ANY_PE, ANYWHERE, RoutedBank, affinity_of
from tests.gic.machines import FULL, IGROUPR, IPRIORITYR, IROUTER, ISENABLER, ISPENDR, Driver

ROUTES = st.lists(
    st.tuples(st.integers(0, 39), st.integers(0, 3) | st.integers(0, (1 << 64) - 1)), max_size=60
)


@given(ROUTES, st.booleans(), st.booleans())
def test_every_interrupt_goes_to_one_place(
    routes: list[tuple[int, int]], one_of_n: bool, a3v: bool
) -> None:
    """The sets of all affinities part the bank, and each holds what its registers name."""
    bank = RoutedBank(Parameters(one_of_n=one_of_n, a3v=a3v), 32, 40)
    written: dict[int, int] = {}
    for index, route in routes:
        bank.set_route(index, route)
        written[index] = route
    assert sum(bank.to.values()) == bank.mask
    implemented = 0xFF_FFFF | a3v * 0xFF << 32 | one_of_n << 31
    for index in range(40):
        route = bank.route(index)
        assert route == written.get(index, 0) & implemented
        target = ANYWHERE if route & ANY_PE else affinity_of(route)
        assert bank.to[target] >> index & 1
    assert all(bits for target, bits in bank.to.items() if target)
    other = RoutedBank(Parameters(one_of_n=one_of_n, a3v=a3v), 32, 40)
    other.load(bank.state())
    assert (other.routes, other.state()) == (bank.routes, bank.state())
    assert {k: v for k, v in other.to.items() if v} == {k: v for k, v in bank.to.items() if v}


def test_a_route_of_what_is_not_there_is_refused() -> None:
    """When a state is loaded."""
    bank = RoutedBank(FULL, 32, 32)
    with pytest.raises(ValueError, match="interrupt 32"):
        bank.load(bank.state() | {"routes": [[32, 1]]})


def test_affinities_have_aff3_above() -> None:
    """Aff3 is [39:32] of the register and [31:24] of an affinity."""
    assert affinity_of(0xAB << 32 | ANY_PE | 0xCDEF01) == 0xABCDEF01


def routed(route: int, group: int = GROUP1_NS) -> Driver:
    """A machine with SPI 40 pending, enabled and routed."""
    driver = Driver(FULL)
    driver.gicd(IGROUPR + 4, 1 << 8 if group == GROUP1_NS else 0)
    driver.gicd(0xD04, 1 << 8 if group == GROUP1_S else 0)
    driver.gicd(IPRIORITYR + 40, 0xA0, size=1)
    driver.gicd(ISENABLER + 4, 1 << 8)
    driver.gicd(ISPENDR + 4, 1 << 8)
    driver.gicd(IROUTER + 8 * 40, route, size=8)
    return driver


def takers(driver: Driver) -> list[int]:
    """The PEs that have an interrupt."""
    return [
        index
        for index, pe in enumerate(driver.machine.pes)
        if pe.physical.highest_pending() is not None
    ]


@pytest.mark.parametrize(
    ("route", "wanted"),
    [(0, [0]), (1, [1]), (0x01_0000_0213, [2]), (0x2F, [3]), (0x213, []), (2, []), (1 << 23, [])],
)
def test_an_spi_goes_to_the_pe_it_names(route: int, wanted: list[int]) -> None:
    """And stays pending when there is no such PE."""
    driver = routed(route)
    assert takers(driver) == wanted
    assert driver.gicd(ISPENDR + 4) == 1 << 8


def test_one_of_n_goes_to_one_pe_that_takes_part() -> None:
    """Not a sleeping one, not one that excludes the group, not one that disables it."""
    driver = routed(ANY_PE)
    pes = driver.machine.pes
    assert takers(driver) == [0]
    driver.gicr(-0x1_0000, 1 << 25)  # GICR_CTLR.DPG1NS
    assert takers(driver) == [1]
    driver.machine.redistributors[1].asleep = True
    assert takers(driver) == [2]
    pes[2].physical.enables &= ~(1 << GROUP1_NS)
    assert takers(driver) == [3]
    pes[3].physical.enables = 0
    assert takers(driver) == []
    driver.gicr(-0x1_0000, 1 << 24 | 1 << 26)  # DPG0 and DPG1S are about other groups
    assert takers(driver) == [0]


@pytest.mark.parametrize(("group", "dpg"), [(GROUP0, 24), (GROUP1_NS, 25), (GROUP1_S, 26)])
def test_a_dpg_bit_is_about_its_group(group: int, dpg: int) -> None:
    """Of the three."""
    driver = routed(ANY_PE, group)
    for other in {24, 25, 26} - {dpg}:
        driver.gicr(-0x1_0000, 1 << other)
        assert takers(driver) == [0]
    driver.gicr(-0x1_0000, 1 << dpg)
    assert takers(driver) == [1]


def test_one_of_n_prefers_an_idle_pe() -> None:
    """A PE that handles an interrupt leaves the next one to others."""
    driver = routed(ANY_PE)
    assert driver.mrs("ICC_IAR1_EL1", 3) == 40
    driver.gicd(IROUTER + 8 * 41, ANY_PE, size=8)
    driver.gicd(IGROUPR + 4, 3 << 8)
    driver.gicd(ISENABLER + 4, 1 << 9)
    driver.gicd(ISPENDR + 4, 1 << 9)
    assert takers(driver) == [1]
    for pe in driver.machine.pes[1:]:
        pe.physical.active[0] = 1
    assert takers(driver) == [0]


def test_e1nwf_wakes_a_pe_when_all_sleep() -> None:
    """It gets no interrupt before it is awake."""
    driver = routed(ANY_PE)
    for redistributor in driver.machine.redistributors:
        redistributor.asleep = True
    interfaces = driver.machine.distributor.interfaces
    assert [one.wakes() for one in interfaces] == [False] * 4
    driver.gicd(0, driver.gicd(0) | 1 << 7)
    assert [one.wakes() for one in interfaces] == [True, False, False, False]
    assert takers(driver) == []
    driver.machine.redistributors[0].asleep = False
    assert (takers(driver), interfaces[0].wakes()) == ([0], False)
