"""What a run tells, in order: sections, steps, what happened in them, and expectations."""

from __future__ import annotations

from nvtrap.gic import codecs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from nvtrap.kvm.nested.events import Event
    from nvtrap.sim.claims import Claim
    from nvtrap.sim.scenario import Block, Scenario, Step

# Numbers of events that are told as hexadecimal texts: they have 64 bits.
_WORDS = ("pc", "esr")


class Record:
    """One of them."""

    __slots__ = ()

    def to_json(self) -> dict[str, Any]:
        """Plain data; `kind` says of what."""
        raise NotImplementedError


class Section(Record):
    """A block begins."""

    __slots__ = ("block",)

    def __init__(self, block: Block) -> None:
        self.block = block

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        block = self.block
        return {"kind": "section", "at": str(block.at), "who": block.who, "title": block.title}


class Done(Record):
    """A step was done: its end in a word, and the value that it read, if any."""

    __slots__ = ("ending", "level", "step", "value", "vcpu")

    def __init__(self, step: Step, vcpu: int, level: str, ending: str, value: int | None) -> None:
        self.step = step
        self.vcpu = vcpu
        self.level = level
        self.ending = ending
        self.value = value

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        step = self.step
        data = {"kind": "step", "at": str(step.at), "vcpu": self.vcpu, "level": self.level}
        data |= {"step": step.text, "ending": self.ending}
        return data if self.value is None else data | {"value": f"{self.value:#x}"}


class Happened(Record):
    """An event of the machine."""

    __slots__ = ("event",)

    def __init__(self, event: Event) -> None:
        self.event = event

    def to_json(self) -> dict[str, Any]:
        """Plain data: the event's, with the decision in its parts."""
        data = self.event.to_json()
        data |= {name: f"{data[name]:#x}" for name in _WORDS if isinstance(data.get(name), int)}
        decision = self.event.details.get("decision")
        if decision is not None:
            rule = None if decision.place is None else str(decision.place)
            data["decision"] = decision.outcome
            data |= {"step": decision.step, "control": decision.control, "rule": rule}
        return data


class Change(Record):
    """A list register, or the line of the maintenance interrupt, has another value."""

    __slots__ = ("name", "new", "old", "vcpu")

    def __init__(self, vcpu: int, name: str, old: int, new: int) -> None:
        self.vcpu = vcpu
        self.name = name
        self.old = old
        self.new = new

    @property
    def meaning(self) -> str:
        """The new value in words."""
        if "LR" in self.name:
            return codecs.decode("ICH_LR0_EL2", self.new).sentence
        return "rises" if self.new else "falls"

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        data: dict[str, Any] = {"kind": "change", "vcpu": self.vcpu, "what": self.name}
        return data | {"old": f"{self.old:#x}", "new": f"{self.new:#x}", "meaning": self.meaning}


class Checked(Record):
    """An expectation was looked at: `got` is what there was instead, None if it holds."""

    __slots__ = ("claim", "got")

    def __init__(self, claim: Claim, got: str | None) -> None:
        self.claim = claim
        self.got = got

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        data: dict[str, Any] = {"kind": "expectation", "at": str(self.claim.at)}
        data |= {"expected": self.claim.text, "holds": self.got is None}
        return data if self.got is None else data | {"got": self.got}


class Stopped(Record):
    """Another context runs than the step says; nothing after it can be meant."""

    __slots__ = ("expected", "got", "step")

    def __init__(self, step: Step, expected: str, got: str) -> None:
        self.step = step
        self.expected = expected
        self.got = got

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        data = {"kind": "stopped", "at": str(self.step.at), "step": self.step.text}
        return data | {"expected": self.expected, "got": self.got}


class Summary(Record):
    """How it came out."""

    __slots__ = ("checked", "failed", "scenario", "steps", "stopped")

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.steps = self.checked = self.failed = 0
        self.stopped = False

    @property
    def holds(self) -> bool:
        """Whether everything was as expected."""
        return not self.failed and not self.stopped

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        data: dict[str, Any] = {"kind": "summary", "scenario": self.scenario.file}
        data |= {"title": self.scenario.title, "steps": self.steps, "holds": self.holds}
        return data | {"expectations": self.checked, "failed": self.failed}
