"""GICD_*: the distributor's registers and where they are (IHI 0069, 12.8 and 12.9)."""

from __future__ import annotations

from nvtrap.gic.distributor import families
from nvtrap.gic.distributor.bank import GROUP0, GROUP1_NS, GROUP1_S
from nvtrap.gic.distributor.families import LEGACY, NON_SECURE, SECURE, SINGLE
from nvtrap.gic.distributor.frame import (
    DESIGNER_ARM,
    STATUSR,
    WRD,
    Frame,
    constant,
    identification,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from nvtrap.gic.distributor.distributor import Distributor
    from nvtrap.gic.distributor.frame import Entry

# GICD_CTLR; the enables of the groups come first, in the order of their numbers.
CTLR_ARE_S, CTLR_ARE_NS, CTLR_DS, CTLR_E1NWF = 1 << 4, 1 << 5, 1 << 6, 1 << 7
_ENABLES = {
    SINGLE: 1 << GROUP0 | 1 << GROUP1_NS,
    SECURE: 1 << GROUP0 | 1 << GROUP1_NS | 1 << GROUP1_S,
    NON_SECURE: 1 << GROUP1_NS,
}
# A Non-secure access sees ARE_NS where a Secure one sees ARE_S.
_ALWAYS = {SINGLE: CTLR_ARE_S | CTLR_DS, SECURE: CTLR_ARE_S | CTLR_ARE_NS, NON_SECURE: CTLR_ARE_S}

CTLR, TYPER, IIDR, TYPER2, STATUS = 0x00, 0x04, 0x08, 0x0C, 0x10
SETSPI_NSR, CLRSPI_NSR, SETSPI_SR, CLRSPI_SR = 0x40, 0x48, 0x50, 0x58
PART = 0x492


def _read_ctlr(distributor: Distributor, view: int) -> int:
    value = distributor.enables & _ENABLES[view] | _ALWAYS[view]
    return value | CTLR_E1NWF if distributor.wakes and view != NON_SECURE else value


def _write_ctlr(distributor: Distributor, view: int, value: int) -> None:
    mine = _ENABLES[view]
    enables = distributor.enables & ~mine | value & mine
    if view == NON_SECURE:
        distributor.write_control(enables, distributor.wakes, disable_security=False)
    else:
        distributor.write_control(enables, bool(value & CTLR_E1NWF), bool(value & CTLR_DS))


def _read_typer(distributor: Distributor, _view: int) -> int:
    """GICD_TYPER; CPUNumber is 0 as affinity routing is always enabled."""
    has = distributor.parameters
    extended = has.extended_spis // 32
    return (
        (extended - 1 << 27 | 1 << 8 if extended else 0)
        | has.range_selector << 26
        | (not has.one_of_n) << 25
        | has.a3v << 24
        | (has.distributor_intid_bits - 1) << 19
        | has.direct_injection << 18
        | has.lpis << 17
        | distributor.message_based << 16
        | (has.security_states == 2 and not distributor.is_single) << 10
        | has.nmi << 9
        | (has.spis + 31) // 32
    )


def _message(act: Callable[[Distributor, int, int], None], mask: int, *views: int) -> Entry:
    """A write-only register that takes an INTID; reserved where GICD_TYPER.MBIS is 0."""

    def write(distributor: Distributor, view: int, value: int) -> None:
        if not distributor.message_based:
            distributor.status.note(view, WRD)
        elif view in views:
            act(distributor, value & mask, view)

    return None, write


def _set(distributor: Distributor, intid: int, view: int) -> None:
    distributor.set_by_message(intid, view)


def _clear(distributor: Distributor, intid: int, view: int) -> None:
    distributor.clear_by_message(intid, view)


# INTID is [12:0]: extended SPIs are below 8192.
_INTID = 0x1FFF
_REGISTERS: dict[int, Entry] = {
    CTLR: (_read_ctlr, _write_ctlr),
    TYPER: (_read_typer, None),
    IIDR: constant(DESIGNER_ARM),
    TYPER2: constant(0),
    STATUS: STATUSR,
    SETSPI_NSR: _message(_set, _INTID, SINGLE, SECURE, NON_SECURE),
    CLRSPI_NSR: _message(_clear, _INTID, SINGLE, SECURE, NON_SECURE),
    SETSPI_SR: _message(_set, _INTID, SECURE),
    CLRSPI_SR: _message(_clear, _INTID, SECURE),
    **identification(PART),
}
# (first offset, offset after the last, family, extended SPIs).
_FAMILIES = (
    (0x0080, 0x0100, families.IGROUPR, False),
    (0x0100, 0x0180, families.ISENABLER, False),
    (0x0180, 0x0200, families.ICENABLER, False),
    (0x0200, 0x0280, families.ISPENDR, False),
    (0x0280, 0x0300, families.ICPENDR, False),
    (0x0300, 0x0380, families.ISACTIVER, False),
    (0x0380, 0x0400, families.ICACTIVER, False),
    (0x0400, 0x07FC, families.IPRIORITYR, False),
    (0x0800, 0x0BFC, LEGACY, False),  # ITARGETSR
    (0x0C00, 0x0D00, families.ICFGR, False),
    (0x0D00, 0x0D80, families.IGRPMODR, False),
    (0x0E00, 0x0F00, families.NSACR, False),
    (0x0F00, 0x0F30, LEGACY, False),  # SGIR, CPENDSGIR, SPENDSGIR
    (0x0F80, 0x1000, families.INMIR, False),
    (0x1000, 0x1080, families.IGROUPR, True),
    (0x1200, 0x1280, families.ISENABLER, True),
    (0x1400, 0x1480, families.ICENABLER, True),
    (0x1600, 0x1680, families.ISPENDR, True),
    (0x1800, 0x1880, families.ICPENDR, True),
    (0x1A00, 0x1A80, families.ISACTIVER, True),
    (0x1C00, 0x1C80, families.ICACTIVER, True),
    (0x2000, 0x2400, families.IPRIORITYR, True),
    (0x3000, 0x3100, families.ICFGR, True),
    (0x3400, 0x3480, families.IGRPMODR, True),
    (0x3600, 0x3700, families.NSACR, True),
    (0x3B00, 0x3B80, families.INMIR, True),
    (0x6000, 0x7FE0, families.IROUTER, False),
    (0x8000, 0xA000, families.IROUTER, True),
)
FRAME = Frame(_REGISTERS, _FAMILIES)
# The message registers take the low half of their value alone as well.
FRAME.allow(2, (SETSPI_NSR, CLRSPI_NSR, SETSPI_SR, CLRSPI_SR))
