"""The True Random Number Generator interface of KVM (arch/arm64/kvm/trng.c; Arm DEN 0098)."""

from __future__ import annotations

from nvtrap.kvm.context import MASK_32, MASK_64

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from nvtrap.kvm.calls.psci import Call

TRNG_VERSION, TRNG_FEATURES, TRNG_GET_UUID, TRNG_RND = (
    0x8400_0050,
    0x8400_0051,
    0x8400_0052,
    0x8400_0053,
)
TRNG_RND_64 = 0xC400_0053
TRNG_FUNCTIONS = frozenset({TRNG_VERSION, TRNG_FEATURES, TRNG_GET_UUID, TRNG_RND, TRNG_RND_64})
VERSION_1_0 = 0x1_0000
SUCCESS, NOT_SUPPORTED, INVALID_PARAMETER = 0, -1, -2
# 0d21e000-4384-11eb-8070-5244554e5a4c, its bytes in order.
UUID = (0x00E0_210D, 0xEB11_8443, 0x4452_7080, 0x4C5A_4E55)


def answer_trng(call: Call, random: Callable[[], int]) -> None:
    """Answer one of `TRNG_FUNCTIONS`; `random` gives 64 random bits a call."""
    function = call.function
    if function == TRNG_VERSION:
        call.answer(VERSION_1_0)
    elif function == TRNG_FEATURES:
        call.answer(SUCCESS if call.x[1] in TRNG_FUNCTIONS else NOT_SUPPORTED)
    elif function == TRNG_GET_UUID:
        call.answer(*UUID)
    else:
        _answer_bits(call, 32 if function == TRNG_RND else 64, random)


def _answer_bits(call: Call, size: int, random: Callable[[], int]) -> None:
    """As many random bits as X1 says, in three parts of `size` bits, the lowest in X3."""
    wanted = call.x[1] & MASK_32
    if wanted > 3 * size:
        call.answer(INVALID_PARAMETER)
        return
    bits = 0
    for shift in range(0, wanted, 64):
        bits |= (random() & MASK_64) << shift
    bits &= (1 << wanted) - 1
    part = (1 << size) - 1
    call.answer(SUCCESS, bits >> 2 * size & part, bits >> size & part, bits & part)
