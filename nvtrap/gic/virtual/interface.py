"""The virtual CPU interface of one PE: list registers, and what a guest's accesses do to them.

IHI 0069, chapter 6 "Virtual interrupt handling and prioritization", and the pseudocode
of the ICV_* registers in 12.3. The registers that a hypervisor sees of it stand in
`ich`, those that a guest sees in `icv`, the status registers in `maintenance`.
"""

from __future__ import annotations

from nvtrap.gic.intids import FIRST_LPI, SPURIOUS, is_special
from nvtrap.gic.priority import (
    IDLE,
    group_mask,
    highest,
    minimum_bpr0,
    minimum_bpr1,
)
from nvtrap.gic.virtual import lr as lrs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Protocol

    from nvtrap.gic.parameters import Parameters

    class DirectInterrupts(Protocol):
        """Virtual LPIs that reach the interface without a list register (GICv4)."""

        def highest_pending(self) -> tuple[int, int] | None:
            """(priority, vINTID) of the highest-priority one; None when none is pending."""
            ...

        def acknowledge(self, vintid: int) -> None:
            """The guest has taken it."""
            ...


# ICH_HCR_EL2, IHI 0069 12.4.1.
HCR_EN = 1 << 0
HCR_EOICOUNT = 0x1F << 27
EOICOUNT_ONE = 1 << 27

NOTHING = -1
# The place of a virtual LPI that no list register holds.
DIRECT = -2
# A non-maskable interrupt has superpriority: above every priority (IHI 0069, 4.8.7).
SUPERPRIORITY = -1
_STATE_SHIFT = lrs.STATE_SHIFT


class VirtualInterface:
    """State and behaviour of one virtual CPU interface.

    `lrs` are the list registers, 64 bits each; `hcr` is ICH_HCR_EL2. ICH_VMCR_EL2 is kept
    as its fields. `active` holds the active priorities of Group 0 and Group 1, in the form
    of `nvtrap.gic.priority`, `active_nmi` whether a non-maskable interrupt is active.
    `deactivate` is called with the physical INTID when a guest deactivates an interrupt
    whose list register has HW = 1.
    """

    __slots__ = (
        "active",
        "active_nmi",
        "bpr0",
        "bpr1",
        "cbpr",
        "deactivate",
        "direct",
        "enabled",
        "eoimode",
        "fiq_enabled",
        "hcr",
        "lrs",
        "masks",
        "nmi_enabled",
        "parameters",
        "pmr",
        "shift",
    )

    def __init__(self, parameters: Parameters, deactivate: Callable[[int], None]) -> None:
        self.parameters = parameters
        self.deactivate = deactivate
        self.direct: DirectInterrupts | None = None
        self.lrs = [0] * parameters.list_registers
        self.hcr = 0
        self.pmr = 0
        self.bpr0 = minimum_bpr0(parameters.virtual_preemption_bits)
        self.bpr1 = minimum_bpr1(parameters.virtual_preemption_bits)
        self.cbpr = self.eoimode = 0
        self.enabled = [0, 0]  # VENG0, VENG1
        self.active = [0, 0]
        self.active_nmi = False
        self.nmi_enabled = False  # SCTLR_EL1.NMI of the PE, which FEAT_GICv3_NMI looks at
        self.shift = 8 - parameters.virtual_preemption_bits
        self.masks = [0, 0]
        self.set_binary_points(self.bpr0, self.bpr1)

    def set_binary_points(self, bpr0: int, bpr1: int) -> None:
        """Set VBPR0 and VBPR1 (0..7); below the minimum they become the minimum (4.8.2)."""
        bits = self.parameters.virtual_preemption_bits
        self.bpr0 = max(bpr0, minimum_bpr0(bits))
        self.bpr1 = max(bpr1, minimum_bpr1(bits))
        self.masks[0] = group_mask(self.bpr0, 0)
        self.masks[1] = self.masks[0] if self.cbpr else group_mask(self.bpr1, 1)

    def set_common(self, cbpr: int) -> None:
        """Set VCBPR: whether Group 1 takes its binary point from VBPR0."""
        self.cbpr = cbpr
        self.set_binary_points(self.bpr0, self.bpr1)

    # ---- selection (IHI 0069, 4.8.6, and 6.2 for virtual interrupts) -----------------

    def highest_pending(self) -> int:
        """The list register with the highest-priority pending interrupt of the enabled groups.

        Its index, the lowest of several; `DIRECT` for a virtual LPI without one;
        `NOTHING` when there is none or ICH_HCR_EL2.En is 0.
        """
        if not self.hcr & HCR_EN:
            return NOTHING
        best, best_priority = NOTHING, IDLE + 1
        enabled = self.enabled
        for index, lr in enumerate(self.lrs):
            if lr >> _STATE_SHIFT == 1 and enabled[lr >> 60 & 1]:
                priority = lr >> 48 & 0xFF if not lr & lrs.NMI else SUPERPRIORITY
                if priority < best_priority:
                    best, best_priority = index, priority
        if self.direct is not None and enabled[1]:
            waiting = self.direct.highest_pending()
            if waiting is not None and waiting[0] < best_priority:
                return DIRECT
        return best

    def candidate(self) -> int:
        """The highest-priority pending interrupt as a list register's value; 0 when none is."""
        index = self.highest_pending()
        return self.lrs[index] if index >= 0 else self._direct_lr() if index == DIRECT else 0

    def _direct_lr(self) -> int:
        assert self.direct is not None
        waiting = self.direct.highest_pending()
        assert waiting is not None
        return lrs.make(waiting[1], priority=waiting[0])

    def can_signal(self, lr: int) -> bool:
        """Whether priority mask and running priority let an interrupt through (4.8).

        Both priorities count as far as they are group priority under the binary point of
        the pending interrupt's group, which may have changed since the acknowledge.
        """
        if lr & lrs.NMI:
            return not self.active_nmi
        priority = lr >> 48 & 0xFF
        if priority >= self.pmr or self.active_nmi:
            return False
        active = self.active[0] | self.active[1]
        if not active:
            return True
        running = ((active & -active).bit_length() - 1) << self.shift
        mask = self.masks[lr >> 60 & 1]
        return priority & mask < running & mask

    def running_priority(self) -> int:
        """The group priority of the highest active interrupt; 0xff when none is active."""
        if self.active_nmi:
            return 0
        number = highest(self.active[0] | self.active[1])
        return IDLE if number < 0 else number << self.shift

    def signalled(self) -> tuple[bool, bool]:
        """Whether the virtual IRQ and the virtual FIQ are signalled to the PE.

        Group 1 is an IRQ, Group 0 a FIQ (6.2: ICH_VMCR_EL2.VFIQEn is RES1 with system
        registers).
        """
        lr = self.candidate()
        if not lr or not self.can_signal(lr):
            return False, False
        is_group1 = bool(lr & lrs.GROUP)
        return is_group1, not is_group1

    # ---- a guest's accesses ---------------------------------------------------------

    def acknowledge(self, group: int) -> int:
        """ICV_IAR<group>_EL1: take the highest-priority pending interrupt; its INTID.

        1023 when there is none of this group that can be signalled, 1022 when it is
        non-maskable and SCTLR_EL1.NMI is 1: ICV_NMIAR1_EL1 takes that.
        """
        index = self.highest_pending()
        if index < 0:
            return self._acknowledge_direct(group) if index == DIRECT else SPURIOUS
        lr = self.lrs[index]
        if lr >> 60 & 1 != group or not self.can_signal(lr):
            return SPURIOUS
        if lr & lrs.NMI:
            if self.nmi_enabled:
                return 1022
            return self.acknowledge_nmi()
        self.active[group] |= 1 << ((lr >> 48 & self.masks[group]) >> self.shift)
        self.lrs[index] = lr ^ lrs.STATE  # pending becomes active
        return lr & lrs.VINTID

    def _acknowledge_direct(self, group: int) -> int:
        lr = self._direct_lr()
        if group != 1 or not self.can_signal(lr):
            return SPURIOUS
        assert self.direct is not None
        self.active[1] |= 1 << ((lr >> 48 & self.masks[1]) >> self.shift)
        self.direct.acknowledge(lrs.vintid(lr))
        return lrs.vintid(lr)

    def acknowledge_nmi(self) -> int:
        """ICV_NMIAR1_EL1: take a non-maskable interrupt; 1023 when none can be signalled."""
        index = self.highest_pending()
        if index < 0 or not self.lrs[index] & lrs.NMI or not self.can_signal(self.lrs[index]):
            return SPURIOUS
        self.active_nmi = True
        self.lrs[index] ^= lrs.STATE
        return lrs.vintid(self.lrs[index])

    def end(self, group: int, intid: int) -> None:
        """ICV_EOIR<group>_EL1: priority drop, and with EOImode 0 deactivation.

        The highest active priority of either group is dropped first; the interrupt is
        deactivated when INTID, group and priority are those of a list register that is
        active. EOIcount counts what no list register holds, except LPIs.
        """
        if is_special(intid):
            return
        dropped = self._drop_priority()
        if dropped == IDLE:
            return
        index = self._find_active(intid)
        is_lpi = intid >= FIRST_LPI
        if index < 0:
            if not is_lpi and not self.eoimode:
                self._count_eoi()
            return
        lr = self.lrs[index]
        priority = SUPERPRIORITY if lr & lrs.NMI else lr >> 48 & self.masks[group] & 0xFF
        if lr >> 60 & 1 == group and priority == dropped and (is_lpi or not self.eoimode):
            self._deactivate(index)

    def end_deactivation(self, intid: int) -> None:
        """ICV_DIR_EL1: deactivate; nothing with EOImode 0, and nothing for an LPI."""
        if not self.eoimode or intid >= FIRST_LPI or is_special(intid):
            return
        index = self._find_active(intid)
        if index < 0:
            self._count_eoi()
        else:
            self._deactivate(index)

    def _drop_priority(self) -> int:
        """Clear the highest active priority of either group; `IDLE` when there is none."""
        if self.active_nmi:
            self.active_nmi = False
            return SUPERPRIORITY
        group0, group1 = self.active
        active = group0 | group1
        if not active:
            return IDLE
        lowest = active & -active
        # Both groups with the same priority active is UNPREDICTABLE: Group 0 goes first.
        if group0 & lowest:
            self.active[0] = group0 ^ lowest
        else:
            self.active[1] = group1 ^ lowest
        return (lowest.bit_length() - 1) << self.shift

    def _find_active(self, intid: int) -> int:
        for index, lr in enumerate(self.lrs):
            if lr & lrs.ACTIVE_BIT and lr & lrs.VINTID == intid:
                return index
        return NOTHING

    def _count_eoi(self) -> None:
        hcr = self.hcr
        self.hcr = hcr & ~HCR_EOICOUNT | (hcr + EOICOUNT_ONE) & HCR_EOICOUNT

    def _deactivate(self, index: int) -> None:
        lr = self.lrs[index]
        self.lrs[index] = lr & ~lrs.ACTIVE_BIT
        if lr & lrs.HW:
            self.deactivate(lrs.pintid(lr))

    # ---- snapshots ------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Everything that changes, as plain data."""
        return {
            "lrs": list(self.lrs),
            "hcr": self.hcr,
            "pmr": self.pmr,
            "bpr": [self.bpr0, self.bpr1],
            "cbpr": self.cbpr,
            "eoimode": self.eoimode,
            "enabled": list(self.enabled),
            "active": [str(active) for active in self.active],
            "active_nmi": self.active_nmi,
            "nmi_enabled": self.nmi_enabled,
        }

    def load(self, state: dict[str, Any]) -> None:
        """Become what `state` gave; bits that are not implemented stay 0.

        Raises `ValueError` for another number of list registers.
        """
        has = self.parameters
        self.lrs[:] = [
            lr & (has.lr_mask_hw if lr & lrs.HW else has.lr_mask)
            for _, lr in zip(self.lrs, state["lrs"], strict=True)
        ]
        self.hcr = state["hcr"] & has.hcr_mask
        self.pmr = state["pmr"] & 0xFF00 >> has.virtual_priority_bits & 0xFF
        self.cbpr, self.eoimode = state["cbpr"] & 1, state["eoimode"] & 1
        self.enabled[:] = [state["enabled"][group] & 1 for group in (0, 1)]
        implemented = (1 << (1 << has.virtual_preemption_bits)) - 1
        self.active[:] = [int(state["active"][group]) & implemented for group in (0, 1)]
        self.active_nmi = has.nmi and state["active_nmi"] is True
        self.nmi_enabled = has.nmi and state["nmi_enabled"] is True
        self.set_binary_points(*(bpr & 7 for bpr in state["bpr"]))
