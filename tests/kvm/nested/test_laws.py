"""Laws over random programs of L1 and L2."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nvtrap.errors import UsageError
from nvtrap.gic.parameters import Parameters
from nvtrap.gic.virtual import icv
from nvtrap.gic.virtual import lr as lrs
from nvtrap.gic.virtual.ich import READS, WRITES
from nvtrap.gic.virtual.interface import VirtualInterface
from nvtrap.kvm.host import Host
from nvtrap.kvm.nested.machine import GICD_BASE, INSTRUCTIONS, RAM_BASE
from nvtrap.kvm.vgic.nested import AT_EXIT
from nvtrap.store import load
from tests.kvm.nested.machines import (
    BEFORE,
    EN,
    FOR_L2,
    IMO,
    NV,
    NV1,
    NV2,
    ON,
    RW,
    SINCE,
    VM,
    Guest,
    booted,
    pending,
)

WORDS = st.integers(0, (1 << 64) - 1)
FEW_BITS = st.sets(st.integers(0, 63), max_size=6).map(lambda bits: sum(1 << n for n in bits))
VALUES = WORDS | FEW_BITS | st.sampled_from([0, FOR_L2, FOR_L2 | 1, 0x3C5, 0x3C9])
# Every register and instruction that the architecture's table can name.
REGISTERS = st.sampled_from(
    sorted({name for name, code, _ in load("arch").names if code < 1 << 16})
)
IMPORTANT = st.sampled_from(
    [
        *("HCR_EL2", "SPSR_EL2", "ELR_EL2", "VBAR_EL1", "VTTBR_EL2", "VTCR_EL2", "VNCR_EL2"),
        *("ICH_HCR_EL2", "ICH_VMCR_EL2", "ICH_LR0_EL2", "ICH_LR1_EL2", "ICH_AP1R0_EL2"),
        *("ICC_IAR1_EL1", "ICC_EOIR1_EL1", "ICC_DIR_EL1", "ICC_CTLR_EL1", "ICC_PMR_EL1"),
        *("ICC_SGI1R_EL1", "DAIF", "HFGRTR_EL2", "CPTR_EL2", "MDCR_EL2", "HSTR_EL2"),
    ]
)
ADDRESSES = st.sampled_from([RAM_BASE, GICD_BASE, GICD_BASE + 0x100, 0x0900_0000, 0]).flatmap(
    lambda base: st.integers(0, 0x200).map(lambda n: base + 8 * n)
)
HCRS = st.sampled_from(
    [FOR_L2, FOR_L2 | VM, FOR_L2 | NV, FOR_L2 | NV | NV2, FOR_L2 | NV | NV1, RW | IMO, RW | VM]
)
ENCODINGS = st.integers(0, (1 << 16) - 1)
INSTRUCTION = st.one_of(
    st.tuples(st.just("mrs"), REGISTERS | IMPORTANT | ENCODINGS),
    st.tuples(st.just("msr"), REGISTERS | IMPORTANT | ENCODINGS, VALUES),
    st.tuples(st.just("msr"), IMPORTANT, VALUES),
    st.tuples(st.just("load"), ADDRESSES, st.sampled_from([1, 2, 4, 8])),
    st.tuples(st.just("store"), ADDRESSES, st.sampled_from([1, 2, 4, 8]), VALUES),
    st.tuples(st.sampled_from(["hvc", "smc", "svc", "brk"]), st.integers(0, 1)),
    st.tuples(st.just("eret"), st.sampled_from(["", "", "", "a", "b"])),
    st.tuples(st.sampled_from(["wfi", "wfe", "fp", "sve", "pauth", "nop"])),
    st.tuples(st.just("enter"), HCRS),
    st.tuples(st.just("irq"), st.sampled_from([27, 30, 40, 41]), st.booleans()),
)


# ---- L0 raises nothing ---------------------------------------------------------------


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 1), INSTRUCTION), max_size=40),
    st.sampled_from([BEFORE, SINCE]),
    st.sampled_from([0, 1 << 12]),
)
def test_nothing_that_l1_or_l2_does_raises_in_l0(
    program: list[tuple[int, tuple[Any, ...]]], kernel: tuple[int, int], host_traps: int
) -> None:
    """Any instructions, with any registers and values, in whatever context they leave."""
    machine = booted(2, kernel=kernel, host_traps=host_traps).machine
    told: list[str] = []
    machine.set_watch(lambda event: told.append(str(event)))
    guests = [Guest(machine, index) for index in (0, 1)]
    for intid in (40, 41):
        machine.configure_interrupt(intid)
    for index, (instruction, *operands) in program:
        guest = guests[index]
        if instruction == "irq":
            machine.raise_interrupt(operands[0], operands[1], guest.vcpu)
        elif guest.vcpu.kvm.waiting or guest.vcpu.kvm.powered_off:
            continue
        elif instruction != "enter":
            guest(instruction, *operands)
        elif guest.vcpu.is_hyp:
            guest.to_l2(*operands)


def test_every_instruction_is_tried() -> None:
    """The program above knows all but those of AArch32."""
    tried = [
        "mrs",
        "msr",
        "load",
        "store",
        "hvc",
        "smc",
        "svc",
        "brk",
        "eret",
        "wfi",
        "wfe",
        "fp",
        "sve",
        "pauth",
        "nop",
    ]
    assert set(INSTRUCTIONS) == {*tried, "mrc", "mcr"}


# ---- what L2 does is as on silicon of its own -----------------------------------------

L2_STEP = st.one_of(
    st.tuples(st.just("mrs"), st.sampled_from(["ICC_IAR1_EL1", "ICC_IAR0_EL1", "ICC_RPR_EL1"])),
    st.tuples(
        st.just("msr"),
        st.sampled_from(["ICC_EOIR1_EL1", "ICC_EOIR0_EL1", "ICC_DIR_EL1"]),
        st.integers(40, 47),
    ),
    st.tuples(st.just("msr"), st.just("ICC_PMR_EL1"), st.integers(0, 255)),
    st.tuples(st.just("msr"), st.just("ICC_BPR1_EL1"), st.integers(0, 7)),
    st.tuples(st.just("msr"), st.just("ICC_CTLR_EL1"), st.integers(0, 3)),
    st.tuples(st.just("msr"), st.just("ICC_IGRPEN1_EL1"), st.integers(0, 1)),
    st.tuples(st.just("wfe")),
    st.tuples(st.just("switch")),
)


@st.composite
def list_register(draw: st.DrawFn) -> int:
    """One of a few interrupts, in any state and group, with HW for some that are mapped."""
    intid = draw(st.integers(40, 47))
    hw = draw(st.none() | st.integers(50, 53))
    value = pending(intid, hw=hw, priority=draw(st.sampled_from([0x40, 0x80, 0xA0, 0xF8])))
    value = value & ~lrs.STATE | draw(st.integers(0, 3)) << lrs.STATE_SHIFT
    return value ^ lrs.GROUP if draw(st.booleans()) else value


class Silicon:
    """A virtual CPU interface with L1's own list registers, as it has them."""

    def __init__(self, parameters: Parameters, lrs_of_l1: list[int]) -> None:
        self.ended: list[int] = []
        self.interface = VirtualInterface(parameters, self.ended.append)
        self.l1 = list(lrs_of_l1)
        WRITES["ICH_HCR_EL2"](self.interface, EN)
        WRITES["ICH_VMCR_EL2"](self.interface, ON)
        for n, value in enumerate(lrs_of_l1):
            WRITES[f"ICH_LR{n}_EL2"](self.interface, value)

    def run(self, step: tuple[Any, ...]) -> int | None:
        """What the step reads."""
        if step[0] == "mrs":
            return icv.READS[step[1]](self.interface)
        if step[0] == "msr":
            icv.WRITES[step[1]](self.interface, step[2])
        return None

    def list_registers(self) -> list[int]:
        """L1's list registers with the states that the silicon has."""
        return [
            own & ~lrs.STATE | READS[f"ICH_LR{n}_EL2"](self.interface) & lrs.STATE
            for n, own in enumerate(self.l1)
        ]


@settings(max_examples=150, deadline=None)
@given(
    st.integers(1, 16).flatmap(lambda n: st.lists(list_register(), min_size=n, max_size=n)),
    st.lists(L2_STEP, max_size=25),
    st.sampled_from([BEFORE, SINCE]),
)
@example([pending(40)], [("mrs", "ICC_IAR1_EL1"), ("switch",)], BEFORE)
def test_l1s_list_registers_are_those_of_silicon_that_l2_has_for_itself(
    values: list[int], steps: list[tuple[Any, ...]], kernel: tuple[int, int]
) -> None:
    """Shadow, exits and switches change nothing that L2 reads, nor what L1 finds after it."""
    parameters = Parameters(list_registers=len(values))
    l1 = booted(kernel=kernel, host=Host(parameters))
    l1.private(25).enabled = False  # L1 does not want to hear of maintenance
    l1.write(ICH_HCR_EL2=EN, ICH_VMCR_EL2=ON)
    l1.write(**{f"ICH_LR{n}_EL2": value for n, value in enumerate(values)})
    silicon = Silicon(parameters, values)
    l1.to_l2()
    for step in steps:
        if step[0] == "switch":
            l1.to_l1()
            assert [l1.lr(n) for n in range(len(values))] == silicon.list_registers()
            l1.to_l2()
        else:
            assert l1(*step).value == silicon.run(step)
    l1.to_l1()
    assert [l1.lr(n) for n in range(len(values))] == silicon.list_registers()
    interface = silicon.interface
    assert l1.read("ICH_VMCR_EL2") == READS["ICH_VMCR_EL2"](interface)
    for group in (0, 1):
        name = f"ICH_AP{group}R0_EL2"
        assert l1.read(name) == READS[name](interface)
    if l1.vcpu.lists.shadow.writes_back == AT_EXIT:
        assert l1.read("ICH_HCR_EL2") == READS["ICH_HCR_EL2"](interface)


# ---- delivered once -------------------------------------------------------------------


class Injector:
    """An L1 that injects interrupts into its L2 as a hypervisor does, and takes its exits."""

    def __init__(self, l1: Guest) -> None:
        self.l1 = l1
        self.waiting: list[int] = []
        self.delivered: list[int] = []
        l1.write(ICH_HCR_EL2=EN, ICH_VMCR_EL2=ON)

    def to_l2(self) -> None:
        """Fill the free list registers and return to L2; interrupts of L1's own come first."""
        l1 = self.l1
        while True:
            free = l1.read("ICH_ELRSR_EL2")
            for n in range(4):
                if free >> n & 1 and self.waiting:
                    l1.write(**{f"ICH_LR{n}_EL2": pending(self.waiting.pop(0))})
            l1.to_l2()
            if not l1.vcpu.is_hyp:
                return
            self.take_own()

    def take_own(self) -> None:
        """Acknowledge and end an interrupt of L1's own."""
        intid = self.l1.read("ICC_IAR1_EL1")
        if intid < 1020:
            self.l1.write(ICC_EOIR1_EL1=intid)

    def l2_takes_one(self) -> None:
        """L2 acknowledges and ends what is pending."""
        intid = self.l1.read("ICC_IAR1_EL1")
        if intid < 1020:
            self.delivered.append(intid)
            self.l1.write(ICC_EOIR1_EL1=intid)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.sampled_from(["inject", "take", "exit", "switch", "own"]), max_size=40),
    st.sampled_from([BEFORE, SINCE]),
)
def test_an_interrupt_injected_for_l2_is_delivered_exactly_once(
    actions: list[str], kernel: tuple[int, int]
) -> None:
    """Through exits, switches and interrupts of L1 that come in between."""
    l1 = booted(kernel=kernel)
    l1.machine.configure_interrupt(40)
    hypervisor = Injector(l1)
    injected: list[int] = []
    hypervisor.to_l2()
    for action in actions:
        if action == "inject":
            injected.append(100 + len(injected))
            hypervisor.waiting.append(injected[-1])
        elif action == "take":
            hypervisor.l2_takes_one()
        elif action == "exit":
            l1("wfe")
        elif action == "switch":
            l1.to_l1()
        else:
            l1.machine.raise_interrupt(40)
        if l1.vcpu.is_hyp:
            if action == "own":
                hypervisor.take_own()
            hypervisor.to_l2()
    for _ in injected:
        l1.to_l1()
        hypervisor.to_l2()
        for _ in range(4):
            hypervisor.l2_takes_one()
    assert sorted(hypervisor.delivered) == injected


def test_a_vcpu_that_waits_says_so() -> None:
    """The one thing that a caller may not do: run what does not run."""
    l1 = booted()
    l1("wfi")
    with pytest.raises(UsageError, match="vCPU 0 waits for an interrupt"):
        l1("nop")
