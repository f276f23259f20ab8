"""`nvtrap completion`: the scripts, tried in the shells they are for."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from nvtrap.cli.main import COMMANDS
from tests.cli.helpers import DEMO, Nvtrap, Program

TRY = """\
source <(nvtrap completion bash)
complete -p nvtrap >&2 || exit 9
COMP_WORDS=({words})
COMP_CWORD=$(({count} - 1))
_nvtrap
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with files to complete."""
    (tmp_path / "demo.trap").write_text(DEMO, encoding="utf-8")
    (tmp_path / "depth").mkdir()
    return tmp_path


def complete(program: Program, folder: Path, *words: str) -> list[str]:
    """What bash offers for the last of the words."""
    script = TRY.format(words=" ".join(map(shlex.quote, words)), count=len(words))
    run = program.shell(script, folder)
    assert run.code == 0, run.err
    assert run.err.startswith("complete ")
    return [line for line in run.lines if line]


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_the_script_is_a_script(nvtrap: Nvtrap, shell: str) -> None:
    """Bash can parse it; zsh's is the same behind its first line."""
    text = nvtrap("completion", shell).out.removeprefix(
        "autoload -U +X bashcompinit && bashcompinit\n"
    )
    assert text == nvtrap("completion", "bash").out
    assert subprocess.run(["bash", "-n"], input=text, text=True, check=False).returncode == 0


def test_bash_completes_commands(program: Program, folder: Path) -> None:
    """All of them, and the one that begins with what is there."""
    assert complete(program, folder, "nvtrap", "que") == ["query"]
    assert complete(program, folder, "nvtrap", "") == list(COMMANDS)
    assert complete(program, folder, "nvtrap", "x") == []


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["query", "REVI"], ["REVIDR_EL1"]),
        (["query", "--st"], ["--state"]),
        (["query", "-"], ["--help", "--write", "--set", "--state", "--el", "--table", "--why"]),
        (["query", "HCR_EL2", "--el", ""], ["0", "1", "2"]),
        (["query", "HCR_EL2", "--table", "linux-6.1"], ["linux-6.12"]),
        (["query", "HCR_EL2", "--table", "dem"], ["demo.trap"]),
        (["query", "HCR_EL2", "--state", "de"], ["demo.trap", "depth"]),
        (["registers", "TLBI_VAE1IS"], ["TLBI_VAE1IS", "TLBI_VAE1ISNXS"]),
        (["check", "de"], ["demo.trap", "depth"]),
        (["check", "--format", "j"], ["json", "junit"]),
        (["decide", "dem"], ["demo.trap"]),
        (["conform", "x", "dem"], ["demo.trap"]),
        (["completion", ""], ["bash", "zsh", "fish"]),
        (["tables", "--n"], ["--names"]),
    ],
    ids=" ".join,
)
def test_bash_completes_words(
    program: Program, folder: Path, words: list[str], offered: list[str]
) -> None:
    """Registers, options, their values, tables, and files, each where it is meant."""
    found = complete(program, folder, "nvtrap", *words)
    assert set(offered) <= set(found)
    if words[-1] != "-":
        assert sorted(found) == sorted(offered)


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_take_their_script(nvtrap: Nvtrap, shell: str) -> None:
    """Where they are installed, they can parse it."""
    text = nvtrap("completion", shell).out
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"{shell} is not installed")
    assert subprocess.run([program, "-n"], input=text, text=True, check=False).returncode == 0


def test_fish_is_told_every_command_and_option(nvtrap: Nvtrap) -> None:
    """One `complete` for each; each line is closed within itself."""
    lines = nvtrap("completion", "fish").lines
    assert all(line.startswith("complete -c nvtrap ") for line in lines)
    for line in lines:
        shlex.split(line.replace("\\'", ""))
    for command in COMMANDS:
        assert any(f" -a {command} -d " in line for line in lines)
    assert any("seen_subcommand_from query' -l why " in line for line in lines)
    assert any(" -l format " in line and "-a 'text json " in line for line in lines)


@pytest.mark.parametrize("shell", ["tcsh", "", "BASH"])
def test_unknown_shells_are_told(nvtrap: Nvtrap, shell: str) -> None:
    """With those that are known."""
    run = nvtrap("completion", shell)
    assert run.code == 2
    assert f"`{shell}` is no value for `SHELL`" in run.err
