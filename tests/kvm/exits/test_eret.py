"""ERET: emulated, forwarded, illegal, authenticated."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from nvtrap.arch import pstate as ps
from nvtrap.arch.esr import EC_FPAC, EC_SHIFT, IL
from nvtrap.kvm.context import (
    EL2_SYNC,
    HCR_E2H,
    HCR_NV,
    HCR_TGE,
    MASK_64,
    NOTHING_PENDING,
    Context,
    Features,
    Registers,
    implementation_defined_pacga,
    is_hyp_context,
)
from nvtrap.kvm.exits.eret import (
    EMULATED,
    FORWARDED,
    FPAC,
    NOTHING,
    UNDEF,
    emulate_nested_eret,
    handle_eret,
)
from nvtrap.kvm.exits.exceptions import adjust_pc, inject_nested_irq, inject_nested_sync
from nvtrap.kvm.exits.pauth import SCTLR_EN_IA, SCTLR_EN_IB, authenticate_eretax, int_shift_quirk
from tests.kvm.contexts import WORDS, contexts

ERET, ERETAA, ERETAB = (0x1A << EC_SHIFT | IL | iss for iss in (0, 2, 3))
CODE = 0xABCD << 48


def at_vel2(spsr: int, hcr: int = 0, *, elr: int = 0x1234, **features: bool) -> Context:
    """A context at vEL2 about to execute an ERET."""
    registers = Registers({"SPSR_EL2": spsr, "ELR_EL2": elr, "HCR_EL2": hcr})
    context = Context(Features(**features), registers, pc=0x80, pstate=ps.EL2H | ps.NZCV)
    context.esr = ERET
    return context


@given(contexts(nv=True), WORDS, st.booleans())
def test_what_is_injected_returns(context: Context, esr: int, is_irq: bool) -> None:
    """An exception for vEL2 and an ERET lead back to the same PC and PSTATE."""
    assume(not context.pstate & ps.AARCH32)  # vEL2 cannot return there
    mode = context.pstate & ps.MODE
    assume(mode not in (ps.EL1H, ps.EL1T) or not context.sysregs["HCR_EL2"] & HCR_TGE)
    context.pending = NOTHING_PENDING
    pc, pstate = context.pc, context.pstate
    if is_irq:
        inject_nested_irq(context)
    else:
        inject_nested_sync(context, esr)
    adjust_pc(context)
    assume((context.pc, context.pstate) != (pc, pstate))  # dropped
    context.esr = ERET
    assert handle_eret(context).what == EMULATED
    assert (context.pc, context.pstate, context.pending) == (pc, pstate, NOTHING_PENDING)


@given(contexts(), st.sampled_from([handle_eret, emulate_nested_eret]))
def test_no_eret_raises(context: Context, handle: object) -> None:
    """Whatever SPSR_EL2, the syndrome and the keys are; one word says what it was."""
    assert callable(handle)
    result = handle(context)
    adjust_pc(context)
    assert result.what in (EMULATED, FORWARDED, FPAC, UNDEF, NOTHING)
    values = (context.pc, context.pstate, *context.sysregs.values())
    assert all(0 <= value <= MASK_64 for value in values)


@pytest.mark.parametrize("mode", range(32))
@pytest.mark.parametrize("tge", [0, HCR_TGE])
def test_an_eret_reaches_the_modes_below_el3(mode: int, tge: int) -> None:
    """Five modes, with TGE not those of EL1; anything else is an illegal return."""
    legal = {0b00000, 0b01000, 0b01001} | (set() if tge else {0b00100, 0b00101})
    context = at_vel2(mode | ps.PAN, tge)
    handle_eret(context)
    expected = mode | ps.PAN if mode in legal else ps.EL2H | ps.NZCV | ps.IL
    assert (context.pc, context.pstate) == (0x1234, expected)


def test_a_legal_spsr_is_taken_whole() -> None:
    """RES0 bits included."""
    spsr = MASK_64 & ~ps.MODE | ps.EL1H
    context = at_vel2(spsr)
    handle_eret(context)
    assert context.pstate == spsr


def test_an_eret_puts_and_loads_even_to_el2() -> None:
    """KVM does not look whether the regime changes."""
    context = at_vel2(ps.EL2T)
    seen: list[int] = []
    context.put = context.load = lambda context: seen.append(context.pstate & ps.MODE)
    events: list[tuple[str, tuple[int, ...]]] = []
    context.trace = lambda name, values: events.append((name, values))
    handle_eret(context)
    assert seen == [ps.EL2H, ps.EL2T]
    assert events == [("kvm_nested_eret", (0x1234, ps.EL2T, 0))]


@given(contexts(nv=True))
def test_outside_hypervisor_context_the_exit_is_always_forwarded(context: Context) -> None:
    """Only the emulation itself asks for HCR_EL2.NV, where it is set it forwards too."""
    assume(not is_hyp_context(context))
    context.esr, nv = ERET, context.sysregs["HCR_EL2"] & HCR_NV
    pc, context.pending = context.pc, NOTHING_PENDING
    if nv:
        assert emulate_nested_eret(context).what == FORWARDED
    else:
        assert handle_eret(context).what == FORWARDED
    assert (context.sysregs["ELR_EL2"], context.sysregs["ESR_EL2"]) == (pc, ERET)


# ---- pointer authentication -----------------------------------------------------------


@pytest.mark.parametrize(("esr", "enable"), [(ERETAA, SCTLR_EN_IA), (ERETAB, SCTLR_EN_IB)])
def test_a_signed_address_authenticates(esr: int, enable: int) -> None:
    """With the code that PACGA gives for it, and for the other key only if that is equal."""
    context = at_vel2(ps.EL2H, HCR_E2H)
    context.esr = esr
    context.sysregs["SCTLR_EL2"] = enable
    context.sysregs["TCR_EL2"] = 16  # 48 address bits, the top byte counts
    context.sysregs["APIAKeyLo_EL1"], context.sysregs["APIBKeyLo_EL1"] = 1, 2
    key = 1 if esr == ERETAA else 2
    code = implementation_defined_pacga(0x1234, 0, key, 0)
    mask = 0xFF7F << 48
    context.sysregs["ELR_EL2"] = 0x1234 | code & mask
    assert authenticate_eretax(context) == (0x1234, True)
    context.sysregs["ELR_EL2"] ^= 1 << 49
    assert authenticate_eretax(context)[1] is False


@given(contexts(), st.sampled_from([ERETAA, ERETAB]), WORDS)
def test_a_disabled_key_authenticates_everything(context: Context, esr: int, elr: int) -> None:
    """And leaves the address."""
    context.esr, context.sysregs["ELR_EL2"] = esr, elr
    context.sysregs["SCTLR_EL2"] &= ~(SCTLR_EN_IA | SCTLR_EN_IB)
    assert authenticate_eretax(context) == (elr, True)


@given(contexts(pauth2=True), WORDS)
def test_with_pauth2_a_failure_keeps_the_difference(context: Context, code: int) -> None:
    """The address is the pointer with the code it should have had folded in."""
    context.pacga = lambda *_: code
    context.sysregs["SCTLR_EL2"] |= SCTLR_EN_IA | SCTLR_EN_IB
    pointer = context.sysregs["ELR_EL2"]
    address, good = authenticate_eretax(context)
    assume(not good)
    assert (address ^ pointer) & ~code == 0
    assert (address ^ pointer) & ((1 << 55) | (1 << 25) - 1) == 0


def test_fpac_is_an_exception_with_the_key_and_without_il() -> None:
    """Taken at vEL2, before anything of the return."""
    context = at_vel2(ps.EL1H)
    context.esr = ERETAB
    context.sysregs["SCTLR_EL2"] = SCTLR_EN_IB
    context.pacga = lambda *_: CODE
    result = handle_eret(context)
    assert (result.what, result.authenticated) == (FPAC, False)
    assert (context.pending, context.pc) == (EL2_SYNC, 0x80)
    assert context.sysregs["ESR_EL2"] == EC_FPAC << EC_SHIFT | 1


@pytest.mark.parametrize("spsr", [ps.EL3H, ps.EL1H | ps.IL])
def test_an_illegal_state_comes_before_fpac(spsr: int) -> None:
    """Whether the return is illegal or SPSR_EL2 says so itself."""
    context = at_vel2(spsr)
    context.esr = ERETAA
    context.sysregs["SCTLR_EL2"] = SCTLR_EN_IA
    context.pacga = lambda *_: CODE
    assert handle_eret(context).what == EMULATED
    assert context.pstate & ps.IL


def test_the_int_shift_quirk_moves_the_error_code() -> None:
    """Two bits cleared where they should be, and set 32 places below."""
    address = 0x0060_1111_1111_1111
    assert int_shift_quirk(address, 1, top_byte_ignored=True) == 0x0000_1111_1131_1111
    assert int_shift_quirk(address, 2, top_byte_ignored=False) == 0x0060_1111_5111_1111


def test_eretax_without_the_feature_is_undefined_first() -> None:
    """Also where an ERET would have been forwarded."""
    context = at_vel2(ps.EL1H, ptrauth=False)
    context.pstate, context.esr = ps.EL1H, ERETAA
    assert handle_eret(context).what == UNDEF
    assert context.sysregs["ESR_EL1"] == IL


def test_without_el2_there_is_nobody_to_forward_to() -> None:
    """The handler ignores that."""
    context = at_vel2(ps.EL1H, nv=False)
    assert handle_eret(context).what == NOTHING
    assert (context.pc, context.pending) == (0x80, NOTHING_PENDING)
