"""Exceptions given to a guest: what is queued, what is taken at once, and how."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from nvtrap.arch import pstate as ps
from nvtrap.arch.esr import EC_SHIFT, IL, exception_class
from nvtrap.kvm.context import (
    EL1_SYNC,
    EL2_IRQ,
    EL2_SYNC,
    HCR_E2H,
    HCR_IMO,
    HCR_TGE,
    INCREMENT_PC,
    MASK_64,
    NOTHING_PENDING,
    Context,
    Features,
    Registers,
    increment_pc,
    is_el2,
    is_host_el0,
    is_hyp_context,
    pend,
)
from nvtrap.kvm.exits.exceptions import (
    SCTLR_DSSBS,
    SCTLR_SPAN,
    adjust_pc,
    enter_exception,
    inject_data_abort,
    inject_nested_irq,
    inject_nested_sync,
    inject_prefetch_abort,
    inject_undefined,
    skip_instruction,
)
from tests.kvm.contexts import WORDS, contexts

ESR = 0x5A00_0001
VBAR = {"VBAR_EL1": 0x1000, "VBAR_EL2": 0x2000}
LEVELS = {ps.EL1H: "EL1", ps.EL2H: "EL2"}


def at(pstate: int, hcr: int = 0, **features: bool) -> Context:
    """A context at `pstate`, PC 0x80, with vectors."""
    registers = Registers({**VBAR, "HCR_EL2": hcr})
    return Context(Features(**features), registers, pc=0x80, pstate=pstate)


def watched(context: Context) -> list[str]:
    """What the vCPU is put and loaded for, as its modes."""
    seen: list[str] = []
    context.put = lambda context: seen.append("put " + ps.MODE_NAMES[context.pstate & ps.MODE])
    context.load = lambda context: seen.append("load " + ps.MODE_NAMES[context.pstate & ps.MODE])
    return seen


# ---- entry -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "target", "offset"),
    [
        (ps.EL2H, ps.EL2H, 0x200),
        (ps.EL2T, ps.EL2H, 0x0),
        (ps.EL1H, ps.EL2H, 0x400),
        (ps.EL0T, ps.EL2H, 0x400),
        (ps.USR, ps.EL2H, 0x600),
        (ps.EL1H, ps.EL1H, 0x200),
        (ps.EL1T, ps.EL1H, 0x0),
        (ps.EL0T, ps.EL1H, 0x400),
        (ps.USR, ps.EL1H, 0x600),
    ],
)
@pytest.mark.parametrize("kind", [0x0, 0x80])
def test_the_vector_tells_where_an_exception_is_from(
    mode: int, target: int, offset: int, kind: int
) -> None:
    """DDI 0487, D1.3.1.2: the same level by its stack pointer, lower ones by their state."""
    context = at(mode)
    enter_exception(context, target, kind)
    assert context.pc == VBAR[f"VBAR_{LEVELS[target]}"] + offset + kind


@given(contexts(), st.sampled_from([ps.EL1H, ps.EL2H]))
def test_an_entry_keeps_what_the_architecture_keeps(context: Context, target: int) -> None:
    """Flags, DIT and PAN stay, DAIF is set; SCTLR decides PAN and SSBS, MTE decides TCO."""
    old, pc, level = context.pstate, context.pc, LEVELS[target]
    sctlr = context.sysregs[f"SCTLR_{level}"]
    enter_exception(context, target, 0)
    new = context.pstate
    assert new & ps.MODE == target
    assert new & ps.DAIF == ps.DAIF
    assert (new ^ old) & (ps.NZCV | ps.DIT) == 0
    assert bool(new & ps.PAN) == bool(old & ps.PAN or not sctlr & SCTLR_SPAN)
    assert bool(new & ps.SSBS) == bool(sctlr & SCTLR_DSSBS)
    assert bool(new & ps.TCO) == context.features.mte
    assert new & (ps.SS | ps.IL | ps.BTYPE | ps.UAO) == 0
    assert (context.sysregs[f"ELR_{level}"], context.sysregs[f"SPSR_{level}"]) == (pc, old)


def test_a_vector_wraps_at_64_bits() -> None:
    """VBAR is added as it is, its low bits too."""
    context = at(ps.EL1H)
    context.sysregs["VBAR_EL2"] = MASK_64
    enter_exception(context, ps.EL2H, 0x80)
    assert context.pc == 0x47F


# ---- for vEL2 ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "hcr", "features", "direct"),
    [
        (ps.EL2H, 0, {}, True),
        (ps.EL2T, 0, {}, True),
        (ps.EL0T, HCR_TGE | HCR_E2H, {}, True),
        (ps.EL0T, HCR_TGE, {}, False),
        (ps.EL0T, HCR_TGE, {"e2h0": False}, True),
        (ps.EL0T, HCR_E2H, {}, False),
        (ps.USR, HCR_TGE | HCR_E2H, {}, False),
        (ps.EL1H, 0, {}, False),
    ],
)
def test_only_vel2_and_its_user_space_need_no_switch(
    mode: int, hcr: int, features: dict[str, bool], direct: bool
) -> None:
    """There the exception stays queued; else it is taken between a put and a load."""
    context = at(mode, hcr, **features)
    seen = watched(context)
    assert inject_nested_sync(context, ESR) == 1
    assert context.sysregs["ESR_EL2"] == ESR
    if direct:
        assert (seen, context.pending, context.pstate) == ([], EL2_SYNC, mode)
        adjust_pc(context)
    else:
        assert seen == [f"put {ps.MODE_NAMES[mode]}", "load EL2h"]
    assert context.pending == NOTHING_PENDING
    assert (context.sysregs["ELR_EL2"], context.sysregs["SPSR_EL2"]) == (0x80, mode)


def test_a_skip_is_done_before_the_switch() -> None:
    """ELR_EL2 is the instruction after."""
    context = at(ps.EL1H)
    increment_pc(context)
    inject_nested_sync(context, ESR)
    assert context.sysregs["ELR_EL2"] == 0x84


def test_an_el1_exception_is_taken_before_the_switch() -> None:
    """vEL2 interrupts the first instruction of EL1's handler."""
    context = at(ps.EL0T)
    inject_undefined(context)
    inject_nested_irq(context)
    assert context.sysregs["ELR_EL1"] == 0x80
    assert context.sysregs["ELR_EL2"] == VBAR["VBAR_EL1"] + 0x400
    assert context.sysregs["SPSR_EL2"] & ps.MODE == ps.EL1H
    assert context.pc == VBAR["VBAR_EL2"] + 0x480


@pytest.mark.parametrize("mode", [ps.EL2H, ps.EL1H, ps.EL0T])
@pytest.mark.parametrize("hcr", [0, HCR_IMO, HCR_TGE])
def test_vel2_drops_an_irq_that_is_not_routed_to_it(mode: int, hcr: int) -> None:
    """Only vEL2 itself looks at IMO and TGE."""
    context = at(mode, hcr)
    seen = watched(context)
    assert inject_nested_irq(context) == 1
    dropped = not seen and not context.pending
    assert dropped == (mode == ps.EL2H and hcr == 0)


@given(contexts(nv=True))
def test_an_irq_leaves_the_syndrome(context: Context) -> None:
    """ESR_EL2 is of synchronous exceptions."""
    before = context.sysregs["ESR_EL2"]
    context.pending = NOTHING_PENDING
    inject_nested_irq(context)
    adjust_pc(context)
    assert context.sysregs["ESR_EL2"] == before


@given(contexts(nv=False), WORDS)
def test_without_el2_nothing_is_injected(context: Context, esr: int) -> None:
    """-EINVAL, and the vCPU as it was."""
    before = (context.pc, context.pstate, context.pending, dict(context.sysregs))
    assert inject_nested_sync(context, esr) == -22
    assert inject_nested_irq(context) == -22 or is_el2(context)
    assert (context.pc, context.pstate, context.pending, dict(context.sysregs)) == before


def test_a_trace_tells_of_the_exception_before_it_is_taken() -> None:
    """The event's type, syndrome, PC, PSTATE and HCR_EL2."""
    context = at(ps.EL1H, HCR_IMO)
    seen: list[tuple[str, tuple[int, ...]]] = []
    context.trace = lambda name, values: seen.append((name, values))
    inject_nested_sync(context, ESR)
    inject_nested_irq(context)
    assert seen == [
        ("kvm_inject_nested_exception", (0, ESR, 0x80, ps.EL1H, HCR_IMO)),
        ("kvm_inject_nested_exception", (0x80, 0, 0x2400, context.pstate, HCR_IMO)),
    ]


# ---- for the level the guest is at ---------------------------------------------------


@given(contexts(), WORDS, st.sampled_from(["undef", "dabt", "pabt"]))
def test_faults_go_to_the_level_they_come_from(context: Context, address: int, kind: str) -> None:
    """From EL0 to EL2 by TGE and to EL1 otherwise; nothing changes but ESR and FAR yet."""
    context.pending = NOTHING_PENDING
    before, pc, pstate = dict(context.sysregs), context.pc, context.pstate
    inject(context, kind, address)
    from_el0 = pstate & 0xF == ps.EL0T
    level = "EL2" if is_el2(context) or (from_el0 and is_hyp_context(context)) else "EL1"
    if not context.features.nv:
        level = "EL1"
    assert context.pending == (EL2_SYNC if level == "EL2" else EL1_SYNC)
    assert (context.pc, context.pstate) == (pc, pstate)
    esr = context.sysregs[f"ESR_{level}"]
    assert esr & IL == context.esr & IL
    classes = {"undef": (0x00, 0x00), "dabt": (0x24, 0x25), "pabt": (0x20, 0x21)}
    assert exception_class(esr) == classes[kind][0 if from_el0 else 1]
    changed = {name for name in before if before[name] != context.sysregs[name]}
    assert changed <= {f"ESR_{level}", f"FAR_{level}"}
    if kind != "undef":
        assert context.sysregs[f"FAR_{level}"] == address
        assert esr & 0x3F == 0x10


def inject(context: Context, kind: str, address: int) -> None:
    """One of the three faults."""
    if kind == "undef":
        inject_undefined(context)
    elif kind == "dabt":
        inject_data_abort(context, address)
    else:
        inject_prefetch_abort(context, address)


# ---- what is pending ----------------------------------------------------------------


def test_an_exception_takes_the_place_of_a_skip() -> None:
    """The instruction that faults is not skipped."""
    context = at(ps.EL1H)
    increment_pc(context)
    inject_undefined(context)
    adjust_pc(context)
    assert context.sysregs["ELR_EL1"] == 0x80


@pytest.mark.parametrize(("first", "then"), [(EL2_SYNC, EL2_IRQ), (EL2_IRQ, EL2_IRQ)])
def test_a_skip_after_an_exception_changes_it(first: int, then: int) -> None:
    """The kernel's flags overlap: it warns, and goes on like this."""
    context = at(ps.EL2H)
    pend(context, first)
    increment_pc(context)
    assert context.pending == then


def test_a_skip_after_an_el1_exception_drops_it() -> None:
    """EL1_SYNC becomes an interrupt that KVM never gives an EL1."""
    context = at(ps.EL1H)
    pend(context, EL1_SYNC)
    increment_pc(context)
    adjust_pc(context)
    assert (context.pc, context.pstate, context.pending) == (0x80, ps.EL1H, NOTHING_PENDING)


@given(contexts())
def test_a_skip_moves_the_pc_and_what_belongs_to_the_instruction(context: Context) -> None:
    """BTYPE and SS are gone, in AArch64 nothing else changes."""
    assume(not context.pstate & ps.AARCH32)
    context.pending = INCREMENT_PC
    pc, pstate = context.pc, context.pstate
    adjust_pc(context)
    assert context.pc == (pc + 4) & MASK_64
    assert context.pstate == pstate & ~(ps.BTYPE | ps.SS)


@given(contexts(), WORDS, st.sampled_from(["sync", "irq", "undef", "dabt", "pabt", "skip"]))
def test_whatever_the_guest_is_it_can_be_injected(context: Context, value: int, kind: str) -> None:
    """Nothing raises, everything stays within 64 bits, and nothing is left pending."""
    if kind == "sync":
        inject_nested_sync(context, value)
    elif kind == "irq":
        inject_nested_irq(context)
    elif kind == "skip":
        skip_instruction(context)
    else:
        inject(context, kind, value)
    adjust_pc(context)
    assert context.pending == NOTHING_PENDING
    values = (context.pc, context.pstate, *context.x, *context.sysregs.values())
    assert all(0 <= value <= MASK_64 for value in values)


# ---- contexts -----------------------------------------------------------------------


def test_tge_makes_a_hypervisor_context_of_any_mode() -> None:
    """KVM takes E2H=0 with TGE=1 for host EL0 too."""
    for mode in (ps.EL0T, ps.EL1H):
        assert is_host_el0(at(mode, HCR_TGE))
        assert not is_hyp_context(at(mode, HCR_E2H))
        assert not is_hyp_context(at(mode, HCR_TGE, nv=False))
    assert is_hyp_context(at(ps.EL2H))
    assert not is_host_el0(at(ps.EL2H, HCR_TGE))


def test_register_31_is_zero() -> None:
    """It reads as zero and is never written."""
    context = at(ps.EL1H)
    context.set_register(31, 5)
    context.set_register(30, -1)
    assert (context.register(31), context.register(30)) == (0, MASK_64)


def test_a_syndrome_without_il_says_so() -> None:
    """The length of the instruction is copied, not assumed."""
    for il in (0, IL):
        context = at(ps.EL1H)
        context.esr = 0x18 << EC_SHIFT | il
        inject_undefined(context)
        assert context.sysregs["ESR_EL1"] == il
