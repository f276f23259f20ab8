"""Findings: what is wrong with rule text, where, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from nvtrap.errors import closest, did_you_mean
from nvtrap.lang.source import Span

ERROR = "error"
WARNING = "warning"

MOST_FINDINGS = 1000
LONGEST_TEXT = 400
# Comparing a name with one other takes 2 µs; this many make a second.
MOST_COMPARED = 1 << 19


@dataclass(frozen=True, slots=True)
class Code:
    """One kind of finding. `name` is its words in kebab case, `severity` its level."""

    name: str
    severity: str


CODES = {
    "NV001": Code("syntax", ERROR),
    "NV002": Code("unreadable-file", ERROR),
    "NV003": Code("too-deep", ERROR),
    "NV004": Code("use-not-found", ERROR),
    "NV005": Code("use-cycle", ERROR),
    "NV006": Code("too-much", ERROR),
    "NV010": Code("unknown-register", ERROR),
    "NV011": Code("unknown-field", ERROR),
    "NV012": Code("unknown-control", ERROR),
    "NV013": Code("unknown-group", ERROR),
    "NV014": Code("unknown-feature", ERROR),
    "NV015": Code("unknown-table", ERROR),
    "NV016": Code("unknown-word", ERROR),
    "NV020": Code("value-does-not-fit", ERROR),
    "NV021": Code("backward-range", ERROR),
    "NV022": Code("range-swallows", WARNING),
    "NV023": Code("bad-index", ERROR),
    "NV024": Code("bad-encoding", ERROR),
    "NV025": Code("no-index", ERROR),
    "NV026": Code("bad-field", ERROR),
    "NV030": Code("second-coarse", ERROR),
    "NV031": Code("second-fine", ERROR),
    "NV032": Code("identical-part", ERROR),
    "NV033": Code("nested-combo", ERROR),
    "NV034": Code("cycle", ERROR),
    "NV035": Code("unused-control", WARNING),
    "NV036": Code("over-limit", ERROR),
    "NV037": Code("impossible-direction", ERROR),
    "NV038": Code("two-polarities", ERROR),
    "NV039": Code("res0-bit", ERROR),
    "NV040": Code("duplicate-definition", ERROR),
    "NV041": Code("hits-nothing", ERROR),
    "NV042": Code("positions-differ", ERROR),
    "NV043": Code("trapped-and-local", ERROR),
    "NV044": Code("not-one-register", ERROR),
    "NV045": Code("two-tables", ERROR),
    "NV046": Code("expectation-fails", ERROR),
    "NV047": Code("one-sided-group", ERROR),
}


@dataclass(frozen=True, slots=True)
class Label:
    """A second place that a finding is about, and what it has to do with it."""

    span: Span
    text: str


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong.

    `message` is a lower-case sentence without a period, `help` what to do about it
    (may be empty), `labels` further places.
    """

    code: str
    message: str
    span: Span
    help: str = ""
    labels: tuple[Label, ...] = field(default=())

    @property
    def severity(self) -> str:
        """`error` or `warning`."""
        return CODES[self.code].severity

    @property
    def is_error(self) -> bool:
        """Whether the text cannot be used."""
        return self.severity == ERROR

    def key(self) -> tuple[tuple[str, int, int], str, str]:
        """What findings are sorted and compared by."""
        return self.span.key(), self.code, self.message


class Report:
    """Findings as they are collected; the same one is kept once.

    Texts come from strangers' files: their number and length are bounded, and characters
    that a terminal would act on are spelled out.
    """

    def __init__(self) -> None:
        self._findings: dict[tuple[tuple[str, int, int], str, str], Finding] = {}
        self._compared = 0
        self.has_errors = False

    def add(self, code: str, message: str, span: Span, help: str = "", *labels: Label) -> None:
        """Note one finding."""
        self.include(Finding(code, printable(message), span, printable(help), labels))

    def include(self, finding: Finding) -> None:
        """Note a finding made elsewhere."""
        self.has_errors |= finding.is_error
        key = finding.key()
        if key in self._findings or self.is_full:
            return
        if len(self._findings) == MOST_FINDINGS:
            text = f"more than {MOST_FINDINGS} findings, those after this one are left out"
            finding = Finding("NV006", text, finding.span)
            self.has_errors = True
        self._findings[finding.key()] = finding

    @property
    def is_full(self) -> bool:
        """Whether further findings are left out."""
        return len(self._findings) > MOST_FINDINGS

    @property
    def findings(self) -> list[Finding]:
        """Everything found, by file and place."""
        return [self._findings[key] for key in sorted(self._findings)]

    def suggest(self, name: str, known: Iterable[str]) -> str:
        """Ask "did you mean …?" about a name that is not among `known`.

        Empty when nothing is close, and once many suggestions have been made.
        """
        if self._compared > MOST_COMPARED:
            return ""
        names = list(known)
        self._compared += len(names)
        close = closest(name, names)
        same = [found for found in close if found.upper() == name.upper()]
        return did_you_mean(same or close)


def printable(text: str) -> str:
    """`text` on one line, not too long, with control characters spelled out."""
    if len(text) > LONGEST_TEXT:
        text = text[: LONGEST_TEXT - 1] + "…"
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
