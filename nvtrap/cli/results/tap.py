"""A test run as TAP: a point for each expectation, and for each error of a file."""

from __future__ import annotations

from nvtrap.cli.formats.points import document
from nvtrap.cli.formats.tap import detail
from nvtrap.cli.results.text import as_finding

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from nvtrap.analysis.testing import Results
    from nvtrap.cli.formats.points import Point


def render(results: Results) -> str:
    """The whole report."""
    return document(_points(results))


def _points(results: Results) -> Iterator[Point]:
    for finding in results.findings:
        yield False, f"{finding.span}: {finding.code} {finding.message}", [detail(finding)]
    for case in results.cases:
        yield case.passed, case.name, [] if case.passed else [detail(as_finding(case))]
