"""What a guest and its hypervisor see of the virtual CPU interface, behaviour by behaviour."""

from __future__ import annotations

import pytest

from nvtrap.gic.parameters import Parameters
from nvtrap.gic.virtual import ich, icv, lr, maintenance
from nvtrap.gic.virtual.interface import VirtualInterface

EN = 1
ALL_GROUPS = 0xF84C_0003  # PMR 0xf8, minimum binary points, both groups on


class Guest:
    """An interface with the names of its registers."""

    def __init__(self, *values: int, vmcr: int = ALL_GROUPS, hcr: int = EN, **shape: int) -> None:
        self.deactivated: list[int] = []
        parameters = Parameters.from_dict(shape)
        self.interface = VirtualInterface(parameters, self.deactivated.append)
        self["ICH_HCR_EL2"] = hcr
        self["ICH_VMCR_EL2"] = vmcr
        for n, value in enumerate(values):
            self[f"ICH_LR{n}_EL2"] = value

    def __getitem__(self, name: str) -> int:
        reads = ich.READS if name.startswith("ICH") else icv.READS
        return reads[name](self.interface)

    def __setitem__(self, name: str, value: int) -> None:
        writes = ich.WRITES if name.startswith("ICH") else icv.WRITES
        writes[name](self.interface, value)

    def states(self) -> list[int]:
        """The states of the list registers."""
        return [lr.state(value) for value in self.interface.lrs]


def test_an_interrupt_goes_pending_active_inactive() -> None:
    """Acknowledge and EOI, with the priority that runs meanwhile."""
    guest = Guest(lr.make(27, priority=0xA0))
    assert guest.interface.signalled() == (True, False)
    assert guest["ICC_IAR1_EL1"] == 27
    assert (guest.states()[0], guest["ICC_RPR_EL1"]) == (lr.ACTIVE, 0xA0)
    assert guest["ICH_AP1R0_EL2"] == 1 << 20
    assert guest.interface.signalled() == (False, False)
    guest["ICC_EOIR1_EL1"] = 27
    assert (guest.states()[0], guest["ICC_RPR_EL1"]) == (lr.INACTIVE, 0xFF)


def test_only_the_highest_candidate_is_looked_at() -> None:
    """A lower one of the asked group is not taken although it could be."""
    guest = Guest(lr.make(27, group=0, priority=0x20), lr.make(33, group=1, priority=0x40))
    assert guest["ICC_IAR1_EL1"] == guest["ICC_HPPIR1_EL1"] == 1023
    assert guest["ICC_HPPIR0_EL1"] == guest["ICC_IAR0_EL1"] == 27


def test_hppir_ignores_mask_and_running_priority() -> None:
    """Acknowledge does not."""
    guest = Guest(lr.make(27, priority=0xA0), vmcr=0x804C_0003)
    assert (guest["ICC_HPPIR1_EL1"], guest["ICC_IAR1_EL1"]) == (27, 1023)


def test_pending_and_active_is_no_candidate_and_becomes_pending() -> None:
    """State 11: deactivation leaves it pending."""
    guest = Guest(lr.make(27, state=lr.PENDING, priority=0x80))
    guest["ICC_IAR1_EL1"]
    guest["ICH_LR0_EL2"] = guest["ICH_LR0_EL2"] | lr.PENDING_BIT
    assert guest["ICC_HPPIR1_EL1"] == 1023
    guest["ICC_EOIR1_EL1"] = 27
    assert guest.states()[0] == lr.PENDING


@pytest.mark.parametrize(
    ("bpr0", "bpr1", "cbpr", "group", "running"),
    [
        (2, 3, 0, 0, 0xA8),  # the minimum: all five bits count
        (4, 3, 0, 0, 0xA0),
        (7, 3, 0, 0, 0x00),  # no group priority at all
        (2, 3, 0, 1, 0xA8),
        (2, 7, 0, 1, 0x80),
        (4, 3, 1, 1, 0xA0),  # CBPR: Group 1 counts like Group 0
    ],
)
def test_the_active_priority_is_the_group_priority(
    bpr0: int, bpr1: int, cbpr: int, group: int, running: int
) -> None:
    """Priority 0xa8 is masked by the binary point in force at the acknowledge."""
    vmcr = 0xF8 << 24 | bpr0 << 21 | bpr1 << 18 | cbpr << 4 | 3
    guest = Guest(lr.make(27, group=group, priority=0xA8), vmcr=vmcr)
    assert guest[f"ICC_IAR{group}_EL1"] == 27
    assert guest["ICC_RPR_EL1"] == running
    assert guest[f"ICH_AP{group}R0_EL2"] == 1 << (running >> 3)


def test_only_a_higher_group_priority_preempts() -> None:
    """Equal group priority waits, whatever the subpriority."""
    vmcr = 0xF8 << 24 | 2 << 21 | 5 << 18 | 3
    guest = Guest(lr.make(27, priority=0x98), vmcr=vmcr)
    assert guest["ICC_IAR1_EL1"] == 27
    guest["ICH_LR1_EL2"] = lr.make(33, priority=0x80)
    assert guest["ICC_IAR1_EL1"] == 1023
    guest["ICH_LR1_EL2"] = lr.make(33, priority=0x78)
    assert guest["ICC_IAR1_EL1"] == 33
    assert guest["ICC_RPR_EL1"] == 0x60


def test_binary_points_below_the_minimum_become_it() -> None:
    """Written by the guest or through ICH_VMCR_EL2; VFIQEn reads as one."""
    guest = Guest()
    guest["ICH_VMCR_EL2"] = 0
    assert guest["ICH_VMCR_EL2"] == 0x4C_0008
    guest["ICC_BPR1_EL1"] = 6
    guest["ICC_BPR0_EL1"] = 0
    assert (guest["ICC_BPR0_EL1"], guest["ICC_BPR1_EL1"]) == (2, 6)


def test_with_cbpr_bpr1_reads_one_more_than_bpr0_and_ignores_writes() -> None:
    """At most 7; its own value is there again afterwards."""
    guest = Guest()
    guest["ICC_BPR1_EL1"] = 4
    guest["ICC_BPR0_EL1"] = 5
    guest["ICC_CTLR_EL1"] = 1
    guest["ICC_BPR1_EL1"] = 7
    assert guest["ICC_BPR1_EL1"] == 6
    guest["ICC_BPR0_EL1"] = 7
    assert guest["ICC_BPR1_EL1"] == 7
    guest["ICC_CTLR_EL1"] = 0
    assert guest["ICC_BPR1_EL1"] == 4


def test_with_eoimode_dir_deactivates() -> None:
    """EOIR drops the priority only; without EOImode DIR does nothing."""
    guest = Guest(lr.make(27, priority=0x80), vmcr=ALL_GROUPS | 1 << 9)
    guest["ICC_IAR1_EL1"]
    guest["ICC_EOIR1_EL1"] = 27
    assert (guest.states()[0], guest["ICC_RPR_EL1"]) == (lr.ACTIVE, 0xFF)
    guest["ICC_CTLR_EL1"] = 0
    guest["ICC_DIR_EL1"] = 27
    assert guest.states()[0] == lr.ACTIVE
    guest["ICC_CTLR_EL1"] = 2
    guest["ICC_DIR_EL1"] = 27
    assert guest.states()[0] == lr.INACTIVE


def test_an_lpi_is_always_deactivated_by_eoir() -> None:
    """And never by DIR, and never counted."""
    guest = Guest(lr.make(8192, priority=0x80), vmcr=ALL_GROUPS | 1 << 9)
    assert guest["ICC_IAR1_EL1"] == 8192
    guest["ICC_DIR_EL1"] = 8192
    assert guest.states()[0] == lr.ACTIVE
    guest["ICC_EOIR1_EL1"] = 8192
    assert guest.states()[0] == lr.INACTIVE
    guest["ICC_DIR_EL1"] = 8200
    assert guest["ICH_HCR_EL2"] >> 27 == 0


def test_eoicount_counts_what_no_list_register_holds() -> None:
    """EOIR with EOImode 0, DIR with EOImode 1; it has five bits."""
    guest = Guest()
    guest["ICH_AP1R0_EL2"] = 0xFFFF_FFFF
    guest["ICC_EOIR1_EL1"] = 40
    guest["ICC_EOIR1_EL1"] = 1021
    guest["ICC_EOIR1_EL1"] = 9000
    assert guest["ICH_HCR_EL2"] >> 27 == 1
    guest["ICC_CTLR_EL1"] = 2
    guest["ICC_EOIR1_EL1"] = 40
    assert guest["ICH_HCR_EL2"] >> 27 == 1
    for _ in range(31):
        guest["ICC_DIR_EL1"] = 40
    assert guest["ICH_HCR_EL2"] == EN


def test_hw_deactivates_the_physical_interrupt() -> None:
    """Once, at deactivation; bit 41 belongs to pINTID then."""
    guest = Guest(lr.make(27, priority=0x80, pintid=0x2FF))
    guest["ICC_IAR1_EL1"]
    assert guest.deactivated == []
    guest["ICC_EOIR1_EL1"] = 27
    assert guest.deactivated == [0x2FF]
    assert guest["ICH_EISR_EL2"] == 0
    assert guest["ICH_ELRSR_EL2"] == 0b1111


def test_the_wrong_group_or_priority_deactivates_nothing() -> None:
    """The priority is dropped all the same."""
    guest = Guest(lr.make(27, priority=0x80))
    guest["ICC_IAR1_EL1"]
    guest["ICC_EOIR0_EL1"] = 27
    assert (guest.states()[0], guest["ICC_RPR_EL1"]) == (lr.ACTIVE, 0xFF)


def test_a_disabled_interface_still_ends_interrupts() -> None:
    """En = 0: nothing is signalled or acknowledged, EOI and the status registers work."""
    guest = Guest(lr.make(27, priority=0x80), lr.make(33, priority=0x40, eoi=True, state=0))
    guest["ICC_IAR1_EL1"]
    guest["ICH_LR2_EL2"] = lr.make(40, priority=0x10)
    guest["ICH_HCR_EL2"] = 1 << 1
    assert guest["ICC_IAR1_EL1"] == 1023
    assert guest.interface.signalled() == (False, False)
    assert guest["ICH_MISR_EL2"] == maintenance.EOI
    assert not maintenance.signalled(guest.interface)
    guest["ICC_EOIR1_EL1"] = 27
    assert guest.states()[0] == lr.INACTIVE
    guest["ICH_HCR_EL2"] = 1 << 1 | EN
    assert guest["ICH_MISR_EL2"] == maintenance.EOI | maintenance.U
    assert maintenance.signalled(guest.interface)


def test_pmr_keeps_the_implemented_bits() -> None:
    """Five bits of priority: the lower three read as zero."""
    guest = Guest()
    guest["ICC_PMR_EL1"] = 0xFF
    assert guest["ICC_PMR_EL1"] == 0xF8
    assert guest["ICH_VMCR_EL2"] >> 24 == 0xF8


def test_icv_ctlr_says_what_the_interface_has() -> None:
    """PRIbits, IDbits, A3V; CBPR and EOImode are the writable bits."""
    guest = Guest()
    guest["ICC_CTLR_EL1"] = (1 << 64) - 1
    assert guest["ICC_CTLR_EL1"] == 0x8C03
    assert Guest(seis=True, intid_bits=16)["ICC_CTLR_EL1"] == 0xC400


# ---- FEAT_GICv3_NMI ---------------------------------------------------------------


def test_a_non_maskable_interrupt_goes_before_all() -> None:
    """Superpriority: not masked by PMR, preempts what runs, waits only for its like."""
    guest = Guest(lr.make(27, priority=0), nmi=True)
    guest["ICC_PMR_EL1"] = 0x80
    assert guest["ICC_IAR1_EL1"] == 27
    guest["ICH_LR1_EL2"] = lr.make(33, priority=0xF8) | lr.NMI
    guest["ICH_LR2_EL2"] = lr.make(40, priority=0xF8) | lr.NMI
    assert guest.interface.signalled() == (True, False)
    assert guest["ICC_NMIAR1_EL1"] == 33
    assert guest["ICC_NMIAR1_EL1"] == 1023
    assert guest["ICC_RPR_EL1"] == 1 << 63
    assert guest["ICH_AP1R0_EL2"] >> 63 == 1
    guest["ICC_EOIR1_EL1"] = 33
    assert guest.states()[1] == lr.INACTIVE
    assert guest["ICC_RPR_EL1"] == 0


def test_iar_points_to_nmiar_where_the_pe_takes_nmis() -> None:
    """With SCTLR_EL1.NMI it reads 1022; without it takes the interrupt itself."""
    guest = Guest(lr.make(33, priority=0x80) | lr.NMI, nmi=True)
    guest.interface.nmi_enabled = True
    assert guest["ICC_IAR1_EL1"] == guest["ICC_HPPIR1_EL1"] == 1022
    guest.interface.nmi_enabled = False
    assert guest["ICC_IAR1_EL1"] == 33


def test_without_the_feature_nmi_is_reserved() -> None:
    """Bit 59 of a list register and bit 63 of ICH_AP1R0_EL2 are RES0."""
    guest = Guest(lr.make(33, priority=0x80) | lr.NMI)
    guest["ICH_AP1R0_EL2"] = 1 << 63
    assert guest["ICH_LR0_EL2"] == lr.make(33, priority=0x80)
    assert guest["ICH_AP1R0_EL2"] == 0


# ---- GICv4 ------------------------------------------------------------------------


class Waiting:
    """Virtual LPIs without list registers."""

    def __init__(self, *interrupts: tuple[int, int]) -> None:
        self.interrupts = sorted(interrupts)

    def highest_pending(self) -> tuple[int, int] | None:
        """The first."""
        return self.interrupts[0] if self.interrupts else None

    def acknowledge(self, vintid: int) -> None:
        """It is pending no more."""
        self.interrupts = [waiting for waiting in self.interrupts if waiting[1] != vintid]


def test_a_direct_lpi_competes_with_the_list_registers() -> None:
    """It is taken when its priority is higher, and leaves no list register active."""
    guest = Guest(lr.make(27, priority=0x80))
    guest.interface.direct = Waiting((0x40, 8195), (0xC0, 8200))
    assert guest["ICC_HPPIR1_EL1"] == 8195
    assert guest.interface.signalled() == (True, False)
    assert guest["ICC_IAR0_EL1"] == 1023
    assert guest["ICC_IAR1_EL1"] == 8195
    assert guest["ICC_IAR1_EL1"] == 1023
    guest["ICC_EOIR1_EL1"] = 8195
    assert guest["ICC_IAR1_EL1"] == 27
    assert guest["ICH_HCR_EL2"] >> 27 == 0
