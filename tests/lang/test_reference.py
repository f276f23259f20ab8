"""The language's reference page: its examples compile, and it leaves out nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from nvtrap.analysis.expectations import check_expectations
from nvtrap.compile import (
    catalogue,
    checks,
    compile_text,
    controls,
    expressions,
    lower,
    program,
    rules,
)
from nvtrap.engine import STEPS, Table
from nvtrap.lang import builder, findings, indexes, parse
from nvtrap.lang.findings import CODES, Finding, Report
from nvtrap.lang.grammar import grammar_text
from nvtrap.places import grammar_root
from nvtrap.table import file
from nvtrap.table.file import unpack

PAGE = Path(grammar_root(), "README.md").read_text(encoding="utf-8")
FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#{2,} (.*)$", re.MULTILINE)
TABLE = re.compile(r"^\| --- .*\n((?:\|.*\n)+)", re.MULTILINE)

PRELUDE, *EXAMPLES = FENCE.finditer(PAGE)

# What the rows of the table of limits begin with, up to a comma or bracket.
LIMITS = {
    "a file": program.MOST_BYTES,
    "all files of a program": program.MOST_BYTES_IN_ALL,
    "files of a program": program.MOST_FILES,
    "levels of `use`": program.DEEPEST,
    "`use` statements of a program": program.MOST_USES,
    "characters of a path in `use`": program.LONGEST_PATH,
    "characters of a name": builder.LONGEST_NAME,
    "levels of an expression": builder.DEEPEST,
    "levels of an expression with its contexts": expressions.DEEPEST,
    "contexts inside one another": expressions.DEEPEST_CONTEXT,
    "comparisons of an expression": expressions.MOST_IN_ONE,
    "comparisons of all expressions": expressions.MOST_COMPARISONS,
    "layouts of a register": catalogue.MOST_LAYOUTS,
    "combined layouts of the fields of an expression": expressions.MOST_LAYOUTS,
    "elements of an array": indexes.MOST_ELEMENTS,
    "registers and instructions": catalogue.MOST_REGISTERS,
    "fields of all registers": catalogue.MOST_FIELDS,
    "instructions without an encoding": file.MOST_NAMED,
    "features": catalogue.MOST_FEATURES,
    "profiles": catalogue.MOST_PROFILES,
    "members of a combo": controls.MOST_MEMBERS,
    "encodings named by all rules": rules.MOST_ENCODINGS_NAMED,
    "bytes of memory behind VNCR_EL2": builder.MOST_MEMORY,
    "different rules of a table": lower.MOST_RULES,
    "registers and features that a table reads": checks.MOST_SLOTS,
    "syntax errors that are reported of a file": parse.MOST_SYNTAX_FINDINGS,
    "findings": findings.MOST_FINDINGS,
}


def _section(heading: str) -> str:
    """The text below a heading, up to the next one of its level or above."""
    match = re.search(rf"^(#+) {re.escape(heading)}$", PAGE, re.MULTILINE)
    assert match is not None, heading
    rest = PAGE[match.end() :]
    return re.split(rf"^#{{1,{len(match[1])}}} ", rest, maxsplit=1, flags=re.MULTILINE)[0]


def _rows(heading: str) -> list[list[str]]:
    """The cells of the first table of a section, row by row, without its head."""
    match = TABLE.search(_section(heading))
    assert match is not None, heading
    return [row[2:-2].split(" | ") for row in match[1].splitlines()]


# ---- examples ----------------------------------------------------------------------


def _headed() -> Iterator[tuple[str, str]]:
    """(heading and first line, text) of each example."""
    for match in EXAMPLES:
        heading = HEADING.findall(PAGE, 0, match.start())[-1]
        yield f"{heading}: {match[2].splitlines()[0]}", match[2]


def _findings(example: str) -> Iterator[Finding]:
    """What is found in an example, and in the prelude but that it does not use a control."""
    prelude = "" if "use table" in example else PRELUDE[2]
    compilation = compile_text(prelude + example)
    report = Report()
    for finding in compilation.findings:
        report.include(finding)
    if compilation.blob:
        check_expectations(compilation.expectations, unpack(compilation.blob, Table), report)
    own = prelude.count("\n") + 1
    for finding in report.findings:
        if finding.span.line >= own or finding.code != "NV035":
            yield finding


def test_every_fence_is_an_example() -> None:
    """All fences are rule text, and none was left open."""
    assert {match[1] for match in FENCE.finditer(PAGE)} == {"trap"}
    assert PAGE.count("```") == 2 * (1 + len(EXAMPLES))


@pytest.mark.parametrize("example", [pytest.param(text, id=name) for name, text in _headed()])
def test_example_compiles(example: str) -> None:
    """An example has no finding, and its expectations hold."""
    told = [f"{found.span.text}: {found.code} {found.message}" for found in _findings(example)]
    assert told == []


# ---- completeness --------------------------------------------------------------------


def _alternatives(rule: str) -> list[str]:
    """The rules among which a rule of the grammar chooses."""
    match = re.search(rf"^{rule}:((?:.*\n)(?:\s+\|.*\n)*)", grammar_text(), re.MULTILINE)
    assert match is not None, rule
    return re.findall(r"\w+", match[1])


def _words(rule: str) -> str:
    """The words with which a rule of the grammar begins."""
    match = re.search(rf'^{rule}: ((?:"[^"]+" ?)+)', grammar_text(), re.MULTILINE)
    assert match is not None, rule
    return " ".join(re.findall(r'"([^"]+)"', match[1]))


def _anchor(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading).lower().replace(" ", "-")


def test_every_statement_has_its_row_and_section() -> None:
    """The table of statements has each statement of the grammar once, with a link."""
    rows = [re.match(r"\[`([\w ]+)[^`]*`\]\(#([\w-]+)\)", row[0]) for row in _rows("Statements")]
    links = {match[1].strip(): match[2] for match in rows if match is not None}
    assert len(links) == len(rows)
    statements = _alternatives("_statement")
    assert len(statements) == len(links)
    for rule in statements:
        words = _words(rule)
        said = [name for name in links if f"{name} ".startswith(f"{words} ")]
        assert len(said) == 1, words


def test_every_statement_has_an_example() -> None:
    """Each statement of the grammar begins a line of an example."""
    text = "".join(match[2] for match in EXAMPLES)
    for rule in _alternatives("_statement"):
        assert re.search(rf"^{_words(rule)} ", text, re.MULTILINE), rule


def test_every_clause_of_a_table_has_its_row() -> None:
    """The clauses of the grammar and those of the page are the same."""
    rows = [row[0] for row in _rows("table")]
    clauses = [_words(rule) for rule in _alternatives("_clause")]
    assert len(rows) == len(clauses)
    for words in clauses:
        assert [row for row in rows if row.startswith(f"`{words} ")], words


def test_every_step_of_a_decision_has_its_row() -> None:
    """The steps are those of the engine."""
    rows = [row[0].strip("`") for row in _rows("How an access is decided")]
    assert sorted(rows) == sorted(STEPS)


def test_every_link_leads_somewhere() -> None:
    """Links within the page have their heading."""
    anchors = {_anchor(heading) for heading in HEADING.findall(PAGE)}
    assert {link for link in re.findall(r"\]\(#([\w-]+)\)", PAGE) if link not in anchors} == set()


# ---- limits ----------------------------------------------------------------------------


def _value(text: str) -> int:
    """A number as the page writes it: `4,096`, `1 MiB`."""
    number, _, unit = text.partition(" ")
    return int(number.replace(",", "")) << {"": 0, "MiB": 20}[unit]


def test_limits_are_those_of_the_code() -> None:
    """The table of limits has each limit with its number."""
    said = {re.split(r",| \(", row[0])[0]: _value(row[1]) for row in _rows("Limits")}
    assert said == LIMITS


def test_limits_name_a_finding() -> None:
    """What exceeds a limit is reported under a code that exists."""
    assert {row[2] for row in _rows("Limits")} <= set(CODES)
