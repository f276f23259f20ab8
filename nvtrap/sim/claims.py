"""What can be expected: of one step, and of the machine after it.

Every claim has `check` as acts have it, and `differs`, which says what was got instead, or
None when it holds.
"""

from __future__ import annotations

from nvtrap.errors import AddressError, UsageError
from nvtrap.gic.virtual import lr as lrs
from nvtrap.kvm.nested import events, exits, guest
from nvtrap.sim.acts import check_access
from nvtrap.sim.values import in_some_layout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from nvtrap.kvm.nested.events import Event
    from nvtrap.kvm.nested.guest import Result
    from nvtrap.kvm.nested.vcpu import NestedVcpu
    from nvtrap.sim.fields import Fields
    from nvtrap.sim.source import Place
    from nvtrap.sim.stage import Stage
    from nvtrap.sim.values import Target, Value

USER_SPACE, EXCEPTION = "user space", "exception"
# The words for how an instruction ended, as a scenario and as the machine has them.
HOW = {
    "native": guest.NATIVE,
    "memory": guest.MEMORY,
    "emulated": exits.EMULATED,
    "returned": exits.RETURNED,
    "restarted": exits.RESTARTED,
    "injected": exits.INJECTED,
    "skipped": exits.SKIPPED,
    "waits": exits.WAITS,
    "stopped": exits.STOPPED,
    USER_SPACE: exits.USER,
    EXCEPTION: guest.TAKEN,
}
INTERRUPT_WORDS = {
    "acknowledges": events.ACKNOWLEDGED,
    "ends": events.ENDED,
    "deactivates": events.DEACTIVATED,
}
INTERRUPT_STATES = {"pending": lrs.PENDING, "active": lrs.ACTIVE, "idle": lrs.INACTIVE}


class Seen:
    """What a step came to, on its vCPU: the machine's result and events.

    `result` is None for what is no instruction, `target` where the value is from.
    """

    __slots__ = ("events", "result", "stage", "target", "vcpu")

    def __init__(
        self,
        stage: Stage,
        vcpu: NestedVcpu,
        result: Result | None = None,
        events: Sequence[Event] = (),
        target: Target | None = None,
    ) -> None:
        self.stage = stage
        self.vcpu = vcpu
        self.result = result
        self.events = events
        self.target = target

    @property
    def how(self) -> str:
        """How the instruction ended."""
        return "" if self.result is None else self.result.how

    def of_kind(self, kind: str) -> list[Event]:
        """Its events of a kind."""
        return [event for event in self.events if event.kind == kind]

    @property
    def is_undefined(self) -> bool:
        """Whether it got an Undefined Instruction exception, from L0 or at once."""
        taken = self.of_kind(events.TAKEN)
        at_once = any(event.details.get("esr", -1) >> 26 == 0 for event in taken)
        return self.how == exits.UNDEFINED or (self.how == guest.TAKEN and at_once)

    @property
    def ending(self) -> str:
        """How it ended, in a scenario's words."""
        if self.result is None:
            return ""
        if self.how == exits.FORWARDED:
            return "trap to L1"
        if self.is_undefined:
            return "undefined"
        return next((word for word, how in HOW.items() if how == self.how), self.how)


class Claim:
    """One expectation, written at `at` as `text`."""

    __slots__ = ("at", "text")

    def __init__(self) -> None:
        self.at: Place
        self.text = ""

    def check(self, fields: Fields) -> None:
        """Raise `UsageError` for names and numbers that are wrong on every machine."""

    def differs(self, seen: Seen) -> str | None:
        """What was got instead, None if it holds; raises `NvtrapError` as `check` does."""
        raise NotImplementedError


# ---- of a step ------------------------------------------------------------------------------


class Gives(Claim):
    """The value that was read."""

    __slots__ = ("target", "value")

    def __init__(self, value: Value) -> None:
        super().__init__()
        self.value = value
        self.target: Target | None = None

    def check(self, fields: Fields) -> None:
        """The value fits what is read."""
        target = self.target
        if target is None:
            in_some_layout(lambda look: self.value.of(fields, "X0", look))
        else:
            in_some_layout(lambda look: target.wanted(self.value, fields, look))

    def differs(self, seen: Seen) -> str | None:
        """Another value, or none."""
        got = None if seen.result is None else seen.result.value
        if got is None:
            return f"no value: {seen.ending}"
        fields = seen.stage.fields

        def look(name: str) -> int:
            return seen.stage.look(seen.vcpu, name)

        if self.target is None:
            wanted = self.value.of(fields, "X0", look)
        else:
            wanted = self.target.wanted(self.value, fields, look)
            got = self.target.part(got, fields, look)
        return None if got == wanted else f"{got:#x}, not {wanted:#x}"


class How(Claim):
    """How the instruction ended."""

    __slots__ = ("word",)

    def __init__(self, word: str) -> None:
        super().__init__()
        self.word = word

    def differs(self, seen: Seen) -> str | None:
        """Another end."""
        is_undef = self.word == "undefined"
        holds = seen.is_undefined if is_undef else seen.how == HOW[self.word]
        return None if holds else seen.ending or "no instruction"


class Trap(Claim):
    """That it exited to L0, and whether L0 gave it to L1."""

    __slots__ = ("level",)

    def __init__(self, level: str) -> None:
        super().__init__()
        self.level = level

    def differs(self, seen: Seen) -> str | None:
        """The other level, or no exit."""
        got = "L1" if seen.how == exits.FORWARDED else "L0" if seen.of_kind(events.EXIT) else ""
        if got == self.level:
            return None
        if got == "L0":
            return f"a trap to L0, {seen.ending}"
        return seen.ending if got else f"no exit: {seen.ending}"


class NoExit(Claim):
    """That L0 was not entered."""

    __slots__ = ()

    def differs(self, seen: Seen) -> str | None:
        """The exit."""
        found = seen.of_kind(events.EXIT)
        return str(found[0]) if found else None


class Decision(Claim):
    """What L0's table decided, or by which control it did."""

    __slots__ = ("control", "outcome")

    def __init__(self, outcome: str = "", control: str = "") -> None:
        super().__init__()
        self.outcome = outcome
        self.control = control

    def differs(self, seen: Seen) -> str | None:
        """Another decision, or none."""
        decisions = [event.details.get("decision") for event in seen.of_kind(events.EXIT)]
        found = [decision for decision in decisions if decision is not None]
        if any(
            decision.control == self.control if self.control else decision.outcome == self.outcome
            for decision in found
        ):
            return None
        return str(found[0]) if found else "no decision of the table"


class ExceptionClass(Claim):
    """The exception class of the exit, or of the exception within the guest."""

    __slots__ = ("number",)

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number

    def check(self, fields: Fields) -> None:
        """It has six bits."""
        del fields
        if self.number >> 6:
            raise UsageError(f"an exception class has 6 bits, not `{self.number:#x}`")

    def differs(self, seen: Seen) -> str | None:
        """Another class, or no exception."""
        found = [
            event.details["esr"] >> 26 & 0x3F
            for event in (*seen.of_kind(events.EXIT), *seen.of_kind(events.TAKEN))
            if "esr" in event.details
        ]
        if self.number in found:
            return None
        return f"EC {found[0]:#x}" if found else "no exception"


class Interrupted(Claim):
    """That an IRQ or FIQ was taken, or injected into vEL2 by L0."""

    __slots__ = ("kind", "what")

    def __init__(self, what: str, is_injected: bool) -> None:
        super().__init__()
        self.what = what
        self.kind = events.INJECT if is_injected else events.TAKEN

    def differs(self, seen: Seen) -> str | None:
        """None, or another."""
        found = [*seen.of_kind(events.TAKEN), *seen.of_kind(events.INJECT)]
        if any(event.kind == self.kind and event.details["what"] == self.what for event in found):
            return None
        return "; ".join(map(str, found)) or "no interrupt"


class InterruptWord(Claim):
    """That an interrupt was acknowledged, ended or deactivated."""

    __slots__ = ("intid", "what")

    def __init__(self, word: str, intid: int) -> None:
        super().__init__()
        self.what = INTERRUPT_WORDS[word]
        self.intid = intid

    def differs(self, seen: Seen) -> str | None:
        """What became of interrupts instead."""
        found = [(event.details["intid"], event.details["what"]) for event in seen.of_kind("irq")]
        if (self.intid, self.what) in found:
            return None
        return ", ".join(f"{intid} {what}" for intid, what in found) or "nothing of the kind"


# ---- of the machine ---------------------------------------------------------------------------


class Runs(Claim):
    """What the vCPU runs now: a level, or that it waits or is off."""

    __slots__ = ("level",)

    def __init__(self, level: str) -> None:
        super().__init__()
        self.level = level

    def differs(self, seen: Seen) -> str | None:
        """What it runs instead."""
        got = seen.stage.runs(seen.vcpu)
        return None if got == self.level else f"vCPU {seen.vcpu.index}: {got}"


class Holds(Claim):
    """What a register holds, L0's own record of it or with `hardware` the hardware's."""

    __slots__ = ("hardware", "target", "value")

    def __init__(self, target: Target, value: Value, hardware: bool) -> None:
        super().__init__()
        self.target = target
        self.value = value
        self.hardware = hardware

    def check(self, fields: Fields) -> None:
        """Register, fields and value fit."""
        fields.register(self.target.name)
        in_some_layout(lambda look: self.target.wanted(self.value, fields, look))

    def differs(self, seen: Seen) -> str | None:
        """Another value."""
        stage, vcpu, fields = seen.stage, seen.vcpu, seen.stage.fields
        where = stage.hardware if self.hardware else stage.look

        def look(name: str) -> int:
            return stage.look(vcpu, name)

        wanted = self.target.wanted(self.value, fields, look)
        whole = where(vcpu, fields.register(self.target.name))
        got = self.target.part(whole, fields, look)
        return None if got == wanted else f"{got:#x}, not {wanted:#x}"


class Stored(Claim):
    """What is in the VM's memory."""

    __slots__ = ("address", "size", "value")

    def __init__(self, address: int, size: int, value: Value) -> None:
        super().__init__()
        self.address = address
        self.size = size
        self.value = value

    def check(self, fields: Fields) -> None:
        """Size, alignment and value are possible."""
        check_access(self.address, self.size)
        in_some_layout(lambda look: self.value.of(fields, "X0", look))

    def differs(self, seen: Seen) -> str | None:
        """Something else, or no memory."""
        stage = seen.stage
        wanted = self.value.of(stage.fields, "X0", lambda name: stage.look(seen.vcpu, name))
        try:
            got = stage.machine.slots.read(self.address, self.size)
        except AddressError as error:
            return error.message
        return None if got == wanted else f"{got:#x}, not {wanted:#x}"


class Line(Claim):
    """The level of an interrupt's line."""

    __slots__ = ("intid", "level")

    def __init__(self, intid: int, level: bool) -> None:
        super().__init__()
        self.intid = intid
        self.level = level

    def differs(self, seen: Seen) -> str | None:
        """The other level."""
        got = seen.stage.line(seen.vcpu, self.intid)
        return None if got == self.level else "high" if got else "low"


class InterruptIs(Claim):
    """That an interrupt of L1 is pending or active, or neither."""

    __slots__ = ("intid", "word")

    def __init__(self, intid: int, word: str) -> None:
        super().__init__()
        self.intid = intid
        self.word = word

    def differs(self, seen: Seen) -> str | None:
        """What it is instead."""
        got, wanted = seen.stage.state(seen.vcpu, self.intid), INTERRUPT_STATES[self.word]
        if got == wanted or got & wanted:
            return None
        return lrs.STATE_NAMES[got] if got else "idle"


class Nothing(Claim):
    """That nothing is left pending or active, of L1 or of its L2s, on any vCPU."""

    __slots__ = ()

    def differs(self, seen: Seen) -> str | None:
        """What is left."""
        return ", ".join(seen.stage.left()) or None
