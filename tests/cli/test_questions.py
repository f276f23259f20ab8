"""`nvtrap search`, `diff` and `cover`: questions about whole tables."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.cli.helpers import DEMO, Nvtrap

# One more register traps than in DEMO.
GROWN = DEMO + "trap write TTBR1_EL1 by HCR.TVM\n"


SUMMARY = (
    "accesses that differ in outcome: 1, in what is undefined: 0,"
    " in the deciding step only: 0, in text only: 0"
)


@pytest.fixture(autouse=True)
def files(tmp_path: Path) -> None:
    """Two versions of a small table."""
    (tmp_path / "old.trap").write_text(DEMO, encoding="utf-8")
    (tmp_path / "new.trap").write_text(GROWN, encoding="utf-8")


def git(folder: Path, *words: str) -> None:
    """Run git in a folder, as somebody."""
    who = ["-c", "user.name=n", "-c", "user.email=n@example.org"]
    subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True)


# ---- diff ------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["linux-6.12", "arch"])
def test_a_shipped_table_does_not_differ_from_itself(nvtrap: Nvtrap, name: str) -> None:
    """`diff X X` says so and exits with 0."""
    run = nvtrap("diff", name, name)
    assert (run.code, run.out) == (0, f"{name} and {name} behave the same\n")


def test_a_difference_names_cause_state_and_lines(nvtrap: Nvtrap) -> None:
    """The block has the access, the smallest state and the lines of both sides."""
    run = nvtrap("diff", "old.trap", "new.trap")
    assert run.code == 1
    assert run.lines == [
        "1 access: new.trap forwards by HCR.TVM, old.trap does not",
        "  write TTBR1_EL1",
        "  in EL1, HCR_EL2=0x4000000",
        "    old.trap: local  no rule",
        "    new.trap: forward  new.trap:10",
        "",
        SUMMARY,
    ]


def test_differences_as_json(nvtrap: Nvtrap) -> None:
    """The JSON has every access and a witness that `query` can be given."""
    (found,) = nvtrap("diff", "old.trap", "new.trap", "--json").json()["differences"]
    assert found["kind"] == "outcome"
    assert found["forwards"] == "new.trap"
    assert found["accesses"] == [{"register": "TTBR1_EL1", "dir": "W"}]
    (setting,) = (f"{name}={value}" for name, value in found["state"].items())
    run = nvtrap("query", "-w", "TTBR1_EL1", "--table", "new.trap", "--set", setting)
    assert "forward" in run.out


def test_differences_as_markdown(nvtrap: Nvtrap) -> None:
    """The comment is a heading and a table with a row for each difference."""
    lines = nvtrap("diff", "old.trap", "new.trap", "--markdown").lines
    assert lines[0] == "### Behaviour of `new.trap` against `old.trap`"
    (row,) = (line for line in lines if "TTBR1_EL1" in line)
    assert row.count("|") == 6


def test_hypervisor_contexts_count_when_asked_for(nvtrap: Nvtrap, tmp_path: Path) -> None:
    """Tables that differ in EL2 alone are the same to guests."""
    text = DEMO.replace("EL == 2 or ", "")
    (tmp_path / "el2.trap").write_text(text, encoding="utf-8")
    assert nvtrap("diff", "old.trap", "el2.trap").code == 0
    run = nvtrap("diff", "old.trap", "el2.trap", "--contexts", "all")
    assert run.code == 1
    assert "in EL2, HCR_EL2=0x4000000" in run.out


def test_absent_features_are_told_apart(nvtrap: Nvtrap) -> None:
    """What only one table makes undefined for want of a feature is its own kind."""
    run = nvtrap("diff", "linux-6.12", "arch", "--features", "armv8.4", "--json")
    assert {found["kind"] for found in run.json()["differences"]} >= {"outcome", "undef"}


def test_a_git_revision_is_compared(nvtrap: Nvtrap, tmp_path: Path) -> None:
    """`REV:PATH` is the file as it was, and places name the revision."""
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "old.trap")
    git(tmp_path, "commit", "-qm", "old")
    (tmp_path / "old.trap").write_text(GROWN, encoding="utf-8")
    run = nvtrap("diff", "HEAD:old.trap", "old.trap")
    assert run.code == 1
    assert "old.trap: forward  old.trap:10" in run.out
    assert nvtrap("diff", "HEAD:old.trap", "HEAD:old.trap").code == 0


@pytest.mark.parametrize(
    ("first", "problem"),
    [
        ("nosuch", "unknown table `nosuch`"),
        ("gone.trap", "`gone.trap` is no file"),
        ("HEAD:old.trap", "this is no git repository"),
        ("-x:old.trap", "git revision"),
        ("broken.trap", "NV012"),
        ("old.nvtable", "`old.nvtable`: the compiled table has format version 9"),
    ],
)
def test_what_cannot_be_compared_is_one_line(
    nvtrap: Nvtrap, tmp_path: Path, first: str, problem: str
) -> None:
    """An unknown table, a missing file, no repository, broken rules, another format."""
    broken = DEMO.replace("by HCR.TVM\n", "by HCR.TMV\n", 1)
    (tmp_path / "broken.trap").write_text(broken, encoding="utf-8")
    (tmp_path / "old.nvtable").write_bytes(b"nvtrap-table\n\x09\x00" + bytes(40))
    run = nvtrap("diff", "--", first, "new.trap")
    assert run.code == (1 if first == "broken.trap" else 2)
    assert problem in run.err
    assert run.out == ""


def test_a_revision_that_does_not_exist_is_one_line(nvtrap: Nvtrap, tmp_path: Path) -> None:
    """In a repository, an unknown revision and an unknown file are told apart."""
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "old.trap")
    git(tmp_path, "commit", "-qm", "old")
    assert "`nosuch` is no git revision" in nvtrap("diff", "nosuch:old.trap", "new.trap").err
    assert "has no rule file `x.trap`" in nvtrap("diff", "HEAD:x.trap", "new.trap").err


# ---- cover -----------------------------------------------------------------------


def test_the_hole_in_linux_6_12_is_found(nvtrap: Nvtrap) -> None:
    """DBGWCR15_EL1 is the one hole in an array; the local ICC_SRE_EL1 is listed apart."""
    run = nvtrap("cover", "linux-6.12", "--json")
    assert run.code == 1
    gaps = run.json()["gaps"]
    holes = {(g["register"], g["control"]) for g in gaps if g["kind"] == "hole in an array"}
    assert holes == {("DBGWCR15_EL1", "MDCR.TDA"), ("DBGWCR15_EL1", "MDCR.TDE")}
    deliberate = {gap["register"] for gap in gaps if gap["kind"] == "deliberate gap"}
    assert deliberate == {"ICC_SRE_EL1"}


def test_a_table_covers_itself(nvtrap: Nvtrap) -> None:
    """Against itself there is no finding."""
    run = nvtrap("cover", "old.trap", "--against", "old.trap")
    assert (run.code, run.lines) == (0, ["0 accesses with findings, 0 deliberate"])


def test_a_missing_trap_names_register_control_direction_and_rule(nvtrap: Nvtrap) -> None:
    """One block: the control with the other table's line, the access, a state."""
    run = nvtrap("cover", "old.trap", "--against", "new.trap")
    assert run.code == 1
    assert run.lines[:4] == [
        "hole in an array (1): other elements of the array have it",
        "  HCR.TVM                     new.trap: new.trap:10",
        "    write TTBR1_EL1",
        "    in EL1, HCR_EL2=0x4000000",
    ]


# ---- search ----------------------------------------------------------------------


def test_a_setting_lists_what_it_forwards(nvtrap: Nvtrap) -> None:
    """The accesses newly forwarded, by control with their line."""
    run = nvtrap("search", "HCR_EL2.TVM=1", "--table", "new.trap")
    assert run.lines == [
        "by HCR.TVM  new.trap:8 and 1 more",
        "  write TTBR0_EL1, TTBR1_EL1",
        "2 accesses are forwarded that were not",
    ]
    found = nvtrap("search", "HCR_EL2.TVM=1", "--table", "new.trap", "--json").json()
    assert [entry["register"] for entry in found] == ["TTBR0_EL1", "TTBR1_EL1"]


def test_minimal_settings_of_an_access(nvtrap: Nvtrap) -> None:
    """Each line is one minimal setting; an access nothing forwards says so."""
    words = ("search", "--table", "old.trap", "--forward", "TTBR0_EL1")
    assert nvtrap(*words, "-w").out == "HCR_EL2.TVM = 0x1\n"
    assert nvtrap(*words).out == "no setting forwards read TTBR0_EL1 from EL1\n"
    base = ("--set", "HCR_EL2.TVM=1")
    run = nvtrap(*words, "-w", *base)
    assert run.out == "write TTBR0_EL1 is forwarded in this state already\n"
    blocked = nvtrap(*words, "-w", *base, "--set", "HCR_EL2.TGE=1", "--json").json()
    assert blocked == [[{"field": "HCR_EL2.TGE", "value": 0}]]


def test_what_no_state_forwards(nvtrap: Nvtrap) -> None:
    """Every access to a named register that the table never forwards."""
    found = nvtrap("search", "--never", "--table", "old.trap", "--json").json()
    assert {"register": "TTBR0_EL1", "dir": "R"} in found
    assert {"register": "TTBR0_EL1", "dir": "W"} not in found
    assert "read/write HCR_EL2" in nvtrap("search", "--never", "--table", "old.trap").out


@pytest.mark.parametrize("words", [(), ("A=1", "--never"), ("--forward", "X", "--never")])
def test_one_question_at_a_time(nvtrap: Nvtrap, words: tuple[str, ...]) -> None:
    """None or two questions are a usage error."""
    run = nvtrap("search", *words)
    assert run.code == 2
    assert "ask one thing" in run.err


# ---- features --------------------------------------------------------------------


def test_features_by_profile_list_and_id_registers(nvtrap: Nvtrap) -> None:
    """All three ways of naming features decide the same question."""

    def ask(features: str) -> str:
        return nvtrap("query", "PIR_EL1", "--table", "arch", "--features", features).out

    absent = "read PIR_EL1: undef (feature: the register's feature is absent)\n"
    assert ask("armv8.4") == ask("all,-FEAT_S1PIE") == ask("ID_AA64MMFR3_EL1=0") == absent
    present = ask("FEAT_S1PIE,FEAT_FGT")
    assert present.startswith("read PIR_EL1: forward by HFGRTR_EL2.nPIR_EL1 (fine)")
    assert ask("ID_AA64MMFR3_EL1=0x100,ID_AA64MMFR0_EL1=0x0100000000000000") == present


@pytest.mark.parametrize(
    ("features", "problem"),
    [
        ("armv8.44", "unknown feature `armv8.44`"),
        ("FEAT_XYZ", "unknown feature `FEAT_XYZ`"),
        ("ID_AA64MMFR3_EL1=zz", "`zz` is no number"),
        ("ID_AA64MMFR3_EL1=1,armv8.4", "`armv8.4` stands among values of ID registers"),
        ("ID_NOSUCH=1", "unknown register `ID_NOSUCH`"),
    ],
)
def test_unknown_features_are_said(nvtrap: Nvtrap, features: str, problem: str) -> None:
    """A feature, profile or ID register nobody knows is one line."""
    run = nvtrap("query", "PIR_EL1", "--features", features)
    assert run.code == 2
    assert problem in run.err
