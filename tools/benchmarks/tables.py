"""From text to a table, and from its file."""

from __future__ import annotations

from functools import partial

from nvtrap.compile import compiled, find_table
from nvtrap.table.file import SUFFIX, write
from tools.benchmarks import measure
from tools.benchmarks.bench import TABLE, Bench
from tools.benchmarks.figures import Measured, figure

COMPILE = f"from nvtrap.compile import compiled, find_table; compiled(find_table({TABLE!r}))"
LOAD = "unpack(read(path), Table)"


@figure("text to compiled table, cold process", "s", scale="processes", most=1.0)
def compile_cold(bench: Bench) -> Measured:
    """The whole process that parses and compiles the Linux rules."""
    (time,) = measure.process_ms([[str(bench.checkout / "python"), "-c", COMPILE]], runs=15)
    return Measured(time / 1e3)


@figure("load the compiled table", "ms", scale="code", most=5)
def load_compiled(bench: Bench) -> Measured:
    """Reading, verifying and unpacking a shipped table's file, imports done."""
    from nvtrap.engine import Table
    from nvtrap.table.file import read, unpack

    path = str(bench.folder / (TABLE + SUFFIX))
    blob = compiled(find_table(TABLE) or "", to_ship=True)
    write(path, blob)
    names = {"unpack": partial(unpack, trusted=True), "read": read, "path": path, "Table": Table}
    return Measured(measure.loop_ns(LOAD, names) / 1e6, f"{len(blob) / 1024:.0f} KiB")
