"""Stage-2 faults on memory: what KVM maps, in what size and with which permissions.

Linux 6.12, arch/arm64/kvm/mmu.c (user_mem_abort) and hyp/include/hyp/fault.h. Behaviour
of that version in a shadow:

* **Fetch through XN**: a fetch that finds nothing mapped maps the page executable, even if
  L1 forbids to run code there; only a permission fault asks L1's tables.
* **Read upgrade**: L1 that lets L2 read where it could not, without a TLBI, ends its VM with
  -EFAULT when L2 reads: a permission fault of a read is thought to be impossible.
"""

from __future__ import annotations

from errno import EFAULT

from nvtrap.arch.esr import EC_DABT_LOW, EC_IABT_LOW
from nvtrap.arch.memory import PAGE_SIZE
from nvtrap.kvm.exits.aborts import (
    S1PTW,
    WNR,
    Abort,
    is_instruction_abort,
    is_permission_fault,
    is_write_fault,
)
from nvtrap.kvm.exits.exceptions import BACK_TO_GUEST, inject_prefetch_abort
from nvtrap.kvm.memory.mmu import FETCH, STORE, attributes_of
from nvtrap.kvm.memory.pgtable import GUEST_LEVEL_SHIFT, block_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from nvtrap.kvm.context import Context
    from nvtrap.kvm.memory.memslots import Area, Slot
    from nvtrap.kvm.memory.mmu import Mmu, VmMmu
    from nvtrap.kvm.memory.pagepool import PageCache
    from nvtrap.kvm.memory.stage2 import Translation

IL = 1 << 25
EC_SHIFT = 26
BLOCK_1G, BLOCK_2M = 1 << 30, 2 << 20


# ---- what the CPU reports ---------------------------------------------------------


def syndrome(kind: str, status: int, iss: int = 0) -> int:
    """The ESR_EL2 of a stage-2 fault of an access, from below EL2.

    `iss` are the other bits of its ISS: ISV and what goes with it, CM, S1PTW.
    """
    if kind == FETCH:
        return EC_IABT_LOW << EC_SHIFT | IL | iss & S1PTW | status
    return EC_DABT_LOW << EC_SHIFT | IL | (WNR if kind == STORE else 0) | iss | status


def hpfar_of(ipa: int) -> int:
    """HPFAR_EL2 for an IPA."""
    return ipa >> 12 << 4


def fault_info(
    esr: int, far: int, hpfar: int, translate: Callable[[int], int | None], *, erratum: bool = False
) -> Abort | None:
    """The abort with an address that holds, or None: restart the guest.

    HPFAR_EL2 is UNKNOWN after a permission fault that is not of a table walk (and, with
    erratum 834220, after any). `translate` then gives the IPA of a virtual address, as AT
    S1E1R does, or None when its stage 1 does not lead there any more (__get_fault_info).
    """
    if not esr & S1PTW and (erratum or is_permission_fault(esr)):
        ipa = translate(far)
        if ipa is None:
            return None
        hpfar = hpfar_of(ipa)
    return Abort(esr, far, hpfar)


# ---- what KVM does about it -------------------------------------------------------


class MemoryFault:
    """A fault on memory at `ipa`, an address of the VM, taken on `mmu` at `abort.ipa`.

    `nested` is what L1's tables say when `mmu` is a shadow of them. `cache` is the
    vCPU's store of pages. `checks_fetch` leaves out the first behaviour above.
    """

    __slots__ = ("abort", "cache", "checks_fetch", "ipa", "mmu", "nested", "vm")

    def __init__(
        self,
        vm: VmMmu,
        mmu: Mmu,
        cache: PageCache,
        abort: Abort,
        ipa: int,
        nested: Translation | None = None,
        *,
        checks_fetch: bool = False,
    ) -> None:
        self.vm = vm
        self.mmu = mmu
        self.cache = cache
        self.abort = abort
        self.ipa = ipa
        self.nested = nested
        self.checks_fetch = checks_fetch

    def handle(self, context: Context, slot: Slot) -> int:
        """Map it, `slot` being behind `ipa`; the kernel's return code.

        1 goes back to the guest: to access it again, or to take the abort that code in a
        device's registers gives. -14 when the VMM has nothing there, or only to read;
        -12 without page-table memory.
        """
        esr = self.abort.esr
        is_write, is_fetch = is_write_fault(esr), self._is_fetch
        if is_permission_fault(esr) and not is_write and not is_fetch:
            return -EFAULT
        if not is_permission_fault(esr) or (slot.logs_dirty and is_write):
            try:
                self.cache.top_up(self.mmu.table.least_pages)
            except OSError as error:
                return -(error.errno or EFAULT)
        area = self.vm.slots.space.find(slot.hva_of(self.ipa))
        if area is None or (is_write and not area.writable):
            return -EFAULT
        if is_fetch and area.device:
            inject_prefetch_abort(context, self.abort.far)
            return BACK_TO_GUEST
        self._map(slot, area)
        return BACK_TO_GUEST

    @property
    def _is_fetch(self) -> bool:
        esr = self.abort.esr
        return is_instruction_abort(esr) and not esr & S1PTW

    def _map(self, slot: Slot, area: Area) -> None:
        nested, esr = self.nested, self.abort.esr
        size = self._size(slot, area)
        writable = area.writable and not slot.is_read_only
        if slot.logs_dirty and not is_write_fault(esr):
            writable = False
        if nested is not None:
            writable = writable and nested.writable
        attributes = attributes_of(
            readable=nested is None or nested.readable,
            writable=writable,
            executable=self._is_executable(area),
            device=area.device,
        )
        ipa, table = self.abort.ipa & -size, self.mmu.table
        if is_permission_fault(esr) and size == block_size(esr & 3):
            table.relax(ipa, attributes)
        else:
            level = 0 if nested is None else nested.level
            pa = area.pa + (slot.hva_of(self.ipa & -size) - area.base)
            table.map(ipa, size, pa, attributes | level << GUEST_LEVEL_SHIFT, self.cache)
        if writable and slot.logs_dirty:
            slot.dirty.add((self.ipa - slot.base) // PAGE_SIZE)

    def _size(self, slot: Slot, area: Area) -> int:
        """The largest size that the VMM's mapping, the slot and L1's mapping all have."""
        size = PAGE_SIZE if slot.logs_dirty else area.block
        hva = slot.hva_of(self.ipa)
        for smaller in (BLOCK_2M, PAGE_SIZE):
            if size > smaller and not _fits(slot, hva, size):
                size = smaller
        if self.nested is not None:
            largest = self.nested.block_size
            if largest < BLOCK_1G:
                largest = BLOCK_2M if largest >= BLOCK_2M else PAGE_SIZE
            size = min(size, largest)
        return size

    def _is_executable(self, area: Area) -> bool:
        allowed = self.nested is None or self.nested.executable
        if self._is_fetch:
            return allowed or not self.checks_fetch
        return not area.device and self.vm.host.keeps_caches_coherent and allowed


def _fits(slot: Slot, hva: int, size: int) -> bool:
    """Whether a block around an address lies in the slot, and alike in IPAs and addresses."""
    if (slot.base ^ slot.hva) & size - 1:
        return False
    start = hva & -size
    return slot.hva <= start and start + size <= slot.hva + slot.size
