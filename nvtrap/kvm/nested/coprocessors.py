"""AArch32 at EL0 of a guest: accesses to coprocessors 10, 14 and 15.

KVM gives none of them to L1. The architecture would: HSTR_EL2 traps CP15 by its primary
register (DDI 0487, D24.2.64 "HSTR_EL2"), and the controls of an AArch64 register trap the
AArch32 register of the same meaning too (each control's own text in D24.2, and G8 for
which AArch64 register an AArch32 one is mapped to).
"""

from __future__ import annotations

from nvtrap.arch.aarch32 import PAIRS, CoprocessorAccess, decode_coprocessor
from nvtrap.arch.encoding import encode
from nvtrap.arch.esr import EC_CP10_ID, EC_CP14_LS, EC_CP15_32, EC_CP15_64, exception_class
from nvtrap.engine.table import FORWARD
from nvtrap.kvm.context import is_hyp_context
from nvtrap.kvm.exits.coprocessor import UNDEF, Route, handle_coprocessor, merged, part, route
from nvtrap.kvm.nested.registers import emulate_read, emulate_write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from nvtrap.kvm.exits.coprocessor_tables import Operands
    from nvtrap.kvm.nested.vcpu import NestedVcpu

NOT_BY_HSTR = frozenset({4, 14})
CP15_CLASSES = frozenset({EC_CP15_32, EC_CP15_64})
# Where the numbers of the two differ (G8.2, "AArch64 System register ... mapped").
_SINGLE: dict[Operands, str] = {
    (0, 2, 0, 2): "TCR_EL1",
    (0, 2, 0, 3): "TCR_EL1",
    (0, 3, 0, 0): "DACR32_EL2",
    (0, 5, 0, 0): "ESR_EL1",
    (0, 5, 0, 1): "IFSR32_EL2",
    (0, 6, 0, 0): "FAR_EL1",
    (0, 6, 0, 2): "FAR_EL1",
    (0, 10, 2, 0): "MAIR_EL1",
    (0, 10, 2, 1): "MAIR_EL1",
    (0, 10, 3, 0): "AMAIR_EL1",
    (0, 10, 3, 1): "AMAIR_EL1",
    (0, 0, 0, 1): "CTR_EL0",
    (1, 0, 0, 0): "CCSIDR_EL1",
    (1, 0, 0, 1): "CLIDR_EL1",
    (2, 0, 0, 0): "CSSELR_EL1",
}
_PAIR: dict[tuple[int, int], str] = {
    (0, 2): "TTBR0_EL1",
    (1, 2): "TTBR1_EL1",
    (0, 7): "PAR_EL1",
    (0, 9): "PMCCNTR_EL0",
    (0, 12): "ICC_SGI1R_EL1",
    (1, 12): "ICC_ASGI1R_EL1",
    (2, 12): "ICC_SGI0R_EL1",
    (0, 14): "CNTPCT_EL0",
    (1, 14): "CNTVCT_EL0",
    (2, 14): "CNTP_CVAL_EL0",
    (3, 14): "CNTV_CVAL_EL0",
    (8, 14): "CNTPCTSS_EL0",
    (9, 14): "CNTVCTSS_EL0",
}


def belongs_to_l1(vcpu: NestedVcpu) -> bool:
    """Whether the exit's access is one that L1 traps."""
    context = vcpu.context
    if not context.features.nv or is_hyp_context(context):
        return False
    ec = exception_class(context.esr)
    if ec == EC_CP14_LS:
        return False
    access = decode_coprocessor(context.esr)
    if ec in CP15_CLASSES and is_trapped_by_hstr(context.sysregs["HSTR_EL2"], ec, access):
        return True
    encoding = mapped_encoding(vcpu, ec, access)
    return encoding is not None and vcpu.kernel.decide(encoding, access.write).outcome is FORWARD


def is_trapped_by_hstr(hstr: int, ec: int, access: CoprocessorAccess) -> bool:
    """Whether HSTR_EL2.T<n> traps a CP15 access: n is CRn, or CRm of a pair; never 4 and 14."""
    primary = access.crm if ec == EC_CP15_64 else access.crn
    return primary not in NOT_BY_HSTR and hstr >> primary & 1 != 0


def mapped_encoding(vcpu: NestedVcpu, ec: int, access: CoprocessorAccess) -> int | None:
    """The AArch64 register of the same meaning, None where there is none.

    Mostly its operands are the same, with EL1 or EL0 in op1, and op0 2 for CP14.
    """
    machine = vcpu.machine
    if ec in PAIRS:
        name = _PAIR.get((access.opc1, access.crm)) if ec == EC_CP15_64 else None
        return None if name is None else machine.encoding(name)
    if ec == EC_CP10_ID:
        return route(vcpu.context.esr).encoding
    if ec == EC_CP15_32 and access.operands in _SINGLE:
        return machine.encoding(_SINGLE[access.operands])
    op0 = 3 if ec == EC_CP15_32 else 2
    if op0 == 3 and access.crn in (7, 8):
        op0 = 1
    for op1 in dict.fromkeys((access.opc1, 3)):
        encoding = encode(op0, op1, access.crn, access.crm, access.opc2)
        if machine.has_direction(encoding, access.write):
            return encoding
    return None


def emulate(vcpu: NestedVcpu) -> bool:
    """Handle an access that is the host's; false when it is undefined after all."""
    return handle_coprocessor(vcpu.context, lambda *found: _access(vcpu, *found)) != UNDEF


def _access(vcpu: NestedVcpu, found: Route, access: CoprocessorAccess, value: int) -> int | None:
    entry = found.entry
    if entry is not None and entry.accessor == "undef_access":
        return None
    if entry is not None and entry.accessor == "trap_raz_wi":
        return 0
    if entry is not None and entry.register:
        encoding: int | None = vcpu.machine.encoding(entry.register)
    elif found.encoding is not None:
        encoding = found.encoding
    else:
        encoding = mapped_encoding(vcpu, exception_class(vcpu.context.esr), access)
    if encoding is None:
        return None
    name = vcpu.machine.name_of(encoding, access.write)
    if not access.write:
        read = emulate_read(vcpu, name, encoding)
        return read if read is None or entry is None else part(entry, read)
    if entry is not None and entry.register:
        value = merged(entry, vcpu.registers[entry.register], value)
    return 0 if emulate_write(vcpu, name, encoding, value) else None
