"""Exits that no system register makes: calls, returns, waits, FP, debug, memory, AArch32."""

from __future__ import annotations

import pytest

from nvtrap.arch.aarch32 import CoprocessorAccess
from nvtrap.arch.esr import (
    EC_BRK64,
    EC_CP10_ID,
    EC_CP14_32,
    EC_CP14_64,
    EC_CP14_LS,
    EC_CP15_32,
    EC_CP15_64,
    EC_DABT_LOW,
    EC_FP_ASIMD,
    EC_SMC64,
    EC_SVC64,
    EC_WFX,
    exception_class,
)
from nvtrap.arch.pstate import DAIF, EL1H, EL2H, IL, MODE, USR
from nvtrap.errors import UnknownNameError, UsageError
from nvtrap.kvm.calls.psci import AFFINITY_INFO_64, CPU_OFF, CPU_ON_64, PSCI_VERSION, SYSTEM_OFF
from nvtrap.kvm.context import Features
from nvtrap.kvm.hyp.traps import HostCpu
from nvtrap.kvm.nested import exits, guest
from nvtrap.kvm.nested.coprocessors import is_trapped_by_hstr, mapped_encoding
from nvtrap.kvm.nested.machine import GICD_BASE, RAM_BASE, Machine
from tests.kvm.nested.machines import (
    AS_HOST,
    E2H,
    FOR_L2,
    L2_CODE,
    RW,
    TSC,
    TWI,
    VM,
    Guest,
    booted,
)

FPEN, ZEN = 3 << 20, 3 << 16
TDE = 1 << 8


# ---- calls ------------------------------------------------------------------------


def call(caller: Guest, function: int, *arguments: int) -> int:
    """An SMC with these arguments; what it leaves in X0."""
    caller.vcpu.context.x[: 1 + len(arguments)] = [function, *arguments]
    caller("smc")
    return caller.vcpu.context.x[0]


def test_hvc_of_l2_is_l1s_and_returns_behind_it() -> None:
    """The preferred return address is the next instruction."""
    l1 = booted()
    l1.to_l2()
    assert l1("hvc", 7).how == exits.FORWARDED
    assert l1.read("ELR_EL2") == L2_CODE + 4
    assert l1.read("ESR_EL2") & 0xFFFF == 7


def test_smc_is_forwarded_by_tsc_and_else_the_hosts_own_call() -> None:
    """PSCI_VERSION of L2: L1 is asked about it, or L0 answers 1.1."""
    l1 = booted()
    l1.to_l2(FOR_L2 | TSC)
    assert l1("smc").how == exits.FORWARDED
    assert exception_class(l1.read("ESR_EL2")) == EC_SMC64
    assert l1.read("ELR_EL2") == L2_CODE
    l1.to_l2()
    assert call(l1, PSCI_VERSION) == 0x1_0001
    assert l1.vcpu.context.pc == L2_CODE + 4
    assert l1("smc", 1).how == exits.EMULATED  # no call of ours: -1
    assert l1.vcpu.context.x[0] == (1 << 64) - 1


def test_cpu_on_starts_a_vcpu_at_vel2_and_cpu_off_stops_it() -> None:
    """It is reset, runs at the address that was given, and can be started again."""
    machine = Machine(2)
    first, second = Guest(machine), Guest(machine, 1)
    with pytest.raises(UsageError, match="powered off"):
        second("nop")
    assert call(first, AFFINITY_INFO_64, 1, 0) == 1
    second.vcpu.registers["VTTBR_EL2"] = 5
    for entry in (0x4020_0000, 0x4030_0000):
        assert call(first, CPU_ON_64, 1, entry, 77) == 0
        context = second.vcpu.context
        assert (context.pc, context.x[0], context.pstate) == (entry, 77, DAIF | EL2H)
        assert second.read("VTTBR_EL2") == 0
        second.to_l2()
        assert call(first, CPU_ON_64, 1, entry, 0) == (1 << 64) - 4
        assert call(second, CPU_OFF) == 0
        with pytest.raises(UsageError, match="powered off"):
            second("nop")


def test_system_off_stops_everything_and_tells_user_space() -> None:
    """Every vCPU is off then."""
    machine = Machine(2, powered_on=True)
    first, second = Guest(machine), Guest(machine, 1)
    second("nop")
    second("wfi")
    first.vcpu.context.x[0] = SYSTEM_OFF
    result = first("smc")
    assert result.how == exits.STOPPED
    assert type(result.exit).__name__ == "SystemEvent"
    for one in (first, second):
        with pytest.raises(UsageError, match="powered off"):
            one("nop")


def test_svc_is_taken_to_el1_or_forwarded_by_hfgitr() -> None:
    """Without a fine-grained trap no hypervisor hears of it."""
    svc_el1 = 1 << 53
    l1 = booted()
    l1.write(VBAR_EL12=0x4050_0000)
    l1.to_l2()
    assert l1("svc", 3).how == guest.TAKEN
    assert l1.vcpu.context.pc == 0x4050_0000 + 0x200
    assert l1.read("ELR_EL1") == L2_CODE + 4
    assert l1.read("ESR_EL1") == EC_SVC64 << 26 | 1 << 25 | 3
    l1.to_l1()
    l1.write(HFGITR_EL2=svc_el1)
    l1.to_l2()
    assert l1("svc").how == exits.FORWARDED


# ---- returns ----------------------------------------------------------------------


def test_an_illegal_return_stays_at_vel2_with_il() -> None:
    """EL3 is no place to return to: flags and masks are kept, IL is set, the PC is ELR_EL2."""
    l1 = booted()
    l1.write(SPSR_EL2=0xD, ELR_EL2=0x1234)
    assert l1("eret").how == exits.RETURNED
    assert l1.vcpu.context.pstate == DAIF | EL2H | IL
    assert l1.vcpu.context.pc == 0x1234
    l1.write(SPSR_EL2=EL1H, HCR_EL2=AS_HOST)
    l1("eret")  # EL1 with TGE
    assert l1.vcpu.is_hyp


def test_an_l2_returns_from_el1_without_the_host() -> None:
    """ERET at EL1 is the hardware's, unless L1 has NV for it."""
    l1 = booted()
    l1.to_l2()
    l1.write(SPSR_EL1=0x3C0, ELR_EL1=0x4060_0000)
    assert l1("eret").how == guest.NATIVE
    assert (l1.vcpu.context.pc, l1.vcpu.context.pstate) == (0x4060_0000, 0x3C0)
    assert l1("eret").how == guest.TAKEN  # undefined at EL0
    l1.to_l1()
    l1.to_l2(FOR_L2 | 1 << 42)
    assert l1("eret").how == exits.FORWARDED
    with pytest.raises(UsageError, match="key"):
        l1("eret", "c")


# ---- waiting ----------------------------------------------------------------------


def test_wfi_is_forwarded_by_twi_and_else_the_vcpu_waits_for_an_interrupt_of_l1() -> None:
    """While it waits it runs nothing; the timer wakes it and forces the switch."""
    l1 = booted()
    l1.to_l2(FOR_L2 | TWI)
    assert l1("wfi").how == exits.FORWARDED
    assert exception_class(l1.read("ESR_EL2")) == EC_WFX
    l1.to_l2()
    assert l1("wfi").how == exits.WAITS
    with pytest.raises(UsageError, match="waits"):
        l1("nop")
    l1.machine.raise_interrupt(27, True, l1.vcpu)
    assert l1.vcpu.is_hyp
    assert l1.read("ELR_EL2") == L2_CODE + 4
    assert l1.read("ICC_IAR1_EL1") == 27


def test_wfi_with_an_interrupt_signalled_does_not_wait() -> None:
    """The hardware does not trap what would not sleep, masked or not."""
    l1 = booted()
    l1.machine.raise_interrupt(27, True, l1.vcpu)
    assert l1("wfi").how == guest.NATIVE


# ---- FP, debug --------------------------------------------------------------------


def test_fp_registers_are_loaded_at_their_first_use_in_each_context() -> None:
    """The trap is L0's; after a switch they have to be loaded again."""
    l1 = booted()
    l1.write(CPTR_EL2=FPEN | ZEN, CPACR_EL12=FPEN | ZEN)
    assert not l1.vcpu.state.owns_fp
    for _ in range(2):
        assert l1("fp").how == guest.NATIVE
        assert l1.vcpu.state.owns_fp
        l1.to_l2()
        assert not l1.vcpu.state.owns_fp
        assert l1("sve").how == guest.NATIVE
        l1.to_l1()


def test_an_fp_trap_of_l1_is_forwarded_and_one_of_el1_its_own() -> None:
    """CPTR_EL2.FPEN of L1, then CPACR_EL1.FPEN of L2."""
    l1 = booted()
    l1.write(CPTR_EL2=0, CPACR_EL12=FPEN)
    l1.to_l2()
    assert l1("fp").how == exits.FORWARDED
    assert exception_class(l1.read("ESR_EL2")) == EC_FP_ASIMD
    l1.write(CPTR_EL2=FPEN, CPACR_EL12=0)
    l1.to_l2()
    assert l1("fp").how == guest.TAKEN
    assert exception_class(l1.vcpu.registers["ESR_EL1"]) == EC_FP_ASIMD


def test_without_fp_on_the_host_its_instructions_are_undefined() -> None:
    """Nothing can be loaded."""
    l1 = booted(cpu=HostCpu(frozenset({"FEAT_FGT", "FEAT_HCX", "FEAT_NV2"})))
    l1.write(CPTR_EL2=FPEN)
    assert l1("fp").how == exits.UNDEFINED


def test_pointer_authentication_is_l1s_to_allow() -> None:
    """HCR_EL2.API of 0 traps it in L2; without the feature it is undefined."""
    l1 = booted()
    l1.to_l2()
    assert l1("pauth").how == guest.NATIVE
    l1.to_l1()
    l1.to_l2(E2H | RW)
    assert l1("pauth").how == exits.FORWARDED
    without = booted(features=Features(ptrauth=False))
    assert without("pauth").how == exits.UNDEFINED


def test_breakpoints_of_l2_are_l1s_by_tde() -> None:
    """Without the bit EL1 takes them itself."""
    l1 = booted()
    l1.to_l2()
    assert l1("brk", 5).how == guest.TAKEN
    l1.to_l1()
    l1.write(MDCR_EL2=TDE)
    l1.to_l2()
    assert l1("brk", 5).how == exits.FORWARDED
    assert l1.read("ESR_EL2") == EC_BRK64 << 26 | 1 << 25 | 5
    assert l1("brk").how == guest.TAKEN  # TDE is not for vEL2


def test_an_exception_class_nobody_expects_is_undefined() -> None:
    """LD64B that L0 does not enable, EC 0x0a."""
    l1 = booted()
    l1.vcpu.ready()
    assert guest.trap(l1.vcpu, 0x0A << 26 | 1 << 25) == exits.UNDEFINED
    assert l1.read("ESR_EL2") == 1 << 25


# ---- memory -----------------------------------------------------------------------


def test_l1_loads_and_stores_its_ram_after_one_fault() -> None:
    """The host maps it at the first access, and the instruction is done."""
    l1 = booted()
    assert l1("store", RAM_BASE + 0x100, 8, 0x1122_3344_5566_7788).how == guest.NATIVE
    assert l1("load", RAM_BASE + 0x104, 4, 3).value == 0x1122_3344
    assert l1.vcpu.context.x[3] == 0x1122_3344
    with pytest.raises(UsageError, match="aligned"):
        l1("load", RAM_BASE + 1, 4)


def test_l1_reaches_the_gic_that_the_host_emulates() -> None:
    """GICD_TYPER is read in the kernel; GICD_CTLR switches interrupts on."""
    l1 = booted()
    result = l1("load", GICD_BASE + 4, 4)
    assert result.how == exits.EMULATED
    assert result.value is not None
    assert result.value & 0x1F == 256 // 32 - 1


def test_a_device_of_user_space_answers_or_is_waited_for() -> None:
    """Either at once, or by `complete`; the instruction is skipped when it is."""
    l1 = booted()
    device = 0x0900_0000
    pc = l1.vcpu.context.pc
    result = l1("load", device, 2, 5)
    assert result.how == exits.USER
    assert l1.vcpu.context.pc == pc
    l1.machine.complete(l1.vcpu, b"\x34\x12")
    assert (l1.vcpu.context.x[5], l1.vcpu.context.pc) == (0x1234, pc + 4)
    l1.machine.user_space = lambda *_: b"\x78\x56"
    result = l1("load", device, 2, 6)
    assert (result.how, result.value) == (exits.EMULATED, 0x5678)
    assert l1("store", device, 4, 1).how == exits.EMULATED


def test_an_access_of_l2_that_l1_does_not_map_is_l1s_to_emulate() -> None:
    """ESR_EL2, FAR_EL2 and HPFAR_EL2 tell L1 what the instruction wanted."""
    l1 = booted()
    stage2 = 0x4900_0000
    l1("store", stage2, 8, stage2 + 0x1000 | 0b11)  # one table below, which is empty
    l1.write(VTTBR_EL2=stage2, VTCR_EL2=1 << 31 | 5 << 16 | 1 << 6 | 25)
    l1.to_l2(FOR_L2 | VM)
    assert l1("load", 0x0900_0010, 4, 9).how == exits.FORWARDED
    esr = l1.read("ESR_EL2")
    assert exception_class(esr) == EC_DABT_LOW
    assert esr >> 16 & 31 == 9
    assert esr >> 22 & 3 == 2
    assert l1.read("FAR_EL2") == 0x0900_0010
    assert l1.read("HPFAR_EL2") == 0x0900_0000 >> 8
    assert l1.read("ELR_EL2") == L2_CODE


def test_what_l1_maps_l2_reaches_through_a_shadow_until_l1_invalidates_it() -> None:
    """A block of 1 GiB at 0 leads to L1's RAM; after a change and a TLBI it is gone."""
    l1 = booted()
    stage2, block = 0x4900_0000, RAM_BASE | 1 << 10 | 0b11 << 6 | 0xF << 2 | 0b01
    l1("store", stage2, 8, block)
    l1("store", RAM_BASE + 0x2000, 8, 0xCAFE)
    l1.write(VTTBR_EL2=stage2, VTCR_EL2=1 << 31 | 5 << 16 | 1 << 6 | 25)
    l1.to_l2(FOR_L2 | VM)
    assert l1("load", 0x2000, 8).value == 0xCAFE
    l1.to_l1()
    l1("store", stage2, 8, 0)
    l1.to_l2(FOR_L2 | VM)
    assert l1("load", 0x2000, 8).value == 0xCAFE  # nobody has been told
    l1.to_l1()
    assert l1("msr", "TLBI_VMALLS12E1IS", 0).how == exits.EMULATED
    l1.to_l2(FOR_L2 | VM)
    assert l1("load", 0x2000, 8).how == exits.FORWARDED


def test_address_translations_of_vel2_are_emulated() -> None:
    """AT S12 goes through L1's tables, the others lead to themselves; a fault sets PAR_EL1.F."""
    l1 = booted()
    stage2, block = 0x4900_0000, RAM_BASE | 1 << 10 | 0b11 << 6 | 0xF << 2 | 0b01
    l1("store", stage2, 8, block)
    l1.write(VTTBR_EL2=stage2, VTCR_EL2=1 << 31 | 5 << 16 | 1 << 6 | 25)
    page = (1 << 52) - 1 & -1 << 12
    for name, address, output in (("AT_S1E1R", 0x5000, 0x5000), ("AT_S12E1R", 0x5000, RAM_BASE)):
        assert l1("msr", name, address).how == exits.EMULATED
        assert l1.read("PAR_EL1") & page == output | 0x5000
        assert not l1.read("PAR_EL1") & 1
    l1("msr", "AT_S12E1W", 1 << 30)
    assert l1.read("PAR_EL1") & 0x7F == 0b101 << 1 | 1  # a translation fault of level 1


def test_an_l2_whose_vncr_page_is_no_memory_aborts_into_l1() -> None:
    """EC 0x25 with the VNCR bit, for a read and for a write."""
    l1 = booted()
    l1.write(VNCR_EL2=0x1000)
    for instruction, wnr in ((("mrs", "ICH_LR0_EL2"), 0), (("msr", "ICH_LR0_EL2", 1), 1)):
        l1.to_l2(FOR_L2 | 1 << 42 | 1 << 45)
        assert l1(*instruction).how == exits.FORWARDED
        esr = l1.read("ESR_EL2")
        assert (exception_class(esr), esr >> 13 & 1, esr >> 6 & 1) == (0x25, 1, wnr)
        assert l1.read("FAR_EL2") == 0x1000


# ---- AArch32 ----------------------------------------------------------------------


def aarch32(hcr: int = FOR_L2, **controls: int) -> Guest:
    """An L2 at AArch32 EL0."""
    l1 = booted()
    l1.write(**controls)
    l1.to_l2(hcr)
    l1.vcpu.context.pstate = USR | 0x1C0
    return l1


@pytest.mark.parametrize(("n", "traps"), [(9, True), (14, False), (4, False), (13, True)])
def test_hstr_traps_cp15_by_its_primary_register_but_4_and_14(n: int, traps: bool) -> None:
    """HSTR_EL2.T<n>; of MCRR and MRRC it is CRm (DDI 0487, D24.2, HSTR_EL2)."""
    every = (1 << 16) - 1
    single = CoprocessorAccess(0, n, 3, 0, write=False)
    pair = CoprocessorAccess(0, 0, n, 0, write=False, rt2=1)
    for ec, access in ((EC_CP15_32, single), (EC_CP15_64, pair)):
        assert is_trapped_by_hstr(every, ec, access) is traps
        assert is_trapped_by_hstr(1 << n, ec, access) is traps
        assert not is_trapped_by_hstr(every & ~(1 << n), ec, access)


def test_hstr_of_l1_forwards_an_access_with_its_own_syndrome() -> None:
    """MRC p15, 0, R0, c9, c13, 0 (PMCCNTR); the class stays 3."""
    l2 = aarch32(HSTR_EL2=1 << 9)
    assert l2("mrc", EC_CP15_32, 0, 9, 13, 0).how == exits.FORWARDED
    assert exception_class(l2.read("ESR_EL2")) == EC_CP15_32
    assert l2.vcpu.registers["SPSR_EL2"] & MODE == USR


@pytest.mark.parametrize(
    ("ec", "operands", "control"),
    [
        (EC_CP15_32, (0, 9, 13, 0), {"MDCR_EL2": 1 << 6}),  # PMCCNTR by TPM
        (EC_CP15_32, (0, 9, 12, 0), {"MDCR_EL2": 1 << 5}),  # PMCR by TPMCR
        (EC_CP14_32, (0, 0, 1, 0), {"MDCR_EL2": 1 << 9}),  # DBGDSCRint by TDA
        (EC_CP15_32, (0, 9, 14, 0), {"HDFGRTR_EL2": 1 << 57}),  # PMUSERENR
    ],
)
def test_controls_of_the_aarch64_register_trap_the_aarch32_one(
    ec: int, operands: tuple[int, int, int, int], control: dict[str, int]
) -> None:
    """Each control's text in DDI 0487, D24.2 names the AArch32 registers it traps too."""
    assert aarch32(**control)("mrc", ec, *operands).how == exits.FORWARDED
    assert aarch32()("mrc", ec, *operands).how != exits.FORWARDED


def test_the_host_emulates_what_l1_does_not_trap() -> None:
    """PMSELR by its AArch64 register; LDC and STC are undefined; nothing without AArch32."""
    l2 = aarch32()
    assert l2("mcr", EC_CP15_32, 0, 9, 12, 5, 3).how == exits.EMULATED
    assert l2.vcpu.registers["PMSELR_EL0"] == 3
    assert l2("mrc", EC_CP15_32, 0, 9, 12, 5).value == 3
    l2.vcpu.leave()
    l2.vcpu.enter()
    assert guest.trap(l2.vcpu, EC_CP14_LS << 26 | 1 << 25) == exits.UNDEFINED
    with pytest.raises(UsageError, match="AArch64 has no coprocessors"):
        l2("mrc", EC_CP15_32, 0, 9, 12, 5)


def test_a_failed_condition_is_skipped() -> None:
    """EQ with Z clear: nothing of the access happens."""
    l2 = aarch32(HSTR_EL2=1 << 9)
    pc = l2.vcpu.context.pc
    l2.vcpu.ready()
    esr = EC_CP15_32 << 26 | 1 << 25 | 1 << 24 | 0 << 20 | 9 << 10 | 13 << 1 | 1
    assert guest.trap(l2.vcpu, esr) == exits.SKIPPED
    assert l2.vcpu.context.pc == pc + 4


@pytest.mark.parametrize(
    ("operands", "name"),
    [
        ((0, 1, 0, 0), "SCTLR_EL1"),
        ((0, 2, 0, 2), "TCR_EL1"),
        ((0, 5, 0, 0), "ESR_EL1"),
        ((0, 9, 13, 0), "PMCCNTR_EL0"),
        ((0, 13, 0, 2), "TPIDR_EL0"),
        ((0, 14, 2, 1), "CNTP_CTL_EL0"),
        ((0, 7, 10, 1), "DC_CVAC"),
        ((2, 0, 0, 0), "CSSELR_EL1"),
    ],
)
def test_an_aarch32_register_is_mapped_to_the_aarch64_one(
    operands: tuple[int, int, int, int], name: str
) -> None:
    """DDI 0487, G8: "AArch32 System register ... is architecturally mapped to ..."."""
    l2 = aarch32()
    access = CoprocessorAccess(*operands, write=name.startswith("DC"))
    encoding = mapped_encoding(l2.vcpu, EC_CP15_32, access)
    assert encoding == l2.machine.encoding(name)


@pytest.mark.parametrize(
    ("opc1", "crm", "name"),
    [(0, 2, "TTBR0_EL1"), (0, 9, "PMCCNTR_EL0"), (0, 12, "ICC_SGI1R_EL1"), (5, 3, None)],
)
def test_a_pair_of_registers_is_mapped_to_the_aarch64_one(
    opc1: int, crm: int, name: str | None
) -> None:
    """MRRC and MCRR; CP14 has no pair that EL0 could trap by."""
    l2 = aarch32()
    access = CoprocessorAccess(opc1, 0, crm, 0, write=True, rt2=1)
    expected = None if name is None else l2.machine.encoding(name)
    assert mapped_encoding(l2.vcpu, EC_CP15_64, access) == expected
    assert mapped_encoding(l2.vcpu, EC_CP14_64, access) is None


def test_what_the_host_has_no_register_for_is_undefined_or_zero() -> None:
    """ICC_PMR is refused, DBGDRAR reads as zero, ID registers are the AArch64 ones'."""
    l2 = aarch32()
    assert l2("mrc", EC_CP15_32, 0, 4, 6, 0).how == exits.UNDEFINED
    l2 = aarch32()
    result = l2("mrc", EC_CP14_32, 0, 1, 0, 0)
    assert (result.how, result.value) == (exits.EMULATED, 0)
    assert l2("mrc", EC_CP15_32, 0, 0, 1, 0).value == 0  # ID_PFR0
    assert l2("mrc", EC_CP10_ID, 0, 7, 0, 0).how == exits.EMULATED  # MVFR0
    assert l2("mcr", EC_CP15_32, 0, 10, 2, 1, 0x55).how == exits.EMULATED
    assert l2.vcpu.registers["MAIR_EL1"] == 0x55 << 32
    assert l2("mrc", EC_CP15_32, 0, 10, 2, 1).value == 0x55


# ---- asked wrongly ----------------------------------------------------------------


def test_what_is_asked_wrongly_is_told() -> None:
    """Names, numbers and operands of users."""
    l1 = booted()
    with pytest.raises(UnknownNameError, match="unknown instruction `mrss`"):
        l1("mrss", "HCR_EL2")
    with pytest.raises(UnknownNameError, match="unknown register `HCR_EL9`"):
        l1("mrs", "HCR_EL9")
    for operands in (
        *(("msr", "HCR_EL2", -1), ("mrs", 1 << 16), ("mrs", "HCR_EL2", 32), ("mrs", ["HCR_EL2"])),
        *(("msr",), ("hvc", 1 << 16), ("wfi", 1), ("eret", 5), ("mrc", "x", 0, 0, 0, 0)),
    ):
        with pytest.raises(UsageError):
            l1(*operands)
    for choices in ({"vcpus": 0}, {"host_traps": 1}, {"interrupts": 33}):
        with pytest.raises(UsageError):
            Machine(**choices)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="no line"):
        l1.machine.raise_interrupt(5000)
    with pytest.raises(UsageError, match="no interrupt"):
        l1.machine.configure_interrupt(5000)
