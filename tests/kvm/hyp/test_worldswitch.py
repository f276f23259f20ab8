"""The world switch against what Linux 6.12 says of it, fact by fact."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvtrap.arch.memory import Memory
from nvtrap.arch.pstate import EL0T, EL1H, EL2H, EL2T
from nvtrap.kvm.context import HCR_E2H, HCR_TGE, Context, Features, Registers
from nvtrap.kvm.hyp import traps
from nvtrap.kvm.hyp.traps import FINE_GRAINED, HCR_GUEST_FLAGS, HostCpu, VcpuState
from nvtrap.kvm.hyp.vel2 import hardware_pstate, in_el1, sctlr_to_el1, tcr_to_el1, ttbr0_to_el1
from nvtrap.kvm.hyp.worldswitch import (
    AT_FIRST_USE,
    AT_LOAD,
    HOST,
    L1_EL0,
    L1_EL1,
    L2,
    LOADED,
    TO_EXIT,
    VEL2_NVHE,
    VEL2_VHE,
    World,
    describe,
    diff,
    fp_trap,
    host_world,
    name_of,
)
from nvtrap.kvm.memory.mmu import HostMmu, Mmu

E2H, TGE, VM = HCR_E2H, HCR_TGE, 1 << 0
WORDS = st.integers(0, (1 << 64) - 1)
CPU = HostCpu()


def l1(pstate: int = EL2H, hcr: int = E2H, **registers: int) -> Context:
    """A vCPU with EL2."""
    return Context(Features(), Registers(HCR_EL2=hcr, **registers), pstate=pstate, pc=0x4000)


def world(context: Context, vcpu: VcpuState | None = None, cpu: HostCpu = CPU) -> World:
    """Its world, with everything else as usual."""
    return describe(context, vcpu or VcpuState(cpu.features), cpu)


def moves(found: World, group: str) -> dict[str, str]:
    """Hardware's register → where it is kept, of one group."""
    registers = found.group(group)
    assert registers is not None
    return dict(registers.moves)


# ---- which world ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pstate", "hcr", "name"),
    [
        (EL2H, E2H, VEL2_VHE),
        (EL2T, 0, VEL2_NVHE),
        (EL0T, E2H | TGE, L1_EL0),
        (EL0T, TGE, L1_EL0),
        (EL1H, 0, L1_EL1),
        (EL1H, E2H, L1_EL1),
        (EL0T, E2H | VM, L2),
        (EL1H, VM, L2),
    ],
)
def test_every_context_of_l1_has_a_name(pstate: int, hcr: int, name: str) -> None:
    """By exception level, E2H, TGE and L1's stage 2."""
    assert name_of(l1(pstate, hcr)) == world(l1(pstate, hcr)).name == name
    assert name_of(Context(Features(nv=False), pstate=EL1H)) == "guest"


# ---- trap controls ----------------------------------------------------------------


def test_hcr_of_a_guest_without_el2() -> None:
    """HCR_GUEST_FLAGS, E2H for the host, and by feature: RAS, FWB, TID4, TLBI OS, pauth."""
    context = Context(Features(nv=False), pstate=EL1H)
    always = HCR_GUEST_FLAGS | E2H | 1 << 36 | 1 << 37 | 1 << 46 | 1 << 49 | 0b11 << 40
    assert world(context).controls["HCR_EL2"] == always
    assert HCR_GUEST_FLAGS == 0x8_807C_663F
    poor = HostCpu(frozenset())
    assert world(context, cpu=poor).controls["HCR_EL2"] == (
        HCR_GUEST_FLAGS | E2H | 1 << 17 | 1 << 55 | 0b11 << 40
    )


def test_hcr_follows_the_state_of_the_vcpu() -> None:
    """TVM while caches are off, VSE, the WFx traps as the scheduler wants, RW, ATA."""
    features = Features(nv=False, el1_32bit=True, mte=True, ptrauth=False)
    vcpu = VcpuState(CPU.features)
    vcpu.traps_caches = vcpu.serror = True
    vcpu.traps_wfi = vcpu.traps_wfe = False
    value = world(Context(features, pstate=EL1H), vcpu).controls["HCR_EL2"]
    assert value & (1 << 26 | 1 << 8 | 1 << 56) == 1 << 26 | 1 << 8 | 1 << 56
    assert value & (1 << 31 | 0b11 << 13 | 0b11 << 40) == 0


@pytest.mark.parametrize("pstate", [EL2H, EL0T])
def test_hypervisor_context_has_nv2_and_traps_at_and_tlbi(pstate: int) -> None:
    """NV, NV2, AT, TTLB; NV1 for an L1 without E2H; never L1's TGE."""
    nv, nv1 = 1 << 42 | 1 << 45 | 1 << 44 | 1 << 25, 1 << 43
    for e2h in (0, E2H):
        value = world(l1(pstate, e2h | TGE)).controls["HCR_EL2"]
        assert value & nv == nv
        assert bool(value & nv1) is (not e2h)
        assert not value & TGE
        assert value & E2H


def test_l1s_hcr_is_merged_whole_but_for_tge_and_pointer_authentication() -> None:
    """Its API and APK replace the host's below hypervisor context."""
    everything = (1 << 64) - 1 & ~TGE
    value = world(l1(EL1H, everything)).controls["HCR_EL2"]
    assert value == everything
    assert world(l1(EL1H, VM)).controls["HCR_EL2"] & 0b11 << 40 == 0
    assert world(l1(EL1H, VM | 1 << 41)).controls["HCR_EL2"] & 0b11 << 40 == 1 << 41
    assert world(l1(EL2H, E2H)).controls["HCR_EL2"] & 0b11 << 40 == 0b11 << 40


def test_mdcr_traps_debug_registers_until_they_are_used() -> None:
    """TPM, TPMS, TTRF, TPMCR, TDRA, TDOSA always, HPMN the host's; L1's is not merged."""
    vcpu = VcpuState(CPU.features)
    context = l1(EL1H, VM, MDCR_EL2=(1 << 64) - 1)
    always = 6 | 1 << 5 | 1 << 6 | 1 << 10 | 1 << 11 | 1 << 14 | 1 << 19
    assert describe(context, vcpu, CPU).controls["MDCR_EL2"] == always | 1 << 9
    vcpu.uses_debug = True
    assert describe(context, vcpu, CPU).controls["MDCR_EL2"] == always
    vcpu.debug = traps.GUEST_DEBUG
    assert describe(context, vcpu, CPU).controls["MDCR_EL2"] == always | 1 << 8
    vcpu.debug |= traps.GUEST_DEBUG_HW
    assert describe(context, vcpu, CPU).controls["MDCR_EL2"] == always | 0b11 << 8
    vcpu.debug, vcpu.os_lock = 0, True
    assert describe(context, vcpu, CPU).controls["MDCR_EL2"] == always | 1 << 9


FPEN, ZEN, TTA, TAM, TCPAC = 0b11 << 20, 0b11 << 16, 1 << 28, 1 << 30, 1 << 31


def test_fp_traps_until_the_guest_owns_it() -> None:
    """Trace and AMU registers always trap; SVE only ever opens for a VM that has it."""
    context = Context(Features(nv=False), pstate=EL1H)
    vcpu = VcpuState(frozenset({"FEAT_SVE"}))
    assert world(context, vcpu).controls["CPTR_EL2"] == TTA | TAM
    vcpu.owns_fp = True
    assert world(context, vcpu).controls["CPTR_EL2"] == TTA | TAM | FPEN | ZEN
    vcpu.features = frozenset()
    assert world(context, vcpu).controls["CPTR_EL2"] == TTA | TAM | FPEN


@pytest.mark.parametrize(
    ("hcr", "cptr", "expected"),
    [
        (E2H | VM, FPEN | ZEN, FPEN | ZEN),
        (E2H | VM, 0b01 << 20 | 0b10 << 16, FPEN),
        (E2H | VM, 0b10 << 20 | 0b01 << 16, ZEN),
        (E2H | VM, TCPAC, TCPAC),
        (VM, 0, FPEN | ZEN),
        (VM, 1 << 10, ZEN),
        (VM, 1 << 8 | TCPAC, FPEN | TCPAC),
    ],
)
def test_l1s_cptr_is_layered_on_the_hosts(hcr: int, cptr: int, expected: int) -> None:
    """Bit 0 of each field decides; without E2H TFP and TZ are translated first."""
    vcpu = VcpuState(frozenset({"FEAT_SVE"}))
    vcpu.owns_fp = True
    found = world(l1(EL1H, hcr, CPTR_EL2=cptr), vcpu).controls["CPTR_EL2"]
    assert found == TTA | TAM | expected


def test_an_l1_with_e2h_traps_cpacr_at_vel2() -> None:
    """It could not set TCPAC or TTA through it; without E2H nothing is added."""
    assert world(l1(EL2H, E2H)).controls["CPTR_EL2"] == TTA | TAM | TCPAC
    assert world(l1(EL2H, 0)).controls["CPTR_EL2"] == TTA | TAM


@given(WORDS, WORDS, st.sampled_from(sorted(FINE_GRAINED)))
def test_fine_grained_controls_trap_what_either_wants(
    wanted: int, features: int, name: str
) -> None:
    """Below hypervisor context L1's traps are added, whatever their polarity; never less."""
    res0, positive = FINE_GRAINED[name]
    negative = ~(res0 | positive) & (1 << 64) - 1
    names = ["FEAT_TLBIOS", "FEAT_TLBIRANGE", "FEAT_ATS1A", "FEAT_PAN2", "FEAT_S1PIE", "FEAT_S1POE"]
    vcpu = VcpuState(frozenset(name for n, name in enumerate(names) if features >> n & 1))
    cpu = HostCpu(frozenset({"FEAT_FGT", "FEAT_AMUv1"}))
    own = traps.fine_grained(l1(EL2H, E2H, **{name: wanted}), vcpu, cpu).get(name, negative)
    both = traps.fine_grained(l1(EL1H, VM, **{name: wanted}), vcpu, cpu).get(name, negative)
    trapped = (own & positive | ~own & negative) | (wanted & positive | ~wanted & negative)
    assert both & positive | ~both & negative == trapped
    assert both & res0 == own & res0 == 0


def test_fine_grained_controls_that_trap_nothing_are_not_written() -> None:
    """HFGRTR and HFGWTR always do, for registers that no VM has; HAFGRTR only with an AMU."""
    vcpu = VcpuState(CPU.features | {"FEAT_ATS1A"})
    found = traps.fine_grained(l1(), vcpu, CPU)
    assert set(found) == {"HFGRTR_EL2", "HFGWTR_EL2"}
    never = 1 << 63 | 1 << 62 | 1 << 61 | 1 << 60 | 1 << 59 | 1 << 58 | 1 << 57
    assert found["HFGRTR_EL2"] == ~(never | 1 << 55 | 1 << 54 | 1 << 50 | 1 << 51) & -1 << 50 & (
        (1 << 64) - 1
    )
    amu = HostCpu(CPU.features | {"FEAT_AMUv1"})
    assert traps.fine_grained(l1(), vcpu, amu)["HAFGRTR_EL2"] == 0x0003_FFFF_FFFE_001F
    assert traps.fine_grained(l1(), vcpu, HostCpu(frozenset())) == {}


def test_range_and_outer_shareable_tlbis_are_trapped_by_bit() -> None:
    """HFGITR_EL2: bits 27:18 for OS, the three ranges of four for range TLBIs."""
    vcpu = VcpuState(CPU.features - {"FEAT_TLBIOS"} | {"FEAT_ATS1A"})
    os = traps.fine_grained(l1(), vcpu, CPU)["HFGITR_EL2"]
    assert os & ~(0x1F << 55) == 0x3FF << 18
    vcpu.features = CPU.features - {"FEAT_TLBIRANGE"} | {"FEAT_ATS1A"}
    ranges = traps.fine_grained(l1(), vcpu, CPU)["HFGITR_EL2"]
    assert ranges & ~(0x1F << 55) == 0xF << 24 | 0xF << 34 | 0xF << 38


def test_hcrx_opens_what_the_vm_has_and_l1_allows() -> None:
    """SMPME always; TALLINT traps when set, all other bits when clear."""
    vcpu = VcpuState(CPU.features | {"FEAT_MOPS", "FEAT_TCR2"})
    own = 1 << 5 | 0b11 << 10 | 1 << 14
    assert world(l1(EL2H, E2H), vcpu).controls["HCRX_EL2"] == own
    nested = l1(EL1H, VM, HCRX_EL2=1 << 6 | 1 << 14 | 1 << 5)
    assert world(nested, vcpu).controls["HCRX_EL2"] == 1 << 5 | 1 << 6 | 1 << 14


PCTEN, PCEN = 1 << 10, 1 << 11


@pytest.mark.parametrize(
    ("hcr", "cnthctl", "expected"),
    [
        (E2H | VM, PCTEN | PCEN, PCTEN | PCEN),
        (E2H | VM, PCTEN, PCTEN),
        (VM, 0b11, PCTEN | PCEN),
        (VM, 0b10, PCEN),
        (VM, PCTEN | PCEN, 0),
    ],
)
def test_l1s_cnthctl_decides_for_l2(hcr: int, cnthctl: int, expected: int) -> None:
    """In either layout, and only by adding traps: an offset without CNTPOFF traps both."""
    vcpu = VcpuState(CPU.features)
    context = l1(EL1H, hcr, CNTHCTL_EL2=cnthctl)
    assert traps.cnthctl(context, vcpu, CPU) == expected
    assert traps.cnthctl(l1(EL2H, hcr, CNTHCTL_EL2=0), vcpu, CPU) == PCTEN | PCEN
    vcpu.offset = 5
    assert traps.cnthctl(context, vcpu, CPU) == 0
    assert traps.cnthctl(context, vcpu, HostCpu(frozenset({"FEAT_CNTPOFF"}))) == expected | 1 << 12


def test_the_virtual_counter_has_l1s_offset_below_it() -> None:
    """And at vEL2 only without E2H; a VM without EL2 has its own."""
    vcpu = VcpuState(CPU.features)
    vcpu.offset, vcpu.virtual_offset = 100, 7
    for pstate, hcr, expected in (
        (EL1H, VM, 123),
        (EL2H, E2H, 100),
        (EL2H, 0, 123),
    ):
        found = describe(l1(pstate, hcr, CNTVOFF_EL2=23), vcpu, CPU)
        assert found.controls["CNTVOFF_EL2"] == expected
    plain = Context(Features(nv=False), pstate=EL1H)
    assert describe(plain, vcpu, CPU).controls["CNTVOFF_EL2"] == 7


def test_identification_is_the_hosts_midr_and_the_vcpus_affinity() -> None:
    """L2 too reads the vCPU's MPIDR_EL1; VPIDR_EL2 is the same in every world."""
    vcpu = VcpuState(CPU.features, affinity=0x1_0203)
    for context in (l1(), l1(EL1H, VM, VMPIDR_EL2=0x55, VPIDR_EL2=0x66)):
        controls = describe(context, vcpu, CPU).controls
        assert controls["VMPIDR_EL2"] == 0x8001_0203
        assert controls["VPIDR_EL2"] == CPU.midr == host_world(CPU).controls["VPIDR_EL2"]


def test_the_pmu_and_implementation_defined_aarch32_registers_trap() -> None:
    """PMUSERENR_EL0 open for EL0 so that MDCR_EL2 decides, PMSELR_EL0 no cycle counter."""
    controls = world(l1()).controls
    assert (controls["PMUSERENR_EL0"], controls["PMSELR_EL0"]) == (0xF, 0)
    assert controls["HSTR_EL2"] == 1 << 15
    assert "PMUSERENR_EL0" not in world(l1(), cpu=HostCpu(frozenset())).controls


def test_the_host_traps_nothing() -> None:
    """RW, TGE, E2H; FP at its own disposal, SVE at EL1 alone."""
    found = host_world(HostCpu(CPU.features | {"FEAT_SME"}))
    assert found.name == HOST
    assert found.controls["HCR_EL2"] == 1 << 31 | 1 << 27 | 1 << 34
    assert found.controls["CPTR_EL2"] == FPEN | 0b01 << 16 | 0b01 << 24
    assert found.controls["HSTR_EL2"] == 0
    assert found.controls["HCRX_EL2"] == 1 << 11 | 1 << 14 | 1 << 23
    assert found.groups == ()


# ---- registers --------------------------------------------------------------------


def test_vel2_is_in_the_registers_of_el1() -> None:
    """Of an L1 with E2H as they are."""
    context = l1(EL2H, E2H, SCTLR_EL2=0xFFFF_FFFF, SCTLR_EL1=1, TCR_EL2=0x1234, VBAR_EL2=0x800)
    found = world(context)
    el1 = moves(found, "EL1")
    assert el1["SCTLR_EL1"] == "SCTLR_EL2"
    assert el1["CPACR_EL1"] == "CPTR_EL2"
    assert el1["SP_EL1"] == "SP_EL2"
    assert el1["TPIDR_EL1"] == "TPIDR_EL1"
    assert found.values["SCTLR_EL1"] == 0xFFFF_FFFF
    assert (found.values["TCR_EL1"], found.values["VBAR_EL1"]) == (0x1234, 0x800)


def test_vel2_without_e2h_is_translated() -> None:
    """SCTLR, CPTR, TTBR0 and TCR; the rest as it is."""
    context = l1(
        EL2H,
        0,
        SCTLR_EL2=0xFFFF_FFFF,
        CPTR_EL2=1 << 20 | 1 << 10,
        TTBR0_EL2=0xABCD_0000_8000_0001,
        TCR_EL2=1 << 20 | 0b101 << 16 | 0b10 << 14 | 0x19,
        ESR_EL2=0x5600_0000,
    )
    values = world(context).values
    assert values["SCTLR_EL1"] == sctlr_to_el1(0xFFFF_FFFF) == 0x0228_100F
    assert values["CPACR_EL1"] == TTA | ZEN
    assert values["TTBR0_EL1"] == ttbr0_to_el1(0xABCD_0000_8000_0001) == 0x8000_0001
    assert values["TCR_EL1"] == 1 << 37 | 0b101 << 32 | 1 << 23 | 0b10 << 14 | 0x19
    assert values["TCR_EL1"] == tcr_to_el1(context.sysregs["TCR_EL2"])
    assert values["ESR_EL1"] == 0x5600_0000
    assert in_el1(context, "CONTEXTIDR_EL1") == ("CONTEXTIDR_EL1", 0)


def test_l2_has_el1s_own_registers() -> None:
    """And so has L1's EL1; only hypervisor context has EL2's."""
    for hcr in (VM, 0):
        found = world(l1(EL1H, hcr, SCTLR_EL1=1, SCTLR_EL2=2))
        assert all(hardware == source for hardware, source in moves(found, "EL1").items())
        assert found.values["SCTLR_EL1"] == 1


@pytest.mark.parametrize(
    ("pstate", "hardware"),
    [
        (EL2H, EL1H),
        (EL2T, 0x4),
        (EL1H, EL1H),
        (EL0T, EL0T),
        (0x6000_03C9, 0x6000_03C5),
        (0xD, EL2H | 1 << 20),
        (0x13, 0x13),
        (0x1A, 0x1A),
    ],
)
def test_vel2_is_entered_at_el1(pstate: int, hardware: int) -> None:
    """Anything above EL2 is entered as an illegal state."""
    assert hardware_pstate(pstate) == hardware
    assert world(l1(pstate, E2H)).values["SPSR_EL2"] == hardware


def test_timers_of_vel2_have_the_hardware_while_it_runs() -> None:
    """The other two are emulated."""
    hyp, nested = world(l1()), world(l1(EL1H, VM))
    assert moves(hyp, "timers")["CNTV_CVAL_EL0"] == "CNTHV_CVAL_EL2"
    assert moves(hyp, "timers")["CNTP_CTL_EL0"] == "CNTHP_CTL_EL2"
    assert moves(nested, "timers")["CNTV_CTL_EL0"] == "CNTV_CTL_EL0"
    assert (hyp.emulated, nested.emulated) == (("CNTV", "CNTP"), ("CNTHV", "CNTHP"))
    assert world(Context(Features(nv=False), pstate=EL1H)).emulated == ()


def test_debug_registers_are_switched_only_when_they_are_used() -> None:
    """The host's are saved and come back."""
    vcpu = VcpuState(CPU.features)
    assert describe(l1(), vcpu, CPU).group("debug") is None
    vcpu.uses_debug = True
    debug = describe(l1(), vcpu, CPU).group("debug")
    assert debug is not None
    assert "MDCCINT_EL1" in debug.host


def test_fp_is_loaded_by_the_first_trap_of_it() -> None:
    """Then it stays; the host has saved its own before, so that none is kept."""
    vcpu, context = VcpuState(CPU.features), l1(EL2H, E2H, CPTR_EL2=FPEN)
    before = describe(context, vcpu, CPU).group("FP")
    assert before is not None
    assert (before.when, before.host) == (AT_FIRST_USE, ())
    assert fp_trap(context, vcpu, CPU) == LOADED
    after = describe(context, vcpu, CPU).group("FP")
    assert after is not None
    assert after.when == AT_LOAD


def test_fp_that_l1_traps_or_that_is_not_there_goes_on_to_the_exit() -> None:
    """SVE needs the VM's as well; a host without FP loads nothing."""
    nested = l1(EL1H, E2H | VM, CPTR_EL2=0b11 << 16)
    vcpu = VcpuState(CPU.features | {"FEAT_SVE"})
    assert fp_trap(nested, vcpu, CPU) == TO_EXIT
    assert fp_trap(nested, vcpu, CPU, sve=True) == LOADED
    assert fp_trap(nested, VcpuState(CPU.features), CPU, sve=True) == TO_EXIT
    free = Context(Features(nv=False), pstate=EL1H)
    none = HostCpu(CPU.features - {"FEAT_FP"})
    assert fp_trap(free, VcpuState(), none) == TO_EXIT
    assert world(free, cpu=none).group("FP") is None


def test_sve_has_zcr_of_the_level_that_runs() -> None:
    """ZCR_EL2 in hypervisor context."""
    vcpu = VcpuState(CPU.features | {"FEAT_SVE", "FEAT_FPMR"})
    assert moves(describe(l1(), vcpu, CPU), "FP")["ZCR_EL1"] == "ZCR_EL2"
    assert moves(describe(l1(EL1H, VM), vcpu, CPU), "FP")["ZCR_EL1"] == "ZCR_EL1"


def test_the_gic_has_l1s_list_registers_below_it() -> None:
    """Those of the VGIC otherwise; as many as are in use."""
    found = describe(l1(EL1H, VM), VcpuState(), CPU, ich_hcr=1, list_registers=2)
    gic = moves(found, "GIC")
    assert gic["ICH_LR1_EL2"] == "L1's ICH_LR1_EL2"
    assert "ICH_LR2_EL2" not in gic
    assert found.controls["ICH_HCR_EL2"] == 1
    assert moves(world(l1()), "GIC")["ICH_VMCR_EL2"] == "VGIC's ICH_VMCR_EL2"


def test_stage_2_and_the_vncr_page_are_programmed() -> None:
    """VTTBR_EL2 and VTCR_EL2 of the context, VNCR_EL2 in hypervisor context alone."""
    mmu = Mmu(HostMmu(Memory(), (0x1000_0000, 64)), 40)
    mmu.activate(0, 0)
    hyp = describe(l1(), VcpuState(), CPU, mmu=mmu, vncr=0x9000)
    nested = describe(l1(EL1H, VM), VcpuState(), CPU, mmu=mmu, vncr=0x9000)
    assert hyp.controls["VTTBR_EL2"] == mmu.vttbr == nested.controls["VTTBR_EL2"]
    assert hyp.controls["VTCR_EL2"] == mmu.vtcr
    assert hyp.controls["VNCR_EL2"] == 0x9000
    assert "VNCR_EL2" not in nested.controls


def test_a_32_bit_guest_and_one_with_more_features_have_more_registers() -> None:
    """TCR2, PIR and POR, MTE's, pointer authentication keys, AArch32's."""
    found = world(Context(Features(nv=False, el1_32bit=True), pstate=0x13))
    assert "SPSR_abt" in moves(found, "AArch32")
    assert world(l1()).group("AArch32") is None
    more = frozenset({"FEAT_TCR2", "FEAT_S1PIE", "FEAT_S1POE", "FEAT_MTE"})
    el1 = moves(describe(l1(), VcpuState(more), CPU), "EL1")
    assert {"TCR2_EL1", "PIR_EL1", "PIRE0_EL1", "POR_EL1", "TFSR_EL1"} <= set(el1)
    assert "APGAKEYHI_EL1" in moves(world(l1()), "keys")
    assert world(Context(Features(ptrauth=False))).group("keys") is None


# ---- compared and printed ---------------------------------------------------------


def test_worlds_are_compared_fact_by_fact() -> None:
    """From vEL2 to L2: controls, sources and timers."""
    context = l1(EL2H, E2H | VM)
    one = world(context)
    context.pstate = EL1H
    found = {name: (a, b) for name, a, b in diff(one, world(context))}
    assert found["SCTLR_EL1 from"] == ("SCTLR_EL2", "SCTLR_EL1")
    assert found["CNTHV timer"] == (None, "emulated")
    assert "HCR_EL2" in found
    assert "VMPIDR_EL2" not in found
    assert diff(one, one) == []


def test_a_world_is_printed() -> None:
    """A line for each control and each group; the same as data."""
    found = world(l1())
    text = "\n".join(found.lines())
    assert text.startswith("L1 at vEL2, VHE\n  HCR_EL2        0x")
    assert "SCTLR_EL1 <- SCTLR_EL2" in text
    assert "emulated timers: CNTV, CNTP" in text
    data = json.loads(json.dumps(found.as_dict()))
    assert data["controls"]["HSTR_EL2"] == "0x8000"
    assert data["values"]["ELR_EL2"] == "0x4000"


@given(WORDS, WORDS, WORDS, WORDS, st.integers(0, 63))
def test_any_state_of_l1_has_a_world_of_64_bit_registers(
    hcr: int, cptr: int, pstate: int, other: int, flags: int
) -> None:
    """Nothing is raised, and nothing leaves 64 bits."""
    context = l1(pstate, hcr, CPTR_EL2=cptr, HCRX_EL2=other, CNTHCTL_EL2=other, CNTVOFF_EL2=other)
    vcpu = VcpuState(frozenset({"FEAT_SVE", "FEAT_S2POE"} if flags & 1 else ()))
    vcpu.owns_fp, vcpu.serror, vcpu.offset = bool(flags & 2), bool(flags & 4), other
    found = world(context, vcpu)
    assert all(0 <= value < 1 << 64 for value in found.controls.values())
    assert list(found.lines())
