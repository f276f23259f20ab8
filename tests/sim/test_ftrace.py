"""The trace of a run: in the kernel's form, and decided again as it was."""

from __future__ import annotations

import re

import pytest

from nvtrap import State, load
from nvtrap.kvm.nested import events
from nvtrap.sim import Runner, names, parse, read
from nvtrap.sim.ftrace import Ftrace
from nvtrap.sim.records import Happened
from nvtrap.trace import replay
from nvtrap.trace.scan import scan

LINE = re.compile(r" +CPU \d+/KVM-\d+ +\[\d{3}\] d\.\.1\.  \d\.\d{6}: (\w+): (.+)")


def traced(name: str) -> tuple[Runner, list[str], list[Happened]]:
    """A run of a shipped scenario, the lines of its trace, and its events."""
    runner = Runner(parse(*read(name)))
    ftrace = Ftrace(runner.stage)
    lines: list[str] = []
    happened = []
    for record in runner.run():
        lines += ftrace.lines(record)
        happened += [record] if isinstance(record, Happened) else []
    return runner, lines, happened


@pytest.mark.parametrize("name", names())
def test_a_replay_of_it_agrees_with_every_trap(name: str) -> None:
    """The same number of traps, as many of them forwarded, and no disagreement."""
    runner, lines, happened = traced(name)
    traps = [h.event.details["decision"] for h in happened if h.event.kind == events.EXIT]
    decided = [decision for decision in traps if decision is not None]
    table = load(runner.scenario.settings.table)
    report = replay([scan("\n".join(lines).encode(), 10)], table, State(), 10)
    assert (report.damaged, report.disagreements, report.lost) == (0, 0, 0)
    assert report.traps == len(decided)
    forwarded = sum(row.count for row in report.rows.values() if row.outcome == "forward")
    assert forwarded == sum(decision.outcome == "forward" for decision in decided)


@pytest.mark.parametrize("name", names())
def test_every_line_is_one_of_ftraces(name: str) -> None:
    """Task, CPU, time, event and text; exits and entries take turns."""
    _, lines, _ = traced(name)
    matches = [LINE.fullmatch(line) for line in lines]
    assert all(matches)
    found = [match[1] for match in matches if match is not None]
    assert set(found) <= {
        *("kvm_entry", "kvm_exit", "kvm_handle_sys_reg", "kvm_forward_sysreg_trap"),
        *("kvm_sys_access", "kvm_nested_eret", "kvm_inject_nested_exception"),
        "tracing_mark_write",
    }
    assert found.count("kvm_exit") >= found.count("kvm_entry") > 0


def test_the_events_of_a_forwarded_trap_are_the_kernels() -> None:
    """In their order, with PC, direction and encoding; an emulated one is told as such."""
    _, lines, _ = traced("id-registers")
    texts = [line.partition(": ")[2] for line in lines]
    assert "kvm_sys_access: PC: 1c ID_AA64PFR0_EL1 (3,0,0,4,0) read" in texts
    start = texts.index("kvm_exit: TRAP: HSR_EC: 0x0018 (SYS64), PC: 0x0000000040100000")
    assert texts[start + 1 : start + 3] == [
        "kvm_handle_sys_reg: HSR 0x62300129",
        "kvm_forward_sysreg_trap: 40100000 R (3,0,0,4,0)",
    ]
    assert texts[start + 3].startswith("kvm_inject_nested_exception: Sync: esr_el2 0x62300129 ")
    assert texts[start + 4] == "kvm_entry: PC: 0x0000000040010400"


def test_runs_and_vcpus_are_tasks_of_their_own() -> None:
    """So that one's state is not another's."""
    runner = Runner(parse(*read("sgi")))
    ftrace = Ftrace(runner.stage, number=2)
    lines = [line for record in runner.run() for line in ftrace.lines(record)]
    assert {line.split()[1] for line in lines} == {"0/KVM-1032", "1/KVM-1033"}
