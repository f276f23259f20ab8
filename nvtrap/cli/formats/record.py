"""One finding as plain data, from which the machine formats are made."""

from __future__ import annotations

import os
from collections import Counter

from nvtrap.lang.findings import CODES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    from nvtrap.analysis import Checked
    from nvtrap.lang.findings import Finding
    from nvtrap.lang.source import Span


def records(findings: Sequence[Finding]) -> list[dict[str, Any]]:
    """The findings of one run, each with a fingerprint of its own."""
    marks = fingerprints(findings)
    return [record(finding, mark) for finding, mark in zip(findings, marks, strict=True)]


def record(finding: Finding, mark: str = "") -> dict[str, Any]:
    """A finding with its place, help and labels; `mark` is its fingerprint in the run."""
    return {
        "code": finding.code,
        "name": CODES[finding.code].name,
        "severity": finding.severity,
        "message": finding.message,
        "help": finding.help,
        **place(finding.span),
        "labels": [{"text": label.text, **place(label.span)} for label in finding.labels],
        "fingerprint": mark or fingerprint(finding),
    }


def by_file(checked: Checked) -> dict[str, list[Finding]]:
    """The findings of each file that was looked at, or that a finding lies in."""
    found: dict[str, list[Finding]] = {name: [] for name in checked.files}
    for finding in checked.findings:
        found.setdefault(finding.span.source.display, []).append(finding)
    return found


def place(span: Span) -> dict[str, Any]:
    """Where a span lies; lines and columns count from 1, the end is behind the last one."""
    line, column = span.source.place(span.start)
    end_line, end_column = span.source.place(max(span.end, span.start))
    return {
        "file": span.source.display,
        "line": line,
        "column": column,
        "end_line": end_line,
        "end_column": end_column,
    }


def relative(path: str) -> str:
    """A path of a finding, from the current folder even where it lies outside."""
    return os.path.relpath(path) if os.path.isabs(path) else path


def fingerprints(findings: Iterable[Finding]) -> list[str]:
    """A fingerprint for each finding of a run, of which no two are the same.

    Of findings that differ in nothing but their lines, the second, third and so on have
    their number in it: a service would take them for one otherwise.
    """
    seen: Counter[str] = Counter()
    marks = []
    for finding in findings:
        mark = fingerprint(finding)
        marks.append(mark if not seen[mark] else _digest(mark, str(seen[mark])))
        seen[mark] += 1
    return marks


def fingerprint(finding: Finding) -> str:
    """The same for a finding that only moved: code, file, and the text of its line."""
    span = finding.span
    text = span.source.line(span.line) if span.source.text else ""
    path = relative(span.source.display)
    return _digest(finding.code, path, " ".join(text.split()), " ".join(span.text.split()))


def _digest(*parts: str) -> str:
    from hashlib import sha256

    return sha256("\0".join(parts).encode(errors="surrogatepass")).hexdigest()[:32]
