"""Findings as SARIF 2.1.0, as code-scanning services take it."""

from __future__ import annotations

import os
from json import dumps
from urllib.parse import quote

from nvtrap import __version__
from nvtrap.cli.formats.record import fingerprints, place
from nvtrap.lang.findings import CODES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from nvtrap.analysis import Checked
    from nvtrap.lang.findings import Finding
    from nvtrap.lang.source import Span

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def render(checked: Checked) -> str:
    """The whole log: one run."""
    used = sorted({finding.code for finding in checked.findings})
    marks = fingerprints(checked.findings)
    run = {
        "tool": {
            "driver": {"name": "nvtrap", "version": __version__, "rules": [_rule(c) for c in used]}
        },
        "columnKind": "unicodeCodePoints",
        "results": [
            _result(finding, used.index(finding.code), mark)
            for finding, mark in zip(checked.findings, marks, strict=True)
        ],
    }
    log = {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}
    return dumps(log, indent=2) + "\n"


def _rule(code: str) -> dict[str, Any]:
    words = CODES[code].name.replace("-", " ")
    return {
        "id": code,
        "name": "".join(word.title() for word in CODES[code].name.split("-")),
        "shortDescription": {"text": words},
        "defaultConfiguration": {"level": CODES[code].severity},
    }


def _result(finding: Finding, index: int, mark: str) -> dict[str, Any]:
    text = f"{finding.message}\nhelp: {finding.help}" if finding.help else finding.message
    result: dict[str, Any] = {
        "ruleId": finding.code,
        "ruleIndex": index,
        "level": finding.severity,
        "message": {"text": text},
        "locations": [_location(finding.span)],
        "partialFingerprints": {"nvtrap/v1": mark},
    }
    if finding.labels:
        result["relatedLocations"] = [
            {"id": number, "message": {"text": label.text}, **_location(label.span)}
            for number, label in enumerate(finding.labels, 1)
        ]
    return result


def _location(span: Span) -> dict[str, Any]:
    at = place(span)
    region = {
        "startLine": at["line"],
        "startColumn": at["column"],
        "endLine": at["end_line"],
        "endColumn": at["end_column"],
    }
    artifact = {"uri": _uri(at["file"])}
    return {"physicalLocation": {"artifactLocation": artifact, "region": region}}


def _uri(path: str) -> str:
    """A path as a URI; relative ones mean the folder in which the check ran."""
    scheme = "file://" if os.path.isabs(path) else ""
    return scheme + quote(os.fsencode(path))
