"""What happens in the machine, as records: for a timeline, and in the kernel's trace text.

Nothing is recorded unless somebody watches: `Machine.watch` is None, or is called with
each `Event`. The texts are those of trace_arm.h and trace_handle_exit.h (6.12).
"""

from __future__ import annotations

from nvtrap.arch.encoding import operands
from nvtrap.arch.esr import EC_NAMES
from nvtrap.arch.pstate import MODE, MODE_NAMES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from nvtrap.engine import Outcome

# The kinds of events.
CONTEXT = "context"  # another context runs: `before` and `context`
EXIT = "exit"  # to the host: `esr`; `register` and the table's `decision` if it is of one
INJECT = "inject"  # the host gives `target` an exception: `what` it is, `esr`
TAKEN = "taken"  # the guest takes an exception itself: `what`, `target`, `esr` if it has one
IRQ = "irq"  # an interrupt: `intid`, and `what` of the words below
USER = "user"  # the host asks user space: `exit`
TRACE = "trace"  # a trace event of the kernel's: `name` and `text`
# What becomes of an interrupt.
RAISED, LOWERED, ACKNOWLEDGED, ENDED, DEACTIVATED = (
    "raised",
    "lowered",
    "acknowledged",
    "ended",
    "deactivated",
)
_AARCH32_MODE_NAMES = {
    0x10: "32-bit USR",
    0x11: "32-bit FIQ",
    0x12: "32-bit IRQ",
    0x13: "32-bit SVC",
    0x17: "32-bit ABT",
    0x1A: "32-bit HYP",
    0x1B: "32-bit UND",
    0x1F: "32-bit SYS",
}
_TYPE_NAMES = {0x0: "Sync", 0x80: "IRQ"}


class Event:
    """One thing that happened on the vCPU of index `vcpu`.

    `kind` is one of the words above, `context` the context that ran then, `pc` its PC;
    `details` what the kind says, by name.
    """

    __slots__ = ("context", "details", "kind", "pc", "vcpu")

    def __init__(self, kind: str, vcpu: int, context: str, pc: int, **details: Any) -> None:
        self.kind = kind
        self.vcpu = vcpu
        self.context = context
        self.pc = pc
        self.details = details

    def __str__(self) -> str:
        return f"{self.context}: {_TEXTS[self.kind](self)}"

    def __repr__(self) -> str:
        return f"Event({self.kind}, vCPU {self.vcpu}, {self})"

    def to_json(self) -> dict[str, Any]:
        """The same as an object that JSON holds; a decision is its text and its place."""
        record: dict[str, Any] = {"kind": self.kind, "vcpu": self.vcpu, "context": self.context}
        record["pc"] = self.pc
        for name, value in self.details.items():
            plain = value is None or isinstance(value, int | str)
            record[name] = value if plain else str(value)
        return record


def exit_text(esr: int, decision: Outcome | None = None) -> str:
    """An exit in words: its class, and the decision with the place of the rule."""
    ec = esr >> 26 & 0x3F
    text = f"exit, EC {ec:#04x} ({EC_NAMES.get(ec, 'reserved')}), ESR {esr:#x}"
    return text if decision is None else f"{text}: {decision}"


def _context_text(event: Event) -> str:
    return f"runs after {event.details['before']}"


def _exit_event_text(event: Event) -> str:
    name = event.details.get("register", "")
    text = exit_text(event.details["esr"], event.details.get("decision"))
    return f"{name} {text}" if name else text


def _inject_text(event: Event) -> str:
    details = event.details
    if details["what"] == "IRQ":
        return f"an IRQ is injected into {details['target']}"
    return f"an exception is injected into {details['target']}, ESR {details['esr']:#x}"


def _taken_text(event: Event) -> str:
    details = event.details
    esr = f", ESR {details['esr']:#x}" if "esr" in details else ""
    return f"{details['what']} taken to {details['target']}{esr}"


def _irq_text(event: Event) -> str:
    return f"interrupt {event.details['intid']} {event.details['what']}"


def _user_text(event: Event) -> str:
    return f"exit to user space: {event.details['exit']}"


def _trace_text(event: Event) -> str:
    return f"{event.details['name']}: {event.details['text']}"


_TEXTS = {
    CONTEXT: _context_text,
    EXIT: _exit_event_text,
    INJECT: _inject_text,
    TAKEN: _taken_text,
    IRQ: _irq_text,
    USER: _user_text,
    TRACE: _trace_text,
}


# ---- the kernel's trace events ------------------------------------------------------


def trace_text(name: str, values: tuple[int, ...]) -> str:
    """What the kernel prints after the name of a trace event.

    `kvm_handle_sys_reg` (ESR), `kvm_forward_sysreg_trap` (PC, encoding, is a read),
    `kvm_nested_eret` (ELR, SPSR, HCR_EL2), `kvm_inject_nested_exception` (0 or 0x80 for an
    IRQ, ESR, PC, PSTATE, HCR_EL2).
    """
    return _FORMATS[name](*values)


def _handle_sys_reg(esr: int) -> str:
    return f"HSR 0x{esr:08x}"


def _forward_sysreg_trap(pc: int, encoding: int, is_read: int) -> str:
    numbers = ",".join(map(str, operands(encoding)))
    return f"{pc:x} {'R' if is_read else 'W'} ({numbers})"


def _nested_eret(elr: int, spsr: int, hcr: int) -> str:
    return f"elr_el2: 0x{elr:x} spsr_el2: 0x{spsr:08x} (M: {mode_name(spsr)}) hcr_el2: {hcr:x}"


def _inject_nested_exception(kind: int, esr: int, pc: int, pstate: int, hcr: int) -> str:
    return (
        f"{_TYPE_NAMES[kind]}: esr_el2 0x{esr:x} elr_el2: 0x{pc:x}"
        f" spsr_el2: 0x{pstate:08x} (M: {mode_name(pstate)}) hcr_el2: {hcr:x}"
    )


def mode_name(pstate: int) -> str:
    """A mode as the kernel's trace events name it; the number for one that is none."""
    mode = pstate & MODE
    name = _AARCH32_MODE_NAMES.get(mode) if mode & 0x10 else MODE_NAMES.get(mode)
    return name or f"0x{mode:x}"


_FORMATS: dict[str, Callable[..., str]] = {
    "kvm_handle_sys_reg": _handle_sys_reg,
    "kvm_forward_sysreg_trap": _forward_sysreg_trap,
    "kvm_nested_eret": _nested_eret,
    "kvm_inject_nested_exception": _inject_nested_exception,
}
