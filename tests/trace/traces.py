"""Traces as the three tools print them, of runs whose truth is known."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any

from nvtrap import State, Table
from nvtrap.arch.encoding import operands
from nvtrap.arch.esr import encode_sysreg
from nvtrap.trace import Report, replay
from nvtrap.trace.scan import scan

# CPU, time in seconds → what stands before the event. A name is at most 15 bytes.
Style = Callable[[str, int, int, float, str, str], str]
COMMS = ("CPU 0/KVM", "qemu-system-aar", "a-12 [x] 4: b 5", "vcpu-1-2", "<...>", "(kvm) 77")
MODES = {0: "EL0t", 0x4: "EL1t", 0x5: "EL1h", 0x9: "EL2h"}
HCRS = (0, 1 << 16, 1 << 18 | 1 << 26, 1 << 34 | 1 << 17, 1 << 27 | 1 << 34)

FTRACE_HEADER = """\
# tracer: nop
#
# entries-in-buffer/entries-written: 140080/250280   #P:4
#
#                                _-----=> irqs-off/BH-disabled
#                               / _----=> need-resched
#                              | / _---=> hardirq/softirq
#                              || / _--=> preempt-depth
#                              ||| / _-=> migrate-disable
#                              |||| /     delay
#           TASK-PID     CPU#  |||||  TIMESTAMP  FUNCTION
#              | |         |   |||||     |         |
"""


def ftrace(comm: str, pid: int, cpu: int, time: float, event: str, text: str) -> str:
    """The file `trace` as it is now."""
    return f"{comm:>16}-{pid:<7} [{cpu:03}] d..1.  {time:.6f}: {event}: {text}"


def _ftrace_old(comm: str, pid: int, cpu: int, time: float, event: str, text: str) -> str:
    return f"{comm:>16}-{pid:<5} [{cpu:03}] d..1  {time:.6f}: {event}: {text}"


def _ftrace_plain(comm: str, pid: int, cpu: int, time: float, event: str, text: str) -> str:
    """With the options `noirq-info` and `record-tgid`."""
    return f"{comm:>16}-{pid:<7} (   1230) [{cpu:03}]  {time:.6f}: {event}: {text}"


def _ftrace_counter(comm: str, pid: int, cpu: int, time: float, event: str, text: str) -> str:
    """With `trace_clock` counter."""
    return f"{comm:>16}-{pid:<7} [{cpu:03}] ..... {int(time)}: {event}: {text}"


def _latency(comm: str, pid: int, cpu: int, time: float, event: str, text: str) -> str:
    mark = " +!#"[int(time * 1e6) % 4]
    return f"{comm:>8.8}-{pid:<7} {cpu:3}dNh1. {int(time * 1e6):4}us{mark}: {event}: {text}"


def _latency_counter(comm: str, pid: int, cpu: int, time: float, event: str, text: str) -> str:
    return f"{comm:>8.8}-{pid:<7} {cpu:3}..... {int(time * 1e3):4} : {event}: {text}"


def trace_cmd(comm: str, pid: int, cpu: int, time: float, event: str, text: str) -> str:
    """`trace-cmd report`."""
    return f"{comm:>16}-{pid:<5} [{cpu:03}] {time:12.6f}: {event + ':':<21} {text}"


def _trace_cmd_latency(comm: str, pid: int, cpu: int, time: float, event: str, text: str) -> str:
    return f"{comm:>8.8}-{pid:<5} {cpu:3}d..1. {time:.9f}: {event + ':':<21} {text}"


def _trace_cmd_differences(
    comm: str, pid: int, cpu: int, time: float, event: str, text: str
) -> str:
    return f"{comm:>16}-{pid:<5} [{cpu:03}] ..... {time:.6f}: (+12.5) {event + ':':<21} {text}"


def perf(comm: str, pid: int, cpu: int, time: float, event: str, text: str) -> str:
    """`perf script`."""
    return f"{comm:>16} {pid:5} [{cpu:03}] {time:12.6f}: {'kvm:' + event:>26}: {text}"


def _perf_full(comm: str, pid: int, cpu: int, time: float, event: str, text: str) -> str:
    """With the process, the period, nanoseconds."""
    return f"{comm:>16} 1230/{pid:<5} [{cpu:03}] {time:.9f}:      1 {'kvm:' + event:>26}: {text}"


STYLES: dict[str, Style] = {
    "ftrace": ftrace,
    "ftrace, four flags": _ftrace_old,
    "ftrace, thread groups, no flags": _ftrace_plain,
    "ftrace, counter": _ftrace_counter,
    "ftrace, latency format": _latency,
    "ftrace, latency format, counter": _latency_counter,
    "trace-cmd": trace_cmd,
    "trace-cmd -l -t": _trace_cmd_latency,
    "trace-cmd --ts-diff": _trace_cmd_differences,
    "perf": perf,
    "perf, all fields": _perf_full,
}

# ---- the texts of the events ---------------------------------------------------------


def handled(access: int, rt: int = 0) -> tuple[str, str]:
    """The trap of an access (encoding << 1 | write)."""
    return "kvm_handle_sys_reg", f"HSR 0x{encode_sysreg(access >> 1, bool(access & 1), rt):08x}"


def forwarded(access: int, pc: int = 0xFFFF_8000_8001_2340) -> tuple[str, str]:
    """It goes to L1."""
    numbers = ",".join(map(str, operands(access >> 1)))
    return "kvm_forward_sysreg_trap", f"{pc:x} {'W' if access & 1 else 'R'} ({numbers})"


def accessed(access: int, pc: int = 0xFFFF_8000_8001_2340) -> tuple[str, str]:
    """L0 handles it."""
    numbers = ",".join(map(str, operands(access >> 1)))
    direction = "write" if access & 1 else "read"
    return "kvm_sys_access", f"PC: {pc:x} SYS_REG ({numbers}) {direction}"


def injected(esr: int, spsr: int, hcr: int, kind: str = "SYNC") -> tuple[str, str]:
    """An exception to vEL2."""
    mode = MODES.get(spsr & 31, hex(spsr & 31))
    before = f"spsr_el2: 0x{spsr:08x} (M: {mode}) hcr_el2: {hcr:x}"
    text = f"{kind}: esr_el2 0x{esr:x} elr_el2: 0xffff800080012340 {before}"
    return "kvm_inject_nested_exception", text


def returned(spsr: int, hcr: int) -> tuple[str, str]:
    """L1's ERET."""
    mode = MODES.get(spsr & 31, hex(spsr & 31))
    return (
        "kvm_nested_eret",
        f"elr_el2: 0xffff800080012340 spsr_el2: 0x{spsr:08x} (M: {mode}) hcr_el2: {hcr:x}",
    )


ENTRY = ("kvm_entry", "PC: 0xffff800080012340")
EXIT = ("kvm_exit", "TRAP: HSR_EC: 0x0018 (SYS64), PC: 0xffff800080012340")
OTHERS = (EXIT, ("sched_switch", "prev_comm=a: b ==> next_comm=c"), ("kvm_get_timer_map", ""))


# ---- runs ----------------------------------------------------------------------------


@dataclass
class Run:
    """A trace, and what is true of it."""

    lines: list[str] = field(default_factory=list)
    # Access → outcome → how often.
    counts: Counter[tuple[int, str]] = field(default_factory=Counter)
    # Lines whose event is not what the table says.
    apart: list[int] = field(default_factory=list)

    @property
    def raw(self) -> bytes:
        """The trace as a file."""
        return "".join(f"{line}\n" for line in self.lines).encode()


class Vcpu:
    """A vCPU whose L1 and L2 touch registers at random; what is shown is sometimes wrong."""

    def __init__(self, table: Table, random: Random, run: Run, wrong: float) -> None:
        self.table = table
        self.random = random
        self.run = run
        self.wrong = wrong
        self.spsr = 9
        self.hcr = 0
        self.trapped = [code for code, rule in enumerate(table.rule_of) if rule]

    def events(self) -> Iterator[tuple[str, str, bool]]:
        """Event, text, and whether it contradicts the table."""
        yield *self.eret(), False
        while True:
            if self.spsr == 9 and self.random.random() < 0.5:
                yield *self.eret(), False
            elif self.random.random() < 0.1:
                yield *injected(0, self.spsr, self.hcr, "IRQ"), False
                self.spsr = 9
            else:
                yield from self.trap()
            yield *ENTRY, False

    def eret(self) -> tuple[str, str]:
        """L1 goes to L2, or back to itself."""
        self.hcr = self.random.choice(HCRS)
        self.spsr = self.random.choice((0x0, 0x4, 0x5, 0x5, 0x9)) | self.random.choice((0, 0x3C0))
        event = returned(self.spsr, self.hcr)
        self.spsr &= 31
        return event

    def trap(self) -> Iterator[tuple[str, str, bool]]:
        """One trap, as the table says or not."""
        random = self.random
        access = random.choice(self.trapped) << 1 | random.randrange(2)
        state = State({"HCR_EL2": self.hcr}, el=self.spsr >> 2)
        outcome = self.table.decide_at(state, access >> 1, bool(access & 1)).outcome
        self.run.counts[access, outcome] += 1
        wrong = random.random() < self.wrong
        yield *handled(access, random.randrange(32)), False
        if (outcome == "forward") != wrong:
            yield *forwarded(access), wrong
            if random.random() < 0.9:  # else the event was not enabled
                esr = encode_sysreg(access >> 1, bool(access & 1))
                yield *injected(esr, self.spsr, self.hcr), False
                self.spsr = 9
        else:
            yield *accessed(access), wrong


def made(
    table: Table, seed: int, steps: int = 300, style: Style = ftrace, wrong: float = 0.1
) -> Run:
    """The trace of four vCPUs, interleaved, each on the CPU it happens to be."""
    random, run = Random(seed), Run(FTRACE_HEADER.splitlines() if seed % 2 else [])
    vcpus = [Vcpu(table, random, run, wrong).events() for _ in range(4)]
    time = 1234.5
    for _ in range(steps):
        number = random.randrange(len(vcpus))
        event, text, wrong_line = next(vcpus[number])
        here = COMMS[number], 1231 + number, random.randrange(128)
        for name, words in (*random.choices(OTHERS, k=random.randrange(2)), (event, text)):
            time += random.random() / 1e4
            run.lines.append(style(*here, time, name, words))
        if wrong_line:
            run.apart.append(len(run.lines))
    return run


# ---- reports -------------------------------------------------------------------------

MOST = 1000


def report_of(table: Table, *parts: bytes, given: State | None = None, most: int = MOST) -> Report:
    """The report on a trace in some parts, each of whole lines."""
    pieces = (scan(part, most) for part in parts)
    return replay(pieces, table, given or State(), most)


def data(report: Report) -> dict[str, Any]:
    """Everything in a report, to compare."""
    return {
        "rows": {key: (row.count, row.apart) for key, row in report.rows.items()},
        "apart": [(line, repr(found.state), repr(found.outcome)) for line, found in report.apart],
        "rest": {
            name: getattr(report, name)
            for name in Report.__slots__
            if name not in ("rows", "apart")
        },
    }


def counts_of(report: Report) -> Counter[tuple[int, str]]:
    """Access → outcome → how often."""
    counts: Counter[tuple[int, str]] = Counter()
    for row in report.rows.values():
        counts[row.access, row.outcome] += row.count
    return counts
