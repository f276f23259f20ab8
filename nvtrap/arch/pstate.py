"""PSTATE as SPSR_ELx holds it: bits, modes, and the two layouts (DDI 0487, C5.2.19).

Values are 64-bit numbers. The mode is M[4:0]: bit 4 set means AArch32; in AArch64 M[3:2]
is the exception level, M[1] is 0 and M[0] says that SP_ELx is the stack pointer.
"""

from __future__ import annotations

MODE = 0x1F
AARCH32 = 1 << 4
SP_ELX = 1 << 0
EL0T, EL1T, EL1H, EL2T, EL2H, EL3T, EL3H = 0x0, 0x4, 0x5, 0x8, 0x9, 0xC, 0xD
USR, FIQ, IRQ, SVC, MON, ABT, HYP, UND, SYS = 0x10, 0x11, 0x12, 0x13, 0x16, 0x17, 0x1A, 0x1B, 0x1F
MODE_NAMES = {
    EL0T: "EL0t",
    EL1T: "EL1t",
    EL1H: "EL1h",
    EL2T: "EL2t",
    EL2H: "EL2h",
    EL3T: "EL3t",
    EL3H: "EL3h",
    USR: "usr",
    FIQ: "fiq",
    IRQ: "irq",
    SVC: "svc",
    MON: "mon",
    ABT: "abt",
    HYP: "hyp",
    UND: "und",
    SYS: "sys",
}

# Both layouts.
F_MASKED, I_MASKED, A_MASKED = 1 << 6, 1 << 7, 1 << 8
IL = 1 << 20
PAN = 1 << 22
DIT = 1 << 24
NZCV = 0xF << 28
# AArch64.
DAIF = 0xF << 6
BTYPE = 3 << 10
SSBS = 1 << 12
SS = 1 << 21
UAO = 1 << 23
TCO = 1 << 25
# AArch32. SPSR_abt and its like, which AArch32 itself reads, have DIT in bit 21.
T32 = 1 << 5
BIG_ENDIAN = 1 << 9
GE = 0xF << 16
SSBS_32 = 1 << 23
Q = 1 << 27
IT = 0x0600_FC00
DIT_IN_AARCH32_VIEW = 1 << 21

# What an exception return from EL2 may go to where EL1 is AArch64 and EL0 not AArch32.
_AARCH64_BELOW_EL3 = frozenset({EL0T, EL1T, EL1H, EL2T, EL2H})
_EL1 = frozenset({EL1T, EL1H})


def is_illegal_return_from_el2(spsr: int, tge: bool) -> bool:
    """Whether SPSR_EL2 names a mode that an ERET at EL2 of an AArch64-only guest cannot enter.

    That is any M[4:0] but EL0t to EL2h, and EL1 with HCR_EL2.TGE set (DDI 0487, D1.4.4
    "Illegal exception returns from AArch64 state").
    """
    mode = spsr & MODE
    return mode not in _AARCH64_BELOW_EL3 or (tge and mode in _EL1)


def aarch32_view(spsr: int) -> int:
    """An AArch32 state in SPSR_EL2's layout, as AArch32 reads its own SPSRs.

    DIT moves from bit 24 (J there, RES0) to bit 21 (DDI 0487, C5.2.19 and G8.2.127).
    """
    dit = DIT_IN_AARCH32_VIEW if spsr & DIT else 0
    return spsr & ~(DIT | DIT_IN_AARCH32_VIEW) | dit
