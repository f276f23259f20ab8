"""The examples of the language's pages do what the pages say."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from nvtrap.analysis.expectations import check_expectations
from nvtrap.compile import (
    Loader,
    catalogue,
    checks,
    compile_program,
    controls,
    expressions,
    lower,
    program,
    rules,
)
from nvtrap.engine import Table
from nvtrap.lang import builder, findings, indexes, parse
from nvtrap.lang.findings import Finding, Report
from nvtrap.places import grammar_root
from nvtrap.table import file
from nvtrap.table.file import unpack

# Parses the catalogue once for all examples.
LOADER = Loader()
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
    compilation = compile_program(LOADER.load_text(prelude + example, "text", "."))
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


# ---- README.md: the limits ---------------------------------------------------------

LIMITS = [
    builder.DEEPEST,
    builder.LONGEST_NAME,
    catalogue.MOST_FEATURES,
    catalogue.MOST_FIELDS,
    catalogue.MOST_LAYOUTS,
    file.MOST_NAMED,
    catalogue.MOST_PROFILES,
    catalogue.MOST_REGISTERS,
    checks.MOST_SLOTS,
    controls.MOST_MEMBERS,
    expressions.DEEPEST,
    expressions.DEEPEST_CONTEXT,
    expressions.MOST_COMPARISONS,
    expressions.MOST_IN_ONE,
    expressions.MOST_LAYOUTS,
    findings.MOST_FINDINGS,
    indexes.MOST_ELEMENTS,
    lower.MOST_RULES,
    parse.MOST_SYNTAX_FINDINGS,
    program.DEEPEST,
    program.LONGEST_PATH,
    program.MOST_BYTES >> 20,
    program.MOST_BYTES_IN_ALL >> 20,
    program.MOST_FILES,
    program.MOST_USES,
    rules.MOST_ENCODINGS_NAMED,
]


def test_limits_are_those_of_the_code() -> None:
    """The table of limits has every bound and no other number."""
    section = _page("README.md").partition("\n## Limits\n")[2].replace("UTF-8", "")
    told = {int(number.replace(",", "")) for number in re.findall(r"\b\d[\d,]*\b", section)}
    assert told - {64} == set(LIMITS) - {64}


def test_links_lead_somewhere() -> None:
    """Every link within the pages has its heading."""
    for name in ("README.md", "findings.md"):
        for page, anchor in re.findall(r"\]\(([\w.]*)#([\w-]+)\)", _page(name)):
            headings = re.findall(r"^#+ (.*)$", _page(page or name), re.MULTILINE)
            slugs = {re.sub(r"[^\w -]", "", text.lower()).replace(" ", "-") for text in headings}
            assert anchor in slugs
