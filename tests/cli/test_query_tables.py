"""Tables by name and by path: rule files, compiled files, damaged ones, the cache."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from nvtrap.compile import compiled
from nvtrap.table.file import MAGIC
from tests.cli.helpers import BROKEN, DEMO, Nvtrap, Program

ASK = ("query", "-w", "TTBR0_EL1", "--set", "HCR_EL2.TVM=1", "--table")
ANSWER = "write TTBR0_EL1: forward by HCR.TVM (coarse)  demo.trap:8\n"


@pytest.fixture
def table(demo: Path, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """The demo's compiled table."""
    monkeypatch.chdir(demo)
    return compiled("demo.trap")


def test_a_rule_file_is_a_table(nvtrap: Nvtrap, demo: Path) -> None:
    """Any path to it will do, the second time from the cache."""
    assert nvtrap(*ASK, "demo.trap").out == ANSWER
    for path in ("demo.trap", "./demo.trap", str(demo / "demo.trap")):
        assert nvtrap(*ASK, path).out == ANSWER


def test_a_changed_rule_file_is_compiled_again(nvtrap: Nvtrap, demo: Path) -> None:
    """The cache does not outlive the text, even one of the same size and time."""
    path = demo / "demo.trap"
    assert nvtrap(*ASK, "demo.trap").out == ANSWER
    path.write_text(DEMO.replace("trap TTBR0_EL1", "trap TTBR1_EL1"), encoding="utf-8")
    assert " local (no-entry: " in nvtrap(*ASK, "demo.trap").out
    path.write_text("# one more line\n" + DEMO, encoding="utf-8")
    assert nvtrap(*ASK, "demo.trap").out == ANSWER.replace(":8", ":9")


def test_a_compiled_file_is_a_table(nvtrap: Nvtrap, demo: Path, table: bytes) -> None:
    """By its suffix or by how it begins."""
    for name in ("demo.nvtable", "demo.bin"):
        (demo / name).write_bytes(table)
        assert nvtrap(*ASK, name).out == ANSWER


def test_rules_with_errors_are_findings(nvtrap: Nvtrap, demo: Path) -> None:
    """They end with 1 and the place of the first."""
    (demo / "broken.trap").write_text(BROKEN, encoding="utf-8")
    run = nvtrap(*ASK, "broken.trap")
    assert (run.code, run.out) == (1, "")
    assert run.err == "nvtrap: broken.trap:8:19: NV012 unknown control `HCR.TMV`\n"


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("missing.trap", "`missing.trap` is no file"),
        ("missing.nvtable", "`missing.nvtable` is no file"),
        ("./nothing", "`./nothing` is no file"),
        ("./", "`./` is a folder"),
        (".", "unknown table `.`"),
        ("", "unknown table ``"),
        ("linux", "unknown table `linux`"),
        ("linux-6.12 ", "unknown table `linux-6.12 `"),
        ("/dev/null", "`/dev/null` is no file"),
        ("\udcff", "unknown table `�`"),
    ],
)
def test_what_is_no_table_is_told(nvtrap: Nvtrap, name: str, problem: str) -> None:
    """With its name, and 2."""
    run = nvtrap(*ASK, name)
    assert run.code == 2
    assert problem in run.err


def test_a_misspelt_table_gets_a_suggestion(nvtrap: Nvtrap) -> None:
    """The closest shipped table is in the help."""
    assert "did you mean `linux-6.12`" in nvtrap(*ASK, "linux-6.21").err


@pytest.mark.parametrize("length", [0, 1, 13, 14, 15, 19, 30, 40, 100, -1])
def test_a_truncated_table_is_told(nvtrap: Nvtrap, table: bytes, length: int) -> None:
    """However much of it is left."""
    Path("cut.nvtable").write_bytes(table[:length])
    run = nvtrap(*ASK, "cut.nvtable")
    assert run.code == 2
    assert run.err.startswith("nvtrap: `cut.nvtable`: ")


def test_an_altered_table_is_told(nvtrap: Nvtrap, table: bytes) -> None:
    """Any altered byte is noticed."""
    numbers = random.Random(5)
    for _ in range(60):
        damaged = bytearray(table)
        damaged[numbers.randrange(len(MAGIC), len(table))] ^= numbers.randrange(1, 256)
        Path("odd.nvtable").write_bytes(damaged)
        run = nvtrap(*ASK, "odd.nvtable")
        assert run.code == 2
        assert run.err.startswith("nvtrap: `odd.nvtable`: ")


def test_another_files_bytes_are_no_table(nvtrap: Nvtrap) -> None:
    """A file with the suffix of a table that is something else."""
    Path("text.nvtable").write_text("a text", encoding="utf-8")
    assert "`text.nvtable`: this is not a compiled table" in nvtrap(*ASK, "text.nvtable").err


def test_a_damaged_cache_is_made_again(nvtrap: Nvtrap, demo: Path, cache_of_tests: Path) -> None:
    """With a warning, and the same answer."""
    assert demo.is_dir()
    before = {path: path.stat().st_mtime_ns for path in cache_of_tests.rglob("*.nvtable")}
    assert nvtrap(*ASK, "demo.trap").out == ANSWER
    (made,) = [
        p for p in cache_of_tests.rglob("*.nvtable") if before.get(p) != p.stat().st_mtime_ns
    ]
    made.write_bytes(made.read_bytes()[:-5])
    run = nvtrap(*ASK, "demo.trap")
    assert run.out == ANSWER
    assert run.err.startswith(f"nvtrap: the cached table `{made}` was made again: ")
    assert nvtrap(*ASK, "demo.trap").err == ""


@pytest.mark.parametrize("command", [["tables"], ["query", "HCR_EL2"]])
@pytest.mark.parametrize("home", ["below a file", "missing", "unset", "no folder"])
def test_a_cache_that_cannot_be_written_costs_only_time(
    program: Program, tmp_path: Path, command: list[str], home: str
) -> None:
    """Every command works without a home to keep tables in, and says nothing of it."""
    (tmp_path / "file").touch()
    changes: dict[str, dict[str, str | None]] = {
        "below a file": {"XDG_CACHE_HOME": str(tmp_path / "file" / "cache")},
        "missing": {"XDG_CACHE_HOME": str(tmp_path / "a" / "b" / "c")},
        "unset": {"XDG_CACHE_HOME": None, "HOME": str(tmp_path / "nobody")},
        "no folder": {"XDG_CACHE_HOME": None, "HOME": os.devnull},
    }
    run = program(*command, folder=tmp_path, env=changes[home])
    assert (run.code, run.err) == (0, "")


def test_without_a_home_nothing_is_left_in_the_folder(
    nvtrap: Nvtrap, monkeypatch: pytest.MonkeyPatch, demo: Path
) -> None:
    """A user whom nobody knows has no home: `~` does not become a folder's name."""
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    assert nvtrap(*ASK, "demo.trap").out == ANSWER
    assert os.listdir(demo) == ["demo.trap"]
