"""Random vCPU contexts."""

from __future__ import annotations

from hypothesis import strategies as st

from nvtrap.arch.pstate import AARCH32, EL0T, EL1H, EL1T, EL2H, EL2T, MODE
from nvtrap.kvm.context import EXCEPTION, HCR_NV, HCR_TGE, Context, Features, Registers

WORDS = st.integers(0, (1 << 64) - 1)
MODES = st.sampled_from([EL0T, EL1T, EL1H, EL2T, EL2H, AARCH32])
CONTROLS = st.sampled_from([0, HCR_TGE, HCR_NV, HCR_TGE | HCR_NV])
NAMES = (
    *("ESR_EL1", "ELR_EL1", "SPSR_EL1", "FAR_EL1", "ESR_EL2", "ELR_EL2", "SPSR_EL2", "FAR_EL2"),
    *("SCTLR_EL1", "SCTLR_EL2", "VBAR_EL1", "VBAR_EL2", "TCR_EL1", "TCR_EL2", "CPTR_EL2"),
)


@st.composite
def pstates(draw: st.DrawFn) -> int:
    """Any bits, but a mode that a guest of an AArch64 EL1 can be in."""
    return draw(st.integers(0, (1 << 32) - 1)) & ~MODE | draw(MODES)


@st.composite
def features(draw: st.DrawFn, /, **fixed: bool) -> Features:
    """Any features but AArch32 at EL1, those of `fixed` as they are."""
    names = ("nv", "e2h0", "mte", "ptrauth", "pauth2", "fpaccombine")
    return Features(**{name: fixed.get(name, draw(st.booleans())) for name in names})


@st.composite
def contexts(draw: st.DrawFn, /, **fixed: bool) -> Context:
    """Contexts with any registers, syndrome and pending work."""
    registers = Registers({name: draw(WORDS) for name in NAMES})
    registers["HCR_EL2"] = draw(WORDS) & ~(HCR_TGE | HCR_NV) | draw(CONTROLS)
    context = Context(draw(features(**fixed)), registers, pc=draw(WORDS), pstate=draw(pstates()))
    context.esr = draw(WORDS)
    context.x[0] = draw(WORDS)
    if not draw(st.booleans()):
        context.pending = draw(st.integers(0, 0b1110 | EXCEPTION))
    return context
