"""A vCPU's architectural context, and which of L1's contexts it runs.

KVM's words: *hypervisor context* is vEL2, or anything below it while HCR_EL2.TGE is set;
*host EL0* is the part of that which is not vEL2. KVM changes the guest's PC and PSTATE
late, at its next entry: until then an exception or an instruction skip is *pending*.
"""

from __future__ import annotations

from nvtrap.arch.pstate import EL2H, EL2T, MODE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping

MASK_64 = (1 << 64) - 1
MASK_32 = (1 << 32) - 1
ZERO_REGISTER = 31

HCR_HCD = 1 << 29
HCR_IMO = 1 << 4
HCR_TSC = 1 << 19
HCR_TGE = 1 << 27
HCR_E2H = 1 << 34
HCR_NV = 1 << 42

# What is pending, as the kernel packs it (include/asm/kvm_host.h): bit 0 says that an
# exception is, bits 3:1 say which; without it bit 1 means that the PC moves on.
NOTHING_PENDING = 0b0000
INCREMENT_PC = 0b0010
EXCEPTION = 0b0001
EXCEPTION_BITS = 0b1110
EL1_SYNC = EXCEPTION | 0 << 1
EL2_SYNC = EXCEPTION | 4 << 1
EL2_IRQ = EXCEPTION | 5 << 1
# The same bits mean other exceptions where EL1 is AArch32.
AARCH32_UNDEF = EXCEPTION | 0 << 1
AARCH32_PREFETCH_ABORT = EXCEPTION | 1 << 1
AARCH32_DATA_ABORT = EXCEPTION | 2 << 1


class Features:
    """What a VM has, as far as exceptions depend on it.

    `nv`: the vCPU has EL2. `e2h0`: HCR_EL2.E2H can be 0; without it E2H reads as one.
    `el1_32bit`: EL1 is AArch32 (no `nv` then). `mte`, `ptrauth`: MTE, pointer
    authentication; `pauth2`, `fpaccombine`: at least these levels of the latter.
    """

    __slots__ = ("e2h0", "el1_32bit", "fpaccombine", "mte", "nv", "pauth2", "ptrauth")

    def __init__(
        self,
        *,
        nv: bool = True,
        e2h0: bool = True,
        el1_32bit: bool = False,
        mte: bool = False,
        ptrauth: bool = True,
        pauth2: bool = True,
        fpaccombine: bool = True,
    ) -> None:
        self.nv = nv
        self.e2h0 = e2h0
        self.el1_32bit = el1_32bit
        self.mte = mte
        self.ptrauth = ptrauth
        self.pauth2 = pauth2
        self.fpaccombine = fpaccombine


class Registers(dict[str, int]):
    """System registers by architectural name; one that was never written reads as zero."""

    __slots__ = ()

    def __missing__(self, name: str) -> int:
        return 0


class Context:
    """One vCPU between two of its exits; all values are 64-bit numbers.

    `x`: X0 to X30. `sysregs`: system registers by name, absent ones reading as zero, those
    of vEL2 as L1 last wrote them. `pending`: see above. `esr`: the syndrome of the exit
    being handled. `pacga` gives the result of PACGA for a pointer, a modifier and the two
    halves of a key. `put` and `load` are called with the context around a switch between
    L1's contexts, PC and PSTATE being the old ones at the put and the new ones at the
    load. `trace`, if there is one, gets an event's name and the values that the kernel's
    event of it carries.
    """

    __slots__ = (
        "esr",
        "features",
        "load",
        "pacga",
        "pc",
        "pending",
        "pstate",
        "put",
        "sysregs",
        "trace",
        "x",
    )

    def __init__(
        self,
        features: Features | None = None,
        sysregs: MutableMapping[str, int] | None = None,
        *,
        pc: int = 0,
        pstate: int = EL2H,
        put: Callable[[Context], None] | None = None,
        load: Callable[[Context], None] | None = None,
    ) -> None:
        self.features = Features() if features is None else features
        self.sysregs: MutableMapping[str, int] = Registers() if sysregs is None else sysregs
        self.x = [0] * ZERO_REGISTER
        self.pc = pc
        self.pstate = pstate
        self.esr = 0
        self.pending = NOTHING_PENDING
        self.pacga: Callable[[int, int, int, int], int] = implementation_defined_pacga
        self.put = _unwatched if put is None else put
        self.load = _unwatched if load is None else load
        self.trace: Callable[[str, tuple[int, ...]], None] | None = None

    def register(self, number: int) -> int:
        """The general register that a syndrome names, 0..31; 31 reads as zero."""
        return 0 if number == ZERO_REGISTER else self.x[number]

    def set_register(self, number: int, value: int) -> None:
        """Write the general register that a syndrome names; 31 is never written."""
        if number != ZERO_REGISTER:
            self.x[number] = value & MASK_64


def implementation_defined_pacga(pointer: int, modifier: int, low: int, high: int) -> int:
    """A PACGA of this model's own: 32 bits of code in bits 63:32.

    The architecture leaves the algorithm to the implementation (FEAT_PACIMP).
    """
    code = low
    for word in (pointer, modifier, high):
        code = (code ^ word) * 0x9E37_79B9_7F4A_7C15 & MASK_64
        code ^= code >> 32
    return code << 32 & MASK_64


def _unwatched(_: Context) -> None:
    pass


def pend(context: Context, exception: int) -> None:
    """Have the guest take `exception` at its next entry, instead of what was pending."""
    context.pending = context.pending & ~EXCEPTION_BITS | exception


def increment_pc(context: Context) -> None:
    """Have the instruction skipped at the next entry.

    With an exception pending this is a fault of the host, and does what the kernel's flags
    do: EL1_SYNC becomes an exception that is dropped, EL2_SYNC becomes EL2_IRQ.
    """
    context.pending |= INCREMENT_PC


def is_el2(context: Context) -> bool:
    """Whether the vCPU is at vEL2."""
    mode = context.pstate & MODE
    return mode in (EL2H, EL2T)


def is_e2h(context: Context) -> bool:
    """Whether HCR_EL2.E2H is set, or reads as one."""
    return not context.features.e2h0 or context.sysregs["HCR_EL2"] & HCR_E2H != 0


def is_tge(context: Context) -> bool:
    """Whether HCR_EL2.TGE is set."""
    return context.sysregs["HCR_EL2"] & HCR_TGE != 0


def is_hyp_context(context: Context) -> bool:
    """Whether it runs L1's hypervisor or its host user space, whatever E2H says.

    TGE alone is enough for KVM: the architecture's combination of TGE without E2H is
    taken for host EL0 (include/asm/kvm_emulate.h, is_hyp_ctxt).
    """
    return context.features.nv and (is_tge(context) or is_el2(context))


def is_host_el0(context: Context) -> bool:
    """Whether it is in hypervisor context, and not at vEL2."""
    return is_hyp_context(context) and not is_el2(context)
