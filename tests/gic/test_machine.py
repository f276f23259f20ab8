"""The whole: accesses by address, inputs, snapshots, copies, and software that means harm."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nvtrap.arch.memory import Memory
from nvtrap.errors import InputError, NvtrapError, UsageError
from nvtrap.gic import Machine, Parameters
from nvtrap.gic.access import ExceptionTaken
from nvtrap.gic.registers import REGISTERS
from tests.gic.machines import FULL, GICD, GICR, Driver

ALL = Parameters(
    affinities=(0x0, 0x1, 0x0100_0203),
    direct_injection=True,
    its=True,
    gicr_base=0x900_0000,
    extended_spis=32,
    extended_ppis=32,
    nmi=True,
    one_of_n=True,
    security_states=2,
    spis=32,
)
FRAMES = {ALL: (0x0800_0000, 0x0808_0000, 0x0900_0000), Parameters(): (GICD, GICR, GICR + 0x2_0000)}


# ---- addresses ------------------------------------------------------------------------------


def test_frames_are_where_the_parameters_say() -> None:
    """Distributor, redistributors in steps of two or four frames, ITS."""
    machine = Machine(ALL)
    assert machine.read(0x0800_FFE8, 4) == 0x4B
    assert [machine.read(0x0900_0008 + 0x4_0000 * n, 8) >> 32 for n in range(3)] == [
        0,
        1,
        0x1000203,
    ]
    assert machine.read(0x0900_0008 + 0x4_0000 * 3, 8) == 0
    assert machine.its is not None
    assert machine.read(0x0808_0008, 8) == machine.its.read(8, 8) != 0
    machine.write(0x0808_0000, 4, 1)
    assert machine.read(0x0808_0000, 4) & 1
    assert Machine().read(0x0808_0008, 8) == 0


@pytest.mark.parametrize(
    "address", [-1, -(1 << 70), 0, GICD - 4, GICD + 0x1_0000, 1 << 64, 1 << 99]
)
def test_where_nothing_is_reads_zero(address: int) -> None:
    """And writes are ignored."""
    machine = Machine()
    machine.write(address, 4, 0xFFFF_FFFF)
    assert machine.read(address, 4) == 0
    assert machine == Machine()


@pytest.mark.parametrize("size", [-1, 0, 3, 5, 16, 1 << 40])
def test_sizes_that_no_access_has_do_nothing(size: int) -> None:
    """Only 1, 2, 4 and 8 bytes are accesses."""
    machine = Machine()
    machine.write(GICD, size, 3)
    assert machine.read(GICD + 4, size) == 0
    assert machine == Machine()


# ---- inputs ---------------------------------------------------------------------------------


def test_inputs_reach_spis_and_ppis() -> None:
    """PPIs of the PE that is named, SPIs of all."""
    driver = Driver(FULL)
    driver.machine.wire(40, True)
    driver.machine.wire(4096, True, pe=2)
    driver.machine.wire(30, True, pe=1)
    assert driver.gicd(0x204) == 1 << 8
    assert driver.gicd(0x1600) == 1
    assert [driver.gicr(0x200, pe=n) for n in range(3)] == [0, 1 << 30, 0]
    driver.machine.wire(30, False, pe=1)
    assert driver.gicr(0x200, pe=1) == 0


@pytest.mark.parametrize("intid", [-1, 0, 15, 25, 256, 1019, 1023, 1056, 4096, 8192])
def test_what_has_no_input_cannot_be_driven(intid: int) -> None:
    """SGIs, the maintenance interrupt, LPIs, special and absent INTIDs."""
    with pytest.raises(UsageError, match=f"`{intid}` has no input"):
        Machine().wire(intid, True)


@pytest.mark.parametrize("pe", [-1, 2, 99])
def test_a_pe_that_is_not_there_has_no_inputs(pe: int) -> None:
    """It says which there are."""
    with pytest.raises(UsageError, match=f"no PE `{pe}`, they go from 0 to 1"):
        Machine().wire(30, True, pe=pe)


# ---- snapshots and software that means harm -------------------------------------------------

Operation = tuple[Any, ...]
VALUES = (
    st.integers(0, 0xFFFF_FFFF)
    | st.integers(0, (1 << 64) - 1)
    | st.sampled_from([1, 3, 0xFFFFFFFF])
)
OFFSETS = st.sampled_from(
    [*range(0, 0xC0, 4), *range(0x80, 0x1000, 0x80), 0x84, 0x104, 0x204, 0x304, 0x424, 0x6100]
) | st.integers(0, 0x2_FFFF)  # fmt: skip


def operations(parameters: Parameters) -> st.SearchStrategy[list[Operation]]:
    """What software and devices do to a machine; EL3 is there or not."""
    addresses = st.builds(lambda a, b: a + b, st.sampled_from(FRAMES[parameters]), OFFSETS)
    sizes, secure = st.sampled_from([1, 2, 4, 4, 8]), st.booleans()
    elr = st.integers(0, 3 if parameters.security_states == 2 else 2)
    names = st.sampled_from([*REGISTERS, "HCR_EL2", "SCR_EL3", "SCTLR_EL1", "ISR_EL1"])
    pes = st.integers(0, len(parameters.affinities) - 1)
    return st.lists(
        st.tuples(st.just("write"), addresses, sizes, VALUES, secure)
        | st.tuples(st.just("read"), addresses, sizes, secure)
        | st.tuples(st.just("msr"), pes, names, elr, VALUES)
        | st.tuples(st.just("mrs"), pes, names, elr)
        | st.tuples(st.just("wire"), st.sampled_from([20, 32, 40, 63]), secure, pes),
        max_size=40,
    )


def carry_out(machine: Machine, operation: Operation) -> object:
    """What an operation returns; an exception that the PE takes is a result as well."""
    kind, *rest = operation
    try:
        if kind in ("msr", "mrs"):
            pe, name, el, *value = rest
            return getattr(machine.pes[pe], kind)(name, el, *value)
        return getattr(machine, kind)(*rest)
    except ExceptionTaken as taken:
        return type(taken), taken.el


@given(operations(ALL), operations(ALL))
@settings(max_examples=150, deadline=None)
def test_a_snapshot_has_the_same_future(before: list[Operation], after: list[Operation]) -> None:
    """Through JSON and back, and by copy: equal now, and in all that follows."""
    machine = Machine(ALL)
    for operation in before:
        carry_out(machine, operation)
    text = json.dumps(machine.state())
    restored = Machine.from_state(json.loads(text))
    copied = machine.copy()
    assert machine == restored == copied
    assert json.dumps(restored.state()) == text
    results = [carry_out(machine, operation) for operation in after]
    assert json.dumps(Machine.from_state(json.loads(text)).state()) == text
    assert [carry_out(copied, operation) for operation in after] == results
    assert [carry_out(restored, operation) for operation in after] == results
    assert machine == restored == copied


@given(operations(Parameters()))
@settings(max_examples=150, deadline=None)
def test_no_operation_does_what_the_architecture_does_not_know(trace: list[Operation]) -> None:
    """Results fit their size, reads are of the state, priorities agree with what is active."""
    machine = Machine()
    for operation in trace:
        result = carry_out(machine, operation)
        if operation[0] == "read":
            assert isinstance(result, int)
            assert 0 <= result < 1 << 8 * operation[2]
        for pe in machine.pes:
            physical = pe.physical
            lowest = physical.active[0] | physical.active[1]
            running = ((lowest & -lowest).bit_length() - 1) << 3 if lowest else 0xFF
            assert physical.running_priority() == running
            assert not physical.active[2]
    assert Machine.from_state(machine.state()) == machine


def test_a_copy_is_independent() -> None:
    """Of registers, interrupts and memory."""
    machine = Machine(ALL)
    copy = machine.copy()
    machine.memory.write(0x4000, 8, 1)
    assert copy.memory.read(0x4000, 8) == 0
    machine.write(GICD + 0x104, 4, 0xFF)
    machine.write(GICD + 0x6100, 8, 1)
    machine.write(0x0901_0100, 4, 0xFF)
    machine.pes[0].msr("ICC_AP0R0_EL1", 3, 7)
    assert copy == Machine(ALL) != machine


def test_memory_goes_with_the_snapshot() -> None:
    """Its regions and what is written."""
    machine = Machine(memory=Memory([(0x4000_0000, 0x10_0000)]))
    machine.memory.write(0x4000_1FFC, 8, 0x1122_3344_5566_7788)
    restored = Machine.from_state(json.loads(json.dumps(machine.state())))
    assert restored.memory.read(0x4000_1FFC, 8) == 0x1122_3344_5566_7788
    assert restored.memory.regions == [(0x4000_0000, 0x10_0000)]


DAMAGE: list[tuple[list[str | int], object]] = [
    (["regions"], 3),
    (["memory"], {"x": "00"}),
    (["memory"], {"0x1000": "zz"}),
    (["distributor"], None),
    (["distributor", "enables"], "all"),
    (["distributor", "status"], [1]),
    (["distributor", "spis", "latch"], 3),
    (["distributor", "spis", "routes"], [[224, 1]]),
    (["distributor", "spis", "priority"], "00"),
    (["redistributors"], []),
    (["redistributors", 0, "ppis"], {}),
    (["redistributors", 0, "lpis"], {}),
    (["pes"], [{}, {}]),
    (["pes", 0, "physical", "bpr"], [1]),
    (["parameters", "affinities"], [1, 1]),
]


@pytest.mark.parametrize(("place", "value"), DAMAGE)
def test_a_damaged_snapshot_is_refused(place: list[str | int], value: object) -> None:
    """With an error of ours, whatever is wrong in it."""
    state: Any = json.loads(json.dumps(Machine().state()))
    at = state
    for key in place[:-1]:
        at = at[key]
    at[place[-1]] = value
    with pytest.raises(NvtrapError) as error:
        Machine.from_state(state)
    assert isinstance(error.value, InputError | UsageError)


def test_machines_compare_by_state() -> None:
    """And with nothing else; their parameters are what they print."""
    assert Machine() == Machine()
    assert Machine() != Machine(FULL)
    assert Machine() != "machine"
    assert repr(Machine(Parameters(spis=32))) == "Machine(Parameters(spis=32))"
