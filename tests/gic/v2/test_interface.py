"""The GICv2's virtual CPU interface: GICV_* as a guest uses it, GICH_* as a hypervisor does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvtrap.gic.v2 import gich
from nvtrap.gic.v2 import interface as gicv2
from nvtrap.gic.v2 import lr as lr_v2
from nvtrap.gic.v2.interface import VirtualInterfaceV2
from nvtrap.gic.virtual.lr import TRANSITIONS

SPURIOUS = 1023


class Machine:
    """An interface with everything enabled, and what it deactivated."""

    def __init__(self, *list_registers: int, ctlr: int = 0x3, pmr: int = 0xFF) -> None:
        self.deactivated: list[int] = []
        self.interface = VirtualInterfaceV2(4, self.deactivated.append)
        self.interface.hcr = gicv2.HCR_EN
        self.interface.lrs[: len(list_registers)] = list_registers
        self.write(gicv2.CTLR, ctlr)
        self.write(gicv2.PMR, pmr)

    def read(self, offset: int) -> int:
        return self.interface.read(offset)

    def write(self, offset: int, value: int) -> None:
        self.interface.write(offset, value)

    def states(self) -> list[int]:
        return [lr_v2.state(lr) for lr in self.interface.lrs]


def test_an_interrupt_is_signalled_acknowledged_and_ended() -> None:
    """Pending, then active with its priority, then nothing."""
    machine = Machine(lr_v2.make(40, priority=0xA0))
    assert machine.interface.signalled() == (True, False)
    assert machine.read(gicv2.IAR) == 40
    assert (machine.states()[0], machine.read(gicv2.RPR)) == (lr_v2.ACTIVE, 0xA0)
    assert machine.read(gicv2.APR0) == 1 << (0xA0 >> 3)
    assert machine.interface.signalled() == (False, False)
    machine.write(gicv2.EOIR, 40)
    assert (machine.states()[0], machine.read(gicv2.RPR)) == (lr_v2.INACTIVE, 0xFF)
    assert machine.read(gicv2.IAR) == SPURIOUS


def test_the_highest_priority_goes_first_and_the_lowest_register_of_equals() -> None:
    """Priority 0 is the highest; order in the list registers breaks ties."""
    machine = Machine(*(lr_v2.make(33 + n, priority=p) for n, p in enumerate((0x80, 8, 8))))
    assert machine.read(gicv2.IAR) == 34
    machine.write(gicv2.EOIR, 34)
    assert machine.read(gicv2.IAR) == 35


def test_an_sgi_tells_its_source() -> None:
    """IAR and HPPIR give the CPUID of the list register in bits 12 to 10, for SGIs only."""
    machine = Machine(lr_v2.make(3, source=5), lr_v2.make(40, priority=8, pintid=0x2F))
    assert machine.read(gicv2.HPPIR) == 5 << 10 | 3
    assert machine.read(gicv2.IAR) == 5 << 10 | 3
    machine.write(gicv2.EOIR, 5 << 10 | 3)
    assert machine.read(gicv2.IAR) == 40
    machine.write(gicv2.EOIR, 40)
    assert machine.deactivated == [0x2F]


@pytest.mark.parametrize(("pmr", "seen"), [(0x80, SPURIOUS), (0x87, SPURIOUS), (0x88, 40)])
def test_the_mask_lets_through_what_is_above_it(pmr: int, seen: int) -> None:
    """A priority equal to the mask does not pass; the mask has five bits."""
    machine = Machine(lr_v2.make(40, priority=0x80), pmr=pmr)
    assert machine.read(gicv2.PMR) == pmr & 0xF8
    assert machine.read(gicv2.HPPIR) == seen
    assert machine.read(gicv2.IAR) == seen


def test_only_a_higher_group_priority_preempts() -> None:
    """With BPR 6 the top bit alone counts; HPPIR shows what has to wait."""
    machine = Machine(lr_v2.make(40, priority=0xC0))
    machine.write(gicv2.BPR, 6)
    assert machine.read(gicv2.IAR) == 40
    assert machine.read(gicv2.RPR) == 0x80
    machine.interface.lrs[1] = lr_v2.make(41, priority=0x88)
    assert machine.interface.signalled() == (False, False)
    assert machine.read(gicv2.IAR) == SPURIOUS
    assert machine.read(gicv2.HPPIR) == 41
    machine.interface.lrs[2] = lr_v2.make(42, priority=0x78)
    assert machine.read(gicv2.IAR) == 42
    assert machine.read(gicv2.APR0) == 1 << (0x80 >> 3) | 1


@pytest.mark.parametrize(
    ("ctlr", "group", "signalled"),
    [
        (0x1, 0, (True, False)),
        (0x9, 0, (False, True)),
        (0x2, 0, (False, False)),
        (0x2, 1, (True, False)),
        (0xB, 1, (True, False)),
        (0x1, 1, (False, False)),
        (0x0, 0, (False, False)),
    ],
)
def test_groups_and_lines(ctlr: int, group: int, signalled: tuple[bool, bool]) -> None:
    """Group 0 is a FIQ only with FIQEn; a disabled group is not signalled."""
    machine = Machine(lr_v2.make(40, group=group), ctlr=ctlr)
    assert machine.interface.signalled() == signalled


def test_group_1_is_taken_from_the_alias_or_with_ackctl() -> None:
    """IAR says 1022 for it unless AckCtl is 1; the alias does not see Group 0."""
    machine = Machine(lr_v2.make(40, group=1))
    assert machine.read(gicv2.IAR) == machine.read(gicv2.HPPIR) == 1022
    assert machine.read(gicv2.AHPPIR) == 40
    assert machine.read(gicv2.AIAR) == 40
    machine.write(gicv2.AEOIR, 40)
    machine.interface.lrs[0] = lr_v2.make(41, group=1)
    machine.write(gicv2.CTLR, 0x7)
    assert machine.read(gicv2.IAR) == 41
    machine.write(gicv2.EOIR, 41)
    machine.interface.lrs[0] = lr_v2.make(42)
    assert machine.read(gicv2.AIAR) == machine.read(gicv2.AHPPIR) == SPURIOUS
    assert machine.read(gicv2.IAR) == 42


def test_a_disabled_group_hides_what_is_behind_it() -> None:
    """The highest priority is looked for in both groups, then its group's enable counts."""
    machine = Machine(lr_v2.make(40, priority=0), lr_v2.make(41, group=1, priority=8), ctlr=0x6)
    assert machine.read(gicv2.IAR) == SPURIOUS
    assert machine.interface.signalled() == (False, False)


def test_nothing_is_taken_while_the_interface_is_off() -> None:
    """GICH_HCR.En."""
    machine = Machine(lr_v2.make(40))
    machine.interface.hcr = 0
    assert machine.read(gicv2.IAR) == machine.read(gicv2.HPPIR) == SPURIOUS


def test_eoimode_splits_drop_and_deactivation() -> None:
    """EOIR drops the priority, DIR deactivates; DIR does nothing while EOImode is 0."""
    machine = Machine(lr_v2.make(40), ctlr=0x203)
    machine.read(gicv2.IAR)
    machine.write(gicv2.EOIR, 40)
    assert (machine.read(gicv2.RPR), machine.states()[0]) == (0xFF, lr_v2.ACTIVE)
    machine.write(gicv2.CTLR, 0x3)
    machine.write(gicv2.DIR, 40)
    assert machine.states()[0] == lr_v2.ACTIVE
    machine.write(gicv2.CTLR, 0x203)
    machine.write(gicv2.DIR, 40)
    assert machine.states()[0] == lr_v2.INACTIVE
    machine.write(gicv2.DIR, 40)
    assert machine.interface.hcr == gicv2.HCR_EN | gicv2.EOICOUNT_ONE


def test_eoicount_counts_what_no_list_register_holds() -> None:
    """Only where a priority was dropped; 32 of them wrap around."""
    machine = Machine()
    machine.write(gicv2.EOIR, 40)
    assert machine.interface.hcr == gicv2.HCR_EN
    for _ in range(33):
        machine.interface.active = 1
        machine.write(gicv2.EOIR, 40)
    assert machine.interface.hcr == gicv2.HCR_EN | gicv2.EOICOUNT_ONE


@pytest.mark.parametrize("register", [gicv2.EOIR, gicv2.AEOIR, gicv2.DIR])
@pytest.mark.parametrize("intid", [1020, 1021, 1022, 1023])
def test_special_intids_end_nothing(register: int, intid: int) -> None:
    """They name no interrupt, so neither a priority nor a count changes."""
    machine = Machine(lr_v2.make(40), ctlr=0x203 if register == gicv2.DIR else 0x3)
    machine.read(gicv2.IAR)
    before = machine.interface.state()
    machine.write(register, intid)
    assert machine.interface.state() == before


@pytest.mark.parametrize("pintid", [0, 15, 1020, 1023])
def test_only_a_ppi_or_spi_is_deactivated_at_the_host(pintid: int) -> None:
    """Other physical INTIDs are UNPREDICTABLE: nothing happens there."""
    machine = Machine(lr_v2.make(40, pintid=pintid))
    machine.write(gicv2.EOIR, machine.read(gicv2.IAR))
    assert (machine.deactivated, machine.states()[0]) == ([], lr_v2.INACTIVE)


def test_registers_without_a_place_read_zero_and_ignore_writes() -> None:
    """Holes in the frame, and the read-only ones."""
    machine = Machine(lr_v2.make(40))
    before = machine.interface.state()
    for offset in (0x2C, 0xD4, 0xE0, 0x1004, 0x1FFC, 2, gicv2.RPR, gicv2.HPPIR, gicv2.IIDR):
        machine.write(offset, 0xFFFF_FFFF)
    assert machine.interface.state() == before
    assert [machine.read(offset) for offset in (0x2C, 0xD4, 0xE0, 0x1000, 0x10)] == [0] * 5
    assert machine.read(gicv2.IIDR) == 0x2043B


def test_binary_points_have_a_minimum() -> None:
    """Five preemption bits leave BPR from 2 and ABPR from 3 on."""
    machine = Machine()
    machine.write(gicv2.BPR, 0)
    machine.write(gicv2.ABPR, 1)
    assert (machine.read(gicv2.BPR), machine.read(gicv2.ABPR)) == (2, 3)
    machine.write(gicv2.BPR, 0xF7)
    assert machine.read(gicv2.BPR) == 7


def test_group_1_uses_its_own_binary_point_unless_they_are_common() -> None:
    """ABPR n leaves as many bits to the group priority as BPR n - 1; CBPR takes BPR."""
    interface = Machine().interface
    interface.set_binary_points(4, 6)
    assert (interface.mask(0), interface.mask(1)) == (0xE0, 0xC0)
    interface.ctlr |= gicv2.CBPR
    assert interface.mask(1) == 0xE0


# ---- the hypervisor's side ----------------------------------------------------------


def test_vtr_describes_the_interface() -> None:
    """Four list registers, five bits of priority and of preemption."""
    assert gich.read(Machine().interface, gich.VTR) == 4 << 29 | 4 << 26 | 3


def test_vmcr_is_the_guests_settings() -> None:
    """VMPriMask is the upper five bits of PMR; the other fields are copies."""
    machine = Machine(ctlr=0x21F, pmr=0xA8)
    machine.write(gicv2.BPR, 5)
    machine.write(gicv2.ABPR, 6)
    value = 0x15 << 27 | 5 << 21 | 6 << 18 | 0x21F
    assert gich.read(machine.interface, gich.VMCR) == value
    other = Machine().interface
    gich.write(other, gich.VMCR, value)
    assert gich.vmcr(other) == value
    gich.write(other, gich.VMCR, 0)
    assert gich.vmcr(other) == 2 << 21 | 3 << 18


@given(st.integers(0, 0xFFFF_FFFF))
def test_writing_back_what_vmcr_reads_changes_nothing(value: int) -> None:
    """Save and restore of the guest's settings."""
    interface = Machine().interface
    gich.write(interface, gich.VMCR, value)
    before = interface.state()
    gich.write(interface, gich.VMCR, gich.read(interface, gich.VMCR))
    assert interface.state() == before


@given(st.integers(0, 0xFFFF_FFFF))
def test_a_list_register_keeps_its_fields(value: int) -> None:
    """All 32 bits are fields; the codec takes them apart and puts them together again."""
    interface = Machine().interface
    gich.write(interface, gich.LR0 + 8, value)
    lr = gich.read(interface, gich.LR0 + 8)
    assert lr == value & lr_v2.FIELDS
    made = lr_v2.make(
        lr_v2.vintid(lr),
        lr_v2.state(lr),
        lr_v2.group(lr),
        lr_v2.priority(lr),
        lr_v2.pintid(lr) if lr & lr_v2.HW else None,
        bool(lr & lr_v2.EOI),
        lr_v2.source(lr),
    )
    unnamed = 0 if lr & lr_v2.HW else 0x3F << 13  # bits 18:13 mean nothing with HW 0
    assert made == lr & ~unnamed


def test_status_registers_tell_empty_from_ended() -> None:
    """An EOI request keeps an inactive register from counting as empty, unless HW is 1."""
    machine = Machine(
        lr_v2.make(40, state=0, eoi=True), lr_v2.make(41, state=0, pintid=41), lr_v2.make(42)
    )
    assert gich.read(machine.interface, gich.EISR0) == 0b0001
    assert gich.read(machine.interface, gich.ELRSR0) == 0b1010
    assert gich.read(machine.interface, gich.EISR1) == gich.read(machine.interface, 0x34) == 0


@pytest.mark.parametrize(
    ("hcr", "list_registers", "misr"),
    [
        (0, (lr_v2.make(40, state=0, eoi=True),), gich.EOI),
        (gich.UIE, (lr_v2.make(40),), gich.U),
        (gich.UIE, (lr_v2.make(40), lr_v2.make(41)), 0),
        (gich.NPIE, (lr_v2.make(40, state=2),), gich.NP),
        (gich.NPIE, (lr_v2.make(40),), 0),
        (gich.LRENPIE | gicv2.EOICOUNT_ONE, (), gich.LRENP),
        (0xF0, (), gich.VGRP0EIE | gich.VGRP1DIE),
    ],
)
def test_misr_gives_the_reasons(hcr: int, list_registers: tuple[int, ...], misr: int) -> None:
    """Each enabled condition has its bit, and with En they raise the interrupt."""
    interface = Machine(*list_registers, ctlr=1).interface
    gich.write(interface, gich.HCR, hcr)
    assert gich.read(interface, gich.MISR) == misr
    assert not gich.signalled(interface)
    gich.write(interface, gich.HCR, hcr | gicv2.HCR_EN)
    assert gich.signalled(interface) is (misr != 0)


def test_the_control_block_has_holes_and_read_only_registers() -> None:
    """They read 0 and ignore writes; there is no fifth list register."""
    interface = Machine(lr_v2.make(40)).interface
    before = interface.state()
    for offset in (gich.VTR, gich.MISR, gich.EISR0, gich.ELRSR0, 0x40, 0x110, 0x102, 0xF4):
        gich.write(interface, offset, 0xFFFF_FFFF)
    assert interface.state() == before
    assert [gich.read(interface, offset) for offset in (0x0C, 0x40, 0x110, 0x102)] == [0] * 4


# ---- laws ---------------------------------------------------------------------------

OFFSETS = sorted({*gicv2._READS, *gicv2._WRITES})
LIST_REGISTERS = st.builds(
    lr_v2.make,
    st.sampled_from([1, 40, 41, 1019]),
    st.integers(0, 3),
    st.integers(0, 1),
    st.sampled_from([0, 8, 0x80, 0xF8]),
    st.sampled_from([None, 27]),
    st.booleans(),
)
ACCESSES = st.lists(
    st.tuples(
        st.booleans(),
        st.sampled_from(OFFSETS),
        st.sampled_from([0, 1, 3, 7, 40, 41, 0x203, 0x207, 1019, 1023, 0xFFFF_FFFF]),
    ),
    max_size=30,
)


@given(st.lists(LIST_REGISTERS, min_size=4, max_size=4), ACCESSES)
def test_a_guest_moves_list_registers_only_as_the_state_machine_allows(
    list_registers: list[int], accesses: list[tuple[bool, int, int]]
) -> None:
    """One access acknowledges or deactivates at most one, and nothing but its state changes."""
    machine = Machine(*list_registers, ctlr=0x7)
    for is_write, offset, value in accesses:
        before = list(machine.interface.lrs)
        if is_write:
            machine.write(offset, value)
        else:
            assert 0 <= machine.read(offset) <= 0xFFFF_FFFF
        changed = [(a, b) for a, b in zip(before, machine.interface.lrs, strict=True) if a != b]
        assert len(changed) <= 1
        for old, new in changed:
            assert lr_v2.state(new) in TRANSITIONS[lr_v2.state(old)]
            assert old & ~lr_v2.STATE == new & ~lr_v2.STATE
        copy = VirtualInterfaceV2(4, machine.deactivated.append)
        copy.load(machine.interface.state())
        assert copy.state() == machine.interface.state()


@given(
    st.permutations([(40, 0x80), (41, 0x40), (42, 0xC0), (43, 8)]), st.sampled_from([0x3, 0x203])
)
def test_what_is_acknowledged_and_ended_leaves_nothing(
    interrupts: list[tuple[int, int]], ctlr: int
) -> None:
    """Taken in priority order, each at most nested once, all end inactive and idle."""
    machine = Machine(*(lr_v2.make(intid, priority=p) for intid, p in interrupts), ctlr=ctlr)
    taken = []
    while (intid := machine.read(gicv2.IAR)) != SPURIOUS:
        taken.append(intid)
        machine.write(gicv2.EOIR, intid)
        machine.write(gicv2.DIR, intid)
    assert taken == [43, 41, 40, 42]
    assert machine.states() == [0] * 4
    assert machine.read(gicv2.APR0) == 0
