"""The MMU of one vCPU with EL2: which context it runs on, and whose its faults are.

Linux 6.12, kvm_handle_guest_abort of arch/arm64/kvm/mmu.c, and nested.c. A fault of L2 is
L1's when L1's tables do not translate the address, or do not permit what L2 did; else it
is the host's, which maps memory into the shadow, or finds a device.
"""

from __future__ import annotations

from nvtrap.errors import UsageError
from nvtrap.kvm.context import MASK_64, is_hyp_context
from nvtrap.kvm.exits.exceptions import BACK_TO_GUEST, inject_nested_sync
from nvtrap.kvm.exits.mmio import AGED, FAULT_IN, Handled
from nvtrap.kvm.memory.faults import MemoryFault, fault_info, hpfar_of, syndrome
from nvtrap.kvm.memory.mmu import NO_VCPU
from nvtrap.kvm.memory.pagepool import PageCache
from nvtrap.kvm.memory.stage2 import SCTLR_EE, Fault, Stage2, permission_fault
from nvtrap.kvm.nested.shadow import Shadow

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from nvtrap.kvm.context import Context
    from nvtrap.kvm.exits.aborts import Abort
    from nvtrap.kvm.exits.mmio import AbortHandler
    from nvtrap.kvm.memory.mmu import Mmu, VmMmu
    from nvtrap.kvm.memory.stage2 import Translation
    from nvtrap.kvm.nested.shadow import Shadows

# What an abort turns out to be, beside the words of `nvtrap.kvm.exits.mmio`.
L1_FAULT = "l1_fault"  # given to L1
RESTART = "restart"  # its address cannot be found: the guest is to try again
MOST_FAULTS = 8
"""How often one access may fault before it is left to the guest to try again."""


class VcpuMmu:
    """The MMU of vCPU `index` of a VM.

    `aborts` handles what is not memory. `mmu` is the loaded context, None before the
    first load and between an end of reference and the next; `cpu` where it is loaded.
    `checks_fetch`: see `MemoryFault`.
    """

    __slots__ = (
        "aborts",
        "cache",
        "checks_fetch",
        "context",
        "cpu",
        "index",
        "mmu",
        "shadows",
        "vm",
    )

    def __init__(
        self,
        vm: VmMmu,
        shadows: Shadows,
        index: int,
        context: Context,
        aborts: AbortHandler,
        *,
        checks_fetch: bool = False,
    ) -> None:
        """Raises `OSError` ENOMEM when there are no pages for its shadow tables."""
        self.vm = vm
        self.shadows = shadows
        self.index = index
        self.context = context
        self.aborts = aborts
        self.cache = PageCache(vm.host.pages)
        self.checks_fetch = checks_fetch
        self.mmu: Mmu | None = None
        self.cpu = NO_VCPU
        if context.features.nv:
            shadows.add_vcpu()

    # ---- on and off a CPU ----------------------------------------------------------

    def load(self, cpu: int) -> Mmu:
        """The vCPU comes onto `cpu`: its context, with a VMID (kvm_arch_vcpu_load).

        Hypervisor context runs on the VM's own stage 2, everything below on a shadow.
        """
        mmu = self.mmu
        if mmu is None:
            if not self.context.features.nv or is_hyp_context(self.context):
                mmu = self.vm.mmu
            else:
                mmu = self.shadows.get(*self._registers())
            self.mmu = mmu
        mmu.activate(cpu, self.index)
        self.cpu = cpu
        self.aborts.ia_bits = mmu.table.ia_bits
        return mmu

    def put(self, *, scheduled_out: bool = False) -> None:
        """The vCPU leaves its CPU.

        It keeps its context when it is only scheduled out (and does not wait in WFI), being
        likely to need it again (kvm_vcpu_put_hw_mmu).
        """
        self._loaded()
        if not scheduled_out:
            if isinstance(self.mmu, Shadow):
                self.shadows.put(self.mmu)
            self.mmu = None
        self.vm.host.vmids.clear_active(self.cpu)
        self.cpu = NO_VCPU

    def enter(self) -> None:
        """Before the guest is entered: nothing of another context may be mapped."""
        if isinstance(self.mmu, Shadow):
            self.mmu.finish_unmap()

    # ---- faults --------------------------------------------------------------------

    def access(
        self,
        ipa: int,
        kind: str,
        *,
        far: int | None = None,
        iss: int = 0,
        translate: Callable[[int], int | None] | None = None,
    ) -> int | Handled:
        """An access of the guest at `ipa`: its physical address, or what became of it.

        The hardware translates it, and the host maps what is missing until it does. `far`
        is the virtual address (the IPA with stage 1 off), `iss` what the syndrome says of
        the instruction, `translate` its stage 1, as in `fault_info`. The vCPU is loaded.
        """
        mmu, far = self._loaded(), ipa if far is None else far
        for _ in range(MOST_FAULTS):
            pa, status = mmu.translate(self.cpu, ipa, kind)
            if not status:
                return pa
            esr = syndrome(kind, status, iss)
            abort = fault_info(esr, far, hpfar_of(ipa), translate or (lambda _: ipa))
            if abort is None:
                return Handled(RESTART)
            handled = self.handle(abort)
            if handled.outcome not in {FAULT_IN, AGED} or handled.ret != BACK_TO_GUEST:
                return handled
            if self.context.pending:
                return handled
        return Handled(RESTART)

    def handle(self, abort: Abort) -> Handled:
        """Handle an abort of the guest that is loaded (kvm_handle_guest_abort)."""
        context = self.context
        context.esr = abort.esr
        handled = self.aborts.before_lookup(context, abort)
        if handled is not None:
            return handled
        ipa, nested = abort.ipa, None
        if isinstance(self.mmu, Shadow) and self.mmu.translates:
            found = self.walk(ipa)
            if isinstance(found, Fault):
                self._give_to_l1(abort, found.esr(abort.esr))
                return Handled(L1_FAULT, found.errno or BACK_TO_GUEST)
            esr = permission_fault(found, abort.esr)
            if esr is not None:
                self._give_to_l1(abort, esr)
                return Handled(L1_FAULT)
            ipa, nested = found.output, found
        return self._at(abort, ipa, nested)

    def walk(self, ipa: int) -> Translation | Fault:
        """What L1's own stage 2, as its registers have it now, says about an IPA of L2."""
        registers = self.context.sysregs
        stage2 = Stage2(
            registers["VTCR_EL2"],
            registers["VTTBR_EL2"],
            big_endian=registers["SCTLR_EL2"] & SCTLR_EE != 0,
            ipa_limit=self.vm.host.pa_bits,
        )
        return stage2.walk(ipa, self._read)

    def _at(self, abort: Abort, ipa: int, nested: Translation | None) -> Handled:
        handled = self.aborts.at(self.context, abort, ipa)
        mmu = self._loaded()
        if handled.outcome == AGED:
            mmu.table.make_young(abort.ipa)
        elif handled.outcome == FAULT_IN:
            slot = self.vm.slots.find(ipa)
            if slot is not None:
                fault = MemoryFault(
                    self.vm, mmu, self.cache, abort, ipa, nested, checks_fetch=self.checks_fetch
                )
                handled.ret = fault.handle(self.context, slot)
        return handled

    def _give_to_l1(self, abort: Abort, esr: int) -> None:
        registers = self.context.sysregs
        registers["FAR_EL2"] = abort.far & MASK_64
        registers["HPFAR_EL2"] = abort.hpfar & MASK_64
        inject_nested_sync(self.context, esr)

    def _read(self, address: int) -> int:
        return self.vm.slots.read(address, 8)

    def _registers(self) -> tuple[int, int, int]:
        registers = self.context.sysregs
        return registers["VTTBR_EL2"], registers["VTCR_EL2"], registers["HCR_EL2"]

    def _loaded(self) -> Mmu:
        if self.mmu is None or self.cpu == NO_VCPU:
            raise UsageError(f"vCPU {self.index} is not loaded")
        return self.mmu
