"""The redistributor of one PE: its SGIs and PPIs, its LPIs, and its power state.

IHI 0069, 2.1 "The Distributor and Redistributors", 12.10 and 12.11, and for the power state
chapter 11. The frames are RD_base, SGI_base and,
with direct injection, VLPI_base and a reserved one.
"""

from __future__ import annotations

from nvtrap.gic.distributor import gicr
from nvtrap.gic.distributor.bank import Bank
from nvtrap.gic.distributor.frame import FRAME, Status
from nvtrap.gic.intids import FIRST_EPPI, FIRST_PPI, FIRST_SPI, SGIS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from nvtrap.gic.distributor.distributor import Distributor
    from nvtrap.gic.lpi.lpis import Lpis
    from nvtrap.gic.lpi.vlpis import Vlpis
    from nvtrap.gic.parameters import Parameters

_SGIS = (1 << SGIS) - 1


def _low() -> bool:
    return False


class Redistributor:
    """State and registers of the redistributor of PE `index`.

    `dpg` has the DPG bits of GICR_CTLR, `asleep` is GICR_WAKER.ProcessorSleep, with which
    ChildrenAsleep agrees at once. `maintenance` says whether the PE's maintenance
    interrupt is asserted; its level is looked up whenever pending state is.
    `direct_lpis` says that LPIs can be set pending by a register (GICR_TYPER.DirectLPI).
    """

    __slots__ = (
        "_maintenance_bit",
        "asleep",
        "direct_lpis",
        "distributor",
        "dpg",
        "eppis",
        "index",
        "lpis",
        "maintenance",
        "parameters",
        "ppis",
        "status",
        "vlpis",
    )

    def __init__(
        self,
        parameters: Parameters,
        index: int,
        distributor: Distributor,
        lpis: Lpis,
        vlpis: Vlpis | None = None,
    ) -> None:
        self.parameters = parameters
        self.index = index
        self.distributor = distributor
        self.lpis = lpis
        self.vlpis = vlpis
        self.direct_lpis = parameters.direct_lpis
        self.maintenance: Callable[[], bool] = _low
        self._maintenance_bit = 1 << parameters.maintenance_intid
        self.ppis = Bank(parameters, 0, FIRST_SPI)
        self.ppis.edge = self.ppis.guarded = _SGIS
        # SGIs are edge-triggered, the maintenance interrupt is level-sensitive; that
        # software cannot change the latter is this implementation's choice.
        self.ppis.configurable &= ~(_SGIS | self._maintenance_bit)
        self.eppis = Bank(parameters, FIRST_EPPI, parameters.extended_ppis)
        self.eppis.guarded = 0
        self.status = Status()
        self.dpg = 0
        self.asleep = True

    # ---- registers ------------------------------------------------------------------

    def read(self, offset: int, size: int, secure: bool = False) -> int:
        """A memory access to RD_base + `offset` of `size` bytes."""
        frame, offset = divmod(offset, FRAME)
        view = self.distributor.view(secure)
        if frame == 1:
            self.sample()
            return gicr.SGI_FRAME.read(self, offset, size, view)
        if frame == 0:
            if self._is_lpi_register(offset):
                return self.lpis.read(offset, size)
            return gicr.RD_FRAME.read(self, offset, size, view)
        return self.vlpis.read(offset, size) if frame == 2 and self.vlpis else 0

    def write(self, offset: int, size: int, value: int, secure: bool = False) -> None:
        """Write the low `size` bytes of `value` at RD_base + `offset`."""
        frame, offset = divmod(offset, FRAME)
        view = self.distributor.view(secure)
        value &= (1 << 8 * size) - 1
        if frame == 1:
            gicr.SGI_FRAME.write(self, offset, size, view, value)
        elif frame == 0:
            if self._is_lpi_register(offset):
                self.lpis.write(offset, size, value)
            else:
                gicr.RD_FRAME.write(self, offset, size, view, value)
        elif frame == 2 and self.vlpis:
            self.vlpis.write(offset, size, value)

    def _is_lpi_register(self, offset: int) -> bool:
        if not self.parameters.lpis or offset not in self.lpis.registers:
            return False
        return self.direct_lpis or offset & ~7 in gicr.TABLE_REGISTERS

    def at(self, number: int, extended: bool) -> tuple[Bank, int]:  # noqa: ARG002
        """The bank and the place in it of field `number` of a register family.

        The extended PPIs follow the others.
        """
        return (self.ppis, number) if number < FIRST_SPI else (self.eppis, number - FIRST_SPI)

    # ---- interrupts -----------------------------------------------------------------

    def sample(self) -> None:
        """Take over the level of the maintenance interrupt, which is level-sensitive."""
        if self.maintenance():
            self.ppis.line |= self._maintenance_bit
        else:
            self.ppis.line &= ~self._maintenance_bit

    def locate(self, intid: int) -> tuple[Bank, int] | None:
        """The bank and the place in it of an SGI or PPI; None for what is not implemented."""
        for bank in (self.ppis, self.eppis):
            if 0 <= intid - bank.first < bank.count:
                return bank, intid - bank.first
        return None

    def has_input(self, intid: int) -> bool:
        """Whether a PPI's level comes from outside: not the maintenance interrupt's."""
        is_ppi = intid >= FIRST_PPI and self.locate(intid) is not None
        return is_ppi and intid != self.parameters.maintenance_intid

    def excludes(self, group: int) -> bool:
        """Whether this PE gets no interrupts of a group that may go to any PE."""
        return bool(self.dpg >> gicr.DPG_SHIFT + group & 1)

    # ---- snapshots ------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Everything that changes, as plain data."""
        self.sample()
        return {
            "dpg": self.dpg,
            "asleep": self.asleep,
            "status": self.status.state(),
            "ppis": self.ppis.state(),
            "eppis": self.eppis.state(),
            "lpis": self.lpis.state(),
            "vlpis": self.vlpis.state() if self.vlpis else None,
        }

    def load(self, state: dict[str, Any]) -> None:
        """Become what `state` gave."""
        self.dpg = state["dpg"] & gicr.dpg_fields(self)
        self.asleep = bool(state["asleep"])
        self.status.load(state["status"])
        self.ppis.load(state["ppis"])
        self.ppis.edge = self.ppis.edge & self.ppis.configurable | _SGIS
        self.eppis.load(state["eppis"])
        self.lpis.load(state["lpis"])
        if self.vlpis:
            self.vlpis.load(state["vlpis"])

    def assign(self, other: Redistributor) -> None:
        """Take the state of a redistributor with the same parameters."""
        self.dpg, self.asleep = other.dpg, other.asleep
        self.status.load(other.status.state())
        self.ppis.assign(other.ppis)
        self.eppis.assign(other.eppis)
        self.lpis.load(other.lpis.state())
        if self.vlpis and other.vlpis:
            self.vlpis.load(other.vlpis.state())
