"""Findings as a JUnit report: a case for each file, a failure for each finding."""

from __future__ import annotations

import re
from xml.sax.saxutils import escape, quoteattr

from nvtrap.cli.formats.text import summary

TYPE_CHECKING = False
if TYPE_CHECKING:
    from nvtrap.analysis import Checked
    from nvtrap.lang.findings import Finding

_NOT_XML = re.compile(r"[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def render(checked: Checked) -> str:
    """The whole document."""
    found: dict[str, list[Finding]] = {name: [] for name in checked.files}
    for finding in checked.findings:
        found.setdefault(finding.span.source.display, []).append(finding)
    cases = "".join(_case(name, findings) for name, findings in found.items())
    failures = sum(bool(findings) for findings in found.values())
    counts = f'tests="{len(found)}" failures="{failures}" errors="0"'
    title = "".join(text for text, _ in summary(checked))
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<testsuites name="nvtrap check" {counts}>\n'
        f'  <testsuite name="nvtrap check" {counts}>\n'
        f"{cases}"
        f"    <system-out>{_text(title)}</system-out>\n"
        "  </testsuite>\n"
        "</testsuites>\n"
    )


def _case(name: str, findings: list[Finding]) -> str:
    opening = f"    <testcase classname={_attribute('nvtrap.check')} name={_attribute(name)}"
    if not findings:
        return opening + "/>\n"
    first = findings[0]
    message = f"{first.code} {first.message}"
    body = "\n".join(f"{f.span}: {f.severity} {f.code} {f.message}" for f in findings)
    return (
        f"{opening}>\n"
        f"      <failure type={_attribute(first.code)} message={_attribute(message)}>"
        f"{_text(body)}</failure>\n"
        "    </testcase>\n"
    )


def _attribute(text: str) -> str:
    return _printable(quoteattr(text))


def _text(text: str) -> str:
    return _printable(escape(text))


def _printable(text: str) -> str:
    """The text in ASCII, without the characters that XML has no way to write."""
    sound = _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)
    return sound.encode("ascii", "xmlcharrefreplace").decode()
