"""Findings as a JUnit report: a case for each file, a failure for each finding."""

from __future__ import annotations

from nvtrap.cli.formats.concise import line
from nvtrap.cli.formats.record import by_file
from nvtrap.cli.formats.text import summary
from nvtrap.cli.formats.xml import attribute, content

TYPE_CHECKING = False
if TYPE_CHECKING:
    from nvtrap.analysis import Checked
    from nvtrap.lang.findings import Finding


def render(checked: Checked) -> str:
    """The whole document."""
    found = by_file(checked)
    cases = "".join(_case(name, findings) for name, findings in found.items())
    failures = sum(bool(findings) for findings in found.values())
    counts = f'tests="{len(found)}" failures="{failures}" errors="0"'
    title = "".join(text for text, _ in summary(checked))
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<testsuites name="nvtrap check" {counts}>\n'
        f'  <testsuite name="nvtrap check" {counts}>\n'
        f"{cases}"
        f"    <system-out>{content(title)}</system-out>\n"
        "  </testsuite>\n"
        "</testsuites>\n"
    )


def _case(name: str, findings: list[Finding]) -> str:
    opening = f'    <testcase classname="nvtrap.check" name={attribute(name)}'
    if not findings:
        return opening + "/>\n"
    first = findings[0]
    message = f"{first.code} {first.message}"
    body = "\n".join(line(finding) for finding in findings)
    return (
        f"{opening}>\n"
        f"      <failure type={attribute(first.code)} message={attribute(message)}>"
        f"{content(body)}</failure>\n"
        "    </testcase>\n"
    )
