"""Findings as one line each: place, severity, code, message."""

from __future__ import annotations

from nvtrap.cli.terminal import plain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from nvtrap.analysis import Checked
    from nvtrap.lang.findings import Finding


def render(checked: Checked) -> str:
    """A line for each finding."""
    return "".join(plain(line(finding)) + "\n" for finding in checked.findings)


def line(finding: Finding) -> str:
    """`broken.trap:8:19: error NV012 unknown control …`."""
    return f"{finding.span}: {finding.severity} {finding.code} {finding.message}"
