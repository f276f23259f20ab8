"""The rule text that is written."""

from __future__ import annotations

import pytest

from nvtrap.compile import compile_text
from nvtrap.errors import UsageError
from tests.imports.sample import KERNEL, changed, imported


@pytest.fixture(scope="module", name="text")
def _text() -> str:
    return imported().text


@pytest.mark.parametrize(
    "line",
    [
        "control HCR.TID1     traps read  when HCR_EL2.TID1 == 1  # ",
        "control HCR.NV_nNV2  traps any   when HCR_EL2.{NV2, NV} == 0b01  # ",
        "control MDCR.DEBUG  traps any   when MDCR_EL2.{TDA, TDE} == 0b11  # ",
        "control MDCR.E2PB   traps any   when MDCR_EL2[12] == 0  # ",
        "control MDCR.TPM    traps any, also in host EL0, when MDCR_EL2.TPM == 1  # ",
        "combo HCR.TID1_TVM = HCR.TID1 | HCR.TVM  # ",
        'fine group HDFG2 { read HDFGRTR2_EL2  write HDFGWTR2_EL2  fgu "HDFGRTR2" }',
        "trap PMEVCNTR<0..2>_EL0  by MDCR.TPM_HPMN  # ",
        "trap PMXEVCNTR_EL0  by MDCR.TPM_HPMN_sel  # ",
        "trap S3_3_C11_*_*  by HCR.TIDCP  # ",
        "trap S2_1_C0_C0_0 .. S2_1_C7_C15_7  by CPTR.TTA  # ",
        "trap PAR_EL1  fine HFG.PAR_EL1 negative  # ",
        "trap TLBI_VAE1NXS  fine HFGI.TLBIVAE1 (unless HCRX_EL2.FGTnXS == 1)  # ",
        "trap AMEVCNTR0<n>_EL0  fine HAFG.AMEVCNTR0<n>_EL0  # ",
        "trap SPMEVCNTR<n>_EL0  fine HDFG2.nSPMEVCNTRn_EL0  # ",
        "    limit controls 31  limit groups 7",
        "#     fine HFGI.ERET  # ",
    ],
)
def test_what_is_written(text: str, line: str) -> None:
    """Fields by name, arrays whole or in part, wildcards, limits, and what is not routed."""
    assert f"\n{line}" in text


@pytest.mark.parametrize(
    ("written", "place"),
    [
        ("control HCR.TID1 ", "[CGT_HCR_TID1]"),
        ("combo HCR.TID1_TVM", "MCB(CGT_HCR_TID1_TVM"),
        ("condition CPTR.TTA", "CCC(CGT_CPTR_TTA"),
        ("trap PMCCNTR_EL0 ", "SR_TRAP(SYS_PMCCNTR_EL0"),
        ("trap PAR_EL1 ", "SR_FGT(SYS_PAR_EL1"),
    ],
)
def test_lines_of_the_text_are_told(text: str, written: str, place: str) -> None:
    """Behind # is where the kernel's text says it."""
    (line,) = (line for line in text.splitlines() if line.startswith(written))
    (number,) = (n for n, line in enumerate(KERNEL.splitlines(), 1) if place in line)
    assert line.endswith(f"  # {number}")


def test_lines_fit_the_page(text: str) -> None:
    """No line is longer than a hundred characters."""
    assert max(map(len, text.splitlines())) <= 100


def test_nothing_is_found_in_it(text: str) -> None:
    """It compiles by itself, without a warning."""
    assert compile_text(text, "rules.trap").findings == ()


def test_all_of_op1_becomes_a_wildcard() -> None:
    """Eight ranges that differ in op1 alone are one word."""
    rows = "".join(
        f"SR_RANGE_TRAP(sys_reg(3, {op1}, 15, 0, 0), sys_reg(3, {op1}, 15, 15, 7), CGT_HCR_TIDCP),"
        for op1 in range(8)
    )
    text = imported(changed("    SR_TRAP(SYS_FPMR", f"{rows} SR_TRAP(SYS_FPMR")).text
    assert "trap S3_3_C11_*_*, S3_*_C15_*_*  by HCR.TIDCP" in text


def test_a_range_over_another_level_is_written_raw() -> None:
    """Names at its ends would promise that only registers of EL2 are inside."""
    rows = "SR_RANGE_TRAP(SYS_SPSR_EL2, SYS_ESR_EL2, CGT_HCR_TIDCP), SR_TRAP(SYS_FPMR"
    result = imported(
        changed("SR_TRAP(SYS_SP_EL1, CGT_HCR_NV_nNV2),\n    ", "").replace("SR_TRAP(SYS_FPMR", rows)
    )
    assert "S3_4_C4_C0_0 .. S3_4_C5_C2_0" in result.text
    assert compile_text(result.text, "rules.trap").is_sound


@pytest.mark.parametrize("name", ["linux-6.12", "a", "x.y-1"])
def test_the_table_has_the_name_it_is_given(name: str) -> None:
    """Any name that the language allows."""
    assert f"\ntable {name} {{\n" in imported(name=name).text


@pytest.mark.parametrize("name", ["", "Linux", "6.12", "a b", "a\n", "a.", "trap\ttable"])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    """Before anything is read."""
    with pytest.raises(UsageError, match="is no name of a table"):
        imported(name=name)
