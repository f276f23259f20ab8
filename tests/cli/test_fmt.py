"""`nvtrap fmt`: which files are written, what is said about them, and what is left alone."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from nvtrap.cli.commands import fmt
from nvtrap.cli.commands.fmt import replace_file
from nvtrap.errors import InputError
from tests.cli.helpers import DEMO, ROOT, Nvtrap, Program
from tests.cli.test_commands import examples

UGLY = "# why\ntrap A , B by C.D   # é\n\n\n\nuse  table x\n"
PRETTY = "# why\ntrap A, B  by C.D  # é\n\nuse table x\n"
BROKEN = "trap A by\n"


@pytest.fixture
def ugly(tmp_path: Path) -> Path:
    """A file that is not formatted."""
    path = tmp_path / "ugly.trap"
    path.write_text(UGLY, encoding="utf-8")
    return path


def test_files_are_formatted_once(nvtrap: Nvtrap, ugly: Path) -> None:
    """And their mode stays."""
    ugly.chmod(0o640)
    assert nvtrap("fmt", "ugly.trap")[:2] == (0, "ugly.trap: formatted\n1 of 1 file formatted\n")
    assert ugly.read_text(encoding="utf-8") == PRETTY
    assert ugly.stat().st_mode & 0o777 == 0o640
    before = ugly.stat()
    assert nvtrap("fmt", "ugly.trap")[:2] == (0, "none of 1 file formatted\n")
    assert (ugly.stat().st_mtime_ns, ugly.stat().st_ino) == (before.st_mtime_ns, before.st_ino)
    assert sorted(os.listdir(ugly.parent)) == ["ugly.trap"]


def test_check_says_what_would_change(nvtrap: Nvtrap, ugly: Path) -> None:
    """With exit code 1, and changes nothing."""
    run = nvtrap("fmt", "--check", ".")
    assert run[:2] == (1, "ugly.trap: would be formatted\n1 of 1 file would be formatted\n")
    assert ugly.read_text(encoding="utf-8") == UGLY
    ugly.write_text(PRETTY, encoding="utf-8")
    assert nvtrap("fmt", "--check", ".").code == 0


@pytest.mark.parametrize(
    "text", [UGLY, UGLY.rstrip(), UGLY.replace("\n", "\r\n"), "\ufeff" + PRETTY, "\n"]
)
def test_a_diff_can_be_applied(nvtrap: Nvtrap, ugly: Path, text: str) -> None:
    """It has exit code 1, and `patch` makes of the file what `fmt` makes of it."""
    ugly.write_bytes(text.encode())
    run = nvtrap("fmt", "--diff", "ugly.trap")
    assert run.code == 1
    assert ugly.read_bytes() == text.encode()
    subprocess.run(
        ["git", "apply", "-p0", "--unidiff-zero"],
        input=run.out.encode(),
        cwd=ugly.parent,
        check=True,
    )
    assert ugly.read_bytes() == (PRETTY.encode() if text.strip() else b"")
    assert nvtrap("fmt", "--diff", "ugly.trap")[:2] == (0, "")


def test_standard_input(nvtrap: Nvtrap) -> None:
    """Is formatted to standard output, or checked."""
    assert nvtrap("fmt", "-", stdin=UGLY.encode()) == (0, PRETTY, "")
    assert nvtrap("fmt", "-", stdin=PRETTY.encode()) == (0, PRETTY, "")
    run = nvtrap("fmt", "--check", "-", stdin=UGLY.encode())
    assert run.code == 1
    assert run.lines[0] == "standard input: would be formatted"
    assert nvtrap("fmt", "--diff", "-", stdin=UGLY.encode()).lines[0] == "--- standard input"
    assert nvtrap("fmt", "-", "x.trap").code == 2


@pytest.mark.parametrize("raw", [BROKEN.encode(), b"trap A by C.D\n\xff", b"\0"])
def test_what_cannot_be_read_is_told_and_left(nvtrap: Nvtrap, ugly: Path, raw: bytes) -> None:
    """As `check` does, with exit code 1; other files are formatted all the same."""
    broken = ugly.parent / "broken.trap"
    broken.write_bytes(raw)
    told = nvtrap("check", "broken.trap").out
    run = nvtrap("fmt", ".")
    assert run.code == 1
    assert run.err
    assert told.startswith(run.err)
    assert broken.read_bytes() == raw
    assert ugly.read_text(encoding="utf-8") == PRETTY
    run = nvtrap("fmt", "-", stdin=raw)
    assert (run.code, run.out) == (1, "")
    assert "error NV00" in run.err


def test_a_link_out_of_the_folder_is_not_followed(nvtrap: Nvtrap, ugly: Path) -> None:
    """A link that is given by name is, and stays one."""
    (ugly.parent / "folder").mkdir()
    link = ugly.parent / "folder" / "link.trap"
    link.symlink_to(ugly)
    run = nvtrap("fmt", "folder")
    assert run.code == 1
    assert "`folder/link.trap` leads out of the folder" in run.err
    assert ugly.read_text(encoding="utf-8") == UGLY
    assert nvtrap("fmt", "folder/link.trap").code == 0
    assert link.is_symlink()
    assert ugly.read_text(encoding="utf-8") == PRETTY


def test_paths_that_are_none(nvtrap: Nvtrap, ugly: Path) -> None:
    """Are told before anything is written."""
    assert nvtrap("fmt", "ugly.trap", "none.trap").code == 2
    assert ugly.read_text(encoding="utf-8") == UGLY


def test_a_file_that_cannot_be_replaced_stays(ugly: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is half written, and no draft is left."""

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(InputError, match="cannot be written: no space left"):
        replace_file(str(ugly), b"x")
    assert ugly.read_text(encoding="utf-8") == UGLY
    assert os.listdir(ugly.parent) == ["ugly.trap"]


def test_a_read_only_file_stays(ugly: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Although its folder would let it be replaced."""
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(InputError, match="it is read-only"):
        replace_file(str(ugly), b"x")
    assert ugly.read_text(encoding="utf-8") == UGLY


def test_a_file_that_would_be_too_large_is_left(
    nvtrap: Nvtrap, ugly: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It could not be read again."""
    monkeypatch.setattr(fmt, "MOST_BYTES", 20)
    run = nvtrap("fmt", "ugly.trap")
    assert run.code == 1
    assert "would be larger than" in run.err
    assert ugly.read_text(encoding="utf-8") == UGLY


@pytest.mark.parametrize("example", examples("fmt"))
def test_examples(program: Program, tmp_path: Path, example: str) -> None:
    """Each works as it stands."""
    (tmp_path / "rules").symlink_to(ROOT / "rules")
    (tmp_path / "mine.trap").write_text(DEMO, encoding="utf-8")
    run = program.shell(example, tmp_path)
    assert run.code == int("--diff" in example)
    assert run.err == ""
