"""SMCCC: the filter, the bitmaps, and the services behind them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvtrap.arch.memory import Memory
from nvtrap.kvm.calls.psci import Call, Hypercall, Power, Psci
from nvtrap.kvm.calls.smccc import (
    AFFECTED,
    DENY,
    FORWARD,
    HANDLE,
    MITIGATED,
    NOT_AFFECTED,
    Clock,
    Filter,
    HostFacts,
    Smccc,
)

ALL_ONES = (1 << 64) - 1
NO = [ALL_ONES, 0, 0, 0]
WORDS = st.integers(0, ALL_ONES)
RESERVED = [(0x8000_0000, 0x8000_FFFF), (0xC000_0000, 0xC000_FFFF)]
EDGES = st.sampled_from(
    [0, 1, 15, 16, 0x7FFF_FFFF, 0x8000_0000, 0x8000_FFFF, 0x8001_0000, 0x8400_0000, 0xFFFF_FFFF]
)


def machine(host: HostFacts | None = None, **bitmaps: int) -> Smccc:
    """The services of a VM with one vCPU."""
    return Smccc(Psci([Power(0x8000_0000)]), host, **bitmaps)


def call(smccc: Smccc, *x: int, esr: int = 0x5A00_0000, aarch32: bool = False) -> Call:
    """A call, with what came of it."""
    made = Call([*x, 7, 7, 7][:4], esr=esr, aarch32=aarch32)
    assert smccc.call(0, made) == (made.exit is None)
    return made


# ---- the filter -------------------------------------------------------------------


@given(
    st.lists(
        st.tuples(
            EDGES | st.integers(0, 64),
            EDGES | st.integers(0, 64),
            st.sampled_from([HANDLE, DENY, FORWARD]),
        ),
        max_size=12,
    )
)
def test_ranges_of_a_filter_never_overlap(attempts: list[tuple[int, int, int]]) -> None:
    """The first one that has an id decides; an attempt on a range that is taken fails."""
    tried, taken = Filter(), list[tuple[int, int, int]]()
    for base, count, action in attempts:
        last = base + count - 1
        ret = tried.insert(base, count, action)
        if not count or last > 0xFFFF_FFFF:
            assert ret == -22
            continue
        if not taken:
            taken = [(*ends, HANDLE) for ends in RESERVED]
        clash = any(start <= last and base <= end for start, end, _ in taken)
        assert ret == (-17 if clash else 0)
        if not clash:
            taken.append((base, last, action))
    for function in {start for start, *_ in taken} | {end for _, end, _ in taken} | {0, 1 << 31}:
        found = [action for start, end, action in taken if start <= function <= end]
        assert tried.action(function) == (found or [HANDLE])[0]
        around = [action for start, end, action in taken if start <= function + 1 <= end]
        assert tried.action(function + 1) == (around or [HANDLE])[0]


def test_an_unsound_attempt_reserves_nothing() -> None:
    """Only the first sound one does."""
    tried = Filter()
    assert tried.insert(0x8000_0000, 1, 3) == -22
    assert tried.insert(0x8000_0000, 0, DENY) == -22
    assert tried.insert(0xFFFF_FFFF, 2, DENY) == -22
    assert tried.insert(0xC000_0000, 1, DENY) == -17
    assert tried.insert(0xFFFF_FFFF, 1, DENY) == 0


@pytest.mark.parametrize(
    ("esr", "flags"),
    [(0x5A00_0000, 0), (0x5E00_0000, 1), (0x4E00_0000, 1), (0x5C00_0000, 3), (0x4800_0000, 2)],
)
def test_a_forwarded_call_is_user_spaces(esr: int, flags: int) -> None:
    """Its registers stay; the flags say SMC, and 16-bit instruction."""
    smccc = machine()
    smccc.filter.insert(0x8400_0000, 32, FORWARD)
    made = call(smccc, 0x5_8400_0008, 1, 2, 3, esr=esr)
    assert isinstance(made.exit, Hypercall)
    assert (made.exit.function, made.exit.flags) == (0x8400_0008, flags)
    assert made.x == [0x5_8400_0008, 1, 2, 3]


def test_the_filter_comes_before_the_bitmaps() -> None:
    """It denies what they allow and forwards what they deny; to handle means to ask them."""
    smccc = machine(std=0)
    smccc.filter.insert(0x8400_0000, 1, DENY)
    smccc.filter.insert(0x8400_0050, 1, FORWARD)
    smccc.filter.insert(0x8400_0051, 1, HANDLE)
    assert call(smccc, 0x8400_0000).x == NO
    assert call(smccc, 0x8400_0050).exit is not None
    assert call(smccc, 0x8400_0051).x == NO


# ---- the bitmaps ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("function", "bitmap", "bit"),
    [
        (0x8400_0050, "std", 0),
        (0xC400_0053, "std", 0),
        (0xC500_0020, "std_hyp", 0),
        (0xC500_0021, "std_hyp", 0),
        (0x8600_0000, "vendor_hyp", 0),
        (0x8600_FF01, "vendor_hyp", 0),
        (0x8600_0001, "vendor_hyp", 1),
    ],
)
def test_a_bit_allows_its_functions(function: int, bitmap: str, bit: int) -> None:
    """And no other bit does."""
    assert machine(None, **{bitmap: 1 << bit}).action(function) == HANDLE
    assert machine(None, **{bitmap: ALL_ONES ^ 1 << bit}).action(function) == DENY


def test_what_no_bit_decides() -> None:
    """Version, features, PSCI of both kinds; the rest is denied."""
    smccc = machine(std=0, std_hyp=0, vendor_hyp=0)
    always = (0x8000_0000, 0x8000_0001, 0x8400_001F, 0xC400_0000, 0x95C1_BA5E, 0x95C1_BA61)
    never = (0x8000_0002, 0x8000_8000, 0x8400_0020, 0x95C1_BA5D, 0x95C1_BA62, 0x8500_0000, 0)
    assert [smccc.action(function) for function in always] == [HANDLE] * 6
    assert [smccc.action(function) for function in never] == [DENY] * 7


@given(
    WORDS | st.integers(0, (1 << 32) - 1),
    st.lists(WORDS, min_size=3, max_size=3),
    WORDS,
    st.booleans(),
)
def test_any_call_is_answered(x0: int, rest: list[int], bitmap: int, aarch32: bool) -> None:
    """With 64-bit values, or an exit."""
    clock = Clock(bitmap, bitmap ^ ALL_ONES, rest[1], rest[2])
    host = HostFacts(clock=clock, stolen_time=rest[0], memory=Memory([(0, 64)]))
    smccc = machine(host, std=bitmap, std_hyp=bitmap, vendor_hyp=bitmap)
    for function in (x0, 0xC500_0021, 0x8600_0001, 0xC400_0053):
        made = call(smccc, function, *rest, aarch32=aarch32)
        assert all(0 <= word <= ALL_ONES for word in made.x)


# ---- the services -----------------------------------------------------------------


def test_version_and_identity() -> None:
    """SMCCC 1.1, and the UUID of KVM."""
    assert call(machine(), 0x8000_0000).x == [0x1_0001, 0, 0, 0]
    parts = call(machine(), 0x8600_FF01).x
    uid = b"".join(part.to_bytes(4, "little") for part in parts)
    assert uid.hex() == "28b46fb62ec511e9a9ca4b564d003a74"
    assert call(machine(), 0x8600_0000).x == [3, 0, 0, 0]


@pytest.mark.parametrize(
    ("feature", "host", "code"),
    [
        (0x8000_8000, {"spectre_v2": AFFECTED}, -1),
        (0x8000_8000, {"spectre_v2": MITIGATED}, 0),
        (0x8000_8000, {"spectre_v2": NOT_AFFECTED}, 1),
        (0x8000_7FFF, {"spectre_v4": AFFECTED, "guest_ssbs": False}, -1),
        (0x8000_7FFF, {"spectre_v4": MITIGATED, "guest_ssbs": True}, -1),
        (0x8000_7FFF, {"spectre_v4": MITIGATED, "guest_ssbs": False}, -2),
        (0x8000_7FFF, {"spectre_v4": NOT_AFFECTED, "guest_ssbs": True}, -2),
        (0x8000_3FFF, {"spectre_bhb": AFFECTED}, -1),
        (0x8000_3FFF, {"spectre_bhb": MITIGATED}, 0),
        (0x8000_3FFF, {"spectre_bhb": NOT_AFFECTED}, 1),
        (0xC500_0020, {}, 0),
        (0x8000_0002, {}, -1),
    ],
)
def test_architecture_features(feature: int, host: dict[str, object], code: int) -> None:
    """Workarounds by the host's state, PV time by its bit; the id is 32 bits of X1."""
    smccc = machine(HostFacts(**host))  # type: ignore[arg-type]
    assert call(smccc, 0x8000_0001, 0x9_0000_0000 | feature).x == [code & ALL_ONES, 0, 0, 0]
    assert call(machine(std_hyp=0), 0x8000_0001, 0xC500_0020).x == NO


def test_time_is_two_numbers_in_halves() -> None:
    """Time of day, then the virtual or the physical counter."""
    clock = Clock(0x5, 0x1122_3344_5566_7788, 0x6, 0x1)
    smccc = machine(HostFacts(clock=clock))
    day = [0x1122_3344, 0x5566_7788]
    assert call(smccc, 0x8600_0001, 0).x == [*day, 0xFFFF_FFFF, 0xFFFF_FFFF]
    assert call(smccc, 0x8600_0001, 1 << 32 | 1).x == [*day, 0, 4]
    assert call(smccc, 0x8600_0001, 2).x == NO
    assert call(machine(HostFacts(clock=None)), 0x8600_0001, 0).x == NO


def test_stolen_time_is_cleared_when_it_starts() -> None:
    """All 64 bytes; memory that is not there is not written."""
    memory = Memory([(0x1000, 0x1000)])
    memory.write_bytes(0x1000, b"\xff" * 128)
    smccc = machine(HostFacts(stolen_time=0x1000, memory=memory))
    assert call(smccc, 0xC500_0020, 0xC500_0021).x == [0, 0, 0, 0]
    assert call(smccc, 0xC500_0020, 0xC500_0022).x == NO
    assert call(smccc, 0xC500_0021).x == [0x1000, 0, 0, 0]
    assert memory.read_bytes(0x1000, 65) == bytes(64) + b"\xff"
    assert call(machine(HostFacts(stolen_time=0x9000, memory=memory)), 0xC500_0021).x[0] == 0x9000
    assert call(machine(), 0xC500_0021).x == NO
    assert call(machine(), 0xC500_0020, 0xC500_0021).x == NO
