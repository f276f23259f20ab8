"""Small texts, compiled: what is found, and what the table decides."""

from __future__ import annotations

from nvtrap.arch import Access
from nvtrap.compile import compile_text
from nvtrap.engine import State, Table
from nvtrap.table.file import unpack

CATALOGUE = """\
feature FEAT_P
feature FEAT_Q
register C_EL2 = S3_4_C1_C1_0 { A [0]  B [1]  N [7:4]  P [8] requires FEAT_P  E2H [34] }
register D_EL2 = S3_4_C1_C1_2 {
    ALL [31]
    layout when C_EL2.E2H == 0 { T [20]  OLD [1] }
    layout when C_EL2.E2H == 1 { T [28]  NEW [3:2] }
}
register FR_EL2 = S3_4_C1_C1_4 {
    X_EL1 [0]  nY_EL1 [1] negative  R_EL1 [2]  V<n: 0..3>_EL0 [8 + 2*n]
}
register FW_EL2 = S3_4_C1_C1_5 { X_EL1 [0]  nY_EL1 [1] negative  P_EL1 [3] requires FEAT_P }
register X_EL1 = S3_0_C1_C0_1
register Y_EL1 = S3_0_C1_C0_2
register R_EL1 = S3_0_C1_C0_3 read-only
register W_EL1 = S3_0_C1_C0_4 write-only
register V<n: 0..3>_EL0 = S3_3_C14_C8_<n>
"""
CONTROLS = """\
control C.A traps any when C_EL2.A == 1
control C.B traps read when C_EL2.B == 1
control C.nP traps any when C_EL2.P == 0
fine group F { read FR_EL2  write FW_EL2  fgu "F" }
"""
PRELUDE = CATALOGUE + CONTROLS


def findings(text: str, prelude: str = PRELUDE) -> list[str]:
    """The codes and messages of what is found in `text` behind a prelude."""
    return [f"{f.code} {f.message}" for f in compile_text(prelude + text).findings]


def codes(text: str, prelude: str = PRELUDE) -> list[str]:
    """The codes alone."""
    return [finding[:5] for finding in findings(text, prelude)]


def table(text: str, prelude: str = PRELUDE) -> Table:
    """The table that `text` makes behind a prelude, which must be sound."""
    compilation = compile_text(prelude + text)
    assert [finding.message for finding in compilation.findings if finding.is_error] == []
    return unpack(compilation.blob, Table)


def outcome(made: Table, access: str, el: int = 1, **registers: int) -> str:
    """What becomes of `read X_EL1` or `write X_EL1`: outcome, step and control."""
    direction, name = access.split()
    found = made.decide(State(registers, el=el), Access(name, direction == "write"))
    return " ".join(filter(None, [found.outcome, found.step, found.control]))
