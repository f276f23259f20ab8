"""What a trapped AArch32 instruction says: its condition, the IT state, its ISS.

ISS layouts (DDI 0487, D24.2.37, "ISS encoding for an exception from an MCR or MRC access",
"from an MCRR or MRRC access" and "from an LDC or STC")::

    all        CV[24] COND[23:20] ... direction[0]
    MCR, MRC   opc2[19:17] opc1[16:14] CRn[13:10] Rt[9:5] CRm[4:1]
    MCRR, MRRC opc1[19:16] Rt2[14:10] Rt[9:5] CRm[4:1]

Direction 1 is a read. Rt and Rt2 are the AArch64 numbers of the registers, 31 is none.
"""

from __future__ import annotations

from nvtrap.arch.esr import (
    EC_CP10_ID,
    EC_CP14_32,
    EC_CP14_64,
    EC_CP14_LS,
    EC_CP15_32,
    EC_CP15_64,
    EC_FP_ASIMD,
    EC_SHIFT,
    EC_SVC32,
    IL,
    exception_class,
)
from nvtrap.arch.pstate import AARCH32, IT, T32
from nvtrap.errors import UsageError

CV = 1 << 24
COND_SHIFT = 20
ALWAYS, NEVER = 0xE, 0xF
CONDITIONAL = frozenset(
    {
        EC_CP15_32,
        EC_CP15_64,
        EC_CP14_32,
        EC_CP14_LS,
        EC_FP_ASIMD,
        EC_CP10_ID,
        EC_CP14_64,
        EC_SVC32,
    }
)
PAIRS = frozenset({EC_CP15_64, EC_CP14_64})
SINGLES = frozenset({EC_CP15_32, EC_CP14_32, EC_CP10_ID})


# ---- conditions -------------------------------------------------------------------


def condition_holds(condition: int, pstate: int) -> bool:
    """Whether condition 0..15 holds for the flags in `pstate`.

    0xF fails, as KVM has it; the architecture executes it (DDI 0487, F2.3.1).
    """
    n, z, c, v = pstate >> 31 & 1, pstate >> 30 & 1, pstate >> 29 & 1, pstate >> 28 & 1
    if condition >= ALWAYS:
        return condition == ALWAYS
    holds = (z, c, n, v, c and not z, n == v, n == v and not z)[condition >> 1]
    return bool(holds) != bool(condition & 1)


def is_executed(esr: int, pstate: int) -> bool:
    """Whether the trapped instruction passes its condition check (kvm_condition_valid).

    Without a condition in the syndrome the IT state has it, none meaning always.
    """
    if not pstate & AARCH32 or exception_class(esr) not in CONDITIONAL:
        return True
    if esr & CV:
        return condition_holds(esr >> COND_SHIFT & 0xF, pstate)
    state = it_state(pstate)
    return not state or condition_holds(state >> 4, pstate)


def it_state(pstate: int) -> int:
    """IT[7:0], of which PSTATE holds [7:2] in bits 15:10 and [1:0] in bits 26:25."""
    return pstate >> 8 & 0xFC | pstate >> 25 & 3


def with_it_state(pstate: int, state: int) -> int:
    """`pstate` with another IT[7:0]."""
    return pstate & ~IT | (state & 0xFC) << 8 | (state & 3) << 25


def advance_it(pstate: int) -> int:
    """The IT state after one more instruction; only T32 has one (AArch32.ITAdvance)."""
    state = it_state(pstate)
    if not pstate & T32 or not state:
        return pstate
    advanced = state & 0xE0 | state << 1 & 0x1F if state & 7 else 0
    return with_it_state(pstate, advanced)


# ---- accesses ---------------------------------------------------------------------


class CoprocessorAccess:
    """An MCR, MRC, VMRS, MCRR or MRRC, as its syndrome has it.

    `rt2` is None where one register is moved; `crn` and `opc2` are 0 where two are.
    """

    __slots__ = ("crm", "crn", "opc1", "opc2", "rt", "rt2", "write")

    def __init__(
        self,
        opc1: int,
        crn: int,
        crm: int,
        opc2: int,
        *,
        write: bool,
        rt: int = 0,
        rt2: int | None = None,
    ) -> None:
        self.opc1 = opc1
        self.crn = crn
        self.crm = crm
        self.opc2 = opc2
        self.write = write
        self.rt = rt
        self.rt2 = rt2

    @property
    def operands(self) -> tuple[int, int, int, int]:
        """(opc1, CRn, CRm, opc2)."""
        return self.opc1, self.crn, self.crm, self.opc2


def decode_coprocessor(esr: int) -> CoprocessorAccess:
    """The access of a syndrome with EC 3, 4, 5, 8 or 12.

    Raises `UsageError` for any other EC; LDC and STC (EC 6) name no register.
    """
    ec = exception_class(esr)
    write, rt, crm = not esr & 1, esr >> 5 & 31, esr >> 1 & 15
    if ec in PAIRS:
        return CoprocessorAccess(esr >> 16 & 15, 0, crm, 0, write=write, rt=rt, rt2=esr >> 10 & 31)
    if ec not in SINGLES:
        raise UsageError(f"EC {ec:#04x} is no access to a coprocessor register")
    return CoprocessorAccess(esr >> 14 & 7, esr >> 10 & 15, crm, esr >> 17 & 7, write=write, rt=rt)


def encode_coprocessor(ec: int, access: CoprocessorAccess, condition: int | None = ALWAYS) -> int:
    """The syndrome of `access`, IL set; without a condition CV is 0.

    Raises `UsageError` for an EC or an operand that does not fit the instruction.
    """
    if ec not in PAIRS | SINGLES or (ec in PAIRS) != (access.rt2 is not None):
        raise UsageError(f"EC {ec:#04x} does not report such an access")
    _check_operands(ec, access)
    iss = access.rt << 5 | access.crm << 1 | (not access.write)
    if access.rt2 is not None:
        iss |= access.opc1 << 16 | access.rt2 << 10
    else:
        iss |= access.opc2 << 17 | access.opc1 << 14 | access.crn << 10
    if condition is not None:
        iss |= CV | (condition & 0xF) << COND_SHIFT
    return ec << EC_SHIFT | IL | iss


def _check_operands(ec: int, access: CoprocessorAccess) -> None:
    limits = (15, 0, 15, 0) if ec in PAIRS else (7, 15, 15, 7)
    numbers = (*access.operands, access.rt, access.rt2 or 0)
    names = ("opc1", "CRn", "CRm", "opc2", "Rt", "Rt2")
    for name, number, limit in zip(names, numbers, (*limits, 31, 31), strict=True):
        if not 0 <= number <= limit:
            raise UsageError(f"{name} is {number}, it goes from 0 to {limit}")
