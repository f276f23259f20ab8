"""Which interrupts get a list register, what stands in it, and what comes back."""

from __future__ import annotations

from errno import EBUSY, EINVAL, ENOENT, ENXIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvtrap.gic.parameters import Parameters
from nvtrap.gic.registers import REGISTERS
from nvtrap.gic.virtual import lr as lrs
from nvtrap.gic.virtual import maintenance
from nvtrap.kvm.host import Host
from nvtrap.kvm.vcpu import Vcpu
from nvtrap.kvm.vgic.device import Control, Device, Group
from nvtrap.kvm.vgic.interrupt import Interrupt
from nvtrap.kvm.vgic.lists import depth, lists_of
from nvtrap.kvm.vgic.queue import sort
from nvtrap.kvm.vgic.target import target_of
from nvtrap.kvm.vm import DeviceType, Vm
from tests.kvm.vgic.machines import (
    GICD,
    ICENABLER,
    ICFGR,
    IPRIORITYR,
    IROUTER,
    ISACTIVER,
    ISENABLER,
    ISPENDR,
    acknowledge,
    end,
    line,
    refused,
    spi,
    started,
)

SPURIOUS = 1023
UIE = maintenance.UIE


def filled(vcpu: Vcpu) -> list[int]:
    """The list registers as the guest finds them."""
    vcpu.enter_guest()
    return [lr for lr in vcpu.lists.interface.lrs if lr & lrs.STATE]


def taken(vcpu: Vcpu) -> list[int]:
    """What a guest takes and ends until there is nothing; lines stay as they are."""
    intids = []
    while (intid := acknowledge(vcpu)) != SPURIOUS:
        intids.append(intid)
        line(vcpu.vm, intid, 0)
        end(vcpu, intid)
    return intids


def test_a_level_interrupt_asks_to_be_told_of_its_end() -> None:
    """EOI is set and its latch stays; group and priority are there."""
    vm, _, (vcpu,) = started()
    vcpu.write(GICD + IPRIORITYR + 40, 1, 0x58)
    line(vm, 40, 1)
    assert filled(vcpu) == [lrs.make(40, priority=0x58, eoi=True)]
    assert spi(vm, 40).line_level


def test_an_edge_interrupt_goes_into_its_list_register() -> None:
    """The latch is taken, and comes back if the guest has not acknowledged."""
    vm, _, (vcpu,) = started()
    vcpu.write(GICD + ICFGR + 8, 4, 2 << 16)
    line(vm, 40, 1)
    assert filled(vcpu) == [lrs.make(40)]
    assert not spi(vm, 40).pending_latch
    vcpu.exit()
    assert spi(vm, 40).pending_latch


def test_only_an_edge_interrupt_is_pending_and_active() -> None:
    """A level one waits until its end."""
    _, _, (vcpu,) = started()
    vcpu.write(GICD + ICFGR + 8, 4, 2 << 16)
    vcpu.write(GICD + ISACTIVER + 4, 4, 3 << 8)
    vcpu.write(GICD + ISPENDR + 4, 4, 3 << 8)
    states = {lrs.vintid(lr): lrs.state(lr) for lr in filled(vcpu)}
    assert states == {40: lrs.PENDING_AND_ACTIVE, 41: lrs.ACTIVE}


def test_overflow_is_sorted_and_underflow_asked_for() -> None:
    """Active ones first, then by priority; without overflow the order is that of arrival."""
    vm, _, (vcpu,) = started()
    for intid in range(40, 44):
        vcpu.write(GICD + IPRIORITYR + intid, 1, 8 * (50 - intid))
        line(vm, intid, 1)
    assert [lrs.vintid(lr) for lr in filled(vcpu)] == [40, 41, 42, 43]
    assert not vcpu.lists.interface.hcr & UIE
    line(vm, 44, 1)
    assert [lrs.vintid(lr) for lr in filled(vcpu)] == [44, 43, 42, 41]
    assert vcpu.lists.interface.hcr & UIE
    vcpu.write(GICD + ISACTIVER + 4, 4, 1 << 8)
    assert [lrs.vintid(lr) for lr in filled(vcpu)] == [40, 44, 43, 42]


def test_all_of_many_are_taken_in_the_order_of_priority() -> None:
    """With four list registers, the vCPU never leaving KVM_RUN."""
    vm, _, (vcpu,) = started()
    for intid in range(40, 64):
        vcpu.write(GICD + IPRIORITYR + intid, 1, 8 * (intid * 7 % 24))
    for intid in range(40, 64):
        line(vm, intid, 1)
    assert taken(vcpu) == sorted(range(40, 64), key=lambda intid: intid * 7 % 24)
    assert vcpu.ap_list == []


def test_a_level_that_stays_comes_again_and_again() -> None:
    """The end raises maintenance, which makes the guest exit."""
    vm, _, (vcpu,) = started()
    line(vm, 40, 1)
    for _ in range(5):
        assert acknowledge(vcpu) == 40
        end(vcpu, 40)
    vcpu.enter_guest()
    line(vm, 40, 0)
    assert acknowledge(vcpu) == 40  # it stood in the list register already
    end(vcpu, 40)
    assert acknowledge(vcpu) == SPURIOUS


def test_routes_move_what_is_listed_when_its_vcpu_leaves_the_guest() -> None:
    """To the end of the other list; what is active stays."""
    vm, _, (first, second) = started(vcpus=2)
    line(vm, 40, 1)
    assert acknowledge(first) == 40
    line(vm, 41, 1)
    for intid in (40, 41):
        first.write(GICD + IROUTER + 8 * intid, 8, 1)
    first.exit()
    assert [irq.intid for irq in first.ap_list] == [40]
    assert [irq.intid for irq in second.ap_list] == [41]
    assert acknowledge(second) == 41


def test_nothing_is_listed_while_the_distributor_is_off() -> None:
    """Nor when it comes on: that takes a write that queues (as Linux has it)."""
    vm, _, (vcpu,) = started()
    vcpu.write(GICD, 4, 0)
    line(vm, 40, 1)
    vcpu.write(GICD, 4, 2)
    assert acknowledge(vcpu) == SPURIOUS
    vcpu.write(GICD + ISENABLER + 4, 4, 1 << 8)
    assert acknowledge(vcpu) == 40


def test_a_disabled_interrupt_leaves_the_list() -> None:
    """At the next exit; an active one stays, wherever it is to go."""
    vm, _, (vcpu,) = started()
    line(vm, 40, 1)
    line(vm, 41, 1)
    assert acknowledge(vcpu) == 40
    vcpu.write(GICD + ICENABLER + 4, 4, 3 << 8)
    vcpu.exit()
    assert [irq.intid for irq in vcpu.ap_list] == [40]


def interrupts() -> st.SearchStrategy[list[tuple[bool, bool, bool, int, int]]]:
    """Active, enabled, pending, priority, senders."""
    flags = st.booleans()
    one = st.tuples(flags, flags, flags, st.integers(0, 31), st.integers(0, 255))
    return st.lists(one, max_size=30)


@given(interrupts())
def test_sorting_keeps_order_within_a_rank(states: list[tuple[bool, bool, bool, int, int]]) -> None:
    """Active; then to be delivered, by priority; then the rest: and equals stay in order."""
    _, _, (vcpu,) = started()
    listed = []
    for place, (active, enabled, pending, priority, _) in enumerate(states):
        irq = Interrupt(32 + place, vcpu, edge=True)
        irq.active, irq.enabled, irq.pending_latch = active, enabled, pending
        irq.priority = priority << 3
        listed.append(irq)
    vcpu.ap_list = list(listed)
    sort(vcpu)

    def before(irq: Interrupt) -> tuple[int, int]:
        if irq.active:
            return 0, 0
        return (1, irq.priority) if irq.enabled and irq.pending() else (2, 0)

    expected = sorted(listed, key=lambda irq: (before(irq), irq.intid))
    assert [irq.intid for irq in vcpu.ap_list] == [irq.intid for irq in expected]
    vcpu.ap_list = []


@given(interrupts())
def test_depth_counts_every_sender(states: list[tuple[bool, bool, bool, int, int]]) -> None:
    """An SGI of a GICv2 takes a list register for each, another interrupt one."""
    listed = []
    for place, (active, _, pending, _, source) in enumerate(states):
        irq = Interrupt(place % 20, None, edge=True)
        irq.active, irq.pending_latch = active, pending
        irq.source = source if irq.intid < 16 and pending else 0
        listed.append(irq)
        if irq.source:
            assert lists_of(irq) == irq.source.bit_count() + active
        else:
            assert lists_of(irq) == (active or pending)
    needed, has_multiple = depth(listed)
    assert needed == sum(map(lists_of, listed))
    assert has_multiple == any(lists_of(irq) > 1 for irq in listed)


@given(st.tuples(*[st.booleans()] * 6), st.booleans())
def test_an_interrupt_goes_where_its_state_says(state: tuple[bool, ...], listed: bool) -> None:
    """The target: kept while active; else that of the route, if all is on."""
    _, _, (first, second) = started(vcpus=2)
    active, enabled, latch, level, edge, on = state
    irq = Interrupt(40, second, edge=edge)
    irq.active, irq.enabled, irq.pending_latch, irq.line_level = active, enabled, latch, level
    irq.vcpu = first if listed else None
    first.vgic.enabled = on
    pending = latch or (level and not edge)
    expected: Vcpu | None = first if listed else second
    if not active:
        expected = second if enabled and pending and on else None
    assert target_of(irq) is expected
    irq.target_vcpu = None
    if not active:
        assert target_of(irq) is None


# ---- what user space sees of the CPU interface ----------------------------------------


def interface(bits: int = 5) -> tuple[Vcpu, Device]:
    """A vCPU of a host with so many priority bits, and the GIC."""
    parameters = Parameters(virtual_priority_bits=bits, virtual_preemption_bits=min(bits, 7))
    vm = Vm(host=Host(parameters, has_maintenance_group=True))
    vcpu = vm.create_vcpu(0)
    gic = vm.create_device(DeviceType.VGIC_V3)
    assert gic is not None
    return vcpu, gic


def sysreg(gic: Device, name: str, value: int | None = None) -> int:
    """Read a register of the CPU interface, or write it."""
    attr = REGISTERS[name].encoding
    if value is not None:
        gic.set_attr(Group.CPU_SYSREGS, attr, value)
    return gic.get_attr(Group.CPU_SYSREGS, attr)


@pytest.mark.parametrize(("bits", "count"), [(5, 1), (6, 2), (7, 4), (8, 1)])
def test_active_priorities_are_there_for_the_priority_bits(bits: int, count: int) -> None:
    """Linux counts priority bits, and knows no more than one register for eight of them."""
    _, gic = interface(bits)
    gic.set_attr(Group.CTRL, Control.INIT)
    for n in range(4):
        name = f"ICC_AP1R{n}_EL1"
        gic.has_attr(Group.CPU_SYSREGS, REGISTERS[name].encoding)
        if n < count:
            assert sysreg(gic, name, 0x1_0000_0003) == 3
        else:
            with refused(EINVAL):
                sysreg(gic, name)


def test_the_limits_of_a_restored_machine_can_only_fall() -> None:
    """Priority bits and INTID bits of ICC_CTLR_EL1; each counts even if the other is refused."""
    vcpu, gic = interface(7)
    gic.set_attr(Group.CTRL, Control.INIT)
    ctlr = sysreg(gic, "ICC_CTLR_EL1")
    assert sysreg(gic, "ICC_CTLR_EL1", ctlr & ~0x700 | 4 << 8) & 0x700 == 4 << 8
    with refused(EINVAL):
        sysreg(gic, "ICC_CTLR_EL1", ctlr)
    with refused(EINVAL):
        sysreg(gic, "ICC_CTLR_EL1", ctlr & ~0x700 | 3 << 8 | 2 << 11)
    assert vcpu.priority_bits == 4
    with refused(EINVAL):
        sysreg(gic, "ICC_CTLR_EL1", ctlr & ~0xFF00 | 3 << 8)  # another A3V


def test_common_binary_points_hide_the_one_of_group_1() -> None:
    """It reads as one more, and writes are dropped; it is there again afterwards."""
    _, gic = interface()
    gic.set_attr(Group.CTRL, Control.INIT)
    sysreg(gic, "ICC_BPR1_EL1", 5)
    ctlr = sysreg(gic, "ICC_CTLR_EL1")
    sysreg(gic, "ICC_CTLR_EL1", ctlr | 1)
    sysreg(gic, "ICC_BPR0_EL1", 3)
    assert sysreg(gic, "ICC_BPR1_EL1", 6) == 4
    sysreg(gic, "ICC_BPR0_EL1", 7)
    assert sysreg(gic, "ICC_BPR1_EL1") == 7
    sysreg(gic, "ICC_CTLR_EL1", ctlr)
    assert sysreg(gic, "ICC_BPR1_EL1") == 5


def test_what_is_no_register_of_the_group() -> None:
    """ENXIO to ask for, ENOENT to use; the system register interface cannot be left."""
    _, gic = interface()
    gic.set_attr(Group.CTRL, Control.INIT)
    with refused(ENXIO):
        gic.has_attr(Group.CPU_SYSREGS, REGISTERS["ICC_IAR1_EL1"].encoding)
    with refused(ENOENT):
        sysreg(gic, "ICC_IAR1_EL1")
    with refused(ENOENT):
        sysreg(gic, "ICC_DIR_EL1", 0)
    with refused(EINVAL):
        sysreg(gic, "ICC_SRE_EL1", 6)
    assert sysreg(gic, "ICC_SRE_EL1", 1) == 7


def test_the_maintenance_interrupt_of_a_guest_hypervisor_is_a_ppi() -> None:
    """Until the GIC is initialised; an older kernel has no such group."""
    _, gic = interface()
    gic.has_attr(Group.MAINT_IRQ, 0)
    assert gic.get_attr(Group.MAINT_IRQ, 0) == 25
    gic.set_attr(Group.MAINT_IRQ, 0, 20)
    assert gic.get_attr(Group.MAINT_IRQ, 0) == 20
    for intid in (15, 32):
        with refused(EINVAL):
            gic.set_attr(Group.MAINT_IRQ, 0, intid)
    gic.set_attr(Group.CTRL, Control.INIT)
    with refused(EBUSY):
        gic.set_attr(Group.MAINT_IRQ, 0, 20)
    older = started()[1]
    with refused(ENXIO):
        older.has_attr(Group.MAINT_IRQ, 0)
    with refused(ENXIO):
        older.set_attr(Group.MAINT_IRQ, 0, 20)
