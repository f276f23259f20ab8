"""The command queue: GITS_CBASER, GITS_CWRITER and GITS_CREADR (IHI 0069, 5.2, 12.19).

What the architecture leaves open: GITS_TYPER.SEIS is 0, so no system error reports a
command error; the queue stalls at the command, which has done nothing, until software
writes GITS_CWRITER.Retry. A GITS_CWRITER beyond the end of the queue makes the queue
invalid until it is in range again. Bits [15:12] of the address are zero.
"""

from __future__ import annotations

from nvtrap.errors import AddressError
from nvtrap.gic.its.commands import COMMAND_SIZE, Command, decode
from nvtrap.gic.lpi.lpis import register_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from nvtrap.arch.memory import Memory

VALID = 1 << 63
STALLED = 1 << 0
RETRY = 1 << 0
_OFFSET = (1 << 20) - (1 << 5)
_PAGE = 4096
_ADDRESS = (1 << 52) - (1 << 16)
_CBASER_FIELDS = VALID | 7 << 59 | 7 << 53 | _ADDRESS | 3 << 10 | 0xFF


class CommandQueue:
    """The queue and how far the ITS is in it.

    `error` is the mnemonic of the error that it stalled at and `error_number` its number
    (`MAPD_DEVICE_OOR`, 0x010801), empty and 0 while it is not stalled.
    """

    __slots__ = ("_memory", "cbaser", "creadr", "cwriter", "error", "error_number")

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self.cbaser = self.cwriter = self.creadr = 0
        self.error = ""
        self.error_number = 0

    @property
    def size(self) -> int:
        """The length of the queue in bytes."""
        return ((self.cbaser & 0xFF) + 1) * _PAGE

    def set_cbaser(self, value: int) -> None:
        """Write GITS_CBASER, which sets GITS_CREADR to 0."""
        self.cbaser = value & _CBASER_FIELDS
        self.creadr = 0
        self._resume()

    def set_cwriter(self, value: int) -> None:
        """Write GITS_CWRITER; with Retry a stalled queue goes on."""
        self.cwriter = value & _OFFSET
        if value & RETRY:
            self._resume()

    def read_creadr(self) -> int:
        """GITS_CREADR with Stalled."""
        return self.creadr | (STALLED if self.error else 0)

    def _resume(self) -> None:
        self.error = ""
        self.error_number = 0

    def run(self, execute: Callable[[Command], str]) -> None:
        """Execute what is in the queue; `execute` gives the reason of an error or an empty text."""
        size = self.size
        if not self.cbaser & VALID or self.cwriter >= size or self.error:
            return
        while self.creadr != self.cwriter:
            if not self._step(execute):
                return
            self.creadr = (self.creadr + COMMAND_SIZE) % size

    def _step(self, execute: Callable[[Command], str]) -> bool:
        """Execute one command; whether it had no error."""
        command = Command(0, "COMMAND", {})
        try:
            address = (self.cbaser & _ADDRESS) + self.creadr
            command = decode(self._memory.read_bytes(address, COMMAND_SIZE))
            reason = execute(command)
        except AddressError:
            reason = "NO_MEMORY"
        if reason:
            self.error, self.error_number = command.error(reason), command.error_number(reason)
        return not reason

    def state(self) -> dict[str, Any]:
        """Everything that changes, as plain data."""
        return {
            "cbaser": self.cbaser,
            "cwriter": self.cwriter,
            "creadr": self.creadr,
            "error": self.error,
            "error_number": self.error_number,
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Become what `state` gave.

        Raises `InputError` when it cannot be such a state.
        """
        self.cbaser = register_of(state, "cbaser") & _CBASER_FIELDS
        self.cwriter = register_of(state, "cwriter") & _OFFSET
        self.creadr = register_of(state, "creadr") & _OFFSET
        self.creadr %= self.size
        self.error = str(state.get("error", ""))
        self.error_number = register_of(state, "error_number")
