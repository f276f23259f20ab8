"""A device's write in a whole machine: it ends at the PE that takes the LPI."""

from __future__ import annotations

import json

import pytest

from nvtrap.gic.codecs import encode
from nvtrap.gic.machine import Machine
from nvtrap.gic.parameters import Parameters
from tests.gic.its import COLLECTIONS, CONFIGURATION, DEVICES, ITTS, PENDING, QUEUE, VALID

GITS, GICR, GICD = 0x0808_0000, 0x080A_0000, 0x0800_0000
FRAMES = 0x2_0000
TAKES = 1  # the PE
SPURIOUS = 1023


def command(machine: Machine, name: str, **fields: int) -> None:
    """Have the ITS execute a command."""
    where = machine.read(GITS + 0x88, 8)
    machine.memory.write(QUEUE + where, 32, encode("ITS_COMMAND", {"Command": name, **fields}))
    machine.write(GITS + 0x88, 8, where + 32)
    assert machine.read(GITS + 0x90, 8) == where + 32


def with_event(security_states: int) -> Machine:
    """Event 3 of device 9 is LPI 8200 of priority 0xa0 at PE 1, which can take it."""
    machine = Machine(Parameters(its=True, security_states=security_states))
    machine.write(GICD, 4, 1 << 1 | 1 << 4)
    redistributor = GICR + TAKES * FRAMES
    machine.write(redistributor + 0x70, 8, CONFIGURATION | 15)
    machine.write(redistributor + 0x78, 8, PENDING[0])
    machine.write(redistributor + 0x14, 4, 0, secure=True)
    machine.write(redistributor, 4, 1)
    machine.memory.write(CONFIGURATION + 8, 1, 0xA1)
    for number, base in enumerate((DEVICES, COLLECTIONS)):
        machine.write(GITS + 0x100 + 8 * number, 8, VALID | base)
    machine.write(GITS + 0x80, 8, VALID | QUEUE)
    machine.write(GITS, 4, 1)
    command(machine, "MAPD", DeviceID=9, V=1, Size=4, ITT_addr=ITTS >> 8)
    command(machine, "MAPC", ICID=0, V=1, RDbase=TAKES)
    command(machine, "MAPTI", DeviceID=9, EventID=3, pINTID=8200, ICID=0)
    return machine


@pytest.mark.parametrize(("security_states", "priority"), [(1, 0xA0), (2, 0xD0)])
def test_an_lpi_is_taken_once(security_states: int, priority: int) -> None:
    """It has no active state; with two security states its priority is the Non-secure view."""
    machine = with_event(security_states)
    pe = machine.pes[TAKES]
    pe.write_scr(1)
    pe.msr("ICC_IGRPEN1_EL1", 2, 1)
    pe.msr("ICC_PMR_EL1", 2, 0xFF)
    assert pe.mrs("ICC_HPPIR1_EL1", 2) == SPURIOUS
    assert machine.its is not None
    assert machine.its.translate(9, 3) == ""
    assert machine.copy() == machine
    again = Machine.from_state(json.loads(json.dumps(machine.state())))
    for one in (machine, again):
        pe = one.pes[TAKES]
        assert one.pes[0].mrs("ICC_HPPIR1_EL1", 2) == SPURIOUS
        assert pe.mrs("ICC_HPPIR1_EL1", 2) == 8200
        assert one.pes[TAKES].physical.running_priority() == 0xFF
        assert pe.mrs("ICC_IAR1_EL1", 2) == 8200
        assert one.pes[TAKES].physical.running_priority() == priority
        assert pe.mrs("ICC_IAR1_EL1", 2) == SPURIOUS
        pe.msr("ICC_EOIR1_EL1", 2, 8200)
        assert one.pes[TAKES].physical.running_priority() == 0xFF
    assert again == machine
