"""Every code has fixtures that give it and fixtures that do not, and a page that explains it.

The texts beside the `err_*` fixtures are what people read. After a change of wording
they are made again with `NVTRAP_UPDATE=1 pytest tests/lang/test_findings.py`, and the
difference is what a review looks at.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from nvtrap.analysis import check_paths
from nvtrap.lang.findings import (
    CODES,
    LONGEST_TEXT,
    MOST_FINDINGS,
    Finding,
    Report,
    printable,
)
from nvtrap.lang.source import Source, Span
from nvtrap.places import grammar_root

FIXTURES = Path(__file__).parents[1] / "fixtures" / "findings"
ERRORS = sorted(path.name for path in FIXTURES.glob("err_*.trap"))
SOUND = sorted(path.name for path in FIXTURES.glob("ok_*.trap"))

# Words of Python that say nothing to the author of a rule file.
INTERNAL = re.compile(r"\b(None|True|False|str|int|tuple|dict|NoneType|Token|Error|object at)\b")

REGISTER = re.compile(r"\b[A-Z][A-Z0-9]+_EL\d\b")


@pytest.fixture(autouse=True)
def _beside_the_fixtures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Findings name files relative to the current folder."""
    monkeypatch.chdir(FIXTURES)


def _code(name: str) -> str:
    return name.split("_")[1].upper()


def _lines(findings: tuple[Finding, ...]) -> Iterator[str]:
    for found in findings:
        yield f"{found.span}: {found.severity} {found.code} {found.message}\n"
        if found.help:
            yield f"    help: {found.help}\n"
        for label in found.labels:
            yield f"    {label.span}: {label.text}\n"


def _findings_of_all() -> Iterator[Finding]:
    for name in ERRORS:
        yield from check_paths([name]).findings


# ---- codes, fixtures and pages ---------------------------------------------------


def test_every_code_has_a_fixture_that_gives_it() -> None:
    """The codes of the `err_*` fixtures are the codes there are."""
    assert {_code(name) for name in ERRORS} == set(CODES)


def test_every_code_has_a_fixture_that_does_not_give_it() -> None:
    """The codes of the `ok_*` fixtures are the codes there are."""
    assert {_code(name) for name in SOUND} == set(CODES)


def test_every_code_has_its_section() -> None:
    """The page of findings has each code with its name, in order, and no other."""
    page = Path(grammar_root(), "findings.md").read_text(encoding="utf-8")
    sections = re.findall(r"^## (NV\d{3}) (.*)$", page, re.MULTILINE)
    assert sections == [(code, kind.name) for code, kind in CODES.items()]


def test_every_section_has_its_parts() -> None:
    """Each section says what it is, what to avoid, what to prefer, and why."""
    page = Path(grammar_root(), "findings.md").read_text(encoding="utf-8")
    for section in page.split("\n## ")[1:]:
        parts = re.findall(r"^\*\*(\w+)\*\*", section, re.MULTILINE)
        assert parts == ["Avoid", "Prefer", "Why"], section.splitlines()[0]


@pytest.mark.parametrize("name", ERRORS)
def test_error_fixture_gives_its_code(name: str) -> None:
    """An `err_*` fixture gives its code, no other, and the text beside it."""
    findings = check_paths([name]).findings
    golden = Path(name).with_suffix(".txt")
    rendered = "".join(_lines(findings))
    if os.environ.get("NVTRAP_UPDATE"):
        golden.write_text(rendered, encoding="utf-8")
    assert {finding.code for finding in findings} == {_code(name)}
    assert rendered == golden.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", SOUND)
def test_sound_fixture_gives_nothing(name: str) -> None:
    """An `ok_*` fixture has no finding at all."""
    assert list(_lines(check_paths([name]).findings)) == []


def test_every_golden_text_has_its_fixture() -> None:
    """No text is left behind by a fixture that is gone."""
    texts = {path.stem for path in FIXTURES.glob("*.txt")}
    assert texts == {name.removesuffix(".trap") for name in ERRORS}


# ---- style -----------------------------------------------------------------------


def test_messages_and_help_follow_the_style() -> None:
    """One lower-case sentence without a final period, quoted in backticks, free of Python."""
    for finding in _findings_of_all():
        for text in (finding.message, finding.help, *(label.text for label in finding.labels)):
            assert "\n" not in text, text
            assert not text.endswith("."), text
            assert text.count("`") % 2 == 0, text
            bare = re.sub(r"`[^`]*`", "", text)
            assert not INTERNAL.search(bare), text
            assert not REGISTER.search(bare.partition(":")[0]), text
            assert '"' not in bare, text
            first = text[:1]
            assert first in {"", "`"} or first.islower() or _is_name(text), text


def _is_name(text: str) -> bool:
    """Whether the text begins with a word that is spelled with capitals."""
    return bool(re.match(r"[A-Z][A-Z0-9]*_", text))


def test_severity_comes_from_the_code() -> None:
    """A warning is no error, an error is one."""
    span = Span(Source("a", "a", "x"), 0, 1)
    assert [Finding(code, "x", span).is_error for code in ("NV010", "NV035")] == [True, False]


# ---- collecting ------------------------------------------------------------------


def _report(*starts: int) -> Report:
    report = Report()
    source = Source("a", "a", "x" * 5000)
    for start in starts:
        report.add("NV010", "unknown register `x`", Span(source, start, start + 1))
    return report


def test_findings_are_kept_once_and_in_order() -> None:
    """The same finding twice is one; the order is that of the text."""
    assert [finding.span.start for finding in _report(7, 3, 7).findings] == [3, 7]


def test_findings_end_with_a_note_when_there_are_too_many() -> None:
    """After the most findings one more says that others are left out."""
    report = _report(*range(MOST_FINDINGS + 50))
    assert len(report.findings) == MOST_FINDINGS + 1
    assert [finding.code for finding in report.findings].count("NV006") == 1
    assert report.is_full


def test_errors_count_after_the_last_place_is_taken() -> None:
    """A report full of warnings still knows that there was an error."""
    report = Report()
    source = Source("a", "a", "x" * 5000)
    for start in range(MOST_FINDINGS):
        report.add("NV035", "control `x` is used by no rule", Span(source, start, start))
    assert not report.has_errors
    report.add("NV010", "unknown register `x`", Span(source, 0, 0))
    assert report.has_errors


def test_control_characters_are_spelled_out() -> None:
    """What a terminal would act on is shown, not sent."""
    assert printable("a\x1b[2J\u202eb\n") == r"a\x1b[2J\u202eb\n"


def test_long_texts_are_cut() -> None:
    """A text is never longer than the longest."""
    assert len(printable("x" * 10_000)) == LONGEST_TEXT


def test_suggestion_of_another_case_stands_alone() -> None:
    """A name that differs only in case is suggested and no other."""
    known = ["REVIDR_EL1", "REVIDR_EL2"]
    assert Report().suggest("revidr_el1", known) == "did you mean `REVIDR_EL1`?"


def test_suggestions_are_bounded() -> None:
    """After enough names were compared nothing is suggested any more."""
    report = Report()
    known = [f"R{number}" for number in range(1 << 10)]
    answers = [report.suggest("R1x", known) for _ in range((1 << 9) + 2)]
    assert answers[0]
    assert not answers[-1]
