"""The distributor: the SPIs, where they go, and which interrupt groups are forwarded.

IHI 0069, 2.1 "The Distributor and Redistributors" and 12.9. Affinity routing is always
enabled here, in both security states (GICD_CTLR.ARE_S and ARE_NS are RAO/WI).
"""

from __future__ import annotations

from nvtrap.gic.distributor import gicd
from nvtrap.gic.distributor.bank import GROUP0, GROUP1_NS, GROUP1_S, Bank
from nvtrap.gic.distributor.families import NON_SECURE, SECURE, SINGLE
from nvtrap.gic.distributor.frame import Status
from nvtrap.gic.distributor.routing import RoutedBank
from nvtrap.gic.intids import FIRST_ESPI, FIRST_SPI

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from nvtrap.gic.parameters import Parameters
    from nvtrap.gic.physical.interface import PhysicalInterface

ALL_GROUPS = 1 << GROUP0 | 1 << GROUP1_NS | 1 << GROUP1_S


class Distributor:
    """State and registers of the distributor.

    `enables` has bit g when interrupts of group g are forwarded; `is_single` is
    GICD_CTLR.DS; `wakes` is GICD_CTLR.E1NWF. `interfaces` are the CPU interfaces of all
    PEs, in order. `message_based` says that the message-based SPI registers are there
    (GICD_TYPER.MBIS).
    """

    __slots__ = (
        "_private",
        "enables",
        "espis",
        "interfaces",
        "is_single",
        "message_based",
        "parameters",
        "spis",
        "status",
        "wakes",
    )

    def __init__(self, parameters: Parameters) -> None:
        self.parameters = parameters
        self.spis = RoutedBank(parameters, FIRST_SPI, parameters.spis)
        self.espis = RoutedBank(parameters, FIRST_ESPI, parameters.extended_spis)
        self._private = Bank(parameters, 0, 0)
        self.status = Status()
        self.interfaces: list[PhysicalInterface] = []
        self.is_single = parameters.security_states == 1
        self.enables = 0
        self.wakes = False
        self.message_based = parameters.message_based_spis

    # ---- registers ------------------------------------------------------------------

    def view(self, secure: bool) -> int:
        """How an access sees interrupts."""
        return SINGLE if self.is_single else SECURE if secure else NON_SECURE

    def read(self, offset: int, size: int, secure: bool = False) -> int:
        """A memory access to GICD_base + `offset` of `size` bytes."""
        return gicd.FRAME.read(self, offset, size, self.view(secure))

    def write(self, offset: int, size: int, value: int, secure: bool = False) -> None:
        """Write the low `size` bytes of `value` at GICD_base + `offset`."""
        value &= (1 << 8 * size) - 1
        gicd.FRAME.write(self, offset, size, self.view(secure), value)

    def at(self, number: int, extended: bool) -> tuple[Bank, int]:
        """The bank and the place in it of field `number` of a register family.

        SGIs and PPIs are the redistributors' with affinity routing; here they have none.
        """
        if extended:
            return self.espis, number
        if number < FIRST_SPI:
            return self._private, 0
        return self.spis, number - FIRST_SPI

    def write_control(self, enables: int, wakes: bool, disable_security: bool) -> None:
        """Set what GICD_CTLR controls; DS, once 1, stays."""
        self.is_single = self.is_single or disable_security
        self.enables = enables & (1 << GROUP0 | 1 << GROUP1_NS if self.is_single else ALL_GROUPS)
        self.wakes = wakes and self.parameters.one_of_n

    # ---- interrupts -----------------------------------------------------------------

    def locate(self, intid: int) -> tuple[RoutedBank, int] | None:
        """The bank and the place in it of an SPI; None for what is no implemented SPI."""
        for bank in (self.spis, self.espis):
            if 0 <= intid - bank.first < bank.count:
                return bank, intid - bank.first
        return None

    def set_by_message(self, intid: int, view: int) -> None:
        """GICD_SETSPI_*: a message makes an SPI pending.

        A level-sensitive one stays so until a message takes it back.
        """
        located = self._reached(intid, view, 1)
        if located:
            bank, index = located
            if bank.edge >> index & 1:
                bank.latch |= 1 << index
            else:
                bank.wire(index, True)

    def clear_by_message(self, intid: int, view: int) -> None:
        """GICD_CLRSPI_*: a message takes the pending state of an SPI away."""
        located = self._reached(intid, view, 2)
        if located:
            bank, index = located
            bank.latch &= ~(1 << index)
            if not bank.edge >> index & 1:
                bank.wire(index, False)

    def _reached(self, intid: int, view: int, level: int) -> tuple[RoutedBank, int] | None:
        located = self.locate(intid)
        if located is None or view != NON_SECURE:
            return located
        bank, index = located
        return located if (bank.group | bank.granted(level)) >> index & 1 else None

    # ---- snapshots ------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Everything that changes, as plain data."""
        return {
            "enables": self.enables,
            "is_single": self.is_single,
            "wakes": self.wakes,
            "status": self.status.state(),
            "spis": self.spis.state(),
            "espis": self.espis.state(),
        }

    def load(self, state: dict[str, Any]) -> None:
        """Become what `state` gave."""
        self.is_single = self.parameters.security_states == 1
        self.write_control(state["enables"], bool(state["wakes"]), bool(state["is_single"]))
        self.status.load(state["status"])
        self.spis.load(state["spis"])
        self.espis.load(state["espis"])

    def assign(self, other: Distributor) -> None:
        """Take the state of a distributor with the same parameters."""
        self.enables, self.is_single, self.wakes = other.enables, other.is_single, other.wakes
        self.status.load(other.status.state())
        self.spis.assign(other.spis)
        self.espis.assign(other.espis)
