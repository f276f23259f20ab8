"""What is said of a scenario that cannot be run: where, what, and what was meant."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from nvtrap.errors import InputError, NvtrapError, UnknownNameError
from nvtrap.sim import Runner, parse, read
from nvtrap.sim.parse import MOST_STEPS
from nvtrap.sim.source import MOST_BYTES
from tests.sim.helpers import BOOTED, run

# (what stands behind two lines that boot L1, where and what is wrong, the advice)
MISTAKES = [
    ("L1: mss HCR_EL2", "3:5: expected a block such as `L1:` or a step, found `mss`", "`msr`"),
    ("L1:\n msr HCR_EL2 = RW\n mss VBAR_EL2 = 1", "5:2: there is no step `mss`", "`msr`"),
    ("L1: msr HRC_EL2 = 1", "3:5: unknown register `HRC_EL2`", "`HCR_EL2`"),
    ("L1: msr HCR_EL2 = RWW", "3:19: unknown field `HCR_EL2.RWW`", "`HCR_EL2.RW`"),
    ("L1: msr HCR_EL2.{IMO, FMOO} = 1", "3:5: unknown field `HCR_EL2.FMOO`", "`HCR_EL2.FMO`"),
    (
        "L1: msr HCR_EL2.{IMO, FMO} = 0b111",
        "3:5: `0x7` does not fit the 2 bits of `HCR_EL2.{IMO, FMO}`",
        "",
    ),
    ("L1: msr HCR_EL2.VM = 2", "3:5: `0x2` does not fit the 1 bit of `HCR_EL2.VM`", ""),
    ("L1: msr ICH_LR0_EL2 = pendin", "3:23: unknown field `ICH_LR0_EL2.pendin`", "pending`"),
    ("L1: msr ICH_LR0_EL2 = hw", "3:23: `hw` is followed by a number", ""),
    ("L1: msr ICH_LR0_EL2 = vintid", "3:23: `ICH_LR0_EL2.vintid` has more than one bit", "N`"),
    ("L1: mrs ICH_LR0_EL2.State -> gone", "3:30: unknown value of State `gone`", ""),
    ("L1: mrs HCR_EL2.VM -> RW", "3:23: the values of `HCR_EL2.VM` have no names", "a number"),
    ("L1: mrs ICH_LR0_EL2.State -> active 2", "3:30: `ICH_LR0_EL2.State` takes a number", ""),
    ("L1: mrs ESR_EL2.ECC -> 3", "3:5: unknown field `ESR_EL2.ECC`", ""),
    ("L1: msr MDCR_EL2 = HPMN", "3:20: `MDCR_EL2.HPMN` has more than one bit", "`HPMN N`"),
    ("L1: msr SPSR_EL2 = EL1z", "3:20: unknown field `SPSR_EL2.EL1z`", ""),
    ("L1: msr VBAR_EL2 = 0x1_0000_0000_0000_0000", "3:20: `0x1_0000_0000_0000_0000` does", ""),
    ("L1: msr VBAR_EL2 = 010", "3:20: `010` is no number for a value", ""),
    ("L1: mrs ICC_IAR1_EL1 = 5", "3:22: expected a block such as `L1:`, a step or `->`", "`->`"),
    ("L1: mrs HCR_EL2 -> -> 5", "3:20: expected ", "commas"),
    ("L1: mrs HCR_EL2 -> trap to L2", "3:28: expected `L0` or `L1`, found `L2`", ""),
    ("L1: mrs S3_9_C1_C1_1", "3:5: `S3_9_C1_C1_1` is no encoding", ""),
    ("L1: nop -> EC 64", "3:12: an exception class has 6 bits, not `0x40`", ""),
    ("L1: hvc 0x10000", "3:5: `0x10000` does not fit the 16 bits of `hvc`", ""),
    ("L1: load 3", "3:5: `0x3` is not aligned to 8 bytes", ""),
    ("L1: store 0, 3 bytes = 1", "3:5: an access has 1, 2, 4 or 8 bytes, not 3", ""),
    ("L1: expect memory 1 = 1", "3:12: `0x1` is not aligned to 8 bytes", ""),
    ("L1: mov X31 = 1", "3:5: unknown general register `X31`", ""),
    ("L1: mov X0 = CPU_ONN", "3:14: unknown constant `CPU_ONN`", "`CPU_ON_64`"),
    ("L1: tlbi VAE9 = 1", "3:5: unknown register `TLBI_VAE9`", "TLBI_VAE1"),
    ("L1: raise 40", "3:5: `L1` cannot do this", "`device:`"),
    ("device: nop", "3:9: `device` cannot do this", "`L1:`"),
    ("device: raise 5", "3:9: SGI 5 has no line", ""),
    ("device: enable 40 priority 0x100", "3:9: a priority is at most 0xff", ""),
    ("L1 on vcpu 1: nop", "3:4: there is no vCPU `1`", "`machine: vcpus N`"),
    ("setup: boot L1", "3:15: expected `with` or `without`, found the end of the file", ""),
    ("L1: nop @", "3:9: expected ", ""),
    ('L1: nop "', "3:9: expected ", ""),
    ("L1: eret\x1b[0m", "3:9: expected a block such as `L1:`, a step or `->`, found `\ufffd`", ""),
    ("L3: nop", "3:1: expected a block such as `L1:`, a step or `->`, found `L3`", ""),
]
OPTIONS = [
    ("kernal 6.18", "1:23: expected `host`, `interrupts`,", "`kernel`"),
    ("kernel 6", "1:30: expected a version such as 6.18, found `6`", ""),
    ('table "nope"', "1:23: unknown table `nope`", ""),
    ("without FEAT_NOPE", "1:23: unknown feature `FEAT_NOPE`", "FEAT_"),
    ("host traps TALLX", "1:23: unknown field `ICH_HCR_EL2.TALLX`", "TALL1"),
    ("vcpus 99", " a machine has 1 to 16 vCPUs, not `99`", ""),
    ("interrupts 5", " a GIC cannot have `5` interrupts", ""),
    ("host traps En", " `0x1` has bits that are no traps of ICH_HCR_EL2", ""),
]
# What only the run finds out.
LATER = [
    ("L1: msr CPTR_EL2 = TFP", "3:20: `CPTR_EL2.TFP` does not exist in this layout", "E2H == 0"),
    ("device: raise 4000", "3:9: interrupt `4000` has no line", ""),
    ("device: enable 4000", "3:9: there is no interrupt `4000`", ""),
    ("device: answer 5", "3:9: user space was not asked for anything", ""),
    ("L1: expect line 4000 high", "3:12: there is no interrupt `4000`", ""),
    ("L1: expect hardware VBAR_EL1 = 3", "3:12: what the hardware has in `VBAR_EL1`", ""),
    ("L1: expect ICC_IAR1_EL1 = 3", "3:12: to look at `ICC_IAR1_EL1` is to ack", "`mrs`"),
    (
        "L1: msr HCR_EL2 = RW E2H VM eret setup: boot L1 with VHE",
        "3:41: L1 cannot boot, vCPU 0 runs L2",
        "",
    ),
]


def error_of(text: str) -> NvtrapError:
    """What is wrong with a whole scenario."""
    with pytest.raises(NvtrapError) as caught:
        list(Runner(parse("test.sim", text)).run())
    return caught.value


@pytest.mark.parametrize(("text", "message", "help_"), [*MISTAKES, *LATER])
def test_a_mistake_is_told_with_its_place(text: str, message: str, help_: str) -> None:
    """File, line, column, what, and often what was meant; the exit code is that of a failure."""
    error = error_of(BOOTED + text)
    assert isinstance(error, InputError)
    assert error.message.startswith(f"test.sim:{message}")
    assert help_ in error.help
    assert bool(help_) <= bool(error.help)
    assert error.exit_code == 2
    assert not error.message.endswith(".")


@pytest.mark.parametrize(("option", "message", "help_"), OPTIONS)
def test_a_machine_that_cannot_be_is_told(option: str, message: str, help_: str) -> None:
    """With the option's place, or by the file where several play together."""
    error = error_of(f'scenario "x" machine: {option}')
    assert error.message.startswith(f"test.sim:{message}")
    assert help_ in error.help


@pytest.mark.parametrize("text", ["", "   \n", "# only a comment\n"])
def test_an_empty_file_is_no_scenario(text: str) -> None:
    """It has to begin with its title."""
    found = "expected `scenario`, found the end of the file"
    assert error_of(text).message.endswith(found)


def test_only_mistakes_of_every_layout_are_told_before_the_run() -> None:
    """`TFP` is a field without E2H: the run decides."""
    assert run("L1: msr CPTR_EL2 = TFP", BOOTED.replace("with VHE", "without VHE"))


def test_steps_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """One more than there can be is told where it stands."""
    monkeypatch.setattr(sys.modules["nvtrap.sim.parse"], "MOST_STEPS", 5)
    assert MOST_STEPS == 10_000
    error = error_of(BOOTED + "L1: nop nop nop\n  nop")
    assert error.message == "test.sim:4:3: a scenario has at most 5 steps"


# ---- files ------------------------------------------------------------------------


def test_files_are_read_by_path_and_shipped_ones_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file of that name comes first; line ends and a mark at the beginning do not matter."""
    monkeypatch.chdir(tmp_path)
    shown, text = read("timer")
    assert shown == "scenarios/timer.sim"
    assert text.startswith("# The timer of an L2 guest fires.")
    Path("timer").write_bytes(b'\xef\xbb\xbfscenario "mine"\r\nL1: nop\r')
    assert read("timer") == ("timer", 'scenario "mine"\nL1: nop\n')


def test_what_is_no_file_is_told(tmp_path: Path) -> None:
    """A name gets a suggestion; bytes, folders and giants get an answer."""
    with pytest.raises(UnknownNameError) as caught:
        read("timr")
    assert caught.value.close == ["timer"]
    with pytest.raises(InputError, match="there is no file `a/b`"):
        read("a/b")
    with pytest.raises(InputError, match=r"there is no file `x\.sim`"):
        read("x.sim")
    with pytest.raises(InputError, match="cannot be read: is a directory"):
        read(str(tmp_path))
    path = tmp_path / "x.sim"
    path.write_bytes(b"\xff")
    with pytest.raises(InputError, match="byte 0 is not UTF-8"):
        read(str(path))
    path.write_bytes(b" " * (MOST_BYTES + 1))
    with pytest.raises(InputError, match="larger than a scenario can be"):
        read(str(path))
