"""Small random tables over few bits, and all the states they can tell apart."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from hypothesis import strategies as st

from nvtrap.compile import compile_text
from nvtrap.engine import State, Table
from nvtrap.table.file import unpack

# The bits that anything in a small table can hang on.
BITS = (
    ("HCR_EL2", 0),
    ("HCR_EL2", 1),
    ("HCR_EL2", 2),
    ("HCR_EL2", 27),
    ("HCR_EL2", 34),
    ("HFG_EL2", 3),
    ("HFG_EL2", 4),
)
ENCODINGS = (0xC080, 0xC081, 0xC082)

CATALOGUE = """
register HCR_EL2 = S3_4_C1_C1_0 {
    A [0]
    B [1]
    TGE [27]
    E2H [34]
    layout when HCR_EL2.E2H == 0 { MOVES [2] }
    layout when HCR_EL2.E2H == 1 { OTHER [2] }
}
register HFG_EL2 = S3_4_C1_C1_4 { X [3]  nY [4] negative }
register R<n: 0..2>_EL1 = S3_0_C1_C0_<n>
fine group G { any HFG_EL2 }
"""

_TESTS = (
    "HCR_EL2.A == 1",
    "HCR_EL2.A == 0",
    "HCR_EL2.MOVES == 1",
    "HCR_EL2.OTHER == 0",
    "HCR_EL2.{B, A} == 0b10",
    "HCR_EL2.A == 1 and not HCR_EL2.B == 1",
    "HCR_EL2.E2H == 1 or HCR_EL2.B == 1",
    "access.index > HCR_EL2.{B, A}",
    "EL == 0 and HCR_EL2.A == 1",
    "access.write and HCR_EL2.B == 1",
)
_CONTEXTS = (
    "",
    "hypervisor context when EL == 2",
    "hypervisor context when EL == 2 or HCR_EL2.TGE == 1",
)
_DIRECTIONS = ("read", "write", "any")
_FINE = ("fine G.X", "fine G.nY", "fine G.X (unless HCR_EL2.B == 1)")


@st.composite
def texts(draw: st.DrawFn) -> str:
    """A rule file: two conditions, a combo, and at most one coarse and fine part a register."""
    lines = [CATALOGUE]
    for name in ("C.ONE", "C.TWO"):
        direction = draw(st.sampled_from(_DIRECTIONS))
        host = ", also in host EL0," if draw(st.booleans()) else ""
        when = draw(st.sampled_from(_TESTS))
        lines.append(f"condition {name} traps {direction}{host} when {when}")
    lines.append("combo C.BOTH = C.ONE | C.TWO")
    context = draw(st.sampled_from(_CONTEXTS))
    lines.append(
        f"table small {{ parts are exclusive {context}"
        " host EL0 when EL == 0 and HCR_EL2.{E2H, TGE} == 0b11 absent fields read as zero }"
    )
    for number in range(3):
        register = f"R{number}_EL1"
        if draw(st.booleans()):
            control = draw(st.sampled_from(("C.ONE", "C.TWO", "C.BOTH")))
            levels = draw(st.sampled_from(("", " from EL0", " from EL0, EL1")))
            lines.append(f"trap {register} by {control}{levels}")
        if draw(st.booleans()):
            lines.append(f"trap {register} {draw(st.sampled_from(_FINE))}")
    return "\n".join(lines)


def table_of(text: str) -> Table:
    """The table that a text compiles to; warnings (an unused control) do not matter."""
    compilation = compile_text(text)
    errors = [finding for finding in compilation.findings if finding.is_error]
    assert not errors, errors
    return unpack(compilation.blob, Table)


def states() -> Iterator[State]:
    """Every state that a small table can tell apart, of a vCPU with EL2."""
    for level in range(3):
        for values in product((0, 1), repeat=len(BITS)):
            registers = {"HCR_EL2": 0, "HFG_EL2": 0}
            for (register, bit), value in zip(BITS, values, strict=True):
                registers[register] |= value << bit
            yield State(registers, el=level)
