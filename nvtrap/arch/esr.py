"""ESR_EL2 of a trapped system-register access (EC 0x18).

ISS of an MSR, MRS, SYS or SYSL trap (DDI 0487, "ISS encoding for an exception from
MSR, MRS, or System instruction execution in AArch64 state")::

    op0[21:20] op2[19:17] op1[16:14] CRn[13:10] Rt[9:5] CRm[4:1] direction[0]

Direction 1 is a read (MRS, SYSL), 0 a write.
"""

from __future__ import annotations

from nvtrap.arch.encoding import ENCODINGS, operands
from nvtrap.errors import UsageError

EC_SHIFT = 26
EC_SYSREG = 0x18
IL = 1 << 25
_ISS = (1 << 25) - 1


def exception_class(esr: int) -> int:
    """EC, bits [31:26]."""
    return esr >> EC_SHIFT & 0x3F


def decode_sysreg(esr: int) -> tuple[int, bool]:
    """(encoding, is a write) of an ESR value with EC 0x18.

    Raises `UsageError` for a value that is not 64 bits or has another EC.
    """
    if not 0 <= esr < 1 << 64:
        raise UsageError(f"ESR value `{esr:#x}` does not fit 64 bits")
    if exception_class(esr) != EC_SYSREG:
        raise UsageError(
            f"ESR value `{esr:#x}` has EC {exception_class(esr):#04x}",
            f"a system-register trap has EC {EC_SYSREG:#04x}",
        )
    encoding = (
        (esr >> 20 & 3) << 14
        | (esr >> 14 & 7) << 11
        | (esr >> 10 & 15) << 7
        | (esr >> 1 & 15) << 3
        | (esr >> 17 & 7)
    )
    return encoding, not esr & 1


def encode_sysreg(encoding: int, write: bool, rt: int = 0) -> int:
    """The ESR value with which a trap of this access is reported; Rt is 0..31.

    Raises `UsageError` for an encoding or an Rt that does not fit.
    """
    if not 0 <= encoding < ENCODINGS:
        raise UsageError(f"encoding `{encoding:#x}` does not fit 16 bits")
    if not 0 <= rt <= 31:
        raise UsageError(f"Rt is {rt}, it goes from 0 to 31")
    op0, op1, crn, crm, op2 = operands(encoding)
    iss = op0 << 20 | op2 << 17 | op1 << 14 | crn << 10 | rt << 5 | crm << 1 | (not write)
    return EC_SYSREG << EC_SHIFT | IL | iss & _ISS
