"""The physical CPU interface of one PE: which interrupt is signalled, acknowledged, ended.

IHI 0069, 2.3, 4.1, 4.6 to 4.8, and the pseudocode of the ICC_* registers in 12.2. The
registers as software sees them stand in `nvtrap.gic.physical.icc`.
"""

from __future__ import annotations

from nvtrap.gic.distributor.bank import GROUP0, GROUP1_NS, GROUP1_S, LOWER_HALF, NO_RANK
from nvtrap.gic.distributor.routing import ANYWHERE, chosen
from nvtrap.gic.intids import FIRST_LPI, NMI, NON_SECURE, SECURE, SPURIOUS
from nvtrap.gic.priority import IDLE, group_mask, highest, minimum_bpr0, minimum_bpr1

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from nvtrap.gic.distributor.bank import Bank
    from nvtrap.gic.distributor.distributor import Distributor
    from nvtrap.gic.distributor.redistributor import Redistributor
    from nvtrap.gic.parameters import Parameters
    from nvtrap.gic.physical.icc import View

    # (rank, INTID, group) of an interrupt; ranks as in `nvtrap.gic.distributor.bank`.
    Pending = tuple[int, int, int]

# What ICC_CTLR_EL3 keeps; the copies of ICC_CTLR_EL1 are aliases of its fields.
CBPR = {GROUP1_S: 1 << 0, GROUP1_NS: 1 << 1}
EOIMODE_EL3, EOIMODE_S, EOIMODE_NS = 1 << 2, 1 << 3, 1 << 4
CTLR_FIELDS = CBPR[GROUP1_S] | CBPR[GROUP1_NS] | EOIMODE_EL3 | EOIMODE_S | EOIMODE_NS
ALL_GROUPS = 1 << GROUP0 | 1 << GROUP1_NS | 1 << GROUP1_S
GROUP1 = (GROUP1_NS, GROUP1_S)


class PhysicalInterface:
    """State and behaviour of one PE's physical CPU interface.

    By group: `enables` has bit g for ICC_IGRPEN*, `bpr` the binary points, `active` the
    active priorities in the form of `nvtrap.gic.priority`, and `active_nmi` bit g when a
    non-maskable interrupt is active. `ctlr` is what ICC_CTLR_EL3 keeps. `nmi_levels` has
    bit n for SCTLR_EL<n>.NMI.
    """

    __slots__ = (
        "active",
        "active_nmi",
        "affinity",
        "bpr",
        "ctlr",
        "distributor",
        "enables",
        "nmi_levels",
        "parameters",
        "pmr",
        "redistributor",
        "shift",
    )

    def __init__(
        self, parameters: Parameters, distributor: Distributor, redistributor: Redistributor
    ) -> None:
        self.parameters = parameters
        self.distributor = distributor
        self.redistributor = redistributor
        self.affinity = parameters.affinities[redistributor.index]
        self.shift = 8 - parameters.physical_preemption_bits
        self.pmr = self.enables = self.ctlr = self.active_nmi = self.nmi_levels = 0
        self.bpr = [self.minimum_bpr(group) for group in (GROUP0, GROUP1_NS, GROUP1_S)]
        self.active = [0, 0, 0]

    # ---- the highest-priority pending interrupt (4.8) ------------------------------------

    def highest_pending(self) -> Pending | None:
        """The pending interrupt to be taken first, of the groups that are enabled for this PE.

        Whether interrupts of a group that the CPU interface disables hide others is left
        open by the architecture (4.7): here they do not. None while the PE sleeps.
        """
        if self.redistributor.asleep:
            return None
        return self._highest_of(self.distributor.enables & self.enables)

    def wakes(self) -> bool:
        """Whether the PE sleeps and an interrupt asks for it: WakeRequest (chapter 11)."""
        if not self.redistributor.asleep:
            return False
        return self._highest_of(self.distributor.enables) is not None

    def _highest_of(self, groups: int) -> Pending | None:
        if not groups:
            return None
        is_single = self.distributor.is_single
        best, best_bank, best_index = NO_RANK, self.redistributor.ppis, -1
        for bank, bits in self._waiting(groups):
            rank, index = bank.highest(bits, is_single)
            if rank < best:
                best, best_bank, best_index = rank, bank, index
        if groups >> GROUP1_NS & 1:
            lpi = self.redistributor.lpis.highest_pending()
            if lpi is not None:
                rank = (lpi[0] if is_single else self._of_lpi(lpi[0])) << 1 | 1
                if rank < best:
                    return rank, lpi[1], GROUP1_NS
        if best_index < 0:
            return None
        return best, best_bank.first + best_index, best_bank.group_of(best_index, is_single)

    def _of_lpi(self, priority: int) -> int:
        """The priority of an LPI, whose configuration holds the Non-secure view."""
        return (priority >> 1 | LOWER_HALF) & self.redistributor.ppis.priority_mask

    def _waiting(self, groups: int) -> Iterator[tuple[Bank, int]]:
        """The banks that have interrupts waiting for this PE, with the set of these."""
        redistributor, distributor = self.redistributor, self.distributor
        is_single = distributor.is_single
        redistributor.sample()
        for bank in (redistributor.ppis, redistributor.eppis):
            bits = bank.waiting(groups, is_single)
            if bits:
                yield bank, bits
        for bank in (distributor.spis, distributor.espis):
            bits = bank.waiting(groups, is_single)
            if bits:
                mine = bits & bank.to.get(self.affinity, 0)
                anywhere = bits & bank.to.get(ANYWHERE, 0)
                if anywhere:
                    mine |= self._chosen_for(bank, anywhere)
                if mine:
                    yield bank, mine

    def _chosen_for(self, bank: Bank, bits: int) -> int:
        """Those of `bits`, which may go to any PE, that this PE gets."""
        distributor, mine = self.distributor, 0
        for group in (GROUP0, GROUP1_NS, GROUP1_S):
            of_group = bits & bank.in_group(group, distributor.is_single)
            if of_group and chosen(distributor.interfaces, group, distributor.wakes) is self:
                mine |= of_group
        return mine

    # ---- priorities (4.8) ---------------------------------------------------------------

    def minimum_bpr(self, group: int) -> int:
        """The smallest binary point that the register of a group holds."""
        bits = self.parameters.physical_preemption_bits
        return minimum_bpr1(bits) if group == GROUP1_NS else minimum_bpr0(bits)

    def mask(self, group: int) -> int:
        """The bits of a priority that are group priority, for an interrupt of a group."""
        if group == GROUP0 or self.ctlr & CBPR[group]:
            return group_mask(self.bpr[GROUP0], 0)
        return group_mask(self.bpr[group], group == GROUP1_NS)

    def running_rank(self) -> int:
        """The rank of the highest active priority, and `NO_RANK` when none is active."""
        number = highest(self.active[GROUP0] | self.active[GROUP1_NS] | self.active[GROUP1_S])
        rank = NO_RANK if number < 0 else number << self.shift + 1 | 1
        if self.active_nmi:
            rank = min(rank, *(self._nmi_rank(group) for group in GROUP1))
        return rank

    def _nmi_rank(self, group: int) -> int:
        """The rank of the non-maskable interrupt of a group that is active."""
        if not self.active_nmi >> group & 1:
            return NO_RANK
        return LOWER_HALF << 1 if group == GROUP1_NS and not self.distributor.is_single else 0

    def running_priority(self) -> int:
        """The highest active group priority; 0xff when none is active."""
        return min(self.running_rank() >> 1, IDLE)

    def can_signal(self, pending: Pending, in_secure: bool) -> bool:
        """Whether priority mask and running priority let an interrupt through (4.8).

        The mask does not hold a non-maskable interrupt back, except from the other
        security state: a Non-secure one has priority 0x80 to Secure software.
        """
        rank, _, group = pending
        if rank & 1:
            if rank >> 1 >= self.pmr:
                return False
            running, mask = self.running_rank(), self.mask(group)
            return running == NO_RANK or rank >> 1 & mask < running >> 1 & mask
        if rank and self.pmr < LOWER_HALF + in_secure:
            return False
        return rank < self.running_rank()

    # ---- what software sees (4.6, 12.2) ---------------------------------------------------

    def handles(self, group: int, view: View) -> bool:
        """Whether interrupts of a group are those of the security state of an access."""
        if view.el == 3 or self.distributor.is_single:
            return True
        return (group == GROUP1_NS) != view.secure

    def visible(self, pending: Pending, is_group1: bool, view: View) -> int:
        """What ICC_IAR<g>_EL1 or ICC_HPPIR<g>_EL1 returns of an interrupt: its INTID or another.

        1023 when it is of another group or security state; at EL3 the registers of Group 0
        tell for which security state a Group 1 interrupt is (2.2, 4.6).
        """
        _, intid, group = pending
        if (group != GROUP0) == is_group1:
            return intid if self.handles(group, view) else SPURIOUS
        if is_group1 or view.el != 3:
            return SPURIOUS
        return SECURE if group == GROUP1_S else NON_SECURE

    def highest_visible(self, is_group1: bool, view: View) -> int:
        """ICC_HPPIR<g>_EL1: as an acknowledge, but whatever the priority is, and without effect."""
        pending = self.highest_pending()
        return SPURIOUS if pending is None else self.visible(pending, is_group1, view)

    def acknowledge(self, is_group1: bool, view: View, only_nmi: bool = False) -> int:
        """ICC_IAR<g>_EL1, or ICC_NMIAR1_EL1 with `only_nmi`: take an interrupt; its INTID.

        1023 when none can be taken, 1022 when it is non-maskable and SCTLR_ELx.NMI says
        that ICC_NMIAR1_EL1 takes those.
        """
        pending = self.highest_pending()
        if pending is None or not self.can_signal(pending, view.in_secure):
            return SPURIOUS
        rank, intid, _ = pending
        seen = self.visible(pending, is_group1, view)
        is_nmi = not rank & 1
        if seen != intid or (only_nmi and not is_nmi):
            return SPURIOUS if only_nmi else seen
        if is_nmi and not only_nmi and self.nmi_levels >> view.el & 1:
            return NMI
        self._activate(pending)
        return intid

    def _activate(self, pending: Pending) -> None:
        rank, intid, group = pending
        if rank & 1:
            self.active[group] |= 1 << ((rank >> 1 & self.mask(group)) >> self.shift)
        else:
            self.active_nmi |= 1 << group
        if intid >= FIRST_LPI:
            self.redistributor.lpis.acknowledge(intid)
            return
        located = self.locate(intid)
        assert located is not None
        located[0].acknowledge(located[1])

    def signalled(self, el: int = 1, secure: bool = False) -> tuple[bool, bool]:
        """Whether IRQ and FIQ are signalled to the PE at EL `el` in a security state.

        Group 0 is a FIQ; Group 1 of the current security state is an IRQ, that of the
        other one, and any at EL3, a FIQ (4.6).
        """
        pending = self.highest_pending()
        in_secure = secure or el == 3
        if pending is None or not self.can_signal(pending, in_secure):
            return False, False
        group = pending[2]
        is_own = self.distributor.is_single or (el != 3 and (group == GROUP1_S) == in_secure)
        is_irq = group != GROUP0 and is_own
        return is_irq, not is_irq

    # ---- the end of an interrupt (4.1, 12.2) ----------------------------------------------

    def end(self, is_group1: bool, intid: int, view: View) -> None:
        """ICC_EOIR<g>_EL1: drop the highest active priority; with EOImode 0 deactivate.

        Nothing for an INTID that there is not, and when the highest active priority is of
        another group or security state.
        """
        if not self.exists(intid):
            return
        group = self._running_group()
        if group < 0 or (group != GROUP0) != is_group1 or not self.handles(group, view):
            return
        self._drop_priority(group)
        located = self.locate(intid)
        if located and not self.is_split(view):
            bank, index = located
            if self.handles(bank.group_of(index, self.distributor.is_single), view):
                bank.active &= ~(1 << index)

    def end_deactivation(self, intid: int, view: View) -> None:
        """ICC_DIR_EL1: deactivate; nothing with EOImode 0, and nothing for an LPI.

        Below EL3 not an interrupt of the other security state, and none of a kind that
        SCR_EL3 routes to EL3.
        """
        located = self.locate(intid)
        if located is None or not self.is_split(view):
            return
        bank, index = located
        group = bank.group_of(index, self.distributor.is_single)
        to_el3 = view.fiq_to_el3 if group == GROUP0 else view.irq_to_el3
        if view.el == 3 or (not to_el3 and (view.secure or self.handles(group, view))):
            bank.active &= ~(1 << index)

    def deactivate_by_hardware(self, intid: int) -> None:
        """A guest has deactivated a virtual interrupt whose list register has HW = 1."""
        located = self.locate(intid)
        if located:
            located[0].active &= ~(1 << located[1])

    def is_split(self, view: View) -> bool:
        """EOImode of the EL and security state of an access: EOIR does not deactivate."""
        if view.el == 3:
            return bool(self.ctlr & EOIMODE_EL3)
        return bool(self.ctlr & (EOIMODE_S if view.secure else EOIMODE_NS))

    def _running_group(self) -> int:
        """The group with the highest active priority; -1 when none is active."""
        rank = self.running_rank()
        if rank == NO_RANK:
            return -1
        if not rank & 1:
            return next(group for group in GROUP1 if self._nmi_rank(group) == rank)
        bit = 1 << (rank >> self.shift + 1)
        return next(group for group, active in enumerate(self.active) if active & bit)

    def _drop_priority(self, group: int) -> None:
        if not self.running_rank() & 1:
            self.active_nmi &= ~(1 << group)
        else:
            self.active[group] &= self.active[group] - 1

    # ---- INTIDs -------------------------------------------------------------------------

    def locate(self, intid: int) -> tuple[Bank, int] | None:
        """The bank with an SGI, PPI or SPI and the place in it; None for anything else."""
        return self.redistributor.locate(intid) or self.distributor.locate(intid)

    def exists(self, intid: int) -> bool:
        """Whether there is an interrupt with this number."""
        if intid >= FIRST_LPI:
            has = self.parameters
            return has.lpis and intid < 1 << has.distributor_intid_bits
        return self.locate(intid) is not None

    # ---- snapshots ------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Everything that changes, as plain data."""
        return {
            "pmr": self.pmr,
            "enables": self.enables,
            "ctlr": self.ctlr,
            "bpr": list(self.bpr),
            "active": [f"{active:x}" for active in self.active],
            "active_nmi": self.active_nmi,
            "nmi_levels": self.nmi_levels,
        }

    def load(self, state: dict[str, Any]) -> None:
        """Become what `state` gave."""
        implemented = (1 << (1 << self.parameters.physical_preemption_bits)) - 1
        self.pmr = state["pmr"] & self.redistributor.ppis.priority_mask
        self.enables = state["enables"] & ALL_GROUPS
        self.ctlr = state["ctlr"] & CTLR_FIELDS
        for group in (GROUP0, GROUP1_NS, GROUP1_S):
            self.bpr[group] = max(state["bpr"][group] & 7, self.minimum_bpr(group))
            self.active[group] = int(state["active"][group], 16) & implemented
        has_nmi = self.parameters.nmi
        self.active_nmi = state["active_nmi"] & (1 << GROUP1_NS | 1 << GROUP1_S) if has_nmi else 0
        self.nmi_levels = state["nmi_levels"] & 0xE if has_nmi else 0
