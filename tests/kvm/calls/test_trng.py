"""The guest's random numbers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvtrap.kvm.calls.psci import Call
from nvtrap.kvm.calls.smccc import HostFacts
from nvtrap.kvm.calls.trng import answer_trng

ALL_ONES = (1 << 64) - 1


def answer(function: int, x1: int, words: list[int] | None = None) -> list[int]:
    """X0 to X3 after a call; `words` are the random ones, ones by default."""
    made = Call([function, x1, 5, 5])
    source: Iterator[int] | None = iter(words) if words else None
    answer_trng(made, lambda: next(source) if source else ALL_ONES)
    return made.x


@given(st.sampled_from([32, 64]), st.integers(0, 200))
def test_exactly_the_bits_that_were_asked_for(size: int, wanted: int) -> None:
    """From the lowest of X3 on; more than three registers hold is invalid."""
    function = 0x8400_0053 if size == 32 else 0xC400_0053
    got = answer(function, wanted)
    if wanted > 3 * size:
        assert got == [ALL_ONES - 1, 0, 0, 0]
        return
    status, high, middle, low = got
    assert status == 0
    assert high << 2 * size | middle << size | low == (1 << wanted) - 1


def test_words_come_lowest_first() -> None:
    """Two words make three 32-bit parts."""
    words = [0x1111_2222_3333_4444, 0x5555_6666_7777_8888]
    assert answer(0x8400_0053, 96, words) == [0, 0x7777_8888, 0x1111_2222, 0x3333_4444]
    assert answer(0xC400_0053, 1 << 32 | 128, words) == [0, 0, words[1], words[0]]


@pytest.mark.parametrize(
    ("x1", "code"),
    [(0x8400_0050, 0), (0xC400_0053, 0), (0x8400_0054, -1), (1 << 32 | 0x8400_0050, -1)],
)
def test_features_compare_the_whole_register(x1: int, code: int) -> None:
    """Unlike those of PSCI and SMCCC."""
    assert answer(0x8400_0051, x1) == [code & ALL_ONES, 0, 0, 0]


def test_version_and_uuid() -> None:
    """TRNG 1.0, and the UUID of KVM's implementation."""
    assert answer(0x8400_0050, 0) == [0x1_0000, 0, 0, 0]
    uid = b"".join(part.to_bytes(4, "little") for part in answer(0x8400_0052, 0))
    assert uid.hex() == "0d21e000438411eb80705244554e5a4c"


def test_a_models_random_numbers_repeat() -> None:
    """The first of SplitMix64 with seed 0, as its author published it."""
    first, second = HostFacts(), HostFacts()
    numbers = [first.random() for _ in range(100)]
    assert numbers[:2] == [0xE220_A839_7B1D_CDAF, 0x6E78_9E6A_A1B9_65F4]
    assert numbers == [second.random() for _ in range(100)]
    assert len(set(numbers)) == 100
