"""A run as the text of ftrace, with the events that a Linux host would have traced.

The texts are those of arch/arm64/kvm/trace_arm.h and trace_handle_exit.h (Linux 6.12).
L1's registers, on which decisions hang, stand between them as `nvtrap_l1_state`, which
`nvtrap replay` reads; it decides every trap of such a trace as the run did.
"""

from __future__ import annotations

from nvtrap.arch.encoding import operands
from nvtrap.arch.esr import (
    EC_BRK64,
    EC_CP10_ID,
    EC_CP14_32,
    EC_CP14_64,
    EC_CP14_LS,
    EC_CP15_32,
    EC_CP15_64,
    EC_DABT_LOW,
    EC_ERET,
    EC_FP_ASIMD,
    EC_HVC64,
    EC_IABT_LOW,
    EC_PAUTH,
    EC_SMC64,
    EC_SVC64,
    EC_SVE,
    EC_SYSREG,
    EC_WFX,
    decode_sysreg,
    exception_class,
)
from nvtrap.engine.table import LOCAL
from nvtrap.kvm.context import is_el2
from nvtrap.kvm.nested import events, exits
from nvtrap.kvm.nested.controls import level_of
from nvtrap.sim.records import Done, Happened, Summary

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from nvtrap.kvm.nested.events import Event
    from nvtrap.kvm.nested.vcpu import NestedVcpu
    from nvtrap.sim.records import Record
    from nvtrap.sim.stage import Stage

HEADER = "# tracer: nop\n#\n"
FIRST_PID, PIDS = 1000, 16  # of a scenario, one for each vCPU
# The exception classes by their names in the kernel (asm/esr.h).
_CLASSES = {
    EC_WFX: "WFx",
    EC_CP15_32: "CP15_32",
    EC_CP15_64: "CP15_64",
    EC_CP14_32: "CP14_MR",
    EC_CP14_LS: "CP14_LS",
    EC_FP_ASIMD: "FP_ASIMD",
    EC_CP10_ID: "CP10_ID",
    EC_PAUTH: "PAC",
    EC_CP14_64: "CP14_64",
    EC_SVC64: "SVC64",
    EC_HVC64: "HVC64",
    EC_SMC64: "SMC64",
    EC_SYSREG: "SYS64",
    EC_SVE: "SVE",
    EC_ERET: "ERET",
    EC_IABT_LOW: "IABT_LOW",
    EC_DABT_LOW: "DABT_LOW",
    EC_BRK64: "BRK64",
}


class Ftrace:
    """Writes the lines of one run; `number` is the run's among others of the same trace."""

    __slots__ = ("_ending", "_exited", "_left", "_pids", "_stage", "_states", "_ticks")

    def __init__(self, stage: Stage, number: int = 0) -> None:
        self._stage = stage
        self._ticks = 0
        self._pids = [FIRST_PID + PIDS * number + vcpu.index for vcpu in stage.machine.vcpus]
        self._states: list[dict[str, int]] = [{} for _ in stage.machine.vcpus]
        self._ending = ""
        self._exited: set[int] = set()
        self._left = self._look()

    def lines(self, record: Record) -> Iterator[str]:
        """The lines of a record, without line ends."""
        if isinstance(record, Happened):
            yield from self._event(record.event)
        elif isinstance(record, Done | Summary):
            yield from self._entries()
            self._left = self._look()
            self._ending = record.ending if isinstance(record, Done) else ""

    def _look(self) -> list[tuple[int, dict[str, int]]]:
        """(PC, L1's registers and the EL) of each vCPU as the step has left it."""
        return [(vcpu.context.pc, self._state(vcpu)) for vcpu in self._stage.machine.vcpus]

    def _state(self, vcpu: NestedVcpu) -> dict[str, int]:
        state = {name: vcpu.registers[name] for name in self._stage.machine.kernel_controls}
        state["el"] = 2 if is_el2(vcpu.context) else level_of(vcpu.context)
        return state

    def _entries(self) -> Iterator[str]:
        """Before the next step: back in the guest, and what L1 has changed meanwhile."""
        for index, (pc, now) in enumerate(self._left):
            if index in self._exited:
                yield self._line(index, "kvm_entry", f"PC: 0x{pc:016x}")
            before, self._states[index] = self._states[index], now
            changed = {name: value for name, value in now.items() if before.get(name, 0) != value}
            if changed or not before:
                changed["el"] = now["el"]
                text = " ".join(f"{name}={value:#x}" for name, value in changed.items())
                yield self._line(index, "tracing_mark_write", f"nvtrap_l1_state: {text}")
        self._exited.clear()

    def _event(self, event: Event) -> Iterator[str]:
        details = event.details
        if event.kind == events.EXIT:
            self._exited.add(event.vcpu)
            ec = exception_class(details["esr"])
            name = _CLASSES.get(ec, "UNKNOWN")
            text = f"TRAP: HSR_EC: 0x{ec:04x} ({name}), PC: 0x{event.pc:016x}"
            yield self._line(event.vcpu, "kvm_exit", text)
            yield from self._trapped_access(event)
        elif event.kind == events.TRACE and details["name"] != "kvm_handle_sys_reg":
            yield self._line(event.vcpu, details["name"], details["text"])

    def _trapped_access(self, event: Event) -> Iterator[str]:
        """What an exit with EC 0x18 begins with, and its end if the host emulates it."""
        esr, decision = event.details["esr"], event.details["decision"]
        if exception_class(esr) != EC_SYSREG:
            return
        yield self._line(event.vcpu, "kvm_handle_sys_reg", f"HSR 0x{esr:08x}")
        if decision.outcome == LOCAL and self._ending != exits.UNDEFINED:
            encoding, write = decode_sysreg(esr)
            numbers = ",".join(map(str, operands(encoding)))
            direction = "write" if write else "read"
            register = event.details["register"]
            text = f"PC: {event.pc:x} {register} ({numbers}) {direction}"
            yield self._line(event.vcpu, "kvm_sys_access", text)

    def _line(self, vcpu: int, name: str, text: str) -> str:
        self._ticks += 1
        task = f"CPU {vcpu}/KVM"
        time = self._ticks / 1_000_000
        return f"{task:>16}-{self._pids[vcpu]:<7} [{vcpu:03}] d..1.  {time:.6f}: {name}: {text}"
