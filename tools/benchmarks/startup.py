"""One query as a whole process: time and memory over a bare interpreter's."""

from __future__ import annotations

from pathlib import Path

from tools.benchmarks import measure
from tools.benchmarks.bench import Bench
from tools.benchmarks.figures import Measured, figure

QUERY = ("query", "REVIDR_EL1", "--set", "HCR_EL2.TID1=1")


def _commands(bin_folder: Path) -> list[list[str]]:
    return [[str(bin_folder / "nvtrap"), *QUERY], [str(bin_folder / "python"), "-c", "pass"]]


def _times(bin_folder: Path) -> Measured:
    query, bare = measure.process_ms(_commands(bin_folder))
    return Measured(query / bare, f"{query:.1f} ms against {bare:.1f} ms")


@figure("query, installed wheel, over bare python", "x", most=3.2)
def query_installed(bench: Bench) -> Measured:
    """The time of a query as users have it."""
    return _times(bench.installed)


@figure("query, checkout's .venv, over bare python", "x", most=3.2)
def query_checkout(bench: Bench) -> Measured:
    """The time of a query as developers have it, the table in the cache."""
    return _times(bench.checkout)


@figure("query, peak memory over bare python", "x", most=1.5)
def query_memory(bench: Bench) -> Measured:
    """The peak memory of a query of an installed table."""
    query, bare = map(measure.peak_mib, _commands(bench.installed))
    return Measured(query / bare, f"{query:.1f} MiB against {bare:.1f} MiB")
