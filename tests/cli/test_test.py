"""`nvtrap test`: what is printed and written, and how it ends."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from nvtrap.cli.commands.test import FORMATS
from tests.cli.helpers import BROKEN, DEMO, ROOT, Nvtrap, loads
from tests.schemas import hold_junit, hold_tap

MORE = """\
use "demo.trap"
expect read  TTBR0_EL1 local when HCR_EL2.TVM = 1
expect write TTBR0_EL1 local when HCR_EL2.TVM = 1
"""
FAILURE = """\
more.trap:3:8: error NV046 expected local, the write is forward by `HCR.TVM` (demo.trap:8)
    3 | expect write TTBR0_EL1 local when HCR_EL2.TVM = 1
      |        ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
"""
NAMES = [
    "demo.trap:9: write TTBR0_EL1 forward by HCR.TVM when HCR_EL2.TVM = 1",
    "more.trap:2: read TTBR0_EL1 local when HCR_EL2.TVM = 1",
    "more.trap:3: write TTBR0_EL1 local when HCR_EL2.TVM = 1",
]
RECORD = re.compile(r"TN:nvtrap\nSF:(.+)\n((?:DA:\d+,\d+\n)*)LF:(\d+)\nLH:(\d+)\nend_of_record\n")


@pytest.fixture
def more(demo: Path) -> Path:
    """A folder with a table and a test file, of whose expectations one is not met."""
    (demo / "more.trap").write_text(MORE, encoding="utf-8")
    return demo


def hold_lcov(text: str) -> dict[str, dict[int, int]]:
    """Assert that a text is an lcov tracefile; the result has the hits of each line."""
    assert RECORD.sub("", text) == ""
    files = {}
    for found in RECORD.finditer(text):
        pairs = [line[3:].split(",") for line in found[2].splitlines()]
        files[found[1]] = {int(line): int(hits) for line, hits in pairs}
        assert len(pairs) == len(files[found[1]]) == int(found[3])
        assert sum(bool(hits) for hits in files[found[1]].values()) == int(found[4])
    return files


# ---- text -------------------------------------------------------------------------


def test_all_expectations_are_met(nvtrap: Nvtrap, demo: Path) -> None:
    """The counts, and 0."""
    assert demo.is_dir()
    run = nvtrap("test", "demo.trap")
    assert (run.code, run.out, run.err) == (0, "1 passed, 0 failed\n", "")


def test_one_is_not_met(nvtrap: Nvtrap, more: Path) -> None:
    """What `check` says of it, the counts, and 1."""
    assert more.is_dir()
    run = nvtrap("test", "demo.trap", "more.trap")
    assert (run.code, run.out, run.err) == (1, FAILURE + "2 passed, 1 failed\n", "")
    assert nvtrap("check", "more.trap").out.startswith(FAILURE)


def test_only_the_wanted_are_run(nvtrap: Nvtrap, more: Path) -> None:
    """By file, line or text."""
    assert more.is_dir()
    for pattern in ("more.trap:2:", " read ", "^m.*read"):
        assert nvtrap("test", ".", "--run", pattern).out == "1 passed, 0 failed\n"


def test_nothing_to_run_is_a_failure_if_one_says_so(nvtrap: Nvtrap, demo: Path) -> None:
    """A gate that tests nothing should not be green."""
    assert demo.is_dir()
    words = ("test", "demo.trap", "--run", "nothing")
    assert nvtrap(*words).code == 0
    run = nvtrap(*words, "--fail-on-empty")
    assert (run.code, run.out) == (1, "0 passed, 0 failed\n")
    assert run.err == "nvtrap: no expectation was run\n"
    assert nvtrap("test", "demo.trap", "--fail-on-empty").code == 0


def test_a_file_with_errors_is_told(nvtrap: Nvtrap, more: Path) -> None:
    """The others are run; the end is 1."""
    (more / "broken.trap").write_text(BROKEN, encoding="utf-8")
    run = nvtrap("test", "broken.trap", "demo.trap")
    assert run.code == 1
    assert run.lines[0] == "broken.trap:8:19: error NV012 unknown control `HCR.TMV`"
    assert run.lines[-2:] == [
        "expectations of files with errors were not run",
        "1 passed, 0 failed",
    ]


def test_coverage_has_figures_and_lines(nvtrap: Nvtrap, demo: Path) -> None:
    """Of each table: of each kind, and the lines that nothing reaches."""
    rules = "control HCR.TRVM traps read when HCR_EL2.TRVM == 1\ntrap TTBR1_EL1 by HCR.TRVM\n"
    (demo / "demo.trap").write_text(DEMO + rules, encoding="utf-8")
    lines = nvtrap("test", "demo.trap", "--coverage").lines
    assert lines[0] == "coverage of demo"
    assert [line[:31] for line in lines[1:5]] == [
        "  rules          1 of 2      50",
        "  controls       1 of 2      50",
        "  directions     1 of 2      50",
        "  encodings      1 of 2      50",
    ]
    assert lines[5:] == ["  demo.trap: 10-11", "1 passed, 0 failed"]


# ---- thresholds -------------------------------------------------------------------


@pytest.mark.parametrize(
    "thresholds",
    [["100"], ["rules=100", "encodings=100"], ["0", "directions=0"], ["controls=99.5"]],
)
def test_thresholds_that_are_met(nvtrap: Nvtrap, demo: Path, thresholds: list[str]) -> None:
    """Nothing is said."""
    assert demo.is_dir()
    words = [word for threshold in thresholds for word in ("--threshold", threshold)]
    run = nvtrap("test", "demo.trap", *words)
    assert (run.code, run.err) == (0, "")


def test_thresholds_that_are_missed(nvtrap: Nvtrap, demo: Path) -> None:
    """Each is told on standard error, whatever is printed; only what is run counts."""
    assert demo.is_dir()
    words = ("--threshold", "50", "--threshold", "encodings=0.1", "--run", "nothing")
    for form in FORMATS:
        run = nvtrap("test", "demo.trap", *words, "--format", form)
        assert run.code == 1
        assert run.err.splitlines() == [
            "nvtrap: expectations reach 0 of 1 rules (0.0%), less than 50%",
            "nvtrap: expectations reach 0 of 1 encodings (0.0%), less than 0.1%",
        ]


# ---- the machine formats ----------------------------------------------------------


def test_tap_has_a_point_for_each_expectation(nvtrap: Nvtrap, more: Path) -> None:
    """With what was wrong below it."""
    assert more.is_dir()
    points = hold_tap(nvtrap("test", ".", "--format", "tap").out)
    assert [(is_well, name) for is_well, name, _ in points] == [
        (True, NAMES[0]),
        (True, NAMES[1]),
        (False, NAMES[2]),
    ]
    (detail,) = points[2][2]
    assert detail["line"] == 3
    assert detail["message"].startswith("expected local, ")


def test_junit_has_a_case_for_each_expectation(nvtrap: Nvtrap, more: Path) -> None:
    """In a suite for each table, and errors of files in one of their own."""
    (more / "broken.trap").write_text(BROKEN, encoding="utf-8")
    root = hold_junit(nvtrap("test", ".", "--format", "junit").out)
    assert [suite.get("name") for suite in root] == ["demo", "files"]
    assert [case.get("name") for case in root[0]] == NAMES
    assert [len(case) for case in root[0]] == [0, 0, 1]
    assert "expected local" in (root[0][2][0].text or "")
    (error,) = root[1].iter("error")
    assert error.get("type") == "NV012"


def test_json_says_what_decided(nvtrap: Nvtrap, more: Path) -> None:
    """For each direction, with the rule, and what all of them reach."""
    assert more.is_dir()
    document = nvtrap("test", ".", "--format", "json").json()
    assert (document["version"], document["passed"], document["failed"]) == (1, 2, 1)
    assert document["files"] == ["demo.trap", "more.trap"]
    assert [test["name"] for test in document["tests"]] == NAMES
    assert document["tests"][0]["decided"] == [
        {
            "direction": "write",
            "outcome": "forward",
            "step": "coarse",
            "by": ["HCR.TVM"],
            "rule": "demo.trap:8",
        }
    ]
    (coverage,) = document["coverage"]
    everything = {"reached": 1, "all": 1, "percent": 100.0, "missing": []}
    for kind in ("rules", "controls", "directions", "encodings"):
        assert coverage[kind] == everything
    assert coverage["lines"] == {"demo.trap": {"7": 1, "8": 1}}


def test_lcov_has_the_lines_of_rules_and_controls(nvtrap: Nvtrap, more: Path) -> None:
    """What is not met reaches nothing."""
    assert more.is_dir()
    text = nvtrap("test", ".", "--format", "lcov").out
    assert hold_lcov(text) == {"demo.trap": {7: 1, 8: 1}}
    text = nvtrap("test", ".", "--format", "lcov", "--run", "more").out
    assert hold_lcov(text) == {"demo.trap": {7: 0, 8: 0}}


def test_lcov_of_the_shipped_rules_names_lines_that_say_something(nvtrap: Nvtrap) -> None:
    """Each is a line of a rule, a control or a deliberate gap, as far as one line tells."""
    path = str(ROOT / "rules" / "linux" / "6.12")
    files = hold_lcov(nvtrap("test", path, "--format", "lcov").out)
    assert len(files) > 10
    for name, lines in files.items():
        text = (ROOT / name).read_text(encoding="utf-8").splitlines()
        for number in lines:
            assert re.search(r"\b(by|fine|control|condition|local)\b", text[number - 1])


def test_several_outputs_in_one_run(nvtrap: Nvtrap, more: Path) -> None:
    """Each is what its format prints."""
    words = [word for form in FORMATS for word in ("--output", f"{form}=out/{form}")]
    assert nvtrap("test", ".", *words).code == 1
    for form in FORMATS:
        printed = nvtrap("test", ".", "--format", form).out
        assert (more / "out" / form).read_text(encoding="utf-8") == printed


HOLDS: dict[str, Callable[[str], object]] = {
    "text": str,
    "tap": hold_tap,
    "junit": hold_junit,
    "json": loads,
    "lcov": hold_lcov,
}


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize(
    "text",
    [b"caf\xe9", b"a\0b", b"trap trap", b"trap \x1b[31m ]]>", b"", BROKEN.encode(), DEMO.encode()],
)
def test_every_format_is_sound_whatever_a_file_says(
    nvtrap: Nvtrap, tmp_path: Path, form: str, text: bytes
) -> None:
    """Be it no rule file at all, under a name that has everything."""
    (tmp_path / "a #\\<&>\"' \n%.trap").write_bytes(text)
    run = nvtrap("test", ".", "--format", form, "--coverage")
    assert (run.code, run.err) == (0 if text in (b"", DEMO.encode()) else 1, "")
    HOLDS[form](run.out)
    assert "\x1b" not in run.out


# ---- what goes wrong --------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ([], "the following arguments are required: PATH"),
        (["missing.trap"], "`missing.trap` does not exist"),
        (["demo.trap", "--run", "("], "`(` is no regular expression: "),
        (["demo.trap", "--format", "sarif"], "`sarif` is no value for `--format`"),
        (["demo.trap", "--output", "juint=x"], "did you mean `junit`?"),
        (["demo.trap", "--threshold", "rule=5"], "did you mean `rules`?"),
        (["demo.trap", "--threshold", "many"], "`many` is no percentage"),
        (["demo.trap", "--threshold", "101"], "`101` is no percentage"),
        (["demo.trap", "--threshold", "nan"], "`nan` is no percentage"),
        (["demo.trap", "--threshold", "rules="], "`` is no percentage"),
    ],
)
def test_a_run_that_cannot_be_ends_with_2(
    nvtrap: Nvtrap, demo: Path, words: list[str], problem: str
) -> None:
    """Which is told apart from expectations that are not met."""
    assert demo.is_dir()
    run = nvtrap("test", *words)
    assert (run.code, run.out) == (2, "")
    assert problem in run.err
