"""Stage-2 aborts: RAM, devices in the host or in user space, or given back to the guest.

This is KVM's way with them (arch/arm64/kvm/mmu.c, kvm_handle_guest_abort, and mmio.c of
Linux 6.12). What it does otherwise than a CPU would:

* **Lost sign extension**: a loaded value is sign-extended first and cut to the size of the
  access last, so LDRSB, LDRSH and LDRSW from a device load as LDRB, LDRH and LDR do.
* **Size fault in ESR_EL1**: an address beyond the host's limit is to be an address size
  fault, but its status is put into ESR_EL1 only; vEL2 is told of an external abort.
* **Byte order of vEL2**: see `nvtrap.kvm.exits.endian`.
"""

from __future__ import annotations

from errno import EFAULT, ENOSYS

from nvtrap.kvm.context import (
    AARCH32_DATA_ABORT,
    AARCH32_PREFETCH_ABORT,
    AARCH32_UNDEF,
    EL1_SYNC,
    EL2_SYNC,
    MASK_32,
    increment_pc,
)
from nvtrap.kvm.exits.aborts import (
    CM,
    FSC,
    ISV,
    S1PTW,
    SF,
    SSE,
    WNR,
    is_access_flag_fault,
    is_external_abort,
    is_instruction_abort,
    is_permission_fault,
    is_translation_fault,
    is_write_fault,
)
from nvtrap.kvm.exits.endian import is_big_endian
from nvtrap.kvm.exits.exceptions import BACK_TO_GUEST, inject_data_abort, inject_prefetch_abort

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from nvtrap.kvm.context import Context
    from nvtrap.kvm.exits.aborts import Abort

TO_USER_SPACE = 0
TTBCR_EAE = 1 << 31
_SYNCHRONOUS = frozenset({EL1_SYNC, EL2_SYNC})
_SYNCHRONOUS_AARCH32 = frozenset({AARCH32_UNDEF, AARCH32_PREFETCH_ABORT, AARCH32_DATA_ABORT})

# What may lie behind an IPA.
NO_SLOT, READ_ONLY, RAM = "none", "readonly", "ram"

# What an abort turns out to be.
BEYOND_PARANGE = "beyond_parange"  # no host has such addresses: a size fault
BEYOND_IPA_RANGE = "beyond_ipa_range"  # this VM has not: an external abort
HOST_ERROR = "sea"  # the memory itself failed
UNSUPPORTED = "efault"  # a status that the host knows nothing to do about
NO_CODE = "instruction_no_memory"  # code, or the guest's tables,
NO_TABLES = "s1ptw"  # where there is no memory: an external abort
SKIPPED = "cmo_skip"  # cache maintenance of what no cache holds
NO_SYNDROME = "enosys"  # a device, but nobody knows how it was accessed
NO_SYNDROME_EXIT = "nisv_exit"  # the same, and user space wants to know
DEVICE_EXIT = "mmio_exit"  # a device that user space is asked about
DEVICE = "mmio_in_kernel"  # a device of the host's
AGED = "access_flag"  # RAM whose mapping was marked old
FAULT_IN = "ram_fault"  # RAM that is to be mapped
_DEVICE = "device"


class Access:
    """An access to a device, as a valid syndrome tells it; `size` is 1, 2, 4 or 8 bytes."""

    __slots__ = ("address", "is_64bit", "is_signed", "is_write", "register", "size")

    def __init__(self, esr: int, address: int) -> None:
        self.address = address
        self.size = 1 << (esr >> 22 & 3)
        self.is_write = esr & WNR != 0
        self.is_signed = esr & SSE != 0
        self.is_64bit = esr & SF != 0
        self.register = esr >> 16 & 0x1F

    def stored(self, value: int, big_endian: bool) -> bytes:
        """The bytes, in the order of memory, with which a register's value is stored."""
        value &= (1 << 8 * self.size) - 1
        return value.to_bytes(self.size, "big" if big_endian else "little")

    def loaded(self, data: bytes, big_endian: bool) -> int:
        """The register's value after `data`, in the order of memory, was loaded.

        See "lost sign extension" above: `is_signed` and `is_64bit` come to nothing, as
        every extension ends up cut.
        """
        value = int.from_bytes(data[: self.size], "little")
        sign = 1 << 8 * self.size - 1
        if self.is_signed and self.size < 8:
            value = (value ^ sign) - sign
        if not self.is_64bit:
            value &= MASK_32
        return int.from_bytes(self.stored(value, big_endian), "little")


class Exit:
    """What user space is told of an access.

    With `access`, it is asked to do it, `data` being the bytes of a store; without, it
    gets `iss`, what is sound in an invalid syndrome, and the `address`.
    """

    __slots__ = ("access", "address", "data", "iss")

    def __init__(
        self, address: int, *, access: Access | None = None, data: bytes = b"", iss: int = 0
    ) -> None:
        self.address = address
        self.access = access
        self.data = data
        self.iss = iss


class Handled:
    """What became of an abort: `outcome` is one of the words above.

    `ret` is the kernel's: 1 back to the guest, 0 to user space with `exit`, or an error.
    `serror` says that an SError was queued for the guest. For FAULT_IN and AGED the memory
    is still to be mapped.
    """

    __slots__ = ("exit", "outcome", "ret", "serror")

    def __init__(
        self,
        outcome: str,
        ret: int = BACK_TO_GUEST,
        *,
        exit: Exit | None = None,
        serror: bool = False,
    ) -> None:
        self.outcome = outcome
        self.ret = ret
        self.exit = exit
        self.serror = serror


def early_end(abort: Abort, ia_bits: int, ipa_limit: int) -> str | None:
    """What an abort is whatever lies at its address, or None.

    `ia_bits` and `ipa_limit` are the bits of an IPA of the VM, and of the host's largest.
    """
    esr = abort.esr
    if is_translation_fault(esr):
        if abort.ipa >> ipa_limit:
            return BEYOND_PARANGE
        if abort.ipa >> ia_bits:
            return BEYOND_IPA_RANGE
    elif is_external_abort(esr):
        return HOST_ERROR
    elif not is_permission_fault(esr) and not is_access_flag_fault(esr):
        return UNSUPPORTED
    return None


def at_slot(esr: int, slot: str) -> str:
    """What an abort is at an address with `slot` behind it; "device" for the rest."""
    if slot == RAM or (slot == READ_ONLY and not is_write_fault(esr)):
        return AGED if is_access_flag_fault(esr) else FAULT_IN
    if is_instruction_abort(esr):
        return NO_CODE
    if esr & S1PTW:
        return NO_TABLES
    return SKIPPED if slot == NO_SLOT and esr & CM else _DEVICE


class AbortHandler:
    """The aborts of one vCPU.

    `slot` says what lies behind an IPA. `device`, for an access and the bytes of a store,
    gives the bytes of a load (none for a store), or None where the host has no device.
    `no_syndrome_to_user` is the VM's choice to be told of invalid syndromes;
    `claims_error` says whether the host takes care of a memory error.
    """

    __slots__ = (
        "claims_error",
        "device",
        "ia_bits",
        "ipa_limit",
        "no_syndrome_to_user",
        "pending",
        "slot",
    )

    def __init__(
        self,
        slot: Callable[[int], str],
        device: Callable[[Access, bytes], bytes | None],
        *,
        ia_bits: int = 40,
        ipa_limit: int = 48,
        no_syndrome_to_user: bool = False,
        claims_error: Callable[[], bool] = lambda: False,
    ) -> None:
        self.slot = slot
        self.device = device
        self.ia_bits = ia_bits
        self.ipa_limit = ipa_limit
        self.no_syndrome_to_user = no_syndrome_to_user
        self.claims_error = claims_error
        self.pending: Access | None = None
        """The access that user space is asked for."""

    def handle(self, context: Context, abort: Abort) -> Handled:
        """Handle an abort of the guest at its own stage 2; `context.esr` is the abort's."""
        return self.before_lookup(context, abort) or self.at(context, abort, abort.ipa)

    def before_lookup(self, context: Context, abort: Abort) -> Handled | None:
        """Handle what does not depend on the address; None when it does.

        An abort of L2 is then looked up in L1's tables, and goes on at what they say.
        """
        outcome = early_end(abort, self.ia_bits, self.ipa_limit)
        if outcome is None:
            return None
        if outcome == UNSUPPORTED:
            return Handled(outcome, -EFAULT)
        if outcome == HOST_ERROR:
            return Handled(outcome, serror=not self.claims_error())
        _inject(context, abort, abort.at(abort.ipa))
        if outcome == BEYOND_PARANGE:
            _make_size_fault(context)
        return Handled(outcome)

    def at(self, context: Context, abort: Abort, ipa: int) -> Handled:
        """Handle an abort at `ipa`, the address in the VM's own memory."""
        outcome = at_slot(abort.esr, self.slot(ipa))
        if outcome == _DEVICE:
            return self._access(context, abort, abort.at(ipa))
        if outcome in (NO_CODE, NO_TABLES):
            _inject(context, abort, abort.far)
        if outcome == SKIPPED:
            increment_pc(context)
        return Handled(outcome)

    def complete(self, context: Context, data: bytes) -> None:
        """Finish the access that is pending, at the next run; `data` is what was loaded.

        User space may have given the guest an abort instead: then nothing is loaded, and
        nothing skipped.
        """
        access, self.pending = self.pending, None
        if access is not None and not _has_exception(context):
            _finish(context, access, data)

    def _access(self, context: Context, abort: Abort, address: int) -> Handled:
        if not abort.esr & ISV:
            if not self.no_syndrome_to_user:
                return Handled(NO_SYNDROME, -ENOSYS)
            iss = abort.esr & (CM | WNR | FSC)
            return Handled(NO_SYNDROME_EXIT, TO_USER_SPACE, exit=Exit(address, iss=iss))
        access = Access(abort.esr, address)
        data = b""
        if access.is_write:
            data = access.stored(context.register(access.register), _is_big_endian(context))
        answer = self.device(access, data)
        if answer is not None:
            _finish(context, access, answer)
            return Handled(DEVICE, exit=Exit(address, access=access, data=data))
        self.pending = access
        exit = Exit(address, access=access, data=data)
        return Handled(DEVICE_EXIT, TO_USER_SPACE, exit=exit)


def _finish(context: Context, access: Access, data: bytes) -> None:
    """Load what came, and go on behind the instruction."""
    if not access.is_write:
        context.set_register(access.register, access.loaded(data, _is_big_endian(context)))
    increment_pc(context)


def _inject(context: Context, abort: Abort, address: int) -> None:
    if is_instruction_abort(abort.esr):
        inject_prefetch_abort(context, address)
    else:
        inject_data_abort(context, address)


def _make_size_fault(context: Context) -> None:
    """See "size fault in ESR_EL1" above; a short descriptor format cannot say it at all."""
    registers = context.sysregs
    if not context.features.el1_32bit or registers["TCR_EL1"] & TTBCR_EAE:
        registers["ESR_EL1"] &= ~FSC


def _is_big_endian(context: Context) -> bool:
    return is_big_endian(context.pstate, context.sysregs["SCTLR_EL1"])


def _has_exception(context: Context) -> bool:
    if context.features.el1_32bit:
        return context.pending in _SYNCHRONOUS_AARCH32
    return context.pending in _SYNCHRONOUS
