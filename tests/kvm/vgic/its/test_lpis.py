"""The redistributor's side of LPIs, and their tables."""

from __future__ import annotations

import pytest

from nvtrap.kvm.vgic.device import Control, Group
from nvtrap.kvm.vm import DeviceType, Vm
from tests.kvm.vgic.its.guests import (
    CONFIGURATION,
    LPI,
    NOWHERE,
    SPURIOUS,
    Guest,
    mapc,
    mapti,
    pending_table,
    refusal,
)
from tests.kvm.vgic.machines import GICD, GICR, REDISTRIBUTOR

ONES = (1 << 64) - 1


def save(guest: Guest) -> None:
    """SAVE_PENDING_TABLES."""
    guest.gic.set_attr(Group.CTRL, Control.SAVE_PENDING_TABLES)


def test_bases_keep_what_they_have_fields_for() -> None:
    guest = Guest(2)
    guest.write(GICR, 4, 0)
    guest.write(GICR + 0x70, 8, ONES)
    guest.write(GICR + 0x78, 8, ONES)
    assert guest.read(GICR + 0x70, 8) == (1 << 52) - 1 & ~0x60
    assert guest.read(GICR + 0x78, 8) == (1 << 52) - (1 << 16) | 3 << 10 | 7 << 7
    guest.write(GICR + 0x74, 4, 0)
    assert guest.read(GICR + 0x70, 8) == 0xFFFF_FF9F
    assert guest.read(GICR + REDISTRIBUTOR + 0x70, 8) == 0xFFFF_FF9F


def test_bases_are_frozen_while_lpis_are_enabled() -> None:
    guest = Guest(2)
    guest.write(GICR + 0x70, 8, 0)
    guest.write(GICR + 0x78, 8, 0)
    assert guest.read(GICR + 0x70, 8) == CONFIGURATION | 3 << 7 | 15
    assert guest.read(GICR + 0x78, 8) == pending_table(0) | 3 << 7


def test_enabling_loads_the_pending_bits_of_mapped_lpis() -> None:
    guest = Guest(2)
    guest.map(3, 0, LPI, 0, 0)
    guest.send(mapc(1, 1), mapti(3, 1, LPI + 1, 1))
    guest.write(GICR, 4, 0)
    for vcpu in (0, 1):
        guest.vm.memory.write(pending_table(vcpu) + LPI // 8, 1, 0xFF)
    guest.write(GICR, 4, 1)
    assert (guest.take(0), guest.take(0), guest.take(1)) == (LPI, SPURIOUS, SPURIOUS)
    assert guest.vm.memory.read(pending_table(0) + LPI // 8, 1) == 0xFF


def test_not_when_the_table_is_said_to_be_zero() -> None:
    guest = Guest(1)
    guest.map(3, 0, LPI, 0, 0)
    guest.write(GICR, 4, 0)
    guest.write(GICR + 0x78, 8, pending_table(0) | 1 << 62)
    assert guest.read(GICR + 0x78, 8) >> 62 == 0
    guest.vm.memory.write(pending_table(0) + LPI // 8, 1, 0xFF)
    guest.write(GICR, 4, 1)
    assert guest.take(0) == SPURIOUS


def test_disabling_drops_what_is_queued() -> None:
    guest = Guest(1)
    guest.map(3, 0, LPI, 0, 0)
    assert guest.msi(3, 0) == 1
    guest.write(GICR, 4, 0)
    assert guest.take(0) == SPURIOUS
    assert not guest.vm.vgic.lpis[LPI].pending_latch


def test_a_revision_tells_of_invalidation_registers() -> None:
    guest = Guest(1)
    assert guest.read(GICR, 4) == 7
    guest.gic.set_attr(Group.DIST_REGS, 8, 0x4B00_243B)
    assert guest.read(GICR, 4) == 1


@pytest.mark.parametrize(
    ("offset", "size", "value", "enabled"),
    [
        (0xA0, 8, LPI, [True, False]),
        (0xA0, 4, LPI + 1, [False, True]),
        (0xA4, 4, LPI, [False, False]),
        (0xA0, 8, 33, [False, False]),
        (0xA0, 8, LPI + 7, [False, False]),
        (0xB0, 8, 0, [True, False]),
        (0xB0, 4, ONES, [True, False]),
        (0xB4, 4, 0, [False, False]),
    ],
)
def test_a_redistributor_reads_configurations_again(
    offset: int, size: int, value: int, enabled: list[bool]
) -> None:
    """INVLPIR that of any LPI, INVALLR those that go to its vCPU."""
    guest = Guest(2)
    guest.vm.memory.write(CONFIGURATION, 2, 0)
    guest.map(3, 0, LPI, 0, 0)
    guest.send(mapc(1, 1), mapti(3, 1, LPI + 1, 1))
    guest.vm.memory.write(CONFIGURATION, 2, 0x2121)
    guest.write(GICR + offset, size, value & (1 << 8 * size) - 1)
    assert [guest.vm.vgic.lpis[LPI + n].enabled for n in (0, 1)] == enabled
    assert guest.read(GICR + offset, size) == 0
    assert guest.read(GICR + 0xC0, 4) == 0


def test_not_while_its_lpis_are_disabled() -> None:
    guest = Guest(1)
    guest.vm.memory.write(CONFIGURATION, 1, 0)
    guest.map(3, 0, LPI, 0, 0)
    guest.write(GICR, 4, 0)
    guest.vm.memory.write(CONFIGURATION, 1, 0x21)
    guest.write(GICR + 0xA0, 8, LPI)
    guest.write(GICR + 0xB0, 8, 0)
    assert not guest.vm.vgic.lpis[LPI].enabled


def test_priorities_keep_six_bits_and_order_lpis() -> None:
    guest = Guest(1)
    guest.vm.memory.write(CONFIGURATION, 2, 0xFDA1)
    guest.map(3, 0, LPI, 0, 0)
    guest.send(mapti(3, 1, LPI + 1, 0))
    guest.vm.memory.write(CONFIGURATION, 2, 0x03A1)
    assert guest.vm.vgic.lpis[LPI + 1].priority == 0xFC
    guest.write(GICR + 0xB0, 8, 0)
    assert guest.vm.vgic.lpis[LPI + 1].priority == 0
    assert (guest.msi(3, 0), guest.msi(3, 1)) == (1, 1)
    assert (guest.take(0), guest.take(0)) == (LPI + 1, LPI)


# ---- SAVE_PENDING_TABLES ----------------------------------------------------------------


def test_saving_sets_and_clears_the_bits_of_mapped_lpis_alone() -> None:
    guest = Guest(2)
    guest.write(GICD, 4, 0)
    guest.map(3, 0, LPI, 0, 0)
    guest.send(mapc(1, 1), mapti(3, 9, LPI + 9, 1), mapti(3, 2, LPI + 2, 5))
    guest.vm.memory.write_bytes(pending_table(0), b"\xaa" * 1026)
    guest.vm.memory.write_bytes(pending_table(1), b"\xff" * 1026)
    assert guest.msi(3, 0) == 1
    save(guest)
    assert guest.vm.memory.read_bytes(pending_table(0), 1026) == b"\xaa" * 1024 + b"\xab\xaa"
    assert guest.vm.memory.read_bytes(pending_table(1), 1026) == b"\xff" * 1025 + b"\xfd"
    assert guest.vm.vgic.lpis[LPI].pending_latch


def test_saving_needs_ram() -> None:
    guest = Guest(1)
    guest.map(3, 0, LPI, 0, 0)
    guest.write(GICR, 4, 0)
    guest.write(GICR + 0x78, 8, NOWHERE)
    assert refusal(save, guest) == "EFAULT"


def test_saving_needs_a_gic_that_is_initialised() -> None:
    vm = Vm()
    gic = vm.create_device(DeviceType.VGIC_V3)
    assert gic is not None
    assert refusal(gic.set_attr, Group.CTRL, Control.SAVE_PENDING_TABLES) == "ENXIO"
