"""GICH_*: a GICv2's virtual CPU interface as a hypervisor sees it, in memory.

IHI 0048B, 5.3 (the virtual interface control registers). The status registers are
derived when they are read; nothing of them is stored.
"""

from __future__ import annotations

from nvtrap.gic.v2 import lr as lrs
from nvtrap.gic.v2.interface import CTLR_FIELDS, HCR_EN, HCR_EOICOUNT, PREEMPTION_BITS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from nvtrap.gic.v2.interface import VirtualInterfaceV2

# Offsets, IHI 0048B table 5-1.
HCR, VTR, VMCR, MISR = 0x00, 0x04, 0x08, 0x10
EISR0, EISR1, ELRSR0, ELRSR1, APR, LR0 = 0x20, 0x24, 0x30, 0x34, 0xF0, 0x100
# GICH_HCR, 5.3.1, and GICH_MISR, 5.3.4, whose upper four bits stand in the same places.
UIE, LRENPIE, NPIE = 1 << 1, 1 << 2, 1 << 3
VGRP0EIE, VGRP0DIE, VGRP1EIE, VGRP1DIE = 1 << 4, 1 << 5, 1 << 6, 1 << 7
HCR_FIELDS = 0xFF | HCR_EOICOUNT
EOI, U, LRENP, NP = 1 << 0, 1 << 1, 1 << 2, 1 << 3
# GICH_VMCR, 5.3.3.
VMABP_SHIFT, VMBP_SHIFT, VMPRIMASK_SHIFT = 18, 21, 27


def vtr(interface: VirtualInterfaceV2) -> int:
    """GICH_VTR: how many list registers, priority and preemption bits there are."""
    bits = PREEMPTION_BITS - 1
    return bits << 29 | bits << 26 | len(interface.lrs) - 1


def vmcr(interface: VirtualInterfaceV2) -> int:
    """GICH_VMCR: what the guest has set in GICV_CTLR, BPR, ABPR and PMR."""
    return (
        interface.ctlr
        | interface.abpr << VMABP_SHIFT
        | interface.bpr << VMBP_SHIFT
        | interface.pmr >> lrs.PRIORITY_DROPPED << VMPRIMASK_SHIFT
    )


def set_vmcr(interface: VirtualInterfaceV2, value: int) -> None:
    """Write GICH_VMCR; a binary point below the minimum becomes the minimum."""
    interface.ctlr = value & CTLR_FIELDS
    interface.set_binary_points(value >> VMBP_SHIFT & 7, value >> VMABP_SHIFT & 7)
    interface.pmr = (value >> VMPRIMASK_SHIFT & 0x1F) << lrs.PRIORITY_DROPPED


def eisr(list_registers: Iterable[int]) -> int:
    """GICH_EISR1:EISR0: bit n is set when list register n waits for its EOI to be handled."""
    return sum(lrs.requests_eoi(lr) << n for n, lr in enumerate(list_registers))


def elrsr(list_registers: Iterable[int]) -> int:
    """GICH_ELRSR1:ELRSR0: bit n is set when list register n is empty."""
    return sum(lrs.is_empty(lr) << n for n, lr in enumerate(list_registers))


def misr(interface: VirtualInterfaceV2) -> int:
    """GICH_MISR: the reasons for a maintenance interrupt, whether or not En is set."""
    hcr = interface.hcr
    bits = EOI if eisr(interface.lrs) else 0
    if hcr & UIE and sum(1 for lr in interface.lrs if lr & lrs.STATE) < 2:
        bits |= U
    if hcr & LRENPIE and hcr & HCR_EOICOUNT:
        bits |= LRENP
    if hcr & NPIE and not any(lrs.state(lr) == lrs.PENDING for lr in interface.lrs):
        bits |= NP
    bits |= hcr & (VGRP0EIE if interface.ctlr & 1 else VGRP0DIE)
    return bits | hcr & (VGRP1EIE if interface.ctlr & 2 else VGRP1DIE)


def signalled(interface: VirtualInterfaceV2) -> bool:
    """Whether the maintenance interrupt is asserted, a level."""
    return bool(interface.hcr & HCR_EN) and misr(interface) != 0


def read(interface: VirtualInterfaceV2, offset: int) -> int:
    """The 32-bit register at a byte offset of the control block; 0 where there is none."""
    number = _list_register(interface, offset)
    if number >= 0:
        return interface.lrs[number]
    reader = _READS.get(offset)
    return reader(interface) & 0xFFFF_FFFF if reader is not None else 0


def write(interface: VirtualInterfaceV2, offset: int, value: int) -> None:
    """Write the 32-bit register at a byte offset; nothing where there is none, or it is RO."""
    number = _list_register(interface, offset)
    if number >= 0:
        interface.lrs[number] = value & lrs.FIELDS
    elif offset == HCR:
        interface.hcr = value & HCR_FIELDS
    elif offset == VMCR:
        set_vmcr(interface, value)
    elif offset == APR:
        interface.active = value & 0xFFFF_FFFF


def _list_register(interface: VirtualInterfaceV2, offset: int) -> int:
    """The number of the list register at `offset`; -1 when there is none."""
    number, rest = divmod(offset - LR0, 4)
    return number if rest == 0 and 0 <= number < len(interface.lrs) else -1


_READS: dict[int, Callable[[VirtualInterfaceV2], int]] = {
    HCR: lambda interface: interface.hcr,
    VTR: vtr,
    VMCR: vmcr,
    MISR: misr,
    EISR0: lambda interface: eisr(interface.lrs),
    EISR1: lambda interface: eisr(interface.lrs) >> 32,
    ELRSR0: lambda interface: elrsr(interface.lrs),
    ELRSR1: lambda interface: elrsr(interface.lrs) >> 32,
    APR: lambda interface: interface.active,
}
