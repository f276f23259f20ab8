"""One finding as plain data, from which the machine formats are made."""

from __future__ import annotations

from nvtrap.lang.findings import CODES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from nvtrap.lang.findings import Finding
    from nvtrap.lang.source import Span


def record(finding: Finding) -> dict[str, Any]:
    """A finding with its place, help and labels."""
    return {
        "code": finding.code,
        "name": CODES[finding.code].name,
        "severity": finding.severity,
        "message": finding.message,
        "help": finding.help,
        **place(finding.span),
        "labels": [{"text": label.text, **place(label.span)} for label in finding.labels],
        "fingerprint": fingerprint(finding),
    }


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


def fingerprint(finding: Finding) -> str:
    """The same for a finding that only moved: code, file and the text of its line."""
    from hashlib import sha256

    span = finding.span
    text = span.source.line(span.line) if span.source.text else ""
    parts = (finding.code, span.source.display, " ".join(text.split()), span.text)
    return sha256("\0".join(parts).encode(errors="surrogatepass")).hexdigest()[:32]
