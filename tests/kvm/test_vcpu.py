"""vCPUs: creation, runs, waiting, and the registers that their guests reach."""

from __future__ import annotations

from errno import EBUSY, EEXIST, EINVAL, EIO, ENXIO

import pytest

from nvtrap.errors import UnknownNameError, UsageError
from nvtrap.gic.access import Undefined
from nvtrap.gic.parameters import Parameters
from nvtrap.kvm.host import Host
from nvtrap.kvm.vcpu import IN_GUEST, IN_HOST, OUTSIDE, mpidr_of
from nvtrap.kvm.vgic.device import Group
from nvtrap.kvm.vm import DeviceType, Vm
from tests.kvm.vgic.machines import (
    GICD,
    IROUTER,
    ISACTIVER,
    acknowledge,
    end,
    line,
    machine,
    redistributor,
    refused,
    started,
)


def test_affinities_follow_the_id() -> None:
    """Four bits, eight bits, eight bits."""
    assert [mpidr_of(id) for id in (0, 15, 16, 0x1FF)] == [0, 15, 0x100, 0x1F0F]


def test_ids_that_cannot_be() -> None:
    """Too large, twice, and any once the GIC is initialised."""
    vm = Vm()
    vm.create_vcpu(7)
    for id, errno in ((512, EINVAL), (-1, EINVAL), (1 << 40, EINVAL), (7, EEXIST)):
        with refused(errno):
            vm.create_vcpu(id)
    vm, _ = machine()
    with refused(EBUSY):
        vm.create_vcpu(1)


def test_a_vcpu_created_twice_leaves_its_place_empty() -> None:
    """The second one had a redistributor when it was found to be the second."""
    vm, _ = machine_without_init()
    vm.create_vcpu(0)
    with refused(EEXIST):
        vm.create_vcpu(0)
    vm.create_vcpu(1)
    assert [vcpu.region_index for vcpu in vm.vcpus] == [0, 2]


def machine_without_init() -> tuple[Vm, object]:
    """A VM with a GIC and a region of four redistributors."""
    vm = Vm()
    gic = vm.create_device(DeviceType.VGIC_V3)
    assert gic is not None
    gic.set_attr(Group.ADDR, 5, 4 << 52 | 0x080A_0000)
    return vm, gic


def test_a_refused_first_run_is_the_end_of_the_vm() -> None:
    """ENXIO for the distributor that has no address, EIO for everything after it."""
    vm, gic = machine_without_init()
    vcpu = vm.create_vcpu(0)
    with refused(ENXIO):
        vcpu.run()
    assert vm.dead
    for call in (vcpu.run, lambda: vm.create_vcpu(1), lambda: vm.irq_line(1 << 24 | 32, 1)):
        with refused(EIO):
            call()
    with refused(EIO):
        gic.get_attr(Group.NR_IRQS, 0)  # type: ignore[attr-defined]


def test_a_vcpu_runs_instructions_only_inside() -> None:
    """And enters once, and leaves once."""
    vm, _ = machine()
    vcpu = vm.vcpus[0]
    with pytest.raises(UsageError, match="runs no instructions"):
        vcpu.mrs("ICC_PMR_EL1")
    vcpu.enter()
    with pytest.raises(UsageError, match="is in KVM_RUN"):
        vcpu.enter()
    vcpu.exit()
    with pytest.raises(UsageError, match="is not in KVM_RUN"):
        vcpu.exit()


def test_a_vcpu_that_is_off_runs_nothing() -> None:
    """Its first run counts all the same; once it is on it goes on."""
    vm = Vm()
    vcpu = vm.create_vcpu(0, powered_off=True)
    vcpu.enter()
    assert vcpu.mode is IN_HOST
    with pytest.raises(UsageError):
        vcpu.mrs("ISR_EL1")
    vcpu.exit()
    assert vcpu.has_run
    vcpu.powered_off = False
    vcpu.enter()
    assert vcpu.mrs("ISR_EL1") == 0


# ---- registers ----------------------------------------------------------------------


def test_without_a_gic_its_registers_are_undefined() -> None:
    """And ID_AA64PFR0_EL1 says so."""
    vm = Vm()
    vcpu = vm.create_vcpu(0)
    vcpu.enter()
    assert vcpu.mrs("ID_AA64PFR0_EL1") == 0
    for name in ("ICC_IAR1_EL1", "ICC_SRE_EL1", "ICC_PMR_EL1"):
        with pytest.raises(Undefined):
            vcpu.mrs(name)
    with pytest.raises(Undefined):
        vcpu.msr("ICC_SGI1R_EL1", 0)


def test_without_a_gic_the_cpus_lines_are_user_spaces() -> None:
    """KVM_IRQ_LINE of type 0: IRQ and FIQ; the others are refused."""
    vm = Vm()
    vcpu = vm.create_vcpu(0)
    vcpu.enter()
    vm.irq_line(0, 1)
    assert vcpu.mrs("ISR_EL1") == 0x80
    vm.irq_line(1, 1)
    assert vcpu.mrs("ISR_EL1") == 0xC0
    vm.irq_line(0, 0)
    assert vcpu.mrs("ISR_EL1") == 0x40
    for irq, errno in ((2, EINVAL), (1 << 16, EINVAL), (1 << 24 | 32, ENXIO), (3 << 24, EINVAL)):
        with refused(errno):
            vm.irq_line(irq, 1)


@pytest.mark.parametrize(("bits", "count"), [(5, 1), (6, 2), (7, 4)])
def test_active_priority_registers_are_as_many_as_the_bits_need(bits: int, count: int) -> None:
    """The others are UNDEFINED."""
    vm = Vm(host=Host(Parameters(virtual_preemption_bits=bits, virtual_priority_bits=7)))
    vcpu = vm.create_vcpu(0)
    gic = vm.create_device(DeviceType.VGIC_V3)
    assert gic is not None
    for group, attr, value in ((0, 2, GICD), (0, 3, 0x080A_0000), (4, 0, 0)):
        gic.set_attr(group, attr, value)
    vcpu.enter()
    for n in range(4):
        name = f"ICC_AP1R{n}_EL1"
        if n < count:
            vcpu.msr(name, 1 << n)
            assert vcpu.mrs(name) == 1 << n
        else:
            with pytest.raises(Undefined):
                vcpu.mrs(name)
    vcpu.exit()
    vcpu.enter()
    assert vcpu.mrs("ICC_AP1R0_EL1") == 1


def test_registers_have_directions_and_names() -> None:
    """SRE reads as it is fixed; EL2's registers are UNDEFINED; others are unknown."""
    _, _, (vcpu,) = started()
    assert vcpu.mrs("ICC_SRE_EL1") == 7
    vcpu.msr("ICC_SRE_EL1", 0)
    assert vcpu.mrs("ICC_SRE_EL1") == 7
    for name in ("ICC_EOIR1_EL1", "ICC_SGI1R_EL1", "ICH_LR0_EL2", "ICC_NMIAR1_EL1"):
        with pytest.raises(Undefined):
            vcpu.mrs(name)
    with pytest.raises(Undefined):
        vcpu.msr("ICC_IAR1_EL1", 0)
    with pytest.raises(UnknownNameError, match="ICC_IRA1_EL1"):
        vcpu.mrs("ICC_IRA1_EL1")


# ---- waiting, kicking, stopping ---------------------------------------------------------


def test_an_interrupt_wakes_a_vcpu_that_waits() -> None:
    """One that is masked by its priority does not; nor does WFI sleep with one pending."""
    vm, _, (vcpu,) = started()
    vcpu.write(GICD + 0x400 + 40, 1, 0xF0)
    vcpu.msr("ICC_PMR_EL1", 0x80)
    assert vcpu.wfi()
    line(vm, 40, 1)
    assert vcpu.waiting
    with pytest.raises(UsageError):
        vcpu.mrs("ISR_EL1")
    line(vm, 41, 1)
    assert not vcpu.waiting
    assert acknowledge(vcpu) == 41
    end(vcpu, 41)
    assert not vcpu.wfi()


def test_a_timer_wakes_a_vcpu_that_waits() -> None:
    """The host's own timer watches for it while the device is another's."""
    _, _, (vcpu,) = started()
    vcpu.write(redistributor(0) + 0x100, 4, 1 << 27)
    assert vcpu.wfi()
    vcpu.timers[0].set_line(True)
    assert not vcpu.waiting
    assert acknowledge(vcpu) == 27


def test_a_signal_ends_waiting() -> None:
    """KVM_RUN returns and the vCPU goes on after its WFI."""
    _, _, (vcpu,) = started()
    assert vcpu.wfi()
    vcpu.exit()
    assert vcpu.mode is OUTSIDE
    vcpu.enter()
    assert vcpu.mrs("ISR_EL1") == 0


def test_a_kick_makes_a_guest_look_again() -> None:
    """What is injected while it runs is there at its next instruction."""
    vm, _, (vcpu,) = started()
    vcpu.enter_guest()
    line(vm, 40, 1)
    assert vcpu.mode is IN_HOST
    assert vcpu.mrs("ISR_EL1") == 0x80
    assert vcpu.mode is IN_GUEST


def test_looking_at_active_states_stops_every_guest() -> None:
    """So that list registers are folded, also those of another vCPU."""
    vm, _, (first, second) = started(vcpus=2)
    first.write(GICD + IROUTER + 8 * 40, 8, 1)
    line(vm, 40, 1)
    assert acknowledge(second) == 40
    assert second.mode is IN_GUEST
    assert first.read(GICD + ISACTIVER + 4, 4) == 1 << 8
    assert second.mode is IN_HOST
    second.msr("ICC_SGI1R_EL1", 3 << 24 | 1)
    assert acknowledge(first) == 3
    assert second.read(redistributor(0) + ISACTIVER, 4) == 1 << 3
