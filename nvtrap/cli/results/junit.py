"""A test run as a JUnit report: a suite for each table, a case for each expectation."""

from __future__ import annotations

from nvtrap.cli.formats.xml import attribute, content

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from nvtrap.analysis.testing import Case, Results
    from nvtrap.lang.findings import Finding


def render(results: Results) -> str:
    """The whole document; errors of files are a suite of their own."""
    tables: dict[str, list[Case]] = {}
    for case in results.cases:
        tables.setdefault(case.table, []).append(case)
    suites = [_suite(table, cases) for table, cases in tables.items()]
    if results.findings:
        suites.append(_errors(results.findings))
    counts = _counts(
        len(results.cases) + len(results.findings), results.failed, len(results.findings)
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<testsuites name="nvtrap test" {counts}>\n'
        f"{''.join(suites)}"
        "</testsuites>\n"
    )


def _counts(tests: int, failures: int, errors: int) -> str:
    return f'tests="{tests}" failures="{failures}" errors="{errors}"'


def _suite(table: str, cases: list[Case]) -> str:
    failures = sum(not case.passed for case in cases)
    opening = f"  <testsuite name={attribute(table)} {_counts(len(cases), failures, 0)}>\n"
    return opening + "".join(map(_case, cases)) + "  </testsuite>\n"


def _case(case: Case) -> str:
    verdict = case.verdict
    failed = ""
    if verdict.problem:
        body = f"{verdict.expect.span}: {verdict.problem}"
        body += f"\nhelp: {verdict.help}" if verdict.help else ""
        failed = _element("failure", "NV046", verdict.problem, body)
    return _testcase(case.table, case.name, failed)


def _errors(findings: Sequence[Finding]) -> str:
    opening = f'  <testsuite name="files" {_counts(len(findings), 0, len(findings))}>\n'
    cases = [
        _testcase(
            finding.span.source.display,
            f"{finding.span}: {finding.code}",
            _element("error", finding.code, finding.message, f"{finding.span}: {finding.message}"),
        )
        for finding in findings
    ]
    return opening + "".join(cases) + "  </testsuite>\n"


def _testcase(group: str, name: str, inner: str) -> str:
    opening = f"    <testcase classname={attribute(group)} name={attribute(name)}"
    return f"{opening}>\n{inner}    </testcase>\n" if inner else f"{opening}/>\n"


def _element(tag: str, kind: str, message: str, body: str) -> str:
    attributes = f"type={attribute(kind)} message={attribute(message)}"
    return f"      <{tag} {attributes}>{content(body)}</{tag}>\n"
