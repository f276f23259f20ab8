"""What Linux's own functions say happens, step by step, each step one entry and one exit.

A case is a name, the kernel function that decides it, and a script. A step is `operation
arguments`, by vCPU 0 unless `1:` stands before it; numbers are hexadecimal, INTIDs decimal:

    line I L       KVM_IRQ_LINE                     w A V, r A V    4 bytes of MMIO
    hw L           the timer's line moves           w8 A V          8 bytes
    isr V          ISR_EL1 is V (80 IRQ, 40 FIQ)    b A V           1 byte
    iar I, eoi I, dir I                             msr R V, mrs R V  ICC_R_EL1
    set O V, get O V    user space, GICD_ at O;     rset O V, rget O V    GICR_ of vCPU 0
    level I V           user space, the lines of 32 interrupts from I on
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from nvtrap.kvm.vcpu import Vcpu
from nvtrap.kvm.vgic.device import Device, Group
from nvtrap.kvm.vm import Vm
from tests.kvm.vgic.its.guests import CONFIGURATION, LPI, Guest, event_table, mapc, mapd, mapti
from tests.kvm.vgic.machines import line, machine

NOTHING = 1023
# SPI 40: enabled, edge-triggered, priority 0; the other addresses are those of its registers.
ON = "w 8000000 12; msr PMR ff; msr IGRPEN1 1; 1: msr PMR ff; 1: msr IGRPEN1 1; w 8000104 100"

CASES = [
    (
        "an owner samples the line of the vCPU that looks, not of the one that is looked at",
        "kvm_arch_timer_get_input_level",
        "hw 1; r 80b0200 8000000; 1: r 80b0200 0; r 80d0200 8000000; 1: r 80d0200 0",
    ),
    (
        "a vCPU enables another one's timer interrupt with its own line",
        "vgic_mmio_write_senable",
        "hw 1; level 0 8000000; 1: w 80b0100 8000000; level 0 0; isr 80; iar 27; hw 0; eoi 27",
    ),
    (
        "what was pruned while the distributor was off stays silent until it is queued again",
        "vgic_kick_vcpus",
        (
            "line 40 1; isr 80; w 8000000 10; isr 0; w 8000000 12; isr 0; r 8000204 100; "
            "w 8000104 100; isr 80; iar 40"
        ),
    ),
    (
        "what stayed listed while the distributor was off is delivered",
        "vgic_kick_vcpus",
        "w8 8006140 1; line 40 1; w 8000000 10; w 8000000 12; 1: isr 80; 1: iar 40",
    ),
    (
        "a queued interrupt moves as the vCPU that has it leaves the guest",
        "vgic_prune_ap_list",
        (
            "line 40 1; 1: w8 8006140 1; 1: isr 0; isr 0; 1: isr 80; 1: iar 40; 1: r 8000304 100; "
            "1: eoi 40; 1: iar 1023"
        ),
    ),
    (
        "an interrupt whose affinity no vCPU has is dropped from the list and kept pending",
        "vgic_target_oracle",
        (
            "line 40 1; isr 80; w8 8006140 5; isr 0; r 8000204 100; w8 8006140 0; isr 0; "
            "line 40 1; isr 80; iar 40"
        ),
    ),
    (
        "an active level interrupt goes to its new target when it has ended",
        "vgic_prune_ap_list",
        (
            "w 8000c08 0; line 40 1; iar 40; w8 8006140 1; 1: isr 0; eoi 40; isr 0; 1: isr 80; "
            "1: iar 40; line 40 0; 1: eoi 40; 1: isr 0"
        ),
    ),
    (
        "an interrupt of Group 0 is an FIQ and is taken by the registers of Group 0 alone",
        "vgic_v3_populate_lr",
        (
            "w 8000084 fffffeff; line 40 1; isr 0; msr IGRPEN0 1; isr 40; iar 1023; mrs HPPIR0 28; "
            "mrs IAR0 28; mrs AP0R0 1; mrs AP1R0 0; msr EOIR0 28; r 8000304 0"
        ),
    ),
    (
        "writing groups queues what became pending while the distributor was off",
        "vgic_mmio_write_group",
        "w 8000000 0; line 40 1; w 8000000 2; isr 0; w 8000084 ffffffff; isr 80",
    ),
    (
        "a new priority counts for the list register of an active interrupt: its end is lost",
        "vgic_mmio_write_priority",
        "line 40 1; iar 40; b 8000428 f8; eoi 40; mrs RPR ff; r 8000304 100",
    ),
    (
        "an edge that comes again while active waits for the deactivation",
        "vgic_v3_populate_lr",
        (
            "msr CTLR 2; line 40 1; iar 40; line 40 1; r 8000204 100; eoi 40; iar 1023; dir 40; "
            "iar 40; r 8000204 0; eoi 40; dir 40; iar 1023"
        ),
    ),
    (
        "a level whose line is high is pending again after DIR, not after EOIR",
        "vgic_v3_fold_lr_state",
        (
            "msr CTLR 2; w 8000c08 0; line 40 1; iar 40; eoi 40; isr 0; dir 40; isr 80; iar 40; "
            "line 40 0; eoi 40; dir 40; isr 0"
        ),
    ),
    (
        "a level's latch that was restored beside its active state goes with the deactivation",
        "vgic_v3_fold_lr_state",
        (
            "w 8000c08 0; set 204 100; set 304 100; msr AP1R0 1; r 8000204 100; eoi 40; "
            "r 8000204 0; iar 1023"
        ),
    ),
    (
        "a change of the configuration changes what is pending at once, and queues nothing",
        "irq_is_pending",
        (
            "w 8000c08 0; line 40 1; isr 80; w 8000c08 aaaaaaaa; isr 0; r 8000204 0; w 8000c08 0; "
            "r 8000204 100; isr 0; w 8000104 100; isr 80"
        ),
    ),
    (
        "a forwarded line that falls while the interrupt is disabled is seen as it is enabled",
        "vgic_mmio_write_senable",
        (
            "hw 1; isr 0; r 80b0200 8000000; w 80b0100 8000000; isr 80; w 80b0180 8000000; isr 0; "
            "hw 0; w 80b0100 8000000; isr 0; hw 1; iar 27"
        ),
    ),
    (
        "a forwarded interrupt is let go of by DIR when EOIR only drops the priority",
        "vgic_irq_handle_resampling",
        (
            "msr CTLR 2; w 80b0100 8000000; hw 1; iar 27; eoi 27; isr 0; r 80b0300 8000000; "
            "dir 27; isr 80; iar 27; eoi 27; hw 0; dir 27; isr 0"
        ),
    ),
    (
        "clearing the pending state of an active forwarded interrupt does not mask its device",
        "vgic_hw_irq_cpending",
        (
            "w 80b0100 8000000; hw 1; iar 27; w 80b0200 8000000; w 80b0280 8000000; eoi 27; "
            "isr 80; iar 27; hw 0; eoi 27; isr 0"
        ),
    ),
    (
        "a guest's ICACTIVER lets the host's interrupt fire again",
        "vgic_hw_irq_change_active",
        "w 80b0100 8000000; w 80b0300 8000000; hw 1; isr 0; w 80b0380 8000000; isr 80; iar 27",
    ),
    (
        "what user space makes pending on a forwarded interrupt is no line",
        "vgic_uaccess_write_spending",
        (
            "w 80b0100 8000000; rset 10200 8000000; r 80b0200 0; isr 80; iar 27; "
            "rget 10200 8000000; eoi 27; rget 10200 0; isr 0"
        ),
    ),
]


class Stage:
    """A VM with two vCPUs; each operation enters and leaves the guest."""

    def __init__(self) -> None:
        self.vm: Vm
        self.gic: Device
        self.vm, self.gic = machine(2)

    def play(self, script: str) -> None:
        """Do the steps, and check what they read."""
        for step in script.split("; "):
            vcpu, _, rest = step.rpartition(": ")
            operation, *arguments = rest.split()
            value = self.do(self.vm.vcpus[int(vcpu or 0)], operation, arguments)
            if value is not None:
                wanted = int(arguments[-1], 10 if operation == "iar" else 16)
                assert value == wanted, f"{step}: got {value:#x}"

    def do(self, vcpu: Vcpu, operation: str, arguments: list[str]) -> int | None:
        """One step; the value of a read."""
        if operation == "line":
            line(self.vm, int(arguments[0]), int(arguments[1]))
            return None
        if operation in ("set", "rset", "get", "rget", "level"):
            return self.access(operation, *(int(argument, 16) for argument in arguments))
        vcpu.enter()
        try:
            return INSTRUCTIONS[operation](vcpu, *arguments)
        finally:
            vcpu.exit()

    def access(self, operation: str, offset: int, value: int) -> int | None:
        """User space accesses a register."""
        if operation == "level":
            return self.gic.get_attr(Group.LEVEL_INFO, offset)
        group = Group.REDIST_REGS if operation[0] == "r" else Group.DIST_REGS
        if operation.endswith("get"):
            return self.gic.get_attr(group, offset)
        self.gic.set_attr(group, offset, value)
        return None


def store(size: int) -> Callable[[Vcpu, str, str], None]:
    """A store of so many bytes."""

    def write(vcpu: Vcpu, address: str, value: str) -> None:
        assert vcpu.write(int(address, 16), size, int(value, 16))

    return write


INSTRUCTIONS: dict[str, Callable[..., int | None]] = {
    "hw": lambda vcpu, level: vcpu.timers[0].set_line(level == "1"),
    "isr": lambda vcpu, _: vcpu.mrs("ISR_EL1"),
    "iar": lambda vcpu, _: vcpu.mrs("ICC_IAR1_EL1"),
    "eoi": lambda vcpu, intid: vcpu.msr("ICC_EOIR1_EL1", int(intid)),
    "dir": lambda vcpu, intid: vcpu.msr("ICC_DIR_EL1", int(intid)),
    "msr": lambda vcpu, name, value: vcpu.msr(f"ICC_{name}_EL1", int(value, 16)),
    "mrs": lambda vcpu, name, _: vcpu.mrs(f"ICC_{name}_EL1"),
    "r": lambda vcpu, address, _: vcpu.read(int(address, 16), 4),
    "w": store(4),
    "w8": store(8),
    "b": store(1),
}


@pytest.mark.parametrize(
    "script", [case[2] for case in CASES], ids=[f"{case[1]}: {case[0]}" for case in CASES]
)
def test_it_goes_as_the_kernel_function_says(script: str) -> None:
    """`CASES`, after both CPU interfaces and SPI 40 were switched on."""
    stage = Stage()
    stage.play(ON)
    stage.play(script)


def test_list_registers_have_the_priority_bits_of_the_hardware() -> None:
    """KVM keeps six bits of an LPI's priority, the hardware five: A4 and A0 are equal there.

    Of equal ones the first list register is taken (vgic_v3_populate_lr, ICH_LR<n>_EL2).
    """
    guest = Guest(vcpus=1)
    guest.vm.memory.write_bytes(CONFIGURATION, b"\xa5\xa1")
    guest.send(mapd(1, event_table(1)), mapc(0, 0), mapti(1, 0, LPI, 0), mapti(1, 1, LPI + 1, 0))
    assert guest.msi(1, 0) == guest.msi(1, 1) == 1
    assert [guest.take(0) for _ in range(3)] == [LPI, LPI + 1, NOTHING]
