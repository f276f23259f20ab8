"""Interrupt identifiers: which numbers are SGIs, PPIs, SPIs, LPIs, and which mean something else.

IHI 0069, 2.2.1 "Special INTIDs" and table 2-1.
"""

from __future__ import annotations

SGIS = 16
FIRST_PPI = 16
FIRST_SPI = 32
LAST_SPI = 1019
# Returned where there is no interrupt to give: for Secure Group 1, Non-secure Group 1
# (both only at EL3), a non-maskable interrupt, and nothing.
SECURE = 1020
NON_SECURE = 1021
NMI = 1022
SPURIOUS = 1023
FIRST_EPPI = 1056
LAST_EPPI = 1119
FIRST_ESPI = 4096
LAST_ESPI = 5119
FIRST_LPI = 8192


def is_special(intid: int) -> bool:
    """Whether `intid` is one of 1020 to 1023, which name no interrupt."""
    return SECURE <= intid <= SPURIOUS


def kind(intid: int) -> str:
    """`SGI`, `PPI`, `SPI`, `special`, `EPPI`, `ESPI`, `LPI` or `reserved`."""
    for last, name in _LAST:
        if intid <= last:
            return name
    return "LPI"


_LAST = (
    (SGIS - 1, "SGI"),
    (FIRST_SPI - 1, "PPI"),
    (LAST_SPI, "SPI"),
    (SPURIOUS, "special"),
    (FIRST_EPPI - 1, "reserved"),
    (LAST_EPPI, "EPPI"),
    (FIRST_ESPI - 1, "reserved"),
    (LAST_ESPI, "ESPI"),
    (FIRST_LPI - 1, "reserved"),
)
