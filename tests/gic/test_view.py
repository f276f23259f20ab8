"""What can be seen of a machine."""

from __future__ import annotations

from random import Random

from nvtrap.gic import Machine, Parameters, codecs, view
from nvtrap.gic.registers import READ, REGISTERS
from tests.gic.test_hostile import SHAPES, Attacker


def test_looking_changes_nothing() -> None:
    """In any state of any machine."""
    for shape in SHAPES:
        machine = Machine(Parameters.from_dict(shape))
        attacker = Attacker(machine, Random(1))
        for _ in range(100):
            attacker.step()
        before = machine.state()
        assert view.registers(machine) == view.registers(machine)
        assert machine.state() == before


def test_every_readable_register_is_seen() -> None:
    """Except those whose read takes an interrupt; and the codecs know them."""
    shape = {"nmi": True, "list_registers": 16, "virtual_priority_bits": 7}
    bits = {"virtual_preemption_bits": 7, "physical_priority_bits": 7}
    seen = view.registers(Machine(Parameters.from_dict({**shape, **bits})))
    readable = {name for name, register in REGISTERS.items() if register.access & READ}
    above = {name for name in readable if name.endswith("_EL3")}
    assert readable - above - set(view.ACKNOWLEDGING) <= seen.keys()
    for name in seen:
        register = name.rpartition(" ")[2]
        if register not in view.LINES and register != "HCR_EL2":
            codecs.find(register)


def test_changes_are_what_differs() -> None:
    """Old and new value, by name; of another PE with its number."""
    machine = Machine()
    before = view.registers(machine)
    machine.pes[1].msr("ICC_PMR_EL1", 2, 0xF8)
    machine.write(0x0800_0104, 4, 0x2)
    changes = view.changes(before, view.registers(machine))
    assert changes == {"PE1 ICC_PMR_EL1": (0, 0xF8), "GICD_ISENABLER1": (0, 2)}
