"""The TLBs of the host's CPUs, as far as stage 2 goes: translations by CPU and VMID.

A CPU may keep what it walked until it is told otherwise, and this one does; that makes
it matter which invalidations KVM sends (DDI 0487, D8.16, TLB maintenance).
"""

from __future__ import annotations

from nvtrap.arch.memory import PAGE_BITS, PAGE_SIZE

TYPE_CHECKING = False
if TYPE_CHECKING:
    Entry = tuple[int, int]  # the page's address, and the descriptor that mapped it


class Tlb:
    """The stage-2 TLBs of `cpus` CPUs; an entry is of one 4K page, whatever mapped it."""

    __slots__ = ("_cpus", "flushes")

    def __init__(self, cpus: int) -> None:
        self._cpus: list[dict[int, dict[int, Entry]]] = [{} for _ in range(cpus)]
        self.flushes = 0
        """How many invalidations of everything there were: one for each rollover."""

    def find(self, cpu: int, vmid: int, ipa: int) -> Entry | None:
        """(page's address, descriptor) that `cpu` keeps for an IPA, or None."""
        entries = self._cpus[cpu].get(vmid)
        return None if entries is None else entries.get(ipa >> PAGE_BITS)

    def keep(self, cpu: int, vmid: int, ipa: int, page: int, descriptor: int) -> None:
        """Remember a translation."""
        self._cpus[cpu].setdefault(vmid, {})[ipa >> PAGE_BITS] = page, descriptor

    def flush_all(self) -> None:
        """TLBI ALLE1IS: all VMIDs on all CPUs (__kvm_flush_vm_context)."""
        self.flushes += 1
        for vmids in self._cpus:
            vmids.clear()

    def flush_vmid(self, vmid: int, cpu: int | None = None) -> None:
        """TLBI VMALLS12E1 of a VMID on one CPU, or IS, on all of them."""
        for vmids in self._cpus if cpu is None else (self._cpus[cpu],):
            vmids.pop(vmid, None)

    def flush_range(self, vmid: int, ipa: int, size: int) -> None:
        """TLBI IPAS2E1IS of [ipa, ipa + size) on all CPUs, whatever level mapped it."""
        first, last = ipa >> PAGE_BITS, ipa + size - 1 >> PAGE_BITS
        for vmids in self._cpus:
            entries = vmids.get(vmid)
            if not entries:
                continue
            if size == PAGE_SIZE:
                entries.pop(first, None)
            else:
                for page in [page for page in entries if first <= page <= last]:
                    del entries[page]
