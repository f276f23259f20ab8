"""A bank of interrupts: the state of INTIDs that follow one another, as bit sets.

IHI 0069, "Interrupt states", 2.1 and 4.1: what the distributor keeps of SPIs and a
redistributor of SGIs and PPIs. Bit i of every set is the INTID `first` + i.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from nvtrap.gic.parameters import Parameters

# The interrupt groups, in the order of their enables in GICD_CTLR (IHI 0069, 4.6). With one
# security state, or GICD_CTLR.DS = 1, Group 1 is Non-secure Group 1.
GROUP0, GROUP1_NS, GROUP1_S = 0, 1, 2

# A rank orders interrupts: twice the priority, and one more when it is no non-maskable
# interrupt, which goes before the others of its priority. The lowest rank goes first.
NO_RANK = 0x200
# The priority of a Non-secure non-maskable interrupt with two security states.
LOWER_HALF = 0x80

_SETS = (
    "group",
    "modifier",
    "enabled",
    "latch",
    "line",
    "active",
    "edge",
    "nmi",
    "access_low",
    "access_high",
)


class Bank:
    """`count` interrupts from the INTID `first` on.

    `group` and `modifier` are IGROUPR and IGRPMODR, `latch` the pending state that is
    kept, `line` the level of the inputs, `edge` those that are edge-triggered, `nmi`
    those with the non-maskable property; `access_low` and `access_high` the two bits of
    every NSACR field. `configurable` are those whose trigger software chooses, `guarded`
    those that have an NSACR field, `maskable` those that can be non-maskable.
    """

    __slots__ = (
        *_SETS,
        "configurable",
        "count",
        "first",
        "guarded",
        "mask",
        "maskable",
        "priority",
        "priority_mask",
    )

    group: int
    modifier: int
    enabled: int
    latch: int
    line: int
    active: int
    edge: int
    nmi: int
    access_low: int
    access_high: int

    def __init__(self, parameters: Parameters, first: int, count: int) -> None:
        self.first = first
        self.count = count
        self.mask = self.configurable = self.guarded = (1 << count) - 1
        self.maskable = self.mask if parameters.nmi else 0
        self.priority = bytearray(count)
        self.priority_mask = 0xFF00 >> parameters.physical_priority_bits & 0xFF
        self.group = self.modifier = self.enabled = self.latch = self.line = 0
        self.active = self.edge = self.nmi = self.access_low = self.access_high = 0

    @property
    def pending(self) -> int:
        """Those that are pending: what is latched, and level-sensitive ones with a high line."""
        return self.latch | self.line & ~self.edge

    def granted(self, level: int) -> int:
        """Those whose NSACR field is at least `level` (1..3)."""
        low, high = self.access_low, self.access_high
        return (low | high, high, low & high)[level - 1]

    def in_group(self, group: int, is_single: bool) -> int:
        """Those of a group; `is_single` says that there is one security state (4.6)."""
        if group == GROUP1_NS:
            return self.group
        if is_single:
            return 0 if group == GROUP1_S else self.mask & ~self.group
        return ~self.group & (self.modifier if group == GROUP1_S else self.mask & ~self.modifier)

    def group_of(self, index: int, is_single: bool) -> int:
        """The group of one."""
        if self.group >> index & 1:
            return GROUP1_NS
        return GROUP1_S if not is_single and self.modifier >> index & 1 else GROUP0

    def waiting(self, groups: int, is_single: bool) -> int:
        """Those that are pending, enabled, not active, and of a group in `groups` (4.1).

        Bit g of `groups` is the group g.
        """
        bits = (self.latch | self.line & ~self.edge) & self.enabled & ~self.active
        if not bits or groups == 7:
            return bits
        chosen = 0
        for group in (GROUP0, GROUP1_NS, GROUP1_S):
            if groups >> group & 1:
                chosen |= self.in_group(group, is_single)
        return bits & chosen

    def highest(self, bits: int, is_single: bool) -> tuple[int, int]:
        """(rank, index) of the highest priority among `bits`, the lowest INTID of several."""
        best, best_index = NO_RANK, -1
        if bits & self.nmi:
            superior = bits & self.nmi & ~self.in_group(GROUP0, is_single)
            best, best_index = self._highest_superior(superior, is_single)
            bits &= ~superior
        priority = self.priority
        while bits:
            index = (bits & -bits).bit_length() - 1
            rank = priority[index] << 1 | 1
            if rank < best:
                best, best_index = rank, index
            bits &= bits - 1
        return best, best_index

    def _highest_superior(self, bits: int, is_single: bool) -> tuple[int, int]:
        """(rank, index) among non-maskable interrupts, which Group 0 interrupts never are."""
        upper = bits if is_single else bits & ~self.group
        if upper:
            return 0, (upper & -upper).bit_length() - 1
        return (LOWER_HALF << 1, (bits & -bits).bit_length() - 1) if bits else (NO_RANK, -1)

    def acknowledge(self, index: int) -> None:
        """Pending becomes active; a line that stays high makes it pending as well."""
        bit = 1 << index
        self.active |= bit
        self.latch &= ~bit

    def wire(self, index: int, level: bool) -> None:
        """Drive an input; an edge-triggered interrupt becomes pending when it rises."""
        bit = 1 << index
        if not level:
            self.line &= ~bit
        elif not self.line & bit:
            self.line |= bit
            self.latch |= bit & self.edge

    # ---- snapshots ------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Everything that changes: sets and priorities in hexadecimal."""
        sets = {name: f"{getattr(self, name):x}" for name in _SETS}
        return {**sets, "priority": self.priority.hex()}

    def load(self, state: dict[str, Any]) -> None:
        """Become what `state` gave. Raises `ValueError` or `KeyError` for what it did not."""
        for name in _SETS:
            setattr(self, name, int(state[name], 16) & self.mask)
        self.nmi &= self.maskable
        self.access_low &= self.guarded
        self.access_high &= self.guarded
        priority = bytes.fromhex(state["priority"])
        if len(priority) != self.count:
            raise ValueError(f"{len(priority)} priorities of {self.count} interrupts")
        self.priority = bytearray(byte & self.priority_mask for byte in priority)

    def assign(self, other: Bank) -> None:
        """Take the state of a bank of the same size."""
        for name in _SETS:
            setattr(self, name, getattr(other, name))
        self.priority[:] = other.priority
