"""GICR_*: the redistributor's registers in RD_base and SGI_base (IHI 0069, 12.10 and 12.11).

GICR_PROPBASER, GICR_PENDBASER and the registers of direct LPIs are in `nvtrap.gic.lpi.lpis`,
those of the VLPI frame in `nvtrap.gic.lpi.vlpis`.
"""

from __future__ import annotations

from nvtrap.gic.distributor import families
from nvtrap.gic.distributor.bank import GROUP0, GROUP1_NS, GROUP1_S
from nvtrap.gic.distributor.families import NON_SECURE, SECURE, SINGLE
from nvtrap.gic.distributor.frame import DESIGNER_ARM, STATUSR, Frame, constant, identification
from nvtrap.gic.lpi.lpis import PENDBASER, PROPBASER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from nvtrap.gic.distributor.redistributor import Redistributor

CTLR, IIDR, TYPER, STATUS, WAKER, MPAMIDR, PARTIDR = 0x00, 0x04, 0x08, 0x10, 0x14, 0x18, 0x1C
TABLE_REGISTERS = frozenset((PROPBASER, PENDBASER))
PART = 0x493

# GICR_CTLR: EnableLPIs, CES, IR, DPG0, DPG1NS, DPG1S. RWP and UWP are 0 here:
# every write takes effect at once.
ENABLE_LPIS, CES, IR = 1 << 0, 1 << 1, 1 << 2
DPG_SHIFT = 24  # of Group 0; those of the other groups follow in the order of their numbers
_DPG = {
    SINGLE: (1 << GROUP0 | 1 << GROUP1_NS) << DPG_SHIFT,
    SECURE: (1 << GROUP0 | 1 << GROUP1_NS | 1 << GROUP1_S) << DPG_SHIFT,
    NON_SECURE: 1 << GROUP1_NS << DPG_SHIFT,
}
PROCESSOR_SLEEP, CHILDREN_ASLEEP = 1 << 1, 1 << 2


def dpg_fields(redistributor: Redistributor, view: int = SECURE) -> int:
    """The DPG bits that there are: none without interrupts that may go to any PE."""
    return _DPG[view] if redistributor.parameters.one_of_n else 0


def _read_ctlr(redistributor: Redistributor, view: int) -> int:
    value = redistributor.dpg & dpg_fields(redistributor, view)
    if not redistributor.parameters.lpis:
        return value
    value |= CES | (IR if redistributor.direct_lpis else 0)
    return value | ENABLE_LPIS if redistributor.lpis.enabled else value


def _write_ctlr(redistributor: Redistributor, view: int, value: int) -> None:
    mine = dpg_fields(redistributor, view)
    redistributor.dpg = redistributor.dpg & ~mine | value & mine
    redistributor.lpis.enable(bool(value & ENABLE_LPIS))


def _read_typer(redistributor: Redistributor, _view: int) -> int:
    """GICR_TYPER; the redistributors of one Aff3 share an LPI configuration table."""
    has = redistributor.parameters
    index = redistributor.index
    return (
        has.affinities[index] << 32
        | has.extended_ppis // 32 << 27
        | has.lpis << 24
        | index << 8
        | has.one_of_n << 5
        | (index == len(has.affinities) - 1) << 4
        | redistributor.direct_lpis << 3
        | has.direct_injection << 1
        | has.lpis
    )


def _read_waker(redistributor: Redistributor, view: int) -> int:
    if view == NON_SECURE or not redistributor.asleep:
        return 0
    return PROCESSOR_SLEEP | CHILDREN_ASLEEP


def _write_waker(redistributor: Redistributor, view: int, value: int) -> None:
    if view != NON_SECURE:
        redistributor.asleep = bool(value & PROCESSOR_SLEEP)


RD_FRAME = Frame(
    {
        CTLR: (_read_ctlr, _write_ctlr),
        IIDR: constant(DESIGNER_ARM),
        STATUS: STATUSR,
        WAKER: (_read_waker, _write_waker),
        MPAMIDR: constant(0),
        PARTIDR: constant(0),
        **identification(PART),
    },
    doubles={TYPER: _read_typer},
)
# (first offset, offset after the last, family, no `E` arrays): the extended PPIs follow.
SGI_FRAME = Frame(
    {},
    (
        (0x0080, 0x008C, families.IGROUPR, False),
        (0x0100, 0x010C, families.ISENABLER, False),
        (0x0180, 0x018C, families.ICENABLER, False),
        (0x0200, 0x020C, families.ISPENDR, False),
        (0x0280, 0x028C, families.ICPENDR, False),
        (0x0300, 0x030C, families.ISACTIVER, False),
        (0x0380, 0x038C, families.ICACTIVER, False),
        (0x0400, 0x0460, families.IPRIORITYR, False),
        (0x0C00, 0x0C18, families.ICFGR, False),
        (0x0D00, 0x0D0C, families.IGRPMODR, False),
        (0x0E00, 0x0E04, families.NSACR, False),
        (0x0F80, 0x0F8C, families.INMIR, False),
    ),
)
