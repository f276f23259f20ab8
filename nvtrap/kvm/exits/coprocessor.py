"""Where KVM takes a trapped AArch32 coprocessor access (arch/arm64/kvm/sys_regs.c, 6.12).

CP15 and CP14 have tables of their own; AArch32 ID registers (CP15 c0, and the floating
point ones of CP10) go to the AArch64 register of the same meaning. What no route has is
undefined.
"""

from __future__ import annotations

from nvtrap.arch.aarch32 import CoprocessorAccess, decode_coprocessor
from nvtrap.arch.encoding import encode
from nvtrap.arch.esr import (
    EC_CP10_ID,
    EC_CP14_32,
    EC_CP14_64,
    EC_CP14_LS,
    EC_CP15_32,
    EC_CP15_64,
    exception_class,
)
from nvtrap.errors import UsageError
from nvtrap.kvm.context import MASK_32, MASK_64, Context, increment_pc
from nvtrap.kvm.exits.coprocessor_tables import CP14, CP14_64, CP15, CP15_64, Entry
from nvtrap.kvm.exits.exceptions import inject_undefined

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    # (what an access is routed to, it, the value written) -> the value read, 0 for a write,
    # or None for an access that is undefined after all.
    Accessor = Callable[["Route", CoprocessorAccess, int], int | None]

TABLE, AARCH64, RAZ, UNDEF = "table", "aarch64-reroute", "raz", "undef"
TABLES = {EC_CP15_32: CP15, EC_CP15_64: CP15_64, EC_CP14_32: CP14, EC_CP14_64: CP14_64}
COPROCESSOR = frozenset({*TABLES, EC_CP14_LS, EC_CP10_ID})
LAST_ID_CRM = 3  # CP15 c0 beyond it is all zero
MVFR_CRM = 3
MVFR_OPC2 = {7: 0, 6: 1, 5: 2}  # VMRS's register number -> op2 of MVFR0_EL1, MVFR1_EL1, MVFR2_EL1


class Route:
    """Where an access goes: `where` is one of the four words above.

    `entry` is that of a table; `encoding` the AArch64 register's, also one that only reads
    as zero.
    """

    __slots__ = ("encoding", "entry", "where")

    def __init__(self, where: str, entry: Entry | None = None, encoding: int | None = None) -> None:
        self.where = where
        self.entry = entry
        self.encoding = encoding


def route(esr: int) -> Route:
    """Where the access of a syndrome with EC 3, 4, 5, 6, 8 or 12 goes.

    Raises `UsageError` for any other EC.
    """
    ec = exception_class(esr)
    if ec not in COPROCESSOR:
        raise UsageError(f"EC {ec:#04x} is no access to a coprocessor")
    if ec == EC_CP14_LS:
        return Route(UNDEF)
    access = decode_coprocessor(esr)
    if ec == EC_CP10_ID:
        return _route_cp10(access)
    if is_id_register(ec, access):
        return _route_id(access)
    entry = TABLES[ec].get(access.operands)
    return Route(UNDEF) if entry is None else Route(TABLE, entry)


def is_id_register(ec: int, access: CoprocessorAccess) -> bool:
    """Whether it is of CP15 c0 past CRm 0, where the AArch32 ID registers are.

    A write there is refused before Rt is read.
    """
    return ec == EC_CP15_32 and access.opc1 == 0 and access.crn == 0 and access.crm != 0


def _route_cp10(access: CoprocessorAccess) -> Route:
    if access.write or access.crn not in MVFR_OPC2:
        return Route(UNDEF)
    return Route(AARCH64, encoding=encode(3, 0, 0, MVFR_CRM, MVFR_OPC2[access.crn]))


def _route_id(access: CoprocessorAccess) -> Route:
    if access.write:
        return Route(UNDEF)
    where = AARCH64 if access.crm <= LAST_ID_CRM else RAZ
    return Route(where, encoding=encode(3, *access.operands))


def written_value(context: Context, access: CoprocessorAccess) -> int:
    """What a write writes: all 64 bits of Xt, or Rt's and Rt2's low words together."""
    value = context.register(access.rt)
    if access.rt2 is None:
        return value
    return (value & MASK_32 | context.register(access.rt2) << 32) & MASK_64


def write_back(context: Context, access: CoprocessorAccess, value: int) -> None:
    """What a read leaves: all 64 bits in Xt, or a word each in Rt and then Rt2."""
    if access.rt2 is None:
        context.set_register(access.rt, value)
    else:
        context.set_register(access.rt, value & MASK_32)
        context.set_register(access.rt2, value >> 32)


def merged(entry: Entry, old: int, written: int) -> int:
    """The AArch64 register after a write to its AArch32 half or whole (access_vm_reg)."""
    mask, shift = entry.mask
    return old & ~mask | (written & mask >> shift) << shift


def part(entry: Entry, value: int) -> int:
    """What a read of an AArch32 half or whole gives of the AArch64 register."""
    mask, shift = entry.mask
    return (value & mask) >> shift


def handle_coprocessor(context: Context, accessor: Accessor) -> str:
    """Handle the exit of a coprocessor access; the result is where it went.

    `accessor` reads or writes the register that the access is routed to.
    """
    found = route(context.esr)
    if found.where == UNDEF:
        inject_undefined(context)
        return UNDEF
    access = decode_coprocessor(context.esr)
    if found.where == RAZ:
        raz_does_not_skip(context, access)
        return RAZ
    value = accessor(found, access, written_value(context, access) if access.write else 0)
    if value is None:
        inject_undefined(context)
        return UNDEF
    increment_pc(context)
    if not access.write:
        write_back(context, access, value)
    return found.where


def raz_does_not_skip(context: Context, access: CoprocessorAccess) -> None:
    """An ID register beyond c3 reads as zero, but the PC is not moved past the read.

    The kernel moves it where an accessor has run, and here none does: the guest executes
    the same MRC for ever (kvm_emulate_cp15_id_reg).
    """
    write_back(context, access, 0)
