"""`nvtrap import` as its users meet it."""

from __future__ import annotations

import sys
from io import BufferedReader, BytesIO, TextIOWrapper
from pathlib import Path

import pytest

from nvtrap.cli.main import main
from tests.cli.helpers import Run, checked
from tests.imports.sample import KERNEL, changed, imported

BROKEN = changed("SYS_REVIDR_EL1,", "SYS_REVIDRR_EL1,")


class Import:
    """Runs the command in this process, in a folder with `emulate-nested.c`."""

    def __init__(self, capture: pytest.CaptureFixture[str], patch: pytest.MonkeyPatch) -> None:
        self._capture = capture
        self._patch = patch

    def __call__(self, *words: str, stdin: bytes = b"") -> Run:
        """Run `nvtrap import linux WORDS`."""
        stream = TextIOWrapper(BufferedReader(BytesIO(stdin)))
        self._patch.setattr(sys, "stdin", stream)
        code = main(["import", "linux", *words])
        out, err = self._capture.readouterr()
        return checked(Run(code, out, err))


@pytest.fixture(name="run")
def _run(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Import:
    monkeypatch.chdir(tmp_path)
    Path("emulate-nested.c").write_text(KERNEL, encoding="utf-8")
    Path("broken.c").write_text(BROKEN, encoding="utf-8")
    return Import(capsys, monkeypatch)


def test_rules_go_to_standard_output(run: Import) -> None:
    """Nothing else does."""
    assert run("emulate-nested.c") == Run(0, imported().text, "")


def test_or_to_a_file(run: Import) -> None:
    """In one step, whatever was there before."""
    Path("mine.trap").write_text("old", encoding="utf-8")
    assert run("emulate-nested.c", "-o", "mine.trap", "--name", "mine") == Run(0, "", "")
    assert Path("mine.trap").read_text(encoding="utf-8") == imported(name="mine").text
    assert sorted(path.name for path in Path().iterdir()) == [
        "broken.c",
        "emulate-nested.c",
        "mine.trap",
    ]


def test_the_written_file_is_sound(run: Import) -> None:
    """`nvtrap check` finds nothing in it."""
    run("emulate-nested.c", "-o", "mine.trap")
    assert main(["check", "mine.trap"]) == 0


def test_with_findings_nothing_is_written(run: Import) -> None:
    """They are told with place, line and help, and the exit code is 1."""
    Path("mine.trap").write_text("old", encoding="utf-8")
    done = run("broken.c", "-o", "mine.trap")
    assert (done.code, done.out) == (1, "")
    assert "broken.c:" in done.err
    assert "error NV010 unknown register `SYS_REVIDRR_EL1`" in done.err
    assert "  help: did you mean `REVIDR_EL1`" in done.err
    assert done.err.endswith("1 file: 1 error\nnvtrap: nothing was written, see --partial\n")
    assert Path("mine.trap").read_text(encoding="utf-8") == "old"


def test_partial_writes_the_rest(run: Import) -> None:
    """With the same findings and exit code."""
    done = run("broken.c", "--partial")
    assert done.code == 1
    assert ": unknown register `SYS_REVIDRR_EL1`\n" in done.out
    assert "error NV010" in done.err
    assert "nothing was written" not in done.err
    assert run("broken.c", "--partial", "-o", "part.trap").out == ""
    assert Path("part.trap").read_text(encoding="utf-8") == done.out


def test_a_folder_of_sources(run: Import) -> None:
    """The file is found in a kernel's tree."""
    place = Path("linux/arch/arm64/kvm")
    place.mkdir(parents=True)
    Path("emulate-nested.c").rename(place / "emulate-nested.c")
    done = run("linux")
    assert done.code == 0
    assert "linux/arch/arm64/kvm/emulate-nested.c\n" in done.out


def test_standard_input(run: Import) -> None:
    """As `-`."""
    done = run("-", stdin=KERNEL.encode())
    assert done.code == 0
    assert "\ntable linux-import {\n" in done.out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nothing.c"], "`nothing.c` cannot be read: no such file or directory"),
        (["."], "`.` has no kernel's sources: there is no `arch/arm64/kvm/emulate-nested.c`"),
        (["-"], "`standard input` is no table of nested traps"),
        (["text"], "`text` is no table of nested traps: it has no `enum trap_behaviour`"),
        (["emulate-nested.c", "--name", "No"], "`No` is no name of a table"),
        (["emulate-nested.c", "-o", "no/such/\0"], "cannot be written"),
        ([], "the following arguments are required: PATH"),
    ],
)
def test_what_cannot_be_done_is_said(run: Import, words: list[str], message: str) -> None:
    """In one line, with exit code 2, and nothing is left behind."""
    Path("text").write_text("no table\n", encoding="utf-8")
    if "-o" in words:
        words = [*words[:-1], "text/file.trap"]
    before = sorted(Path().iterdir())
    done = run(*words)
    assert (done.code, done.out) == (2, "")
    assert message in done.err.splitlines()[0]
    assert sorted(Path().iterdir()) == before


def test_another_system_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """Linux is the only one so far."""
    assert main(["import", "xen", "x.c"]) == 2
    assert "`xen` is no value for" in capsys.readouterr().err
