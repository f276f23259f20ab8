"""A small table in the syntax of the kernel's, and the same by hand as rules."""

from __future__ import annotations

from nvtrap.compile import compile_text
from nvtrap.engine import Table
from nvtrap.imports import Imported, import_linux
from nvtrap.table.file import unpack

KERNEL = """\
// A table for tests: the syntax is the kernel's, what it traps is made up.
#define TC_CGT_BITS 5
#define TC_FGT_BITS 3
#define DEBUG_BITS (MDCR_EL2_TDE | \\
                    MDCR_EL2_TDA)

enum trap_behaviour {
    BEHAVE_HANDLE_LOCALLY = 0,
    BEHAVE_FORWARD_READ = BIT(0),
    BEHAVE_FORWARD_WRITE = BIT(1),
    BEHAVE_FORWARD_RW = BEHAVE_FORWARD_READ | BEHAVE_FORWARD_WRITE,
    BEHAVE_FORWARD_IN_HOST_EL0 = BIT(2),
};

enum cgt_group_id {
    __RESERVED__,
    CGT_HCR_TID1,
    CGT_HCR_TVM,
    CGT_HCR_NV_nNV2,    /* several bits */
    CGT_HCR_TIDCP,
    CGT_MDCR_TPM,
    CGT_MDCR_DEBUG,
    CGT_MDCR_E2PB,
    CGT_CPTR_E0POE,
    CGT_HCRX_EnFPM,
    CGT_ICH_HCR_TC,
    __MULTIPLE_CONTROL_BITS__,
    CGT_HCR_TID1_TVM = __MULTIPLE_CONTROL_BITS__,
    CGT_MDCR_TPM_HPMN,
    __COMPLEX_CONDITIONS__,
    CGT_CNTHCTL_EL1PCTEN = __COMPLEX_CONDITIONS__,
    CGT_CPTR_TTA,
    CGT_MDCR_HPMN,
    __NR_CGT_GROUP_IDS__
};

static const struct trap_bits coarse_trap_bits[] = {
    [CGT_HCR_TID1] = {
        .index = HCR_EL2, .value = HCR_TID1, .mask = HCR_TID1,
        .behaviour = BEHAVE_FORWARD_READ,
    },
    [CGT_HCR_TVM] = {
        .index = HCR_EL2, .value = HCR_EL2_TVM, .mask = HCR_EL2_TVM,
        .behaviour = BEHAVE_FORWARD_WRITE,
    },
    [CGT_HCR_NV_nNV2] = {
        .index = HCR_EL2, .value = HCR_NV, .mask = HCR_NV | HCR_NV2,
        .behaviour = BEHAVE_FORWARD_RW,
    },
    [CGT_HCR_TIDCP] = {
        .index = HCR_EL2, .value = BIT(20), .mask = 1UL << 20, .behaviour = BEHAVE_FORWARD_RW
    },
    [CGT_MDCR_TPM] = {
        .index = MDCR_EL2, .value = MDCR_EL2_TPM, .mask = MDCR_EL2_TPM,
        .behaviour = BEHAVE_FORWARD_RW | BEHAVE_FORWARD_IN_HOST_EL0,
    },
    [CGT_MDCR_DEBUG] = {
        .index = MDCR_EL2, .value = DEBUG_BITS, .mask = DEBUG_BITS,
        .behaviour = BEHAVE_FORWARD_RW,
    },
    [CGT_MDCR_E2PB] = {
        .index = MDCR_EL2, .value = 0, .mask = BIT(MDCR_EL2_E2PB_SHIFT),
        .behaviour = BEHAVE_FORWARD_RW,
    },
    [CGT_CPTR_E0POE] = {
        .index = CPTR_EL2, .value = CPACR_EL1_E0POE, .mask = CPACR_EL1_E0POE,
        .behaviour = BEHAVE_FORWARD_RW,
    },
    [CGT_HCRX_EnFPM] = {
        .index = HCRX_EL2, .mask = HCRX_EL2_EnFPM, .behaviour = BEHAVE_FORWARD_RW,
    },
    [CGT_ICH_HCR_TC] = {
        .index = ICH_HCR_EL2, .value = ICH_HCR_TC, .mask = ICH_HCR_TC,
        .behaviour = BEHAVE_FORWARD_RW,
    },
};

#define MCB(id, ...) /* whatever */

static const enum cgt_group_id *coarse_control_combo[] = {
    MCB(CGT_HCR_TID1_TVM, CGT_HCR_TID1, CGT_HCR_TVM),
    MCB(CGT_MDCR_TPM_HPMN, CGT_MDCR_TPM, CGT_MDCR_HPMN),
};

static enum trap_behaviour check_cptr_tta(struct kvm_vcpu *vcpu)
{
    if (__vcpu_sys_reg(vcpu, CPTR_EL2) & 1) { return BEHAVE_FORWARD_RW; }
    return BEHAVE_HANDLE_LOCALLY;
}

static const complex_condition_check ccc[] = {
    CCC(CGT_CNTHCTL_EL1PCTEN, check_cnthctl_el1pcten),
    CCC(CGT_CPTR_TTA, check_cptr_tta),
    CCC(CGT_MDCR_HPMN, check_mdcr_hpmn),
};

static const struct encoding_to_trap_config encoding_to_cgt[] __initconst = {
    SR_TRAP(SYS_REVIDR_EL1, CGT_HCR_TID1),
    SR_RANGE_TRAP(SYS_ID_PFR0_EL1, sys_reg(3, 0, 0, 2, 3), CGT_HCR_TID1),
    SR_TRAP(SYS_SCTLR_EL1, CGT_HCR_TID1_TVM),
    SR_TRAP(SYS_SP_EL1, CGT_HCR_NV_nNV2),
    SR_RANGE_TRAP(sys_reg(3, 3, 11, 0, 0), sys_reg(3, 3, 11, 15, 7), CGT_HCR_TIDCP),
    SR_TRAP(OP_TLBI_VAE1NXS, CGT_HCR_TVM),
    SR_TRAP(SYS_PMEVCNTRn_EL0(0), CGT_MDCR_TPM_HPMN),
    SR_TRAP(SYS_PMEVCNTRn_EL0(1), CGT_MDCR_TPM_HPMN),
    SR_TRAP(SYS_PMEVCNTRn_EL0(2), CGT_MDCR_TPM_HPMN),
    SR_TRAP(SYS_PMXEVCNTR_EL0, CGT_MDCR_TPM_HPMN),
    SR_TRAP(SYS_PMCCNTR_EL0, CGT_MDCR_TPM),
    SR_TRAP(SYS_MDSCR_EL1, CGT_MDCR_DEBUG),
    SR_TRAP(SYS_PMBPTR_EL1, CGT_MDCR_E2PB),
    SR_TRAP(SYS_POR_EL0, CGT_CPTR_E0POE),
    SR_TRAP(SYS_FPMR, CGT_HCRX_EnFPM),
    SR_TRAP(SYS_ICC_PMR_EL1, CGT_ICH_HCR_TC),
    SR_TRAP(SYS_CNTPCT_EL0, CGT_CNTHCTL_EL1PCTEN),
    SR_RANGE_TRAP(sys_reg(2, 1, 0, 0, 0), sys_reg(2, 1, 7, 15, 7), CGT_CPTR_TTA),
};

enum fg_filter_id { __NO_FGF__, HCRX_FGTnXS, __NR_FG_FILTER_IDS__ };

static const struct encoding_to_trap_config encoding_to_fgt[] __initconst = {
    SR_FGT(SYS_APIAKEYLO_EL1, HFGRTR, APIAKey, 1),
    SR_FGT(SYS_APIAKEYHI_EL1, HFGRTR, APIAKey, 1),
    SR_FGT(SYS_POR_EL0, HFGRTR, nPOR_EL0, 0),
    SR_FGT(SYS_PAR_EL1, HFGRTR, PAR_EL1, 0), /* the other way round than the catalogue */
    SR_FGT(OP_TLBI_VAE1, HFGITR, TLBIVAE1, 1),
    SR_FGF(OP_TLBI_VAE1NXS, HFGITR, TLBIVAE1, 1, HCRX_FGTnXS),
    SR_FGT_RANGE(SYS_DBGBVRn_EL1(0), SYS_DBGBVRn_EL1(0), HDFGRTR, DBGBVRn_EL1, 1),
    SR_FGT(SYS_PMSWINC_EL0, HDFGWTR, PMSWINC_EL0, 1),
    SR_FGT(SYS_AMEVCNTR0_EL0(0), HAFGRTR, AMEVCNTR00_EL0, 1),
    SR_FGT(SYS_AMEVCNTR0_EL0(1), HAFGRTR, AMEVCNTR01_EL0, 1),
    SR_FGT(SYS_AMEVCNTR0_EL0(2), HAFGRTR, AMEVCNTR02_EL0, 1),
    SR_FGT(SYS_AMEVCNTR0_EL0(3), HAFGRTR, AMEVCNTR03_EL0, 1),
    SR_FGT_RANGE(SYS_SPMEVCNTRn_EL0(0), SYS_SPMEVCNTRn_EL0(15), HDFGRTR2, nSPMEVCNTRn_EL0, 0),
};

static const union trap_config non_0x18_fgt[] __initconst = {
    FGT(HFGITR, ERET, 1),
};

static bool is_disabled(struct kvm *kvm) { return kvm->arch.fgu[0] & kvm_get_sysreg_resx(kvm); }
"""

BY_HAND = """\
use "registers"

control HCR.TID1 traps read when HCR_EL2.TID1 == 1
control HCR.TVM traps write when HCR_EL2.TVM == 1
control HCR.NV_nNV2 traps any when HCR_EL2.{NV2, NV} == 0b01
control HCR.TIDCP traps any when HCR_EL2.TIDCP == 1
control MDCR.TPM traps any, also in host EL0, when MDCR_EL2.TPM == 1
control MDCR.DEBUG traps any when MDCR_EL2.{TDA, TDE} == 0b11
control MDCR.E2PB traps any when MDCR_EL2[12] == 0
control CPTR.E0POE traps any when CPTR_EL2[29] == 1
control HCRX.EnFPM traps any when HCRX_EL2.EnFPM == 0
control ICH_HCR.TC traps any when ICH_HCR_EL2.TC == 1
condition CNTHCTL.EL1PCTEN traps any when CNTHCTL_EL2.EL1PCTEN == 0
condition CPTR.TTA traps any when CPTR_EL2.TTA == 1
condition MDCR.HPMN traps any, also in host EL0, when access.index >= MDCR_EL2.HPMN
condition MDCR.HPMN_sel traps any, also in host EL0, when
    PMSELR_EL0.SEL >= MDCR_EL2.HPMN and not PMSELR_EL0.SEL == 31
combo HCR.TID1_TVM = HCR.TID1 | HCR.TVM
combo MDCR.TPM_HPMN = MDCR.TPM | MDCR.HPMN
combo MDCR.TPM_HPMN_sel = MDCR.TPM | MDCR.HPMN_sel

fine group HFG { read HFGRTR_EL2 write HFGWTR_EL2 fgu "HFGRTR" }
fine group HFGI { any HFGITR_EL2 fgu "HFGITR" }
fine group HDFG { read HDFGRTR_EL2 write HDFGWTR_EL2 fgu "HDFGRTR" }
fine group HAFG { any HAFGRTR_EL2 fgu "HAFGRTR" }
fine group HDFG2 { read HDFGRTR2_EL2 write HDFGWTR2_EL2 fgu "HDFGRTR2" }

table by-hand {
    hypervisor context when EL == 2 or HCR_EL2.TGE == 1
    host EL0 when EL == 0 and HCR_EL2.TGE == 1
    sanitise HCR_EL2, HCRX_EL2, ICH_HCR_EL2, MDCR_EL2, HFGRTR_EL2, HFGWTR_EL2, HFGITR_EL2,
             HDFGRTR_EL2, HDFGWTR_EL2, HAFGRTR_EL2, HDFGRTR2_EL2, HDFGWTR2_EL2
    fine bits by position
    absent fields read as zero
}

trap REVIDR_EL1, S3_0_C0_C1_0 .. S3_0_C0_C2_3 by HCR.TID1
trap SCTLR_EL1 by HCR.TID1_TVM
trap SP_EL1 by HCR.NV_nNV2
trap S3_3_C11_*_* by HCR.TIDCP
trap TLBI_VAE1NXS by HCR.TVM, fine HFGI.TLBIVAE1 (unless HCRX_EL2.FGTnXS == 1)
trap TLBI_VAE1 fine HFGI.TLBIVAE1
trap PMEVCNTR<0..2>_EL0 by MDCR.TPM_HPMN
trap PMXEVCNTR_EL0 by MDCR.TPM_HPMN_sel
trap PMCCNTR_EL0 by MDCR.TPM
trap MDSCR_EL1 by MDCR.DEBUG
trap PMBPTR_EL1 by MDCR.E2PB
trap POR_EL0 by CPTR.E0POE, fine HFG.nPOR_EL0
trap FPMR by HCRX.EnFPM
trap ICC_PMR_EL1 by ICH_HCR.TC
trap CNTPCT_EL0 by CNTHCTL.EL1PCTEN
trap S2_1_C0_C0_0 .. S2_1_C7_C15_7 by CPTR.TTA
trap APIAKeyLo_EL1, APIAKeyHi_EL1 fine HFG.APIAKey
trap PAR_EL1 fine HFG.PAR_EL1 negative
trap DBGBVR0_EL1 fine HDFG.DBGBVRn_EL1
trap PMSWINC_EL0 fine HDFG.PMSWINC_EL0
trap AMEVCNTR0<n>_EL0 fine HAFG.AMEVCNTR0<n>_EL0
trap SPMEVCNTR<n>_EL0 fine HDFG2.nSPMEVCNTRn_EL0
"""


def imported(text: str = KERNEL, name: str = "linux-import") -> Imported:
    """What an import makes of a text."""
    return import_linux(text.encode(), "emulate-nested.c", name)


def changed(old: str, new: str, text: str = KERNEL) -> str:
    """The text with one place changed."""
    assert text.count(old) >= 1, old
    return text.replace(old, new, 1)


def table_of(rules: str) -> Table:
    """The table that rule text makes."""
    compilation = compile_text(rules, "rules.trap")
    assert compilation.is_sound, compilation.findings
    return unpack(compilation.blob, Table)
