"""`nvtrap query`: what is asked, and the answer."""

from __future__ import annotations

import pytest

from tests.cli.helpers import Nvtrap

FORWARD = "read REVIDR_EL1: forward by HCR.TID1 (coarse)  rules/linux/6.12/id.trap:"
READ_REVIDR = "0x623c0001"
WRITE_REVIDR = "0x623c0000"


@pytest.mark.parametrize(
    "register",
    [
        "REVIDR_EL1",
        "revidr_el1",
        " ReViDr_El1 ",
        "S3_0_C0_C0_6",
        "s3_0_c0_c0_6",
        "3,0,0,0,6",
        "(3, 0, 0, 0, 6)",
        "[3,0,0,0,6]",
        READ_REVIDR,
        READ_REVIDR.upper(),
        str(int(READ_REVIDR, 16)),
    ],
)
def test_every_way_to_name_a_register(nvtrap: Nvtrap, register: str) -> None:
    """A name in any case, both forms of encodings, and ESR values all mean the register."""
    run = nvtrap("query", register, "--set", "HCR_EL2.TID1=1")
    assert run.code == 0
    assert run.lines[0].startswith(FORWARD)


@pytest.mark.parametrize("name", ["TLBI VAE1IS", "tlbi vae1is", "TLBI_VAE1IS"])
def test_an_instruction_may_be_written_with_a_space(nvtrap: Nvtrap, name: str) -> None:
    """`TLBI VAE1IS`, as assemblers write it, is TLBI_VAE1IS."""
    run = nvtrap("query", "-w", name, "--set", "HCR_EL2.TTLB=1")
    assert run.lines[0].startswith("write TLBI_VAE1IS: forward by HCR.TTLB_TTLBIS (coarse)  ")


def test_a_write_is_asked_about_with_w(nvtrap: Nvtrap) -> None:
    """TVM traps writes only, and `-w` and `--write` are the same."""
    armed = ("--set", "HCR_EL2.TVM=1")
    read = nvtrap("query", "TTBR0_EL1", *armed)
    assert read.lines[0].startswith("read TTBR0_EL1: local (none: ")
    write = nvtrap("query", "-w", "TTBR0_EL1", *armed)
    assert write.lines[0].startswith("write TTBR0_EL1: forward by ")
    assert nvtrap("query", "--write", "TTBR0_EL1", *armed) == write


def test_an_esr_value_brings_its_direction(nvtrap: Nvtrap) -> None:
    """The direction bit counts; `-w` may repeat it and must not contradict it."""
    assert nvtrap("query", READ_REVIDR).out.startswith("read REVIDR_EL1: ")
    assert nvtrap("query", WRITE_REVIDR).out.startswith("write REVIDR_EL1: ")
    assert nvtrap("query", "-w", WRITE_REVIDR).code == 0
    run = nvtrap("query", "-w", READ_REVIDR)
    assert run.code == 2
    assert f"`{READ_REVIDR}` reports a read" in run.err


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("0x0", "has EC 0x00"),
        ("12", "has EC 0x00"),
        ("0x", "`0x` is no number"),
        ("0xg", "`0xg` is no number"),
        ("²", "`²` is no number"),
        ("0x1" + "0" * 16, "does not fit the 64 bits of an ESR value"),
        ("9" * 5000, "does not fit the 64 bits of an ESR value"),
        ("3,0,0,0,9", "op2 is 9, it goes from 0 to 7"),
        ("S9_0_C0_C0_6", "op0 is 9, it goes from 0 to 3"),
        ("3,0,0,0", "unknown register `3,0,0,0`"),
        ("NOT_THERE_EL7", "unknown register `NOT_THERE_EL7`"),
        ("", "unknown register ``"),
        ("A\nB", "unknown register"),
        ("\udcff", "unknown register `�`"),
        ("\x1b[31mRED", "unknown register `�[31mRED`"),
    ],
)
def test_what_is_no_access_is_told(nvtrap: Nvtrap, text: str, problem: str) -> None:
    """Each text that names no access ends with 2, one line and no answer."""
    run = nvtrap("query", text)
    assert (run.code, run.out) == (2, "")
    assert problem in run.err


def test_a_misspelt_register_gets_suggestions(nvtrap: Nvtrap) -> None:
    """The closest register is in the help."""
    run = nvtrap("query", "REVIDR_EL")
    assert "unknown register `REVIDR_EL`" in run.err
    assert "did you mean `REVIDR_EL1`" in run.err


def test_an_encoding_without_an_entry_is_local(nvtrap: Nvtrap) -> None:
    """Any encoding can be asked about, named or not."""
    run = nvtrap("query", "S2_7_C15_C15_7")
    assert run.out == "read S2_7_C15_C15_7: local (no-entry: no rule of the table names it)\n"


def test_el_and_nv_decide_first(nvtrap: Nvtrap) -> None:
    """Neither EL2 nor a vCPU without EL2 is forwarded anything; EL0 and EL1 are."""
    armed = ("query", "REVIDR_EL1", "--set", "HCR_EL2.TID1=1")
    assert "local (hyp-context: " in nvtrap(*armed, "--el", "2").out
    assert "local (no-el2: " in nvtrap(*armed, "--no-nv").out
    for level in ("0", "1"):
        assert nvtrap(*armed, "--el", level).out.startswith(FORWARD)


@pytest.mark.parametrize("level", ["3", "-1", "x", "1.0", ""])
def test_other_els_are_refused(nvtrap: Nvtrap, level: str) -> None:
    """A trap comes from EL 0, 1 or 2."""
    run = nvtrap("query", "REVIDR_EL1", f"--el={level}")
    assert run.code == 2
    assert f"`{level}` is no value for `--el`" in run.err


def test_res0_bits_do_not_trap(nvtrap: Nvtrap) -> None:
    """A bit that the vCPU lacks reads as 0, and one of negative polarity never traps."""
    armed = ("query", "REVIDR_EL1", "--set", "HCR_EL2.TID1=1")
    assert " local " in nvtrap(*armed, "--res0", "HCR_EL2=0x10000").out
    assert " forward " in nvtrap("query", "PIR_EL1").out
    assert " local " in nvtrap("query", "PIR_EL1", "--res0", "HFGRTR_EL2=0x0400000000000000").out


def test_a_disabled_feature_is_undef(nvtrap: Nvtrap) -> None:
    """An `--fgu` bit makes its registers undefined, before anything else."""
    run = nvtrap("query", "REVIDR_EL1", "--fgu", f"HFGxTR={1 << 28:#x}", "--no-nv")
    assert run.lines[0].startswith("read REVIDR_EL1: undef as disabled by HFGRTR_EL2.")
    assert "(fgu)" in run.lines[0]


@pytest.mark.parametrize(
    ("option", "value", "problem"),
    [
        ("--res0", "HCR_EL3=1", "unknown register `HCR_EL3`"),
        ("--res0", "HCR_EL2=x", "`x` is no number for `HCR_EL2`"),
        ("--res0", "HCR_EL2", "`HCR_EL2` is no setting"),
        ("--fgu", "HFGRTR=1", "unknown fine-grained group `HFGRTR`"),
        ("--fgu", "HFGxTR=-1", "`-1` does not fit the 64 bits of `HFGxTR`"),
    ],
)
def test_bad_masks_are_told(nvtrap: Nvtrap, option: str, value: str, problem: str) -> None:
    """Masks name registers and groups that exist, with 64 bits."""
    run = nvtrap("query", "REVIDR_EL1", option, value)
    assert run.code == 2
    assert problem in run.err


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["REVIDR_EL1", "--set", "HCR_EL2.TID1=1"], 0),
        (["REVIDR_EL1"], 3),
        (["REVIDR_EL1", "--fgu", f"HFGxTR={1 << 28}"], 4),
        (["NOT_THERE"], 2),
    ],
)
@pytest.mark.parametrize("form", [[], ["--why"], ["--json"]])
def test_exit_code_tells_the_outcome_when_asked(
    nvtrap: Nvtrap, words: list[str], code: int, form: list[str]
) -> None:
    """`--exit-code` ends with 0, 3 or 4; without it every answer ends with 0."""
    assert nvtrap("query", *words, *form, "--exit-code").code == code
    assert nvtrap("query", *words, *form).code == (2 if code == 2 else 0)


def test_a_note_names_what_was_not_given(nvtrap: Nvtrap) -> None:
    """Registers that the answer hangs on and nobody gave are named, in the fitting number."""
    both = nvtrap("query", "REVIDR_EL1").lines[-1]
    assert both == (
        "note: HCR_EL2, HFGRTR_EL2 were not given and read as 0, the answer hangs on them"
    )
    one = nvtrap("query", "REVIDR_EL1", "--set", "HCR_EL2=0").lines[-1]
    assert one == "note: HFGRTR_EL2 was not given and read as 0, the answer hangs on it"
    none = nvtrap("query", "REVIDR_EL1", "--set", "HCR_EL2=0", "--set", "HFGRTR_EL2=0")
    assert len(none.lines) == 1


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ([], "the following arguments are required: REG"),
        (["REVIDR_EL1", ""], "unknown argument ``"),
        (["REVIDR_EL1", "  "], "unknown argument `  `"),
        (["REVIDR_EL1", "more"], "unknown argument `more`"),
        (["REVIDR_EL1", "--tabel", "x"], "unknown option `--tabel`"),
        (["REVIDR_EL1", "--jso"], "unknown option `--jso`"),
        (["REVIDR_EL1", "--set"], "--set: expected one argument"),
        (["REVIDR_EL1", "--why=yes"], "`yes`"),
        (["REVIDR_EL1", "--table", "linux-6.1"], "unknown table `linux-6.1`"),
    ],
)
def test_misused_options_are_told(nvtrap: Nvtrap, words: list[str], problem: str) -> None:
    """A wrong command line ends with 2 and says what is wrong with it."""
    run = nvtrap("query", *words)
    assert (run.code, run.out) == (2, "")
    assert problem in run.err


@pytest.mark.parametrize(("wrong", "right"), [("--tabel", "--table"), ("--jsn", "--json")])
def test_a_misspelt_option_gets_a_suggestion(nvtrap: Nvtrap, wrong: str, right: str) -> None:
    """The closest option is in the help."""
    assert f"did you mean `{right}`?" in nvtrap("query", "REVIDR_EL1", wrong).err
