"""Findings as JSON: a version, what was looked at, and one object for each finding."""

from __future__ import annotations

from json import dumps

from nvtrap.cli.formats.record import records

TYPE_CHECKING = False
if TYPE_CHECKING:
    from nvtrap.analysis import Checked


def render(checked: Checked) -> str:
    """The whole document."""
    document = {
        "version": 1,
        "files": list(checked.files),
        "tables": list(checked.tables),
        "expectations": checked.expectations,
        "findings": records(checked.findings),
    }
    return dumps(document, indent=2) + "\n"
