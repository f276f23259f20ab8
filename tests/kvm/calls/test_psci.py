"""PSCI: power, versions, and calls nobody makes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvtrap.kvm.calls.psci import (
    PSCI_0_1,
    PSCI_0_2,
    PSCI_1_0,
    PSCI_1_1,
    RUNNABLE,
    SLEEP,
    STOPPED,
    SUSPENDED,
    VCPU_RESET,
    Call,
    Power,
    Psci,
    SystemEvent,
)

VERSIONS = (PSCI_0_1, PSCI_0_2, PSCI_1_0, PSCI_1_1)
ALL_ONES = (1 << 64) - 1
WORDS = st.integers(0, ALL_ONES)
FUNCTIONS = st.sampled_from(
    [base + number for base in (0x8400_0000, 0xC400_0000) for number in range(0x20)]
    + [0x95C1_BA5E + number for number in range(4)]
)


def value(code: int) -> int:
    """A return code as X0 has it."""
    return code & ALL_ONES


def machine(version: int = PSCI_1_1, *states: str, suspend: bool = False) -> Psci:
    """A VM whose vCPUs are 0.0.0.0, 0.0.0.1, … of two clusters of two."""
    mpidrs = (0x8000_0000, 0x8000_0001, 0x8000_0100, 0x1_8000_0101)
    states = states or (RUNNABLE, STOPPED, SUSPENDED, STOPPED)
    vcpus = [Power(mpidr, state) for mpidr, state in zip(mpidrs, states, strict=True)]
    return Psci(vcpus, version, suspend_enabled=suspend)


def call(psci: Psci, *x: int, aarch32: bool = False, big_endian: bool = False) -> Call:
    """A call of vCPU 0."""
    made = Call([*x, 0, 0, 0][:4], aarch32=aarch32, big_endian=big_endian)
    psci.call(0, made)
    return made


@given(
    WORDS | FUNCTIONS,
    st.lists(WORDS, min_size=3, max_size=3),
    st.integers(0, 0x1_0002) | st.sampled_from(VERSIONS),
    st.booleans(),
    st.booleans(),
)
def test_any_call_is_answered_or_leaves(
    x0: int, rest: list[int], version: int, aarch32: bool, suspend: bool
) -> None:
    """Registers stay 64-bit; without an exit X1 to X3 are zero."""
    psci = machine(version, suspend=suspend)
    made = call(psci, x0, *rest, aarch32=aarch32)
    assert all(0 <= word <= ALL_ONES for word in made.x)
    if made.exit is None:
        assert made.x[1:] == [0, 0, 0]
    else:
        assert isinstance(made.exit, SystemEvent)
        stopped = all(vcpu.state == STOPPED for vcpu in psci.vcpus)
        assert stopped == (made.exit.type != 5)
    if aarch32 and x0 & 1 << 30:
        assert made.x[0] == value(-1)


@pytest.mark.parametrize("version", [PSCI_0_2, PSCI_1_0, PSCI_1_1])
def test_the_version_is_told(version: int) -> None:
    """Only 0.1 has no call for it."""
    assert call(machine(version), 0x8400_0000).x[0] == version
    assert call(machine(PSCI_0_1), 0x8400_0000).x[0] == value(-1)


def test_cpu_on_starts_a_stopped_vcpu_with_the_callers_byte_order() -> None:
    """At the entry point, with the context id in X0, through a reset."""
    psci = machine()
    assert call(psci, 0xC400_0003, 1, 0x1234_5678_9ABC, ALL_ONES, big_endian=True).x[0] == 0
    target = psci.vcpus[1]
    assert (target.state, target.requests) == (RUNNABLE, {VCPU_RESET})
    assert target.reset == (0x1234_5678_9ABC, ALL_ONES, True)
    assert call(psci, 0xC400_0003, 1).x[0] == value(-4)


def test_the_32_bit_cpu_on_cuts_its_arguments() -> None:
    """The high half of the affinity too, which names another vCPU."""
    psci = machine()
    assert call(psci, 0x8400_0003, 0xF_0000_0001, 0x1_4000_0000, 0x2_0000_0007).x[0] == 0
    assert psci.vcpus[1].reset == (0x4000_0000, 7, False)


@pytest.mark.parametrize(
    ("target", "code"),
    [(0, -4), (0x100, -4), (2, -2), (0x8000_0001, -2), (1 << 40, -2), (0x1_0000_0101, 0)],
)
def test_cpu_on_tells_why_not(target: int, code: int) -> None:
    """Affinities with other bits, MPIDR_EL1's bit 31 too, name nobody."""
    assert call(machine(), 0xC400_0003, target).x[0] == value(code)


@pytest.mark.parametrize(("target", "code"), [(0, -2), (1, 0), (2, -2), (0x100, -2)])
def test_psci_0_1_has_one_error(target: int, code: int) -> None:
    """Already on is an invalid parameter; 32-bit ids cut nothing."""
    assert call(machine(PSCI_0_1), 0x95C1_BA60, target, 1 << 40).x[0] == value(code)


@pytest.mark.parametrize(
    ("target", "level", "code"),
    [
        (0, 0, 0),
        (1, 0, 1),
        (0x100, 0, 0),
        (0x1_0000_0101, 0, 1),
        (0, 1, 0),
        (0x1_0000_0100, 1, 1),
        (0x55, 1, 0),
        (3, 0, -2),
        (0, 3, 0),
        (0x1_0000_0000, 3, 1),
        (0x2_0000_0000, 3, -2),
        (0, 4, -2),
        (0, 1 << 32, -2),
        (1 << 31, 0, -2),
    ],
)
def test_affinity_info(target: int, level: int, code: int) -> None:
    """On if any that matches at the level is not stopped; the level has 64 bits."""
    assert call(machine(), 0xC400_0004, target, level).x[0] == value(code)
    if level == 1 << 32:
        assert call(machine(), 0x8400_0004, target, level).x[0] == 0


def test_cpu_off_and_suspend() -> None:
    """Off sleeps; a suspend is a WFI."""
    psci = machine()
    assert call(psci, 0x8400_0002).x[0] == 0
    assert (psci.vcpus[0].state, psci.vcpus[0].requests) == (STOPPED, {SLEEP})
    for function in (0x8400_0001, 0xC400_0001):
        made = call(psci, function)
        assert (made.x[0], made.waits) == (0, True)
    psci = machine(PSCI_0_1)
    assert call(psci, 0x95C1_BA5F).x[0] == 0
    assert psci.vcpus[0].state == STOPPED
    assert call(psci, 0x95C1_BA5E).x[0] == value(-1)


@pytest.mark.parametrize(
    ("function", "event", "data"),
    [(0x8400_0008, 1, 0), (0x8400_0009, 2, 0), (0x8400_0012, 2, 1), (0xC400_0012, 2, 1)],
)
def test_the_end_of_a_system_stops_every_vcpu(function: int, event: int, data: int) -> None:
    """X0 says failure, for a guest that is resumed all the same."""
    psci = machine()
    made = call(psci, function, 0, 1 << 40, 5)
    assert isinstance(made.exit, SystemEvent)
    assert (made.exit.type, made.exit.data) == (event, (data,))
    assert made.x[0] == value(-6)
    kept = {0x8400_0012: [0, 0, 5], 0xC400_0012: [0, 1 << 40, 5]}
    assert made.x[1:] == kept.get(function, [0, 0, 0])
    assert [(vcpu.state, vcpu.requests) for vcpu in psci.vcpus] == [(STOPPED, {SLEEP})] * 4


@pytest.mark.parametrize(
    ("kind", "exits"),
    [(0, True), (1, False), (0x7FFF_FFFF, False), (0x8000_0000, True), (1 << 32, True)],
)
def test_reset2_takes_a_warm_or_a_vendors_reset(kind: int, *, exits: bool) -> None:
    """By the low 32 bits of its type; PSCI 1.0 has none."""
    made = call(machine(), 0xC400_0012, kind)
    assert (made.exit is not None) == exits
    assert made.x[0] == value(-6 if exits else -2)
    assert call(machine(PSCI_1_0), 0xC400_0012, kind).x[0] == value(-1)


@pytest.mark.parametrize(
    ("function", "kept"),
    [(0x8400_000E, [0, 2, 3]), (0xC400_000E, [1 << 32, 2, 3])],
)
def test_a_system_suspend_is_user_spaces(function: int, kept: list[int]) -> None:
    """It finds the registers as they were, cut for the 32-bit call, and nobody is stopped."""
    psci = machine(suspend=True)
    made = call(psci, function, 1 << 32, 2, 3)
    assert isinstance(made.exit, SystemEvent)
    assert (made.exit.type, made.exit.data, made.x) == (5, (), [function, *kept])
    assert psci.vcpus[0].state == RUNNABLE
    assert call(machine(), function, 1).x == [value(-1), 0, 0, 0]
    assert call(machine(PSCI_0_2, suspend=True), function).x[0] == value(-1)


ALWAYS = {0, 1, 2, 3, 4, 6, 8, 9, 10}
ALWAYS_64 = {1, 3, 4}


@pytest.mark.parametrize("version", [PSCI_1_0, PSCI_1_1])
@pytest.mark.parametrize("suspend", [False, True])
def test_features_are_what_is_there(version: int, *, suspend: bool) -> None:
    """Every id of the range, in both sizes; a 32-bit caller has no 64-bit calls."""
    extra = ({0xE} if suspend else set()) | ({0x12} if version == PSCI_1_1 else set())
    psci = machine(version, suspend=suspend)
    for base, known in ((0x8400_0000, ALWAYS | extra), (0xC400_0000, ALWAYS_64 | extra)):
        for number in range(0x20):
            code = call(psci, 0x8400_000A, base + number | 5 << 32).x[0]
            assert code == value(0 if number in known else -1), hex(base + number)
            short = call(psci, 0x8400_000A, base + number, aarch32=True).x[0]
            assert short == (value(-1) if base == 0xC400_0000 else code)
    assert call(psci, 0x8400_000A, 0x8000_0000).x[0] == 0
    assert call(machine(PSCI_0_2), 0x8400_000A, 0x8400_0000).x[0] == value(-1)


def test_a_trusted_os_need_not_migrate() -> None:
    """MIGRATE_INFO_TYPE is 2, MIGRATE is not there."""
    assert call(machine(), 0x8400_0006).x[0] == 2
    assert call(machine(), 0x8400_0005).x[0] == value(-1)
