"""The command as a process among others: pipes, signals, encodings, full disks."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.cli.helpers import BROKEN, VECTORS, Program, read_terminal, terminal

FULL = Path("/dev/full")
EVERY_COMMAND = [
    ["--help"],
    ["query", "--help"],
    ["query", "REVIDR_EL1"],
    ["query", "REVIDR_EL1", "--why"],
    ["query", "REVIDR_EL1", "--json"],
    ["decide", str(VECTORS)],
    ["conform", str(VECTORS)],
    ["check", "broken.trap"],
    ["check", "broken.trap", "--format", "junit"],
    ["tables"],
    ["registers"],
    ["completion", "bash"],
]
on_every_command = pytest.mark.parametrize("words", EVERY_COMMAND, ids=lambda w: " ".join(w)[:30])

unbuffered = pytest.mark.parametrize(
    "env", [{}, {"PYTHONUNBUFFERED": "1"}], ids=["buffered", "unbuffered"]
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a broken rule file, for `check` to have something to say."""
    (tmp_path / "broken.trap").write_text(BROKEN, encoding="utf-8")
    return tmp_path


@on_every_command
@unbuffered
def test_a_reader_that_is_gone_ends_the_command(
    program: Program, folder: Path, words: list[str], env: dict[str, str]
) -> None:
    """Quietly, with the exit code of a closed pipe."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        run = program(*words, folder=folder, out=writer, env=env)
    finally:
        os.close(writer)
    assert (run.code, run.err) == (141, "")


def test_head_takes_the_first_line(program: Program, folder: Path) -> None:
    """`| head -1` gets its line, and nobody complains."""
    (folder / "long").write_text('{"id":1,"esr":"0x623c0001"}\n' * 20_000, encoding="utf-8")
    run = program.shell("nvtrap decide long | head -1; echo ${PIPESTATUS[0]}", folder)
    assert run.lines[0].startswith('{"id":1,')
    assert (run.lines[1:], run.err) == (["141"], "")


@pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full")
@on_every_command
@unbuffered
def test_a_full_disk_is_told_in_one_line(
    program: Program, folder: Path, words: list[str], env: dict[str, str]
) -> None:
    """With 2, also when it is noticed only at the end."""
    with FULL.open("wb") as full:
        run = program(*words, folder=folder, out=full.fileno(), env=env)
    assert (run.code, run.err) == (2, "nvtrap: no space left on device\n")


@pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full")
def test_an_output_file_that_does_not_fit_is_told(program: Program, folder: Path) -> None:
    """By its name, and it stays a device."""
    run = program("check", "broken.trap", "--output", f"json={FULL}", folder=folder)
    assert (run.code, run.out) == (2, "")
    assert run.err == f"nvtrap: `{FULL}` cannot be written: no space left on device\n"
    assert FULL.is_char_device()


@pytest.mark.parametrize(
    ("command", "code", "error"),
    [
        ("nvtrap tables >&-", 2, "nvtrap: standard output is closed\n"),
        ("nvtrap nonsense >&-", 2, "nvtrap: standard output is closed\n"),
        ("nvtrap decide - <&-", 2, "nvtrap: standard input is closed\n"),
        ("nvtrap conform - <&-", 2, "nvtrap: standard input is closed\n"),
        ("nvtrap query HCR_EL2 --state - <&-", 2, "nvtrap: standard input is closed\n"),
        ("nvtrap tables --names 2>&-", 0, ""),
        ("nvtrap nonsense 2>&-", 2, ""),
        ("nvtrap tables <&- >&- 2>&-", 2, ""),
    ],
)
def test_closed_streams_are_told(
    program: Program, folder: Path, command: str, code: int, error: str
) -> None:
    """A stream that the command needs and was started without; an error needs none."""
    run = program.shell(command, folder)
    assert (run.code, run.err) == (code, error)


@pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full")
def test_an_error_that_cannot_be_told_keeps_its_code(program: Program, folder: Path) -> None:
    """Standard error may be full or gone."""
    assert program.shell("nvtrap nonsense 2>/dev/full", folder).code == 2
    assert program.shell("nvtrap nonsense 2>&1 | true; echo ${PIPESTATUS[0]}", folder).out == "2\n"


@pytest.mark.parametrize("command", [["decide", "-"], ["conform", "-"]])
def test_ctrl_c_while_reading_ends_with_one_line(
    program: Program, folder: Path, command: list[str]
) -> None:
    """And the exit code that shells know for it."""
    ours, theirs = terminal(80)
    with subprocess.Popen(
        [str(program.path), *command],
        stdin=subprocess.PIPE,
        stdout=theirs,
        stderr=subprocess.PIPE,
        cwd=folder,
        env=program.environment({"TERM": "dumb"}),
    ) as process:
        os.close(theirs)
        assert process.stdin is not None
        assert process.stderr is not None
        process.stdin.write(b"{}\n")
        process.stdin.flush()
        assert os.read(ours, 1)  # it has answered, and waits for more
        process.send_signal(signal.SIGINT)
        read_terminal(ours)
        assert process.stderr.read() == b"nvtrap: interrupted\n"
    assert process.returncode == 130


@pytest.mark.parametrize("encoding", ["ascii", "utf-16"])
@on_every_command
def test_an_output_of_another_encoding_takes_everything(
    program: Program, folder: Path, words: list[str], encoding: str
) -> None:
    """What it has no character for is written as an escape."""
    (folder / "broken.trap").write_text(BROKEN + "trap ÄÖ\u4e00😀\n", encoding="utf-8")
    done = subprocess.run(
        [str(program.path), *words],
        cwd=folder,
        env=program.environment({"PYTHONIOENCODING": encoding}),
        capture_output=True,
        check=False,
    )
    assert done.returncode == (1 if words[0] == "check" else 0)
    assert done.stderr == b""
    assert done.stdout.decode(encoding)


@pytest.mark.parametrize("form", ["json", "sarif"])
def test_json_stays_json_in_any_encoding(program: Program, folder: Path, form: str) -> None:
    """A message with other letters than ASCII's is still told exactly."""
    (folder / "broken.trap").write_text("trap É\u4e00😀\n", encoding="utf-8")
    words = ("check", "broken.trap", "--format", form)
    ascii_run = program(*words, folder=folder, env={"PYTHONIOENCODING": "ascii"})
    assert ascii_run.code == 1
    assert json.loads(ascii_run.out) == json.loads(program(*words, folder=folder).out)
    assert "É" in json.dumps(json.loads(ascii_run.out), ensure_ascii=False)


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["decide", "secret"], 2),
        (["conform", "secret"], 2),
        (["query", "HCR_EL2", "--state", "secret"], 2),
        (["query", "HCR_EL2", "--table", "./secret"], 2),
        (["check", "secret"], 1),
    ],
)
def test_a_file_nobody_may_read_is_told(
    program: Program, folder: Path, words: list[str], code: int
) -> None:
    """By its name and the reason; for `check` it is a finding."""
    (folder / "secret").write_text("{}", encoding="utf-8")
    (folder / "secret").chmod(0)
    if os.access(folder / "secret", os.R_OK):
        pytest.skip("this user may read every file")
    run = program(*words, folder=folder)
    assert run.code == code
    assert "secret` cannot be read: permission denied" in (run.out + run.err).lower()


def test_a_folder_that_is_gone_is_told(program: Program, folder: Path) -> None:
    """And what needs no folder works."""
    run = program.shell('mkdir x && cd x && rmdir "$PWD" && nvtrap check .', folder)
    assert (run.code, run.err.splitlines()[0]) == (2, "nvtrap: `.` has no rule files")
    run = program.shell('mkdir x && cd x && rmdir "$PWD" && nvtrap tables --names', folder)
    assert (run.code, run.err) == (0, "")


def test_words_that_are_no_utf8_are_told(program: Program, folder: Path) -> None:
    """As an argument of a shell may be."""
    run = program.shell("nvtrap query $'\\xff'", folder)
    assert (run.code, run.err) == (2, "nvtrap: unknown register `�`\n")
