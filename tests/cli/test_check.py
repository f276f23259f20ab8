"""`nvtrap check`: what is looked at, what is found, where it is written."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nvtrap.cli.commands.check import FORMATS
from tests.cli.helpers import BROKEN, DEMO, ROOT, Nvtrap, Program

CLEAN = "1 file, 1 table, 1 expectation: no findings\n"
FOUND = """\
broken.trap:8:19: error NV012 unknown control `HCR.TMV`
    8 | trap TTBR0_EL1 by HCR.TMV
      |                   ^^^^^^^
  help: did you mean `HCR.TVM`?
1 file: 1 error
"""
UNUSED = DEMO + "control HCR.TRVM traps read when HCR_EL2.TRVM == 1\n"


@pytest.fixture
def broken(demo: Path) -> Path:
    """A folder with a sound file and a broken one."""
    (demo / "broken.trap").write_text(BROKEN, encoding="utf-8")
    return demo


def test_nothing_found(nvtrap: Nvtrap, demo: Path) -> None:
    """A sound file gives a summary and 0."""
    assert demo.is_dir()
    run = nvtrap("check", "demo.trap")
    assert (run.code, run.out, run.err) == (0, CLEAN, "")


def test_a_finding_has_place_excerpt_and_help(nvtrap: Nvtrap, broken: Path) -> None:
    """A broken file gives its findings and 1."""
    assert broken.is_dir()
    run = nvtrap("check", "broken.trap")
    assert (run.code, run.out, run.err) == (1, FOUND, "")


def test_a_warning_is_a_finding(nvtrap: Nvtrap, demo: Path) -> None:
    """It has exit code 1 as well."""
    (demo / "unused.trap").write_text(UNUSED, encoding="utf-8")
    run = nvtrap("check", "unused.trap")
    assert run.code == 1
    assert run.lines[0].startswith("unused.trap:10:9: warning NV035 ")
    assert run.lines[-1] == "1 file, 1 table, 1 expectation: 1 warning"


def test_a_failing_expectation_is_a_finding(nvtrap: Nvtrap, demo: Path) -> None:
    """With what came instead."""
    text = DEMO.replace("forward by HCR.TVM", "local")
    (demo / "demo.trap").write_text(text, encoding="utf-8")
    run = nvtrap("check", "demo.trap")
    assert run.code == 1
    assert run.lines[0].startswith("demo.trap:9:8: error NV046 expected local, the write is ")


def test_folders_are_searched(nvtrap: Nvtrap, broken: Path) -> None:
    """All rule files below a folder are checked, in order of name."""
    (broken / "below" / "deep").mkdir(parents=True)
    (broken / "below" / "deep" / "third.trap").write_text(BROKEN, encoding="utf-8")
    (broken / "below" / "notes.txt").write_text("trap trap", encoding="utf-8")
    run = nvtrap("check", ".")
    assert run.code == 1
    assert [line for line in run.lines if ": error " in line] == [
        "below/deep/third.trap:8:19: error NV012 unknown control `HCR.TMV`",
        "broken.trap:8:19: error NV012 unknown control `HCR.TMV`",
    ]
    assert run.lines[-1] == "3 files, 1 table, 1 expectation: 2 errors"


def test_paths_are_shown_relative_to_the_folder(
    nvtrap: Nvtrap, broken: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However a path is given; one outside stays absolute."""
    for path in ("broken.trap", "./broken.trap", str(broken / "broken.trap"), "x/../broken.trap"):
        (broken / "x").mkdir(exist_ok=True)
        assert nvtrap("check", path).out == FOUND
    monkeypatch.chdir(broken.parent)
    assert nvtrap("check", str(broken)).lines[0].startswith(f"{broken.name}/broken.trap:8:19: ")
    monkeypatch.chdir(broken / "x")
    assert nvtrap("check", "../broken.trap").lines[0].startswith(f"{broken}/broken.trap:8:19: ")


def test_shipped_rules_are_shown_as_such(nvtrap: Nvtrap) -> None:
    """They are sound, and are checked with the table that uses them."""
    run = nvtrap("check", str(ROOT / "rules" / "linux" / "6.12"))
    assert run.code == 0
    assert run.lines[-1].endswith(": no findings")


def test_root_lets_use_reach_further(nvtrap: Nvtrap, demo: Path) -> None:
    """A folder given with `--root` may be used from, others not."""
    (demo / "lib").mkdir()
    (demo / "own").mkdir()
    registers, table, rules = DEMO.partition("table demo")
    (demo / "lib" / "r.trap").write_text(registers, encoding="utf-8")
    (demo / "own" / "t.trap").write_text(f'use "../lib/r.trap"\n{table}{rules}', encoding="utf-8")
    assert "NV004" in nvtrap("check", "own/t.trap").out
    assert nvtrap("check", "own/t.trap", "--root", "lib").code == 0


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("latin.trap", b"caf\xe9", "NV002 `latin.trap` is not UTF-8: byte 3 is 0xe9"),
        ("nul.trap", b"a\0b", "NV002 `nul.trap` is not text: it has a NUL character"),
        ("big.trap", b"#" * (2 << 20), "NV002 `big.trap` is larger than 1 MiB"),
        ("words.trap", b"trap trap trap", "NV001 expected "),
        ("escape.trap", b"trap \x1b[31m", "NV001 expected "),
        ("half", b"trap", "NV001 expected "),
    ],
)
@pytest.mark.parametrize("form", FORMATS)
def test_a_file_that_does_not_parse_is_a_finding(
    nvtrap: Nvtrap, tmp_path: Path, name: str, text: bytes, problem: str, form: str
) -> None:
    """In every format; text for a terminal has no control characters."""
    (tmp_path / name).write_bytes(text)
    run = nvtrap("check", name, "--format", form)
    assert (run.code, run.err) == (1, "")
    if form == "text":
        assert run.lines[0].startswith(f"{name}:1:")
        assert problem in run.lines[0]
        assert run.lines[-1] == "1 file: 1 error"
        assert "\x1b" not in run.out


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ([], "the following arguments are required: PATH"),
        (["missing.trap"], "`missing.trap` does not exist"),
        ([""], "`` does not exist"),
        (["empty"], "`empty` has no rule files"),
        (["demo.trap", "missing.trap"], "`missing.trap` does not exist"),
        (["demo.trap", "--format", "xml"], "`xml` is no value for `--format`"),
        (["demo.trap", "--output", "xml=x"], "unknown format `xml`"),
        (["demo.trap", "--output", "sarif"], "`sarif` is no output"),
        (["demo.trap", "--output", "sarif="], "`sarif=` is no output"),
        (["demo.trap", "--output", "=x"], "unknown format ``"),
        (["demo.trap", "--output", "json=empty"], "`empty` cannot be written: is a directory"),
        (["demo.trap", "--output", "json=demo.trap/x"], "`demo.trap/x` cannot be written: "),
    ],
)
def test_a_check_that_fails_ends_with_2(
    nvtrap: Nvtrap, demo: Path, words: list[str], problem: str
) -> None:
    """Which is told apart from findings, and leaves nothing behind."""
    (demo / "empty").mkdir()
    run = nvtrap("check", *words)
    assert run.code == 2
    assert problem in run.err
    assert sorted(os.listdir(demo)) == ["demo.trap", "empty"]
    assert os.listdir(demo / "empty") == []


@pytest.mark.parametrize(("wrong", "right"), [("sraif", "sarif"), ("junt", "junit")])
def test_a_misspelt_format_gets_a_suggestion(
    nvtrap: Nvtrap, demo: Path, wrong: str, right: str
) -> None:
    """In both places where a format is named."""
    assert demo.is_dir()
    for words in (("--format", wrong), ("--output", f"{wrong}=x")):
        assert f"did you mean `{right}`?" in nvtrap("check", "demo.trap", *words).err


@pytest.mark.parametrize("form", FORMATS)
def test_output_writes_what_format_prints(nvtrap: Nvtrap, broken: Path, form: str) -> None:
    """Several outputs at once, into folders that are made, over files that are there."""
    printed = nvtrap("check", "broken.trap", "--format", form).out
    (broken / "here").write_text("old", encoding="utf-8")
    outputs = [f"{form}=here", f"{form}=new/folder/there", f"{form}={broken / 'absolute'}"]
    words = [word for output in outputs for word in ("--output", output)]
    run = nvtrap("check", "broken.trap", *words)
    assert (run.code, run.out) == (1, FOUND)
    for path in ("here", "new/folder/there", "absolute"):
        assert (broken / path).read_text(encoding="utf-8") == printed
    assert sorted(os.listdir(broken)) == ["absolute", "broken.trap", "demo.trap", "here", "new"]


def test_an_output_is_as_readable_as_any_new_file(nvtrap: Nvtrap, demo: Path) -> None:
    """Other steps of a pipeline, which may be other users, have to read it."""
    nvtrap("check", "demo.trap", "--output", "json=out.json")
    (demo / "usual").touch()
    assert (demo / "out.json").stat().st_mode == (demo / "usual").stat().st_mode


def test_a_device_is_written_to_and_not_replaced(
    program: Program, demo: Path, tmp_path: Path
) -> None:
    """Neither is a link: what it leads to gets the text."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    (demo / "link").symlink_to("target")
    command = "cat pipe & nvtrap check demo.trap --output json=pipe --output text=link && wait"
    run = program.shell(command, demo)
    assert run.code == 0
    assert '"version": 1' in run.out
    assert pipe.is_fifo()
    assert (demo / "link").is_symlink()
    assert (demo / "target").read_text(encoding="utf-8") == CLEAN


def test_a_name_that_is_not_utf8_is_a_name(nvtrap: Nvtrap, tmp_path: Path) -> None:
    """Every format copes with it."""
    name = "caf\udce9.trap"
    try:
        (tmp_path / name).write_text(BROKEN, encoding="utf-8")
    except OSError:
        pytest.skip("this file system takes no such name")
    for form in FORMATS:
        run = nvtrap("check", name, "--format", form, "--output", f"{form}=out")
        assert (run.code, run.err) == (1, "")
        assert (tmp_path / "out").stat().st_size > 0
