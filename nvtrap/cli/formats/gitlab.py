"""Findings as GitLab's code quality report, a subset of Code Climate's issues.

The fields are those of GitLab's page "Code Quality", section "Code Quality report format".
"""

from __future__ import annotations

from json import dumps

from nvtrap.cli.formats.record import fingerprints, place, relative
from nvtrap.lang.findings import CODES, ERROR

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from nvtrap.analysis import Checked
    from nvtrap.lang.findings import Finding


def render(checked: Checked) -> str:
    """The whole report."""
    marks = fingerprints(checked.findings)
    issues = [_issue(f, mark) for f, mark in zip(checked.findings, marks, strict=True)]
    return dumps(issues, indent=2) + "\n"


def _issue(finding: Finding, fingerprint: str) -> dict[str, Any]:
    at = place(finding.span)
    help = f" ({finding.help})" if finding.help else ""
    return {
        "description": f"{finding.code} {finding.message}{help}",
        "check_name": f"{finding.code} {CODES[finding.code].name}",
        "fingerprint": fingerprint,
        "severity": "major" if finding.severity == ERROR else "minor",
        "location": {
            "path": relative(at["file"]),
            "lines": {"begin": at["line"], "end": at["end_line"]},
        },
    }
