"""Clocks: whole processes, interleaved; peak memory; code in a loop."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from statistics import median
from time import perf_counter
from timeit import Timer

RUNS = 21
REPEATS = 9
# On Linux a process inherits its starter's peak, so the starter is smaller than any Python
# that is measured: no site, no `os`.
LAUNCHER = """
import posix, sys
sink = [(posix.POSIX_SPAWN_OPEN, 1, "/dev/null", posix.O_WRONLY, 0)]
child = posix.posix_spawn(sys.argv[1], sys.argv[1:], posix.environ, file_actions=sink)
_, status, usage = posix.wait4(child, 0)
print(usage.ru_maxrss)
sys.exit(posix.waitstatus_to_exitcode(status))
"""

Command = Sequence[str]


def process_ms(commands: Sequence[Command], runs: int = RUNS) -> list[float]:
    """The median wall time of each command, output piped; the commands take turns."""
    for command in commands:
        _run_ms(command)
    rounds = [[_run_ms(command) for command in commands] for _ in range(runs)]
    return [median(times) for times in zip(*rounds, strict=True)]


def _run_ms(command: Command) -> float:
    start = perf_counter()
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    return 1e3 * (perf_counter() - start)


def process_to_file_s(command: Command, path: str, runs: int) -> float:
    """The median wall time of a command whose output goes to the file at `path`."""
    times = []
    for _ in range(runs + 1):
        with open(path, "wb") as file:
            start = perf_counter()
            subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=file)
            times.append(perf_counter() - start)
    return median(times[1:])


def peak_mib(command: Command, runs: int = 5) -> float:
    """The median peak memory of a command."""
    launch = [sys.executable, "-I", "-S", "-c", LAUNCHER, *command]
    peaks = [
        int(subprocess.run(launch, check=True, stdout=subprocess.PIPE).stdout) for _ in range(runs)
    ]
    return median(peaks) / (1 << 20 if sys.platform == "darwin" else 1 << 10)


def loop_ns(code: str, names: dict[str, object]) -> float:
    """The median time of one execution of `code`, in a loop, warmed up."""
    timer = Timer(code, globals=names)
    timer.timeit(100)
    number, _ = timer.autorange(None)
    return 1e9 * median(timer.repeat(REPEATS, number)) / number


def call_s(call: Callable[[], object]) -> float:
    """The median time of one call of a long-running function, warmed up."""
    call()
    return median(Timer(call).repeat(REPEATS, 1))
