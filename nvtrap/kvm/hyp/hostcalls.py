"""Calls of the host into its own EL2, on a host without VHE.

There the kernel runs at EL1, and has code run at EL2 by an HVC: a function's number in X0
and its arguments behind it. Which vectors EL2 has decides what a call can do. Linux 6.12:
hyp/nvhe/hyp-init.S, host.S and hyp-main.c of arch/arm64/kvm, asm/virt.h, kernel/hyp-stub.S.
The functions are those of a host that does not protect its VMs from itself.
"""

from __future__ import annotations

from nvtrap.errors import UnknownNameError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# Which vectors EL2 has: the boot stub's, those of KVM's initialisation, KVM's own.
STUB, INIT, FINAL = "stub", "init", "final"

# Calls that any vectors may answer; numbers below STUB_CALLS are meant as one of them.
SET_VECTORS, SOFT_RESTART, RESET_VECTORS, FINALISE_EL2 = 0, 1, 2, 3
STUB_CALLS = 4
STUB_ERROR = 0xBADC_A11
SUCCESS, NOT_SUPPORTED = 0, (1 << 64) - 1

# SMCCC: a fast call of 64 bits, of the vendor's hypervisor (owner 6); a hint is no part of it.
FIRST_FUNCTION = 1 << 31 | 1 << 30 | 6 << 24
HINT = 1 << 16
HYP_INIT = "__kvm_hyp_init"
MOST_ARGUMENTS = 3
HOST_VMID = 0

# Number → (function, its arguments); what stands between belongs to protected VMs.
FUNCTIONS: dict[int, tuple[str, tuple[str, ...]]] = {
    0: (HYP_INIT, ("params",)),
    1: ("__kvm_get_mdcr_el2", ()),
    5: ("__kvm_enable_ssbs", ()),
    6: ("__vgic_v3_init_lrs", ()),
    7: ("__vgic_v3_get_gic_config", ()),
    11: ("__kvm_adjust_pc", ("vcpu",)),
    12: ("__kvm_vcpu_run", ("vcpu",)),
    13: ("__kvm_flush_vm_context", ()),
    14: ("__kvm_tlb_flush_vmid_ipa", ("mmu", "ipa", "level")),
    15: ("__kvm_tlb_flush_vmid_ipa_nsh", ("mmu", "ipa", "level")),
    16: ("__kvm_tlb_flush_vmid", ("mmu",)),
    17: ("__kvm_tlb_flush_vmid_range", ("mmu", "ipa", "pages")),
    18: ("__kvm_flush_cpu_context", ("mmu",)),
    19: ("__kvm_timer_set_cntvoff", ("cntvoff",)),
    20: ("__vgic_v3_save_vmcr_aprs", ("cpu_if",)),
    21: ("__vgic_v3_restore_vmcr_aprs", ("cpu_if",)),
}
NUMBERS = {name: number for number, (name, _) in FUNCTIONS.items()}

GUEST_TRAP = "guest"
"""An HVC that is no call of the host, but a guest's exit."""


def function_id(name: str) -> int:
    """X0 of a call.

    Raises `UnknownNameError`.
    """
    if name not in NUMBERS:
        raise UnknownNameError("host call", name, NUMBERS)
    return FIRST_FUNCTION | NUMBERS[name]


class El2:
    """EL2 of one CPU of the host, from the boot stub on.

    `vectors` is one of the words above, `vbar` their address; `mmu_on` whether it runs on
    tables of its own, at `ttbr`. `functions` are what a call runs, by name; what is not
    there is not supported. `initialise` is called with the parameters of `__kvm_hyp_init`
    and gives the base of EL2's tables and the address of the final vectors.
    """

    __slots__ = (
        "_init_vbar",
        "_stub_vbar",
        "functions",
        "initialise",
        "mmu_on",
        "ttbr",
        "vbar",
        "vectors",
        "vmid",
    )

    def __init__(
        self,
        functions: Mapping[str, Callable[..., int]],
        initialise: Callable[[int], tuple[int, int]],
        *,
        stub: int,
        init: int,
    ) -> None:
        """`stub` and `init` are the physical addresses of the first two vectors.

        Raises `UnknownNameError` for a function that no call has.
        """
        for name in functions:
            function_id(name)
        self.functions = functions
        self.initialise = initialise
        self._stub_vbar = stub
        self._init_vbar = init
        self.vmid = HOST_VMID
        """VTTBR_EL2.VMID: that of the host is 0, which no guest has."""
        self.reset()

    def reset(self) -> None:
        """Back to the boot stub, with the MMU off: RESET_VECTORS, or the CPU lost power."""
        self.vectors = STUB
        self.vbar = self._stub_vbar
        self.mmu_on = False
        self.ttbr = 0

    def call(self, name: str, *arguments: int) -> int:
        """A call of the host, up to three arguments; what the function returns.

        Raises `UsageError` for the wrong number of arguments, and when it is not
        supported, `UnknownNameError` when there is no such function.
        """
        id = function_id(name)
        expected = FUNCTIONS[NUMBERS[name]][1]
        if len(arguments) != len(expected):
            wants = f"takes {len(expected)} arguments ({', '.join(expected)})"
            raise UsageError(f"host call `{name}` {wants}, not {len(arguments)}")
        answer = self.hvc(id, *arguments)
        if isinstance(answer, str) or answer[0] != SUCCESS:
            raise UsageError(f"host call `{name}` is not supported with {self.vectors} vectors")
        return answer[1]

    def hvc(self, x0: int, x1: int = 0, x2: int = 0, x3: int = 0) -> tuple[int, int] | str:
        """An HVC from below EL2: (X0, X1) after it, or GUEST_TRAP.

        Only code that runs under the host's VMID calls; any other is a guest's, whatever its
        registers say.
        """
        if self.vmid != HOST_VMID:
            return GUEST_TRAP
        if x0 < STUB_CALLS:
            return self._stub_call(x0, x1), x1
        if self.vectors == STUB:
            return STUB_ERROR, x1
        number = (x0 & ~HINT) - FIRST_FUNCTION
        name, arguments = FUNCTIONS.get(number, ("", ()))
        if self.vectors == INIT:
            if name != HYP_INIT:
                return NOT_SUPPORTED, x1
            self.ttbr, self.vbar = self.initialise(x1)
            self.mmu_on = True
            self.vectors = FINAL
            return SUCCESS, x1
        function = self.functions.get(name)
        if function is None or name == HYP_INIT:
            return NOT_SUPPORTED, x1
        return SUCCESS, function(*(x1, x2, x3)[: len(arguments)]) & (1 << 64) - 1

    def _stub_call(self, number: int, argument: int) -> int:
        """KVM's vectors answer to RESET_VECTORS alone (SOFT_RESTART does not come back)."""
        if number in {RESET_VECTORS, SOFT_RESTART}:
            if self.vectors != STUB:
                self.reset()
            return SUCCESS
        if self.vectors != STUB:
            return STUB_ERROR
        if number == SET_VECTORS:
            self.vbar = argument
            self.vectors = INIT if argument == self._init_vbar else self.vectors
        return SUCCESS
