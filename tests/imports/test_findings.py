"""What cannot be translated is told, with its place, and never dropped."""

from __future__ import annotations

import pytest

from nvtrap.compile import compile_text
from tests.imports.sample import KERNEL, changed, imported


@pytest.mark.parametrize(
    ("old", "new", "code", "message"),
    [
        ("SYS_REVIDR_EL1", "SYS_REVIDRR_EL1", "NV010", "unknown register `SYS_REVIDRR_EL1`"),
        ("SYS_PMEVCNTRn_EL0(0)", "SYS_PMEVCNTXn_EL0(0)", "NV010", "unknown register"),
        ("SYS_PMEVCNTRn_EL0(2)", "SYS_PMEVCNTRn_EL0(31)", "NV023", "has no element 31"),
        ("sys_reg(3, 0, 0, 2, 3)", "sys_reg(3, 0, 0, 2, 8)", "NV024", "op2 is 8"),
        ("sys_reg(3, 0, 0, 2, 3)", "sys_reg(3, 0, 0, 2)", "NV024", "five arguments"),
        ("sys_reg(3, 0, 0, 2, 3)", "sys_reg(3, 0, 0, CRM, 3)", "NV024", "`CRM` is no number"),
        ("sys_reg(3, 0, 0, 2, 3)", "SYS_MIDR_EL1", "NV021", "ends before it starts"),
        ("SR_TRAP(SYS_REVIDR_EL1", "SR_TRAPS(SYS_REVIDR_EL1", "NV016", "unknown macro `SR_TRAPS`"),
        ("SR_TRAP(SYS_FPMR, CGT_HCRX_EnFPM)", "SR_TRAP(SYS_FPMR)", "NV001", "has 2 arguments"),
        ("SYS_FPMR, CGT_HCRX_EnFPM", "SYS_FPMR, CGT_HCRX_EnFMP", "NV012", "unknown control"),
        ("SYS_FPMR, CGT_HCRX_EnFPM", "SYS_FPMR, __RESERVED__", "NV012", "has no control"),
        ("SYS_FPMR, CGT_HCRX_EnFPM", "SYS_FPMR, CGT_MDCR_HPMN", "NV016", "says nothing about"),
        ("SR_TRAP(SYS_FPMR", "SR_TRAP(SYS_SP_EL1", "NV030", "a second coarse entry for `SP_EL1`"),
        ("SR_FGT(SYS_PAR_EL1", "SR_FGT(SYS_POR_EL0", "NV031", "a second fine-grained entry"),
        ("HFGRTR, APIAKey, 1", "HFGRTX, APIAKey, 1", "NV013", "unknown fine-grained group"),
        ("HFGRTR, APIAKey, 1", "HFGRTR, APIXKey, 1", "NV011", "has no field `APIXKey`"),
        ("HFGRTR, APIAKey, 1", "HFGRTR, APIAKey, 2", "NV016", "unknown polarity `2`"),
        ("APIAKey, 1)", "APIAKey, 0)", "NV038", "has both polarities"),
        ("1, HCRX_FGTnXS", "1, HCRX_FGT", "NV016", "unknown filter `HCRX_FGT`"),
        (
            "SR_FGT(SYS_PAR_EL1, HFGRTR, PAR_EL1, 0)",
            "SR_FGF(SYS_PAR_EL1, HFGRTR, PAR_EL1, 0, HCRX_FGTnXS)",
            "NV016",
            "looks at filters of `HFGITR` alone",
        ),
        ("HFGRTR, APIAKey, 1", "ICH_HFGRTR, ICC_NOT, 0", "NV01", "ICH_HFGRTR"),
        ("FGT(HFGITR, ERET, 1)", "FGT(HFGITR, ERAT, 1)", "NV011", "has no field `ERAT`"),
        ("FGT(HFGITR, ERET, 1)", "FGF(HFGITR, ERET, 1)", "NV016", "unknown macro `FGF`"),
        ("check_cptr_tta),", "check_cptr_new),", "NV016", "unknown condition `check_cptr_new`"),
        ("vcpu, CPTR_EL2)", "vcpu, HCRX_EL2)", "NV016", "reads `HCRX_EL2`"),
        ("CCC(CGT_CPTR_TTA", "DDD(CGT_CPTR_TTA", "NV016", "unknown macro `DDD`"),
        ("CCC(CGT_CPTR_TTA", "CCC(CGT_MDCR_TPM", "NV040", "a second entry"),
        (
            "MCB(CGT_HCR_TID1_TVM, CGT_HCR_TID1",
            "MCB(CGT_HCR_TID1_TVM, CGT_MDCR_TPM_HPMN",
            "NV033",
            "contains the combo",
        ),
        ("MCB(CGT_HCR_TID1_TVM", "MCB(CGT_CPTR_TTA_2", "NV012", "unknown control"),
        ("    MCB(CGT_HCR_TID1_TVM, CGT_HCR_TID1, CGT_HCR_TVM),\n", "", "NV012", "has no entry"),
        (".mask = HCR_TID1", ".mask = HCR_TID11", "NV011", "has no field `TID11`"),
        (".mask = HCR_TID1", ".mask = MDCR_EL2_TPM", "NV016", "is no constant of `HCR_EL2`"),
        (".mask = HCR_TID1", ".mask = 0", "NV020", "the mask of `CGT_HCR_TID1` is 0"),
        (".mask = HCR_TID1", ".mask = HCR_TID2", "NV020", "can never trap"),
        (".mask = HCR_TID1", ".mask = HCR_TID1 |", "NV001", "has no end"),
        (".mask = HCR_TID1", ".mask = FIELD(HCR, TID1)", "NV016", "unknown macro `FIELD`"),
        (".mask = BIT(MDCR_EL2_E2PB_SHIFT)", ".mask = MDCR_EL2_E2PB_MASK", "NV016", "at bit 0"),
        (".index = HCRX_EL2", ".index = HCRY_EL2", "NV010", "unknown register `HCRY_EL2`"),
        (".behaviour = BEHAVE_FORWARD_READ", ".behaviour = BIT(3)", "NV016", "unknown behaviour"),
        (".behaviour = BEHAVE_FORWARD_READ", ".behaviour = 0", "NV020", "neither reads nor writes"),
        ("[CGT_HCR_TID1] =", "[CGT_CPTR_TTA] =", "NV016", "stands among the conditions"),
        ("enum fg_filter_id", "#ifdef X\n#endif\nenum fg_filter_id", "", ""),
        ("    SR_TRAP(SYS_FPMR", "#ifdef X\n    SR_TRAP(SYS_FPMR", "NV016", "configuration"),
        ("    SR_TRAP(SYS_FPMR", "    { .encoding = 1 },\n SR_TRAP(SYS_FPMR", "NV001", "no macro"),
        (
            "BIT(2),\n",
            "BIT(2), BEHAVE_X = BEHAVE_Y, BEHAVE_Y = BEHAVE_X,\n",
            "NV016",
            "unknown con",
        ),
        ("#define TC_FGT_BITS 3", "#define TC_FGT_BITS TC_FGT_BITS", "NV034", "by itself"),
    ],
)
def test_each_thing_is_found(old: str, new: str, code: str, message: str) -> None:
    """With a code, a message, and a place in the kernel's text."""
    findings = imported(changed(old, new)).findings
    if not code:
        assert findings == ()
        return
    fitting = [f for f in findings if f.code.startswith(code) and message in f.message]
    assert fitting, [f"{f.span} {f.code} {f.message}" for f in findings]
    assert str(fitting[0].span).startswith("emulate-nested.c:")


def test_the_place_is_the_word_that_is_wrong() -> None:
    """Line and column, and a suggestion where a name is close."""
    text = changed("SYS_REVIDR_EL1,", "SYS_REVIDRR_EL1,")
    (finding,) = imported(text).findings
    lines = text.splitlines()
    number = next(n for n, line in enumerate(lines, 1) if "REVIDRR" in line)
    column = lines[number - 1].index("SYS_REVIDRR_EL1") + 1
    assert str(finding.span) == f"emulate-nested.c:{number}:{column}"
    assert finding.span.text == "SYS_REVIDRR_EL1"
    assert "`REVIDR_EL1`" in finding.help


def test_an_unknown_condition_leaves_its_entries_in_comments() -> None:
    """What it would trap is kept, and the rest compiles."""
    result = imported(changed("check_cptr_tta),", "check_cptr_new),"))
    assert "# not translated: condition CPTR.TTA" in result.text
    assert "# not translated: trap S2_1_C0_C0_0 .. S2_1_C7_C15_7  by CPTR.TTA" in result.text
    assert ": unknown condition `check_cptr_new`\n" in result.text
    assert compile_text(result.text, "rules.trap").is_sound


def test_a_combo_of_an_unknown_condition_is_not_translated_either() -> None:
    """Half of it would forward too little."""
    result = imported(changed("check_mdcr_hpmn", "check_mdcr_new"))
    assert "# not translated: combo MDCR.TPM_HPMN = MDCR.TPM | MDCR.HPMN" in result.text
    assert "# not translated: trap PMEVCNTR<0..2>_EL0, PMXEVCNTR_EL0" in result.text
    assert compile_text(result.text, "rules.trap").is_sound


def test_findings_become_comments_of_the_rest() -> None:
    """Each with its line."""
    text = changed("SYS_REVIDR_EL1,", "SYS_REVIDRR_EL1,")
    number = next(n for n, line in enumerate(text.splitlines(), 1) if "REVIDRR" in line)
    assert f"\n# {number}: unknown register `SYS_REVIDRR_EL1`\n" in imported(text).text


def test_rules_that_would_not_compile_are_none() -> None:
    """A read-only control of a write-only register is the compiler's finding."""
    result = imported(changed("SYS_REVIDR_EL1, CGT_HCR_TID1", "SYS_ICC_SGI1R_EL1, CGT_HCR_TID1"))
    assert result.text == ""
    assert [finding.code for finding in result.findings] == ["NV037"]


def test_the_condition_of_nv3_is_known_by_its_control() -> None:
    """Whatever the function is called."""
    text = changed("    CGT_MDCR_HPMN,\n", "    CGT_MDCR_HPMN,\n    CGT_HCR_NV_HCRX_nNVTGE,\n")
    text = changed("ccc[] = {", "ccc[] = { CCC(CGT_HCR_NV_HCRX_nNVTGE, some_check),", text)
    text = changed(
        "SR_TRAP(SYS_FPMR", "SR_TRAP(SYS_NVHCR_EL2, CGT_HCR_NV_HCRX_nNVTGE), SR_TRAP(SYS_FPMR", text
    )
    result = imported(text)
    assert result.findings == ()
    assert "when HCR_EL2.NV == 1 and HCRX_EL2.NVTGE == 0" in result.text


def test_the_sample_has_no_findings() -> None:
    """The changes of these tests are the only ones."""
    assert imported(KERNEL).findings == ()
