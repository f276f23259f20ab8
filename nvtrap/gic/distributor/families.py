"""Registers that have a field for every interrupt, as distributor and redistributors have them.

IHI 0069, 12.8 to 12.11 (GICD_*, GICR_*): a family is one such register array.
What software sees of an interrupt depends on the security state of its access (4.6, 4.8);
interrupts that are not implemented have fields that are RAZ/WI.
"""

from __future__ import annotations

from nvtrap.gic.distributor.bank import LOWER_HALF
from nvtrap.gic.distributor.routing import RoutedBank

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from nvtrap.gic.distributor.bank import Bank

    class Part(Protocol):
        """A distributor or a redistributor."""

        def at(self, number: int, extended: bool) -> tuple[Bank, int]:
            """The bank with field `number` of a family, and the place in it.

            `extended` says that it is one of the `E` arrays of the distributor.
            """
            ...


# How software looks at interrupts: with one security state (or GICD_CTLR.DS = 1), and with
# two by a Secure and by a Non-secure access.
SINGLE, SECURE, NON_SECURE = 0, 1, 2

REPLACE, SET, CLEAR = "replace", "set", "clear"
# A level that no NSACR field has: it gives no Non-secure access.
NEVER = 4
_WORD = 0xFFFF_FFFF


def _seen(bank: Bank, view: int, level: int = NEVER) -> int:
    """The interrupts that an access reaches: Non-secure ones, and those granted by NSACR.

    Only SPIs are granted: GICR_NSACR is about generating SGIs.
    """
    if view != NON_SECURE:
        return bank.mask
    if level == NEVER or not isinstance(bank, RoutedBank):
        return bank.group
    return bank.group | bank.granted(level)


class Bits:
    """One bit an interrupt, 32-bit access: `shown` and `changed` name sets of the bank.

    `how` says what writing 1 does. `views` may access it at all; `reads_at` and
    `writes_at` are the levels of GICD_NSACR that give Non-secure accesses more.
    """

    __slots__ = ("changed", "how", "reads_at", "shown", "views", "writes_at")

    sizes = (4,)

    def __init__(
        self,
        shown: str,
        how: str,
        changed: str = "",
        *,
        views: tuple[int, ...] = (SINGLE, SECURE, NON_SECURE),
        reads_at: int = NEVER,
        writes_at: int = NEVER,
    ) -> None:
        self.shown = shown
        self.changed = changed or shown
        self.how = how
        self.views = views
        self.reads_at = reads_at
        self.writes_at = writes_at

    def read(self, part: Part, offset: int, _size: int, extended: bool, view: int) -> int:
        """The word at `offset` bytes into the family."""
        if view not in self.views:
            return 0
        bank, index = part.at(offset << 3, extended)
        bits: int = getattr(bank, self.shown)
        if view == NON_SECURE:
            bits &= _seen(bank, view, self.reads_at)
        return bits >> index & _WORD

    def write(
        self, part: Part, offset: int, _size: int, extended: bool, view: int, value: int
    ) -> None:
        """Write the word at `offset` bytes into the family."""
        if view not in self.views:
            return
        bank, index = part.at(offset << 3, extended)
        reached = _seen(bank, view, self.writes_at)
        ones = value << index & reached
        before = getattr(bank, self.changed)
        if self.how == SET:
            after = before | ones
        elif self.how == CLEAR:
            after = before & ~ones
        else:
            after = before & ~(_WORD << index & reached) | ones
        setattr(bank, self.changed, after)


class NonMaskable(Bits):
    """INMIR: as other bits, but RES0 without FEAT_GICv3_NMI."""

    __slots__ = ()

    def write(
        self, part: Part, offset: int, size: int, extended: bool, view: int, value: int
    ) -> None:
        """Write the word at `offset` bytes into the family."""
        bank, index = part.at(offset << 3, extended)
        super().write(part, offset, size, extended, view, value & bank.maskable >> index)


class Triggers:
    """ICFGR: two bits an interrupt, the upper says edge-triggered, the lower is RES0."""

    __slots__ = ()

    sizes = (4,)

    def read(self, part: Part, offset: int, _size: int, extended: bool, view: int) -> int:
        """The word at `offset` bytes into the family."""
        bank, index = part.at(offset << 2, extended)
        return spread(bank.edge & _seen(bank, view) & bank.mask, index) << 1

    def write(
        self, part: Part, offset: int, _size: int, extended: bool, view: int, value: int
    ) -> None:
        """Write the word at `offset` bytes into the family."""
        bank, index = part.at(offset << 2, extended)
        reached = 0xFFFF << index & bank.configurable & _seen(bank, view)
        bank.edge = bank.edge & ~reached | gather(value >> 1) << index & reached


class Guards:
    """NSACR: two bits an interrupt, for Secure accesses where there are two security states."""

    __slots__ = ()

    sizes = (4,)

    def read(self, part: Part, offset: int, _size: int, extended: bool, view: int) -> int:
        """The word at `offset` bytes into the family."""
        if view != SECURE:
            return 0
        bank, index = part.at(offset << 2, extended)
        return spread(bank.access_low, index) | spread(bank.access_high, index) << 1

    def write(
        self, part: Part, offset: int, _size: int, extended: bool, view: int, value: int
    ) -> None:
        """Write the word at `offset` bytes into the family."""
        if view != SECURE:
            return
        bank, index = part.at(offset << 2, extended)
        reached = 0xFFFF << index & bank.guarded
        bank.access_low = bank.access_low & ~reached | gather(value) << index & reached
        bank.access_high = bank.access_high & ~reached | gather(value >> 1) << index & reached


class Priorities:
    """IPRIORITYR: a byte an interrupt, byte and word access.

    Non-secure software sees the lower half of the priorities as the whole: shifted left
    by one, and nothing of interrupts that are not Non-secure (4.8).
    """

    __slots__ = ()

    sizes = (1, 4)

    def read(self, part: Part, offset: int, size: int, extended: bool, view: int) -> int:
        """The byte or word at `offset` bytes into the family."""
        bank, index = part.at(offset, extended)
        priorities = bank.priority[index : index + size]
        if view == NON_SECURE:
            seen = bank.group >> index
            for place, priority in enumerate(priorities):
                priorities[place] = priority << 1 & 0xFF if seen >> place & 1 else 0
        return int.from_bytes(priorities, "little")

    def write(
        self, part: Part, offset: int, size: int, extended: bool, view: int, value: int
    ) -> None:
        """Write the byte or word at `offset` bytes into the family."""
        bank, index = part.at(offset, extended)
        for place in range(index, min(index + size, bank.count)):
            priority, value = value & 0xFF, value >> 8
            if view == NON_SECURE:
                if not bank.group >> place & 1:
                    continue
                priority = priority >> 1 | LOWER_HALF
            bank.priority[place] = priority & bank.priority_mask


class Routers:
    """IROUTER: a doubleword an interrupt, doubleword and word access."""

    __slots__ = ()

    sizes = (4, 8)

    def read(self, part: Part, offset: int, size: int, extended: bool, view: int) -> int:
        """The word or doubleword at `offset` bytes into the family."""
        bank, index = part.at(offset >> 3, extended)
        if not isinstance(bank, RoutedBank) or not _seen(bank, view, 3) >> index & 1:
            return 0
        route = bank.route(index)
        return route if size == 8 else route >> 8 * (offset & 4) & _WORD

    def write(
        self, part: Part, offset: int, size: int, extended: bool, view: int, value: int
    ) -> None:
        """Write the word or doubleword at `offset` bytes into the family."""
        bank, index = part.at(offset >> 3, extended)
        if not isinstance(bank, RoutedBank) or not _seen(bank, view, 3) >> index & 1:
            return
        if size == 4:
            shift = 8 * (offset & 4)
            value = bank.route(index) & ~(_WORD << shift) | value << shift
        bank.set_route(index, value)


class Legacy:
    """Registers of GICv2 that are RAZ/WI with affinity routing: ITARGETSR, SGIR, xPENDSGIR."""

    __slots__ = ()

    sizes = (1, 4)

    def read(self, part: Part, offset: int, size: int, extended: bool, view: int) -> int:  # noqa: ARG002
        """0."""
        return 0

    def write(
        self, part: Part, offset: int, size: int, extended: bool, view: int, value: int
    ) -> None:
        """Nothing."""


def spread(bits: int, index: int) -> int:
    """The 16 bits from `index` on, at the even places of a word."""
    word = bits >> index & 0xFFFF
    word = (word | word << 8) & 0x00FF_00FF
    word = (word | word << 4) & 0x0F0F_0F0F
    word = (word | word << 2) & 0x3333_3333
    return (word | word << 1) & 0x5555_5555


def gather(word: int) -> int:
    """The even bits of a word as 16 bits: what `spread` takes apart."""
    word &= 0x5555_5555
    word = (word | word >> 1) & 0x3333_3333
    word = (word | word >> 2) & 0x0F0F_0F0F
    word = (word | word >> 4) & 0x00FF_00FF
    return (word | word >> 8) & 0xFFFF


_NOT_NON_SECURE = (SINGLE, SECURE)
IGROUPR = Bits("group", REPLACE, views=_NOT_NON_SECURE)
IGRPMODR = Bits("modifier", REPLACE, views=(SECURE,))
ISENABLER = Bits("enabled", SET)
ICENABLER = Bits("enabled", CLEAR)
ISPENDR = Bits("pending", SET, "latch", reads_at=1, writes_at=1)
ICPENDR = Bits("pending", CLEAR, "latch", reads_at=2, writes_at=2)
ISACTIVER = Bits("active", SET, reads_at=2)
ICACTIVER = Bits("active", CLEAR, reads_at=2)
IPRIORITYR = Priorities()
ICFGR = Triggers()
NSACR = Guards()
INMIR = NonMaskable("nmi", REPLACE)
IROUTER = Routers()
LEGACY = Legacy()

Family = Bits | Triggers | Guards | Priorities | Routers | Legacy
