"""The README's examples, pasted into a shell one by one."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(language: str) -> list[str]:
    """The fenced blocks of one language, in order."""
    found = BLOCK.findall(README.read_text(encoding="utf-8"))
    return [text for name, text in found if name == language]


def examples() -> list[tuple[str, str]]:
    """(command, expected output) of every `$` line; `>` lines continue a command."""
    found: list[tuple[str, list[str]]] = []
    for line in "".join(blocks("console")).splitlines():
        if line.startswith("$ "):
            found.append((line[2:], []))
        elif line.startswith("> ") and not found[-1][1]:
            command, output = found[-1]
            found[-1] = (f"{command}\n{line[2:]}", output)
        else:
            found[-1][1].append(line)
    return [(command, "".join(f"{line}\n" for line in output)) for command, output in found]


def shell(command: str, folder: Path) -> str:
    """What a command prints, both streams together, in a shell that has `nvtrap`."""
    binaries = folder / "bin"
    binaries.mkdir(exist_ok=True)
    program = binaries / "nvtrap"
    program.write_text(
        f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(ROOT)!r})\n"
        "from nvtrap.cli import main\nsys.exit(main())\n"
    )
    program.chmod(0o755)
    path = f"{binaries}{os.pathsep}{os.environ['PATH']}"
    result = subprocess.run(
        ["sh", "-c", command],
        cwd=folder,
        env={**os.environ, "PATH": path, "COLUMNS": "80"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return result.stdout


def test_every_example_prints_what_the_readme_shows(tmp_path: Path) -> None:
    """Each command, run in order in one folder, gives exactly the output shown below it."""
    found = examples()
    assert len(found) > 10
    for command, expected in found:
        assert shell(command, tmp_path) == expected, command


@pytest.mark.parametrize("code", blocks("python"), ids=lambda code: code.split()[1])
def test_each_python_example_runs(code: str) -> None:
    """A Python block runs and prints what its comments say."""
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    expected = re.findall(r"^print\(.*#\s*(.*)$", code, re.MULTILINE)
    assert result.stdout.splitlines() == expected
