"""MMUs: the host's, a VM's stage 2, and what a host memory notifier does to it.

Linux 6.12, arch/arm64/kvm/mmu.c and hyp/pgtable.c. Behaviour of that version:

* **Shadows lose everything**: nothing leads from the host's memory back to where shadow
  tables map it, so that any unmapping empties all of them.
* **Shadows do not age**: only the VM's own tables tell whether memory was used.
* **Shadow TLBs outlive a write protection**: the shadow tables are protected, but only the
  VM's own VMID is flushed; a write of L2 that a CPU has in its TLB is not logged.
"""

from __future__ import annotations

from nvtrap.arch.memory import PAGE_SIZE
from nvtrap.kvm.exits.aborts import FSC_ACCESS_FLAG, FSC_PERMISSION, FSC_TRANSLATION
from nvtrap.kvm.memory.memslots import Slots
from nvtrap.kvm.memory.pagepool import HostPages, PageCache
from nvtrap.kvm.memory.pgtable import ACCESS_FLAG as YOUNG
from nvtrap.kvm.memory.pgtable import (
    ADDRESS,
    DEVICE,
    INNER_SHAREABLE,
    NORMAL,
    NOT_EXECUTABLE,
    READ,
    VALID,
    WRITE,
    PageTable,
    block_size,
)
from nvtrap.kvm.memory.tlb import Tlb
from nvtrap.kvm.memory.vmid import Vmid, VmidAllocator

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from nvtrap.arch.memory import Memory
    from nvtrap.kvm.memory.memslots import AddressSpace, Slot

NO_VCPU = -1
VMID_SHIFT = 48

# VTCR_EL2: RES1, inner shareable, write-back walks; hardware access flag; 16-bit VMIDs.
_VTCR = 1 << 31 | 0b11 << 12 | 0b01 << 10 | 0b01 << 8
VTCR_HA, VTCR_VS, VTCR_PS_SHIFT, VTCR_SL0_SHIFT = 1 << 21, 1 << 19, 16, 6
_PS = {32: 0, 36: 1, 40: 2, 42: 3, 44: 4, 48: 5}
SHORT_VMID = 8

# What an access wants.
LOAD, STORE, FETCH = "load", "store", "fetch"


class HostMmu:
    """The memory management of one host.

    `memory` is its physical memory, page tables lie in the `pages` of it. `cpus` CPUs
    share `vmids`. `pa_bits`: bits of a physical address, and of the largest IPA of a VM.
    `keeps_caches_coherent` (CTR_EL0.DIC): code need not be told apart, so that memory is
    mapped executable at once. `hardware_access_flag` (FEAT_HAFDBS): the CPUs set it.
    """

    __slots__ = (
        "cpus",
        "hardware_access_flag",
        "keeps_caches_coherent",
        "memory",
        "pa_bits",
        "pages",
        "tlb",
        "vmid_bits",
        "vmids",
    )

    def __init__(
        self,
        memory: Memory,
        tables: tuple[int, int],
        *,
        cpus: int = 1,
        vmid_bits: int = 16,
        pa_bits: int = 48,
        keeps_caches_coherent: bool = True,
        hardware_access_flag: bool = False,
    ) -> None:
        """`tables` is (base, number of pages) of the memory for page tables.

        Raises `UsageError` as `HostPages` and `VmidAllocator` do.
        """
        self.memory = memory
        self.pages = HostPages(memory, *tables)
        self.cpus = cpus
        self.vmid_bits = vmid_bits
        self.vmids = VmidAllocator(vmid_bits, cpus)
        self.tlb = Tlb(cpus)
        self.pa_bits = pa_bits
        self.keeps_caches_coherent = keeps_caches_coherent
        self.hardware_access_flag = hardware_access_flag


class Mmu:
    """One stage-2 MMU context (struct kvm_s2_mmu): tables for `ia_bits` bits, and a VMID."""

    __slots__ = ("host", "last_ran", "table", "vmid")

    def __init__(self, host: HostMmu, ia_bits: int) -> None:
        self.host = host
        self.vmid = Vmid()
        self.table = PageTable(host.pages, ia_bits, self._flush)
        self.last_ran = [NO_VCPU] * host.cpus
        """The vCPU that ran last on each CPU."""

    @property
    def vmid_number(self) -> int:
        """The VMID in VTTBR_EL2; 0 as long as it never ran."""
        return self.host.vmids.split(self.vmid)[0]

    @property
    def vttbr(self) -> int:
        """VTTBR_EL2 while it is loaded."""
        return self.table.root | self.vmid_number << VMID_SHIFT

    @property
    def vtcr(self) -> int:
        """VTCR_EL2 while it is loaded (kvm_get_vtcr)."""
        host, table = self.host, self.table
        ps = max((bits, ps) for bits, ps in _PS.items() if bits <= host.pa_bits)[1]
        return (
            _VTCR
            | (64 - table.ia_bits)
            | (2 - table.start_level) << VTCR_SL0_SHIFT
            | ps << VTCR_PS_SHIFT
            | VTCR_HA * host.hardware_access_flag
            | VTCR_VS * (host.vmid_bits > SHORT_VMID)
        )

    def activate(self, cpu: int, vcpu: int) -> None:
        """`vcpu` is to run with it on `cpu`: a VMID of this generation, and private TLBs.

        Two vCPUs of a VM do not see each other's TLB entries: where another one ran last,
        they are flushed (kvm_arch_vcpu_load).
        """
        host = self.host
        if host.vmids.update(self.vmid, cpu):
            host.tlb.flush_all()
        if self.last_ran[cpu] != vcpu:
            host.tlb.flush_vmid(self.vmid_number, cpu)
            self.last_ran[cpu] = vcpu

    def translate(self, cpu: int, ipa: int, kind: str) -> tuple[int, int]:
        """What the hardware of `cpu` does with an IPA: (physical address, 0) or (0, status).

        `kind` is one of the words above, the status that of a fault, with its level: a
        translation, access flag or permission fault.
        """
        number, tlb = self.vmid_number, self.host.tlb
        entry = tlb.find(cpu, number, ipa)
        if entry is None:
            level, descriptor = self.table.leaf(ipa)
            if not descriptor & VALID:
                level = 0 if ipa >> self.table.ia_bits else level
                return 0, FSC_TRANSLATION | level
            if not descriptor & YOUNG:
                if not self.host.hardware_access_flag:
                    return 0, FSC_ACCESS_FLAG | level
                self.table.make_young(ipa)
            entry = self._page(ipa, level, descriptor)
            tlb.keep(cpu, number, ipa, *entry)
        page, descriptor = entry
        if not allows(descriptor, kind):
            return 0, FSC_PERMISSION | self.table.leaf(ipa)[0]
        return page | ipa % PAGE_SIZE, 0

    def unmap(self, ipa: int, size: int) -> bool:
        """Unmap a range as far as it lies in the tables; false when it does not wholly.

        The kernel warns then.
        """
        end = ipa + size
        limit = 1 << self.table.ia_bits
        if ipa < limit:
            self.table.unmap(ipa, min(end, limit) - ipa)
        return end <= limit

    def empty(self) -> None:
        """Unmap everything."""
        self.unmap(0, 1 << self.table.ia_bits)

    @staticmethod
    def _page(ipa: int, level: int, descriptor: int) -> tuple[int, int]:
        inside = ipa & block_size(level) - 1 & -PAGE_SIZE
        return descriptor & ADDRESS | inside, descriptor

    def _flush(self, ipa: int, size: int) -> None:
        if self.vmid.id:
            self.host.tlb.flush_range(self.vmid_number, ipa, size)


class VmMmu:
    """The memory of a VM: its slots, its own stage 2 `mmu`, and its `shadows`.

    `ipa_bits` are those of its physical addresses.
    """

    __slots__ = ("host", "mmu", "shadows", "slots")

    def __init__(self, host: HostMmu, space: AddressSpace, ipa_bits: int = 40) -> None:
        self.host = host
        self.mmu = Mmu(host, ipa_bits)
        self.shadows: list[Mmu] = []
        """MMU contexts that hold shadow tables now."""
        self.slots = Slots(space, ipa_bits)
        space.notified.append(self)

    # ---- user space ----------------------------------------------------------------

    def set_slot(self, id: int, base: int, size: int, hva: int, flags: int = 0) -> None:
        """KVM_SET_USER_MEMORY_REGION; what was mapped through a slot that goes, goes too.

        Raises `OSError` as `Slots.set` does.
        """
        for slot in self.slots.set(id, base, size, hva, flags):
            self._unmap([(slot.base, slot.size)])
        slot_now = self.slots.find(base) if size else None
        if slot_now is not None and slot_now.logs_dirty:
            self.write_protect(slot_now)

    def map_device(self, ipa: int, pa: int, size: int, *, writable: bool = True) -> None:
        """Map a device of the host's into the guest, page by page (kvm_phys_addr_ioremap).

        KVM does it for the GICv2's virtual CPU interface, at the guest's GICC address.
        Raises `OSError` ENOMEM.
        """
        cache = PageCache(self.host.pages)
        attributes = attributes_of(readable=True, writable=writable, executable=False, device=True)
        first = ipa & -PAGE_SIZE
        try:
            for offset in range(0, ipa + size - first, PAGE_SIZE):
                cache.top_up(self.mmu.table.least_pages)
                self.mmu.table.map(first + offset, PAGE_SIZE, pa + offset, attributes, cache)
        finally:
            cache.free()

    def write_protect(self, slot: Slot) -> None:
        """Writes to a slot fault from now on, to be logged (kvm_mmu_wp_memory_region)."""
        self.mmu.table.write_protect(slot.base, slot.size)
        for shadow in self.shadows:
            shadow.table.write_protect(0, 1 << shadow.table.ia_bits)
        self._flush([(slot.base, slot.size)])

    # ---- notifiers -----------------------------------------------------------------

    def on_unmap(self, hva: int, size: int) -> None:
        """The VMM's memory goes, or moves (kvm_unmap_gfn_range)."""
        self._unmap(list(self.slots.ranges(hva, size)))

    def on_age(self, hva: int, size: int, *, clear: bool) -> bool:
        """Whether the guest used memory of the VMM (kvm_age_gfn, kvm_test_age_gfn)."""
        ranges = list(self.slots.ranges(hva, size))
        table = self.mmu.table
        young = True in [table.test_young(ipa, length, clear=clear) for ipa, length in ranges]
        if young and clear:
            self._flush(ranges)
        return young

    def _unmap(self, ranges: Iterable[tuple[int, int]]) -> None:
        for ipa, size in ranges:
            self.mmu.unmap(ipa, size)
            for shadow in self.shadows:
                shadow.empty()

    def _flush(self, ranges: Iterable[tuple[int, int]]) -> None:
        for ipa, size in ranges:
            self.host.tlb.flush_range(self.mmu.vmid_number, ipa, size)


def allows(descriptor: int, kind: str) -> bool:
    """Whether a descriptor permits an access of this kind."""
    if kind == FETCH:
        return not descriptor & NOT_EXECUTABLE
    return descriptor & (WRITE if kind == STORE else READ) != 0


def attributes_of(*, readable: bool, writable: bool, executable: bool, device: bool) -> int:
    """A descriptor's attributes for a mapping that was used just now."""
    return (
        YOUNG
        | INNER_SHAREABLE
        | (DEVICE if device else NORMAL)
        | READ * readable
        | WRITE * writable
        | NOT_EXECUTABLE * (not executable)
    )
