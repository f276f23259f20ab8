"""PSCI 0.1 to 1.1 as KVM answers it (arch/arm64/kvm/psci.c of Linux 6.12).

Function ids and return codes are those of Arm DEN 0022, the ids of PSCI 0.1 KVM's own. A
call is answered in X0, and clears X1 to X3, unless it leaves for user space.
"""

from __future__ import annotations

from nvtrap.kvm.context import MASK_32, MASK_64

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

MPIDR_AFFINITY = 0xFF_00FF_FFFF  # Aff3, Aff2, Aff1, Aff0

PSCI_0_1, PSCI_0_2, PSCI_1_0, PSCI_1_1 = 0x0_0001, 0x0_0002, 0x1_0000, 0x1_0001

SUCCESS, NOT_SUPPORTED, INVALID_PARAMETERS, ALREADY_ON, INTERNAL_FAILURE = 0, -1, -2, -4, -6
AFFINITY_ON, AFFINITY_OFF = 0, 1
NO_MIGRATION = 2  # MIGRATE_INFO_TYPE: no Trusted OS that would have to migrate

KVM_0_1 = 0x95C1_BA5E
KVM_0_1_CPU_OFF, KVM_0_1_CPU_ON = KVM_0_1 + 1, KVM_0_1 + 2
PSCI_VERSION = 0x8400_0000
CPU_SUSPEND, CPU_SUSPEND_64 = 0x8400_0001, 0xC400_0001
CPU_OFF = 0x8400_0002
CPU_ON, CPU_ON_64 = 0x8400_0003, 0xC400_0003
AFFINITY_INFO, AFFINITY_INFO_64 = 0x8400_0004, 0xC400_0004
MIGRATE_INFO_TYPE = 0x8400_0006
SYSTEM_OFF = 0x8400_0008
SYSTEM_RESET = 0x8400_0009
PSCI_FEATURES = 0x8400_000A
SYSTEM_SUSPEND, SYSTEM_SUSPEND_64 = 0x8400_000E, 0xC400_000E
SYSTEM_RESET2, SYSTEM_RESET2_64 = 0x8400_0012, 0xC400_0012
SMCCC_VERSION = 0x8000_0000
SMC64 = 1 << 30
# What PSCI_FEATURES says is there in any version that has the call.
_FEATURES = frozenset(
    {
        PSCI_VERSION,
        CPU_SUSPEND,
        CPU_SUSPEND_64,
        CPU_OFF,
        CPU_ON,
        CPU_ON_64,
        AFFINITY_INFO,
        AFFINITY_INFO_64,
        MIGRATE_INFO_TYPE,
        SYSTEM_OFF,
        SYSTEM_RESET,
        PSCI_FEATURES,
        SMCCC_VERSION,
    }
)
VENDOR_RESET = 1 << 31  # SYSTEM_RESET2: types from here on are the vendor's

# Power states (KVM_MP_STATE_*), requests to a vCPU, and events for user space.
RUNNABLE, STOPPED, SUSPENDED = "runnable", "stopped", "suspended"
SLEEP, VCPU_RESET = "sleep", "vcpu_reset"
EVENT_SHUTDOWN, EVENT_RESET, EVENT_SUSPEND = 1, 2, 5
EVENT_FLAG_RESET2 = 1


class Power:
    """The power side of a vCPU: its state, what it is asked to do, how it is to start.

    `reset` is (PC, X0, is big-endian), with which a reset that is requested starts it.
    """

    __slots__ = ("mpidr", "requests", "reset", "state")

    def __init__(self, mpidr: int, state: str = RUNNABLE) -> None:
        self.mpidr = mpidr
        self.state = state
        self.requests: set[str] = set()
        self.reset: tuple[int, int, bool] | None = None

    def stop(self) -> None:
        """Power off; it sleeps until somebody turns it on."""
        self.state = STOPPED
        self.requests.add(SLEEP)

    def start(self, pc: int, x0: int, big_endian: bool) -> None:
        """Power on, through a reset."""
        self.reset = pc, x0, big_endian
        self.requests.add(VCPU_RESET)
        self.state = RUNNABLE


class SystemEvent:
    """The exit KVM_EXIT_SYSTEM_EVENT; `data` has no or one item of flags."""

    __slots__ = ("data", "type")

    def __init__(self, type: int, data: tuple[int, ...] = ()) -> None:
        self.type = type
        self.data = data


class Hypercall:
    """The exit KVM_EXIT_HYPERCALL: a call that user space wants to see."""

    __slots__ = ("flags", "function")

    def __init__(self, function: int, flags: int) -> None:
        self.function = function
        self.flags = flags


class Call:
    """One HVC or SMC: its registers before and after, and what else comes of it.

    `x` is X0 to X3. `esr` is its syndrome, `aarch32` and `big_endian` are the caller's
    state. `exit` is for user space, `waits` means that the caller waits for an interrupt.
    """

    __slots__ = ("aarch32", "big_endian", "esr", "exit", "waits", "x")

    def __init__(
        self, x: Sequence[int], *, esr: int = 0, aarch32: bool = False, big_endian: bool = False
    ) -> None:
        self.x = list(x)
        self.esr = esr
        self.aarch32 = aarch32
        self.big_endian = big_endian
        self.exit: SystemEvent | Hypercall | None = None
        self.waits = False

    @property
    def function(self) -> int:
        """The function id, the low 32 bits of X0."""
        return self.x[0] & MASK_32

    def answer(self, *values: int) -> None:
        """Set X0 to X3, to 0 where no value is given; negative ones are return codes."""
        for index in range(4):
            self.x[index] = values[index] & MASK_64 if index < len(values) else 0

    def narrow(self) -> None:
        """Cut X1 to X3 to 32 bits, as most 32-bit calls do."""
        self.x[1:] = [value & MASK_32 for value in self.x[1:]]


class Psci:
    """PSCI of one VM: `version`, the power of its vCPUs, whether user space takes suspends."""

    __slots__ = ("suspend_enabled", "vcpus", "version")

    def __init__(
        self, vcpus: Sequence[Power], version: int = PSCI_1_1, *, suspend_enabled: bool = False
    ) -> None:
        self.vcpus = vcpus
        self.version = version
        self.suspend_enabled = suspend_enabled

    def call(self, caller: int, call: Call) -> None:
        """Answer `call` of the vCPU with index `caller`, or set its `exit`."""
        value: int | None = NOT_SUPPORTED
        if not _is_barred(call, call.function):
            if self.version in (PSCI_1_0, PSCI_1_1):
                value = self._call_1_x(caller, call)
            elif self.version == PSCI_0_2:
                value = self._call_0_2(caller, call)
            elif self.version == PSCI_0_1:
                value = self._call_0_1(caller, call)
        if value is not None:
            call.answer(value)

    # ---- versions: the value for X0, or None when the registers stay -----------------

    def _call_0_1(self, caller: int, call: Call) -> int:
        if call.function == KVM_0_1_CPU_OFF:
            return self._cpu_off(caller)
        if call.function == KVM_0_1_CPU_ON:
            return self._cpu_on(call)
        return NOT_SUPPORTED

    def _call_0_2(self, caller: int, call: Call) -> int:
        function = call.function
        if function in (CPU_ON, AFFINITY_INFO):
            call.narrow()
        if function == PSCI_VERSION:
            return PSCI_0_2
        if function in (CPU_SUSPEND, CPU_SUSPEND_64):
            call.waits = True  # any power state is a WFI
            return SUCCESS
        if function == CPU_OFF:
            return self._cpu_off(caller)
        if function in (CPU_ON, CPU_ON_64):
            return self._cpu_on(call)
        if function in (AFFINITY_INFO, AFFINITY_INFO_64):
            return self._affinity_info(call.x[1], call.x[2])
        if function == MIGRATE_INFO_TYPE:
            return NO_MIGRATION
        if function == SYSTEM_OFF:
            return self._stop_all(call, EVENT_SHUTDOWN)
        if function == SYSTEM_RESET:
            return self._stop_all(call, EVENT_RESET)
        return NOT_SUPPORTED

    def _call_1_x(self, caller: int, call: Call) -> int | None:
        function = call.function
        if function in (SYSTEM_SUSPEND, SYSTEM_RESET2):
            call.narrow()
        if function == PSCI_VERSION:
            return self.version
        if function == PSCI_FEATURES:
            return self._features(call)
        if function in (SYSTEM_SUSPEND, SYSTEM_SUSPEND_64):
            return self._suspend(call)
        if function in (SYSTEM_RESET2, SYSTEM_RESET2_64):
            return self._reset2(call)
        return self._call_0_2(caller, call)

    # ---- functions -------------------------------------------------------------------

    def _cpu_off(self, caller: int) -> int:
        self.vcpus[caller].stop()
        return SUCCESS

    def _cpu_on(self, call: Call) -> int:
        _, target, pc, context_id = call.x
        vcpu = None if target & ~MPIDR_AFFINITY else self._vcpu(target)
        if vcpu is None:
            return INVALID_PARAMETERS
        if vcpu.state != STOPPED:
            return INVALID_PARAMETERS if self.version == PSCI_0_1 else ALREADY_ON
        vcpu.start(pc, context_id, call.big_endian)
        return SUCCESS

    def _vcpu(self, affinity: int) -> Power | None:
        for vcpu in self.vcpus:
            if vcpu.mpidr & MPIDR_AFFINITY == affinity:
                return vcpu
        return None

    def _affinity_info(self, target: int, level: int) -> int:
        if target & ~MPIDR_AFFINITY or level > 3:
            return INVALID_PARAMETERS
        mask = MPIDR_AFFINITY & -1 << 8 * level
        states = [cpu.state for cpu in self.vcpus if not (cpu.mpidr ^ target) & mask]
        if not states:
            return INVALID_PARAMETERS
        return AFFINITY_OFF if all(state == STOPPED for state in states) else AFFINITY_ON

    def _stop_all(self, call: Call, event: int, flags: int = 0) -> int:
        """Leave for user space; the guest must not see that it could run on."""
        for vcpu in self.vcpus:
            vcpu.stop()
        call.exit = SystemEvent(event, (flags,))
        return INTERNAL_FAILURE

    def _suspend(self, call: Call) -> int | None:
        if not self.suspend_enabled:
            return NOT_SUPPORTED
        call.exit = SystemEvent(EVENT_SUSPEND)
        return None

    def _reset2(self, call: Call) -> int | None:
        if self.version < PSCI_1_1:
            return NOT_SUPPORTED
        if 0 < call.x[1] & MASK_32 < VENDOR_RESET:
            return INVALID_PARAMETERS
        call.x[0] = self._stop_all(call, EVENT_RESET, EVENT_FLAG_RESET2) & MASK_64
        return None

    def _features(self, call: Call) -> int:
        function = call.x[1] & MASK_32
        if _is_barred(call, function):
            return NOT_SUPPORTED
        known = function in _FEATURES
        if function in (SYSTEM_SUSPEND, SYSTEM_SUSPEND_64):
            known = self.suspend_enabled
        if function in (SYSTEM_RESET2, SYSTEM_RESET2_64):
            known = self.version >= PSCI_1_1
        return SUCCESS if known else NOT_SUPPORTED


def _is_barred(call: Call, function: int) -> bool:
    """Whether it is a 64-bit function, and the caller in AArch32."""
    return call.aarch32 and function & SMC64 != 0
