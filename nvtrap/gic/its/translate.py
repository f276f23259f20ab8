"""From a device and its event to an LPI, and where that LPI is (IHI 0069, 5.2)."""

from __future__ import annotations

from nvtrap.gic.intids import FIRST_LPI
from nvtrap.gic.its.tables import COLLECTIONS, DEVICES, NO_DOORBELL, VPES, Tables, Vpe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from nvtrap.arch.memory import Memory
    from nvtrap.gic.its.tables import Device, Interrupt
    from nvtrap.gic.lpi.lpis import Lpis
    from nvtrap.gic.lpi.vlpis import Vlpis
    from nvtrap.gic.parameters import Parameters


class PhysicalTarget:
    """A physical LPI at the redistributor that it is routed to."""

    __slots__ = ("_intid", "_lpis")

    def __init__(self, lpis: Lpis, intid: int) -> None:
        self._lpis = lpis
        self._intid = intid

    def set_pending(self) -> None:
        """Make it pending."""
        self._lpis.set_pending(self._intid)

    def clear_pending(self) -> bool:
        """Make it not pending; whether it was."""
        return self._lpis.clear_pending(self._intid)

    def invalidate(self) -> None:
        """Have its configuration read again."""
        self._lpis.invalidate(self._intid)


class VirtualTarget:
    """A virtual LPI of a vPE, at the redistributor of the PE that the vPE is mapped to."""

    __slots__ = ("_doorbell", "_intid", "_lpis", "_vlpis", "_vpe")

    def __init__(self, vlpis: Vlpis, lpis: Lpis, vpe: Vpe, intid: int, doorbell: int) -> None:
        self._vlpis = vlpis
        self._lpis = lpis
        self._vpe = vpe
        self._intid = intid
        self._doorbell = doorbell

    def set_pending(self) -> None:
        """Make it pending; the doorbell rings when its vPE is not scheduled."""
        rings = self._vlpis.set_pending(self._vpe.table, self._vpe.bits, self._intid)
        if rings and self._doorbell != NO_DOORBELL:
            self._lpis.set_pending(self._doorbell)

    def clear_pending(self) -> bool:
        """Make it not pending; whether it was."""
        return self._vlpis.clear_pending(self._vpe.table, self._vpe.bits, self._intid)

    def invalidate(self) -> None:
        """Have its configuration read again."""
        self._vlpis.invalidate(self._vpe.table, self._intid)


class Translation:
    """The tables of the ITS and the redistributors that it sends LPIs to.

    `lpis` and `vlpis` are those of the PEs in the order of GICR_TYPER.Processor_Number
    (GITS_TYPER.PTA is 0); without direct injection there are no `vlpis`. What cannot be
    found is the reason of a command error as a text.
    """

    __slots__ = ("lpis", "parameters", "tables", "vlpis")

    def __init__(
        self,
        parameters: Parameters,
        memory: Memory,
        lpis: Sequence[Lpis],
        vlpis: Sequence[Vlpis],
    ) -> None:
        self.parameters = parameters
        self.tables = Tables(parameters, memory)
        self.lpis = lpis
        self.vlpis = vlpis

    # ---- ranges -------------------------------------------------------------------

    def has_device(self, device_id: int) -> bool:
        """Whether a DeviceID is in range: of GITS_TYPER.Devbits, and of the device table."""
        in_range = not device_id >> self.parameters.its_device_bits
        return in_range and self.tables.reaches(DEVICES, device_id)

    def has_collection(self, icid: int) -> bool:
        """Whether an ICID is in the range of the collection table."""
        return self.tables.reaches(COLLECTIONS, icid)

    def has_vpe(self, vpe_id: int) -> bool:
        """Whether a vPEID is in the range of the vPE table."""
        return self.tables.reaches(VPES, vpe_id)

    def has_pe(self, number: int) -> bool:
        """Whether there is a PE with this number."""
        return number < len(self.lpis)

    def has_lpi(self, intid: int) -> bool:
        """Whether an INTID is that of an LPI that GICD_TYPER.IDbits allows."""
        return FIRST_LPI <= intid < 1 << self.parameters.distributor_intid_bits

    # ---- entries ------------------------------------------------------------------

    def device(self, device_id: int, event_id: int) -> Device | str:
        """The device of an event that its ITT has room for."""
        if not self.has_device(device_id):
            return "DEVICE_OOR"
        device = self.tables.device(device_id)
        if device is None:
            return "UNMAPPED_DEVICE"
        return "ID_OOR" if event_id >> device.event_bits else device

    def interrupt(self, device_id: int, event_id: int) -> Interrupt | str:
        """What an event is mapped to."""
        device = self.device(device_id, event_id)
        if isinstance(device, str):
            return device
        return self.tables.interrupt(device, event_id) or "UNMAPPED_INTERRUPT"

    def lpis_of(self, icid: int) -> Lpis | None:
        """The redistributor that a collection is mapped to; None where it is not."""
        pe = self.tables.collection(icid)
        return self.lpis[pe] if pe is not None and self.has_pe(pe) else None

    def vpe(self, vpe_id: int) -> Vpe | None:
        """A vPE that is mapped to a PE that there is."""
        vpe = self.tables.vpe(vpe_id)
        return vpe if vpe is not None and self.has_pe(vpe.pe) else None

    # ---- targets ------------------------------------------------------------------

    def target(self, interrupt: Interrupt) -> PhysicalTarget | VirtualTarget | None:
        """Where an interrupt goes; None when its collection or vPE is not mapped."""
        if interrupt.is_virtual:
            vpe = self.vpe(interrupt.target)
            return None if vpe is None else self.virtual_target(interrupt, vpe)
        lpis = self.lpis_of(interrupt.target)
        return None if lpis is None else PhysicalTarget(lpis, interrupt.intid)

    def virtual_target(self, interrupt: Interrupt, vpe: Vpe) -> VirtualTarget:
        """Where a virtual LPI goes in a vPE."""
        vlpis, lpis = self.vlpis[vpe.pe], self.lpis[vpe.pe]
        return VirtualTarget(vlpis, lpis, vpe, interrupt.intid, interrupt.doorbell)

    def find(self, device_id: int, event_id: int) -> PhysicalTarget | VirtualTarget | str:
        """Where an event goes, which is all that INT, CLEAR, INV and a device's write look at."""
        interrupt = self.interrupt(device_id, event_id)
        if isinstance(interrupt, str):
            return interrupt
        return self.target(interrupt) or "ITE_INVALID"
