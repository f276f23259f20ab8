"""Save and restore of a GIC through its device alone: the guest notices nothing."""

from __future__ import annotations

from errno import EBUSY
from random import Random

import pytest

from nvtrap.gic.parameters import Parameters
from nvtrap.kvm.host import Host
from nvtrap.kvm.vcpu import Vcpu
from nvtrap.kvm.vgic.device import Address, Control, Device, Group
from nvtrap.kvm.vgic.device_its import ItsDevice
from nvtrap.kvm.vgic.snapshot import restore, save, save_its
from nvtrap.kvm.vm import DeviceType, Vm
from tests.kvm.vgic.machines import (
    GICD,
    GICR,
    ICACTIVER,
    ICENABLER,
    ICFGR,
    ICPENDR,
    IGROUPR,
    IPRIORITYR,
    IROUTER,
    ISACTIVER,
    ISENABLER,
    ISPENDR,
    line,
    redistributor,
    refused,
)

VCPUS, IRQS = 3, 96
RAM, RAM_SIZE = 0x4000_0000, 0x40_0000
GITS = 0x0808_0000
QUEUE, DEVICES, COLLECTIONS, ITT = (RAM + 0x1_0000 * n for n in (1, 2, 3, 4))
CONFIGURATION, PENDING = RAM + 0x10_0000, RAM + 0x20_0000
FIRST_LPI, LPIS = 8192, 4
LEVELS, EDGES = (33, 40, 64, 95), (32, 41, 65, 94)
TIMER, PPIS, SGIS = 27, (17, 20), (0, 5, 15)
MOST_SHOWN = 2000


def fresh() -> tuple[Vm, Device, ItsDevice]:
    """A VM in which nothing has run. 16 list registers: 6.12 cannot keep more active."""
    vm = Vm(ram=[(RAM, RAM_SIZE)], host=Host(Parameters(list_registers=16)))
    for id in range(VCPUS):
        vm.create_vcpu(id)
    gic, its = vm.create_device(DeviceType.VGIC_V3), vm.create_device(DeviceType.ITS)
    assert gic is not None
    assert isinstance(its, ItsDevice)
    gic.set_attr(Group.NR_IRQS, 0, IRQS)
    gic.set_attr(Group.ADDR, Address.V3_DIST, GICD)
    gic.set_attr(Group.ADDR, Address.V3_REDIST, GICR)
    its.set_attr(Group.ADDR, Address.ITS, GITS)
    gic.set_attr(Group.CTRL, Control.INIT)
    return vm, gic, its


class Guests:
    """What runs on the VM, from one seed; `seen` is all that the guests were told."""

    def __init__(self, vm: Vm, random: Random) -> None:
        self.vm = vm
        self.random = random
        self.seen: list[object] = []
        # (group, INTID) that each guest has acknowledged, and INTIDs it is to deactivate.
        self.taken: list[list[tuple[int, int]]] = [[] for _ in vm.vcpus]
        self.dropped: list[list[int]] = [[] for _ in vm.vcpus]

    def prepare(self) -> None:
        """Switch everything on; every interrupt has a priority of its own, so order is fixed."""
        self.enter()
        first, random = self.vm.vcpus[0], self.random
        order = random.sample(range(1, 31), 2 + len(LEVELS + EDGES + PPIS + SGIS) + LPIS)
        first.write(GICD, 4, 2)
        for intid in LEVELS + EDGES:
            first.write(GICD + IROUTER + 8 * intid, 8, random.randrange(VCPUS))
            first.write(GICD + IPRIORITYR + intid, 1, order.pop() << 3)
        for word in range(1, IRQS // 32):
            edges = sum(2 << 2 * (n - 32 * word) for n in EDGES if n // 32 == word)
            first.write(GICD + ICFGR + 8 * word, 4, edges & 0xFFFF_FFFF)
            first.write(GICD + ICFGR + 8 * word + 4, 4, edges >> 32)
            first.write(GICD + ISENABLER + 4 * word, 4, 0xFFFF_FFFF)
            first.write(GICD + IGROUPR + 4 * word, 4, 0xFFFF_FFFF ^ 1 << random.randrange(32))
        priorities = {intid: order.pop() << 3 for intid in (*SGIS, *PPIS, TIMER)}
        for vcpu in self.vm.vcpus:
            frame = redistributor(vcpu.index)
            for intid, priority in priorities.items():
                vcpu.write(frame + IPRIORITYR + intid, 1, priority)
            vcpu.write(frame + ISENABLER, 4, 0xFFFF_0000)
            for name, value in (("PMR", 0xFF), ("IGRPEN0", 1), ("IGRPEN1", 1)):
                vcpu.msr(f"ICC_{name}_EL1", value)
            vcpu.msr("ICC_BPR0_EL1", random.randrange(8))
            vcpu.msr("ICC_BPR1_EL1", random.randrange(8))
            vcpu.msr("ICC_CTLR_EL1", random.randrange(4))
        self.prepare_lpis(order)
        self.exit()

    def prepare_lpis(self, order: list[int]) -> None:
        """Four events of a device lead to LPIs, of one collection a vCPU."""
        first, memory = self.vm.vcpus[0], self.vm.memory
        memory.write_bytes(CONFIGURATION, bytes(order.pop() << 3 | 1 for _ in range(LPIS)))
        for vcpu in self.vm.vcpus:
            frame = GICR + 0x2_0000 * vcpu.index
            for offset, value in (
                (0x70, CONFIGURATION | 15),
                (0x78, PENDING + 0x1_0000 * vcpu.index),
            ):
                vcpu.write(frame + offset, 8, value)
            vcpu.write(frame, 4, 1)
        commands = [(8, 4, 1 << 63 | ITT)]
        commands += [(9, 0, 1 << 63 | n << 16 | n) for n in range(VCPUS)]
        commands += [(10, n | FIRST_LPI + n << 32, n % VCPUS) for n in range(LPIS)]
        for place, words in enumerate(commands):
            for n, word in enumerate(words):
                memory.write(QUEUE + 32 * place + 8 * n, 8, word)
        for offset, value in ((0x80, QUEUE), (0x100, DEVICES), (0x108, COLLECTIONS)):
            first.write(GITS + offset, 8, 1 << 63 | value)
        first.write(GITS, 4, 1)
        first.write(GITS + 0x88, 8, 32 * len(commands))

    def copy(self, vm: Vm) -> Guests:
        """The same guests, and what becomes of them, on a VM."""
        copy = Guests(vm, Random())
        copy.random.setstate(self.random.getstate())
        copy.taken = [list(taken) for taken in self.taken]
        copy.dropped = [list(dropped) for dropped in self.dropped]
        return copy

    def enter(self) -> None:
        for vcpu in self.vm.vcpus:
            vcpu.enter()

    def exit(self) -> None:
        for vcpu in self.vm.vcpus:
            vcpu.exit()

    def go_on(self, steps: int) -> None:
        """So many steps of guests and devices."""
        self.enter()
        for _ in range(steps):
            self.step(self.random.choice(self.vm.vcpus))
        self.exit()

    def step(self, vcpu: Vcpu) -> None:
        """One thing that a guest or a device does."""
        random = self.random
        kind = random.randrange(12)
        group = random.randrange(2)
        if kind < 3:
            self.acknowledge(vcpu, group)
        elif kind == 3:
            self.end(vcpu)
        elif kind == 4:
            self.deactivate(vcpu)
        elif kind == 5:
            line(self.vm, random.choice((*LEVELS, *EDGES)), random.randrange(2))
        elif kind == 6:
            line(self.vm, random.choice(PPIS), random.randrange(2), vcpu.id)
        elif kind == 7:
            vcpu.msr("ICC_SGI1R_EL1", random.choice(SGIS) << 24 | random.randrange(8))
        elif kind == 8:
            vcpu.timers[0].set_line(random.random() < 0.5)
        elif kind == 9:
            self.vm.signal_msi(GITS + 0x1_0040, random.randrange(LPIS), 0, 1)
        elif kind == 10:
            self.look(vcpu)
        else:
            self.write(vcpu)

    def acknowledge(self, vcpu: Vcpu, group: int) -> None:
        """Take an interrupt."""
        intid = vcpu.mrs(f"ICC_IAR{group}_EL1")
        self.seen.append(intid)
        if intid < 1020 or intid >= FIRST_LPI:
            self.taken[vcpu.index].append((group, intid))

    def end(self, vcpu: Vcpu) -> None:
        """End the last one that was taken."""
        if self.taken[vcpu.index]:
            group, intid = self.taken[vcpu.index].pop()
            vcpu.msr(f"ICC_EOIR{group}_EL1", intid)
            self.dropped[vcpu.index].append(intid)

    def deactivate(self, vcpu: Vcpu) -> None:
        """Deactivate one that has ended; it does nothing where EOImode is 0."""
        if self.dropped[vcpu.index]:
            vcpu.msr("ICC_DIR_EL1", self.dropped[vcpu.index].pop())

    def look(self, vcpu: Vcpu) -> None:
        """What the guest can read."""
        # Not HPPIR: it hides an LPI that waits for its own end, and that is not saved.
        names = ("RPR", "AP0R0", "AP1R0", "BPR0", "BPR1", "CTLR", "PMR")
        self.seen.append([vcpu.mrs(f"ICC_{name}_EL1") for name in names])
        self.seen.append(vcpu.mrs("ISR_EL1"))
        for base in (redistributor(vcpu.index), GICD + 4, GICD + 8):
            self.seen.append([vcpu.read(base + o, 4) for o in (ISENABLER, ISPENDR, ISACTIVER)])

    def write(self, vcpu: Vcpu) -> None:
        """Change the state of an interrupt by its registers, or where it goes."""
        random = self.random
        intid = random.choice((*LEVELS, *EDGES, *PPIS, *SGIS))
        base = GICD if intid >= 32 else redistributor(vcpu.index)
        arrays = (ISENABLER, ISENABLER, ICENABLER, ISPENDR, ICPENDR, ISACTIVER, ICACTIVER)
        vcpu.write(base + random.choice(arrays) + intid // 32 * 4, 4, 1 << intid % 32)
        # Not while it is active: where it is active then is nothing that can be saved.
        is_active = vcpu.read(base + ISACTIVER + intid // 32 * 4, 4)
        if intid >= 32 and not is_active and random.random() < 0.3:
            vcpu.write(GICD + IROUTER + 8 * intid, 8, random.randrange(VCPUS))
            # Linux looks at a new route when it next has a reason to queue the interrupt.
            vcpu.write(base + ISENABLER + intid // 32 * 4, 4, 1 << intid % 32)


def moved(vm: Vm, gic: Device, its: ItsDevice) -> tuple[Vm, Device, ItsDevice]:
    """The same machine in a fresh VM."""
    of_its = save_its(its)
    of_gic = save(gic)
    other, other_gic, other_its = fresh()
    other.memory = vm.memory.copy()
    restore(other_gic, of_gic)
    restore(other_its, of_its)
    for old, new in zip(vm.vcpus, other.vcpus, strict=True):
        for before, after in zip(old.timers, new.timers, strict=True):
            after.line = before.line
    return other, other_gic, other_its


@pytest.mark.parametrize("seed", range(40))
def test_the_guest_notices_nothing(seed: int) -> None:
    """Moved in the middle of everything, guests are told what they would have been told."""
    vm, gic, its = fresh()
    guests = Guests(vm, Random(seed))
    guests.prepare()
    guests.go_on(guests.random.randrange(400))
    other, *_ = moved(vm, gic, its)
    stayed, left = guests.copy(vm), guests.copy(other)
    stayed.go_on(300)
    left.go_on(300)
    assert stayed.seen[:MOST_SHOWN] == left.seen[:MOST_SHOWN]
    assert any(isinstance(seen, int) and seen < 1020 for seen in left.seen)


def test_interrupts_are_moved_in_every_state() -> None:
    """Inactive, pending, active and both; edge and level; enabled or not: all were met above."""
    met = set()
    for seed in range(40):
        vm, _, _ = fresh()
        guests = Guests(vm, Random(seed))
        guests.prepare()
        guests.go_on(guests.random.randrange(400))
        for irq in vm.vgic.spis:
            met.add((irq.edge, irq.enabled, irq.active, irq.pending()))
    assert len(met) == 16


@pytest.mark.parametrize("seed", range(10))
def test_what_is_restored_is_saved_alike(seed: int) -> None:
    """Save, restore and save give the same, registers and RAM."""
    vm, gic, its = fresh()
    guests = Guests(vm, Random(seed))
    guests.prepare()
    guests.go_on(300)
    other, other_gic, other_its = moved(vm, gic, its)
    assert save_its(other_its) == save_its(its)
    assert save(other_gic) == save(gic)
    assert other.memory.pages() == vm.memory.pages()


def test_nothing_is_saved_while_a_vcpu_runs() -> None:
    """EBUSY, as the registers say."""
    vm, gic, _ = fresh()
    vm.vcpus[1].enter()
    with refused(EBUSY):
        save(gic)
