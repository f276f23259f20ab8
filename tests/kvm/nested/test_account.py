"""What the kernel promises for a nested GICv3, one test for each of its fourteen statements."""

from __future__ import annotations

import pytest

from nvtrap.gic.virtual import lr as lrs
from nvtrap.gic.virtual import maintenance
from nvtrap.kvm.nested import exits, guest
from nvtrap.kvm.vgic.forwarded import HostInterrupt, map_interrupt
from nvtrap.kvm.vgic.nested import nested_misr
from tests.kvm.nested.machines import (
    BEFORE,
    EN,
    FOR_L2,
    NPIE,
    NV,
    NV2,
    ON,
    SINCE,
    UIE,
    Guest,
    booted,
    pending,
)

SPI = 40
KERNELS = pytest.mark.parametrize("kernel", [BEFORE, SINCE])


def l1_with_spi(kernel: tuple[int, int] = BEFORE) -> Guest:
    """L1 with an edge-triggered SPI enabled."""
    l1 = booted(kernel=kernel)
    l1.machine.configure_interrupt(SPI)
    return l1


def forward(l1: Guest, intid: int, host_intid: int) -> HostInterrupt:
    """Let an SPI of L1 stand for one of the host's."""
    host = HostInterrupt(host_intid, lambda: False)
    map_interrupt(l1.vcpu.kvm, intid, host)
    return host


def states(values: list[int]) -> list[int]:
    """The states of list registers."""
    return [lrs.state(lr) for lr in values]


@KERNELS
def test_01_in_host_context_l0_owns_the_list_registers_and_syncs_them_at_every_entry_and_exit(
    kernel: tuple[int, int],
) -> None:
    """L1's interrupt is in the hardware by L0's doing, and every exit brings back its state."""
    l1 = l1_with_spi(kernel)
    l1.machine.raise_interrupt(SPI)
    assert [lr & lrs.VINTID for lr in l1.hardware if lr] == [SPI]
    irq = l1.machine.vm.vgic.spis[SPI - 32]
    assert l1.read("ICC_IAR1_EL1") == SPI
    assert not irq.active  # the hardware alone knows
    l1.read("ICH_MISR_EL2")  # any exit
    assert irq.active
    assert states(l1.hardware)[0] == lrs.ACTIVE  # and the entry has filled it again


@KERNELS
def test_02_outside_it_l1s_list_registers_in_the_vncr_page_are_the_source(
    kernel: tuple[int, int],
) -> None:
    """L2's hardware has what L1 wrote to memory, through exits and entries of L2."""
    l1 = l1_with_spi(kernel)
    l1.write(ICH_HCR_EL2=EN, ICH_VMCR_EL2=ON, ICH_LR1_EL2=pending(50), ICH_LR3_EL2=pending(51))
    assert not any(l1.hardware)
    l1.to_l2()
    expected = [pending(50), pending(51), 0, 0]
    assert l1.hardware == expected
    assert l1("wfe").how == exits.EMULATED  # an exit to L0 alone
    assert l1.hardware == expected
    l1.vcpu.registers["ICH_LR0_EL2"] = pending(52)  # nobody looks at it before the next load
    l1("wfe")
    assert l1.hardware == expected


@KERNELS
def test_03_load_moves_them_into_a_shadow_and_remaps_hw_interrupts_to_the_hosts(
    kernel: tuple[int, int],
) -> None:
    """The hardware deactivates the host's interrupt when L2 ends the virtual one."""
    l1 = l1_with_spi(kernel)
    forward(l1, SPI, 99)
    ended: list[int] = []
    l1.vcpu.lists.hardware.deactivate = ended.append
    l1.write(ICH_HCR_EL2=EN, ICH_VMCR_EL2=ON, ICH_LR2_EL2=pending(60, hw=SPI))
    l1.to_l2()
    assert l1.hardware[0] == pending(60, hw=99)
    assert l1.vcpu.lists.shadow.lr_map == 1 << 2
    assert l1.lr(2) == pending(60, hw=SPI)  # L1's own is as it was
    assert l1.read("ICC_IAR1_EL1") == 60
    l1.write(ICC_EOIR1_EL1=60)
    assert ended == [99]


@KERNELS
def test_04_put_is_the_inverse_and_l1_sees_what_l2_did(kernel: tuple[int, int]) -> None:
    """State, VMCR and active priorities are in L1's memory when L1 runs again."""
    l1 = l1_with_spi(kernel)
    l1.write(ICH_HCR_EL2=EN, ICH_VMCR_EL2=ON, ICH_LR1_EL2=pending(50), ICH_LR3_EL2=pending(51))
    l1.to_l2()
    assert l1.read("ICC_IAR1_EL1") == 50
    l1.write(ICC_PMR_EL1=0xB0)
    l1.to_l1()
    assert l1.read("ICH_LR1_EL2") == pending(50, state=lrs.ACTIVE)
    assert l1.read("ICH_LR3_EL2") == pending(51)
    assert l1.read("ICH_AP1R0_EL2") == 1 << (0xA0 >> 3)
    assert l1.read("ICH_VMCR_EL2") >> 24 == 0xB0
    assert not any(l1.hardware)


@KERNELS
def test_05_entry_does_nothing_but_notice_an_interrupt_for_l1_and_force_the_switch(
    kernel: tuple[int, int],
) -> None:
    """With one pending the ERET ends at vEL2's IRQ vector; without, L2's state is entered as is."""
    l1 = l1_with_spi(kernel)
    l1.write(ICH_HCR_EL2=EN, ICH_VMCR_EL2=ON, ICH_LR0_EL2=pending(50))
    l1.machine.raise_interrupt(SPI)
    l1.to_l2()
    assert l1.vcpu.is_hyp
    assert l1.vcpu.context.pc == 0x4001_0000 + 0x480
    assert l1.read("ELR_EL2") == 0x4010_0000  # not one instruction of L2 has run
    assert l1.read("ICC_IAR1_EL1") == SPI
    l1.write(ICC_EOIR1_EL1=SPI)
    l1.to_l2()
    assert not l1.vcpu.is_hyp
    assert l1.hardware == [pending(50), 0, 0, 0]


@KERNELS
def test_06_exit_emulates_the_hw_bit_for_l1_and_hardware_clears_l0s_active_state(
    kernel: tuple[int, int],
) -> None:
    """The timer's interrupt: L2's EOI ends the host's at once, and L1's at L2's next exit."""
    l1 = booted(kernel=kernel)
    timer = l1.vcpu.kvm.timers[0]
    l1.machine.raise_interrupt(27, True, l1.vcpu)
    assert l1.read("ICC_IAR1_EL1") == 27
    l1.write(ICC_CTLR_EL1=2)
    l1.write(ICC_EOIR1_EL1=27)  # a priority drop; 27 stays active
    l1.write(ICH_HCR_EL2=EN, ICH_VMCR_EL2=ON, ICH_LR0_EL2=pending(27, hw=27))
    l1.to_l2()
    assert l1.read("ICC_IAR1_EL1") == 27
    l1.machine.raise_interrupt(27, False, l1.vcpu)
    l1.write(ICC_EOIR1_EL1=27)
    assert not timer.host.active
    assert l1.private(27).active
    l1("wfe")  # an exit
    assert not l1.private(27).active


@KERNELS
def test_07_a_maintenance_interrupt_while_l2_runs_makes_l1s_pending_puts_l2_and_runs_l1(
    kernel: tuple[int, int],
) -> None:
    """L2's EOI leaves one live list register: underflow, and L1 runs with INTID 25 pending."""
    l1 = booted(kernel=kernel)
    l1.write(ICH_HCR_EL2=EN | UIE, ICH_VMCR_EL2=ON)
    l1.write(ICH_LR0_EL2=pending(50), ICH_LR1_EL2=pending(51))
    l1.to_l2()
    assert l1.read("ICC_IAR1_EL1") == 50
    assert not l1.vcpu.is_hyp
    l1.write(ICC_EOIR1_EL1=50)
    assert l1.vcpu.is_hyp
    assert l1.vcpu.context.pc == 0x4001_0000 + 0x480
    assert l1.read("ELR_EL2") == 0x4010_0000 + 8  # behind the EOI
    assert states([l1.lr(0), l1.lr(1)]) == [lrs.INACTIVE, lrs.PENDING]
    assert l1.read("ICC_IAR1_EL1") == 25


@KERNELS
def test_08_l1s_maintenance_interrupt_is_virtual_and_computed_at_each_entry_and_exit(
    kernel: tuple[int, int],
) -> None:
    """The hardware asserts nothing; the line follows L1's memory from exit to exit."""
    l1 = booted(kernel=kernel)
    line = l1.private(25)
    for hcr, level in ((EN | NPIE, True), (NPIE, False), (EN | UIE, True), (EN, False)):
        l1.write(ICH_HCR_EL2=hcr)
        l1.read("ICH_VTR_EL2")  # an exit and an entry
        assert line.line_level is level
        assert not maintenance.signalled(l1.vcpu.lists.hardware)
    assert line.hw is None


@KERNELS
def test_09_l1_sees_a_maintenance_interrupt_of_its_own_at_its_next_exit_but_misr_at_once(
    kernel: tuple[int, int],
) -> None:
    """Memory does not make interrupts: only the exit does, of which reading MISR is one."""
    l1 = booted(kernel=kernel)
    l1.write(ICH_HCR_EL2=EN | UIE)
    assert not l1.private(25).line_level
    assert l1.read("ICC_HPPIR1_EL1") == 1023
    assert l1.read("ICH_MISR_EL2") == maintenance.U
    assert l1.private(25).line_level
    assert l1.read("ICC_HPPIR1_EL1") == 25


def test_10_lrs_aprs_hcr_and_vmcr_are_memory_and_the_status_registers_are_built_from_it() -> None:
    """The former cause no exit; ELRSR, EISR and MISR always do."""
    l1 = booted()
    names = [f"ICH_LR{n}_EL2" for n in range(4)] + ["ICH_HCR_EL2", "ICH_VMCR_EL2"]
    names += [f"ICH_AP{group}R{n}_EL2" for group in (0, 1) for n in range(4)]
    for name in names:
        assert l1("msr", name, 0).how == guest.MEMORY
        assert l1("mrs", name).how == guest.MEMORY
    l1.write(ICH_LR0_EL2=pending(50), ICH_LR2_EL2=lrs.EOI | 51, ICH_HCR_EL2=UIE | NPIE)
    for name, value in (
        ("ICH_ELRSR_EL2", 0b1110),
        ("ICH_EISR_EL2", 0b0100),
        ("ICH_MISR_EL2", maintenance.EOI | maintenance.U),
    ):
        result = l1("mrs", name)
        assert (result.how, result.value) == (exits.EMULATED, value)
        assert l1("msr", name, 0).how == guest.TAKEN  # read-only: undefined
        l1.write(HCR_EL2=l1.read("HCR_EL2"))
    assert l1.read("ICH_MISR_EL2") == nested_misr(l1.vcpu.registers, 4)


@KERNELS
def test_11_only_l1_reaches_ich_registers_and_an_nv_l2_reaches_l1s_page_or_l1(
    kernel: tuple[int, int],
) -> None:
    """A plain L2 takes an undefined instruction; one with NV2 a load from L1's page; NV traps."""
    l1 = booted(kernel=kernel)
    l1.to_l2()
    for name in ("ICH_LR0_EL2", "ICH_HCR_EL2", "ICH_MISR_EL2", "ICC_SRE_EL2"):
        assert l1("mrs", name).how == guest.TAKEN
        assert not l1.vcpu.is_hyp
    l1.to_l1()
    page = 0x4800_0000
    l1("store", page + 0x400, 8, 0xABCD)
    l1.write(VNCR_EL2=page)
    l1.to_l2(FOR_L2 | NV | NV2)
    result = l1("mrs", "ICH_LR0_EL2")
    assert (result.how, result.value) == (guest.MEMORY, 0xABCD)
    assert l1("mrs", "ICH_MISR_EL2").how == exits.FORWARDED
    assert l1.vcpu.is_hyp
    l1.to_l2(FOR_L2 | NV)
    assert l1("mrs", "ICH_LR0_EL2").how == exits.FORWARDED


@KERNELS
def test_12_a_broken_host_gic_adds_its_trap_bits_to_the_shadow(kernel: tuple[int, int]) -> None:
    """They are in the hardware while L2 runs, L0 does what they trap, and L1 never sees them."""
    tall1 = 1 << 12
    l1 = booted(kernel=kernel, host_traps=tall1)
    l1.write(ICH_HCR_EL2=EN, ICH_VMCR_EL2=ON, ICH_LR0_EL2=pending(50))
    l1.to_l2()
    assert l1.vcpu.lists.hardware.hcr & tall1
    result = l1("mrs", "ICC_IAR1_EL1")
    assert (result.how, result.value) == (exits.EMULATED, 50)
    l1.to_l1()
    assert l1.read("ICH_HCR_EL2") == EN


@KERNELS
def test_13_a_hw_list_register_without_a_host_mapping_loses_its_hw_bit_and_its_physical_id(
    kernel: tuple[int, int],
) -> None:
    """An interrupt that exists has no host's behind it: 0 takes its place."""
    l1 = l1_with_spi(kernel)
    l1.write(ICH_HCR_EL2=EN, ICH_VMCR_EL2=ON)
    l1.write(ICH_LR0_EL2=pending(60, hw=SPI), ICH_LR1_EL2=pending(61, hw=1000))
    l1.to_l2()
    assert l1.hardware[0] == pending(60)
    # No such interrupt: the field stays, and bit 9 of it now asks for an EOI interrupt.
    assert l1.hardware[1] == pending(61) | lrs.EOI
    assert l1.lr(0) == pending(60, hw=SPI)


@KERNELS
def test_14_only_interrupts_with_hw_and_a_live_state_before_and_none_after_are_deactivated(
    kernel: tuple[int, int],
) -> None:
    """Of four active interrupts of L1 the one is ended whose list register ran empty."""
    l1 = booted(kernel=kernel)
    spis = [40, 41, 42, 43]
    for intid in spis:
        forward(l1, intid, 60 + intid)
        irq = l1.machine.vm.vgic.interrupt(None, intid)
        assert irq is not None
        irq.active = True
    l1.write(ICH_HCR_EL2=EN, ICH_VMCR_EL2=ON)
    l1.write(ICH_LR0_EL2=pending(70, hw=40, priority=0x80))  # ended by L2
    l1.write(ICH_LR1_EL2=pending(71, hw=41))  # stays pending
    l1.write(ICH_LR2_EL2=pending(72, hw=42, state=0))  # was not live
    l1.write(ICH_LR3_EL2=pending(43, priority=0x90))  # has no HW
    l1.to_l2()
    for intid in (70, 43):
        assert l1.read("ICC_IAR1_EL1") == intid
        l1.write(ICC_EOIR1_EL1=intid)
    l1.to_l1()
    active = [irq.intid for irq in l1.machine.vm.vgic.spis if irq.active]
    assert active == [41, 42, 43]
