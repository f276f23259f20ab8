"""Modes, returns and layouts of PSTATE."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from nvtrap.arch import pstate as ps


def test_returns_from_el2_reach_five_modes() -> None:
    """EL0 to EL2 in AArch64; EL1 not with TGE."""
    legal = [m for m in range(32) if not ps.is_illegal_return_from_el2(m, tge=False)]
    assert [ps.MODE_NAMES[mode] for mode in legal] == ["EL0t", "EL1t", "EL1h", "EL2t", "EL2h"]
    legal = [m for m in range(32) if not ps.is_illegal_return_from_el2(m, tge=True)]
    assert [ps.MODE_NAMES[mode] for mode in legal] == ["EL0t", "EL2t", "EL2h"]


def test_mode_names_are_of_modes() -> None:
    """AArch64 below 16, AArch32 from there."""
    for mode, name in ps.MODE_NAMES.items():
        assert mode & ~ps.MODE == 0
        assert bool(mode & ps.AARCH32) == (not name.startswith("EL"))


@given(st.integers(0, (1 << 32) - 1))
def test_aarch32_reads_dit_in_another_place(spsr: int) -> None:
    """Bit 24 moves to bit 21, all others stay."""
    view = ps.aarch32_view(spsr)
    assert bool(view & 1 << 21) == bool(spsr & 1 << 24)
    assert not view & 1 << 24
    assert (view ^ spsr) & ~(1 << 21 | 1 << 24) == 0
