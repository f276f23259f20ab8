"""`nvtrap conform`: verdicts on recorded vectors."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.helpers import VECTORS, Nvtrap, Run, write_lines

TRAP = {"id": 1, "state": {"HCR_EL2": "0x10000"}, "esr": "0x623c0001", "expect": "forward"}


@pytest.fixture
def vectors() -> list[dict[str, Any]]:
    """Recorded traps."""
    with gzip.open(VECTORS, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def conform(nvtrap: Nvtrap, folder: Path, *lines: object) -> Run:
    """The verdicts on some lines."""
    return nvtrap("conform", str(write_lines(folder / "v.jsonl", lines).relative_to(folder)))


def test_the_shipped_table_agrees_with_the_kernel(
    nvtrap: Nvtrap, vectors: list[dict[str, Any]]
) -> None:
    """Every recorded trap passes; the last line has the counts."""
    assert nvtrap("conform", str(VECTORS)) == Run(0, f"{len(vectors)} passed, 0 failed\n", "")


def test_each_failure_has_a_line_with_its_id(
    nvtrap: Nvtrap, tmp_path: Path, vectors: list[dict[str, Any]]
) -> None:
    """Wrong expectations fail, with what was expected and what came."""
    for vector in vectors[::10]:
        vector["expect"] = "undef" if vector["expect"] == "local" else "local"
    wrong = vectors[::10]
    run = conform(nvtrap, tmp_path, *vectors)
    assert run.code == 1
    assert run.lines[-1] == f"{len(vectors) - len(wrong)} passed, {len(wrong)} failed"
    assert len(run.lines) == len(wrong) + 1
    for line, vector in zip(run.lines[:-1], wrong, strict=True):
        assert line.startswith(f"v.jsonl: {vector['id']}: expected {vector['expect']}, got ")


@pytest.mark.parametrize(
    ("line", "name", "problem"),
    [
        ("{", "line 2", "this is not JSON"),
        ("[]", "line 2", "a line is one JSON object"),
        ("{}", "line 2", "no kind of recording has the keys (none)"),
        ({"id": "x", "what": 1}, "x", "no kind of recording has the keys `id`, `what`"),
        ({"id": 5, "esr": "0x0", "state": {}}, "5", "no kind of recording has the keys"),
        ({**TRAP, "id": 9, "esr": "0x0"}, "9", "ESR value `0x0` has EC 0x00"),
        ({**TRAP, "id": 9, "state": {"NO": 1}}, "9", "unknown register `NO`"),
        ({**TRAP, "id": 9, "state": {"HCR_EL2": "x"}}, "9", "`x` is no value for `HCR_EL2`"),
        ({**TRAP, "id": 9, "expect": None}, "9", "expected null, got forward: coarse"),
        ({**TRAP, "id": 9, "expect": ["forward"]}, "9", 'expected ["forward"], got '),
        ({**TRAP, "id": "a\nb", "expect": "no\nway"}, "a�b", "expected no�way, got "),
        ({**TRAP, "id": "\ud800", "expect": "\x1b[31m"}, "�", "expected �[31m, got "),
        ({**TRAP, "id": None, "expect": ""}, "null", "expected , got "),
        ({**TRAP, "id": [1, {}], "expect": ""}, "[1, {}]", "expected , got "),
        ("[" * 100_000, "line 2", "this is not JSON: it is nested too deeply"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_a_line_that_cannot_be_run_fails(
    nvtrap: Nvtrap, tmp_path: Path, line: object, name: str, problem: str
) -> None:
    """On one line, by its id or its number; the others are judged."""
    run = conform(nvtrap, tmp_path, TRAP, line, "", TRAP)
    assert run.code == 1
    assert len(run.lines) == 2
    assert run.lines[0].startswith(f"v.jsonl: {name}: {problem}")
    assert run.lines[1] == "2 passed, 1 failed"


def test_several_files_are_counted_together(nvtrap: Nvtrap, tmp_path: Path) -> None:
    """Failures name their file."""
    write_lines(tmp_path / "a", [TRAP, {**TRAP, "expect": "local"}])
    write_lines(tmp_path / "b", [{**TRAP, "id": 2, "expect": "undef"}, TRAP, TRAP])
    run = nvtrap("conform", "a", "b")
    assert run.code == 1
    assert [line.split(": ")[:2] for line in run.lines[:-1]] == [["a", "1"], ["b", "2"]]
    assert run.lines[-1] == "3 passed, 2 failed"


def test_an_empty_file_passes(nvtrap: Nvtrap, tmp_path: Path) -> None:
    """Nothing was held against anything."""
    assert conform(nvtrap, tmp_path, "", " ") == Run(0, "0 passed, 0 failed\n", "")


def test_standard_input_is_a_file(nvtrap: Nvtrap) -> None:
    """Plain or gzipped."""
    assert nvtrap("conform", "-", stdin=VECTORS.read_bytes()).code == 0


def test_another_table_may_be_held_against_them(nvtrap: Nvtrap, demo: Path, tmp_path: Path) -> None:
    """`--table` replaces the default of each kind."""
    write_lines(tmp_path / "v", [TRAP, {**TRAP, "expect": "local"}])
    run = nvtrap("conform", "v", "--table", str(demo / "demo.trap"))
    assert run.lines[-1] == "1 passed, 1 failed"
    assert "expected forward, got local: no-entry" in run.lines[0]


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["missing"], "`missing` cannot be read: no such file or directory"),
        (["."], "`.` cannot be read: is a directory"),
        (["good", "missing"], "`missing` cannot be read"),
        (["cut.gz"], "`cut.gz` is damaged: it ends too early"),
        (["good", "--table", "nobody"], "unknown table `nobody`"),
        (["good", "--table", "no.trap"], "`no.trap` is no file"),
        ([], "the following arguments are required: FILE"),
    ],
)
def test_what_cannot_be_done_is_told(
    nvtrap: Nvtrap, tmp_path: Path, words: list[str], problem: str
) -> None:
    """A run that failed ends with 2 and no count, it is no verdict."""
    write_lines(tmp_path / "good", [TRAP])
    (tmp_path / "cut.gz").write_bytes(VECTORS.read_bytes()[:-20])
    run = nvtrap("conform", *words)
    assert run.code == 2
    assert problem in run.err
    assert "passed" not in run.out
