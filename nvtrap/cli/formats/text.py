"""Findings for people: the place, the message, the line with a caret, the help."""

from __future__ import annotations

from nvtrap.lang.findings import ERROR

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from nvtrap.analysis import Checked
    from nvtrap.cli.terminal import Line
    from nvtrap.lang.findings import Finding
    from nvtrap.lang.source import Span

WIDEST = 160


def render(checked: Checked) -> str:
    """All findings and the summary."""
    return "".join("".join(text for text, _ in line) + "\n" for line in lines(checked))


def lines(checked: Checked) -> Iterator[Line]:
    """The same as lines of painted pieces."""
    for finding in checked.findings:
        yield from finding_lines(finding)
    yield summary(checked)


def finding_lines(finding: Finding) -> Iterator[Line]:
    """One finding: place and message, the line with carets, notes, help."""
    style = "bold red" if finding.severity == ERROR else "bold yellow"
    yield [
        (f"{finding.span}: ", "bold"),
        (f"{finding.severity} {finding.code} ", style),
        (finding.message, ""),
    ]
    yield from _excerpt(finding.span, style)
    for label in finding.labels:
        yield [("  note: ", "cyan"), (f"{label.span}: {label.text}", "")]
    if finding.help:
        yield [("  help: ", "cyan"), (finding.help, "")]


def _excerpt(span: Span, style: str) -> Iterator[Line]:
    """The line with carets below what is meant; nothing for a file that was not read."""
    if not span.source.text:
        return
    number, column = span.source.place(span.start)
    text = span.source.line(number).expandtabs(1)
    width = max(1, min(span.end - span.start, len(text) - column + 1))
    start = max(0, column + min(width, 40) - WIDEST)
    shown = text[start : start + WIDEST]
    gutter = f"{number:>5} | "
    yield [(gutter, "dim"), (shown, "")]
    carets = "^" * min(width, WIDEST)
    yield [(" " * (len(gutter) - 2) + "| ", "dim"), (" " * (column - 1 - start) + carets, style)]


def summary(checked: Checked) -> Line:
    """`54 files, 1 table, 49 expectations: no findings`."""
    looked = [_count(len(checked.files), "file")]
    if checked.tables:
        looked.append(_count(len(checked.tables), "table"))
    if checked.expectations:
        looked.append(_count(checked.expectations, "expectation"))
    errors = sum(finding.is_error for finding in checked.findings)
    warnings = len(checked.findings) - errors
    found = [
        _count(number, word)
        for number, word in ((errors, "error"), (warnings, "warning"))
        if number
    ]
    style = "bold red" if errors else "bold yellow" if warnings else "bold green"
    return [(", ".join(looked) + ": ", ""), (", ".join(found) or "no findings", style)]


def _count(number: int, word: str) -> str:
    return f"{number} {word}" + "s" * (number != 1)
