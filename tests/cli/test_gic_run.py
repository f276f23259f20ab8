"""`nvtrap gic run`, and `conform` of what is not scored."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.helpers import Nvtrap, Program

SEQUENCE: list[dict[str, Any]] = [
    {"op": "msr", "el": 2, "reg": "ICH_HCR_EL2", "val": "0x3"},
    {"op": "msr", "el": 2, "reg": "ICH_VMCR_EL2", "val": "0xf84c0002"},
    {"op": "msr", "el": 2, "reg": "ICH_LR0_EL2", "val": "0x50a000000000001b"},
    {"op": "mrs", "el": 1, "reg": "ICC_IAR1_EL1", "expect": "0x1b"},
    {"op": "msr", "el": 1, "reg": "ICC_EOIR1_EL1", "val": "0x1b"},
    {"op": "msr", "el": 1, "reg": "ICC_SGI1R_EL1", "val": "0x0", "trap": "0x623a3016"},
    {"op": "mrs", "el": 0, "reg": "ICC_PMR_EL1", "undef": 1, "esr": "0x2000000"},
    {"op": "r32", "reg": "GICD_CTLR", "addr": "0x8000000", "expect": "0x51"},
]


@pytest.fixture
def sequence(tmp_path: Path) -> Path:
    """A file with two sequences."""
    path = tmp_path / "two.jsonl"
    first = {"id": "first", "ops": SEQUENCE}
    second = {"id": 2, "ops": [{"op": "isr", "expect": 0}]}
    path.write_text(f"{json.dumps(first)}\n\n{json.dumps(second)}\n", encoding="utf-8")
    return path


def test_each_step_is_printed_with_what_changed(nvtrap: Nvtrap, sequence: Path) -> None:
    """Results, meanings, lines that rise and fall, and what should have been."""
    run = nvtrap("gic", "run", str(sequence))
    assert run.code == 1
    assert run.err == ""
    assert "   3  mrs ICC_IAR1_EL1 at EL1  → 0x1b" in run.lines
    assert "      virtual IRQ rises" in run.lines
    assert "      virtual IRQ falls" in run.lines
    assert "      maintenance interrupt rises" in run.lines
    taken = [line for line in run.lines if "0x50a000000000001b → 0x90a000000000001b" in line]
    assert len(taken) == 1
    assert "active, Group 1, priority 0xa0, vINTID 27" in taken[0]
    assert run.lines[-2:] == [
        "   7  r32 GICD_CTLR  → 0x50  expected 0x51",
        "   0  isr  → 0x0",
    ]
    assert any("trap to EL2, ESR 0x623a3016" in line for line in run.lines)
    assert any("UNDEFINED at EL1" in line for line in run.lines)


def test_json_has_a_line_for_each_step(nvtrap: Nvtrap, sequence: Path) -> None:
    """With results and changes as numbers in text."""
    run = nvtrap("gic", "run", str(sequence), "--json")
    steps = [json.loads(line) for line in run.lines]
    assert run.code == 1
    assert len(steps) == len(SEQUENCE) + 1
    assert steps[3]["value"] == "0x1b"
    assert steps[3]["changes"]["ICH_AP1R0_EL2"] == ["0x0", "0x100000"]
    assert (steps[5]["trap"], steps[5]["el"]) == ("0x623a3016", 2)
    assert (steps[6]["undef"], steps[6]["esr"]) == (1, "0x2000000")
    assert steps[7]["expected"] == "0x51"
    assert steps[8] == {"sequence": 2, "step": 0, "operation": "isr", "value": "0x0", "changes": {}}


def test_one_sequence_is_chosen_by_its_id(nvtrap: Nvtrap, sequence: Path) -> None:
    """Another id is an error that names it."""
    assert nvtrap("gic", "run", str(sequence), "--id", "2").lines == ["   0  isr  → 0x0"]
    missing = nvtrap("gic", "run", str(sequence), "--id", "3")
    assert (missing.code, missing.out) == (2, "")
    assert missing.err == f"nvtrap: `{sequence}` has no sequence with the id `3`\n"


def test_operations_may_be_lines_of_their_own(nvtrap: Nvtrap, tmp_path: Path) -> None:
    """They make one sequence; what is not said to be expected is no difference."""
    path = tmp_path / "loose.jsonl"
    lines = [
        {"parameters": {"list_registers": 16}},
        {"op": "mrs", "el": 2, "reg": "ICH_VTR_EL2"},
        {"op": "msr", "el": 1, "reg": "ICC_SGI1R_EL1", "val": "0x1"},
    ]
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")
    run = nvtrap("gic", "run", str(path))
    assert run.code == 0
    assert run.lines == [
        "   0  mrs ICH_VTR_EL2 at EL2  → 0x90b8000f",
        "   1  msr ICC_SGI1R_EL1 at EL1 = 0x1  → trap to EL2, ESR 0x623a3016",
    ]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("{}", "`ops` is a list of operations"),
        ("[]", "a line is one JSON object"),
        ('{"ops":[{"op":"mrs","el":1,"reg":"ICC_IARR1_EL1"}]}', "unknown register"),
        ('{"ops":[{"op":"jump"}]}', "operation 0: `jump` is no operation"),
        ('{"ops":[],"parameters":{"spi":32}}', "unknown parameter `spi`"),
    ],
)
def test_a_bad_line_is_told_with_its_place(
    nvtrap: Nvtrap, tmp_path: Path, line: str, problem: str
) -> None:
    """File and line stand before what is wrong."""
    path = tmp_path / "bad.jsonl"
    path.write_text(f"\n{line}\n", encoding="utf-8")
    run = nvtrap("gic", "run", str(path))
    assert run.code == 2
    assert run.err.startswith(f"nvtrap: {path}:2: {problem}")


def test_it_reads_pipes_and_gzip(program: Program, sequence: Path, tmp_path: Path) -> None:
    """As other commands do, in a process of its own."""
    packed = tmp_path / "two.jsonl.gz"
    packed.write_bytes(gzip.compress(sequence.read_bytes()))
    plain = program("gic", "run", str(sequence))
    assert program("gic", "run", str(packed)).out == plain.out
    piped = program.shell(f"cat {sequence.name} | nvtrap gic run -", tmp_path)
    assert piped.out == plain.out


def test_conform_counts_apart_what_is_not_scored(nvtrap: Nvtrap, tmp_path: Path) -> None:
    """On lines of their own, before the counts."""
    read = {"op": "mrs", "el": 1, "reg": "ICC_RPR_EL1", "expect": "0x0"}
    record = {"id": 1, "ops": [{**read, "impl": True}, {**read, "swerr": True}]}
    path = tmp_path / "one.jsonl"
    path.write_text(json.dumps(record), encoding="utf-8")
    run = nvtrap("conform", str(path))
    assert run.code == 0
    assert run.lines == [
        "not scored, after the guest broke the EOI protocol (swerr): 0 agree, 1 differ",
        "not scored, the recorded implementation's own choice (impl): 0 agree, 1 differ",
        "1 passed, 0 failed",
    ]
