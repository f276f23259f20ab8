"""ESR_ELx: the exception classes, and the syndrome of a trapped system-register access.

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

# The other classes that the models name (DDI 0487, D24.2.37).
EC_UNKNOWN, EC_WFX = 0x00, 0x01
EC_CP15_32, EC_CP15_64, EC_CP14_32, EC_CP14_LS = 0x03, 0x04, 0x05, 0x06
EC_FP_ASIMD, EC_CP10_ID, EC_PAUTH, EC_CP14_64 = 0x07, 0x08, 0x09, 0x0C
EC_SVC32, EC_HVC32, EC_SMC32 = 0x11, 0x12, 0x13
EC_SVC64, EC_HVC64, EC_SMC64 = 0x15, 0x16, 0x17
EC_SVE, EC_ERET, EC_FPAC = 0x19, 0x1A, 0x1C
EC_IABT_LOW, EC_IABT_CUR, EC_DABT_LOW, EC_DABT_CUR = 0x20, 0x21, 0x24, 0x25
EC_BREAKPOINT_LOW, EC_STEP_LOW, EC_WATCHPOINT_LOW = 0x30, 0x32, 0x34
EC_BKPT32, EC_BRK64 = 0x38, 0x3C
EC_NAMES = {
    0x00: "unknown reason",
    0x01: "WFI or WFE",
    0x03: "MCR or MRC, coproc 15",
    0x04: "MCRR or MRRC, coproc 15",
    0x05: "MCR or MRC, coproc 14",
    0x06: "LDC or STC",
    0x07: "SVE, SIMD or floating point",
    0x08: "VMRS",
    0x09: "pointer authentication",
    0x0A: "LD64B or ST64B",
    0x0C: "MRRC, coproc 14",
    0x0D: "branch target",
    0x0E: "illegal execution state",
    0x11: "SVC, AArch32",
    0x12: "HVC, AArch32",
    0x13: "SMC, AArch32",
    0x14: "MSRR, MRRS or SYSP",
    0x15: "SVC",
    0x16: "HVC",
    0x17: "SMC",
    0x18: "MSR, MRS or SYS",
    0x19: "SVE",
    0x1A: "ERET",
    0x1B: "TSTART",
    0x1C: "pointer authentication failure",
    0x1D: "SME",
    0x1F: "IMPLEMENTATION DEFINED, to EL3",
    0x20: "instruction abort, lower EL",
    0x21: "instruction abort, same EL",
    0x22: "PC alignment",
    0x24: "data abort, lower EL",
    0x25: "data abort, same EL",
    0x26: "SP alignment",
    0x27: "memory copy or set",
    0x28: "floating point, AArch32",
    0x2C: "floating point",
    0x2D: "guarded control stack",
    0x2F: "SError",
    0x30: "breakpoint, lower EL",
    0x31: "breakpoint, same EL",
    0x32: "software step, lower EL",
    0x33: "software step, same EL",
    0x34: "watchpoint, lower EL",
    0x35: "watchpoint, same EL",
    0x38: "BKPT, AArch32",
    0x3A: "vector catch, AArch32",
    0x3C: "BRK",
    0x3D: "profiling",
}

FSC_EXTERNAL = 0x10  # synchronous External abort, not on a table walk
ERET_IS_AUTHENTICATED, ERET_HAS_KEY_B = 1 << 1, 1 << 0


def exception_class(esr: int) -> int:
    """EC, bits [31:26]."""
    return esr >> EC_SHIFT & 0x3F


def immediate(esr: int) -> int:
    """The 16-bit immediate of an SVC, HVC or SMC, ISS bits [15:0]."""
    return esr & 0xFFFF


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
