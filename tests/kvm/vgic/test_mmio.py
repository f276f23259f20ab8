"""Frames of registers: sizes, what is not there, and guests' data aborts that end in them."""

from __future__ import annotations

from errno import ENOSPC

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvtrap.errors import UsageError
from nvtrap.kvm.bus import MOST_DEVICES, Bus
from nvtrap.kvm.exits.mmio import DEVICE, DEVICE_EXIT, FAULT_IN, NO_SYNDROME, NO_SYNDROME_EXIT
from nvtrap.kvm.vcpu import OUTSIDE, Vcpu
from nvtrap.kvm.vgic.mmio import Frame, Table, intid_at, part, per_intid, with_part, zero
from tests.kvm.vgic.machines import (
    GICD,
    GICR,
    IPRIORITYR,
    IROUTER,
    ISENABLER,
    SGI_BASE,
    line,
    machine,
    refused,
    spi,
    started,
)

TYPER, PIDR2 = 0x8, 0xFFE8
NOWHERE = 0x0900_0000


def guest(vcpus: int = 1) -> Vcpu:
    """The first of some vCPUs, in the guest."""
    return started(vcpus)[2][0]


@pytest.mark.parametrize("size", [1, 2, 8])
def test_other_sizes_read_as_zero_and_write_nothing(size: int) -> None:
    """GICD_CTLR and the enables are words."""
    vcpu = guest()
    assert vcpu.read(GICD, 4) == 0x52
    assert vcpu.read(GICD, size) == 0
    assert vcpu.write(GICD, size, 0)
    assert vcpu.read(GICD, 4) == 0x52
    assert vcpu.read(GICD + ISENABLER + 4, size) == 0


def test_priorities_have_bytes_and_routes_double_words() -> None:
    """With five bits of a priority and three levels of an affinity."""
    vcpu = guest(vcpus=2)
    vcpu.write(GICD + IPRIORITYR + 33, 1, 0xFF)
    assert vcpu.read(GICD + IPRIORITYR + 32, 4) == 0xF800
    vcpu.write(GICD + IROUTER + 8 * 33, 8, 0xFF_8000_0001)
    assert vcpu.read(GICD + IROUTER + 8 * 33, 8) == 1
    assert spi(vcpu.vm, 33).target_vcpu is vcpu.vm.vcpus[1]
    vcpu.write(GICD + IROUTER + 8 * 33 + 4, 4, 0xFF)
    assert vcpu.read(GICD + IROUTER + 8 * 33, 8) == 1
    vcpu.write(GICD + IROUTER + 8 * 33, 8, 7)
    assert spi(vcpu.vm, 33).target_vcpu is None


def test_what_is_not_there_reads_as_zero() -> None:
    """Words of SGIs and PPIs in the distributor, INTIDs beyond NR_IRQS, offsets of nothing."""
    vcpu = guest()
    for offset in (ISENABLER, ISENABLER + 8, IPRIORITYR, IPRIORITYR + 64, 0x20, 0x5000, 0xC004):
        vcpu.write(GICD + offset, 4, 0xFFFF_FFFF)
        assert vcpu.read(GICD + offset, 4) == 0
    assert vcpu.read(GICD + PIDR2, 4) == 0x3B
    assert vcpu.read(GICR + 0x10, 4) == 0


def test_the_newest_redistributor_is_the_last_one() -> None:
    """GICR_TYPER: affinity, number, Last; whole or in halves."""
    vcpu = guest(vcpus=3)
    for n in range(3):
        typer = vcpu.read(GICR + 0x2_0000 * n + TYPER, 8)
        assert typer == n << 32 | n << 8 | (n == 2) << 4
        assert vcpu.read(GICR + 0x2_0000 * n + TYPER + 4, 4) == n


def test_a_redistributor_is_its_own_vcpus_whoever_writes() -> None:
    """A vCPU may reach the registers of another."""
    first, second = started(vcpus=2)[2]
    first.write(GICR + 0x2_0000 + SGI_BASE + ISENABLER, 4, 1 << 20)
    assert second.private[20].enabled
    assert not first.private[20].enabled


@given(st.integers(0, (1 << 64) - 1), st.integers(0, (1 << 64) - 1), st.sampled_from([0, 4]))
def test_halves_of_a_register_are_read_and_written_alone(old: int, new: int, offset: int) -> None:
    """The other half stays."""
    written = with_part(old, offset, 4, new & 0xFFFF_FFFF)
    assert part(written, offset, 4) == new & 0xFFFF_FFFF
    assert part(written, 4 - offset, 4) == part(old, 4 - offset, 4)
    assert with_part(old, 0, 8, new) == new


@given(st.sampled_from([1, 2, 8, 64]), st.integers(0, 1023))
def test_an_offset_stands_for_its_first_intid(bits: int, intid: int) -> None:
    """Byte by byte, whatever the base of the array."""
    base = 128 * bits
    assert intid_at(base + intid * bits // 8, bits) == intid * bits // 8 * 8 // bits


# ---- the bus --------------------------------------------------------------------------


def test_a_device_answers_for_whole_accesses_only() -> None:
    """An access over the end of a frame is user space's."""
    vcpu = guest()
    assert vcpu.read(GICD + 0xFFFC, 4) == 0
    assert vcpu.read(GICD + 0xFFFC, 8) is None
    assert vcpu.read(NOWHERE, 4) is None
    assert not vcpu.write(NOWHERE, 4, 1)


def test_the_bus_has_its_limit() -> None:
    """A thousand devices; one that was taken off leaves room."""
    bus = Bus()
    table = Table([per_intid(0, 8, zero, lambda *_: None)])
    frames = [Frame(table, 0x1000 * n, 0x1000) for n in range(MOST_DEVICES)]
    for frame in frames:
        bus.register(frame)
    with refused(ENOSPC):
        bus.register(Frame(table, 0, 4))
    assert bus.find(0x5004, 4) is frames[5]
    bus.unregister(frames[5])
    assert bus.find(0x5004, 4) is None
    bus.register(frames[5])
    assert bus.find(0x5004, 4) is frames[5]


# ---- data aborts ----------------------------------------------------------------------

DATA_ABORT, ISV, SSE, SF, WNR = 0x24 << 26, 1 << 24, 1 << 21, 1 << 15, 1 << 6
TRANSLATION_FAULT = 0x07


def syndrome(size: int, register: int, write: bool = False, flags: int = SF) -> int:
    """ESR_EL2 of a load or store of `size` bytes by a general register."""
    sas = (size.bit_length() - 1) << 22
    esr = DATA_ABORT | 1 << 25 | ISV | sas | register << 16 | flags | TRANSLATION_FAULT
    return esr | WNR if write else esr


def hpfar(address: int) -> int:
    """HPFAR_EL2 of a page."""
    return address >> 12 << 4


def test_an_abort_at_the_gic_is_answered_in_the_kernel() -> None:
    """Store and load by the registers of the syndrome, and the PC moves on."""
    vcpu = guest()
    vcpu.context.x[3] = 0xFFFF_FFFF_A0B0_C0D0
    address = GICD + IPRIORITYR + 32
    handled = vcpu.data_abort(syndrome(4, 3, write=True), address & 0xFFF, hpfar(address))
    assert handled.outcome == DEVICE
    assert spi(vcpu.vm, 33).priority == 0xC0
    vcpu.context.pending = 0
    handled = vcpu.data_abort(syndrome(4, 7), address & 0xFFF, hpfar(address))
    assert (handled.outcome, handled.ret) == (DEVICE, 1)
    assert vcpu.context.x[7] == 0xA0B0_C0D0
    assert vcpu.context.pending
    assert acknowledge_after(vcpu) == 40


def acknowledge_after(vcpu: Vcpu) -> int:
    """The guest goes on after the abort."""
    line(vcpu.vm, 40, 1)
    return vcpu.mrs("ICC_IAR1_EL1")


def test_an_abort_where_the_kernel_has_nothing_goes_to_user_space() -> None:
    """KVM_RUN returns with the access; what user space reads is loaded at the next run."""
    vcpu = guest()
    esr = syndrome(2, 5, flags=SF | SSE)
    handled = vcpu.data_abort(esr, 0x10, hpfar(NOWHERE))
    assert (handled.outcome, handled.ret) == (DEVICE_EXIT, 0)
    assert handled.exit is not None
    assert handled.exit.address == NOWHERE + 0x10
    assert vcpu.mode is OUTSIDE
    assert vcpu.vm.running == 0
    vcpu.enter(b"\x34\xf2")
    assert vcpu.context.x[5] & 0xFFFF == 0xF234
    vcpu.exit()
    vcpu.enter(b"\xff\xff")
    assert vcpu.context.x[5] & 0xFFFF == 0xF234  # it was completed once


def test_a_store_to_user_space_carries_its_bytes() -> None:
    """And nothing is loaded afterwards."""
    vcpu = guest()
    vcpu.context.x[2] = 0x1234_5678
    handled = vcpu.data_abort(syndrome(4, 2, write=True), 0, hpfar(NOWHERE))
    assert handled.exit is not None
    assert handled.exit.data == (0x1234_5678).to_bytes(4, "little")
    vcpu.enter(b"\xff" * 8)
    assert vcpu.context.x[2] == 0x1234_5678


def test_without_a_valid_syndrome_user_space_is_told() -> None:
    """ENOSYS, or an exit of its own if the VM has asked for it; no access is made."""
    for wants_exit, outcome in ((False, NO_SYNDROME), (True, NO_SYNDROME_EXIT)):
        vcpu = guest()
        vcpu.aborts.no_syndrome_to_user = wants_exit
        handled = vcpu.data_abort(DATA_ABORT | WNR | TRANSLATION_FAULT, 0, hpfar(GICD))
        assert handled.outcome == outcome
        assert vcpu.mode is OUTSIDE
        assert vcpu.vm.vgic.enabled


def test_ram_is_mapped_and_the_access_made_again() -> None:
    """An abort in RAM is nobody's access."""
    vm, _ = machine(ram=[(0x4000_0000, 0x10_0000)])
    vcpu = vm.vcpus[0]
    vcpu.enter()
    assert vcpu.data_abort(syndrome(8, 0), 0, hpfar(0x4000_0000)).outcome == FAULT_IN


@pytest.mark.parametrize("value", [-1, 1 << 64, "0", None])
def test_a_register_has_64_bits(value: object) -> None:
    """Anything else is a mistake of the caller."""
    with pytest.raises(UsageError, match="64 bits"):
        guest().data_abort(value, 0, 0)  # type: ignore[arg-type]
