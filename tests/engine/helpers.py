"""Small tables, and questions to them."""

from __future__ import annotations

import os

from nvtrap.arch import ENCODINGS
from nvtrap.compile import Loader, compile_program
from nvtrap.engine import Table
from nvtrap.table.file import unpack
from tests.interpreter import Interpreter, Key, as_key

SMALL = """
feature FEAT_P
register HCR_EL2 = S3_4_C1_C1_0 {
    TID1 [16]
    E2H  [34]
    TGE  [27]
    NV   [42]
    NV1  [43]
    NV2  [45]
}
register CPTR_EL2 = S3_4_C1_C1_2 {
    layout when HCR_EL2.E2H == 0 { TTA [20] }
    layout when HCR_EL2.E2H == 1 { TTA [28] FPEN [21:20] }
}
register MDCR_EL2 = S3_4_C1_C1_1 { HPMN [4:0] TPM [6] requires FEAT_P }
register HFGRTR_EL2 = S3_4_C1_C1_4 { nPIR [58] negative  REVIDR [28]  ONLY_R [3] }
register HFGWTR_EL2 = S3_4_C1_C1_5 { nPIR [58] negative  ONLY_W [4] }
register HFGITR_EL2 = S3_4_C1_C1_6 { DC [1] }
register REVIDR_EL1 = S3_0_C0_C0_6 read-only
register PIR_EL1 = S3_0_C10_C2_3
register TRCID_EL1 = S2_1_C0_C0_0
register NV_EL1 = S3_0_C9_C0_0
register ONE_EL1 = S3_0_C9_C0_1
register TWO_EL1 = S3_0_C9_C0_2
register GAP_EL1 = S3_0_C9_C0_3
register MEM_EL1 = S3_0_C9_C0_4
register PART_EL1 = S3_0_C9_C0_5 requires FEAT_P
register CNT<n: 0..7>_EL0 = S3_3_C14_C8_<n>
instruction DC_X = S1_0_C7_C6_1
instruction WFX

control HCR.TID1 traps read when HCR_EL2.TID1 == 1
control HCR.NV traps any when HCR_EL2.{NV2, NV1, NV} == 0b011
condition CPTR.TTA traps any when CPTR_EL2.TTA == 1
condition MDCR.HPMN traps any also in host EL0 when access.index >= MDCR_EL2.HPMN
control MDCR.TPM traps write when MDCR_EL2.TPM == 1
combo MDCR.BOTH = MDCR.TPM | HCR.TID1
fine group HFG { read HFGRTR_EL2 write HFGWTR_EL2 fgu "HFG" }
fine group HFGI { any HFGITR_EL2 }

trap REVIDR_EL1 by HCR.TID1, fine HFG.REVIDR
trap PIR_EL1 fine HFG.nPIR
trap TRCID_EL1 by CPTR.TTA
trap NV_EL1 by HCR.NV reported as 0x7
trap CNT<n>_EL0 by MDCR.HPMN
trap ONE_EL1 by MDCR.BOTH when HCR_EL2.E2H == 0
trap TWO_EL1 fine HFG.ONLY_R
trap TWO_EL1 fine HFG.ONLY_W (unless HCR_EL2.NV == 1)
trap DC_X fine HFGI.DC
trap WFX by HCR.NV
local GAP_EL1 because "nothing there"
memory MEM_EL1 at 0x10 when HCR_EL2.NV2 == 1
memory PIR_EL1 at 0x2a0 when access.write

table small {
    parts are additive
    hypervisor context when EL == 2 or HCR_EL2.TGE == 1
    host EL0 when EL == 0 and HCR_EL2.TGE == 1
    sanitise HFGRTR_EL2, HFGWTR_EL2, HCR_EL2
    fine bits by name
}
"""


def examples(moderate: int) -> int:
    """How many examples a random test looks at; NVTRAP_EXAMPLES says otherwise."""
    return int(os.environ.get("NVTRAP_EXAMPLES", moderate))


def blob_of(text: str) -> bytes:
    """The table file that a text compiles to."""
    compiled = compile_program(Loader().load_text(text, "small.trap", "."))
    assert compiled.is_sound, [f"{f.span}: {f.message}" for f in compiled.findings]
    return compiled.blob


def table_of(text: str) -> Table:
    """The table that a text compiles to, checked as one from elsewhere."""
    return unpack(blob_of(text), Table)


def both(text: str) -> tuple[Table, Interpreter]:
    """What the compiler and what the interpreter make of a text."""
    program = Loader().load_text(text, "random.trap", ".")
    compiled = compile_program(program)
    errors = [f"{f.span}: {f.code} {f.message}" for f in compiled.findings if f.is_error]
    assert not errors, f"{errors}\n{text}"
    return unpack(compiled.blob, Table), Interpreter(program.statements)


def key_of(table: Table, name: str) -> Key:
    """What the interpreter knows a register or instruction by."""
    encoding = table.encoding(name)
    return as_key(encoding) if encoding < ENCODINGS else name
