"""`expect` lines against the table of their file."""

from __future__ import annotations

import pytest

from nvtrap.analysis.expectations import check_expectations
from nvtrap.compile import compile_text
from nvtrap.engine import Table
from nvtrap.lang.findings import MOST_FINDINGS, Report
from nvtrap.table.file import unpack
from tests.compile.helpers import PRELUDE

RULES = """\
combo C.AB = C.A | C.B
trap X_EL1 by C.AB, fine F.X_EL1
trap Y_EL1 fine F.nY_EL1
trap V<n>_EL0 by C.A from EL0
control D.T traps any when D_EL2.T == 1
trap R_EL1 by D.T
local W_EL1 because "it is write-only"
fine group K { any FR_EL2 }
"""


def _problems(text: str, clauses: str = "sanitise FR_EL2") -> list[str]:
    table = f"table t {{ {clauses}  hypervisor context when EL == 2 }}\n"
    compilation = compile_text(f"{PRELUDE}{table}{RULES}{text}\n")
    assert [finding.message for finding in compilation.findings if finding.is_error] == []
    report = Report()
    check_expectations(compilation.expectations, unpack(compilation.blob, Table), report)
    assert {finding.code for finding in report.findings} <= {"NV046", "NV006"}
    return [finding.message for finding in report.findings]


@pytest.mark.parametrize(
    "text",
    [
        "expect any  X_EL1 local",
        "expect read X_EL1 forward when C_EL2 = 1",
        "expect read X_EL1 forward when C_EL2.A = 1",
        "expect read X_EL1 forward by C.AB when C_EL2.B = 1",
        "expect read X_EL1 forward by C.B when C_EL2.B = 1",
        "expect read X_EL1 forward by C.A when C_EL2.A = 1, C_EL2.B = 1",
        "expect read X_EL1 forward by C.AB when C_EL2.A = 1, C_EL2.B = 1",
        "expect write X_EL1 local when C_EL2.B = 1",
        "expect read X_EL1 forward by fine F.X_EL1 when FR_EL2.X_EL1 = 1, C_EL2.A = 1",
        "expect read (3, 0, 1, 0, 1) forward when C_EL2.A = 1",
        "expect read S3_0_C1_C0_1 forward when C_EL2.A = 1",
        "expect read X_EL1 local from EL2 when C_EL2.A = 1",
        "expect read X_EL1 local when C_EL2.A = 1, nv = 0",
        "expect any  X_EL1 undef when fgu F.X_EL1 = 1, nv = 0",
        "expect read X_EL1 local when fgu F.X_EL1 = 0",
        "expect read Y_EL1 forward by fine F.nY_EL1",
        "expect read Y_EL1 local when res0 FR_EL2 = 2",
        "expect read V2_EL0 forward from EL0 when C_EL2.A = 1",
        "expect read V2_EL0 local when C_EL2.A = 1",
        "expect read R_EL1 forward when D_EL2 = 0x100000",
        "expect read R_EL1 forward when D_EL2.T = 1, C_EL2.E2H = 1",
        "expect read R_EL1 local when D_EL2 = 0x100000, C_EL2.E2H = 1",
        "expect read x_el1 forward when c_el2.a = 1",
    ],
)
def test_expectation_that_is_met(text: str) -> None:
    """What the table decides is what is expected."""
    assert _problems(text) == []


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("expect read X_EL1 forward", "expected forward, the read is local"),
        (
            "expect any Y_EL1 local when FR_EL2.nY_EL1 = 1",
            "expected local, the write is forward by `FW_EL2.nY_EL1` (text:",
        ),
        ("expect any X_EL1 forward when C_EL2.B = 1", "expected forward, the write is local"),
        (
            "expect read X_EL1 forward by C.A when C_EL2.B = 1",
            "expected `C.A` to decide, it was `C.B` of `C.AB`",
        ),
        (
            "expect read X_EL1 forward by C.B when C_EL2.A = 1, C_EL2.B = 1",
            "expected `C.B` to decide, it was `C.A` of `C.AB`",
        ),
        ("expect read X_EL1 local by C.A", "expected `C.A` to decide, it was `none`"),
        ("expect read W_EL1 local by C.A", "expected `C.A` to decide, it was `no-entry`"),
        (
            "expect read X_EL1 forward by fine F.nY_EL1 when FR_EL2 = 1",
            "expected `fine F.nY_EL1` to decide, it was `FR_EL2.X_EL1`",
        ),
        ("expect read Z_EL1 local", "unknown register `Z_EL1`"),
        (
            "expect read (4, 0, 0, 0, 0) local",
            "`4,0,0,0,0` is no encoding: op0 is 4, it goes from 0 to 3",
        ),
        ("expect read X_EL1 local from EL3", "EL is `3`, a trap comes from EL 0, 1 or 2"),
        ("expect read X_EL1 local when Z_EL2 = 1", "unknown register `Z_EL2`"),
        ("expect read X_EL1 local when C_EL2.Z = 1", "unknown field `C_EL2.Z`"),
        ("expect read X_EL1 local when C_EL2.A = 2", "`0x2` does not fit the 1 bit of `C_EL2.A`"),
        ("expect read X_EL1 local when D_EL2.NEW = 1", "`D_EL2.NEW` does not exist in this layout"),
        ("expect read X_EL1 local when res0 Z_EL2 = 1", "unknown register `Z_EL2`"),
        ("expect read X_EL1 local when nv = 2", "`nv = 2` is neither 0 nor 1"),
        ("expect read X_EL1 local when fgu F.X_EL1 = 2", "`F.X_EL1 = 2` is neither 0 nor 1"),
        ("expect read X_EL1 local when fgu F.Z = 1", "group `F` has no bit `Z`"),
        ("expect read X_EL1 local when fgu Z.Z = 1", "unknown fine-grained group `Z`"),
        (
            "expect read X_EL1 local when fgu K.X_EL1 = 1",
            "group `K` has no key, so none of its bits can be disabled",
        ),
    ],
)
def test_expectation_that_is_not_met(text: str, problem: str) -> None:
    """The message says what was expected and what is, or what makes no sense."""
    (found,) = _problems(text)
    assert found.startswith(problem)


def test_each_expectation_is_told_once() -> None:
    """Both directions of one line make one finding."""
    assert len(_problems("expect any X_EL1 forward\nexpect any Y_EL1 local")) == 2


def test_expectations_end_where_findings_do() -> None:
    """When there are too many findings the rest is not asked."""
    text = "expect read X_EL1 forward\n" * (MOST_FINDINGS + 100)
    assert len(_problems(text)) == MOST_FINDINGS + 1
