"""`tools/bench [--json] [FIGURE …]`: measures, prints, and marks what is over its limit."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tools.benchmarks import decisions, gic, nested, replay, startup, streams, tables, vgic
from tools.benchmarks.bench import Bench
from tools.benchmarks.figures import BARE_MS, DICT_NS, FIGURES, Figure, Machine, Measured

SUBJECTS = (startup, tables, decisions, streams, gic, vgic, nested, replay)
HEADINGS = ("figure", "measured", "scaled", "limit", "", "")


@dataclass(frozen=True, slots=True)
class Result:
    """A measured figure."""

    figure: Figure
    measured: Measured
    scaled: float

    @property
    def cells(self) -> tuple[str, ...]:
        """The row of the table."""
        figure = self.figure
        limit = "" if figure.most is None else f"<= {_rounded(figure.most)} {figure.unit}"
        limit = limit if figure.least is None else f">= {_rounded(figure.least)} {figure.unit}"
        return (
            figure.title,
            f"{_rounded(self.measured.value)} {figure.unit}",
            f"{_rounded(self.scaled)} {figure.unit}" if figure.scale else "",
            limit,
            "OVER" if figure.is_over(self.scaled) else "",
            self.measured.detail,
        )

    def to_json(self) -> dict[str, Any]:
        """The same as an object."""
        figure = self.figure
        return {
            "name": figure.name,
            "title": figure.title,
            "unit": figure.unit,
            "value": self.measured.value,
            "scaled": self.scaled,
            "most": figure.most,
            "least": figure.least,
            "over": figure.is_over(self.scaled),
            "detail": self.measured.detail,
        }


def _rounded(value: float) -> str:
    """Three digits, thousands apart."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _figures() -> dict[str, Figure]:
    """All figures by name, subject by subject."""
    order = [subject.__name__ for subject in SUBJECTS]
    by_subject = sorted(FIGURES.values(), key=lambda f: order.index(f.measure.__module__))
    return {figure.name: figure for figure in by_subject}


def _measure(bench: Bench, figure: Figure) -> Result:
    if sys.stderr.isatty():
        print(f"\r\033[K{figure.title} …", end="", file=sys.stderr, flush=True)
    measured = figure.measure(bench)
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr, flush=True)
    return Result(figure, measured, figure.scaled(measured.value, bench.machine))


def _machine_lines(machine: Machine) -> list[str]:
    processes, code = machine.slowness("processes"), machine.slowness("code")
    return [
        f"bare python  {machine.bare_ms:.1f} ms, {processes:.2f} of the reference's {BARE_MS} ms",
        f"dict hit     {machine.dict_ns:.1f} ns, {code:.2f} of the reference's {DICT_NS:g} ns",
        "",
    ]


def _print_plain(machine: Machine, results: list[Result]) -> None:
    rows = [HEADINGS, *(result.cells for result in results)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = _machine_lines(machine)
    for title, *numbers, mark, detail in rows:
        right = (n.rjust(width) for n, width in zip(numbers, widths[1:], strict=False))
        cells = [title.ljust(widths[0]), *right, mark.ljust(widths[4]), detail]
        lines.append("  ".join(cells).rstrip())
    print("\n".join(lines))


def _print_json(machine: Machine, results: list[Result]) -> None:
    about = {
        "bare_ms": machine.bare_ms,
        "dict_ns": machine.dict_ns,
        "processes": machine.slowness("processes"),
        "code": machine.slowness("code"),
    }
    print(json.dumps({"machine": about, "figures": [r.to_json() for r in results]}, indent=2))


def main() -> int:
    """Measure; the exit code is 0 however slow the machine is."""
    figures = _figures()
    parser = argparse.ArgumentParser(
        prog="tools/bench", description="Measures speed and memory against the limits."
    )
    parser.add_argument("figures", metavar="FIGURE", nargs="*", help=f"of: {', '.join(figures)}")
    parser.add_argument("--json", action="store_true", help="the same as JSON")
    arguments = parser.parse_args()
    unknown = set(arguments.figures) - set(figures)
    if unknown:
        parser.error(f"unknown figure `{min(unknown)}`")
    chosen = [figures[name] for name in arguments.figures or figures]
    with TemporaryDirectory(prefix="nvtrap-bench-") as folder:
        bench = Bench(Path(folder))
        results = [_measure(bench, figure) for figure in chosen]
        show = _print_json if arguments.json else _print_plain
        show(bench.machine, results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
