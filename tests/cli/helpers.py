"""What the tests of the command line share."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import termios
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

ROOT = Path(__file__).resolve().parent.parent.parent
VECTORS = ROOT / "tests" / "conform" / "traps.jsonl.gz"
# Says its registers itself: the whole catalogue would take longer than most tests.
DEMO = """\
register HCR_EL2 = S3_4_C1_C1_0 { TVM [26]  TGE [27]  TRVM [30] }
register TTBR<n: 0..1>_EL1 = S3_0_C2_C0_<n>
table demo {
    hypervisor context when EL == 2 or HCR_EL2.TGE == 1
}

control HCR.TVM traps write when HCR_EL2.TVM == 1
trap TTBR0_EL1 by HCR.TVM
expect write TTBR0_EL1 forward by HCR.TVM when HCR_EL2.TVM = 1
"""
# One control is misspelt.
BROKEN = DEMO.replace("by HCR.TVM\n", "by HCR.TMV\n")
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


class Run(NamedTuple):
    """What a run of the command came to."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        """The lines of standard output."""
        return self.out.splitlines()

    def json(self) -> Any:
        """Standard output as JSON."""
        return loads(self.out)


class Nvtrap(Protocol):
    """Runs the command in this process."""

    def __call__(self, *words: str, stdin: bytes = b"") -> Run:
        """Run with these words."""
        ...


def loads(text: str) -> Any:
    """The value of a JSON text, which must not be of Python's own extended kind."""
    return json.loads(text, parse_constant=_refuse)


def _refuse(text: str) -> None:
    raise AssertionError(f"{text} is not JSON")


def checked(run: Run) -> Run:
    """The run, after what must hold of every run was asserted.

    No traceback, an exit code of the contract, and an error as one lower-case sentence
    without a period, with one line of help at most.
    """
    assert "Traceback" not in run.err
    assert run.code in (0, 1, 2, 3, 4)
    if run.code == 2:
        first, *rest = run.err.splitlines()
        assert first.startswith("nvtrap: ")
        message = first.removeprefix("nvtrap: ")
        assert message[:1] == message[:1].lower() or message.startswith(("EL", "ESR", "Rt"))
        assert not message.endswith(".")
        assert [line[:8] for line in rest] in ([], ["  help: "])
    return run


@dataclass(frozen=True)
class Program:
    """The command as a program of its own."""

    path: Path

    def environment(self, changes: Mapping[str, str | None]) -> dict[str, str]:
        """This environment with the program in PATH, without the user's wishes for colour."""
        found: dict[str, str | None] = {
            **os.environ,
            "PATH": f"{self.path.parent}{os.pathsep}{os.environ['PATH']}",
            "NO_COLOR": None,
            "COLUMNS": None,
            "LINES": None,
            "PYTHONIOENCODING": "utf-8",
            "PYTHONUNBUFFERED": None,
            **changes,
        }
        return {name: value for name, value in found.items() if value is not None}

    def __call__(
        self,
        *words: str,
        stdin: bytes = b"",
        folder: Path | None = None,
        out: int = subprocess.PIPE,
        env: Mapping[str, str | None] | None = None,
    ) -> Run:
        """Run the program to its end."""
        done = subprocess.run(
            [str(self.path), *words],
            input=stdin,
            stdout=out,
            stderr=subprocess.PIPE,
            cwd=folder,
            env=self.environment(env or {}),
            check=False,
        )
        return Run(done.returncode, (done.stdout or b"").decode(), done.stderr.decode())

    def shell(self, command: str, folder: Path, env: Mapping[str, str | None] | None = None) -> Run:
        """Run a line of bash that finds the program in PATH."""
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=folder,
            env=self.environment(env or {}),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
        return Run(done.returncode, done.stdout.decode(), done.stderr.decode())

    def on_terminal(
        self,
        *words: str,
        columns: int = 80,
        folder: Path | None = None,
        also_errors: bool = False,
        env: Mapping[str, str | None] | None = None,
    ) -> Run:
        """Run with standard output (or both outputs) on a terminal of that width."""
        ours, theirs = terminal(columns)
        with subprocess.Popen(
            [str(self.path), *words],
            stdin=subprocess.DEVNULL,
            stdout=theirs,
            stderr=theirs if also_errors else subprocess.PIPE,
            cwd=folder,
            env=self.environment({"TERM": "xterm-256color", **(env or {})}),
        ) as process:
            os.close(theirs)
            out = read_terminal(ours)
            err = b"" if process.stderr is None else process.stderr.read()
        return Run(process.returncode, out.decode().replace("\r\n", "\n"), err.decode())


def terminal(columns: int) -> tuple[int, int]:
    """Both ends of a new terminal of that width: ours, and the program's."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    return ours, theirs


def read_terminal(ours: int) -> bytes:
    """Everything a program writes to a terminal; closes our end."""
    found = b""
    try:
        while piece := os.read(ours, 1 << 16):
            found += piece
    except OSError:
        pass  # how a terminal ends when nobody holds its other end
    os.close(ours)
    return found


def without_colour(text: str) -> str:
    """The text without the codes that paint it."""
    return COLOUR.sub("", text)


def write_lines(path: Path, lines: Sequence[object]) -> Path:
    """Write JSON Lines; texts stand as they are."""
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    path.write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
    return path
