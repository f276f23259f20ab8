"""GSI routing and irqfds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvtrap.errors import UsageError
from nvtrap.kvm.host import Host
from nvtrap.kvm.vgic.device import Control, Group
from nvtrap.kvm.vgic.routing import IrqchipRoute, MsiRoute, Route
from nvtrap.kvm.vm import DeviceType, Vm
from tests.kvm.vgic.its.guests import DOORBELL, LPI, SPURIOUS, Guest, refusal, unmapc
from tests.kvm.vgic.machines import GICR, acknowledge, end, line, machine, spi, started

MSI = MsiRoute(7, DOORBELL, 4, 3, 1)


def edge(vm: Vm, intid: int) -> bool:
    """Whether an SPI, which is level, is pending; its line goes down again."""
    was_pending = spi(vm, intid).pending()
    line(vm, intid, 0)
    return was_pending


# ---- the table --------------------------------------------------------------------------


def test_at_first_gsi_n_leads_to_spi_n() -> None:
    vm, _, _ = started()
    vm.irqfd(5).write()
    assert edge(vm, 37)
    vm.irqfd(32).write()  # there are 32 SPIs only
    assert not any(irq.pending() for irq in vm.vgic.spis)


def test_a_table_replaces_the_one_before_for_bound_irqfds_too() -> None:
    vm, _, _ = started()
    irqfd = vm.irqfd(5)
    vm.set_gsi_routing([IrqchipRoute(5, 9)])
    irqfd.write()
    assert (edge(vm, 37), edge(vm, 41)) == (False, True)
    vm.set_gsi_routing([])
    irqfd.write()
    assert not any(irq.pending() for irq in vm.vgic.spis)


def test_initialising_the_gic_replaces_what_user_space_had_set() -> None:
    vm = Vm()
    vm.create_vcpu(0)
    vm.set_gsi_routing([IrqchipRoute(5, 9)])
    gic = vm.create_device(DeviceType.VGIC_V3)
    assert gic is not None
    gic.set_attr(Group.CTRL, Control.INIT)
    vm.irqfd(5).write()
    assert vm.vgic.spis[5].pending()
    assert not vm.vgic.spis[9].pending()


@pytest.mark.parametrize(
    "routes",
    [
        [IrqchipRoute(0, 0, irqchip=1)],
        [IrqchipRoute(0, 988)],
        [IrqchipRoute(0, 0xFFFF_FFFF)],
        [IrqchipRoute(4096, 0)],
        [IrqchipRoute(0, 0, flags=1)],
        [MsiRoute(0, DOORBELL, 0, flags=2)],
        [MsiRoute(4096, DOORBELL, 0)],
        [IrqchipRoute(0, 0), IrqchipRoute(0, 1)],
        [IrqchipRoute(0, 0), MsiRoute(0, DOORBELL, 0)],
        [MsiRoute(0, DOORBELL, 0), MsiRoute(0, DOORBELL, 0)],
        [IrqchipRoute(n % 4096, n % 988) for n in range(4097)],
    ],
)
def test_tables_that_are_refused_change_nothing(routes: list[Route]) -> None:
    vm, _, _ = started()
    assert refusal(vm.set_gsi_routing, routes) == "EINVAL"
    vm.irqfd(5).write()
    assert edge(vm, 37)


@given(st.dictionaries(st.integers(0, 4095), st.integers(0, 987), max_size=40))
def test_any_gsi_may_lead_to_any_pin(pins: dict[int, int]) -> None:
    vm, _ = machine(1, irqs=64)
    vm.set_gsi_routing([IrqchipRoute(gsi, pin) for gsi, pin in pins.items()])
    for gsi in pins:
        vm.irqfd(gsi).write()
    pending = {irq.intid - 32 for irq in vm.vgic.spis if irq.pending()}
    assert pending == {pin for pin in pins.values() if pin < 32}


@pytest.mark.parametrize("number", [-1, 1 << 32, 1.0, "1", None, True])
def test_numbers_that_no_caller_could_pass(number: int) -> None:
    with pytest.raises(UsageError, match="it is a number of 32 bits"):
        IrqchipRoute(number, 0)
    with pytest.raises(UsageError, match="it is a number of 32 bits"):
        machine()[0].irqfd(number)


# ---- irqfds -----------------------------------------------------------------------------


def test_an_irqfd_needs_a_gic_that_is_initialised() -> None:
    assert refusal(Vm().irqfd, 0) == "EAGAIN"
    vm = Vm(host=Host(gic=2))
    vm.create_vcpu(0)
    vm.create_irqchip()
    assert refusal(vm.irqfd, 0) == "EAGAIN"
    vm.irq_line(1 << 24 | 32, 0)  # a GICv2 is initialised by its first use
    vm.irqfd(0).write()
    assert vm.vgic.spis[0].pending()


def test_an_irqfd_lets_a_level_stay_high() -> None:
    vm, gic, (vcpu,) = started()
    vm.irqfd(5).write()
    for _ in range(2):
        assert acknowledge(vcpu) == 37
        end(vcpu, 37)
    vcpu.exit()
    assert gic.get_attr(Group.LEVEL_INFO, 32) == 1 << 5


def test_one_that_is_bound_no_more_does_nothing() -> None:
    vm, _, _ = started()
    irqfd = vm.irqfd(5)
    irqfd.deassign()
    irqfd.deassign()
    irqfd.write()
    assert not spi(vm, 37).pending()


def test_an_irqfd_sends_msis() -> None:
    guest = Guest(1)
    guest.map(3, 4, LPI, 0, 0)
    guest.vm.set_gsi_routing([MSI])
    irqfd = guest.vm.irqfd(7)
    for _ in range(2):  # translated, then remembered
        irqfd.write()
        assert (guest.take(0), guest.take(0)) == (LPI, SPURIOUS)


def test_an_msi_that_cannot_be_delivered_is_lost() -> None:
    guest = Guest(1)
    guest.map(3, 4, LPI, 0, 0)
    guest.vm.set_gsi_routing([MSI, MsiRoute(8, DOORBELL, 4, 3)])
    irqfd = guest.vm.irqfd(7)
    guest.vm.irqfd(8).write()  # without a device's id
    guest.write(GICR, 4, 0)
    irqfd.write()
    guest.write(GICR, 4, 1)
    guest.send(unmapc(0))
    irqfd.write()
    assert guest.take(0) == SPURIOUS
    vm, _, _ = started()
    vm.set_gsi_routing([MSI])
    vm.irqfd(7).write()  # no ITS


def test_the_end_of_a_level_interrupt_lowers_a_resampling_irqfd() -> None:
    vm, _, (vcpu,) = started()
    irqfd, other = vm.irqfd(5, resample=True), vm.irqfd(6, resample=True)
    irqfd.write()
    assert acknowledge(vcpu) == 37
    assert irqfd.resampled == 0
    end(vcpu, 37)
    assert acknowledge(vcpu) == SPURIOUS
    vcpu.exit()
    assert (irqfd.resampled, other.resampled) == (1, 0)
    assert not spi(vm, 37).line_level


def test_all_resampling_irqfds_of_a_gsi_are_told() -> None:
    vm, _, (vcpu,) = started()
    irqfds = [vm.irqfd(5, resample=True) for _ in range(2)]
    irqfds[0].write()
    end(vcpu, acknowledge(vcpu))
    vcpu.exit()
    assert [irqfd.resampled for irqfd in irqfds] == [1, 1]


def test_of_gsis_that_lead_to_one_pin_the_last_is_told() -> None:
    vm, _, (vcpu,) = started()
    vm.set_gsi_routing([IrqchipRoute(1, 5), IrqchipRoute(2, 5)])
    first, last = vm.irqfd(1, resample=True), vm.irqfd(2, resample=True)
    first.write()
    end(vcpu, acknowledge(vcpu))
    vcpu.exit()
    assert (first.resampled, last.resampled) == (0, 1)


def test_the_last_resampling_irqfd_of_a_gsi_lowers_the_line_as_it_goes() -> None:
    vm, _, _ = started()
    irqfds = [vm.irqfd(5, resample=True) for _ in range(2)]
    irqfds[0].write()
    irqfds[0].deassign()
    assert spi(vm, 37).line_level
    vm.set_gsi_routing([])
    vm.set_gsi_routing([IrqchipRoute(5, 5)])
    irqfds[1].deassign()
    assert not spi(vm, 37).line_level
