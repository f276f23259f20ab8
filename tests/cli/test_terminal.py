"""What people see: colours and trees on a terminal, plain text elsewhere, nothing cut."""

from __future__ import annotations

import gzip
import os
import subprocess
from pathlib import Path

import pytest

from tests.cli.helpers import (
    BROKEN,
    VECTORS,
    Program,
    Run,
    read_terminal,
    terminal,
    without_colour,
)

WHY = ["query", "-w", "TLBI_VAE1ISNXS", "--set", "HCRX_EL2.FGTnXS=1", "--why"]
ESCAPE = "\x1b"
GUIDES = "├└│─"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a broken rule file."""
    (tmp_path / "broken.trap").write_text(BROKEN, encoding="utf-8")
    return tmp_path


def words_of(text: str) -> str:
    """The characters of a text, without colours, guides and spaces."""
    plain = without_colour(text)
    return "".join(char for char in plain if not char.isspace() and char not in GUIDES)


def test_why_is_a_coloured_tree(program: Program) -> None:
    """Its outcome is painted, its steps hang on guides."""
    run = program.on_terminal(*WHY, columns=120)
    assert run.code == 0
    assert "\x1b[1;33mlocal\x1b[0m" in run.out
    lines = without_colour(run.out).splitlines()
    assert lines[0].startswith("write TLBI_VAE1ISNXS: local (none: ")
    assert "├── no-entry: the table has an entry" in lines
    assert "└── => none: nothing forwards it" in lines
    assert any(line.startswith("│   └── fine HFGITR_EL2.TLBIVAE1IS") for line in lines)


@pytest.mark.parametrize("columns", [0, 40, 45, 60, 80, 200])
def test_no_width_cuts_an_explanation(program: Program, columns: int) -> None:
    """Narrow terminals get more lines, and every word that a pipe gets."""
    piped = program(*WHY)
    shown = program.on_terminal(*WHY, columns=columns)
    assert shown.code == 0
    assert words_of(shown.out) == words_of(piped.out)


@pytest.mark.parametrize("columns", [0, 20, 40, 80, 200])
@pytest.mark.parametrize("words", [["tables"], ["registers", "CPTR_EL2"], ["registers", "ICH_*"]])
def test_no_width_cuts_a_table(program: Program, words: list[str], columns: int) -> None:
    """A table that does not fit becomes lines."""
    shown = program.on_terminal(*words, columns=columns)
    assert shown.code == 0
    assert words_of(shown.out) == words_of(program(*words).out)


@pytest.mark.parametrize("columns", [40, 80])
def test_check_is_coloured(program: Program, folder: Path, columns: int) -> None:
    """Errors are red, and the text is that of a pipe."""
    run = program.on_terminal("check", "broken.trap", folder=folder, columns=columns)
    assert run.code == 1
    assert "\x1b[1;31merror NV012 \x1b[0m" in run.out
    assert without_colour(run.out) == program("check", "broken.trap", folder=folder).out


def test_conform_is_coloured(program: Program, folder: Path) -> None:
    """Green when all is well."""
    run = program.on_terminal("conform", str(VECTORS), folder=folder)
    assert run.code == 0
    assert run.out.startswith("\x1b[1;32m")
    assert without_colour(run.out) == program("conform", str(VECTORS)).out


def commands(folder: Path) -> list[tuple[str, ...]]:
    """Commands whose output is painted on a terminal."""
    return [
        ("query", "REVIDR_EL1"),
        tuple(WHY),
        ("check", str(folder / "broken.trap")),
        ("conform", str(VECTORS)),
        ("tables",),
        ("registers", "HCR_EL2"),
    ]


@pytest.mark.parametrize("change", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_colour_can_be_refused(program: Program, folder: Path, change: dict[str, str]) -> None:
    """NO_COLOR and a dumb terminal get what a pipe gets."""
    for words in commands(folder):
        shown = program.on_terminal(*words, folder=folder, env=change)
        assert ESCAPE not in shown.out
        assert shown.out == program(*words, folder=folder).out


def test_an_empty_no_color_refuses_nothing(program: Program) -> None:
    """As the convention has it."""
    assert ESCAPE in program.on_terminal("query", "REVIDR_EL1", env={"NO_COLOR": ""}).out


def test_pipes_get_no_codes(program: Program, folder: Path) -> None:
    """Whatever the terminal around them is."""
    for words in commands(folder):
        run = program(*words, folder=folder, env={"TERM": "xterm-256color"})
        assert ESCAPE not in run.out + run.err


@pytest.mark.parametrize("form", ["json", "sarif", "junit", "github"])
def test_machine_formats_are_never_painted(program: Program, folder: Path, form: str) -> None:
    """Not even on a terminal."""
    words = ("check", "broken.trap", "--format", form)
    shown = program.on_terminal(*words, folder=folder)
    assert shown.out == program(*words, folder=folder).out


def test_rules_cannot_steer_the_terminal(program: Program, folder: Path) -> None:
    """Control characters of a rule file do not get through."""
    (folder / "evil.trap").write_text("trap \x1b]0;title\x07\x1b[2J\u202e by X\n", encoding="utf-8")
    shown = program.on_terminal("check", "evil.trap", folder=folder)
    assert shown.code == 1
    text = without_colour(shown.out)
    assert not set(text) & set("\x1b\x07\u202e")
    assert "trap �]0;title��[2J� by X" in text


def test_the_help_fits_the_terminal(program: Program) -> None:
    """Its usage and options are wrapped at 40 columns, and a terminal without width has 80."""
    narrow = program.on_terminal("query", "--help", columns=40).out
    options = narrow.partition("\noptions:\n")[2].partition("\nexamples:\n")[0]
    assert max(map(len, options.splitlines())) <= 40
    assert program.on_terminal("query", "--help", columns=0).out == program("query", "--help").out


def bar(program: Program, folder: Path, *words: str) -> Run:
    """Run with standard error on a terminal, and standard output in a file."""
    ours, theirs = terminal(80)
    with (folder / "out").open("wb") as out:
        process = subprocess.Popen(
            [str(program.path), *words],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=theirs,
            cwd=folder,
            env=program.environment({"TERM": "xterm-256color"}),
        )
        os.close(theirs)
        err = read_terminal(ours).decode()
        code = process.wait()
    return Run(code, (folder / "out").read_text(encoding="utf-8"), err)


@pytest.mark.parametrize("packed", [False, True])
def test_the_bar_leaves_standard_output_alone(program: Program, folder: Path, packed: bool) -> None:
    """What is redirected to a file arrives there, while the bar is on the terminal."""
    path = VECTORS
    if not packed:
        path = folder / "plain"
        path.write_bytes(gzip.decompress(VECTORS.read_bytes()))
    for command, *more in (("decide", str(path)), ("conform", str(path), "broken.trap")):
        expected = program(command, *more, folder=folder)
        shown = bar(program, folder, command, *more)
        assert (shown.code, shown.out) == (expected.code, expected.out)
        assert ESCAPE in shown.err
        assert "outcome" not in shown.err
        assert "passed" not in shown.err


def test_answers_on_a_terminal_come_without_a_bar(program: Program, folder: Path) -> None:
    """Both would share the screen."""
    shown = program.on_terminal("decide", str(VECTORS), folder=folder, also_errors=True)
    assert shown.out == program("decide", str(VECTORS), folder=folder).out


def test_answers_in_a_pipe_come_without_a_bar(program: Program, folder: Path) -> None:
    """Its reader may print on the same screen."""
    ours, theirs = terminal(80)
    process = subprocess.Popen(
        [str(program.path), "decide", str(VECTORS)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=theirs,
        cwd=folder,
        env=program.environment({"TERM": "xterm-256color"}),
    )
    os.close(theirs)
    out, _ = process.communicate()
    assert read_terminal(ours) == b""
    assert out.decode() == program("decide", str(VECTORS)).out


def test_failures_are_printed_above_the_bar(program: Program, folder: Path) -> None:
    """`conform` has little to say, so that the bar may stay while it does."""
    shown = program.on_terminal("conform", "broken.trap", folder=folder, also_errors=True)
    assert shown.code == 1
    assert "\x1b[?25l" in shown.out
    text = without_colour(shown.out).replace("\n", " ")
    for line in program("conform", "broken.trap", folder=folder).lines:
        assert line in text
