"""A test run as JSON: every expectation with what decided, and what they reach."""

from __future__ import annotations

from json import dumps

from nvtrap.analysis.testing_coverage import KINDS, figures, percent
from nvtrap.cli.formats.record import place, records

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from nvtrap.analysis.expectations import Decided
    from nvtrap.analysis.testing import Case, Results
    from nvtrap.analysis.testing_coverage import Coverage


def render(results: Results) -> str:
    """The whole document."""
    document = {
        "version": 1,
        "files": results.files,
        "passed": len(results.cases) - results.failed,
        "failed": results.failed,
        "findings": records(results.findings),
        "tests": [_case(case) for case in results.cases],
        "coverage": [_coverage(coverage) for coverage in results.coverages],
    }
    return dumps(document, indent=2) + "\n"


def _case(case: Case) -> dict[str, Any]:
    verdict = case.verdict
    return {
        "name": case.name,
        "table": case.table,
        **place(verdict.expect.span),
        "passed": case.passed,
        "problem": verdict.problem,
        "help": verdict.help,
        "decided": [_decided(decided) for decided in verdict.decided],
    }


def _decided(decided: Decided) -> dict[str, Any]:
    outcome = decided.outcome
    return {
        "direction": "write" if outcome.write else "read",
        "outcome": outcome.outcome,
        "step": outcome.step,
        "by": list(decided.names),
        "rule": str(outcome.place) if outcome.place else None,
    }


def _coverage(coverage: Coverage) -> dict[str, Any]:
    lines: dict[str, dict[str, int]] = {}
    for (file, line), hits in sorted(coverage.lines.items()):
        lines.setdefault(file, {})[str(line)] = hits
    kinds = {kind: _kind(coverage, kind) for kind in KINDS}
    return {"table": coverage.name, **kinds, "lines": lines}


def _kind(coverage: Coverage, kind: str) -> dict[str, Any]:
    reached, there = figures([coverage], kind)
    share = round(percent(reached, there), 2)
    missing = coverage.missing(kind)
    return {"reached": reached, "all": there, "percent": share, "missing": missing}
