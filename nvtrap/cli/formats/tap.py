"""Findings as TAP: a test point for each file, its findings as diagnostics."""

from __future__ import annotations

from nvtrap.cli.formats.points import document
from nvtrap.cli.formats.record import by_file, record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from nvtrap.analysis import Checked
    from nvtrap.lang.findings import Finding

SHOWN = ("severity", "code", "message", "help", "line", "column")


def render(checked: Checked) -> str:
    """The whole report."""
    return document(
        (not findings, name, [detail(finding) for finding in findings])
        for name, findings in by_file(checked).items()
    )


def detail(finding: Finding) -> dict[str, str | int]:
    """What a diagnostic says of a finding."""
    known = record(finding)
    return {name: known[name] for name in SHOWN if known[name]}
