"""A whole GICv3 with its PEs: what software reaches by system registers and by address.

Frames that there are (IHI 0069, 12.1): the distributor's, two or with direct injection
four of every redistributor, those of the ITS. Nothing answers elsewhere: RAZ/WI.
"""

from __future__ import annotations

from nvtrap.arch.memory import Memory
from nvtrap.errors import InputError, UsageError
from nvtrap.gic.distributor.distributor import Distributor
from nvtrap.gic.distributor.frame import FRAME
from nvtrap.gic.distributor.redistributor import Redistributor
from nvtrap.gic.its import Its
from nvtrap.gic.lpi.lpis import Lpis
from nvtrap.gic.lpi.vlpis import Vlpis
from nvtrap.gic.parameters import USUAL, Parameters
from nvtrap.gic.pe import PE
from nvtrap.gic.physical.interface import PhysicalInterface

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from nvtrap.gic.distributor.bank import Bank

SIZES = (1, 2, 4, 8)


class Machine:
    """Distributor, redistributors, CPU interfaces and ITS of one implementation, out of reset.

    `pes` and `redistributors` are in the order of `parameters.affinities`; `its` is None
    where there is none. `memory` is what LPIs and the ITS have their tables in.
    """

    __slots__ = (
        "_gicr_end",
        "_stride",
        "distributor",
        "its",
        "memory",
        "parameters",
        "pes",
        "redistributors",
    )

    def __init__(self, parameters: Parameters = USUAL, memory: Memory | None = None) -> None:
        self.parameters = parameters
        self.memory = Memory() if memory is None else memory
        self.distributor = Distributor(parameters)
        self.redistributors: list[Redistributor] = []
        self.pes: list[PE] = []
        for index in range(len(parameters.affinities)):
            self._add_pe(index)
        self._stride = (4 if parameters.direct_injection else 2) * FRAME
        self._gicr_end = parameters.gicr_base + self._stride * len(self.pes)
        self.its: Its | None = None
        if parameters.its:
            lpis = [one.lpis for one in self.redistributors]
            vlpis = [one.vlpis for one in self.redistributors if one.vlpis]
            self.its = Its(parameters, self.memory, lpis, vlpis)

    def _add_pe(self, index: int) -> None:
        has, memory = self.parameters, self.memory
        vlpis = Vlpis(has, memory) if has.direct_injection else None
        lpis = Lpis(has, memory)
        redistributor = Redistributor(has, index, self.distributor, lpis, vlpis)
        physical = PhysicalInterface(has, self.distributor, redistributor)
        pe = PE(has, index, physical, memory)
        pe.virtual.direct = vlpis
        redistributor.maintenance = pe.maintenance
        self.redistributors.append(redistributor)
        self.distributor.interfaces.append(physical)
        self.pes.append(pe)

    def redistributor_base(self, pe: int) -> int:
        """The address of the redistributor's first frame of the PE with that number."""
        return self.parameters.gicr_base + pe * self._stride

    # ---- accesses by address --------------------------------------------------------

    def read(self, address: int, size: int, secure: bool = False) -> int:
        """A read of `size` bytes (1, 2, 4 or 8) by a Secure or Non-secure access.

        0 where nothing is, and for a size or an alignment that the register has not.
        """
        if size not in SIZES:
            return 0
        has = self.parameters
        if has.gicr_base <= address < self._gicr_end:
            index, offset = divmod(address - has.gicr_base, self._stride)
            return self.redistributors[index].read(offset, size, secure)
        if 0 <= address - has.gicd_base < FRAME:
            return self.distributor.read(address - has.gicd_base, size, secure)
        if self.its is not None and 0 <= address - has.gits_base < 2 * FRAME:
            return self.its.read(address - has.gits_base, size)
        return 0

    def write(self, address: int, size: int, value: int, secure: bool = False) -> None:
        """A write of the low `size` bytes (1, 2, 4 or 8) of `value`; ignored as reads are."""
        if size not in SIZES:
            return
        has = self.parameters
        if has.gicr_base <= address < self._gicr_end:
            index, offset = divmod(address - has.gicr_base, self._stride)
            self.redistributors[index].write(offset, size, value, secure)
        elif 0 <= address - has.gicd_base < FRAME:
            self.distributor.write(address - has.gicd_base, size, value, secure)
        elif self.its is not None and 0 <= address - has.gits_base < 2 * FRAME:
            self.its.write(address - has.gits_base, size, value & (1 << 8 * size) - 1)

    def wire(self, intid: int, level: bool, pe: int = 0) -> None:
        """Drive the input of an SPI, or of a PPI of the PE with that number.

        Raises `UsageError` for a PE that is not there and an INTID that has no input: SGIs,
        LPIs, the maintenance interrupt, which the PE drives, and what is not implemented.
        """
        if not 0 <= pe < len(self.pes):
            raise UsageError(f"there is no PE `{pe}`, they go from 0 to {len(self.pes) - 1}")
        redistributor = self.redistributors[pe]
        located: tuple[Bank, int] | None = self.distributor.locate(intid)
        if redistributor.has_input(intid):
            located = redistributor.locate(intid)
        if located is None:
            raise UsageError(f"interrupt `{intid}` has no input that can be driven")
        bank, index = located
        bank.wire(index, level)

    # ---- snapshots ------------------------------------------------------------------

    def copy(self) -> Machine:
        """A machine in the same state with memory of the same contents, independent of this one."""
        copy = Machine(self.parameters, self.memory.copy())
        copy.distributor.assign(self.distributor)
        for mine, other in zip(copy.redistributors, self.redistributors, strict=True):
            mine.assign(other)
        for pe, other_pe in zip(copy.pes, self.pes, strict=True):
            pe.load(other_pe.state())
        if copy.its is not None and self.its is not None:
            copy.its.load(self.its.state())
        return copy

    def state(self) -> dict[str, Any]:
        """Everything, as plain data that JSON holds; memory as its pages that are not all zero."""
        return {
            "parameters": self.parameters.as_dict(),
            "regions": self.memory.regions,
            "memory": {f"{base:#x}": page.hex() for base, page in self.memory.pages().items()},
            "distributor": self.distributor.state(),
            "redistributors": [one.state() for one in self.redistributors],
            "pes": [pe.state() for pe in self.pes],
            "its": None if self.its is None else self.its.state(),
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Machine:
        """The machine that `state` gave.

        Raises `InputError` for what no machine gave, `UsageError` for its parameters.
        """
        try:
            return cls._from_state(state)
        except (AttributeError, LookupError, OverflowError, TypeError, ValueError) as error:
            if isinstance(error, UsageError):
                raise
            raise InputError("this is no snapshot of a machine") from error

    @classmethod
    def _from_state(cls, state: dict[str, Any]) -> Machine:
        regions = state["regions"]
        memory = Memory(None if regions is None else [(base, size) for base, size in regions])
        for base, page in state["memory"].items():
            memory.write_bytes(int(base, 16), bytes.fromhex(page))
        machine = cls(Parameters.from_dict(state["parameters"]), memory)
        machine.distributor.load(state["distributor"])
        _load_each(machine.redistributors, state["redistributors"])
        _load_each(machine.pes, state["pes"])
        if machine.its is not None:
            machine.its.load(state["its"])
        return machine

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Machine):
            return NotImplemented
        return self.state() == other.state()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Machine({self.parameters!r})"


def _load_each(parts: list[Any], states: list[Any]) -> None:
    for part, state in zip(parts, states, strict=True):
        part.load(state)
