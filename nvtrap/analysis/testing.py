"""Running expectations as tests: of rule files, and of files that only use a table."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from nvtrap.analysis.check import files_at, programs
from nvtrap.analysis.expectations import Verdict, judge
from nvtrap.analysis.testing_coverage import Coverage
from nvtrap.compile import compile_program
from nvtrap.compile.program import Program
from nvtrap.engine import Table
from nvtrap.errors import UsageError
from nvtrap.lang import nodes
from nvtrap.lang.findings import Finding, Report, printable
from nvtrap.places import display_path
from nvtrap.table.file import unpack


class Case:
    """One expectation that was run: the name of its `table`, and its `verdict`."""

    __slots__ = ("table", "verdict")

    def __init__(self, table: str, verdict: Verdict) -> None:
        self.table = table
        self.verdict = verdict

    @property
    def passed(self) -> bool:
        """Whether the table does what is expected."""
        return not self.verdict.problem

    @property
    def name(self) -> str:
        """The name of the expectation, see `name_of`."""
        return name_of(self.verdict.expect)


class Results:
    """What came of a run.

    `findings` are the errors of files that could not be run, `files` those that were
    looked at, `coverages` what the met expectations reach, a table each.
    """

    __slots__ = ("cases", "coverages", "files", "findings")

    def __init__(
        self,
        cases: Sequence[Case],
        findings: Sequence[Finding],
        files: Sequence[str],
        coverages: Sequence[Coverage],
    ) -> None:
        self.cases = cases
        self.findings = findings
        self.files = files
        self.coverages = coverages

    @property
    def failed(self) -> int:
        """How many expectations are not met."""
        return sum(not case.passed for case in self.cases)


def name_of(expect: nodes.Expect) -> str:
    """`file:line: read REVIDR_EL1 forward …`, by which it is wanted and reported."""
    span = expect.span
    return f"{span.source.display}:{span.line}: {printable(span.one_line)}"


def run_expectations(paths: Sequence[str], roots: Sequence[str] = (), wanted: str = "") -> Results:
    """Run the expectations of rule files, and of all those below folders.

    `wanted` is a regular expression: only expectations are run in whose `name_of` it
    is found. Raises `InputError` for a path that is not there, `UsageError` for a pattern
    that is none.
    """
    pattern = _pattern(wanted)
    files = files_at(paths)
    report = Report()
    tables = _Tables(report)
    cases: dict[tuple[int, object], Case] = {}
    for program in programs(files, paths, roots, report):
        made = tables.of(program)
        if made is None:
            continue
        table, coverage = made
        for expect in _wanted(program, pattern):
            key = id(coverage), expect.span.key()
            if key in cases:  # of a file that a test file uses
                continue
            verdict = judge(expect, table)
            cases[key] = Case(coverage.name, verdict)
            if not verdict.problem:
                coverage.add(verdict)
    errors = [finding for finding in report.findings if finding.is_error]
    shown = [display_path(path) for path in files]
    return Results(list(cases.values()), errors, shown, tables.coverages)


def _pattern(wanted: str) -> re.Pattern[str]:
    try:
        return re.compile(wanted)
    except (re.error, OverflowError, RecursionError) as error:
        raise UsageError(f"`{wanted}` is no regular expression: {error}") from None


def _wanted(program: Program, pattern: re.Pattern[str]) -> Iterator[nodes.Expect]:
    for expect in program.expectations:
        if pattern.search(name_of(expect)):
            yield expect


class _Tables:
    """Tables by the files that make them: those that only test a table share it."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._made: dict[tuple[str, ...], tuple[Table, Coverage]] = {}

    @property
    def coverages(self) -> list[Coverage]:
        """What is reached of each table, in order of their first use."""
        return [coverage for _, coverage in self._made.values()]

    def of(self, program: Program) -> tuple[Table, Coverage] | None:
        """The table of a program, or None when it has errors, which are reported."""
        key = _key(program)
        if program.report.has_errors or key not in self._made:
            compilation = compile_program(program)
            for finding in compilation.findings:
                self._report.include(finding)
            if not compilation.is_sound:
                return None
            table = unpack(compilation.blob, Table)
            name = compilation.name or program.root.display
            self._made[key] = table, Coverage(table, name)
        return self._made[key]


def _key(program: Program) -> tuple[str, ...]:
    """What a table hangs on: the files with rules, and the one whose clauses count."""
    only_tests = (nodes.Use, nodes.Expect)
    making = [
        file
        for file in program.files
        if not all(isinstance(statement, only_tests) for statement in file.statements)
    ]
    says = [
        file.source.path
        for file in making
        if any(isinstance(statement, nodes.Table) for statement in file.statements)
    ]
    root = program.root.path
    return (root if root in says else "".join(says[-1:]), *(file.source.path for file in making))
