"""Findings as GitHub's workflow commands, which become annotations on the lines."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from nvtrap.analysis import Checked
    from nvtrap.lang.findings import Finding


def render(checked: Checked) -> str:
    """A line for each finding."""
    return "".join(_command(finding) + "\n" for finding in checked.findings)


def _command(finding: Finding) -> str:
    from nvtrap.cli.formats.record import place

    at = place(finding.span)
    properties = {
        "title": finding.code,
        "file": at["file"],
        "line": at["line"],
        "col": at["column"],
        "endLine": at["end_line"],
        "endColumn": at["end_column"],
    }
    shown = ",".join(f"{name}={_property(str(value))}" for name, value in properties.items())
    message = f"{finding.message}\nhelp: {finding.help}" if finding.help else finding.message
    return f"::{finding.severity} {shown}::{_data(message)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
