"""Nested machines whose L1 is up, and shorthands for what L1 and L2 do."""

from __future__ import annotations

from typing import Any

from nvtrap.arch.pstate import DAIF, EL1H
from nvtrap.gic.virtual import lr as lrs
from nvtrap.kvm.nested.events import Event
from nvtrap.kvm.nested.guest import Result
from nvtrap.kvm.nested.machine import Machine
from nvtrap.kvm.nested.vcpu import NestedVcpu

E2H, TGE, RW = 1 << 34, 1 << 27, 1 << 31
VM, FMO, IMO, AMO = 1 << 0, 1 << 3, 1 << 4, 1 << 5
TWI, TID3, TSC, TVM = 1 << 13, 1 << 18, 1 << 19, 1 << 26
NV, NV1, NV2 = 1 << 42, 1 << 43, 1 << 45
API, APK = 1 << 41, 1 << 40
# What L1 has in HCR_EL2 while its own code runs, and while its guest does.
AS_HOST = E2H | TGE | RW
FOR_L2 = E2H | RW | FMO | IMO | AMO | API | APK
EN, UIE, LRENPIE, NPIE = 1 << 0, 1 << 1, 1 << 2, 1 << 3
ON = 0xFF00_0002  # ICH_VMCR_EL2: every priority, Group 1
L2_CODE, L1_VECTORS = 0x4010_0000, 0x4001_0000
BEFORE, SINCE = (6, 18), (6, 19)


def pending(intid: int, *, hw: int | None = None, priority: int = 0xA0, state: int = 1) -> int:
    """A list register of Group 1; `hw` is the pINTID of one that has HW set."""
    value = state << lrs.STATE_SHIFT | lrs.GROUP | priority << lrs.PRIORITY_SHIFT | intid
    return value if hw is None else value | lrs.HW | hw << lrs.PINTID_SHIFT


class Guest:
    """One vCPU of a machine and what runs on it."""

    def __init__(self, machine: Machine, index: int = 0) -> None:
        self.machine = machine
        self.vcpu: NestedVcpu = machine.vcpus[index]

    def __call__(self, instruction: str, *operands: object) -> Result:
        return self.machine.execute(self.vcpu, instruction, *operands)

    def read(self, register: str) -> int:
        """MRS, which has to give a value."""
        value = self("mrs", register).value
        assert value is not None
        return value

    def write(self, **registers: int) -> None:
        """MSR of each."""
        for name, value in registers.items():
            self("msr", name, value)

    def to_l2(self, hcr: int = FOR_L2, *, spsr: int = DAIF | EL1H, pc: int = L2_CODE) -> None:
        """vEL2 returns to its guest, whose list registers it has set up."""
        self.write(HCR_EL2=hcr, SPSR_EL2=spsr, ELR_EL2=pc)
        self("eret")

    def to_l1(self) -> None:
        """L2 does what L1 is asked about: a call."""
        self("hvc")
        assert self.vcpu.is_hyp

    @property
    def hardware(self) -> list[int]:
        """The hardware's list registers."""
        return self.vcpu.lists.hardware.lrs

    def lr(self, n: int) -> int:
        """L1's list register in its memory."""
        return self.vcpu.registers[f"ICH_LR{n}_EL2"]

    def private(self, intid: int) -> Any:
        """L1's SGI or PPI."""
        return self.vcpu.kvm.private[intid]


def booted(vcpus: int = 1, **choices: Any) -> Guest:
    """A vEL2 with E2H whose GIC is on, its timer's and maintenance interrupts enabled."""
    machine = Machine(vcpus, powered_on=True, **choices)
    for vcpu in machine.vcpus:
        for intid in (25, 27):
            machine.configure_interrupt(intid, vcpu)
        guest = Guest(machine, vcpu.index)
        guest.write(HCR_EL2=AS_HOST, VBAR_EL1=L1_VECTORS, ICC_PMR_EL1=0xFF, ICC_IGRPEN1_EL1=1)
    return Guest(machine)


def watched(guest: Guest) -> list[Event]:
    """The list that events go to from now on."""
    events: list[Event] = []
    guest.machine.set_watch(events.append)
    return events
