"""Registers of L1: memory, further names, emulations, RES0 and RES1."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvtrap.arch.memory import Memory
from nvtrap.kvm.context import Features
from nvtrap.kvm.nested import exits, guest
from nvtrap.kvm.nested.machine import Machine
from nvtrap.kvm.nested.vncr import NAMES, OFFSETS, RegisterFile
from nvtrap.store import load
from tests.kvm.nested.machines import AS_HOST, E2H, FOR_L2, RW, Guest, booted

WORDS = st.integers(0, (1 << 64) - 1)


# ---- the page ---------------------------------------------------------------------


def test_offsets_are_those_of_the_architectures_table() -> None:
    """Every register with an offset has just that in the architecture's rules."""
    table = load("arch")
    for name, offset in OFFSETS.items():
        memory = table.rule(table.rule_of[table.encoding(name)]).memory
        assert memory is not None, name
        assert memory[0] == offset, name
    assert len(NAMES) == len(OFFSETS)


@given(st.dictionaries(st.sampled_from(sorted([*OFFSETS, "TPIDR_EL0", "SP_EL2"])), WORDS))
def test_a_register_file_is_a_mapping_that_keeps_64_bits(values: dict[str, int]) -> None:
    """What is written is read, by name and by offset; all else is zero."""
    file = RegisterFile(Memory(), 0x1000)
    file.update(values)
    for name in OFFSETS:
        assert file[name] == values.get(name, 0) == file.load(OFFSETS[name])
    assert {name: value for name, value in file.items() if value} == {
        name: value for name, value in values.items() if value
    }
    file.clear()
    assert not any(file.values())


def test_the_page_is_the_hosts_memory() -> None:
    """A register lies little-endian at its offset."""
    memory = Memory()
    file = RegisterFile(memory, 0x5000)
    file["HCR_EL2"] = 0x1122_3344
    assert memory.read(0x5078, 8) == 0x1122_3344
    memory.write(0x5078, 8, 0x99)
    assert file["HCR_EL2"] == 0x99
    file.store(0xFF8, 7)  # where no register is
    assert file.load(0xFF8) == 7


@given(WORDS)
def test_reads_are_sanitised_and_correct_what_is_there(value: int) -> None:
    """RES0 and RES1 hold on every read by the host, and in the page after it."""
    there, ones = 0xFFFF_0000_FFFF_0000, 1
    file = RegisterFile(
        Memory(), 0, masks={"HCR_EL2": (there, ones)}, watched={"HCR_EL2": (1 << 64) - 1}
    )
    file["HCR_EL2"] = value
    assert file.load(0x78) == value
    assert file["HCR_EL2"] == file["HCR_EL2"] == value & there | ones
    assert file.load(0x78) == value & there | ones


def test_versions_count_changes_of_watched_bits_alone() -> None:
    """Writing the same again, other bits or other registers changes nothing."""
    file = RegisterFile(Memory(), 0, watched={"ICH_HCR_EL2": 0xFF})
    file["ICH_HCR_EL2"] = 1
    before = file.version
    file["ICH_HCR_EL2"] = 1 << 27 | 1
    file["VBAR_EL1"] = 5
    assert file.version == before
    file["ICH_HCR_EL2"] = 0
    assert file.version == before + 1


def test_masks_follow_the_features_of_the_vm() -> None:
    """HCR_EL2 has E2H as one without E2H0, RW always, and no TID5 without MTE."""
    machine = Machine(features=Features(e2h0=False), feature_names=["all", "-FEAT_MTE2"])
    vcpu = machine.vcpus[0]
    vcpu.registers["HCR_EL2"] = 1 << 58 | 1 << 48
    assert vcpu.registers["HCR_EL2"] == E2H | RW


# ---- names ------------------------------------------------------------------------


def nvhe() -> Guest:
    """A vEL2 without E2H."""
    l1 = booted()
    l1.write(HCR_EL2=RW)
    return l1


def test_a_vhe_vel2_means_its_own_registers_by_el1_names() -> None:
    """SCTLR_EL1 is SCTLR_EL2, SCTLR_EL12 L2's."""
    l1 = booted()
    l1.write(VBAR_EL1=0x1000, VBAR_EL12=0x2000, CNTV_CTL_EL0=1, CNTV_CTL_EL02=2)
    registers = l1.vcpu.registers
    assert (registers["VBAR_EL2"], registers["VBAR_EL1"]) == (0x1000, 0x2000)
    assert (registers["CNTHV_CTL_EL2"], registers["CNTV_CTL_EL0"]) == (1, 2)
    assert l1("mrs", "VBAR_EL1").how == guest.NATIVE
    assert l1("mrs", "VBAR_EL12").how == guest.MEMORY
    assert l1("mrs", "VBAR_EL2").how == exits.EMULATED
    assert l1.read("VBAR_EL2") == 0x1000


def test_an_nvhe_vel2_means_its_guests_registers_by_el1_names() -> None:
    """SCTLR_EL1 is memory, SCTLR_EL2 exits, _EL12 names exit and are undefined no less."""
    l1 = nvhe()
    l1.write(VBAR_EL1=0x3000, VBAR_EL2=0x4000)
    registers = l1.vcpu.registers
    assert (registers["VBAR_EL1"], registers["VBAR_EL2"]) == (0x3000, 0x4000)
    assert l1("mrs", "VBAR_EL1").how == guest.MEMORY
    assert l1("mrs", "VBAR_EL12").how == exits.UNDEFINED


@pytest.mark.parametrize("hcr", [AS_HOST, RW])
@pytest.mark.parametrize("name", ["ESR_EL2", "ELR_EL2", "SPSR_EL2", "FAR_EL2"])
def test_what_an_exception_leaves_is_vel2s_without_an_exit(name: str, hcr: int) -> None:
    """These EL2 names are further names of the hardware's EL1 registers."""
    l1 = booted()
    l1.write(HCR_EL2=hcr)
    assert l1("msr", name, 0x1234).how == guest.NATIVE
    assert l1("mrs", name).how == guest.NATIVE
    assert l1.vcpu.registers[name] == 0x1234


def test_an_l2_has_el1s_registers_and_no_others() -> None:
    """What L1 has prepared by _EL12 names L2 finds; EL2's names are undefined to it."""
    l1 = booted()
    l1.write(VBAR_EL12=0x5000)
    l1.to_l2()
    assert l1.read("VBAR_EL1") == 0x5000
    for name in ("VBAR_EL2", "VBAR_EL12", "ESR_EL2", "HCR_EL2"):
        assert l1("mrs", name).how == guest.TAKEN, name
        assert l1.vcpu.registers["ESR_EL1"] == 1 << 25


def test_el0_has_its_own_registers_alone() -> None:
    """An access of EL0 to EL1's is undefined, and taken to EL1."""
    l1 = booted()
    l1.to_l2(spsr=0x3C0)
    assert l1("msr", "TPIDR_EL0", 5).how == guest.NATIVE
    assert l1("mrs", "TPIDR_EL1").how == guest.TAKEN
    assert l1.read("TPIDR_EL0") == 5


# ---- emulated ---------------------------------------------------------------------


def test_vtr_and_sre_are_as_kvm_shows_them() -> None:
    """No A3V, IDbits and DVIM; nV4; ICC_SRE_EL2 is 0xf and ignores writes."""
    l1 = booted()
    assert l1.read("ICH_VTR_EL2") & 0x1F == 3
    assert l1.read("ICH_VTR_EL2") >> 18 & 0b10_1101 == 0b00_0100
    l1.write(ICC_SRE_EL2=0)
    assert l1.read("ICC_SRE_EL2") == 0xF
    l1.write(ICC_SRE_EL1=0)
    assert l1.read("ICC_SRE_EL1") == 7
    assert l1.read("CurrentEL") == 2 << 2


def test_l2_is_told_the_ids_that_l1_chose() -> None:
    """MIDR_EL1 and MPIDR_EL1 of L2 are L1's VPIDR_EL2 and VMPIDR_EL2; vEL2 has its own."""
    l1 = booted()
    assert l1.read("MPIDR_EL1") == 1 << 31
    l1.write(VPIDR_EL2=0x1234, VMPIDR_EL2=1 << 31 | 7)
    l1.to_l2()
    assert (l1.read("MIDR_EL1"), l1.read("MPIDR_EL1")) == (0x1234, 1 << 31 | 7)


def test_the_performance_monitors_are_emulated_by_their_selected_counter() -> None:
    """PMXEVTYPER_EL0 is the one that PMSELR_EL0 selects; SET and CLR are one register."""
    l1 = booted()
    l1.write(PMSELR_EL0=3, PMXEVTYPER_EL0=0x11, PMCNTENSET_EL0=0b1011, PMCNTENCLR_EL0=0b0010)
    assert l1.read("PMEVTYPER3_EL0") == 0x11
    assert l1.read("PMCNTENCLR_EL0") == 0b1001
    l1.write(PMOVSSET_EL0=6, PMOVSCLR_EL0=2)
    assert l1.read("PMOVSSET_EL0") == 4
    assert l1.read("PMCR_EL0") >> 11 & 0x1F == 6
    l1.write(PMSELR_EL0=31, PMXEVCNTR_EL0=9)
    assert l1.read("PMCCNTR_EL0") == 9


def test_counters_of_l2_are_behind_by_l1s_offset() -> None:
    """CNTVCT_EL0 of L2 is the machine's less CNTVOFF_EL2."""
    l1 = booted()
    l1.machine.ticks = 1000
    l1.write(CNTVOFF_EL2=300)
    assert l1.read("CNTVCT_EL0") == 1000
    l1.to_l2()
    assert l1.read("CNTVCT_EL0") == 700


def test_pstate_is_reached_by_its_registers() -> None:
    """DAIF, NZCV, SPSel and PAN are bits of PSTATE."""
    l1 = booted()
    l1.to_l2(FOR_L2)
    l1.write(NZCV=0xA << 28, DAIF=0x3C0)
    assert (l1.read("NZCV"), l1.read("DAIF"), l1.read("SPSel")) == (0xA << 28, 0x3C0, 1)
    l1.write(SPSel=0)
    assert l1.vcpu.context.pstate & 0xF == 4


def test_the_os_lock_breakpoints_and_what_reads_as_zero() -> None:
    """OSLAR_EL1 shows in OSLSR_EL1; breakpoints are kept; RAS records and LORs are zero."""
    l1 = booted()
    l1.write(OSLAR_EL1=1, DBGBVR3_EL1=0x1234, ERRSELR_EL1=7)
    assert l1.read("OSLSR_EL1") == 0b1010
    assert l1.read("DBGBVR3_EL1") == 0x1234
    assert l1.read("ERRSELR_EL1") == 0
    assert l1("msr", "LORID_EL1", 0).how in (exits.UNDEFINED, guest.TAKEN)


def test_an_sgi_of_l1_reaches_its_other_vcpu() -> None:
    """ICC_SGI1R_EL1 exits, and the other vCPU leaves its L2 for it."""
    l1 = booted(2)
    other = Guest(l1.machine, 1)
    l1.machine.configure_interrupt(5, other.vcpu)
    other.to_l2()
    l1.write(ICC_SGI1R_EL1=5 << 24 | 0b10)
    assert other.vcpu.is_hyp
    assert other.read("ICC_IAR1_EL1") == 5


def test_a_vcpu_shows_what_the_hardware_has_for_it() -> None:
    """The world of each context, as data."""
    l1 = booted()
    l1("nop")
    worlds = [l1.vcpu.world()]
    l1.write(ICH_HCR_EL2=1, ICH_LR0_EL2=1 << 62 | 50)
    l1.to_l2(FOR_L2 | 1)
    worlds.append(l1.vcpu.world())
    assert [world.as_dict()["name"] for world in worlds] == ["L1 at vEL2, VHE", "L2"]
    assert repr(l1.vcpu) == "NestedVcpu(0, L2)"
    assert repr(l1("nop")) == "Result(native)"
