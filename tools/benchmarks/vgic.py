"""KVM's VGIC: interrupts from end to end, and a whole GIC saved and restored."""

from __future__ import annotations

from nvtrap.kvm.vcpu import Vcpu
from nvtrap.kvm.vgic.device import Address, Control, Device, Group
from nvtrap.kvm.vgic.snapshot import restore, save
from nvtrap.kvm.vm import DeviceType, Vm
from tools.benchmarks import measure
from tools.benchmarks.bench import Bench
from tools.benchmarks.figures import Measured, figure

GICD, GICR = 0x0800_0000, 0x080A_0000
ISENABLER, ICFGR, IROUTER = 0x100, 0xC00, 0x6000
SPI_TYPE = 1 << 24
SPURIOUS = 1023
IRQS = 992
SPIS = range(32, IRQS)
INTERRUPTS = 100_000
BURST = 16  # SPIs raised before the guests run; four list registers each


def _machine(vcpus: int) -> tuple[Vm, Device]:
    """A VM with a GICv3 that is ready."""
    vm = Vm()
    for id in range(vcpus):
        vm.create_vcpu(id)
    gic = vm.create_device(DeviceType.VGIC_V3)
    assert gic is not None
    gic.set_attr(Group.NR_IRQS, 0, IRQS)
    gic.set_attr(Group.ADDR, Address.V3_DIST, GICD)
    gic.set_attr(Group.ADDR, Address.V3_REDIST, GICR)
    gic.set_attr(Group.CTRL, Control.INIT)
    return vm, gic


def _started(vcpus: int) -> Vm:
    """The same with every vCPU in the guest; SPIs are enabled, level, and go round."""
    vm, _ = _machine(vcpus)
    for vcpu in vm.vcpus:
        vcpu.enter()
        vcpu.msr("ICC_PMR_EL1", 0xFF)
        vcpu.msr("ICC_IGRPEN1_EL1", 1)
    first = vm.vcpus[0]
    first.write(GICD, 4, 2)
    for intid in SPIS:
        first.write(GICD + IROUTER + 8 * intid, 8, intid % vcpus)
    for word in range(1, IRQS // 32):
        first.write(GICD + ISENABLER + 4 * word, 4, 0xFFFF_FFFF)
        first.write(GICD + ICFGR + 8 * word, 4, 0)
        first.write(GICD + ICFGR + 8 * word + 4, 4, 0)
    return vm


def _handle_all(vm: Vm, vcpu: Vcpu) -> int:
    """The guest acknowledges, quiets and ends what there is; how many it was."""
    handled = 0
    while (intid := vcpu.mrs("ICC_IAR1_EL1")) != SPURIOUS:
        vm.irq_line(SPI_TYPE | intid, 0)
        vcpu.msr("ICC_EOIR1_EL1", intid)
        handled += 1
    return handled


@figure("VGIC: 100,000 SPIs over 4 vCPUs, raised to ended", "s", scale="code", most=6)
def vgic_spis(bench: Bench) -> Measured:
    """KVM_IRQ_LINE, ICC_IAR1_EL1, KVM_IRQ_LINE, ICC_EOIR1_EL1, for each."""
    del bench
    vm = _started(4)

    def run_all() -> None:
        handled = 0
        while handled < INTERRUPTS:
            for intid in range(SPIS[handled % len(SPIS)], SPIS[handled % len(SPIS)] + BURST):
                vm.irq_line(SPI_TYPE | intid, 1)
            handled += sum(_handle_all(vm, vcpu) for vcpu in vm.vcpus)

    return Measured(measure.call_s(run_all))


@figure("VGIC: save + restore, 8 vCPUs, 992 interrupts", "s", scale="code", most=0.3)
def vgic_save_restore(bench: Bench) -> Measured:
    """Everything through the device API, into a VM that has not run."""
    del bench
    _, gic = _machine(8)
    _, other = _machine(8)
    attributes = len(save(gic))
    time = measure.call_s(lambda: restore(other, save(gic)))
    return Measured(time, f"{attributes:,} attributes")
