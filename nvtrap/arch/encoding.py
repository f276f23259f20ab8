"""Encodings of system registers and system instructions.

An encoding is the five numbers (op0, op1, CRn, CRm, op2) that MRS, MSR, SYS and
SYSL carry, packed into 16 bits as the instructions order them (DDI 0487, C5.1)::

    op0[15:14] op1[13:11] CRn[10:7] CRm[6:3] op2[2:0]

Counting up therefore carries op2 → CRm → CRn → op1 → op0, which is how ranges of
registers are meant.
"""

from __future__ import annotations

from nvtrap.errors import UsageError

ENCODINGS = 1 << 16
LIMITS = (3, 7, 15, 15, 7)
OPERANDS = ("op0", "op1", "CRn", "CRm", "op2")


def encode(op0: int, op1: int, crn: int, crm: int, op2: int) -> int:
    """Pack the five operands.

    Raises `UsageError` when one does not fit its 2, 3, 4, 4 or 3 bits.
    """
    numbers = (op0, op1, crn, crm, op2)
    for operand, number, limit in zip(OPERANDS, numbers, LIMITS, strict=True):
        if not 0 <= number <= limit:
            raise UsageError(f"{operand} is {number}, it goes from 0 to {limit}")
    return op0 << 14 | op1 << 11 | crn << 7 | crm << 3 | op2


def operands(encoding: int) -> tuple[int, int, int, int, int]:
    """Unpack to (op0, op1, CRn, CRm, op2)."""
    return (
        encoding >> 14,
        encoding >> 11 & 7,
        encoding >> 7 & 15,
        encoding >> 3 & 15,
        encoding & 7,
    )


def generic_name(encoding: int) -> str:
    """`S3_0_C1_C0_1`, the name every encoding has (DDI 0487, C5.1.2).

    Empty for the number of an instruction that has no encoding.
    """
    if encoding >= ENCODINGS:
        return ""
    return "S{}_{}_C{}_C{}_{}".format(*operands(encoding))


def parse_encoding(text: str) -> int | None:
    """Read `S3_0_C1_C0_1` or `(3, 0, 1, 0, 1)`; None when `text` is neither form.

    Letters may be of either case and the brackets may be missing. Raises
    `UsageError` when the form is right and a number is out of range.
    """
    numbers = _generic_numbers(text) or _tuple_numbers(text)
    if numbers is None:
        return None
    try:
        return encode(*numbers)
    except UsageError as error:
        raise UsageError(f"`{text.strip()}` is no encoding: {error.message}") from None


def _generic_numbers(text: str) -> tuple[int, int, int, int, int] | None:
    parts = text.strip().upper().split("_")
    if len(parts) != 5:
        return None
    op0, op1, crn, crm, op2 = parts
    if op0[:1] != "S" or crn[:1] != "C" or crm[:1] != "C":
        return None
    return _numbers((op0[1:], op1, crn[1:], crm[1:], op2))


def _tuple_numbers(text: str) -> tuple[int, int, int, int, int] | None:
    parts = text.strip().strip("()[]").split(",")
    if len(parts) != 5:
        return None
    return _numbers([part.strip() for part in parts])


def _numbers(parts: list[str] | tuple[str, ...]) -> tuple[int, int, int, int, int] | None:
    for part in parts:
        if not (part.isascii() and part.isdigit() and len(part) <= 3):
            return None
    op0, op1, crn, crm, op2 = map(int, parts)
    return op0, op1, crn, crm, op2
