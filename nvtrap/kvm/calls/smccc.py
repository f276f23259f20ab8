"""SMC Calling Convention services of a VM (arch/arm64/kvm/hypercalls.c of Linux 6.12).

Each call goes to one of three ends: user space, a refusal, or the service. The filter that
user space set decides first; the feature bitmaps only for what it leaves alone.
"""

from __future__ import annotations

from bisect import bisect
from errno import EEXIST, EINVAL

from nvtrap.arch.esr import IL, exception_class
from nvtrap.errors import AddressError
from nvtrap.kvm.calls.psci import KVM_0_1, SMCCC_VERSION, Hypercall
from nvtrap.kvm.calls.trng import TRNG_FUNCTIONS, answer_trng
from nvtrap.kvm.context import MASK_32, MASK_64

TYPE_CHECKING = False
if TYPE_CHECKING:
    from nvtrap.arch.memory import Memory
    from nvtrap.kvm.calls.psci import Call, Psci

ARCH_FEATURES = 0x8000_0001
WORKAROUND_1, WORKAROUND_2, WORKAROUND_3 = 0x8000_8000, 0x8000_7FFF, 0x8000_3FFF
PV_TIME_FEATURES, PV_TIME_ST = 0xC500_0020, 0xC500_0021
VENDOR_FEATURES, VENDOR_PTP, VENDOR_UID = 0x8600_0000, 0x8600_0001, 0x8600_FF01
# 28b46fb6-2ec5-11e9-a9ca-4b564d003a74, its bytes in order.
KVM_UID = (0xB66F_B428, 0xE911_C52E, 0x564B_CAA9, 0x743A_004D)
VERSION_1_1 = 0x1_0001
SUCCESS, NOT_SUPPORTED, NOT_REQUIRED, UNAFFECTED = 0, -1, -2, 1
STOLEN_TIME_SIZE = 64

# The bitmaps, and the functions that a bit of each stands for.
ALL_STD, ALL_STD_HYP, ALL_VENDOR_HYP = 0b1, 0b1, 0b11
_STD = dict.fromkeys(TRNG_FUNCTIONS, 0)
_STD_HYP = dict.fromkeys((PV_TIME_FEATURES, PV_TIME_ST), 0)
_VENDOR_HYP = {VENDOR_FEATURES: 0, VENDOR_UID: 0, VENDOR_PTP: 1}
STANDARD_OWNER = 4

# What a filter does.
HANDLE, DENY, FORWARD = 0, 1, 2
# Arm Architecture Calls, which no filter may take: of both sizes.
_RESERVED = ((0x8000_0000, 0x8000_FFFF, HANDLE), (0xC000_0000, 0xC000_FFFF, HANDLE))

FLAG_SMC, FLAG_16BIT = 1, 2
_SMC_CLASSES = (0x13, 0x17)

# How the host stands to an attack.
AFFECTED, MITIGATED, NOT_AFFECTED = "vulnerable", "mitigated", "unaffected"


class Filter:
    """The ranges of function ids that user space wants handled, denied or forwarded."""

    __slots__ = ("_ranges",)

    def __init__(self) -> None:
        self._ranges: list[tuple[int, int, int]] = []

    def insert(self, base: int, count: int, action: int) -> int:
        """Add `count` ids from `base` on, all of 32 bits; 0, or the negative error.

        The first attempt with sound arguments reserves the architecture's ranges.
        """
        last = base + count - 1 & MASK_32
        if not count or last < base or action not in (HANDLE, DENY, FORWARD):
            return -EINVAL
        if not self._ranges:
            self._ranges.extend(_RESERVED)
        place = bisect(self._ranges, (base,))
        before, after = self._ranges[:place][-1:], self._ranges[place:][:1]
        if any(start <= last and base <= end for start, end, _ in before + after):
            return -EEXIST
        self._ranges.insert(place, (base, last, action))
        return 0

    def action(self, function: int) -> int:
        """What to do with a function id."""
        place = bisect(self._ranges, (function, MASK_32, FORWARD))
        if not place:
            return HANDLE
        _, last, action = self._ranges[place - 1]
        return action if function <= last else HANDLE


class Clock:
    """One look at the host's clock: the architected counter, and the time of day in ns."""

    __slots__ = ("cycles", "physical_offset", "real_ns", "virtual_offset")

    def __init__(
        self, cycles: int, real_ns: int, virtual_offset: int = 0, physical_offset: int = 0
    ) -> None:
        self.cycles = cycles
        self.real_ns = real_ns
        self.virtual_offset = virtual_offset
        self.physical_offset = physical_offset


class HostFacts:
    """What the services ask of the host.

    `spectre_v2`, `spectre_v4` and `spectre_bhb` are its mitigations, `guest_ssbs` says
    whether the guest has SSBS. `clock` is None when the host's time is not kept by the
    architected counter. `stolen_time` is the caller's structure in `memory`, None without.
    """

    __slots__ = (
        "_random",
        "clock",
        "guest_ssbs",
        "memory",
        "spectre_bhb",
        "spectre_v2",
        "spectre_v4",
        "stolen_time",
    )

    def __init__(
        self,
        *,
        spectre_v2: str = NOT_AFFECTED,
        spectre_v4: str = NOT_AFFECTED,
        spectre_bhb: str = NOT_AFFECTED,
        guest_ssbs: bool = True,
        clock: Clock | None = None,
        stolen_time: int | None = None,
        memory: Memory | None = None,
    ) -> None:
        self.spectre_v2 = spectre_v2
        self.spectre_v4 = spectre_v4
        self.spectre_bhb = spectre_bhb
        self.guest_ssbs = guest_ssbs
        self.clock = clock
        self.stolen_time = stolen_time
        self.memory = memory
        self._random = 0

    def random(self) -> int:
        """64 bits, the same in every run of a model (SplitMix64 from 0)."""
        self._random = self._random + 0x9E37_79B9_7F4A_7C15 & MASK_64
        value = self._random
        value = (value ^ value >> 30) * 0xBF58_476D_1CE4_E5B9 & MASK_64
        value = (value ^ value >> 27) * 0x94D0_49BB_1331_11EB & MASK_64
        return value ^ value >> 31


class Smccc:
    """The services of one VM. `std`, `std_hyp` and `vendor_hyp` are the feature bitmaps."""

    __slots__ = ("filter", "host", "psci", "std", "std_hyp", "vendor_hyp")

    def __init__(
        self,
        psci: Psci,
        host: HostFacts | None = None,
        *,
        std: int = ALL_STD,
        std_hyp: int = ALL_STD_HYP,
        vendor_hyp: int = ALL_VENDOR_HYP,
    ) -> None:
        self.psci = psci
        self.host = HostFacts() if host is None else host
        self.std = std
        self.std_hyp = std_hyp
        self.vendor_hyp = vendor_hyp
        self.filter = Filter()

    def call(self, caller: int, call: Call) -> int:
        """Answer `call` of the vCPU with index `caller`; 1 to go on, 0 when it has an exit."""
        action = self.action(call.function)
        if action == FORWARD:
            call.exit = Hypercall(call.function, _exit_flags(call.esr))
        elif action == DENY:
            call.answer(NOT_SUPPORTED)
        else:
            self._serve(caller, call)
        return 1 if call.exit is None else 0

    def action(self, function: int) -> int:
        """What becomes of a function id, by the filter and then by the bitmaps."""
        action = self.filter.action(function)
        if action != HANDLE:
            return action
        return HANDLE if self._is_enabled(function) or _is_always_enabled(function) else DENY

    def _is_enabled(self, function: int) -> bool:
        for bitmap, bits in (
            (self.std, _STD),
            (self.std_hyp, _STD_HYP),
            (self.vendor_hyp, _VENDOR_HYP),
        ):
            if function in bits:
                return bitmap >> bits[function] & 1 != 0
        return False

    def _serve(self, caller: int, call: Call) -> None:
        function = call.function
        if function == SMCCC_VERSION:
            call.answer(VERSION_1_1)
        elif function == ARCH_FEATURES:
            call.answer(self._arch_feature(call.x[1] & MASK_32))
        elif function == PV_TIME_FEATURES:
            call.answer(self._pv_time_feature(call.x[1] & MASK_32))
        elif function == PV_TIME_ST:
            call.answer(self._start_stolen_time())
        elif function == VENDOR_UID:
            call.answer(*KVM_UID)
        elif function == VENDOR_FEATURES:
            call.answer(self.vendor_hyp)
        elif function == VENDOR_PTP:
            call.answer(*self._time(call.x[1] & MASK_32))
        elif function in TRNG_FUNCTIONS:
            answer_trng(call, self.host.random)
        else:
            self.psci.call(caller, call)

    def _arch_feature(self, feature: int) -> int:
        host = self.host
        if feature == WORKAROUND_1:
            return _workaround(host.spectre_v2, SUCCESS, UNAFFECTED)
        if feature == WORKAROUND_2:
            # A guest with SSBS looks after itself.
            mitigated = NOT_SUPPORTED if host.guest_ssbs else NOT_REQUIRED
            return _workaround(host.spectre_v4, mitigated, NOT_REQUIRED)
        if feature == WORKAROUND_3:
            return _workaround(host.spectre_bhb, SUCCESS, UNAFFECTED)
        if feature == PV_TIME_FEATURES and self._is_enabled(feature):
            return SUCCESS
        return NOT_SUPPORTED

    def _pv_time_feature(self, feature: int) -> int:
        known = feature in (PV_TIME_FEATURES, PV_TIME_ST)
        return SUCCESS if known and self.host.stolen_time is not None else NOT_SUPPORTED

    def _start_stolen_time(self) -> int:
        """The caller's stolen-time structure, cleared; memory that is not there is let be."""
        base, memory = self.host.stolen_time, self.host.memory
        if base is None:
            return NOT_SUPPORTED
        if memory is not None:
            try:
                memory.write_bytes(base, bytes(STOLEN_TIME_SIZE))
            except AddressError:
                pass
        return base

    def _time(self, counter: int) -> tuple[int, ...]:
        """Time of day and a counter, virtual (0) or physical (1), each as two halves."""
        clock = self.host.clock
        if clock is None or counter > 1:
            return (NOT_SUPPORTED,)
        offset = clock.physical_offset if counter else clock.virtual_offset
        cycles = clock.cycles - offset & MASK_64
        real = clock.real_ns & MASK_64
        return real >> 32, real & MASK_32, cycles >> 32, cycles & MASK_32


def _is_always_enabled(function: int) -> bool:
    """Whether no bitmap decides: the version, ARCH_FEATURES, PSCI, and KVM's PSCI 0.1."""
    if function in (SMCCC_VERSION, ARCH_FEATURES):
        return True
    if function >> 24 & 0x3F == STANDARD_OWNER and function & 0xFFFF <= 0x1F:
        return True
    return KVM_0_1 <= function <= KVM_0_1 + 3


def _workaround(state: str, mitigated: int, unaffected: int) -> int:
    return {MITIGATED: mitigated, NOT_AFFECTED: unaffected}.get(state, NOT_SUPPORTED)


def _exit_flags(esr: int) -> int:
    smc = FLAG_SMC if exception_class(esr) in _SMC_CLASSES else 0
    return smc if esr & IL else smc | FLAG_16BIT
