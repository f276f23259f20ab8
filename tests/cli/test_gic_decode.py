"""`nvtrap gic decode` and `nvtrap gic encode`."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from nvtrap.cli import gic_decode, gic_encode
from nvtrap.cli.commands import gic
from nvtrap.gic.codecs import registers
from tests.cli.helpers import Nvtrap, Program, without_colour

LR = "ICH_LR0_EL2"
SHOWN = """\
ICH_LR0_EL2: pending, Group 1, priority 0xa0, vINTID 27 (PPI), software (EOI maintenance off)
field     bits     value  meaning
State     [63:62]  1      pending
HW        [61]     0      software
Group     [60]     1      Group 1
NMI       [59]     0
Priority  [55:48]  0xa0
EOI       [41]     0      no maintenance at EOI
vINTID    [31:0]   0x1b   27 (PPI)
"""


@pytest.mark.parametrize("words", [(LR, "0x50a000000000001b"), (f"{LR}=0x50a000000000001b",)])
def test_a_list_register_is_shown(nvtrap: Nvtrap, words: tuple[str, ...]) -> None:
    """A sentence, then a line a field."""
    assert nvtrap("gic", "decode", *words) == (0, SHOWN, "")


def test_reserved_bits_are_noted(nvtrap: Nvtrap) -> None:
    """Below the fields."""
    run = nvtrap("gic", "decode", LR, "0x50a0e0000000001b")
    assert run.out == f"{SHOWN}note: reserved bits are set: [47:45]\n"


def test_several_registers_are_shown_one_after_another(nvtrap: Nvtrap) -> None:
    """With a line between them, in text and as a list in JSON."""
    words = ["ICH_HCR_EL2=0x5", f"{LR}=0", "ITS_COMMAND=0x500000008,4,0x8000000080000000,0"]
    run = nvtrap("gic", "decode", *words)
    heads = [part.splitlines()[0] for part in run.out.split("\n\n")]
    assert heads == [
        "ICH_HCR_EL2: on, maintenance interrupt for LRENPIE, no traps",
        "ICH_LR0_EL2: empty",
        "ITS_COMMAND: MAPD: DeviceID 5, Size 5 bits of EventID, ITT_addr 0x80000000, map",
    ]
    rows = nvtrap("gic", "decode", "--json", *words).json()
    assert [row["register"] for row in rows] == ["ICH_HCR_EL2", LR, "ITS_COMMAND"]
    assert rows[0]["fields"][-1] == {
        "field": "En",
        "bits": "[0]",
        "value": 1,
        "meaning": "virtual CPU interface on",
    }
    assert rows[2]["value"] == "0x800000008000000000000000000000040000000500000008"


def test_a_register_alone_is_its_layout(nvtrap: Nvtrap) -> None:
    """With its fields' bits and, where they move, when they are there."""
    lines = nvtrap("gic", "decode", "ICH_LR_EL2").lines
    about = "ICH_LR<n>_EL2: list register: an interrupt of the guest (64 bits, n from 0 to 15)"
    assert lines[0] == about
    assert lines[1].split() == ["field", "bits", "when", "meaning"]
    assert "EOI       [41]     HW is 0  0 no maintenance at EOI" in "\n".join(lines)
    (row,) = nvtrap("gic", "decode", "ICH_LR_EL2", "--json").json()
    assert (row["width"], row["n"]) == (64, [0, 15])
    assert nvtrap("gic", "decode", "ICH_VTR_EL2").lines[1].split() == ["field", "bits", "meaning"]


@pytest.mark.parametrize("register", list(registers()), ids=lambda register: register.name)
def test_every_layout_is_shown(nvtrap: Nvtrap, register: object) -> None:
    """A line a field, on one line each; its name is one of `--names`, and decodes."""
    name = getattr(register, "name", "")
    fields = getattr(register, "fields", ())
    lines = nvtrap("gic", "decode", name).lines
    assert lines[0].startswith(f"{name}: ")
    assert [line.split()[0] for line in lines[2:]] == [field.name for field in fields]
    stem = name.replace("<n>", "")
    values = ["0"] * (4 if name == "ITS_COMMAND" else 1)
    assert nvtrap("gic", "decode", stem, *values).lines[0].startswith(f"{name}: ")


def test_the_list_has_three_forms(nvtrap: Nvtrap) -> None:
    """Columns, names and JSON say the same registers, all or those of patterns."""
    names = nvtrap("gic", "decode", "--names").lines
    assert len(names) == len(set(names)) == len(list(registers()))
    heading, *lines = nvtrap("gic", "decode", "--list").lines
    assert heading.split()[:2] == ["register", "bits"]
    assert [line.split()[0].replace("<n>", "") for line in lines] == names
    rows = nvtrap("gic", "decode", "--list", "--json").json()
    assert [row["register"].replace("<n>", "") for row in rows] == names
    some = nvtrap("gic", "decode", "--names", "ich_lr*_el2", "GITS_?BASER", "ICH_LR3_EL2").lines
    assert some == ["ICH_LR_EL2", "GITS_CBASER"]


@pytest.mark.parametrize(
    ("words", "problem", "help_"),
    [
        ([], "there is nothing to decode", "name a register, --list has them all"),
        (["ICH_VMRC_EL2", "0"], "unknown register `ICH_VMRC_EL2`", "`ICH_VMCR_EL2`"),
        (["ICH_VMRC_EL2"], "unknown register `ICH_VMRC_EL2`", "`ICH_VMCR_EL2`"),
        (["ICH_LR16_EL2=0"], "there is no `ICH_LR16_EL2`", "from 0 to 15"),
        ([LR, "x"], "`x` is no number for `ICH_LR0_EL2`", "0x10"),
        ([LR, "-1"], "`-1` does not fit the 64 bits of `ICH_LR0_EL2`", ""),
        ([f"{LR}=-1"], "does not fit", ""),
        ([LR, "0x1ffffffffffffffff"], "does not fit the 64 bits of `ICH_LR0_EL2`", ""),
        (["GICD_CTLR", "0x100000000"], "does not fit the 32 bits of GICD_CTLR", ""),
        ([LR, "0", "1"], "`ICH_LR0_EL2` takes one value, not 2", ""),
        (["ITS_COMMAND", "0"], "`ITS_COMMAND` takes four values, DW0 to DW3, not 1", ""),
        ([f"{LR}=0", LR], "`ICH_LR0_EL2` is no value of a register", "write REG=N for each"),
        ([f"{LR}="], "`ICH_LR0_EL2=` is no value of a register", ""),
        (["=1"], "`=1` is no value of a register", ""),
        (["--list", "ICX_*"], "unknown register `ICX_*`", ""),
        (["--list", "["], "unknown register `[`", ""),
        (["--list", "ICH_VMRC_EL2"], "unknown register `ICH_VMRC_EL2`", "`ICH_VMCR_EL2`"),
        (["\udcff"], "unknown register `�`", ""),
        (["--jsno", LR], "unknown option `--jsno`", "did you mean `--json`?"),
    ],
)
def test_what_cannot_be_decoded_is_told(
    nvtrap: Nvtrap, words: list[str], problem: str, help_: str
) -> None:
    """With 2, and what to do about it."""
    run = nvtrap("gic", "decode", *words)
    assert (run.code, run.out) == (2, "")
    assert problem in run.err.splitlines()[0]
    assert help_ in run.err


# ---- encode -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "value"),
    [
        ([LR, "State=pending", "Priority=0xa0", "Group=1", "vINTID=27"], "0x50a000000000001b"),
        (["ich_lr_el2", "state=pending and active"], "0xc000000000000000"),
        ([LR], "0x0"),
        (["LPI_CONFIG", "Priority=0x28", "Enable=1"], "0xa3"),
        (["GICD_ISENABLER1", "Set_enable_bit5=1"], "0x20"),
        (["ITS_COMMAND", "Command=MAPC", "V=map", "ICID=1"], "0x9 0x0 0x8000000000000001 0x0"),
    ],
)
def test_encode_prints_the_value(nvtrap: Nvtrap, words: list[str], value: str) -> None:
    """Alone, for a shell to use; `decode` takes it back."""
    assert nvtrap("gic", "encode", *words) == (0, f"{value}\n", "")
    decoded = nvtrap("gic", "decode", words[0], *value.split(), "--json").json()
    assert nvtrap("gic", "encode", *words, "--json").json() == decoded
    fields = [f"{field['field']}={field['value']}" for field in decoded[0]["fields"]]
    assert nvtrap("gic", "encode", words[0], *fields).out == f"{value}\n"


@pytest.mark.parametrize(
    ("words", "problem", "help_"),
    [
        ([], "required: REG", "see `nvtrap gic encode --help`"),
        (["ICH_VMRC_EL2"], "unknown register `ICH_VMRC_EL2`", "`ICH_VMCR_EL2`"),
        ([LR, "Stat=1"], "unknown field `Stat`", "`State`"),
        ([LR, "State"], "`State` is no field with a value", "write FIELD=N"),
        ([LR, "=1"], "`=1` is no field with a value", ""),
        ([LR, "State=4"], "does not fit the 2 bits of `State`", ""),
        ([LR, "State=-1"], "unknown value of State `-1`", ""),
        ([LR, "State=0x"], "`0x` is no number for `State`", ""),
        ([LR, "State=1", "state=2"], "`state` is given twice", ""),
        ([LR, "pINTID=3"], "`pINTID` is not in this value of ICH_LR0_EL2", "HW is 1"),
        ([LR, "--jsno"], "unknown option `--jsno`", "`--json`"),
    ],
)
def test_what_cannot_be_encoded_is_told(
    nvtrap: Nvtrap, words: list[str], problem: str, help_: str
) -> None:
    """With 2, and what to do about it."""
    run = nvtrap("gic", "encode", *words)
    assert (run.code, run.out) == (2, "")
    assert problem in run.err.splitlines()[0]
    assert help_ in run.err


# ---- the command ------------------------------------------------------------------


@pytest.mark.parametrize("words", [[], ["dec"], ["x", "LR"]])
def test_unknown_sub_commands_are_told(nvtrap: Nvtrap, words: list[str]) -> None:
    """With those there are."""
    run = nvtrap("gic", *words)
    assert (run.code, run.out) == (2, "")
    assert "COMMAND" in run.err.splitlines()[0]


@pytest.mark.parametrize("name", gic.SUBCOMMANDS)
def test_every_sub_command_has_help(nvtrap: Nvtrap, name: str) -> None:
    """With its own examples."""
    run = nvtrap("gic", name, "--help")
    assert run.code == 0
    assert run.out.startswith(f"usage: nvtrap gic {name} ")
    assert f"\n  nvtrap gic {name} " in run.out
    about = " ".join(nvtrap("gic", "--help").out.split())
    assert f" {name} {gic.SUBCOMMANDS[name]}" in about


EXAMPLE = re.compile(r"^  (nvtrap .*)$", re.MULTILINE)
EXAMPLES = [
    example
    for text in (gic.EXAMPLES, gic_decode.EXAMPLES, gic_encode.EXAMPLES)
    for example in EXAMPLE.findall(text)
]


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_works(program: Program, tmp_path: Path, example: str) -> None:
    """Pasted into a shell."""
    run = program.shell(example, tmp_path)
    assert (run.code, run.err) == (0, "")
    assert run.out


def test_a_terminal_shows_the_same_in_colour(program: Program) -> None:
    """The words are those of a pipe, painted."""
    run = program.on_terminal("gic", "decode", LR, "0x50a000000000001b", columns=120)
    assert run.out != without_colour(run.out)
    first, *_ = SHOWN.splitlines()
    assert first in without_colour(run.out).splitlines()
    for line in SHOWN.splitlines():
        assert all(word in without_colour(run.out) for word in line.split())


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["gic", ""], list(gic.SUBCOMMANDS)),
        (["gic", "decode", "ICH_LR"], ["ICH_LR_EL2", "ICH_LR", "ICH_LRC"]),
        (["gic", "encode", "GITS_CB"], ["GITS_CBASER"]),
        (["gic", "decode", "--li"], ["--list"]),
    ],
)
def test_bash_completes(
    program: Program, tmp_path: Path, words: list[str], offered: list[str]
) -> None:
    """Sub-commands, registers, options."""
    quoted = " ".join(f"'{word}'" for word in ["nvtrap", *words])
    script = (
        f"source <(nvtrap completion bash); COMP_WORDS=({quoted});"
        f" COMP_CWORD={len(words)}; _nvtrap; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    )
    run = program.shell(script, tmp_path)
    assert (sorted(run.lines), run.err) == (sorted(offered), "")
