"""GITS_*: the registers of the ITS (IHI 0069, 12.18 and 12.19).

The control frame is at offset 0, the translation frame at 0x10000. 64-bit registers may
be accessed as two halves, 32-bit registers in one piece; everything else is RAZ/WI.

What the architecture leaves open: writes to GITS_CBASER and GITS_BASER<n> while
GITS_CTLR.Enabled is 1 are ignored; all operations are done at once, so the ITS is
quiescent whenever it is not enabled; a PE's own write to GITS_TRANSLATER carries no
DeviceID and is ignored. The ITS counts PEs by number (PTA 0), has 16-bit collections in
memory only (CIL 0, HCC 0), and reports no unmapped MSIs (UMSI 0).
"""

from __future__ import annotations

from nvtrap.errors import AddressError
from nvtrap.gic.its.operations import OPERATIONS
from nvtrap.gic.its.queue import CommandQueue
from nvtrap.gic.its.tables import ITE_SIZE
from nvtrap.gic.its.translate import Translation
from nvtrap.gic.its.voperations import VIRTUAL_OPERATIONS
from nvtrap.gic.wide import is_access, merged, part

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from nvtrap.arch.memory import Memory
    from nvtrap.gic.its.commands import Command
    from nvtrap.gic.lpi.lpis import Lpis
    from nvtrap.gic.lpi.vlpis import Vlpis
    from nvtrap.gic.parameters import Parameters

CTLR, IIDR, TYPER = 0x0000, 0x0004, 0x0008
CBASER, CWRITER, CREADR = 0x0080, 0x0088, 0x0090
BASER = 0x0100
TRANSLATER = 0x1_0040
ENABLED = 1 << 0
QUIESCENT = 1 << 31
_END_OF_BASERS = BASER + 8 * 8
_ARM = 0x43B
_FIRST_WORD = 0xFFD0
_PIDR2 = 0xFFE8
# Component and peripheral identification as Arm's own ITSs have it (12.18).
_IDENTIFICATION = {
    0xFFD0: 0x44,
    0xFFE0: 0x94,
    0xFFE4: 0xB4,
    0xFFF0: 0x0D,
    0xFFF4: 0xF0,
    0xFFF8: 0x05,
    0xFFFC: 0xB1,
}


class Its:
    """One ITS: its registers, its command queue, and the translation of events.

    `lpis` and, with direct injection, `vlpis` are those of all PEs in their order.
    `queue` says how far the commands are and what error they stalled at.
    """

    __slots__ = ("_enabled", "_memory", "_parameters", "_translation", "queue")

    def __init__(
        self,
        parameters: Parameters,
        memory: Memory,
        lpis: Sequence[Lpis],
        vlpis: Sequence[Vlpis] = (),
    ) -> None:
        self._parameters = parameters
        self._memory = memory
        self._enabled = False
        self._translation = Translation(parameters, memory, lpis, vlpis)
        self.queue = CommandQueue(memory)

    # ---- registers ----------------------------------------------------------------

    def read(self, offset: int, size: int) -> int:
        """Read `size` bytes at `offset` from the start of the control frame."""
        if size == 4 and (offset in (CTLR, IIDR) or offset >= _FIRST_WORD):
            return self._read_word(offset)
        return part(self._read_wide(offset & ~7), offset, size) if is_access(offset, size) else 0

    def _read_word(self, offset: int) -> int:
        if offset == CTLR:
            return ENABLED if self._enabled else QUIESCENT
        if offset == IIDR:
            return _ARM
        if offset == _PIDR2:
            return 0x4B if self._parameters.direct_injection else 0x3B
        return _IDENTIFICATION.get(offset, 0)

    def _read_wide(self, register: int) -> int:
        if register == TYPER:
            return self._typer()
        if register == CBASER:
            return self.queue.cbaser
        if register == CWRITER:
            return self.queue.cwriter
        if register == CREADR:
            return self.queue.read_creadr()
        if BASER <= register < _END_OF_BASERS:
            return self._translation.tables.baser((register - BASER) // 8)
        return 0

    def _typer(self) -> int:
        """GITS_TYPER (12.19)."""
        parameters = self._parameters
        virtual = 1 << 37 | 1 << 1 if parameters.direct_injection else 0  # VMOVP, Virtual
        return (
            virtual
            | parameters.its_device_bits - 1 << 13
            | parameters.its_event_bits - 1 << 8
            | ITE_SIZE - 1 << 4
            | 1  # Physical
        )

    def write(self, offset: int, size: int, value: int) -> None:
        """Write `size` bytes at `offset` from the start of the control frame."""
        if offset == CTLR and size == 4:
            self._enabled = bool(value & ENABLED)
        elif not is_access(offset, size):
            return
        elif offset & ~7 == CWRITER:
            self._write_cwriter(offset, size, value)
        elif not self._enabled:
            self._write_base(offset & ~7, offset, size, value)
        self._process()

    def _write_cwriter(self, offset: int, size: int, value: int) -> None:
        self.queue.set_cwriter(merged(self.queue.cwriter, offset, size, value))

    def _write_base(self, register: int, offset: int, size: int, value: int) -> None:
        if register == CBASER:
            self.queue.set_cbaser(merged(self.queue.cbaser, offset, size, value))
        elif BASER <= register < _END_OF_BASERS:
            number, tables = (register - BASER) // 8, self._translation.tables
            tables.set_baser(number, merged(tables.baser(number), offset, size, value))

    # ---- commands -----------------------------------------------------------------

    def _process(self) -> None:
        if self._enabled:
            self.queue.run(self._execute)

    def _execute(self, command: Command) -> str:
        operation = OPERATIONS.get(command.name)
        if operation is None and self._parameters.direct_injection:
            operation = VIRTUAL_OPERATIONS.get(command.name)
        return "UNSUPPORTED" if operation is None else operation(self._translation, command.fields)

    # ---- translation --------------------------------------------------------------

    def translate(self, device_id: int, event_id: int) -> str:
        """A device writes an EventID to GITS_TRANSLATER (5.2, 12.19).

        Gives an empty text when an LPI came of it, otherwise why the write was discarded:
        the mnemonic of the error that INT would have, or `DISABLED`.
        """
        if not self._enabled:
            return "DISABLED"
        try:
            target = self._translation.find(device_id, event_id)
        except AddressError:
            target = "NO_MEMORY"
        if isinstance(target, str):
            return f"INT_{target}"
        target.set_pending()
        return ""

    # ---- snapshots ----------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Everything that changes, as plain data."""
        return {
            "enabled": self._enabled,
            "basers": self._translation.tables.state(),
            "queue": self.queue.state(),
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Become what `state` gave; the memory is not part of it.

        Raises `InputError` when it cannot be such a state.
        """
        self._enabled = state["enabled"] is True
        self._translation.tables.load(state["basers"])
        self.queue.load(state["queue"])
