"""ICV_*_EL1: the virtual CPU interface as a guest sees it behind ICC_*_EL1.

IHI 0069, 12.3. The registers go by their ICC names here, as a guest's instructions
name them. ICC_SGI*R_EL1 and ICC_SRE_EL1 have no virtual form.
"""

from __future__ import annotations

from functools import partial

from nvtrap.gic.intids import NMI, SPURIOUS
from nvtrap.gic.priority import HIGHEST_BPR
from nvtrap.gic.virtual.ich import READS as ICH_READS
from nvtrap.gic.virtual.ich import WRITES as ICH_WRITES
from nvtrap.gic.virtual.ich import priority_mask
from nvtrap.gic.virtual.lr import GROUP_SHIFT, VINTID
from nvtrap.gic.virtual.lr import NMI as LR_NMI

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from nvtrap.gic.parameters import Parameters
    from nvtrap.gic.virtual.interface import VirtualInterface

# ICV_CTLR_EL1, 12.3.8.
CTLR_CBPR, CTLR_EOIMODE = 1 << 0, 1 << 1
INTID = 0xFF_FFFF
RPR_NMI = 1 << 63


def interface_bits(parameters: Parameters, priority_bits: int) -> int:
    """The read-only fields of ICC_CTLR_EL1 and ICV_CTLR_EL1: PRIbits to ExtRange (12.2.6)."""
    return (
        (priority_bits - 1) << 8
        | (parameters.intid_bits == 24) << 11
        | parameters.seis << 14
        | parameters.a3v << 15
        | parameters.range_selector << 18
        | bool(parameters.extended_spis or parameters.extended_ppis) << 19
    )


def _read_iar(group: int, interface: VirtualInterface) -> int:
    return interface.acknowledge(group)


def _read_nmiar1(interface: VirtualInterface) -> int:
    return interface.acknowledge_nmi()


def _write_eoir(group: int, interface: VirtualInterface, value: int) -> None:
    interface.end(group, value & INTID)


def _write_dir(interface: VirtualInterface, value: int) -> None:
    interface.end_deactivation(value & INTID)


def _read_hppir(group: int, interface: VirtualInterface) -> int:
    """Look at the highest-priority pending interrupt; mask and running priority play no part."""
    lr = interface.candidate()
    if not lr or lr >> GROUP_SHIFT & 1 != group:
        return SPURIOUS
    return NMI if lr & LR_NMI and interface.nmi_enabled else lr & VINTID


def _read_rpr(interface: VirtualInterface) -> int:
    return interface.running_priority() | (RPR_NMI if interface.active_nmi else 0)


def _read_pmr(interface: VirtualInterface) -> int:
    return interface.pmr


def _write_pmr(interface: VirtualInterface, value: int) -> None:
    interface.pmr = value & priority_mask(interface)


def _read_bpr0(interface: VirtualInterface) -> int:
    return interface.bpr0


def _write_bpr0(interface: VirtualInterface, value: int) -> None:
    interface.set_binary_points(value & 7, interface.bpr1)


def _read_bpr1(interface: VirtualInterface) -> int:
    """ICV_BPR1_EL1; with CBPR it reads as one more than BPR0, at most 7 (12.3.6)."""
    return min(interface.bpr0 + 1, HIGHEST_BPR) if interface.cbpr else interface.bpr1


def _write_bpr1(interface: VirtualInterface, value: int) -> None:
    if not interface.cbpr:
        interface.set_binary_points(interface.bpr0, value & 7)


def _read_ctlr(interface: VirtualInterface) -> int:
    parameters = interface.parameters
    fixed = interface_bits(parameters, parameters.virtual_priority_bits)
    return fixed | interface.eoimode << 1 | interface.cbpr


def _write_ctlr(interface: VirtualInterface, value: int) -> None:
    interface.eoimode = value >> 1 & 1
    interface.set_common(value & 1)


def _read_igrpen(group: int, interface: VirtualInterface) -> int:
    return interface.enabled[group]


def _write_igrpen(group: int, interface: VirtualInterface, value: int) -> None:
    interface.enabled[group] = value & 1


_APRS = [(f"ICC_AP{g}R{n}_EL1", f"ICH_AP{g}R{n}_EL2") for g in (0, 1) for n in range(4)]

READS: dict[str, Callable[[VirtualInterface], int]] = {
    "ICC_IAR0_EL1": partial(_read_iar, 0),
    "ICC_IAR1_EL1": partial(_read_iar, 1),
    "ICC_NMIAR1_EL1": _read_nmiar1,
    "ICC_HPPIR0_EL1": partial(_read_hppir, 0),
    "ICC_HPPIR1_EL1": partial(_read_hppir, 1),
    "ICC_RPR_EL1": _read_rpr,
    "ICC_PMR_EL1": _read_pmr,
    "ICC_BPR0_EL1": _read_bpr0,
    "ICC_BPR1_EL1": _read_bpr1,
    "ICC_CTLR_EL1": _read_ctlr,
    "ICC_IGRPEN0_EL1": partial(_read_igrpen, 0),
    "ICC_IGRPEN1_EL1": partial(_read_igrpen, 1),
    **{name: ICH_READS[behind] for name, behind in _APRS},
}
WRITES: dict[str, Callable[[VirtualInterface, int], None]] = {
    "ICC_EOIR0_EL1": partial(_write_eoir, 0),
    "ICC_EOIR1_EL1": partial(_write_eoir, 1),
    "ICC_DIR_EL1": _write_dir,
    "ICC_PMR_EL1": _write_pmr,
    "ICC_BPR0_EL1": _write_bpr0,
    "ICC_BPR1_EL1": _write_bpr1,
    "ICC_CTLR_EL1": _write_ctlr,
    "ICC_IGRPEN0_EL1": partial(_write_igrpen, 0),
    "ICC_IGRPEN1_EL1": partial(_write_igrpen, 1),
    **{name: ICH_WRITES[behind] for name, behind in _APRS},
}
