"""Findings: what is wrong with rule text, where, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass, field

from nvtrap.lang.source import Span

ERROR = "error"
WARNING = "warning"


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
    "NV006": Code("too-much-text", ERROR),
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
    """Findings as they are collected; the same one is kept once."""

    def __init__(self) -> None:
        self._findings: dict[tuple[tuple[str, int, int], str, str], Finding] = {}

    def add(self, code: str, message: str, span: Span, help: str = "", *labels: Label) -> None:
        """Note one finding."""
        self.include(Finding(code, message, span, help, labels))

    def include(self, finding: Finding) -> None:
        """Note a finding made elsewhere."""
        self._findings.setdefault(finding.key(), finding)

    @property
    def findings(self) -> list[Finding]:
        """Everything found, by file and place."""
        return [self._findings[key] for key in sorted(self._findings)]

    @property
    def has_errors(self) -> bool:
        """Whether anything found is an error."""
        return any(finding.is_error for finding in self._findings.values())
