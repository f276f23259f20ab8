"""Shadow stage 2: the MMU contexts in which L1's guests run.

What L2 may reach is L1's stage 2 and the host's in one: a context of its own holds that
for each pair of VTTBR_EL2 and VTCR_EL2 that L1 loads, filled on faults, emptied by L1's
TLBIs (`nvtrap.kvm.nested.tlbi`) and the host's notifiers. Linux 6.12,
arch/arm64/kvm/nested.c. A context that no vCPU holds is reused in turn, from behind the
one that was reused last: that need not be the one least recently used.
"""

from __future__ import annotations

from nvtrap.errors import UsageError
from nvtrap.kvm.memory.mmu import VMID_SHIFT, Mmu

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from nvtrap.kvm.memory.mmu import VmMmu

PER_VCPU = 2  # S2_MMU_PER_VCPU
VTTBR_CNP = 1 << 0
HCR_VM = 1 << 0


class Shadow(Mmu):
    """One context. `vttbr_of_l1` and `vtcr_of_l1` are its key, a set CnP meaning none.

    `translates`: L1's stage 2 is on (HCR_EL2.VM); without, the key is the VMID alone.
    `references` counts the vCPUs that hold it. `pending_unmap`: it has another context's
    mappings, which go before it is entered.
    """

    __slots__ = ("pending_unmap", "references", "translates", "vtcr_of_l1", "vttbr_of_l1")

    def __init__(self, vm: VmMmu) -> None:
        # L1 may give its guests any address that it could have itself.
        super().__init__(vm.host, vm.host.pa_bits)
        self.vttbr_of_l1 = VTTBR_CNP
        self.vtcr_of_l1 = 0
        self.translates = False
        self.references = 0
        self.pending_unmap = False

    @property
    def is_valid(self) -> bool:
        """Whether it has a key."""
        return not self.vttbr_of_l1 & VTTBR_CNP

    def finish_unmap(self) -> None:
        """Do a pending unmap, before the guest is entered (check_nested_vcpu_requests)."""
        if self.pending_unmap:
            self.empty()
            self.pending_unmap = False


class Shadows:
    """The contexts of one VM."""

    __slots__ = ("_next", "contexts", "vm")

    def __init__(self, vm: VmMmu) -> None:
        self.vm = vm
        self.contexts: list[Shadow] = []
        self._next = 0

    def add_vcpu(self) -> None:
        """Make two more contexts, one vCPU more having EL2 (kvm_vcpu_init_nested).

        Raises `OSError` ENOMEM.
        """
        new = [Shadow(self.vm) for _ in range(PER_VCPU)]
        self.contexts += new
        self.vm.shadows += new

    def find(self, vttbr: int, vtcr: int, hcr: int) -> Shadow | None:
        """The context for what L1 has in its registers, or None (lookup_s2_mmu)."""
        vttbr &= ~VTTBR_CNP
        translates = hcr & HCR_VM != 0
        for context in self.contexts:
            if not context.is_valid or context.translates != translates:
                continue
            if not translates:
                if self.vmid_of(vttbr) == self.vmid_of(context.vttbr_of_l1):
                    return context
            elif vttbr == context.vttbr_of_l1 and vtcr == context.vtcr_of_l1:
                return context
        return None

    def get(self, vttbr: int, vtcr: int, hcr: int) -> Shadow:
        """The context for what L1 has in its registers, with a reference more.

        Raises `UsageError` when more vCPUs hold contexts than were added.
        """
        context = self.find(vttbr, vtcr, hcr)
        if context is None:
            context = self._reuse()
            context.vttbr_of_l1 = vttbr & ~VTTBR_CNP
            context.vtcr_of_l1 = vtcr
            context.translates = hcr & HCR_VM != 0
        context.references += 1
        return context

    def put(self, context: Shadow) -> None:
        """A reference less; the context keeps its mappings for the next who asks for it."""
        context.references -= 1

    def with_vmid(self, vttbr: int) -> Iterator[Shadow]:
        """Every context of the VMID in a VTTBR_EL2: a TLBI by VMID is for all of them."""
        vmid = self.vmid_of(vttbr)
        for context in self.contexts:
            if context.is_valid and self.vmid_of(context.vttbr_of_l1) == vmid:
                yield context

    def vmid_of(self, vttbr: int) -> int:
        """VMID of a VTTBR_EL2, with as many bits as the host's have."""
        return vttbr >> VMID_SHIFT & (1 << self.vm.host.vmid_bits) - 1

    def _reuse(self) -> Shadow:
        count = len(self.contexts)
        for step in range(count):
            index = (self._next + step) % count
            context = self.contexts[index]
            if not context.references:
                self._next = (index + 1) % count
                context.pending_unmap |= context.is_valid
                return context
        raise UsageError("every MMU context is held by a vCPU")
