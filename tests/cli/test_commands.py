"""The command as a whole, its help and examples, and the commands that list things."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest

import nvtrap as package
from nvtrap.cli.main import COMMANDS, module_of
from tests.cli.helpers import DEMO, ROOT, VECTORS, Nvtrap, Program, Run

# The others' examples are tried where their files are, with their own tests.
TRIED_HERE = ("check", "test", "query", "decide", "conform", "tables", "registers", "completion")
EXAMPLE = re.compile(r"^  ((?:nvtrap|echo|source) .*)$", re.MULTILINE)


def examples(command: str) -> list[str]:
    """The examples in a command's help."""
    return EXAMPLE.findall(import_module(module_of(command)).EXAMPLES)


# ---- the command ------------------------------------------------------------------


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"], ["help"]])
def test_help_lists_every_command(nvtrap: Nvtrap, words: list[str]) -> None:
    """With a line about each, in ASCII."""
    run = nvtrap(*words)
    assert run.code == 0
    assert run.out.isascii()
    assert run.out.startswith("usage: nvtrap COMMAND ")
    for name, about in COMMANDS.items():
        assert re.search(rf"^  {name} +{re.escape(about)}$", run.out, re.MULTILINE)


@pytest.mark.parametrize("option", ["--version", "-V"])
def test_version(nvtrap: Nvtrap, option: str) -> None:
    """The package's version."""
    assert nvtrap(option) == Run(0, f"nvtrap {package.__version__}\n", "")


@pytest.mark.parametrize(
    ("word", "problem", "help_"),
    [
        ("quer", "unknown command `quer`", "did you mean `query`?"),
        ("chekc", "unknown command `chekc`", "did you mean `check`?"),
        ("xyz", "unknown command `xyz`", "`nvtrap --help` lists them"),
        ("", "unknown command ``", "`nvtrap --help` lists them"),
        ("-x", "unknown option `-x`", "`nvtrap --help` lists them"),
        ("--jsno", "unknown option `--jsno`", "`nvtrap --help` lists them"),
        ("\udcff", "unknown command `�`", "`nvtrap --help` lists them"),
    ],
)
def test_misspelt_commands_are_told(nvtrap: Nvtrap, word: str, problem: str, help_: str) -> None:
    """With a suggestion where one is close."""
    expected = Run(2, "", f"nvtrap: {problem}\n  help: {help_}\n")
    assert nvtrap(word) == expected
    if not word.startswith("-"):
        assert nvtrap("help", word) == expected


# ---- each command -----------------------------------------------------------------


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_examples(nvtrap: Nvtrap, command: str) -> None:
    """The same by each way to ask, even among other words; it names every option once."""
    run = nvtrap(command, "--help")
    assert run.code == 0
    assert run.out.startswith(f"usage: nvtrap {command} ")
    about = COMMANDS[command]
    assert about[1:] in " ".join(run.out.split())
    assert examples(command)
    for example in examples(command):
        assert f"\n  {example}\n" in f"{run.out}\n"
        assert f"nvtrap {command}" in example
    for words in (["help", command], [command, "-h"], [command, "--help", "--no-such"]):
        assert nvtrap(*words) == run


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_refuses_what_it_does_not_know(nvtrap: Nvtrap, command: str) -> None:
    """An unknown option is told by its name."""
    words = {
        "tables": [],
        "completion": ["bash"],
        "diff": ["x", "y"],
        "import": ["linux", "x"],
        "gic": ["decode", "x"],
        "vgic": ["run", "x"],
    }.get(command, ["x"])
    run = nvtrap(command, *words, "--no-such-thing")
    assert run.code == 2
    assert "unknown option `--no-such-thing`" in run.err


@pytest.mark.parametrize(
    ("command", "example"),
    [(command, example) for command in TRIED_HERE for example in examples(command)],
)
def test_every_example_works(program: Program, tmp_path: Path, command: str, example: str) -> None:
    """Pasted into a shell, beside files of the names it uses, it answers or finds something."""
    (tmp_path / "rules").symlink_to(ROOT / "rules")
    (tmp_path / "mine.trap").write_text(DEMO, encoding="utf-8")
    (tmp_path / "l1.toml").write_text("[HCR_EL2]\nTID1 = 1\n", encoding="utf-8")
    for name in ("traps.jsonl", "traps.jsonl.gz", "traps-1.jsonl.gz"):
        (tmp_path / name).write_bytes(VECTORS.read_bytes())
    for folder in (".zfunc", ".config/fish/completions"):
        (tmp_path / folder).mkdir(parents=True)
    run = program.shell(example, tmp_path, env={"HOME": str(tmp_path)})
    assert run.code in ((0, 1) if command in ("check", "conform") else (0,)), run.err
    assert run.err == ""
    assert run.out or command == "completion" or "--format github" in example


# ---- tables -----------------------------------------------------------------------


def test_tables_has_three_forms(nvtrap: Nvtrap) -> None:
    """Columns, names, and JSON say the same tables."""
    names = nvtrap("tables", "--names").lines
    rows = nvtrap("tables", "--json").json()
    heading, *lines = nvtrap("tables").lines
    assert "linux-6.12" in names
    assert [row["table"] for row in rows] == names == [line.split()[0] for line in lines]
    assert heading.split() == list(rows[0])
    for row, line in zip(rows, lines, strict=True):
        assert [str(value) for value in row.values()] == line.split()
        assert row["parts"] in ("additive", "exclusive")
        assert row["encodings"] >= row["rules"] > 0


# ---- registers --------------------------------------------------------------------


def test_registers_has_three_forms(nvtrap: Nvtrap) -> None:
    """Columns, names, and JSON say the same registers."""
    names = nvtrap("registers", "--names").lines
    rows = nvtrap("registers", "--json").json()
    heading, *lines = nvtrap("registers").lines
    assert len(names) == len(set(names)) > 1000
    assert [row["name"] for row in rows] == names == [line.split()[0] for line in lines]
    assert heading.split() == ["register", "encoding", "access"]
    for row in rows:
        assert {"name", "encoding", "generic", "access", "fields"} <= row.keys()
        assert row["access"] in ("read-write", "read-only", "write-only")


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("ICC_IAR*", ["ICC_IAR0_EL1", "ICC_IAR1_EL1"]),
        ("icc_iar?_el1", ["ICC_IAR0_EL1", "ICC_IAR1_EL1"]),
        ("hcr_el2", ["HCR_EL2"]),
        ("tlbi vae1is", ["TLBI_VAE1IS"]),
        ("3,4,1,1,0", ["HCR_EL2"]),
        ("s3_4_c1_c1_0", ["HCR_EL2"]),
        ("S3_7_C15_C15_7", ["S3_7_C15_C15_7"]),
    ],
)
def test_registers_are_found(nvtrap: Nvtrap, pattern: str, names: list[str]) -> None:
    """By pattern, name in any case, and encoding, even one that nobody named."""
    assert nvtrap("registers", pattern, "--names").lines == names
    rows = nvtrap("registers", pattern, "--json").json()
    assert [row["name"] for row in rows] == names
    for row in rows:
        assert {"name", "encoding", "generic", "access", "fields"} <= row.keys()
        assert row["generic"] == "S{}_{}_C{}_C{}_{}".format(*row["encoding"])


def test_a_single_register_is_shown_with_its_fields(nvtrap: Nvtrap) -> None:
    """Each with its bits, and its layout where it moves."""
    lines = nvtrap("registers", "CPTR_EL2").lines
    assert lines[0].split() == ["register", "encoding", "access"]
    assert ["TTA", "20", "HCR_EL2.E2H", "==", "0"] in [line.split() for line in lines]
    assert ["TTA", "28", "HCR_EL2.E2H", "==", "1"] in [line.split() for line in lines]


@pytest.mark.parametrize(
    "pattern", ["NOT_THERE", "NOT_*", "?", "[", "[A-Z]_EL2", "", " ", "0x623c0001", "\udcff"]
)
def test_registers_that_are_none_are_told(nvtrap: Nvtrap, pattern: str) -> None:
    """With 2 and the pattern."""
    run = nvtrap("registers", pattern)
    assert (run.code, run.out) == (2, "")
    assert "unknown register `" in run.err


def test_a_misspelt_register_gets_suggestions(nvtrap: Nvtrap) -> None:
    """The closest are in the help."""
    assert "`HCR_EL2`" in nvtrap("registers", "HCR_EL").err.splitlines()[1]


def test_registers_of_another_table(nvtrap: Nvtrap, demo: Path) -> None:
    """A table from rules has the catalogue it uses."""
    assert nvtrap("registers", "HCR_EL2", "--table", str(demo / "demo.trap")).code == 0
    (demo / "own.trap").write_text(
        "register MINE = S3_0_C15_C0_0\ntable own {}\n", encoding="utf-8"
    )
    assert nvtrap("registers", "--names", "--table", str(demo / "own.trap")).lines == ["MINE"]
