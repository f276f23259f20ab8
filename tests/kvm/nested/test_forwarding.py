"""The account of trap forwarding: when L1 hears of an access, and what it is told."""

from __future__ import annotations

import pytest

from nvtrap.arch.encoding import encode
from nvtrap.arch.esr import encode_sysreg
from nvtrap.arch.pstate import EL1H
from nvtrap.kvm.context import Features
from nvtrap.kvm.nested import events, exits, guest
from nvtrap.kvm.nested.machine import Machine
from tests.kvm.nested.machines import FOR_L2, L1_VECTORS, L2_CODE, TID3, TVM, Guest, booted, watched

ID = "ID_AA64PFR0_EL1"


def test_nothing_is_forwarded_without_el2_in_the_vcpu() -> None:
    """The same trap bits, in a VM whose vCPUs have no EL2: L0 emulates."""
    plain = Guest(Machine(features=Features(nv=False)))
    plain.vcpu.registers["HCR_EL2"] = FOR_L2 | TID3
    assert plain.vcpu.context.pstate & 0xF == EL1H
    result = plain("mrs", ID)
    assert (result.how, result.value) == (exits.EMULATED, plain.machine.id_registers[ID])


def test_nothing_is_forwarded_in_hypervisor_context() -> None:
    """L1's own trap bits do not act on vEL2, nor on its EL0 while TGE is set."""
    l1 = booted()
    l1.write(HCR_EL2=l1.read("HCR_EL2") | TID3)
    assert l1("mrs", ID).how == exits.EMULATED
    l1.write(SPSR_EL2=0x3C0, ELR_EL2=L2_CODE)
    l1("eret")
    assert l1.vcpu.is_hyp
    assert l1("mrs", "ICC_IAR1_EL1").how == guest.TAKEN  # not EL0's


def test_below_it_the_trap_that_l1_has_set_is_forwarded() -> None:
    """With the bit L1 gets it, without L0 answers."""
    l1 = booted()
    l1.to_l2(FOR_L2 | TID3)
    assert l1("mrs", ID).how == exits.FORWARDED
    l1.to_l2(FOR_L2)
    assert l1("mrs", ID).how == exits.EMULATED


def test_an_unknown_register_is_never_injected_into_vel2() -> None:
    """Whatever L1 traps, an encoding without a rule is undefined where it was executed."""
    l1 = booted()
    everything = FOR_L2 | sum(1 << n for n in (15, 16, 17, 18, 19, 20, 21, 22, 23, 24))
    unknown = encode(3, 3, 15, 3, 7)
    l1.to_l2(everything & ~(1 << 20))
    assert l1("mrs", unknown).how == exits.UNDEFINED
    assert not l1.vcpu.is_hyp
    assert l1.vcpu.registers["ESR_EL1"] == 1 << 25


def test_the_direction_decides() -> None:
    """TVM traps writes of SCTLR_EL1, TRVM reads."""
    trvm = 1 << 30
    l1 = booted()
    for bit, instruction in ((TVM, ("msr", "SCTLR_EL1", 0)), (trvm, ("mrs", "SCTLR_EL1"))):
        l1.to_l2(FOR_L2 | bit)
        other = ("mrs", "SCTLR_EL1") if bit == TVM else ("msr", "SCTLR_EL1", 0)
        assert l1(*other).how == guest.NATIVE
        assert l1(*instruction).how == exits.FORWARDED


def test_the_trace_event_carries_pc_direction_and_encoding() -> None:
    """The kernel's events of one forwarded read, in its order and text."""
    l1 = booted()
    l1.to_l2(FOR_L2 | TID3)
    seen = watched(l1)
    l1("mrs", ID, 9)
    esr = encode_sysreg(l1.machine.encoding(ID), False, rt=9)
    hcr = FOR_L2 | TID3
    injected = (
        f"kvm_inject_nested_exception: Sync: esr_el2 0x{esr:x} elr_el2: 0x40100000"
        f" spsr_el2: 0x000003c5 (M: EL1h) hcr_el2: {hcr:x}"
    )
    assert [str(event).partition(": ")[2] for event in seen if event.kind == events.TRACE] == [
        f"kvm_handle_sys_reg: HSR 0x{esr:08x}",
        "kvm_forward_sysreg_trap: 40100000 R (3,0,0,4,0)",
        injected,
    ]
    seen.clear()
    l1("eret")
    assert str(seen[1]).endswith(
        f"kvm_nested_eret: elr_el2: 0x40100000 spsr_el2: 0x000003c5 (M: EL1h) hcr_el2: {hcr:x}"
    )


@pytest.mark.parametrize("rt", [0, 7, 30, 31])
def test_the_original_syndrome_reaches_l1(rt: int) -> None:
    """ESR_EL2 is the trap's, ELR_EL2 the instruction, and L1 is at its synchronous vector."""
    l1 = booted()
    l1.to_l2(FOR_L2 | TID3)
    l1("mrs", ID, rt)
    assert l1.vcpu.context.pc == L1_VECTORS + 0x400
    assert l1.read("ESR_EL2") == encode_sysreg(l1.machine.encoding(ID), False, rt)
    assert l1.read("ESR_EL1") == l1.read("ESR_EL2")  # one register, by E2H
    assert l1.read("ELR_EL2") == L2_CODE


def test_a_timeline_has_the_exit_with_its_rule_and_the_switch() -> None:
    """Exit, decision with the place of the rule, injection and the other context, in order."""
    l1 = booted()
    l1.to_l2(FOR_L2 | TID3)
    seen = watched(l1)
    l1("mrs", ID)
    assert [event.kind for event in seen] == [
        events.EXIT,
        events.TRACE,
        events.TRACE,
        events.INJECT,
        events.TRACE,
        events.CONTEXT,
    ]
    assert "forward: coarse by HCR.TID3" in str(seen[0])
    assert seen[0].to_json()["decision"].endswith("id.trap:14)")
    assert seen[-1].details["before"] != seen[-1].context
    l1.machine.set_watch(None)
    l1("nop")
    assert len(seen) == 6


def test_fine_grained_traps_of_l1_act_on_its_l2() -> None:
    """HFGRTR_EL2.TPIDR_EL1 makes an access exit that otherwise stays in the hardware."""
    l1 = booted()
    tpidr_el1 = 1 << 33
    l1.to_l2()
    assert l1("mrs", "TPIDR_EL1").how == guest.NATIVE
    l1.to_l1()
    l1.write(HFGRTR_EL2=tpidr_el1)
    l1.to_l2()
    assert l1("mrs", "TPIDR_EL1").how == exits.FORWARDED


def test_disabled_features_are_undefined_before_anything_is_forwarded() -> None:
    """FGU: without FEAT_LOR its registers are undefined, whatever L1 traps."""
    names = ["all", "-FEAT_LOR"]
    l1 = booted(feature_names=names)
    tlor = 1 << 35
    l1.to_l2(FOR_L2 | tlor)
    assert l1("mrs", "LORC_EL1").how in (exits.UNDEFINED, guest.TAKEN)
    assert not l1.vcpu.is_hyp
