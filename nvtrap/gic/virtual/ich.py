"""ICH_*_EL2: the virtual CPU interface as a hypervisor sees it (IHI 0069, 12.4).

`READS` and `WRITES` are the registers by name; what is not implemented with the chosen
parameters (list registers, active-priority registers) has been refused before.
"""

from __future__ import annotations

from functools import partial

from nvtrap.gic.priority import with_word
from nvtrap.gic.virtual import lr as lrs
from nvtrap.gic.virtual import maintenance

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from nvtrap.gic.parameters import Parameters
    from nvtrap.gic.virtual.interface import VirtualInterface

# The bits of ICH_HCR_EL2 that trap a guest's accesses.
HCR_TC, HCR_TALL0, HCR_TALL1, HCR_TDIR = 1 << 10, 1 << 11, 1 << 12, 1 << 14
AP1R_NMI = 1 << 63


def vtr(parameters: Parameters) -> int:
    """ICH_VTR_EL2: what the virtual interface has (12.4.10)."""
    return (
        (parameters.virtual_priority_bits - 1) << 29
        | (parameters.virtual_preemption_bits - 1) << 26
        | (parameters.intid_bits == 24) << 23
        | parameters.seis << 22
        | parameters.a3v << 21
        | (not parameters.direct_injection) << 20
        | parameters.tdir << 19
        | parameters.list_registers - 1
    )


def _read_vtr(interface: VirtualInterface) -> int:
    return vtr(interface.parameters)


def _read_hcr(interface: VirtualInterface) -> int:
    return interface.hcr


def _write_hcr(interface: VirtualInterface, value: int) -> None:
    interface.hcr = value & interface.parameters.hcr_mask


def read_vmcr(interface: VirtualInterface) -> int:
    """ICH_VMCR_EL2, 12.4.9; VFIQEn is RES1 as interrupts are handled by system registers."""
    return (
        interface.pmr << 24
        | interface.bpr0 << 21
        | interface.bpr1 << 18
        | interface.eoimode << 9
        | interface.cbpr << 4
        | 1 << 3
        | interface.enabled[1] << 1
        | interface.enabled[0]
    )


def write_vmcr(interface: VirtualInterface, value: int) -> None:
    """Set the fields of ICH_VMCR_EL2; binary points below their minimum become it."""
    interface.pmr = value >> 24 & priority_mask(interface)
    interface.eoimode = value >> 9 & 1
    interface.enabled[0] = value & 1
    interface.enabled[1] = value >> 1 & 1
    interface.cbpr = value >> 4 & 1
    interface.set_binary_points(value >> 21 & 7, value >> 18 & 7)


def priority_mask(interface: VirtualInterface) -> int:
    """The implemented bits of a virtual priority, the upper ones."""
    return 0xFF00 >> interface.parameters.virtual_priority_bits & 0xFF


def _read_lr(n: int, interface: VirtualInterface) -> int:
    return interface.lrs[n]


def _write_lr(n: int, interface: VirtualInterface, value: int) -> None:
    parameters = interface.parameters
    interface.lrs[n] = value & (parameters.lr_mask_hw if value & lrs.HW else parameters.lr_mask)


def _read_apr(group: int, n: int, interface: VirtualInterface) -> int:
    value = interface.active[group] >> 32 * n & 0xFFFF_FFFF
    return value | AP1R_NMI if interface.active_nmi and (group, n) == (1, 0) else value


def _write_apr(group: int, n: int, interface: VirtualInterface, value: int) -> None:
    parameters = interface.parameters
    bits = parameters.virtual_preemption_bits
    interface.active[group] = with_word(interface.active[group], n, value, bits)
    if parameters.nmi and (group, n) == (1, 0):
        interface.active_nmi = bool(value & AP1R_NMI)


def _read_eisr(interface: VirtualInterface) -> int:
    return maintenance.eisr(interface.lrs)


def _read_elrsr(interface: VirtualInterface) -> int:
    return maintenance.elrsr(interface.lrs)


READS: dict[str, Callable[[VirtualInterface], int]] = {
    "ICH_HCR_EL2": _read_hcr,
    "ICH_VTR_EL2": _read_vtr,
    "ICH_VMCR_EL2": read_vmcr,
    "ICH_MISR_EL2": maintenance.misr,
    "ICH_EISR_EL2": _read_eisr,
    "ICH_ELRSR_EL2": _read_elrsr,
    **{f"ICH_LR{n}_EL2": partial(_read_lr, n) for n in range(16)},
    **{f"ICH_AP{g}R{n}_EL2": partial(_read_apr, g, n) for g in (0, 1) for n in range(4)},
}
WRITES: dict[str, Callable[[VirtualInterface, int], None]] = {
    "ICH_HCR_EL2": _write_hcr,
    "ICH_VMCR_EL2": write_vmcr,
    **{f"ICH_LR{n}_EL2": partial(_write_lr, n) for n in range(16)},
    **{f"ICH_AP{g}R{n}_EL2": partial(_write_apr, g, n) for g in (0, 1) for n in range(4)},
}
