"""The nested machine: exits that L1 is given, and whole round trips through it."""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter

from nvtrap.kvm.nested import guest
from nvtrap.kvm.nested.machine import Machine
from nvtrap.kvm.nested.vcpu import NestedVcpu
from tools.benchmarks import measure
from tools.benchmarks.bench import Bench
from tools.benchmarks.figures import Measured, figure

AS_HOST = 1 << 34 | 1 << 31 | 1 << 27
FOR_L2 = 1 << 34 | 1 << 31 | 1 << 18 | 0b111 << 3 | 1
PENDING = (0x50A0_0000_0000_0032, 0x50A0_0000_0000_0033)
EXITS = 3_000
REPEATS = 7


def _machine(list_registers: Sequence[int] = ()) -> tuple[Machine, NestedVcpu]:
    """An L2 with these list registers, whose ID registers L1 traps."""
    machine = Machine()
    vcpu = machine.vcpus[0]
    for register, value in (
        ("ICH_HCR_EL2", 1),
        ("ICH_VMCR_EL2", 0xFF00_0002),
        *((f"ICH_LR{n}_EL2", lr) for n, lr in enumerate(list_registers)),
        ("SPSR_EL2", 0x3C5),
        ("ELR_EL2", 0x4010_0000),
        ("HCR_EL2", FOR_L2),
    ):
        machine.execute(vcpu, "msr", register, value)
    machine.execute(vcpu, "eret")
    return machine, vcpu


@figure("forwarded sysreg exits of L2, to L1's vector", "exits/s", scale="code", least=50_000)
def nested_exits(bench: Bench) -> Measured:
    """MRS of an ID register in L2: exit, decision, switch, entry of L1.

    Its list registers are empty, as mostly when it traps. The way back is not timed.
    """
    del bench
    machine, vcpu = _machine()
    register = machine.encoding("ID_AA64PFR0_EL1")

    def one_round() -> float:
        spent = 0.0
        for _ in range(EXITS):
            start = perf_counter()
            guest.mrs(vcpu, register)
            spent += perf_counter() - start
            guest.eret(vcpu)
        return spent

    return Measured(EXITS / min(one_round() for _ in range(REPEATS)))


@figure("round trips L2 to L1 to L2", "trips/s", scale="code", least=5_000)
def nested_trips(bench: Bench) -> Measured:
    """A forwarded exit, L1 reading why and a list register, changing HCR_EL2 twice, and ERET.

    Two interrupts of L2 are pending all the time.
    """
    del bench
    machine, vcpu = _machine(PENDING)
    names = ("ID_AA64PFR0_EL1", "HCR_EL2", "ESR_EL1", "ICH_LR0_EL2")
    register, hcr, esr, list_register = map(machine.encoding, names)
    vcpu.context.x[1:3] = [AS_HOST, FOR_L2]

    def trips() -> None:
        for _ in range(EXITS):
            guest.mrs(vcpu, register)
            guest.msr(vcpu, hcr, 1)
            guest.mrs(vcpu, esr, 3)
            guest.mrs(vcpu, list_register, 4)
            guest.msr(vcpu, hcr, 2)
            guest.eret(vcpu)

    return Measured(EXITS / measure.call_s(trips))
