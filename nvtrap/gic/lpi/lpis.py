"""The LPIs of one PE: the LPI registers of its redistributor (IHI 0069, 5.1 and 12.11).

LPIs are edge-triggered, of Non-secure Group 1, and have no active state. While
GICR_CTLR.EnableLPIs is 1 their pending state is held in the redistributor; clearing
EnableLPIs, which GICR_CTLR.CES allows, writes it back to memory.

What the architecture leaves open: writes to GICR_PROPBASER and GICR_PENDBASER while
EnableLPIs is 1 are ignored; every operation is done at once, so GICR_SYNCR never reads
busy. Whether software reaches the registers of direct LPIs (GICR_TYPER.DirectLPI) is up
to the redistributor.
"""

from __future__ import annotations

from nvtrap.errors import InputError
from nvtrap.gic.lpi.tables import LpiTables
from nvtrap.gic.wide import is_access, merged, part

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from nvtrap.arch.memory import Memory
    from nvtrap.gic.parameters import Parameters

SETLPIR, CLRLPIR = 0x0040, 0x0048
PROPBASER, PENDBASER = 0x0070, 0x0078
INVLPIR, INVALLR = 0x00A0, 0x00B0
SYNCR = 0x00C0
# The fields that keep what is written: memory attributes, address, IDbits or PTZ.
ATTRIBUTES = 7 << 56 | 3 << 10 | 7 << 7
PROPBASER_FIELDS = ATTRIBUTES | (1 << 52) - (1 << 12) | 0x1F
PENDBASER_ADDRESS = (1 << 52) - (1 << 16)
_PTZ = 1 << 62
_PENDBASER_FIELDS = ATTRIBUTES | PENDBASER_ADDRESS | _PTZ
_INTID = 0xFFFF_FFFF


class Lpis:
    """The LPI registers of one redistributor and the state behind them.

    `registers` are the offsets in the RD frame that `read` and `write` answer for.
    """

    __slots__ = ("_memory", "_parameters", "_pendbaser", "_propbaser", "_tables")

    registers = frozenset(
        base + half
        for base in (SETLPIR, CLRLPIR, PROPBASER, PENDBASER, INVLPIR, INVALLR)
        for half in (0, 4)
    ) | {SYNCR}

    def __init__(self, parameters: Parameters, memory: Memory) -> None:
        self._parameters = parameters
        self._memory = memory
        self._propbaser = self._pendbaser = 0
        self._tables: LpiTables | None = None

    # ---- registers ----------------------------------------------------------------

    @property
    def enabled(self) -> bool:
        """GICR_CTLR.EnableLPIs."""
        return self._tables is not None

    def enable(self, enable: bool) -> None:
        """Write GICR_CTLR.EnableLPIs: take the pending state from memory, or write it back.

        With GICR_PENDBASER.PTZ the table in memory is all zero and is not read.
        """
        if enable and self._tables is None and self._parameters.lpis:
            self._tables = self._make_tables()
            if not self._pendbaser & _PTZ:
                self._tables.fetch()
        elif not enable and self._tables is not None:
            self._tables.write_back()
            self._tables = None

    def _make_tables(self) -> LpiTables:
        bits = min((self._propbaser & 0x1F) + 1, self._parameters.distributor_intid_bits)
        return LpiTables(
            self._memory,
            configuration_base(self._propbaser),
            self._pendbaser & PENDBASER_ADDRESS,
            bits,
            self._parameters.physical_priority_bits,
        )

    def read(self, offset: int, size: int) -> int:
        """Read `size` bytes (4 or 8) at `offset` of the RD frame; what is write-only reads 0."""
        if not is_access(offset, size):
            return 0
        if offset & ~7 == PROPBASER:
            return part(self._propbaser, offset, size)
        if offset & ~7 == PENDBASER:
            return part(self._pendbaser & ~_PTZ, offset, size)
        return 0

    def write(self, offset: int, size: int, value: int) -> None:
        """Write `size` bytes (4 or 8) at `offset` of the RD frame.

        Writing the lower half of a write-only register writes zero to its upper half.
        """
        if not is_access(offset, size) or not self._parameters.lpis:
            return
        register = offset & ~7
        if register in (PROPBASER, PENDBASER):
            self._write_base(register, offset, size, value)
        elif offset == register and self._tables is not None:
            self._act(self._tables, register, value & _INTID)

    def _write_base(self, register: int, offset: int, size: int, value: int) -> None:
        if self._tables is not None:
            return
        if register == PROPBASER:
            self._propbaser = merged(self._propbaser, offset, size, value) & PROPBASER_FIELDS
        else:
            self._pendbaser = merged(self._pendbaser, offset, size, value) & _PENDBASER_FIELDS

    def _act(self, tables: LpiTables, register: int, intid: int) -> None:
        if register == SETLPIR:
            tables.set_pending(intid)
        elif register == CLRLPIR:
            tables.clear_pending(intid)
        elif register == INVLPIR:
            tables.invalidate(intid)
        elif register == INVALLR:
            tables.invalidate_all()

    # ---- interrupts ---------------------------------------------------------------

    def highest_pending(self) -> tuple[int, int] | None:
        """(priority, INTID) of the enabled pending LPI to be taken first, or None.

        The priority is that of the table, in the bits that are implemented. With
        GICD_CTLR.DS = 0 it is the Non-secure view of the priority (4.8.1, 5.1.1).
        """
        return None if self._tables is None else self._tables.highest_pending()

    def is_pending(self, intid: int) -> bool:
        """Whether an LPI is pending; none is while EnableLPIs is 0."""
        return self._tables is not None and self._tables.is_pending(intid)

    def set_pending(self, intid: int) -> bool:
        """An LPI arrives; whether it became pending. While EnableLPIs is 0 it is discarded."""
        return self._tables is not None and self._tables.set_pending(intid)

    def clear_pending(self, intid: int) -> bool:
        """Take back an LPI; whether it was pending."""
        return self._tables is not None and self._tables.clear_pending(intid)

    def acknowledge(self, intid: int) -> None:
        """The PE has taken the LPI: it is no longer pending, and nothing is active."""
        self.clear_pending(intid)

    def invalidate(self, intid: int) -> None:
        """The cached configuration of one LPI is to be read again (INV)."""
        if self._tables is not None:
            self._tables.invalidate(intid)

    def invalidate_all(self) -> None:
        """All cached configuration is to be read again (INVALL)."""
        if self._tables is not None:
            self._tables.invalidate_all()

    def move_all(self, to: Lpis) -> None:
        """Move what is pending to another PE (MOVALL); nothing unless both have EnableLPIs."""
        if self._tables is not None and to._tables is not None and to is not self:
            self._tables.move_all(to._tables)

    # ---- snapshots ----------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Everything that changes, as plain data."""
        tables = None if self._tables is None else self._tables.state()
        return {"propbaser": self._propbaser, "pendbaser": self._pendbaser, "tables": tables}

    def load(self, state: Mapping[str, Any]) -> None:
        """Become what `state` gave; the memory is not part of it.

        Raises `InputError` when it cannot be such a state.
        """
        self._propbaser = register_of(state, "propbaser") & PROPBASER_FIELDS
        self._pendbaser = register_of(state, "pendbaser") & _PENDBASER_FIELDS
        self._tables = None
        if state["tables"] is not None and self._parameters.lpis:
            self._tables = self._make_tables()
            self._tables.load(state["tables"])


def configuration_base(propbaser: int) -> int:
    """The address of the LPI Configuration table in GICR_PROPBASER or GICR_VPROPBASER."""
    return propbaser & (1 << 52) - (1 << 12)


def register_of(state: Mapping[str, Any], name: str) -> int:
    """The number that a snapshot has for a register.

    Raises `InputError` where it has none.
    """
    value = state.get(name)
    if type(value) is not int:
        raise InputError(f"the snapshot has no number for `{name}`")
    return value
