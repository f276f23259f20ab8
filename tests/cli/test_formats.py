"""The machine formats of findings, held against what reads them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes, urlsplit
from xml.etree import ElementTree as ET

import pytest

from nvtrap.lang.findings import CODES
from tests.cli.helpers import BROKEN, DEMO, Nvtrap

FINDING = {
    "code": str,
    "name": str,
    "severity": str,
    "message": str,
    "help": str,
    "file": str,
    "line": int,
    "column": int,
    "end_line": int,
    "end_column": int,
    "labels": list,
    "fingerprint": str,
}
TWICE = DEMO + "trap TTBR0_EL1 by HCR.TVM\n"
MESSY = BROKEN + "control HCR.ÄÖ😀 traps\n# <&>\"' ]]>\ntrap \x07\x1b[31m\x7f by %0A,:\n"
NAMES = ["plain.trap", "sp ace.trap", "per%20cent,comma:colon.trap", "ünï.trap", "a&<b>\"'.trap"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of files with every kind of trouble, one of them sound."""
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "good.trap").write_text(DEMO, encoding="utf-8")
    (tmp_path / "twice.trap").write_text(TWICE, encoding="utf-8")
    (tmp_path / "messy.trap").write_text(MESSY, encoding="utf-8")
    (tmp_path / "latin.trap").write_bytes(b"\xe9")
    (tmp_path / "new\nline.trap").write_text(BROKEN, encoding="utf-8")
    for name in NAMES:
        (tmp_path / name).write_text(BROKEN, encoding="utf-8")
    return tmp_path


def findings(nvtrap: Nvtrap, *paths: str) -> list[dict[str, Any]]:
    """The findings as JSON tells them."""
    found: list[dict[str, Any]] = nvtrap("check", "--format", "json", *paths).json()["findings"]
    return found


# ---- json -------------------------------------------------------------------------


def test_json_has_every_key(nvtrap: Nvtrap, folder: Path) -> None:
    """The document and each finding have their keys; places lie in their files."""
    assert folder.is_dir()
    document = nvtrap("check", "--format", "json", ".").json()
    assert set(document) >= {"version", "files", "tables", "expectations", "findings"}
    assert document["version"] == 1
    assert len(document["files"]) == len(NAMES) + 5
    assert document["findings"]
    for finding in document["findings"]:
        assert FINDING.keys() <= finding.keys()
        assert all(type(finding[name]) is kind for name, kind in FINDING.items())
        assert finding["code"] in CODES
        assert finding["file"] in document["files"]
        assert 1 <= finding["line"] <= finding["end_line"]
        assert finding["column"] >= 1
        assert re.fullmatch("[0-9a-f]{32}", finding["fingerprint"])


def test_json_of_a_sound_file_has_no_findings(nvtrap: Nvtrap, demo: Path) -> None:
    """But says what was looked at."""
    assert demo.is_dir()
    run = nvtrap("check", "--format", "json", "demo.trap")
    assert run.code == 0
    expected = {"files": ["demo.trap"], "tables": ["demo"], "expectations": 1, "findings": []}
    assert expected.items() <= run.json().items()


def test_labels_have_places(nvtrap: Nvtrap, folder: Path) -> None:
    """A second place that a finding is about is told with its line."""
    assert folder.is_dir()
    labels = [label for finding in findings(nvtrap, "twice.trap") for label in finding["labels"]]
    assert labels
    assert {(label["file"], label["line"]) for label in labels} == {("twice.trap", 8)}
    assert all(label["text"] for label in labels)


def test_a_fingerprint_outlives_lines_above(nvtrap: Nvtrap, tmp_path: Path) -> None:
    """Lines above, spaces and line ends do not change it; code and text do."""
    path = tmp_path / "broken.trap"

    def fingerprints(text: str) -> list[str]:
        path.write_bytes(text.encode())
        return [finding["fingerprint"] for finding in findings(nvtrap, "broken.trap")]

    (first,) = fingerprints(BROKEN)
    assert fingerprints("# a\n\n# b\n" + BROKEN) == [first]
    assert fingerprints(BROKEN.replace("trap TTBR0_EL1 by", "trap   TTBR0_EL1\tby")) == [first]
    assert fingerprints(BROKEN.replace("\n", "\r\n")) == [first]
    assert fingerprints(BROKEN.replace("HCR.TMV", "HCR.TMX")) != [first]
    assert fingerprints(BROKEN.replace("trap TTBR0_EL1", "trap TTBR1_EL1")) != [first]


# ---- sarif ------------------------------------------------------------------------


def hold_location(location: dict[str, Any]) -> str:
    """Assert what SARIF says of a location; the result is its path."""
    physical = location["physicalLocation"]
    uri = physical["artifactLocation"]["uri"]
    assert re.fullmatch(r"(?:[A-Za-z0-9._~/-]|%[0-9A-F]{2}|file://(?=/))+", uri)
    parts = urlsplit(uri)
    assert (parts.scheme, parts.netloc, parts.query, parts.fragment) in (
        ("", "", "", ""),
        ("file", "", "", ""),
    )
    assert parts.path.startswith("/") == (parts.scheme == "file")
    region = physical["region"]
    assert set(region) == {"startLine", "startColumn", "endLine", "endColumn"}
    assert all(type(number) is int and number >= 1 for number in region.values())
    start, end = (
        (region["startLine"], region["startColumn"]),
        (region["endLine"], region["endColumn"]),
    )
    assert start <= end
    return unquote_to_bytes(parts.path).decode()


def hold_sarif(log: dict[str, Any]) -> list[str]:
    """Assert what SARIF 2.1.0 asks of a log; the result is the path of each result."""
    assert log["$schema"].endswith("sarif-2.1.0.json")
    assert log["version"] == "2.1.0"
    (run,) = log["runs"]
    assert run["columnKind"] in ("unicodeCodePoints", "utf16CodeUnits")
    driver = run["tool"]["driver"]
    assert driver["name"] == "nvtrap"
    assert driver["version"]
    rules = driver["rules"]
    assert len({rule["id"] for rule in rules}) == len(rules)
    for rule in rules:
        assert rule["id"] in CODES
        assert rule["name"].isalnum()
        assert rule["shortDescription"]["text"]
        assert rule["defaultConfiguration"]["level"] in ("error", "warning")
    paths = []
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["level"] in ("error", "warning", "note", "none")
        assert result["message"]["text"]
        assert all(isinstance(text, str) for text in result["partialFingerprints"].values())
        (location,) = result["locations"]
        paths.append(hold_location(location))
        related = result.get("relatedLocations", [])
        assert len({place["id"] for place in related}) == len(related)
        for place in related:
            assert place["message"]["text"]
            hold_location(place)
    return paths


def test_sarif_is_sarif(nvtrap: Nvtrap, folder: Path) -> None:
    """A log has what the standard asks, and a result for each finding, at its file."""
    assert folder.is_dir()
    paths = hold_sarif(nvtrap("check", "--format", "sarif", ".").json())
    assert paths == [finding["file"] for finding in findings(nvtrap, ".")]
    assert {*NAMES, "new\nline.trap", "messy.trap"} <= set(paths)


def test_sarif_of_a_sound_file_is_empty(nvtrap: Nvtrap, demo: Path) -> None:
    """Its run has no results and no rules."""
    assert demo.is_dir()
    assert hold_sarif(nvtrap("check", "--format", "sarif", "demo.trap").json()) == []


def test_sarif_names_files_elsewhere_absolutely(
    nvtrap: Nvtrap, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As URIs of their own; the folder above makes them relative."""
    monkeypatch.chdir(folder / "sub")
    log = nvtrap("check", "--format", "sarif", "../sp ace.trap").json()
    assert hold_sarif(log) == [str(folder / "sp ace.trap")]
    monkeypatch.chdir(folder.parent)
    log = nvtrap("check", "--format", "sarif", str(folder / "sp ace.trap")).json()
    assert hold_sarif(log) == [f"{folder.name}/sp ace.trap"]


# ---- junit ------------------------------------------------------------------------


def test_junit_is_xml_with_right_counts(nvtrap: Nvtrap, folder: Path) -> None:
    """A case for each file, a failure where something was found, whatever was found."""
    assert folder.is_dir()
    found = findings(nvtrap, ".")
    files = nvtrap("check", "--format", "json", ".").json()["files"]
    bad = {finding["file"] for finding in found}
    suites = ET.fromstring(nvtrap("check", "--format", "junit", ".").out.encode())  # noqa: S314
    assert suites.tag == "testsuites"
    (suite,) = suites
    cases = suite.findall("testcase")
    failures = suite.findall("testcase/failure")
    for counted in (suites, suite):
        assert counted.get("tests") == str(len(cases)) == str(len(files))
        assert counted.get("failures") == str(len(failures)) == str(len(bad))
        assert counted.get("errors") == "0"
    assert {case.get("name") for case in cases if case.find("failure") is not None} == bad
    text = "".join(failure.text or "" for failure in failures)
    assert all(f"{finding['code']} " in text for finding in found)
    assert text.count(": error ") + text.count(": warning ") == len(found)


# ---- github -----------------------------------------------------------------------


def unescaped(text: str) -> str:
    """What GitHub makes of a value."""
    return unquote_to_bytes(text).decode()


def test_github_has_a_command_for_each_finding(nvtrap: Nvtrap, folder: Path) -> None:
    """On one line, with values escaped so that they come back as they were."""
    assert folder.is_dir()
    run = nvtrap("check", "--format", "github", ".")
    found = findings(nvtrap, ".")
    lines = run.out.split("\n")[:-1]
    assert len(lines) == len(found)
    for line, finding in zip(lines, found, strict=True):
        _, command, message = line.split("::", 2)
        severity, _, shown = command.partition(" ")
        properties = dict(pair.split("=", 1) for pair in shown.split(","))
        assert severity == finding["severity"]
        assert {name: unescaped(value) for name, value in properties.items()} == {
            "title": finding["code"],
            "file": finding["file"],
            "line": str(finding["line"]),
            "col": str(finding["column"]),
            "endLine": str(finding["end_line"]),
            "endColumn": str(finding["end_column"]),
        }
        assert not set("%\r\n:,") & set(re.sub("%[0-9A-F]{2}", "", properties["file"]))
        said, _, helped = unescaped(message).partition("\nhelp: ")
        assert (said, helped) == (finding["message"], finding["help"])


def test_github_says_nothing_of_a_sound_file(nvtrap: Nvtrap, demo: Path) -> None:
    """No finding, no line."""
    assert demo.is_dir()
    assert nvtrap("check", "--format", "github", "demo.trap").out == ""
