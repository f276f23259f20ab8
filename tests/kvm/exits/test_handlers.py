"""Trapped calls and instruction sets: for vEL2, for the host, or undefined."""

from __future__ import annotations

import pytest

from nvtrap.arch import pstate as ps
from nvtrap.arch.esr import EC_SHIFT, IL
from nvtrap.kvm.context import (
    HCR_E2H,
    HCR_HCD,
    HCR_TGE,
    HCR_TSC,
    INCREMENT_PC,
    MASK_64,
    NOTHING_PENDING,
    Context,
    Features,
    Registers,
)
from nvtrap.kvm.exits.handlers import (
    CALL,
    NOT_SUPPORTED,
    NOTHING,
    TO_EL2,
    UNDEF,
    UNREACHABLE,
    handle_fpasimd,
    handle_hvc,
    handle_ptrauth,
    handle_smc,
    handle_svc,
    handle_sve,
)

HVC, SMC = 0x16 << EC_SHIFT | IL, 0x17 << EC_SHIFT | IL


def at(mode: int, esr: int, hcr: int = 0, cptr: int = 0, **features: bool) -> Context:
    """A context that trapped with this syndrome."""
    registers = Registers({"HCR_EL2": hcr, "CPTR_EL2": cptr})
    context = Context(Features(**features), registers, pc=0x80, pstate=mode)
    context.esr = esr
    return context


@pytest.mark.parametrize("mode", [ps.EL2H, ps.EL1H, ps.EL0T])
def test_hvc_is_for_vel2_or_disabled(mode: int) -> None:
    """Also from vEL2 itself; the PC stays at the HVC's own successor."""
    assert handle_hvc(at(mode, HVC)) == TO_EL2
    assert handle_hvc(at(mode, HVC, HCR_HCD)) == UNDEF
    context = at(mode, HVC, HCR_HCD, nv=False)
    assert handle_hvc(context) == CALL
    assert context.pending == NOTHING_PENDING


def test_smc_is_forwarded_from_below_vel2() -> None:
    """ELR_EL2 points at the SMC."""
    context = at(ps.EL1H, SMC, HCR_TSC)
    assert handle_smc(context) == TO_EL2
    assert context.sysregs["ELR_EL2"] == 0x80
    for other in (at(ps.EL2H, SMC, HCR_TSC), at(ps.EL1H, SMC), at(ps.EL0T, SMC, HCR_TSC | HCR_TGE)):
        assert handle_smc(other) == CALL
        assert other.pending == INCREMENT_PC


def test_an_smc_with_an_immediate_is_not_supported() -> None:
    """-1, and past it."""
    context = at(ps.EL1H, SMC | 1)
    assert handle_smc(context) == NOT_SUPPORTED
    assert (context.x[0], context.pending) == (MASK_64, INCREMENT_PC)


def test_svc_is_only_trapped_for_vel2() -> None:
    """Where there is none, nothing happens."""
    assert handle_svc(at(ps.EL0T, 0x15 << EC_SHIFT)) == TO_EL2
    context = at(ps.EL0T, 0x15 << EC_SHIFT, nv=False)
    assert (handle_svc(context), context.pending) == (NOTHING, NOTHING_PENDING)


@pytest.mark.parametrize(
    ("handle", "shift", "bit"), [(handle_fpasimd, 20, 1 << 10), (handle_sve, 16, 1 << 8)]
)
def test_cptr_decides_who_gets_an_instruction_set(handle: object, shift: int, bit: int) -> None:
    """A field of two bits under E2H, a bit without."""
    assert callable(handle)
    traps = {0b00: True, 0b01: False, 0b10: True, 0b11: False}
    for field, trapped in traps.items():
        for mode in (ps.EL2H, ps.EL1H):
            context = at(mode, 0, HCR_E2H, field << shift)
            assert handle(context) == (TO_EL2 if trapped else UNDEF)
    host_el0 = at(ps.EL0T, 0, HCR_E2H | HCR_TGE, 0b01 << shift)
    assert handle(host_el0) == TO_EL2
    assert handle(at(ps.EL2H, 0, HCR_E2H | HCR_TGE, 0b01 << shift)) == UNDEF
    assert handle(at(ps.EL1H, 0, 0, bit)) == TO_EL2
    assert handle(at(ps.EL1H, 0, 0, MASK_64 & ~bit)) == UNDEF
    assert handle(at(ps.EL1H, 0, 0, bit, nv=False)) == UNDEF


def test_ptrauth_is_for_vel2_below_it() -> None:
    """At vEL2 the trap should not be there at all."""
    assert handle_ptrauth(at(ps.EL1H, 0)) == TO_EL2
    assert handle_ptrauth(at(ps.EL1H, 0, ptrauth=False)) == UNDEF
    context = at(ps.EL2H, 0)
    assert handle_ptrauth(context) == UNREACHABLE
    assert context.sysregs["ESR_EL2"] == 0
    assert context.pending != NOTHING_PENDING
