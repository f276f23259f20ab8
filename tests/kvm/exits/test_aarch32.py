"""Guests whose EL1 is AArch32: what they are given, and how they take it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvtrap.arch import pstate as ps
from nvtrap.kvm.context import EXCEPTION, Context, Features, Registers
from nvtrap.kvm.exits.aarch32 import LR_ABT, LR_UND, TTBCR_EAE
from nvtrap.kvm.exits.exceptions import (
    adjust_pc,
    inject_data_abort,
    inject_prefetch_abort,
    inject_undefined,
)
from tests.kvm.contexts import WORDS

HALVES = 0x1111_1111_2222_2222


def guest(pstate: int, **registers: int) -> Context:
    """An AArch32 guest at PC 0x8000."""
    features = Features(nv=False, el1_32bit=True)
    return Context(features, Registers(registers), pc=0x8000, pstate=pstate)


@pytest.mark.parametrize("t32", [0, ps.T32])
def test_an_undefined_instruction_is_taken_in_und(t32: int) -> None:
    """LR_und is the next instruction, SPSR_und the state."""
    context = guest(ps.USR | t32, VBAR_EL1=0x4000)
    inject_undefined(context)
    adjust_pc(context)
    assert context.pc == 0x4004
    assert context.pstate & ps.MODE == ps.UND
    assert context.x[LR_UND] == (0x8002 if t32 else 0x8004)
    assert context.sysregs["SPSR_und"] == ps.USR | t32


@pytest.mark.parametrize("long", [False, True])
def test_a_data_abort_has_its_address_in_the_low_half(long: bool) -> None:
    """DFSR and DFAR are ESR_EL1 and FAR_EL1's low word; its format is TTBCR.EAE's."""
    context = guest(ps.SVC, FAR_EL1=HALVES, TCR_EL1=TTBCR_EAE if long else 0)
    inject_data_abort(context, 0xABCD_1234_5678)
    assert context.sysregs["FAR_EL1"] == 0x1111_1111_1234_5678
    assert context.sysregs["ESR_EL1"] == (0x210 if long else 0x8)
    adjust_pc(context)
    assert (context.pc, context.x[LR_ABT]) == (0x10, 0x8008)
    assert context.pstate & (ps.MODE | ps.A_MASKED) == ps.ABT | ps.A_MASKED


def test_a_prefetch_abort_has_its_address_in_the_high_half() -> None:
    """IFSR and IFAR are IFSR32_EL2 and FAR_EL1's high word; V moves the vectors up."""
    context = guest(ps.SVC, FAR_EL1=HALVES, SCTLR_EL1=1 << 13)
    inject_prefetch_abort(context, 0x1234_5678)
    assert context.sysregs["FAR_EL1"] == 0x1234_5678_2222_2222
    assert context.sysregs["IFSR32_EL2"] == 0x8
    adjust_pc(context)
    assert context.pc == 0xFFFF_000C


def test_the_new_state_follows_sctlr() -> None:
    """TE, EE, SPAN and DSSBS; IT, IL and J are gone."""
    context = guest(0xFFFF_FFC0 | ps.USR, SCTLR_EL1=1 << 23)
    inject_undefined(context)
    adjust_pc(context)
    kept = ps.NZCV | ps.Q | ps.DIT | ps.PAN | ps.GE | ps.A_MASKED | ps.F_MASKED
    assert context.pstate == kept | ps.I_MASKED | ps.UND
    context = guest(ps.USR, SCTLR_EL1=1 << 25 | 1 << 30 | 1 << 31)
    inject_undefined(context)
    adjust_pc(context)
    from_sctlr = ps.BIG_ENDIAN | ps.T32 | ps.SSBS_32 | ps.PAN
    assert context.pstate == from_sctlr | ps.I_MASKED | ps.UND


@given(st.integers(0, 0xF), WORDS, WORDS)
def test_whatever_is_pending_an_aarch32_guest_survives(
    pending: int, pstate: int, sctlr: int
) -> None:
    """Exceptions that an AArch32 EL1 has not are dropped."""
    context = guest(pstate, SCTLR_EL1=sctlr)
    context.pending = pending
    adjust_pc(context)
    assert context.pending == 0
    if pending & EXCEPTION and pending >> 1 > 2:
        assert (context.pc, context.pstate) == (0x8000, pstate)
