"""What is imported does what the same table does that was written by hand."""

from __future__ import annotations

import pytest

from tests.imports.sample import BY_HAND, KERNEL, changed, imported, table_of
from tools.same_rules import differences


def test_the_import_does_what_the_rules_by_hand_do() -> None:
    """For every access, in every state, with all features and with none."""
    result = imported()
    assert result.findings == ()
    assert list(differences(table_of(result.text), table_of(BY_HAND))) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (".behaviour = BEHAVE_FORWARD_READ,", ".behaviour = BEHAVE_FORWARD_RW,"),
        (".value = HCR_TID1,", ".value = 0,"),
        ("HCR_NV | HCR_NV2", "HCR_NV | HCR_NV1"),
        (" | BEHAVE_FORWARD_IN_HOST_EL0,", ","),
        ("CGT_HCR_TID1, CGT_HCR_TVM)", "CGT_HCR_TID1, CGT_HCR_TIDCP)"),
        ("sys_reg(3, 0, 0, 2, 3)", "sys_reg(3, 0, 0, 2, 4)"),
        ("SYS_REVIDR_EL1, CGT_HCR_TID1", "SYS_AIDR_EL1, CGT_HCR_TID1"),
        ("SYS_FPMR, CGT_HCRX_EnFPM", "SYS_FPMR, CGT_HCR_TVM"),
        ("nPOR_EL0, 0", "nPOR_EL0, 1"),
        ("PAR_EL1, 0", "PAR_EL1"),
        ("    SR_FGF(OP_TLBI_VAE1NXS, HFGITR, TLBIVAE1, 1, HCRX_FGTnXS),\n", ""),
        ("TLBIVAE1, 1, HCRX_FGTnXS", "TLBIVAE1, 1, __NO_FGF__"),
        ("kvm_get_sysreg_resx", "something"),
        ("arch.fgu", "arch.something"),
        ("HFGRTR,", "HFGxTR,"),
        ("check_cnthctl_el1pcten", "check_cnthctl_el1pten"),
        ("SYS_PMEVCNTRn_EL0(2)", "SYS_PMEVCNTRn_EL0(3)"),
    ],
)
def test_a_change_of_the_text_changes_behaviour(old: str, new: str) -> None:
    """The comparison sees every kind of thing that a table can say differently."""
    text = KERNEL.replace(old, new) if old == "HFGRTR," else changed(old, new)
    result = imported(text)
    assert result.findings == ()
    assert list(differences(table_of(result.text), table_of(BY_HAND))) != []


def test_polarity_may_be_left_to_the_name() -> None:
    """Without the argument it is the catalogue's, for each of the macros."""
    text = KERNEL
    for macro in ("APIAKey, 1", "nPOR_EL0, 0", "TLBIVAE1, 1", "nSPMEVCNTRn_EL0, 0", "ERET, 1"):
        text = text.replace(macro, macro[:-3])
    result = imported(text)
    assert result.findings == ()
    assert list(differences(table_of(result.text), table_of(BY_HAND))) == []


def test_what_older_kernels_write() -> None:
    """Up to 6.12: one name for two registers and for both directions, no host EL0, no masks."""
    text = KERNEL.replace("HFGRTR,", "HFGxTR,").replace("FORWARD_RW", "FORWARD_ANY")
    text = text.replace(" | BEHAVE_FORWARD_IN_HOST_EL0", "").replace(
        "check_mdcr_hpmn", "check_cptr_tta"
    )
    text = text.replace("    BEHAVE_FORWARD_IN_HOST_EL0 = BIT(2),\n", "")
    text = text.replace("kvm_get_sysreg_resx", "x").replace("arch.fgu", "arch.x")
    result = imported(text)
    assert result.findings == ()
    assert "fine group HFG { read HFGRTR_EL2  write HFGWTR_EL2 }" in result.text
    assert "host EL0" not in result.text
    assert "sanitise" not in result.text
    assert "fgu" not in result.text
    assert 'fgu "HFGxTR"' in imported(KERNEL.replace("HFGRTR,", "HFGxTR,")).text
