"""Conditions, the IT state and coprocessor syndromes of AArch32."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvtrap.arch.aarch32 import (
    ALWAYS,
    CONDITIONAL,
    NEVER,
    PAIRS,
    CoprocessorAccess,
    advance_it,
    condition_holds,
    decode_coprocessor,
    encode_coprocessor,
    is_executed,
    it_state,
    with_it_state,
)
from nvtrap.arch.esr import EC_CP15_32, EC_CP15_64, EC_NAMES, EC_SYSREG, exception_class
from nvtrap.arch.pstate import AARCH32, IT, T32
from nvtrap.errors import UsageError

MEANINGS = ("z", "c", "n", "v", "c and not z", "n == v", "n == v and not z")
PSTATES = st.integers(0, (1 << 32) - 1)


@pytest.mark.parametrize("flags", range(16))
def test_conditions_mean_what_the_architecture_says(flags: int) -> None:
    """DDI 0487, C1.2.4, condition by condition; odd ones are the opposites."""
    n, z, c, v = (bool(flags >> bit & 1) for bit in (3, 2, 1, 0))
    for number, meaning in enumerate(MEANINGS):
        holds = eval(meaning, {"n": n, "z": z, "c": c, "v": v})
        assert condition_holds(2 * number, flags << 28) == holds
        assert condition_holds(2 * number + 1, flags << 28) != holds
    assert condition_holds(ALWAYS, flags << 28)
    assert not condition_holds(NEVER, flags << 28)


@given(PSTATES, st.integers(0, 0xFF))
def test_the_it_state_is_in_two_places(pstate: int, state: int) -> None:
    """What is written is read, and nothing else changes."""
    changed = with_it_state(pstate, state)
    assert it_state(changed) == state
    assert (changed ^ pstate) & ~IT == 0


@given(PSTATES, st.integers(1, 0xFF))
def test_an_it_block_has_an_instruction_for_each_place_of_its_mask(pstate: int, state: int) -> None:
    """The lowest bit set in the mask ends it, the base condition stays until then."""
    mask = state & 0xF
    left = 4 - (mask & -mask).bit_length() if mask else 0
    now = with_it_state(pstate | T32, state)
    for _ in range(left):
        now = advance_it(now)
        assert it_state(now) >> 5 == state >> 5
    now = advance_it(now)
    assert it_state(now) == 0
    assert advance_it(now) == now


@given(PSTATES)
def test_a32_has_no_it_state(pstate: int) -> None:
    """Its bits are left alone."""
    assert advance_it(pstate & ~T32) == pstate & ~T32


@pytest.mark.parametrize("ec", sorted(EC_NAMES))
def test_only_conditional_instructions_can_fail(ec: int) -> None:
    """A never in the syndrome counts in AArch32, for eight classes."""
    esr = ec << 26 | 1 << 24 | NEVER << 20
    assert is_executed(esr, AARCH32) == (ec not in CONDITIONAL)
    assert is_executed(esr, 0)


def test_without_a_condition_the_it_state_has_it() -> None:
    """None is always; EQ is not without Z."""
    esr = EC_CP15_32 << 26
    pstate = AARCH32 | T32
    assert is_executed(esr, pstate)
    assert not is_executed(esr, with_it_state(pstate, 0x08))
    assert is_executed(esr, with_it_state(pstate | 1 << 30, 0x08))
    assert not is_executed(esr, with_it_state(pstate, 0xF8))


@given(st.integers(0, (1 << 20) - 1), st.sampled_from([EC_CP15_32, EC_CP15_64]))
def test_an_access_survives_its_syndrome(iss: int, ec: int) -> None:
    """Decoded and encoded again it is the same, the condition too."""
    if ec in PAIRS:
        iss &= ~(1 << 15)  # RES0
    esr = ec << 26 | 1 << 25 | 1 << 24 | 0xA << 20 | iss
    assert encode_coprocessor(ec, decode_coprocessor(esr), condition=0xA) == esr
    assert encode_coprocessor(ec, decode_coprocessor(esr), condition=None) == esr & ~(0x1F << 20)


@pytest.mark.parametrize(
    ("ec", "operands", "rt", "rt2"),
    [
        (EC_CP15_32, (8, 0, 0, 0), 0, None),
        (EC_CP15_32, (0, 0, 0, 0), 32, None),
        (EC_CP15_32, (0, 0, 0, 0), 0, 1),
        (EC_CP15_64, (0, 0, 0, 0), 0, None),
        (EC_CP15_64, (0, 1, 0, 0), 0, 1),
        (EC_CP15_64, (0, 0, 0, 0), 0, 32),
        (EC_SYSREG, (0, 0, 0, 0), 0, None),
        (EC_CP15_32, (-1, 0, 0, 0), 0, None),
    ],
)
def test_an_access_that_does_not_fit_is_refused(
    ec: int, operands: tuple[int, int, int, int], rt: int, rt2: int | None
) -> None:
    """Operands, registers and classes have their limits."""
    access = CoprocessorAccess(*operands, write=True, rt=rt, rt2=rt2)
    with pytest.raises(UsageError):
        encode_coprocessor(ec, access)


def test_a_class_without_a_register_is_refused() -> None:
    """LDC and STC, and everything else."""
    for ec in (0x06, 0x18, 0x3F):
        with pytest.raises(UsageError, match="is no access to a coprocessor register"):
            decode_coprocessor(ec << 26)


def test_classes_have_names() -> None:
    """Of six bits, as `exception_class` gives them."""
    assert all(exception_class(ec << 26) == ec and name for ec, name in EC_NAMES.items())
