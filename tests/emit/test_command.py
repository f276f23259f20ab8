"""`nvtrap emit` as its users meet it."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from nvtrap import __version__
from nvtrap.cli.commands.emit import EXAMPLES
from nvtrap.cli.main import main
from tests.cli.helpers import BROKEN, DEMO, Run, checked

FILES = {
    "c": ["nvtrap_demo.h", "nvtrap_demo.c"],
    "rust": ["nvtrap_demo.rs"],
    "json": ["nvtrap_demo.json"],
    "vectors": ["nvtrap_demo_vectors.h"],
    "markdown": ["nvtrap_demo.md"],
}
FORMS = pytest.mark.parametrize("form", FILES)


class Emit:
    """Runs `nvtrap emit` in this process, beside `demo.trap`."""

    def __init__(self, capture: pytest.CaptureFixture[str]) -> None:
        self._capture = capture

    def __call__(self, *words: str) -> Run:
        """Run with these words."""
        code = main(["emit", *words])
        out, err = self._capture.readouterr()
        return checked(Run(code, out, err))


@pytest.fixture(name="emit")
def _emit(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Emit:
    monkeypatch.chdir(tmp_path)
    Path("demo.trap").write_text(DEMO, encoding="utf-8")
    return Emit(capsys)


@FORMS
def test_a_folder_gets_files_named_after_the_table(emit: Emit, form: str) -> None:
    """The folder is made, and the files are told."""
    paths = [f"made/here/{name}" for name in FILES[form]]
    assert emit("demo.trap", f"--{form}", "made/here") == Run(0, "\n".join(paths) + "\n", "")
    assert sorted(os.listdir("made/here")) == sorted(FILES[form])


@FORMS
def test_files_say_where_they_come_from(emit: Emit, form: str) -> None:
    """Licence, tool, hash, that nobody should edit them, and the rule's line."""
    licence = "GPL-2.0-only OR MIT"
    run = emit("demo.trap", f"--{form}", ".", "--license", licence)
    for path in run.lines:
        text = Path(path).read_text(encoding="utf-8")
        assert f"nvtrap {__version__}" in text[:600]
        assert "do not edit" in text[:600]
        assert re.search(r"sha256:[0-9a-f]{64}", text[:700])
        if form == "json":
            assert f'"license": "{licence}"' in text
        else:
            assert f"SPDX-License-Identifier: {licence}" in text[:80]
        if not path.endswith("nvtrap_demo.h"):
            assert "demo.trap:8" in text


@FORMS
def test_the_same_table_gives_the_same_files(emit: Emit, form: str) -> None:
    """Byte for byte; another table, or the rule on another line, another hash."""

    def texts() -> list[bytes]:
        return [Path(path).read_bytes() for path in emit("demo.trap", f"--{form}", "out").lines]

    first = texts()
    assert texts() == first
    assert sorted(os.listdir("out")) == sorted(FILES[form])
    Path("demo.trap").write_text("\n" + DEMO, encoding="utf-8")
    changed = texts()
    assert all(old != new for old, new in zip(first, changed, strict=True))


def test_several_forms_in_one_run(emit: Emit) -> None:
    """Files may be named; C with its header beside it, which the vectors include."""
    words = ["--c", "a/traps.c", "--vectors", "a/cases.h", "--rust", "traps.rs"]
    words += ["--json", "t.json", "--markdown", "REFERENCE.md"]
    run = emit("demo.trap", *words)
    files = ["a/traps.h", "a/traps.c", "traps.rs", "t.json", "a/cases.h", "REFERENCE.md"]
    assert (run.code, run.lines) == (0, files)
    assert '#include "traps.h"\n' in Path("a/traps.c").read_text(encoding="utf-8")
    assert '#include "traps.h"\n' in Path("a/cases.h").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ((), "nothing is asked for"),
        (("--c", ""), "`--c` has no path"),
        (("--json", "x.json", "--license", "MIT */"), "is no SPDX licence expression"),
        (("--c", "x.c", "--vectors", "x.h"), "`x.h` is asked for twice"),
        (("--rust", "demo.trap/x.rs"), "cannot be written"),
        (("--rust", "demo.trap"), "cannot be written"),
        (("--cc", "x"), "unknown option `--cc`"),
    ],
)
def test_what_cannot_be_done_is_told(emit: Emit, words: tuple[str, ...], problem: str) -> None:
    """With 2, and nothing is written."""
    run = emit("demo.trap", *words)
    assert (run.code, run.out) == (2, "")
    assert problem in run.err
    assert os.listdir() == ["demo.trap"]


def test_a_table_that_is_none(emit: Emit) -> None:
    """An unknown one gets suggestions; rules with errors are findings."""
    run = emit("linux-6.13", "--c", "x")
    assert run.code == 2
    assert "`linux-6.12`" in run.err
    Path("demo.trap").write_text(BROKEN, encoding="utf-8")
    run = emit("demo.trap", "--c", "x")
    assert (run.code, run.out) == (1, "")
    assert "demo.trap:8:" in run.err
    assert os.listdir() == ["demo.trap"]


def test_a_file_is_replaced_whole(emit: Emit, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the disk is full the old file stays, and no draft."""
    Path("x.rs").write_text("old", encoding="utf-8")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    run = emit("demo.trap", "--rust", "x.rs")
    assert (run.code, run.out) == (2, "")
    assert sorted(os.listdir()) == ["demo.trap", "x.rs"]
    assert Path("x.rs").read_text(encoding="utf-8") == "old"


@pytest.mark.parametrize("example", re.findall(r"^  nvtrap emit (.*)$", EXAMPLES, re.MULTILINE))
def test_the_examples_work(emit: Emit, example: str) -> None:
    """As in the help."""
    import shlex

    Path("mine.trap").write_text(DEMO, encoding="utf-8")
    run = emit(*shlex.split(example))
    assert run.code == 0
    assert all(Path(path).stat().st_size > 1000 for path in run.lines)
