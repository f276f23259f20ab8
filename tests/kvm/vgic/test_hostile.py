"""A guest and a user space that mean harm: only documented errnos, and nothing else escapes."""

from __future__ import annotations

from collections.abc import Callable
from errno import (
    E2BIG,
    EAGAIN,
    EBUSY,
    EEXIST,
    EFAULT,
    EINVAL,
    EIO,
    ENODEV,
    ENOENT,
    ENOSPC,
    ENXIO,
    errorcode,
)
from random import Random

import pytest

from nvtrap.errors import UsageError
from nvtrap.gic.access import Undefined
from nvtrap.gic.parameters import Parameters
from nvtrap.gic.registers import REGISTERS
from nvtrap.kvm.host import Host
from nvtrap.kvm.vcpu import OUTSIDE, Vcpu
from nvtrap.kvm.vgic.device import Address, Control, Device, Group
from nvtrap.kvm.vgic.routing import IrqchipRoute, MsiRoute, Route
from nvtrap.kvm.vm import DeviceType, Vm
from tests.kvm.vgic.machines import GICD, GICR

SEEDS = 16
CALLS = 10_000  # of each seed; together more than 100,000
RAM = 0x4000_0000
GITS, GICC = 0x0808_0000, 0x0801_0000
FRAMES = (GICD, GICR, GICR + 0x1_0000, GICR + 0x3_0000, GITS, GITS + 0x1_0000, GICC, RAM)
OFFSETS = [0, 4, 8, 0x10, 0x70, 0x78, 0x80, 0x100, 0x180, 0x200, 0x280, 0x300, 0x380, 0x400]
OFFSETS += [0x800, 0xC00, 0xF00, 0xF10, 0xF20, 0x6000, 0x6100, 0xFFD0, 0xFFE8, 0x1_0080, 0x1_0400]
INTERFACE = ["ICC_IAR1_EL1", "ICC_EOIR1_EL1", "ICC_DIR_EL1", "ICC_SGI1R_EL1", "ICC_CTLR_EL1"]
INTERFACE += ["ICC_IAR0_EL1", "ICC_EOIR0_EL1", "ICC_AP1R0_EL1", "ICC_IGRPEN0_EL1", "ICC_PMR_EL1"]
# What Documentation/virt/kvm names for each call, here as Linux 6.12 gives it.
ERRNOS = {
    "create_vcpu": {EINVAL, EBUSY, EEXIST, EIO, ENOSPC},
    "create_device": {ENODEV, EBUSY, EEXIST, E2BIG, EIO},
    "create_irqchip": {ENODEV, EBUSY, EEXIST, E2BIG, EIO},
    "set_device_addr": {ENODEV, EEXIST, EINVAL, E2BIG, EIO},
    "has_attr": {ENXIO, EINVAL, EIO},
    "set_attr": {
        ENXIO,
        EINVAL,
        EBUSY,
        EEXIST,
        E2BIG,
        EFAULT,
        ENOENT,
        ENODEV,
        EIO,
        ENOSPC,
    },
    "get_attr": {ENXIO, EINVAL, EBUSY, EFAULT, ENOENT, ENODEV, EIO},
    "irq_line": {EINVAL, ENXIO, EBUSY, EIO},
    "signal_msi": {EINVAL, ENODEV, EBUSY, EIO},
    "set_gsi_routing": {EINVAL, EIO, EBUSY},
    "irqfd": {EAGAIN, EINVAL, EIO},
    "run": {ENXIO, EINVAL, EBUSY, EIO, ENODEV, ENOSPC},
    "guest": set[int](),
}


class Hostile:
    """A VM and those who mean harm to it, from one seed."""

    def __init__(self, random: Random) -> None:
        self.random = random
        gic = random.choice((2, 3, 3, 3))
        parameters = Parameters(
            list_registers=random.choice((1, 2, 4, 16)),
            virtual_preemption_bits=random.choice((5, 5, 6, 7)),
            virtual_priority_bits=random.choice((7, 8)),
        )
        host = Host(parameters, gic, emulates_v2=gic == 2 or random.random() < 0.3)
        self.vm = Vm(ipa_bits=random.choice((32, 40, 48)), ram=[(RAM, 0x20_0000)], host=host)
        self.devices: list[Device] = []
        self.eventfds: list[Callable[[], None]] = []
        if random.random() < 0.9:
            self.prepare()

    def prepare(self) -> None:
        """Begin with a machine that works, so that calls get far."""
        vm, random = self.vm, self.random
        for id in range(random.choice((1, 2, 4))):
            vm.create_vcpu(id)
        model = DeviceType.VGIC_V3 if vm.host.gic == 3 else DeviceType.VGIC_V2
        gic = vm.create_device(model)
        assert gic is not None
        self.devices.append(gic)
        if vm.host.gic == 3:
            its = vm.create_device(DeviceType.ITS)
            assert its is not None
            self.devices.append(its)
            gic.set_attr(Group.ADDR, Address.V3_DIST, GICD)
            gic.set_attr(Group.ADDR, Address.V3_REDIST, GICR)
            its.set_attr(Group.ADDR, Address.ITS, GITS)
            its.set_attr(Group.CTRL, Control.INIT)
        else:
            gic.set_attr(Group.ADDR, Address.V2_DIST, GICD)
            gic.set_attr(Group.ADDR, Address.V2_CPU, GICC)
        if random.random() < 0.9:
            gic.set_attr(Group.CTRL, Control.INIT)
            self.start()

    def start(self) -> None:
        """Let the guest switch everything on, LPIs with tables somewhere in RAM too."""
        for vcpu in self.vm.vcpus:
            vcpu.enter()
            vcpu.write(GICD, 4, 3)
            for word in (1, 2):
                vcpu.write(GICD + 0x100 + 4 * word, 4, 0xFFFF_FFFF)
            if self.vm.host.gic == 3:
                vcpu.msr("ICC_PMR_EL1", 0xFF)
                vcpu.msr("ICC_IGRPEN1_EL1", 1)
                for offset, value in ((0x70, RAM | 15), (0x78, RAM | 1 << 16), (0, 1)):
                    vcpu.write(GICR + 0x2_0000 * vcpu.index + offset, 4, value)
            else:
                vcpu.write(GICC, 4, 1)
                vcpu.write(GICC + 4, 4, 0xF0)

    # ---- numbers -------------------------------------------------------------------

    def number(self, bits: int = 64) -> int:
        """A number that is small, round, or anything."""
        random = self.random
        kind = random.random()
        if kind < 0.4:
            return random.randrange(0, 64)
        if kind < 0.6:
            return 1 << random.randrange(bits)
        return random.getrandbits(bits) & random.choice((-1, 0xFFFF_FFFF, 0xFF, ~0xFFFF))

    def offset(self) -> int:
        """An offset of a register, or anywhere."""
        random = self.random
        if random.random() < 0.8:
            return random.choice(OFFSETS) + random.choice((0, 0, 1, 2, 4, 4, 8, 16, 0x10C))
        return random.randrange(0x2_0000)

    def attribute(self, group: int) -> int:
        """An attribute that may well be there."""
        random = self.random
        if group in (Group.ADDR, Group.CTRL, Group.NR_IRQS):
            return random.randrange(7)
        high = random.randrange(5) << 32
        if group == Group.CPU_SYSREGS:
            return high | random.choice(list(REGISTERS.values())).encoding
        if group == Group.LEVEL_INFO:
            return high | random.randrange(1024) & random.choice((-1, ~31))
        return high | self.offset() & random.choice((-1, ~3))

    # ---- user space ----------------------------------------------------------------

    def create_vcpu(self) -> None:
        self.vm.create_vcpu(self.random.choice((0, 1, 2, 3, 9, 200, 511, 512, -1)))

    def create_device(self) -> None:
        device = self.vm.create_device(self.random.randrange(10), test=self.random.random() < 0.5)
        if device is not None:
            self.devices.append(device)

    def create_irqchip(self) -> None:
        self.vm.create_irqchip()

    def set_device_addr(self) -> None:
        self.vm.set_device_addr(self.number(32), self.number())

    def has_attr(self) -> None:
        group = self.random.randrange(11)
        self.device().has_attr(group, self.attribute(group))

    def set_attr(self) -> None:
        group = self.random.randrange(11)
        value = None if self.random.random() < 0.05 else self.number()
        self.device().set_attr(group, self.attribute(group), value)

    def get_attr(self) -> None:
        group = self.random.randrange(11)
        self.device().get_attr(group, self.attribute(group), self.random.choice((0, 0, None)))

    def device(self) -> Device:
        """A device; that there is none shows as a dead VM's errno."""
        if not self.devices:
            raise OSError(EIO, "there is no device")
        return self.random.choice(self.devices)

    def irq_line(self) -> None:
        random = self.random
        kind = random.choice((0, 1, 1, 1, 2, 2, 3)) << 24
        irq = kind | random.randrange(4) << 16 | random.randrange(130)
        self.vm.irq_line(irq, random.randrange(2))

    def signal_msi(self) -> None:
        random = self.random
        address = random.choice((GITS + 0x1_0040, GITS, self.number()))
        self.vm.signal_msi(address, random.randrange(32), random.randrange(4), random.randrange(4))

    def set_gsi_routing(self) -> None:
        random = self.random
        routes: list[Route] = []
        for _ in range(random.randrange(4)):
            gsi, flags = random.choice((0, 1, 5, 31, 4095, 4096)), random.choice((0, 0, 1))
            if random.random() < 0.5:
                routes.append(IrqchipRoute(gsi, random.randrange(1030), 0, flags))
            else:
                routes.append(MsiRoute(gsi, GITS + 0x1_0040, 0, random.randrange(3), flags))
        self.vm.set_gsi_routing(routes)

    def irqfd(self) -> None:
        if self.eventfds and self.random.random() < 0.7:
            self.random.choice(self.eventfds)()
        else:
            self.eventfds.append(
                self.vm.irqfd(self.random.randrange(40), self.random.random() < 0.3).write
            )

    def run(self) -> None:
        if not self.vm.vcpus:
            return
        vcpu = self.random.choice(self.vm.vcpus)
        if vcpu.mode is OUTSIDE:
            vcpu.enter(self.random.randbytes(self.random.randrange(9)))
        else:
            vcpu.exit()

    # ---- the guest -----------------------------------------------------------------

    def guest(self) -> None:
        inside = [v for v in self.vm.vcpus if v.mode is not OUTSIDE and not v.waiting]
        if not inside:
            return
        vcpu = self.random.choice(inside)
        try:
            self.instruction(vcpu)
        except Undefined:
            pass

    def instruction(self, vcpu: Vcpu) -> None:
        """One instruction of the guest."""
        random = self.random
        kind = random.random()
        name = random.choice(INTERFACE if random.random() < 0.9 else list(REGISTERS))
        address = random.choice(FRAMES) + self.offset()
        size = random.choice((1, 2, 4, 4, 4, 8))
        if kind < 0.25:
            vcpu.mrs(name)
        elif kind < 0.5:
            vcpu.msr(name, self.number())
        elif kind < 0.6:
            vcpu.read(address, size)
        elif kind < 0.9:
            vcpu.write(address, size, self.number())
        elif kind < 0.92:
            vcpu.wfi()
        elif kind < 0.94:
            vcpu.timers[0].set_line(random.random() < 0.5)
        else:
            esr = 0x24 << 26 | random.getrandbits(25) & ~0x3F | random.choice((4, 5, 6, 7, 0x10))
            vcpu.data_abort(esr, self.number(), address >> 8 & ~0xF)

    def call(self) -> None:
        """One call; raises what nobody may see."""
        name = self.random.choice((*ERRNOS, "run", "irq_line", "irq_line", *["guest"] * 20))
        failure = 0
        try:
            getattr(self, name)()
        except OSError as error:
            failure = error.errno or 0
        assert failure in {0, *ERRNOS[name]}, (name, errorcode[failure])


def check(vm: Vm) -> None:
    """What holds whatever was done: an interrupt is on one list, that of its vCPU."""
    listed = [irq for vcpu in vm.vcpus for irq in vcpu.ap_list]
    assert len(listed) == len({id(irq) for irq in listed})
    for vcpu in vm.vcpus:
        assert all(irq.vcpu is vcpu for irq in vcpu.ap_list)
    assert vm.running == sum(vcpu.mode is not OUTSIDE for vcpu in vm.vcpus)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_no_call_does_what_is_not_documented(seed: int) -> None:
    """Whatever user space and guest do, in any order."""
    random = Random(seed)
    hostile = Hostile(random)
    for number in range(CALLS):
        if hostile.vm.dead or number % 1000 == 999:
            check(hostile.vm)
            hostile = Hostile(random)
        hostile.call()
    check(hostile.vm)


@pytest.mark.parametrize("value", [None, "0x1", 1.5, [1], -1, 1 << 64])
def test_what_no_program_in_c_can_hand_over_is_a_usage_error(value: object) -> None:
    """Values that are no numbers, or have too many bits."""
    hostile = Hostile(Random(1))
    device = hostile.devices[0]
    with pytest.raises(UsageError):
        device.set_attr(Group.NR_IRQS, value, 64)  # type: ignore[arg-type]
    with pytest.raises(UsageError):
        device.has_attr(value, 0)  # type: ignore[arg-type]
    if value is not None:
        with pytest.raises(UsageError):
            device.get_attr(Group.NR_IRQS, 0, value)  # type: ignore[arg-type]
    if not isinstance(value, int):
        with pytest.raises(UsageError):
            hostile.vm.create_vcpu(value)  # type: ignore[arg-type]
        with pytest.raises(UsageError):
            hostile.vm.irq_line(value, 1)  # type: ignore[arg-type]
