"""The virtual LPIs of one PE: GICR_VPROPBASER and GICR_VPENDBASER (IHI 0069, 5.1, 12.11).

GICv4.0. A vPE is scheduled while GICR_VPENDBASER.Valid is 1, known by the address of its
virtual LPI Pending table. Its pending state is then held here and its virtual LPIs are
candidates of the virtual CPU interface. While it is not scheduled its pending state is in
memory, and an interrupt that becomes pending rings its doorbell.

What the architecture leaves open: writes to GICR_VPROPBASER, and writes to anything but
Valid in GICR_VPENDBASER, are ignored while Valid is 1; descheduling is done at once, so
Dirty reads 0; PendingLast reads 0 until a vPE has been descheduled.
"""

from __future__ import annotations

from nvtrap.errors import AddressError
from nvtrap.gic.intids import FIRST_LPI
from nvtrap.gic.lpi.lpis import (
    ATTRIBUTES,
    PENDBASER_ADDRESS,
    PROPBASER_FIELDS,
    configuration_base,
    register_of,
)
from nvtrap.gic.lpi.tables import LEAST_ID_BITS, LpiTables
from nvtrap.gic.wide import is_access, merged, part

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from nvtrap.arch.memory import Memory
    from nvtrap.gic.parameters import Parameters

VPROPBASER, VPENDBASER = 0x0070, 0x0078
VALID = 1 << 63
_IDAI = 1 << 62
PENDING_LAST = 1 << 61
_WRITABLE = VALID | _IDAI | ATTRIBUTES | PENDBASER_ADDRESS


class Vlpis:
    """The registers of one VLPI frame and the virtual LPIs of the vPE that is scheduled.

    It has what `VirtualInterface.direct` needs. `registers` are the offsets in the VLPI
    frame that `read` and `write` answer for.
    """

    __slots__ = ("_memory", "_parameters", "_tables", "_vpendbaser", "_vpropbaser")

    registers = frozenset((VPROPBASER, VPROPBASER + 4, VPENDBASER, VPENDBASER + 4))

    def __init__(self, parameters: Parameters, memory: Memory) -> None:
        self._parameters = parameters
        self._memory = memory
        self._vpropbaser = self._vpendbaser = 0
        self._tables: LpiTables | None = None

    # ---- registers ----------------------------------------------------------------

    def read(self, offset: int, size: int) -> int:
        """Read `size` bytes (4 or 8) at `offset` of the VLPI frame."""
        if not is_access(offset, size):
            return 0
        if offset & ~7 == VPROPBASER:
            return part(self._vpropbaser, offset, size)
        return part(self._vpendbaser, offset, size) if offset & ~7 == VPENDBASER else 0

    def write(self, offset: int, size: int, value: int) -> None:
        """Write `size` bytes (4 or 8) at `offset` of the VLPI frame."""
        if not is_access(offset, size) or not self._parameters.direct_injection:
            return
        if offset & ~7 == VPROPBASER and self._tables is None:
            self._vpropbaser = merged(self._vpropbaser, offset, size, value) & PROPBASER_FIELDS
        elif offset & ~7 == VPENDBASER:
            self._write_vpendbaser(merged(self._vpendbaser, offset, size, value))

    def _write_vpendbaser(self, value: int) -> None:
        if self._tables is None:
            self._vpendbaser = value & _WRITABLE | self._vpendbaser & PENDING_LAST
            if value & VALID:
                self._vpendbaser &= ~PENDING_LAST
                self._tables = self._make_tables()
                self._tables.fetch()
        elif not value & VALID:
            self._deschedule(self._tables)

    def _deschedule(self, tables: LpiTables) -> None:
        tables.write_back()
        self._tables = None
        self._vpendbaser &= ~VALID
        if tables.highest_pending() is not None:
            self._vpendbaser |= PENDING_LAST

    def _make_tables(self) -> LpiTables:
        bits = min((self._vpropbaser & 0x1F) + 1, self._parameters.distributor_intid_bits)
        return LpiTables(
            self._memory,
            configuration_base(self._vpropbaser),
            self._vpendbaser & PENDBASER_ADDRESS,
            bits,
            self._parameters.virtual_priority_bits,
        )

    # ---- the virtual CPU interface --------------------------------------------------

    def highest_pending(self) -> tuple[int, int] | None:
        """(priority, vINTID) of the scheduled vPE's LPI to be taken first, or None."""
        return None if self._tables is None else self._tables.highest_pending()

    def acknowledge(self, vintid: int) -> None:
        """The guest has taken the LPI: it is no longer pending."""
        if self._tables is not None:
            self._tables.clear_pending(vintid)

    # ---- the ITS: a vPE is the address of its Pending table and its INTID bits ------------

    def is_scheduled(self, table: int) -> bool:
        """Whether the vPE with its Pending table there is scheduled here."""
        return self._tables is not None and self._vpendbaser & PENDBASER_ADDRESS == table

    def set_pending(self, table: int, bits: int, vintid: int) -> bool:
        """A virtual LPI arrives for a vPE; whether its doorbell is to be rung."""
        if self._tables is not None and self.is_scheduled(table):
            self._tables.set_pending(vintid)
            return False
        return self._flip(table, bits, vintid, True)

    def clear_pending(self, table: int, bits: int, vintid: int) -> bool:
        """Take back a virtual LPI of a vPE; whether it was pending."""
        if self._tables is not None and self.is_scheduled(table):
            return self._tables.clear_pending(vintid)
        return self._flip(table, bits, vintid, False)

    def _flip(self, table: int, bits: int, vintid: int, pending: bool) -> bool:
        """Write a bit of a Pending table in memory; whether it changed."""
        if bits < LEAST_ID_BITS or not FIRST_LPI <= vintid < 1 << bits:
            return False
        address, bit = table + vintid // 8, 1 << vintid % 8
        try:
            byte = self._memory.read(address, 1)
            if bool(byte & bit) == pending:
                return False
            self._memory.write(address, 1, byte ^ bit)
        except AddressError:
            return False
        return True

    def invalidate(self, table: int, vintid: int) -> None:
        """A vPE's configuration of one LPI is to be read again (INV)."""
        if self._tables is not None and self.is_scheduled(table):
            self._tables.invalidate(vintid)

    def invalidate_all(self, table: int) -> None:
        """All configuration of a vPE is to be read again (VINVALL)."""
        if self._tables is not None and self.is_scheduled(table):
            self._tables.invalidate_all()

    # ---- snapshots ----------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Everything that changes, as plain data."""
        tables = None if self._tables is None else self._tables.state()
        return {"vpropbaser": self._vpropbaser, "vpendbaser": self._vpendbaser, "tables": tables}

    def load(self, state: Mapping[str, Any]) -> None:
        """Become what `state` gave; the memory is not part of it.

        Raises `InputError` when it cannot be such a state.
        """
        self._vpropbaser = register_of(state, "vpropbaser") & PROPBASER_FIELDS
        self._vpendbaser = register_of(state, "vpendbaser") & (_WRITABLE | PENDING_LAST)
        self._tables = None
        if self._vpendbaser & VALID and state["tables"] is not None:
            self._tables = self._make_tables()
            self._tables.load(state["tables"])
        else:
            self._vpendbaser &= ~VALID
