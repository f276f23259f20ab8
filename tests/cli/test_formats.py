"""The machine formats of findings, held against what reads them."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes, urlsplit

import pytest

from nvtrap.analysis import Checked, check_paths
from nvtrap.cli.commands.check import FORMATS, render
from nvtrap.lang.findings import CODES
from tests.cli.helpers import BROKEN, DEMO, Nvtrap, loads
from tests.schemas import hold_json, hold_junit, hold_tap

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


def test_equal_findings_have_fingerprints_of_their_own(nvtrap: Nvtrap, tmp_path: Path) -> None:
    """Services drop a second finding with the same one; the first keeps its own."""
    path = tmp_path / "broken.trap"
    path.write_text(BROKEN, encoding="utf-8")
    (alone,) = (finding["fingerprint"] for finding in findings(nvtrap, "broken.trap"))
    path.write_text(BROKEN + "trap TTBR0_EL1 by HCR.TMV\n" * 2, encoding="utf-8")
    several = [finding["fingerprint"] for finding in findings(nvtrap, "broken.trap")]
    assert len(set(several)) == 3
    assert several[0] == alone


def test_a_fingerprint_is_the_same_on_every_machine(
    nvtrap: Nvtrap, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even of a file outside the current folder, where people are shown the whole path."""
    marks = []
    for machine in ("one", "other"):
        (tmp_path / machine / "sub").mkdir(parents=True)
        (tmp_path / machine / "broken.trap").write_text(BROKEN, encoding="utf-8")
        monkeypatch.chdir(tmp_path / machine / "sub")
        marks += [finding["fingerprint"] for finding in findings(nvtrap, "../broken.trap")]
    assert len(marks) == 2
    assert len(set(marks)) == 1


# ---- concise and json-lines -------------------------------------------------------


def test_concise_has_a_line_for_each_finding(nvtrap: Nvtrap, folder: Path) -> None:
    """Place, severity, code and message, with nothing that a terminal would act on."""
    assert folder.is_dir()
    found = findings(nvtrap, ".")
    lines = nvtrap("check", "--format", "concise", ".").out.split("\n")[:-1]
    assert len(lines) == len(found)
    for line, finding in zip(lines, found, strict=True):
        place = f"{finding['file']}:{finding['line']}:{finding['column']}".replace("\n", "\ufffd")
        assert line == f"{place}: {finding['severity']} {finding['code']} {finding['message']}"


def test_json_lines_are_the_records_of_json(nvtrap: Nvtrap, folder: Path) -> None:
    """One a line."""
    assert folder.is_dir()
    lines = nvtrap("check", "--format", "json-lines", ".").lines
    assert list(map(loads, lines)) == findings(nvtrap, ".")


# ---- gitlab and tap ---------------------------------------------------------------


def test_gitlab_has_an_issue_for_each_finding(nvtrap: Nvtrap, folder: Path) -> None:
    """With the fingerprints of the other formats, and no two alike."""
    assert folder.is_dir()
    issues = nvtrap("check", "--format", "gitlab", ".").json()
    hold_json(issues, "gitlab-code-quality.json")
    found = findings(nvtrap, ".")
    assert [issue["fingerprint"] for issue in issues] == [f["fingerprint"] for f in found]
    assert len({issue["fingerprint"] for issue in issues}) == len(issues)
    assert [issue["location"]["path"] for issue in issues] == [f["file"] for f in found]
    for issue, finding in zip(issues, found, strict=True):
        assert issue["severity"] == {"error": "major", "warning": "minor"}[finding["severity"]]
        assert issue["check_name"] == f"{finding['code']} {finding['name']}"
        assert issue["description"].startswith(f"{finding['code']} {finding['message']}")


def test_gitlab_has_relative_paths_for_files_elsewhere(
    nvtrap: Nvtrap, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GitLab takes no others."""
    monkeypatch.chdir(folder / "sub")
    issues = nvtrap("check", "--format", "gitlab", "../sp ace.trap").json()
    assert {issue["location"]["path"] for issue in issues} == {"../sp ace.trap"}


def test_tap_has_a_point_for_each_file(nvtrap: Nvtrap, folder: Path) -> None:
    """Its findings are the diagnostics."""
    assert folder.is_dir()
    points = hold_tap(nvtrap("check", "--format", "tap", ".").out)
    found = findings(nvtrap, ".")
    files = nvtrap("check", "--format", "json", ".").json()["files"]
    assert [name for _, name, _ in points] == [name.replace("\n", "\ufffd") for name in files]
    assert [is_well for is_well, _, _ in points] == [
        all(finding["file"] != name for finding in found) for name in files
    ]
    told = sorted((d["code"], d["message"]) for _, _, details in points for d in details)
    assert told == sorted((finding["code"], finding["message"]) for finding in found)


# ---- every fixture, every format --------------------------------------------------

FIXTURES = Path(__file__).parents[1] / "fixtures" / "findings"
ERRORS = sorted(path.name for path in FIXTURES.glob("err_*.trap"))


def _hold_lines(text: str) -> None:
    assert text.endswith("\n")
    assert text.replace("\n", "").isprintable()


def _hold_commands(text: str) -> None:
    for line in text.splitlines():
        assert re.fullmatch(
            "::(error|warning) title=NV[0-9]{3},file=[^,:]+(,[a-zA-Z]+=[0-9]+){4}::.+", line
        )


HOLDS: dict[str, Callable[[str], object]] = {
    "text": _hold_lines,
    "concise": _hold_lines,
    "json": loads,
    "json-lines": lambda text: [loads(line) for line in text.splitlines()],
    "sarif": lambda text: hold_sarif(loads(text)),
    "junit": hold_junit,
    "github": _hold_commands,
    "gitlab": lambda text: hold_json(loads(text), "gitlab-code-quality.json"),
    "tap": hold_tap,
}


@lru_cache
def checked_fixture(name: str) -> Checked:
    """The findings of a fixture, checked once for all formats."""
    return check_paths([name])


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("name", ERRORS)
def test_every_format_is_sound_whatever_is_wrong(
    monkeypatch: pytest.MonkeyPatch, name: str, form: str
) -> None:
    """Also when the file cannot be read or parsed; each tells every finding's message."""
    monkeypatch.chdir(FIXTURES)
    checked = checked_fixture(name)
    text = render(checked, form)
    HOLDS[form](text)
    assert all(finding.code in text for finding in checked.findings)
    assert str(FIXTURES) not in text


def test_several_formats_in_one_run_are_what_each_prints(nvtrap: Nvtrap, folder: Path) -> None:
    """All of them at once."""
    words = [word for form in FORMATS for word in ("--output", f"{form}=out/{form}")]
    nvtrap("check", ".", "--format", "json", *words)
    for form in FORMATS:
        printed = nvtrap("check", ".", "--format", form).out
        written = (folder / "out" / form).read_text(encoding="utf-8")
        if form != "text":  # printed for a terminal: half characters and the like are replaced
            assert written == printed
        assert written
    assert sorted(os.listdir(folder / "out")) == sorted(FORMATS)


# ---- sarif ------------------------------------------------------------------------


def path_of(uri: str) -> str:
    """The path that a SARIF location means."""
    parts = urlsplit(uri)
    assert (parts.netloc, parts.query, parts.fragment) == ("", "", "")
    assert parts.path.startswith("/") == (parts.scheme == "file")
    return unquote_to_bytes(parts.path).decode(errors="surrogateescape")


def hold_sarif(log: dict[str, Any]) -> list[str]:
    """Assert what SARIF 2.1.0 asks of a log; the result is the path of each result."""
    hold_json(log, "sarif-2.1.0-reduced.json")
    (run,) = log["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert len({rule["id"] for rule in rules}) == len(rules)
    assert {rule["id"] for rule in rules} <= CODES.keys()
    paths = []
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        related = result.get("relatedLocations", [])
        assert len({place["id"] for place in related}) == len(related)
        for place in (*result["locations"], *related):
            region = place["physicalLocation"]["region"]
            start, end = (
                (region[f"{which}Line"], region[f"{which}Column"]) for which in ("start", "end")
            )
            assert start <= end
            path_of(place["physicalLocation"]["artifactLocation"]["uri"])
        (location,) = result["locations"]
        paths.append(path_of(location["physicalLocation"]["artifactLocation"]["uri"]))
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
    suites = hold_junit(nvtrap("check", "--format", "junit", ".").out)
    (suite,) = suites
    cases = suite.findall("testcase")
    failures = suite.findall("testcase/failure")
    assert len(cases) == len(files)
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
