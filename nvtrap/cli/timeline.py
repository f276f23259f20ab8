"""The timeline of a scenario: who does what, and what L0 makes of it, as text.

What each level does is indented by the level, after a column that names it::

    line  L1    eret
          L0  exit: ERET
          L0  L2 runs (before: L1 at vEL2, VHE)
    line  L2      mrs ID_AA64PFR0_EL1  -> trap to L1
"""

from __future__ import annotations

from nvtrap.arch.esr import EC_NAMES, exception_class
from nvtrap.cli.terminal import OUTCOME_STYLES
from nvtrap.kvm.nested import events
from nvtrap.sim.records import Change, Checked, Done, Happened, Section, Stopped, Summary
from nvtrap.sim.stage import OFF, WAITS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from nvtrap.cli.terminal import Line
    from nvtrap.kvm.nested.events import Event
    from nvtrap.sim.records import Record

INDENTS = {"L0": "", "L1": "  ", "L2": "    "}
STYLES = {"L0": "yellow", "L1": "cyan", "L2": "green"}
ERROR = "bold red"
MARGIN = " " * 6
# What a step says itself is not told again.
_SAID = frozenset({events.RAISED, events.LOWERED})
_IS = {WAITS: "waits for an interrupt", OFF: "is off"}


def lines(record: Record, *, several_vcpus: bool = False) -> Iterator[Line]:
    """The lines of a record, none for what others say already."""
    yield from _LINES[type(record)](record, several_vcpus)


def heading(file: str, title: str) -> Line:
    """The line above a run."""
    return [(title, "bold"), (f"  ({file})", "dim")]


def is_detail(record: Record) -> bool:
    """Whether a record is of no interest to one who asks only how it came out."""
    return not isinstance(record, Checked | Stopped | Summary)


def _section(record: Section, several: bool) -> Iterator[Line]:
    block = record.block
    on = f" on vCPU {block.vcpu}" if several and block.who != "setup" else ""
    title = f": {block.title}" if block.title else ""
    yield [("", "")]
    yield [(block.who + on, "bold"), (title, "italic")]


def _done(record: Done, _: bool) -> Iterator[Line]:
    line: Line = [(f"{record.step.at.line:>4}  ", "dim"), *_who(record.level)]
    line.append((record.step.text, "bold"))
    if record.value is not None:
        line.append((f"  → {record.value:#x}", "cyan"))
    if record.ending:
        line.append((f"  {record.ending}", "dim"))
    yield line


def _who(level: str) -> Line:
    """The columns that say whose line it is."""
    short = level[:2]
    if short not in INDENTS:
        return [("    ", "")]
    return [(f"{short}  ", STYLES[short]), (INDENTS[short], "")]


def _happened(record: Happened, several: bool) -> Iterator[Line]:
    event = record.event
    if event.kind == events.TRACE or event.details.get("what") in _SAID:
        return
    level = "L0" if event.kind not in (events.TAKEN, events.IRQ) else event.context[:2]
    on = f"vCPU {event.vcpu}: " if several else ""
    yield [(MARGIN, ""), *_who(level), (on, "dim"), *_TEXTS[event.kind](event)]


def _exit(event: Event) -> Line:
    details = event.details
    name = EC_NAMES.get(exception_class(details["esr"]), "reserved")
    line: Line = [(f"exit: {details['register'] or name}", "")]
    decision = details["decision"]
    if decision is None:
        return line
    by = f" by {decision.control}" if decision.control else f" ({decision.step})"
    line += [(", ", ""), (decision.outcome, OUTCOME_STYLES[decision.outcome]), (by, "")]
    if decision.place is not None:
        line.append((f"  {decision.place}", "dim"))
    return line


def _context(event: Event) -> Line:
    return [(f"{event.context} runs", "bold"), (f" (before: {event.details['before']})", "dim")]


def _inject(event: Event) -> Line:
    details = event.details
    text = f"{details['what']} injected into {details['target']}"
    return [(text, "")] if details["what"] == "IRQ" else [(f"{text}, ESR {details['esr']:#x}", "")]


def _other(event: Event) -> Line:
    return [(str(event).partition(": ")[2], "magenta" if event.kind == events.IRQ else "")]


_TEXTS: dict[str, Callable[[Event], Line]] = {
    events.EXIT: _exit,
    events.CONTEXT: _context,
    events.INJECT: _inject,
    events.TAKEN: _other,
    events.IRQ: _other,
    events.USER: _other,
}


def _change(record: Change, several: bool) -> Iterator[Line]:
    on = f"vCPU {record.vcpu}: " if several else ""
    yield [(MARGIN + "    ", ""), (f"{on}{record.name}", "blue"), (f" {record.meaning}", "dim")]


def _checked(record: Checked, _: bool) -> Iterator[Line]:
    if record.got is None:
        return
    at = record.claim.at
    text = f"{at}: expected `{record.claim.text}`, got {record.got}"
    yield [(text, ERROR)]


def _stopped(record: Stopped, _: bool) -> Iterator[Line]:
    got = f"{record.got} runs" if record.got.startswith("L") else f"the vCPU {_IS[record.got]}"
    text = f"{record.step.at}: `{record.step.text}` is a step of {record.expected}, but {got}"
    yield [(text, ERROR)]


def _summary(record: Summary, _: bool) -> Iterator[Line]:
    counts = f"{record.steps} steps, {record.checked} expectations"
    yield [("", "")]
    if record.holds:
        yield [(counts, ""), (", all hold", "green")]
    else:
        stopped = ", stopped" if record.stopped else ""
        yield [(counts, ""), (f", {record.failed} failed{stopped}", ERROR)]


_LINES: dict[type, Callable[[Any, bool], Iterator[Line]]] = {
    Section: _section,
    Done: _done,
    Happened: _happened,
    Change: _change,
    Checked: _checked,
    Stopped: _stopped,
    Summary: _summary,
}
