"""The virtual CPU interface of a GICv2: list registers, and what a guest does to them.

IHI 0048B, chapter 5 "GIC Support for Virtualization". A guest sees the interface as
memory, GICV_*, where it expects its GICC_*; a hypervisor's view of it, GICH_*, stands in
`gich`. Unlike the GICv3 (`virtual`) there is one set of active priorities for both
groups, a Group 0 interrupt may be signalled as an IRQ, and one acknowledge register
serves both groups.
"""

from __future__ import annotations

from nvtrap.gic.intids import SECURE, SGIS, SPURIOUS
from nvtrap.gic.priority import IDLE, group_mask, highest, minimum_bpr0, minimum_bpr1
from nvtrap.gic.v2 import lr as lrs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

# GICV_*, offsets of IHI 0048B table 5-11.
CTLR, PMR, BPR, IAR, EOIR, RPR, HPPIR = 0x00, 0x04, 0x08, 0x0C, 0x10, 0x14, 0x18
ABPR, AIAR, AEOIR, AHPPIR = 0x1C, 0x20, 0x24, 0x28
APR0, IIDR, DIR = 0xD0, 0xFC, 0x1000
FRAME = 0x2000

# GICV_CTLR, IHI 0048B 5.5.1; GICH_VMCR holds the same bits at the same places.
ENABLE_GROUP0, ENABLE_GROUP1, ACK_CTL, FIQ_EN = 1 << 0, 1 << 1, 1 << 2, 1 << 3
CBPR, EOI_MODE = 1 << 4, 1 << 9
CTLR_FIELDS = ENABLE_GROUP0 | ENABLE_GROUP1 | ACK_CTL | FIQ_EN | CBPR | EOI_MODE

HCR_EN = 1 << 0
HCR_EOICOUNT = 0x1F << 27
EOICOUNT_ONE = 1 << 27

# What reading IAR says when the interrupt is for Group 1's register: AIAR.
GROUP1_PENDING = 1022
# GICv2, designed by Arm; product and revision are the implementation's, here 0.
IIDR_VALUE = 2 << 16 | 0x43B
PREEMPTION_BITS = 5
SHIFT = 8 - PREEMPTION_BITS
NOTHING = -1


class VirtualInterfaceV2:
    """State and behaviour of one virtual CPU interface, with five priority bits.

    `lrs` are the list registers and `hcr` is GICH_HCR, 32 bits each; `active` is
    GICH_APR. GICH_VMCR is kept as the registers that a guest sees. `deactivate` is called
    with the physical INTID when a guest deactivates an interrupt whose list register has
    HW = 1.
    """

    __slots__ = ("abpr", "active", "bpr", "ctlr", "deactivate", "hcr", "lrs", "pmr")

    def __init__(self, list_registers: int, deactivate: Callable[[int], None]) -> None:
        self.deactivate = deactivate
        self.lrs = [0] * list_registers
        self.hcr = self.ctlr = self.pmr = self.active = 0
        self.bpr = minimum_bpr0(PREEMPTION_BITS)
        self.abpr = minimum_bpr1(PREEMPTION_BITS)

    # ---- selection (IHI 0048B, 5.2.2) -----------------------------------------------

    def highest_pending(self) -> int:
        """The index of the list register with the highest-priority pending interrupt.

        The lowest of several; `NOTHING` when none is pending, it does not pass the
        priority mask, or the interface or both groups are disabled. The enable of its own
        group is looked at later: a disabled group's interrupt hides those behind it.
        """
        if not self.hcr & HCR_EN or not self.ctlr & (ENABLE_GROUP0 | ENABLE_GROUP1):
            return NOTHING
        best, best_priority = NOTHING, self.pmr
        for index, lr in enumerate(self.lrs):
            if lr & lrs.STATE == lrs.PENDING_BIT:
                priority = lr >> 20 & 0xF8
                if priority < best_priority:
                    best, best_priority = index, priority
        return best

    def can_signal(self, lr: int) -> bool:
        """Whether the interrupt's group is enabled, and it preempts what is active."""
        group = lrs.group(lr)
        if not self.ctlr >> group & 1:
            return False
        return lrs.priority(lr) & self.mask(group) < self.running_priority()

    def mask(self, group: int) -> int:
        """The bits of a priority that make its group priority (5.5.3, 5.5.8)."""
        if group and not self.ctlr & CBPR:
            return group_mask(self.abpr, 1)
        return group_mask(self.bpr, 0)

    def running_priority(self) -> int:
        """GICV_RPR: the group priority of the highest active interrupt; 0xff for none."""
        number = highest(self.active)
        return IDLE if number < 0 else number << SHIFT

    def signalled(self) -> tuple[bool, bool]:
        """Whether the virtual IRQ and the virtual FIQ are signalled to the PE.

        Group 0 is a FIQ when GICV_CTLR.FIQEn is 1; everything else is an IRQ.
        """
        index = self.highest_pending()
        if index < 0 or not self.can_signal(self.lrs[index]):
            return False, False
        is_fiq = bool(self.ctlr & FIQ_EN) and not self.lrs[index] & lrs.GROUP
        return not is_fiq, is_fiq

    # ---- a guest's accesses ---------------------------------------------------------

    def acknowledge(self, alias: bool = False) -> int:
        """GICV_IAR, or GICV_AIAR with `alias`: take the pending interrupt; INTID and source.

        1023 when there is none to take here, 1022 when it is for the alias.
        """
        index = self.highest_pending()
        seen = self._seen(index, alias)
        if seen in (SPURIOUS, GROUP1_PENDING):
            return seen
        lr = self.lrs[index]
        if not self.can_signal(lr):
            return SPURIOUS
        group_priority = lrs.priority(lr) & self.mask(lrs.group(lr))
        self.active |= 1 << (group_priority >> SHIFT)
        self.lrs[index] = lr ^ lrs.STATE  # pending becomes active
        return seen

    def pending(self, alias: bool = False) -> int:
        """GICV_HPPIR, or GICV_AHPPIR with `alias`: what IAR would take, if it preempts."""
        return self._seen(self.highest_pending(), alias)

    def _seen(self, index: int, alias: bool) -> int:
        """What IAR and HPPIR say of the interrupt in list register `index`.

        IAR shows Group 0, and Group 1 if AckCtl is 1; the alias shows Group 1 alone.
        """
        if index < 0:
            return SPURIOUS
        lr = self.lrs[index]
        if alias and not lr & lrs.GROUP:
            return SPURIOUS
        if not alias and lr & lrs.GROUP and not self.ctlr & ACK_CTL:
            return GROUP1_PENDING
        intid = lr & lrs.VINTID
        return intid | lrs.source(lr) << 10 if intid < SGIS and not lr & lrs.HW else intid

    def end(self, value: int) -> None:
        """GICV_EOIR, GICV_AEOIR: priority drop, and with EOImode 0 deactivation.

        The highest active priority is dropped whatever the INTID. EOIcount counts what
        was dropped and no list register holds.
        """
        intid = value & lrs.VINTID
        if intid >= SECURE:
            return
        dropped = self.active != 0
        self.active &= self.active - 1
        if self.ctlr & EOI_MODE:
            return
        index = self._find_active(intid)
        if index >= 0:
            self._deactivate(index)
        elif dropped:
            self._count_eoi()

    def end_deactivation(self, value: int) -> None:
        """GICV_DIR: deactivate; nothing with EOImode 0."""
        intid = value & lrs.VINTID
        if intid >= SECURE or not self.ctlr & EOI_MODE:
            return
        index = self._find_active(intid)
        if index >= 0:
            self._deactivate(index)
        else:
            self._count_eoi()

    def _find_active(self, intid: int) -> int:
        for index, lr in enumerate(self.lrs):
            if lr & lrs.ACTIVE_BIT and lr & lrs.VINTID == intid:
                return index
        return NOTHING

    def _count_eoi(self) -> None:
        self.hcr = self.hcr & ~HCR_EOICOUNT | (self.hcr + EOICOUNT_ONE) & HCR_EOICOUNT

    def _deactivate(self, index: int) -> None:
        lr = self.lrs[index]
        self.lrs[index] = lr & ~lrs.ACTIVE_BIT
        # An SGI or no interrupt as the physical one is UNPREDICTABLE: nothing is done.
        if lr & lrs.HW and SGIS <= lrs.pintid(lr) < SECURE:
            self.deactivate(lrs.pintid(lr))

    def set_binary_points(self, bpr: int, abpr: int) -> None:
        """GICV_BPR and GICV_ABPR (0..7); below the minimum they become the minimum."""
        self.bpr = max(bpr, minimum_bpr0(PREEMPTION_BITS))
        self.abpr = max(abpr, minimum_bpr1(PREEMPTION_BITS))

    # ---- GICV_* as memory -----------------------------------------------------------

    def read(self, offset: int) -> int:
        """The 32-bit register at a byte offset of the frame; 0 where there is none."""
        reader = _READS.get(offset)
        return reader(self) if reader is not None else 0

    def write(self, offset: int, value: int) -> None:
        """Write the 32-bit register at a byte offset; nothing where there is none."""
        writer = _WRITES.get(offset)
        if writer is not None:
            writer(self, value)

    # ---- snapshots ------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Everything that changes, as plain data."""
        names = ("hcr", "ctlr", "pmr", "bpr", "abpr", "active")
        return {"lrs": list(self.lrs)} | {name: getattr(self, name) for name in names}

    def load(self, state: dict[str, Any]) -> None:
        """Become what `state` gave."""
        self.lrs = list(state["lrs"])
        for name in ("hcr", "ctlr", "pmr", "bpr", "abpr", "active"):
            setattr(self, name, state[name])


def _write_ctlr(interface: VirtualInterfaceV2, value: int) -> None:
    interface.ctlr = value & CTLR_FIELDS


def _write_pmr(interface: VirtualInterfaceV2, value: int) -> None:
    interface.pmr = value & 0xF8


def _write_bpr(interface: VirtualInterfaceV2, value: int) -> None:
    interface.set_binary_points(value & 7, interface.abpr)


def _write_abpr(interface: VirtualInterfaceV2, value: int) -> None:
    interface.set_binary_points(interface.bpr, value & 7)


def _write_apr(interface: VirtualInterfaceV2, value: int) -> None:
    interface.active = value & 0xFFFF_FFFF


_READS: dict[int, Callable[[VirtualInterfaceV2], int]] = {
    CTLR: lambda interface: interface.ctlr,
    PMR: lambda interface: interface.pmr,
    BPR: lambda interface: interface.bpr,
    IAR: VirtualInterfaceV2.acknowledge,
    RPR: VirtualInterfaceV2.running_priority,
    HPPIR: VirtualInterfaceV2.pending,
    ABPR: lambda interface: interface.abpr,
    AIAR: lambda interface: interface.acknowledge(alias=True),
    AHPPIR: lambda interface: interface.pending(alias=True),
    APR0: lambda interface: interface.active,
    IIDR: lambda _: IIDR_VALUE,
}
_WRITES: dict[int, Callable[[VirtualInterfaceV2, int], None]] = {
    CTLR: _write_ctlr,
    PMR: _write_pmr,
    BPR: _write_bpr,
    EOIR: VirtualInterfaceV2.end,
    ABPR: _write_abpr,
    AEOIR: VirtualInterfaceV2.end,
    APR0: _write_apr,
    DIR: VirtualInterfaceV2.end_deactivation,
}
