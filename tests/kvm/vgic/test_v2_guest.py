"""GICv2 guests: targets, GICC as the hardware's GICV, list registers, save and restore."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvtrap.gic.access import Undefined
from nvtrap.gic.v2 import gich
from nvtrap.gic.v2 import interface as gicv2
from nvtrap.gic.v2 import lr as lr_v2
from nvtrap.kvm.vgic.device import Group
from nvtrap.kvm.vgic.lists_v2 import ListsV2
from nvtrap.kvm.vm import Vm
from tests.kvm.vgic.machines_v2 import (
    GICC,
    GICD,
    IIDR,
    ITARGETSR,
    SPENDSGIR,
    SPURIOUS,
    acknowledge,
    end,
    isr,
    load,
    machine,
    make_level,
    send,
    spi_line,
    started,
    store,
)

ISENABLER, ISPENDR, ICPENDR, ISACTIVER, IPRIORITYR = 0x100, 0x200, 0x280, 0x300, 0x400
TIMER = 27
both_hosts = pytest.mark.parametrize("gic", [2, 3])


def lists_of(vm: Vm, vcpu: int = 0) -> ListsV2:
    """The list registers of a vCPU."""
    lists = vm.vcpus[vcpu].lists
    assert isinstance(lists, ListsV2)
    return lists


# ---- where SPIs go ------------------------------------------------------------------


@pytest.mark.parametrize(("targets", "target"), [(0, 0), (1, 0), (2, 1), (4, 2), (6, 1), (0xF8, 0)])
def test_an_spi_goes_to_the_lowest_target(targets: int, target: int) -> None:
    """No target means the first vCPU, and those that are not there do not count."""
    vm, _ = started(vcpus=3)
    store(vm, 1, GICD + ITARGETSR + 40, targets, size=1)
    spi_line(vm, 40, 1)
    assert [id for id in range(3) if isr(vm, id)] == [target]
    assert acknowledge(vm, target) == 40


def test_a_target_moves_what_is_listed_at_the_next_exit() -> None:
    """What is active stays; what is not listed moves with the next injection."""
    vm, _ = started(vcpus=2)
    make_level(vm, 40)
    spi_line(vm, 40, 1)
    assert acknowledge(vm) == 40
    store(vm, 0, GICD + ITARGETSR + 40, 2, size=1)
    assert isr(vm, 1) == 0
    end(vm, 40)
    assert isr(vm, 0) == 0
    assert acknowledge(vm, 1) == 40


def test_the_distributor_switched_on_delivers_what_is_listed() -> None:
    """What became pending while it was off waits for something that queues it."""
    vm, _ = started()
    store(vm, 0, GICD, 0)
    spi_line(vm, 40, 1)
    store(vm, 0, GICD, 1)
    assert isr(vm) == 0
    store(vm, 0, GICD + ISENABLER + 4, 1 << 8)
    assert acknowledge(vm) == 40


# ---- the CPU interface --------------------------------------------------------------


def test_it_is_memory_and_no_system_registers() -> None:
    """ICC registers are UNDEFINED, ID_AA64PFR0_EL1.GIC is 0."""
    vm, _ = started()
    vcpu = vm.vcpus[0]
    vcpu.enter()
    for name in ("ICC_IAR1_EL1", "ICC_PMR_EL1", "ICC_SRE_EL1"):
        with pytest.raises(Undefined):
            vcpu.mrs(name)
    with pytest.raises(Undefined):
        vcpu.msr("ICC_SGI1R_EL1", 0)
    assert vcpu.mrs("ID_AA64PFR0_EL1") == 0
    vcpu.exit()


@both_hosts
def test_a_guest_takes_and_ends_interrupts_without_leaving(gic: int) -> None:
    """GICC is the hardware: what was listed at the entry is all there is until the exit."""
    vm, _ = started(gic=gic)
    for intid in (40, 41):
        spi_line(vm, intid, 1)
    vm.vcpus[0].enter()
    taken = []
    while (seen := acknowledge(vm)) != SPURIOUS:
        taken.append(seen)
        end(vm, seen)
    assert taken == [40, 41]
    assert vm.vcpus[0].ap_list  # nobody has looked at the list registers yet
    vm.vcpus[0].exit()
    assert not vm.vcpus[0].ap_list


def test_the_mask_holds_back_and_hppir_looks_through_what_is_active() -> None:
    """Priority 0x80 passes a mask of 0x88 and above; an equal one does not preempt."""
    vm, _ = started()
    for intid in (40, 41):
        store(vm, 0, GICD + IPRIORITYR + intid, 0x84, size=1)
    store(vm, 0, GICC + gicv2.PMR, 0x80)
    spi_line(vm, 40, 1)
    assert isr(vm) == 0
    assert load(vm, 0, GICC + gicv2.HPPIR) == SPURIOUS
    store(vm, 0, GICC + gicv2.PMR, 0x88)
    assert acknowledge(vm) == 40
    spi_line(vm, 41, 1)
    assert load(vm, 0, GICC + gicv2.HPPIR) == 41
    assert load(vm, 0, GICC + gicv2.RPR) == 0x80
    assert acknowledge(vm) == SPURIOUS


@both_hosts
def test_groups_are_signalled_as_the_guest_says(gic: int) -> None:
    """Group 0 as a FIQ with FIQEn, Group 1 as an IRQ that AckCtl or the alias takes."""
    vm, _ = started(ctlr=0xB, gic=gic)
    spi_line(vm, 40, 1)
    assert isr(vm) == 0x40
    store(vm, 0, GICD + 0x84, 1 << 8)
    assert isr(vm) == 0x80
    assert acknowledge(vm) == 1022
    assert load(vm, 0, GICC + gicv2.AIAR) == 40
    store(vm, 0, GICC + gicv2.AEOIR, 40)
    assert isr(vm) == 0


def test_a_group_that_is_off_is_not_signalled() -> None:
    """GICC_CTLR enables them one by one."""
    vm, _ = started(ctlr=0x1)
    store(vm, 0, GICD + 0x84, 1 << 8)
    spi_line(vm, 40, 1)
    assert isr(vm) == 0
    store(vm, 0, GICC + gicv2.CTLR, 0x2)
    assert isr(vm) == 0x80


@both_hosts
def test_eoimode_1_splits_end_and_deactivation(gic: int) -> None:
    """A level interrupt whose line is still high comes again only after GICC_DIR."""
    vm, _ = started(ctlr=0x201, gic=gic)
    make_level(vm, 40)
    spi_line(vm, 40, 1)
    assert acknowledge(vm) == 40
    end(vm, 40)
    assert load(vm, 0, GICD + ISACTIVER + 4) == 1 << 8
    assert acknowledge(vm) == SPURIOUS
    store(vm, 0, GICC + gicv2.DIR, 40)
    assert load(vm, 0, GICD + ISACTIVER + 4) == 0
    assert acknowledge(vm) == 40


@pytest.mark.parametrize(
    ("offset", "size", "value"), [(4, 4, 0xF8), (4, 1, 0xF8), (5, 1, 0), (4, 2, 0xF8), (6, 2, 0)]
)
def test_a_register_is_where_its_word_begins(offset: int, size: int, value: int) -> None:
    """Narrow accesses see its low part, and nothing further on."""
    vm, _ = started()
    assert load(vm, 0, GICC + offset, size) == value
    assert load(vm, 0, GICC, 8) == 0xF8 << 32 | 1
    store(vm, 0, GICC, 0xA0 << 32 | 3, 8)
    assert load(vm, 0, GICC, 8) == 0xA0 << 32 | 3


def test_gicc_lies_over_ram_and_is_mapped_at_the_first_run() -> None:
    """Stage 2 has the device there, whatever memory slot user space has made."""
    vm, _ = machine()
    with pytest.raises(OSError, match="Errno"):
        vm.create_vcpu(1)
    vm.memory = type(vm.memory)([(GICC, 0x10000)])
    assert load(vm, 0, GICC + gicv2.IIDR) == gicv2.IIDR_VALUE
    assert load(vm, 0, GICC + 0x2000) == 0


# ---- list registers -----------------------------------------------------------------


def test_a_level_interrupt_is_listed_with_an_eoi_request_an_edge_without() -> None:
    """In the form of GICH_LR, with a priority of five bits."""
    vm, _ = started()
    make_level(vm, 40)
    store(vm, 0, GICD + IPRIORITYR + 40, 0xA0, size=1)
    store(vm, 0, GICD + 0x84, 1 << 9)
    for intid in (40, 41):
        spi_line(vm, intid, 1)
    vm.vcpus[0].enter()
    level = lr_v2.make(40, priority=0xA0, eoi=True)
    assert lists_of(vm).hardware.lrs == [level, lr_v2.make(41, group=1), 0, 0]
    assert lists_of(vm).hardware.hcr == gicv2.HCR_EN
    vm.vcpus[0].exit()
    assert lists_of(vm).hardware.hcr == 0
    assert lists_of(vm).hardware.lrs == [0] * 4


def test_overflow_asks_for_an_exit_and_everything_comes() -> None:
    """Underflow is a maintenance interrupt when one list register or none is in use."""
    vm, _ = started(list_registers=2)
    for intid in range(40, 46):
        spi_line(vm, intid, 1)
        store(vm, 0, GICD + IPRIORITYR + intid, (46 - intid) << 3, size=1)
    vm.vcpus[0].enter()
    assert lists_of(vm).hardware.hcr == gicv2.HCR_EN | gich.UIE
    vm.vcpus[0].exit()
    taken = []
    while (seen := acknowledge(vm)) != SPURIOUS:
        taken.append(seen)
        end(vm, seen)
    assert taken == list(range(45, 39, -1))


def test_a_forwarded_timer_is_deactivated_at_the_host_by_the_guest() -> None:
    """HW bit and physical INTID in the list register; never pending and active."""
    vm, _ = started()
    store(vm, 0, GICD + ISENABLER, 1 << TIMER)
    vcpu = vm.vcpus[0]
    timer = vcpu.timers[0]
    vcpu.enter()
    timer.set_line(True)
    vcpu.exit()
    assert timer.host.active
    vcpu.enter()
    listed = lr_v2.make(TIMER, pintid=timer.host.intid)
    assert lists_of(vm).hardware.lrs[0] == listed
    assert acknowledge(vm) == TIMER
    assert timer.host.active
    timer.set_line(False)
    end(vm, TIMER)
    vcpu.exit()
    assert not timer.host.active
    assert acknowledge(vm) == SPURIOUS


def test_active_priorities_outlive_an_exit() -> None:
    """And a vCPU that has nothing listed keeps them too."""
    vm, gic = started(vcpus=2)
    store(vm, 0, GICD + IPRIORITYR + 40, 0x40, size=1)
    spi_line(vm, 40, 1)
    assert acknowledge(vm) == 40
    assert load(vm, 0, GICC + gicv2.RPR) == 0x40
    assert load(vm, 1, GICC + gicv2.RPR) == 0xFF
    assert gic.get_attr(Group.CPU_REGS, gicv2.APR0) == 1 << 8


# ---- save and restore ---------------------------------------------------------------

ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("line"), st.integers(32, 39), st.integers(0, 1)),
        st.tuples(st.just("send"), st.integers(0, 1), st.integers(0, 15)),
        st.tuples(st.just("take"), st.integers(0, 1), st.just(0)),
        st.tuples(st.just("end"), st.integers(0, 1), st.just(0)),
        st.tuples(st.just("priority"), st.integers(0, 39), st.integers(0, 255)),
        st.tuples(st.just("target"), st.integers(32, 39), st.integers(0, 3)),
        st.tuples(st.just("group"), st.integers(0, 0xFF), st.just(0)),
        st.tuples(st.just("clear enable"), st.integers(0, 0xFF), st.just(0)),
    ),
    max_size=25,
)


class Guest:
    """Two vCPUs that use their GIC, and remember what they have acknowledged."""

    def __init__(self) -> None:
        self.vm, self.gic = started(vcpus=2, ctlr=0x7)
        self.taken: list[list[int]] = [[], []]
        store(self.vm, 0, GICD + 0xC08, 0xAAAA_0000)  # SPIs 32 to 39 are level-triggered

    def do(self, what: str, first: int, second: int) -> None:
        """One thing that they, or the devices of the VM, do."""
        vm = self.vm
        if what == "line":
            spi_line(vm, first, second)
        elif what == "send":
            send(vm, first, second, targets=3)
        elif what == "priority":
            store(vm, 0, GICD + IPRIORITYR + first, second, size=1)
        elif what == "target":
            store(vm, 0, GICD + ITARGETSR + first, second, size=1)
        elif what == "group":
            store(vm, 0, GICD + 0x84, first)
        elif what == "clear enable":
            store(vm, 0, GICD + 0x184, first)
            store(vm, 0, GICD + 0x104, ~first & 0xFF)
        else:
            self.take_or_end(what, first)

    def take_or_end(self, what: str, vcpu: int) -> int:
        """Acknowledge something, or end what was acknowledged last; what it was."""
        if what == "take":
            seen = acknowledge(self.vm, vcpu)
            if seen != SPURIOUS:
                self.taken[vcpu].append(seen)
            return seen
        if not self.taken[vcpu]:
            return SPURIOUS
        seen = self.taken[vcpu].pop()
        end(self.vm, seen, vcpu)
        return seen

    def save(self) -> list[tuple[int, int, int]]:
        """What QEMU and its like save, in an order that restores (group, attribute, value)."""
        words = [IIDR, 0]
        private = [0x80, 0x100, *range(0x400, 0x420, 4), *range(SPENDSGIR, 0xF30, 4)]
        shared = [0x84, 0x104, 0xC08, 0xC0C, *range(0x420, 0x440, 4), *range(0x820, 0x840, 4)]
        words += [id << 32 | offset for id in (0, 1) for offset in private] + shared
        words += [0x204, 0x304, 0x300, 1 << 32 | 0x300]
        interface = (0, 4, 8, 0x1C, 0xD0)
        saved = [(Group.DIST_REGS, word) for word in words]
        saved += [(Group.CPU_REGS, id << 32 | offset) for id in (0, 1) for offset in interface]
        return [(group, attr, self.gic.get_attr(group, attr)) for group, attr in saved]

    def finish(self, lines: dict[int, int]) -> list[tuple[int, int]]:
        """Handle everything that comes, lines falling as they do; (vCPU, what) in order."""
        seen: list[tuple[int, int]] = []
        for vcpu in (0, 1):
            while self.taken[vcpu]:
                self.take_or_end("end", vcpu)
        for vcpu in (0, 1, 0, 1):
            while (intid := self.take_or_end("take", vcpu)) not in (SPURIOUS, 1022):
                if lines.get(intid):
                    lines[intid] = 0
                    spi_line(self.vm, intid, 0)
                self.take_or_end("end", vcpu)
                seen.append((vcpu, intid))
        return seen


@given(ACTIONS)
def test_a_guest_does_not_notice_that_it_was_saved_and_restored(
    actions: list[tuple[str, int, int]],
) -> None:
    """By the device alone; with the levels of lines, which user space's devices know.

    The source of an active SGI is not kept, KVM has no register for it, and the order of
    equal priorities is that in which they are restored.
    """
    old = Guest()
    lines: dict[int, int] = {}
    for action in actions:
        old.do(*action)
        if action[0] == "line":
            lines[action[1]] = action[2]
    new = Guest.__new__(Guest)
    new.vm, new.gic = machine(vcpus=2)
    new.taken = [list(taken) for taken in old.taken]
    for group, attr, value in old.save():
        new.gic.set_attr(group, attr, value)
    for intid, level in lines.items():
        spi_line(new.vm, intid, level)
    assert sorted(new.finish(dict(lines))) == sorted(old.finish(dict(lines)))
