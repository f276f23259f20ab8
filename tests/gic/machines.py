"""Machines as the tests of the physical side want them: awake, and driven by register names."""

from __future__ import annotations

from nvtrap.gic import Machine, Parameters

GICD = 0x0800_0000
GICR = 0x080A_0000
SGI_BASE = 0x1_0000
TWO_STATES = Parameters(security_states=2)
# Everything that there can be, small.
FULL = Parameters(
    affinities=(0x0, 0x1, 0x0100_0213, 0x2F),
    extended_spis=64,
    extended_ppis=64,
    nmi=True,
    one_of_n=True,
    range_selector=True,
    security_states=2,
    spis=64,
    physical_priority_bits=7,
)

IGROUPR, ISENABLER, ICENABLER, ISPENDR, ICPENDR = 0x80, 0x100, 0x180, 0x200, 0x280
ISACTIVER, ICACTIVER, IPRIORITYR, ICFGR, IGRPMODR, NSACR = 0x300, 0x380, 0x400, 0xC00, 0xD00, 0xE00
INMIR, IROUTER = 0xF80, 0x6000


class Driver:
    """A machine with awake redistributors; `gicd` and `gicr` access frames by offset."""

    def __init__(self, parameters: Parameters | None = None, groups: int = 7) -> None:
        self.machine = Machine(parameters or Parameters())
        for redistributor in self.machine.redistributors:
            redistributor.asleep = False
        self.machine.distributor.write_control(groups, wakes=False, disable_security=False)
        for pe in self.machine.pes:
            pe.physical.enables = groups
            pe.physical.pmr = 0xF8

    def gicd(self, offset: int, value: int | None = None, *, size: int = 4, s: bool = True) -> int:
        """Write GICD_base + `offset` when there is a value; what it reads (then)."""
        if value is not None:
            self.machine.write(GICD + offset, size, value, s)
        return self.machine.read(GICD + offset, size, s)

    def gicr(
        self, offset: int, value: int | None = None, *, pe: int = 0, size: int = 4, s: bool = True
    ) -> int:
        """As `gicd`, in the SGI frame of a PE; RD_base is 0x10000 below."""
        address = GICR + 0x2_0000 * pe + SGI_BASE + offset
        if value is not None:
            self.machine.write(address, size, value, s)
        return self.machine.read(address, size, s)

    def pend(self, intid: int, priority: int, group: int = 1) -> None:
        """Make an SPI or a private interrupt of PE 0 pending, enabled, of Group 0 or Group 1 NS."""
        access = self.gicr if intid < 32 else self.gicd
        word, bit = intid // 32 * 4, 1 << intid % 32
        before = access(IGROUPR + word)
        access(IGROUPR + word, before | bit if group else before & ~bit)
        access(IPRIORITYR + intid, priority, size=1)
        access(ISENABLER + word, bit)
        access(ISPENDR + word, bit)

    def mrs(self, register: str, el: int = 2, pe: int = 0) -> int:
        """Read a system register."""
        return self.machine.pes[pe].mrs(register, el)

    def msr(self, register: str, value: int, el: int = 2, pe: int = 0) -> None:
        """Write a system register."""
        self.machine.pes[pe].msr(register, el, value)
