"""Findings as JSON Lines: the records of the JSON format, one a line."""

from __future__ import annotations

from json import dumps

from nvtrap.cli.formats.record import records

TYPE_CHECKING = False
if TYPE_CHECKING:
    from nvtrap.analysis import Checked


def render(checked: Checked) -> str:
    """A line for each finding."""
    return "".join(dumps(record) + "\n" for record in records(checked.findings))
