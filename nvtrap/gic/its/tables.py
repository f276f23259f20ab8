"""The tables of the ITS in memory: devices, collections, vPEs, and a device's ITT (IHI 0069, 5.2).

GITS_BASER0 has the devices, GITS_BASER1 the collections, and with GICv4 GITS_BASER2 the
vPEs; each is flat or has two levels. The descriptors of a first level are the
architecture's. Entries are IMPLEMENTATION DEFINED, and here they are doublewords::

    device      Valid [63]  ITT address [51:8]   EventID bits - 1 [4:0]
    collection  Valid [63]  PE number [15:0]
    vPE         Valid [63]  vINTID bits - 1 [56:52]  Pending table [51:16]  PE number [15:0]

An entry of an ITT has two doublewords::

    physical    Valid [63]  Virtual [62] = 0  ICID [47:32]   pINTID [31:0]
    virtual     Valid [63]  Virtual [62] = 1  vPEID [47:32]  vINTID [31:0]  doorbell [95:64]

Nothing is cached. Memory that is not there raises `AddressError`.
"""

from __future__ import annotations

from nvtrap.gic.lpi.lpis import register_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from nvtrap.arch.memory import Memory
    from nvtrap.gic.parameters import Parameters

DEVICES, COLLECTIONS, VPES = 0, 1, 2
BASERS = 8
ENTRY_SIZE = 8
ITE_SIZE = 16
NO_DOORBELL = 1023
VALID = 1 << 63
INDIRECT = 1 << 62
_TYPES = {DEVICES: 1, COLLECTIONS: 4, VPES: 2}  # GITS_BASER<n>.Type
# Valid, Indirect, memory attributes, address, Page_Size, Size.
_WRITABLE = VALID | INDIRECT | 7 << 59 | 7 << 53 | (1 << 48) - (1 << 12) | 0xFFF
_PAGE_BITS = (12, 14, 16, 16)  # 0b11 is treated as 0b10
_VIRTUAL = 1 << 62
_ADDRESS = (1 << 52) - 1


class Device:
    """A mapped device: the address of its ITT and how many bits its EventIDs have."""

    __slots__ = ("event_bits", "itt")

    def __init__(self, itt: int, event_bits: int) -> None:
        self.itt = itt
        self.event_bits = event_bits


class Vpe:
    """A mapped vPE: the number of its PE, its virtual Pending table, the bits of its vINTIDs."""

    __slots__ = ("bits", "pe", "table")

    def __init__(self, pe: int, table: int, bits: int) -> None:
        self.pe = pe
        self.table = table
        self.bits = bits


class Interrupt:
    """What an event is mapped to.

    `target` is the ICID of a physical LPI and the vPEID of a virtual one, `doorbell` the
    physical INTID that is rung for it, 1023 where there is none.
    """

    __slots__ = ("doorbell", "intid", "is_virtual", "target")

    def __init__(
        self, intid: int, target: int, is_virtual: bool = False, doorbell: int = NO_DOORBELL
    ) -> None:
        self.intid = intid
        self.target = target
        self.is_virtual = is_virtual
        self.doorbell = doorbell


class Tables:
    """GITS_BASER<n>, and the entries of the tables that they describe.

    Getting an entry gives None when it is not mapped, also where the table does not reach
    it; setting one says whether the table reaches it.
    """

    __slots__ = ("_basers", "_implemented", "_memory")

    def __init__(self, parameters: Parameters, memory: Memory) -> None:
        self._memory = memory
        self._implemented = 3 if parameters.direct_injection else 2
        self._basers = [0, 0, 0]

    # ---- GITS_BASER<n> --------------------------------------------------------------

    def baser(self, number: int) -> int:
        """GITS_BASER<number>, 0 to 7: what was written, and what cannot be."""
        if number >= self._implemented:
            return 0
        return self._basers[number] | _TYPES[number] << 56 | ENTRY_SIZE - 1 << 48

    def set_baser(self, number: int, value: int) -> None:
        """Write GITS_BASER<number>; what is not implemented is ignored (12.19)."""
        if number < self._implemented:
            self._basers[number] = value & _WRITABLE

    def reaches(self, table: int, index: int) -> bool:
        """Whether a table has memory for an entry."""
        return self._locate(table, index) is not None

    def _locate(self, table: int, index: int) -> int | None:
        """The address of an entry, None when it lies outside the table (5.2.1)."""
        baser = self._basers[table]
        if not baser & VALID:
            return None
        page_bits = _PAGE_BITS[baser >> 8 & 3]
        size = (baser & 0xFF) + 1 << page_bits
        base = _base(baser, page_bits)
        if not baser & INDIRECT:
            return base + index * ENTRY_SIZE if index * ENTRY_SIZE < size else None
        level1, level2 = divmod(index * ENTRY_SIZE, 1 << page_bits)
        if level1 * 8 >= size:
            return None
        descriptor = self._memory.read(base + level1 * 8, 8)
        page = descriptor & _ADDRESS & -(1 << page_bits)
        return page + level2 if descriptor & VALID else None

    def _get(self, table: int, index: int) -> int:
        address = self._locate(table, index)
        entry = 0 if address is None else self._memory.read(address, ENTRY_SIZE)
        return entry if entry & VALID else 0

    def _set(self, table: int, index: int, entry: int) -> bool:
        address = self._locate(table, index)
        if address is None:
            return False
        self._memory.write(address, ENTRY_SIZE, entry)
        return True

    # ---- entries ------------------------------------------------------------------

    def device(self, device_id: int) -> Device | None:
        """The device with this DeviceID."""
        entry = self._get(DEVICES, device_id)
        return Device(entry & _ADDRESS & ~0xFF, (entry & 0x1F) + 1) if entry else None

    def set_device(self, device_id: int, device: Device | None) -> bool:
        """Map a device, or unmap it with None."""
        entry = VALID | device.itt | device.event_bits - 1 if device else 0
        return self._set(DEVICES, device_id, entry)

    def collection(self, icid: int) -> int | None:
        """The number of the PE that a collection is mapped to."""
        entry = self._get(COLLECTIONS, icid)
        return entry & 0xFFFF if entry else None

    def set_collection(self, icid: int, pe: int | None) -> bool:
        """Map a collection to a PE, or unmap it with None."""
        return self._set(COLLECTIONS, icid, 0 if pe is None else VALID | pe)

    def vpe(self, vpe_id: int) -> Vpe | None:
        """The vPE with this vPEID."""
        entry = self._get(VPES, vpe_id)
        if not entry:
            return None
        return Vpe(entry & 0xFFFF, entry & _ADDRESS & ~0xFFFF, (entry >> 52 & 0x1F) + 1)

    def set_vpe(self, vpe_id: int, vpe: Vpe | None) -> bool:
        """Map a vPE, or unmap it with None."""
        entry = VALID | vpe.bits - 1 << 52 | vpe.table | vpe.pe if vpe else 0
        return self._set(VPES, vpe_id, entry)

    def interrupt(self, device: Device, event_id: int) -> Interrupt | None:
        """What an event of a device is mapped to."""
        entry = self._memory.read(device.itt + event_id * ITE_SIZE, ITE_SIZE)
        if not entry & VALID:
            return None
        return Interrupt(
            entry & 0xFFFF_FFFF,
            entry >> 32 & 0xFFFF,
            bool(entry & _VIRTUAL),
            entry >> 64 & 0xFFFF_FFFF,
        )

    def set_interrupt(self, device: Device, event_id: int, to: Interrupt | None) -> None:
        """Map an event of a device, or unmap it with None."""
        entry = 0
        if to is not None:
            entry = VALID | to.target << 32 | to.intid | to.doorbell << 64
            entry |= _VIRTUAL if to.is_virtual else 0
        self._memory.write(device.itt + event_id * ITE_SIZE, ITE_SIZE, entry)

    # ---- snapshots ----------------------------------------------------------------

    def state(self) -> dict[str, int]:
        """GITS_BASER<n> by n, of the tables that there are."""
        return {str(number): self.baser(number) for number in range(self._implemented)}

    def load(self, basers: Mapping[str, Any]) -> None:
        """Become what `state` gave.

        Raises `InputError` when it cannot be such a state.
        """
        for number in range(self._implemented):
            self.set_baser(number, register_of(basers, str(number)))


def _base(baser: int, page_bits: int) -> int:
    """Physical_Address; with pages of 64 KiB its bits [15:12] are bits [51:48] (12.19)."""
    if page_bits == 16:
        return baser & (1 << 48) - (1 << 16) | (baser >> 12 & 0xF) << 48
    return baser & (1 << 48) - (1 << page_bits)
