"""`nvtrap replay`: traces of real kernels."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from nvtrap import Table
from nvtrap.arch.esr import encode_sysreg
from nvtrap.cli.commands.replay import EXAMPLES
from tests.cli.helpers import DEMO, Nvtrap, Program, Run, without_colour
from tests.trace.traces import (
    ENTRY,
    STYLES,
    accessed,
    forwarded,
    ftrace,
    handled,
    injected,
    made,
    returned,
    trace_cmd,
)

REVIDR, ACTLR, TTBR0 = 0xC006 << 1, 0xC081 << 1, 0xC100 << 1 | 1
TID1 = 1 << 16
GIVEN = ("--set", "HFGRTR_EL2=0")

REPORT = """\
register    access  traps  forwarded  disagree  by
REVIDR_EL1  read        3          3         1  HCR.TID1 rules/linux/6.12/id.trap:9
ACTLR_EL1   read        1          0         1  local (none)
trace.txt:7: read REVIDR_EL1 was handled locally, the table says forward (by HCR.TID1, \
rules/linux/6.12/id.trap:9) in EL1, HFGRTR_EL2=0x0, HCR_EL2=0x10000
trace.txt:9: read ACTLR_EL1 was forwarded, the table says local (no control of its rule is armed) \
in EL1, HFGRTR_EL2=0x0, HCR_EL2=0x10000
trace.txt:11: damaged, no tracer prints such a line: `garb\N{REPLACEMENT CHARACTER}ge`
13 lines, 4 traps, 3 forwarded, 2 disagreements, 1 damaged line
"""
BY_RULE = """\
rule                                 traps  forwarded  disagree  accesses
HCR.TID1 rules/linux/6.12/id.trap:9      3          3         1  read REVIDR_EL1
local (none)                             1          0         1  read ACTLR_EL1
"""


@pytest.fixture
def trace() -> bytes:
    """A trace with one disagreement of each kind and one damaged line."""
    events = [
        returned(5, TID1),
        handled(REVIDR),
        forwarded(REVIDR),
        injected(encode_sysreg(REVIDR >> 1, write=False), 5, TID1),
        returned(5, TID1),
        handled(REVIDR),
        accessed(REVIDR),
        handled(ACTLR),
        forwarded(ACTLR),
        ENTRY,
        handled(REVIDR),
        forwarded(REVIDR),
    ]
    lines = [ftrace("CPU 0/KVM", 4021, 1, 1.5, *event) for event in events]
    return "\n".join([*lines[:10], "garb\x1bge", *lines[10:]]).encode()


@pytest.fixture
def replay(nvtrap: Nvtrap, tmp_path: Path, trace: bytes) -> Nvtrap:
    """The command on that trace in `trace.txt`."""
    (tmp_path / "trace.txt").write_bytes(trace)

    def run(*words: str, stdin: bytes = b"") -> Run:
        return nvtrap("replay", "trace.txt", *words, stdin=stdin)

    return run


# ---- the report --------------------------------------------------------------------------


def test_a_report_counts_by_register(replay: Nvtrap) -> None:
    """Then it shows what disagrees and what is damaged, with line numbers; totals last."""
    assert replay(*GIVEN) == Run(1, REPORT, "")


def test_a_report_counts_by_rule(replay: Nvtrap) -> None:
    """The rest is the same."""
    rest = REPORT[REPORT.index("trace.txt:7") :]
    assert replay(*GIVEN, "--by", "rule") == Run(1, BY_RULE + rest, "")


def test_two_processes_find_the_same(replay: Nvtrap) -> None:
    """However the work is divided."""
    assert replay(*GIVEN, "--jobs", "2") == Run(1, REPORT, "")


def test_a_limit_shows_less_and_counts_all(replay: Nvtrap) -> None:
    """Disagreements and damaged lines."""
    lines = replay(*GIVEN, "--limit", "1").lines
    assert lines[3:] == [
        REPORT.splitlines()[3],
        "and 1 more disagreement (`--limit` shows them)",
        *REPORT.splitlines()[5:],
    ]
    lines = replay(*GIVEN, "--limit", "0").lines
    assert lines[3:] == [
        "and 2 more disagreements (`--limit` shows them)",
        "and 1 more damaged line",
        REPORT.splitlines()[-1],
    ]


def test_a_report_as_json(replay: Nvtrap) -> None:
    """With the state of each disagreement."""
    run = replay("--json", "--limit", "1", *GIVEN)
    assert run.code == 1
    document = run.json()
    numbers = {key: document[key] for key in ("lines", "traps", "forwarded", "disagreements")}
    assert numbers == {"lines": 13, "traps": 4, "forwarded": 3, "disagreements": 2}
    assert document["counts"][0] == {
        "register": "REVIDR_EL1",
        "dir": "R",
        "count": 3,
        "disagreements": 1,
        "outcome": "forward",
        "step": "coarse",
        "control": "HCR.TID1",
        "rule": "rules/linux/6.12/id.trap:9",
    }
    assert document["apart"] == [
        {
            "line": 7,
            "register": "REVIDR_EL1",
            "dir": "R",
            "trace": "handled locally",
            "outcome": "forward",
            "step": "coarse",
            "control": "HCR.TID1",
            "rule": "rules/linux/6.12/id.trap:9",
            "el": 1,
            "state": {"HFGRTR_EL2": "0x0", "HCR_EL2": "0x10000"},
        }
    ]
    assert document["damage"] == [
        {"line": 11, "text": "garb\x1bge", "reason": "no tracer prints such a line"}
    ]
    assert document["notes"] == []


@pytest.mark.parametrize("style", STYLES)
def test_a_trace_that_agrees_ends_with_0(
    nvtrap: Nvtrap, linux: Table, tmp_path: Path, style: str
) -> None:
    """From every tool, plain or packed, from a file or standard input."""
    run = made(linux, 11, 400, STYLES[style], wrong=0)
    (tmp_path / "plain").write_bytes(run.raw)
    (tmp_path / "packed").write_bytes(gzip.compress(run.raw))
    plain = nvtrap("replay", "plain")
    assert plain.code == 0
    assert plain.lines[-1].endswith(" 0 disagreements, 0 damaged lines")
    assert nvtrap("replay", "packed") == plain
    assert nvtrap("replay", "-", stdin=run.raw.replace(b"\n", b"\r\n")) == plain
    assert nvtrap("replay", "-", "--jobs", "2", stdin=gzip.compress(run.raw)) == plain


# ---- states and tables ---------------------------------------------------------------------


def test_the_state_is_given_as_for_a_query(nvtrap: Nvtrap, tmp_path: Path) -> None:
    """Fields, files, the EL; what the trace says of it comes before."""
    raw = ftrace("x", 1, 0, 1.5, *forwarded(REVIDR)).encode()
    (tmp_path / "l1.json").write_text('{"HCR_EL2": {"TID1": 1}}', encoding="utf-8")
    for words, code in (
        (["--set", "HCR_EL2.TID1=1"], 0),
        (["--state", "l1.json"], 0),
        (["--state", "l1.json", "--el", "2"], 1),
        (["--state", "l1.json", "--set", "HCR_EL2.TID1=0"], 1),
        ([], 1),
    ):
        assert nvtrap("replay", "-", *words, stdin=raw).code == code
    traced = ftrace("x", 1, 0, 1.5, *returned(5, TID1)).encode() + b"\n" + raw
    assert nvtrap("replay", "-", "--set", "HCR_EL2=0", stdin=traced).code == 0
    traced = b"# nvtrap_l1_state: HCR_EL2=0x10000\n" + raw
    assert nvtrap("replay", "-", stdin=traced).code == 0


def test_features_of_the_vcpu_count(nvtrap: Nvtrap, linux: Table) -> None:
    """A bit of negative polarity, 0 where nobody gave it, forwards only what the vCPU has."""
    raw = ftrace("x", 1, 0, 1.5, *forwarded(linux.encoding("POR_EL1") << 1)).encode()
    assert nvtrap("replay", "-", stdin=raw).code == 0
    assert nvtrap("replay", "-", "--features", "FEAT_NV2", stdin=raw).code == 1


def test_another_table_may_decide(nvtrap: Nvtrap, tmp_path: Path) -> None:
    """By its own rules."""
    (tmp_path / "demo.trap").write_text(DEMO, encoding="utf-8")
    raw = trace_cmd("x", 1, 0, 1.5, *forwarded(TTBR0)).encode()
    words = ("--table", "demo.trap", "--set", "HCR_EL2.TVM=1", "--by", "rule")
    run = nvtrap("replay", "-", *words, stdin=raw)
    assert run.code == 0
    assert run.lines[1] == "HCR.TVM demo.trap:8      1          1            write TTBR0_EL1"


# ---- notes -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("events", "note"),
    [
        ([], "the trace shows no trap; were the events of kvm enabled?"),
        (
            [forwarded(REVIDR)],
            "HCR_EL2, HFGRTR_EL2 were neither given nor traced and read as 0, disagreements",
        ),
        (
            [returned(5, 0), forwarded(REVIDR)],
            "HFGRTR_EL2 was neither given nor traced and read as 0, disagreements hang on it",
        ),
        (
            [handled(REVIDR)],
            "the trace has no event of a forwarded trap; was kvm_forward_sysreg_trap enabled?",
        ),
        (
            [ENTRY, handled(REVIDR)],
            "the trace ends before it shows what became of 1 trap",
        ),
        (
            [("nvtrap_l1_state", "HRC_EL2=1"), forwarded(REVIDR)],
            "the trace gives values of HRC_EL2, which no register goes by",
        ),
    ],
)
def test_notes_say_what_the_trace_lacks(
    nvtrap: Nvtrap, events: list[tuple[str, str]], note: str
) -> None:
    """Before the totals."""
    raw = "\n".join(ftrace("x", 1, 0, 1.5, *event) for event in events).encode()
    assert any(line.startswith(f"note: {note}") for line in nvtrap("replay", "-", stdin=raw).lines)


def test_lost_events_are_noted(nvtrap: Nvtrap) -> None:
    """As the tracer tells them."""
    run = nvtrap("replay", "-", stdin=b"CPU:1 [LOST 5 EVENTS]\n" * 2)
    assert "note: events were lost at 2 places, what follows may be misjudged" in run.lines
    assert run.code == 0


# ---- failures ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["missing"], "`missing` cannot be read: no such file or directory"),
        (["missing", "--jobs", "2"], "`missing` cannot be read: no such file or directory"),
        (["."], "`.` cannot be read: is a directory"),
        (["cut.gz"], "`cut.gz` is damaged: it ends too early"),
        (["trace.dat"], "`trace.dat` is a recording, not its text"),
        (["perf.data", "--jobs", "2"], "`perf.data` is a recording, not its text"),
        (["-", "--limit", "-1"], "`-1` is no number of lines to show"),
        (["-", "--jobs", "0"], "`0` is no number of processes"),
        (["-", "--jobs", "9999"], "`9999` is no number of processes"),
        (["-", "--by", "rul"], "`rul` is no value for `--by`"),
        (["-", "--state", "-"], "standard input is the trace or the state, not both"),
        (["-", "--set", "HRC_EL2=1"], "unknown register `HRC_EL2`"),
        (["-", "--table", "nobody"], "unknown table `nobody`"),
        ([], "the following arguments are required: TRACE"),
    ],
)
def test_what_cannot_be_done_is_told(
    nvtrap: Nvtrap, tmp_path: Path, words: list[str], problem: str
) -> None:
    """In one line, with code 2, and without a report."""
    (tmp_path / "cut.gz").write_bytes(gzip.compress(b"x\n" * 99999)[:-20])
    (tmp_path / "trace.dat").write_bytes(b"\x17\x08\x44tracing6\x00")
    (tmp_path / "perf.data").write_bytes(b"PERFILE2\x00\x00")
    run = nvtrap("replay", *words)
    assert run.code == 2
    assert problem in run.err
    assert run.out == ""


def test_a_binary_file_is_damage_not_failure(nvtrap: Nvtrap, tmp_path: Path) -> None:
    """Whatever it holds; a terminal gets none of its control characters."""
    (tmp_path / "junk").write_bytes(bytes(range(256)) * 1000)
    run = nvtrap("replay", "junk")
    assert run.code == 0
    assert run.lines[-1].endswith(" 1,001 damaged lines")
    assert all(char.isprintable() for char in run.out.replace("\n", ""))


# ---- as a program ------------------------------------------------------------------------------


def test_a_terminal_shows_the_same_in_colour(
    program: Program, trace: bytes, tmp_path: Path
) -> None:
    """The words of the report, painted, and a bar above them while it is read."""
    (tmp_path / "trace.txt").write_bytes(trace)
    words = ("replay", "trace.txt", *GIVEN, "--jobs", "2")
    run = program.on_terminal(*words, columns=120, folder=tmp_path, also_errors=True)
    assert run.code == 1
    assert "\x1b[1;31m13 lines" in run.out
    assert "HCR.TID1 rules/linux/6.12/id.trap:9" in without_colour(run.out)


@pytest.mark.parametrize("example", EXAMPLES.split("\n\n")[0].splitlines())
def test_the_examples_run(program: Program, trace: bytes, tmp_path: Path, example: str) -> None:
    """Where trace-cmd prints the trace."""
    (tmp_path / "trace.txt").write_bytes(trace)
    (tmp_path / "trace.txt.gz").write_bytes(gzip.compress(trace))
    tool = tmp_path / "trace-cmd"
    tool.write_text("#!/bin/sh\ncat trace.txt\n", encoding="utf-8")
    tool.chmod(0o755)
    run = program.shell(f"PATH=.:$PATH; {example}", tmp_path)
    assert run.err == ""
    assert run.code == 1
    assert run.out
