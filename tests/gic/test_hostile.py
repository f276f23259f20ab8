"""A guest that means harm: 120,000 random operations over machines of many shapes.

Nothing but the architecture's own exceptions escapes, and what holds for every list
register, status register and priority holds after each operation.
"""

from __future__ import annotations

import json
from random import Random
from typing import Any

import pytest

from nvtrap.errors import UnknownNameError
from nvtrap.gic import PE, Machine, Parameters
from nvtrap.gic.access import ExceptionTaken
from nvtrap.gic.registers import REGISTERS
from nvtrap.gic.virtual import lr

OPERATIONS = 20_000
SHAPES: list[dict[str, Any]] = [
    {},
    {"its": True, "list_registers": 16, "virtual_priority_bits": 8, "virtual_preemption_bits": 7},
    {"security_states": 2, "physical_priority_bits": 8, "one_of_n": True, "list_registers": 1},
    {"its": True, "direct_injection": True, "nmi": True, "extended_spis": 64, "extended_ppis": 64},
    {"security_states": 2, "nmi": True, "spis": 0, "lpis": False, "affinities": [0, 1, 0x100]},
    {"intid_bits": 16, "spis": 988, "range_selector": True, "affinities": [0x20, 0x0101_0300]},
]
NAMES = [*REGISTERS, "HCR_EL2", "SCR_EL3", "SCTLR_EL1", "ISR_EL1"]
# Where MISR_EL2's bits come from is said anew here, by the manual's table.
GUEST_REGISTERS = [name for name in REGISTERS if name.startswith("ICC_")]


class Attacker:
    """Random operations on a machine, by PE 0 or another."""

    def __init__(self, machine: Machine, random: Random) -> None:
        self.machine = machine
        self.random = random
        self.levels = range(2 + machine.parameters.security_states)

    def value(self) -> int:
        """Numbers that tend to mean something: INTIDs, small ones, single bits, noise."""
        random = self.random
        return random.choice(
            [
                random.choice([0, 1, 3, 7, 0x1F, 27, 33, 1023, 8192, 8200]),
                1 << random.randrange(64),
                random.getrandbits(64),
                random.getrandbits(32),
                lr.make(random.randrange(64), random.randrange(4), priority=random.getrandbits(8)),
                (1 << 64) - 1,
            ]
        )

    def address(self) -> int:
        """An address in a frame, near one, or anywhere."""
        has, random = self.machine.parameters, self.random
        base = random.choice([has.gicd_base, has.gicr_base, has.gits_base])
        offset = random.choice([random.randrange(0x1000), random.randrange(0x2_0000), 0x1_0000])
        return random.choice(
            [base + offset, base + (offset & ~3), base - 1, random.getrandbits(40)]
        )

    def step(self) -> str:
        """One operation; its text, for a failure."""
        random, machine = self.random, self.machine
        choice = random.random()
        if choice < 0.6:
            return self.system()
        if choice < 0.95:
            address, size = self.address(), random.choice([1, 2, 4, 4, 4, 8, 3, 16, 0])
            secure = random.random() < 0.3
            if random.random() < 0.5:
                value = self.value()
                machine.write(address, size, value, secure)
                return f"w{size} {address:#x} {value:#x}"
            assert 0 <= machine.read(address, size, secure) < 1 << 64
            return f"r{size} {address:#x}"
        pe = random.randrange(len(machine.pes))
        machine.redistributors[pe].locate(random.randrange(32))
        intid = random.choice([16, 20, 31])
        if intid != machine.parameters.maintenance_intid:
            machine.wire(intid, random.random() < 0.5, pe)
        return f"wire {intid}"

    def system(self) -> str:
        """A system-register access that may end in an exception of the architecture."""
        random = self.random
        pe = self.machine.pes[0 if random.random() < 0.8 else -1]
        name: str | int = random.choice(NAMES)
        if random.random() < 0.1:
            name = 3 << 14 | random.getrandbits(14)
        el, value = random.choice(self.levels), self.value()
        before = list(pe.virtual.lrs)
        taken_to = -1
        try:
            if random.random() < 0.5:
                pe.msr(name, el, value)
            else:
                assert 0 <= pe.mrs(name, el) < 1 << 64
        except ExceptionTaken as taken:
            taken_to = taken.el
        except UnknownNameError:
            taken_to = -1 if isinstance(name, int) else 0
        assert taken_to == -1 or max(el, 1) <= taken_to <= 3
        if taken_to >= 0:
            assert pe.virtual.lrs == before
        if name in GUEST_REGISTERS:
            self.moved_lawfully(before, pe.virtual.lrs)
        return f"{name} at EL{el} {value:#x}"

    @staticmethod
    def moved_lawfully(before: list[int], after: list[int]) -> None:
        """A guest moves a list register along the architecture's state machine only."""
        for old, new in zip(before, after, strict=True):
            assert lr.state(new) in lr.TRANSITIONS[lr.state(old)]
            assert old & ~lr.STATE == new & ~lr.STATE


def check(pe: PE) -> None:
    """What holds for a virtual interface at any time."""
    parameters, values = pe.parameters, pe.virtual.lrs
    level = 1 + parameters.security_states
    read = {name: pe.peek(name, level) for name in REGISTERS if name.startswith("ICH")}
    live = [bool(value >> 62) for value in values]
    eisr = [not on and not v >> 61 & 1 and v >> 41 & 1 for on, v in zip(live, values, strict=True)]
    empty = [
        not on and bool(v >> 61 & 1 or not v >> 41 & 1) for on, v in zip(live, values, strict=True)
    ]
    assert read["ICH_EISR_EL2"] == sum(1 << n for n, bit in enumerate(eisr) if bit)
    assert read["ICH_ELRSR_EL2"] == sum(1 << n for n, bit in enumerate(empty) if bit)
    hcr, vmcr = read["ICH_HCR_EL2"] or 0, read["ICH_VMCR_EL2"] or 0
    fields = [
        any(eisr),
        hcr >> 1 & 1 and sum(live) < 2,
        hcr >> 2 & 1 and hcr >> 27,
        hcr >> 3 & 1 and not any(value >> 62 == 1 for value in values),
        hcr >> 4 & 1 and vmcr & 1,
        hcr >> 5 & 1 and not vmcr & 1,
        hcr >> 6 & 1 and vmcr >> 1 & 1,
        hcr >> 7 & 1 and not vmcr >> 1 & 1,
    ]
    assert read["ICH_MISR_EL2"] == sum(1 << n for n, bit in enumerate(fields) if bit)
    assert pe.maintenance() == bool(hcr & 1 and read["ICH_MISR_EL2"])
    active = pe.virtual.active[0] | pe.virtual.active[1]
    places = [n for n in range(128) if active >> n & 1]
    running = min(places) << 8 - parameters.virtual_preemption_bits if places else 0xFF
    assert pe.virtual.running_priority() == (0 if pe.virtual.active_nmi else running)
    assert hcr & ~0xF800_7CFF == 0
    assert vmcr & ~0xFFFC_021B == 0
    for value in values:
        mask = parameters.lr_mask_hw if value >> 61 & 1 else parameters.lr_mask
        assert value & ~mask == 0


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: "-".join(map(str, shape)) or "usual")
def test_nothing_escapes_and_everything_holds(shape: dict[str, Any]) -> None:
    """After each of 20,000 operations; and every so often a snapshot has the same future."""
    random = Random(repr(shape))
    machine = Machine(Parameters.from_dict(shape))
    attacker = Attacker(machine, random)
    for number in range(OPERATIONS):
        what = attacker.step()
        for pe in machine.pes[:: number % 7 + 1]:
            try:
                check(pe)
            except AssertionError as error:
                raise AssertionError(f"after operation {number}, {what}: {error}") from error
        if number % 2_500 == 2_499:
            same_future(machine, random.getrandbits(32))


def same_future(machine: Machine, seed: int) -> None:
    """A machine from the snapshot, by way of JSON, and a copy do what this one does."""
    state = json.loads(json.dumps(machine.state()))
    twins = [Machine.from_state(state), machine.copy(), machine.copy()]
    assert twins[0] == machine
    for twin in twins:
        attacker = Attacker(twin, Random(seed))
        for _ in range(60):
            attacker.step()
    assert twins[0] == twins[1] == twins[2]
    assert machine.state() == state
