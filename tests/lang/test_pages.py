"""The examples of the language's pages do what the pages say."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from nvtrap.analysis.expectations import check_expectations
from nvtrap.compile import compile_text
from nvtrap.engine import Table
from nvtrap.lang.findings import Finding, Report
from nvtrap.places import grammar_root
from nvtrap.table.file import unpack

FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def _page(name: str) -> str:
    return Path(grammar_root(), name).read_text(encoding="utf-8")


def _prelude(page: str) -> str:
    """The first example of a page, which the others may lean on."""
    match = FENCE.search(page)
    assert match is not None
    return match[2]


def _findings(prelude: str, example: str) -> list[Finding]:
    """What is found in `example`, behind the prelude unless it brings a table of its own."""
    if "use table" in example:
        prelude = ""
    compilation = compile_text(prelude + example)
    report = Report()
    for finding in compilation.findings:
        report.include(finding)
    if compilation.blob:
        check_expectations(compilation.expectations, unpack(compilation.blob, Table), report)
    first = prelude.count("\n") + 1
    return [finding for finding in report.findings if finding.span.line >= first]


def _told(findings: list[Finding]) -> list[str]:
    return [f"{finding.span.text}: {finding.code} {finding.message}" for finding in findings]


# ---- README.md: every example compiles -------------------------------------------


def _examples() -> Iterator[tuple[str, str]]:
    """(heading, text) of each example of the reference page but the prelude."""
    page = _page("README.md")
    for match in list(FENCE.finditer(page))[1:]:
        if match[1] == "trap":
            heading = re.findall(r"^#+ (.*)$", page[: match.start()], re.MULTILINE)[-1]
            yield f"{heading} {match[2].splitlines()[0]}", match[2]


@pytest.mark.parametrize("example", [pytest.param(text, id=name) for name, text in _examples()])
def test_example_of_the_reference_compiles(example: str) -> None:
    """An example of the reference has no finding but controls that it does not use."""
    found = _findings(_prelude(_page("README.md")), example)
    assert _told([finding for finding in found if finding.code != "NV035"]) == []


# ---- findings.md: what to avoid and to prefer -------------------------------------


def _sections() -> Iterator[tuple[str, str, str]]:
    """(code, Avoid, Prefer) of each finding whose examples are rule text."""
    for section in _page("findings.md").split("\n## ")[1:]:
        avoid, prefer = FENCE.findall(section)
        if avoid[0] == "trap":
            yield section[:5], avoid[1], prefer[1]


@pytest.mark.parametrize(
    ("code", "avoid", "prefer"), list(_sections()), ids=lambda value: value[:5]
)
def test_examples_of_a_finding(code: str, avoid: str, prefer: str) -> None:
    """What to avoid gives the finding and no other, what to prefer gives none."""
    prelude = _prelude(_page("findings.md"))
    assert {finding.code for finding in _findings(prelude, avoid)} == {code}
    assert _told(_findings(prelude, prefer)) == []
