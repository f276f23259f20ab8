"""64-bit registers as two halves."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from nvtrap.gic.wide import is_access, merged, part

NUMBERS = st.integers(0, (1 << 64) - 1)


@given(NUMBERS, NUMBERS)
def test_two_halves_are_the_whole(register: int, value: int) -> None:
    """Writing both halves writes the register, and reading both reads it."""
    low = merged(register, 0x70, 4, value & 0xFFFF_FFFF)
    assert merged(low, 0x74, 4, value >> 32) == merged(register, 0x70, 8, value) == value
    assert part(value, 0x70, 4) | part(value, 0x74, 4) << 32 == part(value, 0x70, 8) == value


@given(NUMBERS, NUMBERS)
def test_a_half_keeps_the_other(register: int, value: int) -> None:
    """Only the half that is written changes, and only 32 bits of the value count."""
    assert part(merged(register, 0x70, 4, value), 0x74, 4) == part(register, 0x74, 4)
    assert part(merged(register, 0x74, 4, value), 0x70, 4) == part(register, 0x70, 4)


def test_accesses_are_aligned_words_and_doublewords() -> None:
    """Everything else reaches no 64-bit register."""
    allowed = {
        (offset, size) for offset in range(16) for size in range(17) if is_access(offset, size)
    }
    assert allowed == {(0, 4), (4, 4), (8, 4), (12, 4), (0, 8), (8, 8)}
