"""`nvtrap sim`: scenarios on the command line."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from nvtrap import Access, State, load
from nvtrap.cli.commands.sim import EXAMPLES
from nvtrap.places import scenarios_root
from nvtrap.sim import names
from tests.cli.helpers import ROOT, Nvtrap, Program, without_colour

STORY = """\
scenario "a short story"
setup: boot L1 with VHE
L1 "starts its guest":
    msr HCR_EL2 = RW E2H VM TID3
    eret -> runs L2
L2:
    mrs ID_AA64PFR0_EL1 -> trap to L1, by HCR.TID3
"""
STATE = State({"HCR_EL2": 1 << 18})
RULE = str(load("linux-6.12").decide(STATE, Access("ID_AA64PFR0_EL1")).place)
TIMELINE = f"""\
a short story  (story.sim)

setup
   2      boot L1 with VHE

L1: starts its guest
   4  L1    msr HCR_EL2 = RW E2H VM TID3  memory
   5  L1    eret  returned
      L0  exit: ERET
      L0  L2 runs (before: L1 at vEL2, VHE)

L2
   7  L2      mrs ID_AA64PFR0_EL1  trap to L1
      L0  exit: ID_AA64PFR0_EL1, forward by HCR.TID3  {RULE}
      L0  exception injected into vEL2, ESR 0x62300129
      L0  L1 at vEL2, VHE runs (before: L2)

4 steps, 3 expectations, all hold
"""
WRONG = STORY.replace("trap to L1", "trap to L0").replace("runs L2", "runs L1, EC 0x1a")


@pytest.fixture
def story(tmp_path: Path) -> Path:
    """A folder with a scenario that holds, one that fails, and one with a mistake."""
    (tmp_path / "story.sim").write_text(STORY, encoding="utf-8")
    (tmp_path / "wrong.sim").write_text(WRONG, encoding="utf-8")
    (tmp_path / "bad.sim").write_text(STORY.replace("mrs", "msr"), encoding="utf-8")
    return tmp_path


@pytest.mark.usefixtures("story")
def test_the_timeline_shows_who_does_what(nvtrap: Nvtrap) -> None:
    """Levels by indentation, exits with their decision and rule, switches, how steps end."""
    run = nvtrap("sim", "story.sim")
    assert (run.code, run.out, run.err) == (0, TIMELINE, "")


@pytest.mark.usefixtures("story")
def test_what_fails_is_told_with_its_place(nvtrap: Nvtrap) -> None:
    """All of it, and what was got; the exit code is 1."""
    run = nvtrap("sim", "wrong.sim", "--quiet")
    assert run.code == 1
    assert run.lines == [
        "a short story  (wrong.sim)",
        "wrong.sim:5:13: expected `runs L1`, got vCPU 0: L2",
        "wrong.sim:7:28: expected `trap to L0`, got trap to L1",
        "",
        "4 steps, 4 expectations, 2 failed",
    ]
    assert run.lines[1] in nvtrap("sim", "wrong.sim").lines


@pytest.mark.usefixtures("story")
def test_a_mistake_ends_the_command_before_anything_is_run(nvtrap: Nvtrap) -> None:
    """With its place and 2, also when other files are good."""
    run = nvtrap("sim", "story.sim", "bad.sim")
    assert (run.code, run.out) == (2, "")
    assert run.err.startswith("nvtrap: bad.sim:7:25: expected `=`, found `->`")


def test_a_step_out_of_turn_is_told(nvtrap: Nvtrap) -> None:
    """Who was to do it, and what runs; also a vCPU that waits."""
    text = 'scenario "x" setup: boot L1 with VHE L1: wfi\nL1: nop'
    run = nvtrap("sim", "-", "--quiet", stdin=text.encode())
    assert run.code == 1
    assert run.lines[1] == (
        "standard input:2:5: `nop` is a step of L1, but the vCPU waits for an interrupt"
    )
    run = nvtrap("sim", "-", "--quiet", stdin=text.replace("wfi\nL1", "nop\nL2").encode())
    assert run.lines[1] == "standard input:2:5: `nop` is a step of L2, but L1 runs"
    assert run.lines[-1] == "2 steps, 0 expectations, 0 failed, stopped"


@pytest.mark.usefixtures("story")
def test_json_is_a_line_for_everything(nvtrap: Nvtrap) -> None:
    """Each with its scenario; the last one says how it came out."""
    run = nvtrap("sim", "story.sim", "wrong.sim", "--json")
    records = [json.loads(line) for line in run.lines]
    assert run.code == 1
    assert {record["scenario"] for record in records} == {"story.sim", "wrong.sim"}
    (trap,) = [r for r in records if r.get("register") and r["scenario"] == "story.sim"]
    assert (trap["decision"], trap["control"]) == ("forward", "HCR.TID3")
    assert trap["rule"] == RULE
    summaries = [record for record in records if record["kind"] == "summary"]
    assert [summary["holds"] for summary in summaries] == [True, False]
    assert [summary["failed"] for summary in summaries] == [0, 2]


def test_shipped_ones_are_run_by_name_and_listed(nvtrap: Nvtrap) -> None:
    """A name that is none gets a suggestion, none at all the list."""
    listed = nvtrap("sim", "--list")
    assert listed.code == 0
    assert [line.split()[0] for line in listed.lines] == ["scenario", *names()]
    run = nvtrap("sim", "illegal-eret")
    assert run.lines[0].endswith("(scenarios/illegal-eret.sim)")
    assert run.code == 0
    assert nvtrap("sim", "ilegal-eret").err == (
        "nvtrap: unknown scenario `ilegal-eret`\n  help: did you mean `illegal-eret`?\n"
    )
    assert "--list" in nvtrap("sim").err


def test_all_shipped_ones_hold(nvtrap: Nvtrap) -> None:
    """In one run, each with its summary."""
    run = nvtrap("sim", *names(), "--quiet")
    assert run.code == 0
    assert sum(line.endswith("all hold") for line in run.lines) == len(names())


def test_another_table_decides(nvtrap: Nvtrap) -> None:
    """Linux 6.12 does not look at MDCR_EL2.HPMN, the story says."""
    run = nvtrap("sim", "pmu-hpmn", "--table", "linux-6.12", "--quiet")
    assert run.code == 1
    assert "`by MDCR.HPMN`, got local: none" in run.out
    assert run.lines[-1].endswith("failed, stopped")
    assert nvtrap("sim", "fp", "--table", "linux-6.13").code == 2


def test_several_vcpus_are_told_apart(nvtrap: Nvtrap) -> None:
    """Blocks and events name theirs."""
    out = nvtrap("sim", "sgi").out
    assert "L2 on vCPU 0: sends SGI 5 to vCPU 1" in out
    assert "L0  vCPU 1: IRQ injected into vEL2" in out


# ---- traces -----------------------------------------------------------------------


@pytest.mark.usefixtures("story")
def test_a_trace_goes_to_a_file_beside_the_timeline(nvtrap: Nvtrap) -> None:
    """Or takes its place on standard output; both are the same."""
    run = nvtrap("sim", "story.sim", "--trace", "trace.txt")
    assert run.out == TIMELINE
    trace = Path("trace.txt").read_text(encoding="utf-8")
    assert trace.startswith("# tracer: nop\n")
    assert "kvm_forward_sysreg_trap: 40100000 R (3,0,0,4,0)" in trace
    assert nvtrap("sim", "story.sim", "--trace", "-").out == trace
    replayed = nvtrap("replay", "trace.txt")
    assert replayed.code == 0
    assert replayed.lines[-1].endswith("1 trap, 1 forwarded, 0 disagreements, 0 damaged lines")
    both = nvtrap("sim", "story.sim", "--trace", "-", "--json")
    assert (both.code, both.out) == (2, "")


@pytest.mark.usefixtures("story")
def test_a_trace_that_cannot_be_written_is_told(nvtrap: Nvtrap) -> None:
    """By its name."""
    run = nvtrap("sim", "story.sim", "--trace", "no/such/folder")
    assert (run.code, run.err) == (2, "nvtrap: `no/such/folder`: no such file or directory\n")


# ---- as a process -----------------------------------------------------------------


def test_failures_are_red_on_a_terminal(program: Program, story: Path) -> None:
    """And the rest is painted, with the same words as in a pipe."""
    shown = program.on_terminal("sim", "wrong.sim", columns=200, folder=story)
    piped = program("sim", "wrong.sim", folder=story)
    assert shown.code == piped.code == 1
    assert without_colour(shown.out) == piped.out
    assert "\x1b[1;31mwrong.sim:5:13: expected `runs L1`, got vCPU 0: L2\x1b[0m" in shown.out
    assert "\x1b[1;32mforward\x1b[0m" in shown.out
    plain = program.on_terminal("sim", "wrong.sim", folder=story, env={"NO_COLOR": "1"})
    assert plain.out == piped.out


def test_a_reader_that_is_gone_ends_it(program: Program, story: Path) -> None:
    """Quietly, for the timeline and for the trace."""
    for words in (["sim", "story.sim"], ["sim", "story.sim", "--trace", "-"]):
        reader, writer = os.pipe()
        os.close(reader)
        try:
            run = program(*words, folder=story, out=writer)
        finally:
            os.close(writer)
        assert (run.code, run.err) == (141, "")


def test_control_characters_of_a_file_do_not_reach_the_terminal(
    program: Program, tmp_path: Path
) -> None:
    """In a title or in a mistake."""
    (tmp_path / "x.sim").write_text('scenario "a\x1b[2Jb" L1 "\x07": nop', encoding="utf-8")
    run = program.on_terminal("sim", "x.sim", folder=tmp_path, env={"NO_COLOR": "1"})
    assert run.code == 0
    assert "\x1b" not in run.out
    assert "\x07" not in run.out
    (tmp_path / "y.sim").write_text('scenario "x" \x1b[2J', encoding="utf-8")
    assert "\x1b" not in program("sim", "y.sim", folder=tmp_path).err


@pytest.mark.parametrize(
    "example", [line.strip() for line in EXAMPLES.splitlines() if line.startswith("  nvtrap")]
)
def test_every_example_works(program: Program, story: Path, example: str) -> None:
    """Pasted into a shell, beside a file of the name it uses."""
    (story / "mine.sim").write_text(STORY, encoding="utf-8")
    run = program.shell(example, story)
    assert (run.code, run.err) == (0, "")
    assert run.out


def test_the_shipped_folder_is_the_checkouts() -> None:
    """Where people look for stories to read."""
    assert scenarios_root() == str(ROOT / "scenarios")
