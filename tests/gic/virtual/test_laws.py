"""Laws of the virtual CPU interface, over random programs of hypervisor and guest."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvtrap.gic.parameters import Parameters
from nvtrap.gic.virtual import ich, icv, lr
from nvtrap.gic.virtual.interface import VirtualInterface
from tests.gic.virtual.reference import Reference

SHAPES: list[dict[str, Any]] = [
    {},
    {"list_registers": 1, "intid_bits": 16},
    {"list_registers": 16, "virtual_priority_bits": 8, "virtual_preemption_bits": 7},
    {"list_registers": 3, "virtual_priority_bits": 7, "virtual_preemption_bits": 6, "seis": True},
    {"virtual_priority_bits": 8, "virtual_preemption_bits": 5, "tdir": False},
]
MISR_NAMES = ("EOI", "U", "LRENP", "NP", "VGrp0E", "VGrp0D", "VGrp1E", "VGrp1D")
GUEST_READS = ["ICC_IAR0_EL1", "ICC_IAR1_EL1", "ICC_HPPIR0_EL1", "ICC_HPPIR1_EL1"]


def unheard(_pintid: int) -> None:
    """No physical interrupt listens."""


class Pair:
    """The model and the reference, driven alike."""

    def __init__(self, shape: dict[str, Any], random: Random) -> None:
        self.parameters = Parameters(**shape)
        self.random = random
        self.deactivated: list[int] = []
        self.model = VirtualInterface(self.parameters, self.deactivated.append)
        self.reference = Reference(
            self.parameters.list_registers,
            self.parameters.virtual_priority_bits,
            self.parameters.virtual_preemption_bits,
            self.parameters.intid_bits,
        )
        self.reference.write_hcr(0)

    def intid(self) -> int:
        """An INTID that a list register may hold, or anything."""
        held = [lr.vintid(value) for value in self.model.lrs]
        return self.random.choice([*held, self.random.choice([5, 27, 33, 1019, 1021, 8192, 9000])])

    def lr(self) -> int:
        """A list register's value; live ones have INTIDs of their own."""
        random = self.random
        if random.random() < 0.05:
            return random.getrandbits(64)
        value = random.getrandbits(2) << 62 | random.getrandbits(1) << 60
        value |= random.getrandbits(8) << 48 | random.choice([5, 27, 33, 1019, 8192, 9000])
        if random.random() < 0.3:
            return value | lr.HW | random.randrange(16, 1020) << 32
        return value | random.getrandbits(1) << 41

    def step(self) -> None:
        """One random operation on both; what a read gives must be equal."""
        random, model, reference = self.random, self.model, self.reference
        choice = random.randrange(12)
        if choice < 3:
            n, value = random.randrange(len(model.lrs)), self.lr()
            ich.WRITES[f"ICH_LR{n}_EL2"](model, value)
            reference.write_lr(n, value)
        elif choice == 3:
            value = random.getrandbits(32) | (random.random() < 0.8)
            ich.WRITES["ICH_HCR_EL2"](model, value)
            reference.write_hcr(value)
        elif choice == 4:
            self.vmcr(random.getrandbits(64) if random.random() < 0.3 else 0xF800_0003)
        elif choice == 5:
            self.guest_control()
        elif choice < 9:
            self.read(random.choice(GUEST_READS))
        elif choice < 11:
            group, intid = random.getrandbits(1), self.intid()
            icv.WRITES[f"ICC_EOIR{group}_EL1"](model, intid)
            reference.eoir(group, intid)
        else:
            intid = self.intid()
            icv.WRITES["ICC_DIR_EL1"](model, intid)
            reference.dir(intid)

    def vmcr(self, value: int) -> None:
        """Write ICH_VMCR_EL2."""
        reference, unimplemented = self.reference, 8 - self.parameters.virtual_priority_bits
        ich.WRITES["ICH_VMCR_EL2"](self.model, value)
        reference.pmr = (value >> 24 & 0xFF) >> unimplemented << unimplemented
        reference.cbpr, reference.eoimode = bool(value >> 4 & 1), bool(value >> 9 & 1)
        reference.groups = [bool(value & 1), bool(value >> 1 & 1)]
        reference.write_bpr(0, value >> 21 & 7)
        reference.write_bpr(1, value >> 18 & 7)

    def guest_control(self) -> None:
        """The guest writes one of its control registers."""
        random, reference = self.random, self.reference
        name = random.choice(["ICC_BPR0", "ICC_BPR1", "ICC_CTLR", "ICC_IGRPEN0", "ICC_IGRPEN1"])
        value = random.getrandbits(64)
        icv.WRITES[f"{name}_EL1"](self.model, value)
        if name == "ICC_CTLR":
            reference.cbpr, reference.eoimode = bool(value & 1), bool(value & 2)
        elif name[4:8] == "IGRP":
            reference.groups[int(name[-1])] = bool(value & 1)
        elif name == "ICC_BPR0" or not reference.cbpr:
            reference.write_bpr(int(name[-1]), value & 7)

    def read(self, name: str) -> None:
        """A guest's read, which may acknowledge."""
        group = int(name[-5])
        looks = name[4:9] == "HPPIR"
        expected = self.reference.hppir(group) if looks else self.reference.iar(group)
        assert icv.READS[name](self.model) == expected, name

    def compare(self) -> None:
        """Everything that can be seen is equal."""
        model, reference = self.model, self.reference
        assert model.lrs == [reference.read_lr(n) for n in range(len(model.lrs))]
        misr = ich.READS["ICH_MISR_EL2"](model)
        assert {name: bool(misr >> n & 1) for n, name in enumerate(MISR_NAMES)} == reference.misr()
        assert misr >> 8 == 0
        assert ich.READS["ICH_EISR_EL2"](model) == reference.eisr()
        assert ich.READS["ICH_ELRSR_EL2"](model) == reference.elrsr()
        assert icv.READS["ICC_RPR_EL1"](model) == reference.running()
        assert model.hcr >> 27 == reference.eoicount
        best = reference.best()
        signals = best is not None and reference.signals(best)
        group = best.group if best else 0
        assert model.signalled() == (signals and group == 1, signals and group == 0)
        assert self.deactivated == reference.deactivated


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: "-".join(map(str, shape.values())))
def test_the_interface_is_the_reference(shape: dict[str, Any]) -> None:
    """After every one of 20,000 random operations both show the same."""
    pair = Pair(shape, Random(repr(shape)))
    for _ in range(20_000):
        pair.step()
        pair.compare()


@given(st.data())
def test_a_guest_moves_list_registers_along_the_state_machine(data: st.DataObject) -> None:
    """Acknowledge and deactivation are all that a guest does; other fields never change."""
    pair = Pair({}, Random(data.draw(st.integers())))
    for n in range(4):
        ich.WRITES[f"ICH_LR{n}_EL2"](pair.model, pair.lr())
    ich.WRITES["ICH_HCR_EL2"](pair.model, 1)
    for _ in range(30):
        before = list(pair.model.lrs)
        name, value = data.draw(st.sampled_from([*icv.WRITES, *icv.READS])), pair.intid()
        if name in icv.READS:
            icv.READS[name](pair.model)
        if name in icv.WRITES:
            icv.WRITES[name](pair.model, value)
        for old, new in zip(before, pair.model.lrs, strict=True):
            assert lr.state(new) in lr.TRANSITIONS[lr.state(old)]
            assert old & ~lr.STATE == new & ~lr.STATE


@given(st.sampled_from(SHAPES), st.data())
def test_what_is_reserved_stays_zero(shape: dict[str, Any], data: st.DataObject) -> None:
    """All ones, written to every register, come back only where something is implemented."""
    parameters = Parameters(**shape)
    interface = VirtualInterface(parameters, unheard)
    value = data.draw(st.sampled_from([(1 << 64) - 1, (1 << 64) - 1 & ~lr.HW]))
    for name, write in ich.WRITES.items():
        if not name.startswith("ICH_LR") or int(name[6:-4]) < parameters.list_registers:
            write(interface, value)
    hcr = ich.READS["ICH_HCR_EL2"](interface)
    tdir, tsei = parameters.tdir << 14, parameters.seis << 13
    assert hcr == 0xF800_1CFF | tdir | tsei
    priority = 0xFF & ~((1 << 8 - parameters.virtual_priority_bits) - 1)
    vintid = (1 << parameters.intid_bits) - 1
    rest = 0x1FFF << 32 | 1 << 61 if value >> 61 & 1 else 1 << 41
    assert interface.lrs[0] == 0b1101 << 60 & ~(1 << 61) | priority << 48 | vintid | rest
    assert ich.READS["ICH_VMCR_EL2"](interface) == priority << 24 | 0xFC_021B
    implemented = (1 << (1 << parameters.virtual_preemption_bits)) - 1
    assert interface.active == [implemented, implemented]


@given(st.integers())
def test_a_snapshot_has_the_same_future(seed: int) -> None:
    """What `state` gives becomes, with `load`, an interface that behaves the same."""
    pair = Pair(SHAPES[seed % len(SHAPES)], Random(seed))
    for _ in range(60):
        pair.step()
    other = VirtualInterface(pair.parameters, unheard)
    other.load(pair.model.state())
    assert other.state() == pair.model.state()
    for group in (1, 0, 1):
        assert other.acknowledge(group) == pair.model.acknowledge(group)
    assert other.state() == pair.model.state()
