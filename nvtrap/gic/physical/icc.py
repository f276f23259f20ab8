"""ICC_*: the physical CPU interface's registers as software sees them (IHI 0069, 12.2 and 12.3).

`READS` and `WRITES` are the registers by name. Whether an access is UNDEFINED, trapped or
virtual has been decided before (`nvtrap.gic.access`); what is left is which copy of a
banked register it reaches and in which form it sees priorities.
"""

from __future__ import annotations

from functools import partial

from nvtrap.gic.distributor.bank import GROUP0, GROUP1_NS, GROUP1_S, LOWER_HALF
from nvtrap.gic.distributor.sgi import ASGI1R, SGI0R, SGI1R, generate
from nvtrap.gic.physical.interface import (
    CBPR,
    CTLR_FIELDS,
    EOIMODE_NS,
    EOIMODE_S,
    PhysicalInterface,
)
from nvtrap.gic.priority import HIGHEST_BPR, IDLE, with_word

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

SCR_IRQ, SCR_FIQ = 1 << 1, 1 << 2
INTID = 0xFF_FFFF
NMI_BIT = 1 << 63
NMI_NS_BIT = 1 << 62
# SRE, DFB and DIB, and Enable: fixed at 1 as there are no memory-mapped interfaces.
SRE_EL1, SRE_ABOVE = 0b111, 0b1111


class View:
    """Who makes an access: EL `el` (1..3), with SCR_EL3 being `scr`.

    `secure` says whether SCR_EL3.NS is 0 (False where there is no EL3): it chooses the copy
    of banked registers at EL3 as well. `in_secure` is the security state of the PE.
    """

    __slots__ = ("el", "fiq_to_el3", "in_secure", "irq_to_el3", "secure")

    def __init__(self, el: int, secure: bool = False, scr: int = 0) -> None:
        self.el = el
        self.secure = secure
        self.in_secure = secure or el == 3
        self.irq_to_el3 = bool(scr & SCR_IRQ)
        self.fiq_to_el3 = bool(scr & SCR_FIQ)

    @property
    def group1(self) -> int:
        """The group whose copy of a banked register the access reaches."""
        return GROUP1_S if self.secure else GROUP1_NS

    @property
    def sees_half(self) -> bool:
        """Whether priorities are seen as Non-secure: without those of the Secure half (4.8)."""
        return not self.in_secure and self.fiq_to_el3


# ---- interrupts ------------------------------------------------------------------------------


def _read_iar(is_group1: bool, interface: PhysicalInterface, view: View) -> int:
    return interface.acknowledge(is_group1, view)


def _read_nmiar1(interface: PhysicalInterface, view: View) -> int:
    return interface.acknowledge(True, view, only_nmi=True)


def _read_hppir(is_group1: bool, interface: PhysicalInterface, view: View) -> int:
    return interface.highest_visible(is_group1, view)


def _write_eoir(is_group1: bool, interface: PhysicalInterface, view: View, value: int) -> None:
    interface.end(is_group1, value & INTID, view)


def _write_dir(interface: PhysicalInterface, view: View, value: int) -> None:
    interface.end_deactivation(value & INTID, view)


def _write_sgi(register: str, interface: PhysicalInterface, view: View, value: int) -> None:
    generate(interface, register, value, view.in_secure)


# ---- priorities ------------------------------------------------------------------------------


def _shown(priority: int, view: View) -> int:
    """A priority as an access sees it; 0xff stays."""
    if not view.sees_half or priority == IDLE:
        return priority
    return priority << 1 & 0xFF if priority & LOWER_HALF else 0


def _read_pmr(interface: PhysicalInterface, view: View) -> int:
    return _shown(interface.pmr, view)


def _write_pmr(interface: PhysicalInterface, view: View, value: int) -> None:
    value &= 0xFF
    if view.sees_half:
        if not interface.pmr & LOWER_HALF:
            return  # Non-secure software does not change a mask in the Secure half.
        value = value >> 1 | LOWER_HALF
    interface.pmr = value & interface.redistributor.ppis.priority_mask


def _read_rpr(interface: PhysicalInterface, view: View) -> int:
    """ICC_RPR_EL1, with NMI and, for Secure software, NMI_NS."""
    value = _shown(interface.running_priority(), view)
    has_secure = interface.parameters.security_states == 2 and view.in_secure
    own = GROUP1_S if has_secure else GROUP1_NS
    if interface.active_nmi >> own & 1:
        value |= NMI_BIT
    if has_secure and interface.active_nmi >> GROUP1_NS & 1:
        value |= NMI_NS_BIT
    return value


def _has_common_bpr(interface: PhysicalInterface, view: View) -> bool:
    """Whether ICC_BPR1_EL1 stands for ICC_BPR0_EL1; EL3 always reaches the register itself."""
    return view.el < 3 and bool(interface.ctlr & CBPR[view.group1])


def _read_bpr0(interface: PhysicalInterface, _view: View) -> int:
    return interface.bpr[GROUP0]


def _write_bpr0(interface: PhysicalInterface, _view: View, value: int) -> None:
    _set_bpr(interface, GROUP0, value)


def _read_bpr1(interface: PhysicalInterface, view: View) -> int:
    if not _has_common_bpr(interface, view):
        return interface.bpr[view.group1]
    bpr0 = interface.bpr[GROUP0]
    return bpr0 if view.secure else min(bpr0 + 1, HIGHEST_BPR)


def _write_bpr1(interface: PhysicalInterface, view: View, value: int) -> None:
    if not _has_common_bpr(interface, view):
        _set_bpr(interface, view.group1, value)
    elif view.secure:
        _set_bpr(interface, GROUP0, value)


def _set_bpr(interface: PhysicalInterface, group: int, value: int) -> None:
    interface.bpr[group] = max(value & 7, interface.minimum_bpr(group))


def _read_ap0r(n: int, interface: PhysicalInterface, _view: View) -> int:
    return interface.active[GROUP0] >> 32 * n & 0xFFFF_FFFF


def _write_ap0r(n: int, interface: PhysicalInterface, _view: View, value: int) -> None:
    _set_active(interface, GROUP0, n, value)


def _read_ap1r(n: int, interface: PhysicalInterface, view: View) -> int:
    value = interface.active[view.group1] >> 32 * n & 0xFFFF_FFFF
    return value | NMI_BIT if n == 0 and interface.active_nmi >> view.group1 & 1 else value


def _write_ap1r(n: int, interface: PhysicalInterface, view: View, value: int) -> None:
    group = view.group1
    _set_active(interface, group, n, value)
    if n == 0 and interface.parameters.nmi:
        is_active = bool(value & NMI_BIT)
        interface.active_nmi = interface.active_nmi & ~(1 << group) | is_active << group


def _set_active(interface: PhysicalInterface, group: int, n: int, value: int) -> None:
    bits = interface.parameters.physical_preemption_bits
    interface.active[group] = with_word(interface.active[group], n, value, bits)


# ---- control ---------------------------------------------------------------------------------


def _identity(interface: PhysicalInterface) -> int:
    """What ICC_CTLR_EL1 and ICC_CTLR_EL3 say of the implementation, ExtRange to PRIbits."""
    has = interface.parameters
    return (
        bool(has.extended_spis or has.extended_ppis) << 19
        | has.range_selector << 18
        | has.a3v << 15
        | has.seis << 14
        | (has.intid_bits == 24) << 11
        | (has.physical_priority_bits - 1) << 8
    )


def _read_ctlr(interface: PhysicalInterface, view: View) -> int:
    """ICC_CTLR_EL1: CBPR and EOImode of the copy; PMHE is RAZ/WI here."""
    eoimode = EOIMODE_S if view.secure else EOIMODE_NS
    is_common = bool(interface.ctlr & CBPR[view.group1])
    return _identity(interface) | bool(interface.ctlr & eoimode) << 1 | is_common


def _write_ctlr(interface: PhysicalInterface, view: View, value: int) -> None:
    """CBPR is EL3's to set while there are two security states."""
    eoimode = EOIMODE_S if view.secure else EOIMODE_NS
    _replace(interface, eoimode, value & 2)
    if interface.distributor.is_single:
        _replace(interface, CBPR[view.group1], value & 1)


def _replace(interface: PhysicalInterface, field: int, value: int) -> None:
    interface.ctlr = interface.ctlr | field if value else interface.ctlr & ~field


def _read_ctlr_el3(interface: PhysicalInterface, _view: View) -> int:
    """ICC_CTLR_EL3; nDS is 0: security can be disabled."""
    return _identity(interface) | interface.ctlr


def _write_ctlr_el3(interface: PhysicalInterface, _view: View, value: int) -> None:
    interface.ctlr = value & CTLR_FIELDS


def _read_igrpen(interface: PhysicalInterface, group: int) -> int:
    return interface.enables >> group & 1


def _write_igrpen(interface: PhysicalInterface, group: int, value: int) -> None:
    interface.enables = interface.enables & ~(1 << group) | (value & 1) << group


def _read_igrpen0(interface: PhysicalInterface, _view: View) -> int:
    return _read_igrpen(interface, GROUP0)


def _write_igrpen0(interface: PhysicalInterface, _view: View, value: int) -> None:
    _write_igrpen(interface, GROUP0, value)


def _read_igrpen1(interface: PhysicalInterface, view: View) -> int:
    return _read_igrpen(interface, view.group1)


def _write_igrpen1(interface: PhysicalInterface, view: View, value: int) -> None:
    _write_igrpen(interface, view.group1, value)


def _read_igrpen1_el3(interface: PhysicalInterface, _view: View) -> int:
    """ICC_IGRPEN1_EL3: EnableGrp1NS is bit 0, EnableGrp1S bit 1."""
    return interface.enables >> GROUP1_NS


def _write_igrpen1_el3(interface: PhysicalInterface, _view: View, value: int) -> None:
    _write_igrpen(interface, GROUP1_NS, value)
    _write_igrpen(interface, GROUP1_S, value >> 1)


def _read_sre(value: int, _interface: PhysicalInterface, _view: View) -> int:
    return value


def _write_sre(_interface: PhysicalInterface, _view: View, _value: int) -> None:
    """Every field is read-only."""


READS: dict[str, Callable[[PhysicalInterface, View], int]] = {
    "ICC_IAR0_EL1": partial(_read_iar, False),
    "ICC_IAR1_EL1": partial(_read_iar, True),
    "ICC_NMIAR1_EL1": _read_nmiar1,
    "ICC_HPPIR0_EL1": partial(_read_hppir, False),
    "ICC_HPPIR1_EL1": partial(_read_hppir, True),
    "ICC_RPR_EL1": _read_rpr,
    "ICC_PMR_EL1": _read_pmr,
    "ICC_BPR0_EL1": _read_bpr0,
    "ICC_BPR1_EL1": _read_bpr1,
    "ICC_CTLR_EL1": _read_ctlr,
    "ICC_CTLR_EL3": _read_ctlr_el3,
    "ICC_IGRPEN0_EL1": _read_igrpen0,
    "ICC_IGRPEN1_EL1": _read_igrpen1,
    "ICC_IGRPEN1_EL3": _read_igrpen1_el3,
    "ICC_SRE_EL1": partial(_read_sre, SRE_EL1),
    "ICC_SRE_EL2": partial(_read_sre, SRE_ABOVE),
    "ICC_SRE_EL3": partial(_read_sre, SRE_ABOVE),
    **{f"ICC_AP0R{n}_EL1": partial(_read_ap0r, n) for n in range(4)},
    **{f"ICC_AP1R{n}_EL1": partial(_read_ap1r, n) for n in range(4)},
}
WRITES: dict[str, Callable[[PhysicalInterface, View, int], None]] = {
    "ICC_EOIR0_EL1": partial(_write_eoir, False),
    "ICC_EOIR1_EL1": partial(_write_eoir, True),
    "ICC_DIR_EL1": _write_dir,
    "ICC_SGI0R_EL1": partial(_write_sgi, SGI0R),
    "ICC_SGI1R_EL1": partial(_write_sgi, SGI1R),
    "ICC_ASGI1R_EL1": partial(_write_sgi, ASGI1R),
    "ICC_PMR_EL1": _write_pmr,
    "ICC_BPR0_EL1": _write_bpr0,
    "ICC_BPR1_EL1": _write_bpr1,
    "ICC_CTLR_EL1": _write_ctlr,
    "ICC_CTLR_EL3": _write_ctlr_el3,
    "ICC_IGRPEN0_EL1": _write_igrpen0,
    "ICC_IGRPEN1_EL1": _write_igrpen1,
    "ICC_IGRPEN1_EL3": _write_igrpen1_el3,
    "ICC_SRE_EL1": _write_sre,
    "ICC_SRE_EL2": _write_sre,
    "ICC_SRE_EL3": _write_sre,
    **{f"ICC_AP0R{n}_EL1": partial(_write_ap0r, n) for n in range(4)},
    **{f"ICC_AP1R{n}_EL1": partial(_write_ap1r, n) for n in range(4)},
}
