"""`tools/import-check`: a kernel's own table against the shipped rules."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from tests.imports.sample import KERNEL, changed
from tools import import_check


@pytest.fixture(name="sources")
def _sources(tmp_path: Path) -> Path:
    folder = tmp_path / "linux-source-1.0"
    place = folder / import_check.IN_A_TREE
    place.parent.mkdir(parents=True)
    place.write_text(KERNEL, encoding="utf-8")
    (place.parent / "other.c").touch()
    return folder


def test_a_file_a_folder_and_an_archive_are_the_same(sources: Path) -> None:
    """Wherever it is, the text is found."""
    archive = sources.parent / "sources.tar.xz"
    with tarfile.open(archive, "w:xz") as file:
        file.add(sources, sources.name)
    for path in (sources / import_check.IN_A_TREE, sources, archive):
        assert import_check.text_at(str(path)) == KERNEL.encode()


def test_differences_are_told(sources: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The sample is no kernel's table: it differs in settings and accesses."""
    assert import_check.main([str(sources)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("differs: sanitised: ")
    assert "controls, differences from linux-6.12: " in lines[-1]
    assert not lines[-1].endswith(" 0")


def test_findings_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a comparison."""
    path = tmp_path / "emulate-nested.c"
    path.write_text(changed("SYS_FPMR", "SYS_FPMS"), encoding="utf-8")
    assert import_check.main([str(path)]) == 1
    assert "NV010 unknown register `SYS_FPMS`" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--table", "linux-0.1"], "install Debian's package linux-source-0.1, or give a path"),
        (["nothing.c"], "`nothing.c` cannot be read: "),
        (["."], "cannot be read: "),
        (["text.tar.xz"], "`text.tar.xz` cannot be read: "),
        (["empty.tar"], "`empty.tar` has no `arch/arm64/kvm/emulate-nested.c`"),
        (["text.tar.xz", "--table", "nothing"], "cannot be read: "),
    ],
)
def test_what_is_missing_is_said(
    words: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A package that is not installed, a path that is not there or is something else."""
    monkeypatch.chdir(tmp_path)
    Path("text.tar.xz").write_text("text", encoding="utf-8")
    tarfile.open("empty.tar", "w").close()
    assert import_check.main(words) == 2
    assert message in capsys.readouterr().err
