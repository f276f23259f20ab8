"""The ITS with the redistributors and the memory around it, driven as software would."""

from __future__ import annotations

from nvtrap.arch.memory import Memory
from nvtrap.gic.codecs import encode
from nvtrap.gic.its import Its
from nvtrap.gic.lpi.lpis import PENDBASER, PROPBASER, Lpis
from nvtrap.gic.lpi.vlpis import Vlpis
from nvtrap.gic.parameters import Parameters

RAM = (0x4000_0000, 0x0400_0000)
QUEUE, CONFIGURATION, VCONFIGURATION = 0x4000_0000, 0x4020_0000, 0x4060_0000
DEVICES, COLLECTIONS, VPES = 0x4040_0000, 0x4048_0000, 0x4050_0000
LEVEL2 = 0x4080_0000
ITTS = 0x4100_0000
PENDING = (0x4200_0000, 0x4201_0000, 0x4202_0000)
VPENDING = 0x4210_0000
CTLR, CBASER, CWRITER, CREADR, BASER = 0x0, 0x80, 0x88, 0x90, 0x100
VALID, INDIRECT = 1 << 63, 1 << 62
ENABLED = 1
PES = 3
ID_BITS = 16


class Bench:
    """Three PEs, an ITS with all tables in place and enabled, LPIs enabled."""

    def __init__(self, indirect: bool = False, pages: int = 16, **choices: int) -> None:
        chosen = {"its": True, "direct_injection": True, "gits_base": 0x0900_0000, **choices}
        self.parameters = Parameters(affinities=range_of(PES), **chosen)
        self.memory = Memory([RAM])
        self.lpis = [Lpis(self.parameters, self.memory) for _ in range(PES)]
        self.vlpis = [Vlpis(self.parameters, self.memory) for _ in range(PES)]
        self.its = Its(self.parameters, self.memory, self.lpis, self.vlpis)
        self.free = LEVEL2
        for pe in range(PES):
            self.lpis[pe].write(PROPBASER, 8, CONFIGURATION | ID_BITS - 1)
            self.lpis[pe].write(PENDBASER, 8, PENDING[pe])
            self.lpis[pe].enable(True)
        for number, base in enumerate((DEVICES, COLLECTIONS, VPES)):
            if indirect:
                self.fill_level1(base)
            baser = VALID | (INDIRECT if indirect else 0) | base | pages - 1
            self.its.write(BASER + 8 * number, 8, baser)
        self.its.write(CBASER, 8, VALID | QUEUE | 0xFF)
        self.its.write(CTLR, 4, ENABLED)

    def fill_level1(self, base: int) -> None:
        """Give a two-level table 128 pages of 4 KiB, which is 65536 entries."""
        for index in range(128):
            self.memory.write(base + 8 * index, 8, VALID | self.free)
            self.free += 0x1000

    def command(self, name: str, **fields: int) -> str:
        """Put a command into the queue and have it executed; its error or an empty text."""
        where = self.its.read(CWRITER, 8)
        value = encode("ITS_COMMAND", {"Command": name, **fields})
        self.memory.write(QUEUE + where, 32, value)
        self.its.write(CWRITER, 8, (where + 32) % (1 << 20))
        return self.its.queue.error

    def retry(self, name: str, **fields: int) -> str:
        """Put a command in the place of the one that the queue stalled at, and go on."""
        value = encode("ITS_COMMAND", {"Command": name, **fields})
        self.memory.write(QUEUE + (self.its.read(CREADR, 8) & ~1), 32, value)
        self.its.write(CWRITER, 8, self.its.read(CWRITER, 8) | 1)
        return self.its.queue.error

    def configure(self, intid: int, priority: int, enabled: bool = True) -> None:
        """Write an entry of the LPI Configuration table."""
        self.memory.write(CONFIGURATION + intid - 8192, 1, priority & 0xFC | enabled)

    def configure_virtual(self, vintid: int, priority: int) -> None:
        """Enable a virtual LPI in its Configuration table."""
        self.memory.write(VCONFIGURATION + vintid - 8192, 1, priority & 0xFC | 1)

    def map_device(self, device_id: int = 1, event_bits: int = 5) -> None:
        """MAPD and MAPC: a device with an ITT of its own, collections 0 to 2 at PEs 0 to 2."""
        itt = ITTS + device_id * 0x1000
        fields = {"DeviceID": device_id, "Size": event_bits - 1, "ITT_addr": itt >> 8}
        assert self.command("MAPD", V=1, **fields) == ""
        for pe in range(PES):
            assert self.command("MAPC", V=1, ICID=pe, RDbase=pe) == ""

    def map_vpe(self, vpe_id: int, pe: int) -> int:
        """VMAPP: a vPE with a Pending table of its own, whose address this gives."""
        table = VPENDING + vpe_id * 0x1_0000
        fields = {"vPEID": vpe_id, "RDbase": pe, "VPT_size": ID_BITS - 1, "VPT_addr": table >> 16}
        assert self.command("VMAPP", V=1, **fields) == ""
        return table

    def schedule(self, pe: int, table: int) -> None:
        """Make the vPE with this Pending table the one that a PE runs."""
        self.vlpis[pe].write(0x70, 8, VCONFIGURATION | ID_BITS - 1)
        self.vlpis[pe].write(0x78, 8, VALID | table)

    def tables(self) -> dict[int, bytes]:
        """All memory but the command queue."""
        return {base: page for base, page in self.memory.pages().items() if base >= CONFIGURATION}

    def waiting(self) -> list[tuple[int, int] | None]:
        """The highest pending LPI of every PE."""
        return [lpis.highest_pending() for lpis in self.lpis]


def range_of(pes: int) -> tuple[int, ...]:
    """The affinities of that many PEs."""
    return tuple(range(pes))
