"""`nvtrap replay` over a trace, the real command: one process, and two."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random

from nvtrap import State
from nvtrap.arch.encoding import operands
from nvtrap.arch.esr import encode_sysreg
from tools.benchmarks import measure
from tools.benchmarks.bench import TABLE, Bench
from tools.benchmarks.figures import Measured, figure

LINES = 2_000_000
RUNS = 3
# As KVM sets it for a guest: TLOR, RW, TACR, TID3, TSC, TSW, FB, AMO, IMO, FMO, SWIO, VM, E2H.
HCR_EL2 = 1 << 35 | 1 << 34 | 1 << 31 | 0xF << 18 | 1 << 9 | 0x3B
ACCESSES = 100


def _accesses(bench: Bench) -> dict[bool, list[tuple[int, bool]]]:
    """Accesses that L1's state forwards, and others that it does not."""
    state = State({"HCR_EL2": HCR_EL2})
    found: dict[bool, list[tuple[int, bool]]] = {False: [], True: []}
    for encoding, rule in enumerate(bench.table.rule_of):
        for write in (False, True) if rule else ():
            outcome = bench.table.decide_at(state, encoding, write).outcome
            found[outcome == "forward"].append((encoding, write))
    return {forwards: Random(1).sample(some, ACCESSES) for forwards, some in found.items()}


def _exits(bench: Bench, random: Random) -> Iterator[tuple[str, str]]:
    """One exit after the other: half of the traps are forwarded, and L1 returns to L2."""
    accesses = _accesses(bench)
    context = f"spsr_el2: 0x604003c5 (M: EL1h) hcr_el2: {HCR_EL2:x}"
    while True:
        forwards = random.random() < 0.5
        encoding, write = random.choice(accesses[forwards])
        pc = 0xFFFF_8000_8000_0000 + 4 * random.randrange(1 << 20)
        esr = encode_sysreg(encoding, write, rt=random.randrange(32))
        numbers = ",".join(map(str, operands(encoding)))
        eret = "kvm_nested_eret", f"elr_el2: 0x{pc:x} {context}"
        entry = "kvm_entry", f"PC: 0x{pc:016x}"
        yield eret
        yield entry
        yield "kvm_exit", f"TRAP: HSR_EC: 0x0018 (SYS64), PC: 0x{pc:016x}"
        yield "kvm_handle_sys_reg", f"HSR 0x{esr:08x}"
        if forwards:
            yield "kvm_forward_sysreg_trap", f"{pc:x} {'W' if write else 'R'} ({numbers})"
            syndrome = f"SYNC: esr_el2 0x{esr:x} elr_el2: 0x{pc:x}"
            yield "kvm_inject_nested_exception", f"{syndrome} {context}"
        else:
            yield "kvm_sys_access", f"PC: {pc:x} REG ({numbers}) {'write' if write else 'read'}"
        yield entry
        yield "kvm_exit", f"TRAP: HSR_EC: 0x001a (ERET), PC: 0x{pc:016x}"


def _trace(bench: Bench) -> Path:
    """The file `trace` of four vCPUs, made once."""
    path = bench.folder / "trace.txt"
    if path.is_file():
        return path
    random = Random(1)
    vcpus = [_exits(bench, random) for _ in range(4)]
    with path.open("w", encoding="utf-8") as file:
        for number in range(LINES):
            vcpu = random.randrange(4)
            event, text = next(vcpus[vcpu])
            task = f"{f'CPU {vcpu}/KVM':>16}-{4021 + vcpu:<7} [{vcpu:03}]"
            file.write(f"{task} d..1.  {1234 + number / 1e6:.6f}: {event}: {text}\n")
    return path


def _rate(bench: Bench, jobs: int) -> Measured:
    trace, answer = _trace(bench), bench.folder / "answer.txt"
    command = [str(bench.installed / "nvtrap"), "replay", str(trace), "--table", TABLE]
    time = measure.process_to_file_s([*command, "--jobs", str(jobs)], str(answer), RUNS)
    size = trace.stat().st_size / LINES
    return Measured(LINES / time, f"{LINES:,} lines of {size:.0f} bytes in {time:.2f} s")


@figure("replay a trace", "lines/s", scale="code", least=300_000)
def replay(bench: Bench) -> Measured:
    """One process."""
    return _rate(bench, 1)


@figure("replay a trace, two processes", "lines/s", scale="code")
def replay_two(bench: Bench) -> Measured:
    """Two, on as many processors as there are free."""
    return _rate(bench, 2)
