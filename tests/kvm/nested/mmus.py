"""A host, a VM with memory and an L1 that builds stage-2 tables in it, for tests of the MMU."""

from __future__ import annotations

from nvtrap.arch.memory import PAGE_SIZE, Memory
from nvtrap.arch.pstate import EL1H, EL2H
from nvtrap.kvm.context import Context, Features
from nvtrap.kvm.exits.mmio import AbortHandler
from nvtrap.kvm.memory.memslots import AddressSpace
from nvtrap.kvm.memory.mmu import HostMmu, VmMmu
from nvtrap.kvm.nested.shadow import Shadows
from nvtrap.kvm.nested.vcpummu import VcpuMmu

BLOCK = 2 << 20
HCR_VM = 1 << 0
# 4K pages, 39 bits from level 1 on, 48 bits of output.
VTCR = 5 << 16 | 1 << 6 | 25
READ, WRITE, AF, XN = 1 << 6, 1 << 7, 1 << 10, 1 << 54
ALL = READ | WRITE | AF

RAM_BASE, RAM_SIZE = 0x8000_0000, 16 << 20  # of the VM
HVA = 0x7F00_0000_0000
GUEST_PA = 0x10_0000_0000  # where the VM's memory lies in the host's
TABLES_PA = 0x1000_0000


class Machine:
    """A host with one VM, whose memory is in pages of `block`, and `vcpus` vCPUs."""

    def __init__(
        self, *, vcpus: int = 1, cpus: int = 1, vmid_bits: int = 16, block: int = PAGE_SIZE
    ) -> None:
        self.memory = Memory()
        self.host = HostMmu(self.memory, (TABLES_PA, 4096), cpus=cpus, vmid_bits=vmid_bits)
        self.space = AddressSpace(self.memory)
        self.space.map(HVA, RAM_SIZE, GUEST_PA, block=block)
        self.vm = VmMmu(self.host, self.space)
        self.vm.set_slot(0, RAM_BASE, RAM_SIZE, HVA)
        self.shadows = Shadows(self.vm)
        self.contexts = [Context(Features(), pstate=EL1H) for _ in range(vcpus)]
        self.vcpus = [
            VcpuMmu(
                self.vm,
                self.shadows,
                index,
                context,
                AbortHandler(self.vm.slots.behind, lambda _access, _data: bytes(8)),
                checks_fetch=True,
            )
            for index, context in enumerate(self.contexts)
        ]

    @property
    def vcpu(self) -> VcpuMmu:
        """The first vCPU."""
        return self.vcpus[0]

    def run_l2(self, vttbr: int, *, vcpu: int = 0, cpu: int = 0, hcr: int = HCR_VM) -> VcpuMmu:
        """Have a vCPU run L2 with a VTTBR_EL2 of L1."""
        context, mmu = self.contexts[vcpu], self.vcpus[vcpu]
        if mmu.mmu is not None:
            mmu.put()
        context.sysregs.update(VTTBR_EL2=vttbr, VTCR_EL2=VTCR, HCR_EL2=hcr)
        context.pstate = EL1H
        mmu.load(cpu)
        mmu.enter()
        return mmu

    def run_l1(self, *, vcpu: int = 0, cpu: int = 0) -> VcpuMmu:
        """Have a vCPU run L1 at vEL2."""
        context, mmu = self.contexts[vcpu], self.vcpus[vcpu]
        if mmu.mmu is not None:
            mmu.put()
        context.pstate = EL2H
        mmu.load(cpu)
        mmu.enter()
        return mmu


class L1Tables:
    """Stage-2 tables of L1, in its own memory from `base` on, a table in each 4K."""

    def __init__(self, machine: Machine, base: int) -> None:
        self.slots = machine.vm.slots
        self.base = base
        self._next = base + PAGE_SIZE

    def map(self, ipa: int, output: int, level: int = 3, attributes: int = ALL) -> None:
        """Write a page or a block of 2M or 1G, whatever was there."""
        bits = 12 + 9 * (3 - level)
        kind = 0b11 if level == 3 else 0b01
        self._write(ipa, level, output >> bits << bits | kind | attributes)

    def unmap(self, ipa: int, level: int = 3) -> None:
        """Write an invalid descriptor."""
        self._write(ipa, level, 0)

    def _write(self, ipa: int, last: int, descriptor: int) -> None:
        table = self.base
        for level in range(1, last + 1):
            at = table + (ipa >> 12 + 9 * (3 - level) & 511) * 8
            if level == last:
                self.slots.write(at, 8, descriptor)
                return
            entry = self.slots.read(at, 8)
            if entry & 0b11 != 0b11:
                entry = self._next | 0b11
                self._next += PAGE_SIZE
                self.slots.write(at, 8, entry)
            table = entry & ((1 << 48) - 1) & -PAGE_SIZE
