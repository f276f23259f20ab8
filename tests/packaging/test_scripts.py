"""The developers' scripts, as far as they can be tried without an installation."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tools.packages import ROOT

SCRIPTS = ("run", "test", "check", "coverage", "bench", "import-check")


@pytest.mark.parametrize("name", [*SCRIPTS, "setup.sh"])
def test_scripts_are_posix_shell(name: str) -> None:
    """Each script parses as plain sh."""
    assert subprocess.run(["sh", "-n", str(ROOT / "tools" / name)], check=False).returncode == 0


@pytest.mark.parametrize("name", [*(f"tools/{name}" for name in SCRIPTS), ".ci/run"])
def test_scripts_can_be_executed(name: str) -> None:
    """Each script has its execute bit."""
    assert os.access(ROOT / name, os.X_OK)


def _tools_in(folder: Path) -> Path:
    """The scripts in a checkout of their own, which has no environment yet."""
    shutil.copytree(ROOT / "tools", folder / "tools")
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder / "tools"


def _run(script: Path, python: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(script)],
        check=False,
        env={**os.environ, "PYTHON": str(python)},
        capture_output=True,
        text=True,
    )


def _program(path: Path, script: str) -> Path:
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("exit 1", "which is not Python 3.11 or newer"),
        ('case "$2" in *ensurepip*) exit 1;; esac', "lacks venv or pip"),
    ],
)
def test_what_is_missing_is_said_in_one_line(tmp_path: Path, script: str, message: str) -> None:
    """Without a fit Python, or without venv, the script ends with 2 and one clear line."""
    python = _program(tmp_path / "python", script)
    done = _run(_tools_in(tmp_path / "a checkout") / "run", python)
    assert done.returncode == 2
    assert message in done.stderr.splitlines()[-1]
    assert done.stdout == ""


def test_second_run_sets_nothing_up(tmp_path: Path) -> None:
    """An environment whose stamp fits the project is used as it is, in silence."""
    tools = _tools_in(tmp_path / "a checkout")
    bin_folder = tmp_path / "a checkout" / ".venv" / "bin"
    bin_folder.mkdir(parents=True)
    _program(bin_folder / "python", "exit 1")
    _program(bin_folder / "nvtrap", 'echo "nvtrap $*"')
    project = (tools.parent / "pyproject.toml").read_bytes()
    checksum = subprocess.check_output(["cksum"], input=project).decode()
    (bin_folder.parent / "installed").write_text(f"{tools.parent} {checksum}", encoding="utf-8")
    done = subprocess.run(
        [str(tools / "run"), "query", "X"], check=False, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "nvtrap query X\n", "")
