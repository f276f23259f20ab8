"""What can be seen of a machine without changing it: every register whose read has no effect.

The names are those of the registers; those of other PEs than the first have `PE1 ` and so
on before them. Lines that no register shows are there too, in lower case.
"""

from __future__ import annotations

from nvtrap.gic.intids import FIRST_SPI
from nvtrap.gic.registers import READ, REGISTERS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from nvtrap.gic.machine import Machine
    from nvtrap.gic.pe import PE

# Reading these takes an interrupt.
ACKNOWLEDGING = ("ICC_IAR0_EL1", "ICC_IAR1_EL1", "ICC_NMIAR1_EL1")
# The last words of what is a line and no register.
LINES = ("IRQ", "FIQ", "interrupt")
# Families with a word for 32 interrupts: name → offset of the first word.
_BITS = {"IGROUPR": 0x80, "ISENABLER": 0x100, "ISPENDR": 0x200, "ISACTIVER": 0x300}
_IPRIORITYR, _ICFGR, _IROUTER = 0x400, 0xC00, 0x6000
_LAST_IPRIORITYR = 254
_SGI_BASE = 0x1_0000


def registers(machine: Machine) -> dict[str, int]:
    """Name → value of everything that can be seen, with two security states as Secure sees it."""
    seen = {}
    for number, pe in enumerate(machine.pes):
        before = f"PE{number} " if number else ""
        for name, value in [*_system(pe), *_lines(pe), *_redistributor(machine, number)]:
            seen[before + name] = value
    seen.update(_distributor(machine))
    return seen


def changes(before: dict[str, int], after: dict[str, int]) -> dict[str, tuple[int, int]]:
    """Name → (old value, new value) of what differs between two views."""
    return {name: (before[name], value) for name, value in after.items() if before[name] != value}


def _system(pe: PE) -> Iterator[tuple[str, int]]:
    yield "HCR_EL2", pe.hcr_el2
    highest = 1 + pe.parameters.security_states
    for register in REGISTERS.values():
        if register.access & READ and register.name not in ACKNOWLEDGING:
            value = pe.peek(register.name, highest)
            if value is not None:
                yield register.name, value


def _lines(pe: PE) -> Iterator[tuple[str, int]]:
    virtual_irq, virtual_fiq = pe.virtual.signalled()
    irq, fiq = pe.physical.signalled(1, pe.is_secure)
    yield "virtual IRQ", int(virtual_irq)
    yield "virtual FIQ", int(virtual_fiq)
    yield "physical IRQ", int(irq)
    yield "physical FIQ", int(fiq)
    yield "maintenance interrupt", int(pe.maintenance())


def _redistributor(machine: Machine, number: int) -> Iterator[tuple[str, int]]:
    base = machine.redistributor_base(number)
    words = 1 + machine.parameters.extended_ppis // 32
    for name, offset in (("GICR_CTLR", 0), ("GICR_WAKER", 0x14)):
        yield name, _read(machine, base + offset)
    yield from _words(machine, "GICR_", base + _SGI_BASE, range(words))


def _distributor(machine: Machine) -> Iterator[tuple[str, int]]:
    parameters = machine.parameters
    base = parameters.gicd_base
    words = (parameters.spis + FIRST_SPI + 31) // 32
    yield "GICD_CTLR", _read(machine, base)
    yield from _words(machine, "GICD_", base, range(1, words))
    for intid in range(FIRST_SPI, FIRST_SPI + parameters.spis):
        route = machine.read(base + _IROUTER + 8 * intid, 8, secure=True)
        yield f"GICD_IROUTER{intid}", route


def _words(machine: Machine, prefix: str, base: int, numbers: range) -> Iterator[tuple[str, int]]:
    for n in numbers:
        for name, offset in _BITS.items():
            yield f"{prefix}{name}{n}", _read(machine, base + offset + 4 * n)
        for part in range(8 * n, min(8 * n + 8, _LAST_IPRIORITYR + 1)):
            yield f"{prefix}IPRIORITYR{part}", _read(machine, base + _IPRIORITYR + 4 * part)
        for part in (2 * n, 2 * n + 1):
            yield f"{prefix}ICFGR{part}", _read(machine, base + _ICFGR + 4 * part)


def _read(machine: Machine, address: int) -> int:
    return machine.read(address, 4, secure=True)
