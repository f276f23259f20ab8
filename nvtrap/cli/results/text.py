"""A test run for people: what failed, as `check` tells it, what is reached, and counts."""

from __future__ import annotations

from nvtrap.analysis.testing_coverage import KINDS, figures, percent
from nvtrap.cli.formats.text import finding_lines
from nvtrap.lang.findings import Finding

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from nvtrap.analysis.testing import Case, Results
    from nvtrap.analysis.testing_coverage import Coverage
    from nvtrap.cli.terminal import Line


def render(results: Results) -> str:
    """What failed, and the counts."""
    return "".join("".join(text for text, _ in line) + "\n" for line in lines(results))


def lines(results: Results, *, with_coverage: bool = False) -> Iterator[Line]:
    """The same as lines of painted pieces, the coverage among them if it is wanted."""
    for finding in (*results.findings, *map(as_finding, _failures(results))):
        yield from finding_lines(finding)
    if with_coverage:
        for coverage in results.coverages:
            yield from _coverage(coverage)
    if results.findings:
        yield [("expectations of files with errors were not run", "bold red")]
    failed = results.failed
    yield [
        (f"{len(results.cases) - failed} passed, ", ""),
        (f"{failed} failed", "bold red" if failed else "bold green"),
    ]


def _failures(results: Results) -> Iterator[Case]:
    return (case for case in results.cases if not case.passed)


def as_finding(case: Case) -> Finding:
    """What `check` says of an expectation that is not met."""
    verdict = case.verdict
    return Finding("NV046", verdict.problem, verdict.expect.span, verdict.help)


def _coverage(coverage: Coverage) -> Iterator[Line]:
    yield [("coverage of ", ""), (coverage.name, "bold")]
    for kind, about in KINDS.items():
        reached, there = figures([coverage], kind)
        share = f"{percent(reached, there):5.1f}%"
        yield [(f"  {kind:<10} {reached:>5} of {there:<5} {share}  ", ""), (about, "dim")]
    yield from _files(coverage)


def _files(coverage: Coverage) -> Iterator[Line]:
    """For each file the lines that no expectation reaches, if it has any."""
    files: dict[str, list[int]] = {}
    for file, line in sorted(coverage.lines):
        files.setdefault(file, []).append(line)
    for file, numbers in files.items():
        missed = [not coverage.lines[file, number] for number in numbers]
        if any(missed):
            yield [(f"  {file}: ", ""), (", ".join(_runs(numbers, missed)), "yellow")]


def _runs(numbers: Sequence[int], missed: Sequence[bool]) -> Iterator[str]:
    """The missed lines; those with nothing reached between them as `first-last`."""
    first = last = 0
    for number, is_missed in zip((*numbers, 0), (*missed, False), strict=True):
        if is_missed:
            first, last = first or number, number
        elif first:
            yield f"{first}-{last}" if last > first else str(first)
            first = 0
