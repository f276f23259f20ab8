"""`nvtrap query`: the state, from options, files and standard input."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.helpers import Nvtrap, Run

REG = "CNTPCT_EL0"
FORWARD = "read CNTPCT_EL0: forward by CNTHCTL.EL1PCTEN (coarse)  "
LOCAL = "read CNTPCT_EL0: local (none: "


def state_of(run: Run) -> str:
    """The state as `--why` prints it."""
    assert run.code == 0, run.err
    return run.lines[1].partition(", state ")[2]


def set_all(nvtrap: Nvtrap, *settings: str) -> Run:
    """Ask with some `--set` options."""
    return nvtrap("query", REG, "--why", *(w for s in settings for w in ("--set", s)))


# ---- --set ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "state"),
    [
        (["HCR_EL2=0x10"], "HCR_EL2=0x10"),
        (["HCR_EL2=16"], "HCR_EL2=0x10"),
        (["HCR_EL2=0b1_0000"], "HCR_EL2=0x10"),
        (["hcr_el2=0X10"], "HCR_EL2=0x10"),
        ([" HCR_EL2 = 0x10 "], "HCR_EL2=0x10"),
        (["HCR_EL2=0xffffffffffffffff"], "HCR_EL2=0xffffffffffffffff"),
        (["HCR_EL2.TID1=1"], "HCR_EL2=0x10000"),
        (["hcr_el2.tid1=1"], "HCR_EL2=0x10000"),
        (["HCR_EL2.TID1=1", "HCR_EL2=0x10"], "HCR_EL2=0x10010"),
        (["HCR_EL2.TID1=1", "HCR_EL2.TID3=1"], "HCR_EL2=0x50000"),
        (["HCR_EL2=0x50000", "HCR_EL2.TID3=0"], "HCR_EL2=0x10000"),
        (["MDCR_EL2.HPMN=0x1f"], "MDCR_EL2=0x1f"),
        (["HCR_EL2=1", "HCR_EL2=2"], "HCR_EL2=0x2"),
        (["HCR_EL2.TID1=1", "HCR_EL2.TID1=0"], "HCR_EL2=0x0"),
    ],
)
def test_set_builds_the_state(nvtrap: Nvtrap, settings: list[str], state: str) -> None:
    """Registers come first, then fields; of two settings of one place the later holds."""
    assert state_of(set_all(nvtrap, *settings)) == f"EL1, {state}"


@pytest.mark.parametrize(
    ("settings", "value"),
    [
        (["CPTR_EL2.TTA=1"], 1 << 20),
        (["HCR_EL2.E2H=0", "CPTR_EL2.TTA=1"], 1 << 20),
        (["HCR_EL2.E2H=1", "CPTR_EL2.TTA=1"], 1 << 28),
        (["CPTR_EL2.TTA=1", "HCR_EL2.E2H=1"], 1 << 28),
        (["CPTR_EL2.TTA=1", "HCR_EL2=0x400000000"], 1 << 28),
        (["CPTR_EL2.FPEN=3", "HCR_EL2.E2H=1"], 3 << 20),
    ],
)
def test_a_moving_field_follows_the_layout(nvtrap: Nvtrap, settings: list[str], value: int) -> None:
    """A field whose place hangs on another setting is set there, whatever the order."""
    answer = state_of(set_all(nvtrap, *settings))
    assert f"CPTR_EL2={value:#x}" in answer.split(", ")


@pytest.mark.parametrize(
    ("setting", "problem"),
    [
        ("HCR_EL2", "`HCR_EL2` is no setting"),
        ("HCR_EL2=", "`HCR_EL2=` is no setting"),
        ("=1", "`=1` is no setting"),
        ("", "`` is no setting"),
        ("HCR_EL2=-1", "`-1` does not fit the 64 bits of `HCR_EL2`"),
        ("HCR_EL2=0x1" + "0" * 16, "does not fit the 64 bits of `HCR_EL2`"),
        ("HCR_EL2=" + "1" * 5000, "does not fit the 64 bits of `HCR_EL2`"),
        ("HCR_EL2=1.5", "`1.5` is no number for `HCR_EL2`"),
        ("HCR_EL2=010", "`010` is no number for `HCR_EL2`"),
        ("HCR_EL2=yes", "`yes` is no number for `HCR_EL2`"),
        ("HCR_EL2==1", "`=1` is no number for `HCR_EL2`"),
        ("HCR_EL2.TID1=2", "`0x2` does not fit the 1 bit of `HCR_EL2.TID1`"),
        ("MDCR_EL2.HPMN=32", "`0x20` does not fit the 5 bits of `MDCR_EL2.HPMN`"),
        ("HCR_EL2.=1", "unknown field `HCR_EL2.`"),
        (".TID1=1", "unknown register ``"),
        ("HCR_EL2.TID1.X=1", "unknown field `HCR_EL2.TID1.X`"),
        ("CPTR_EL2.FPEN=1", "`CPTR_EL2.FPEN` does not exist in this layout"),
        ("\udcff=1", "unknown register `�`"),
    ],
)
def test_bad_settings_are_told(nvtrap: Nvtrap, setting: str, problem: str) -> None:
    """A setting that says nothing, or too much, ends with 2 and its reason."""
    run = set_all(nvtrap, setting)
    assert run.code == 2
    assert problem in run.err


@pytest.mark.parametrize(
    ("setting", "suggestion"),
    [("HCR_EL2.TDI1=1", "`HCR_EL2.TID1`"), ("HCRX_EL=1", "`HCRX_EL2`")],
)
def test_misspelt_settings_get_suggestions(nvtrap: Nvtrap, setting: str, suggestion: str) -> None:
    """The closest registers and fields are in the help."""
    assert suggestion in set_all(nvtrap, setting).err.splitlines()[1]


# ---- files ------------------------------------------------------------------------

VECTOR = {
    "state": {"HCR_EL2": "0x10", "CNTHCTL_EL2": 1, "MDCR_EL2": {"TPM": 1}},
    "el": 0,
    "nv": True,
    "res0": {"HCR_EL2": "0x8"},
    "fgu": {"HFGxTR": "0x1"},
}
TOP = {"HCR_EL2": 16, "CNTHCTL_EL2": "0b1", "MDCR_EL2": {"TPM": "1"}, **VECTOR}
del TOP["state"]
SAME_STATE = "EL0, HCR_EL2=0x10, CNTHCTL_EL2=0x1, MDCR_EL2=0x40, res0 HCR_EL2=0x8, fgu HFGxTR=0x1"
TOML_VECTOR = """\
el = 0
nv = true
[state]
HCR_EL2 = 0x10
CNTHCTL_EL2 = "1"
MDCR_EL2 = { TPM = 1 }
[res0]
HCR_EL2 = 8
[fgu]
HFGxTR = 0b1
"""
TOML_TOP = """\
el = 0
HCR_EL2 = 0x1_0
CNTHCTL_EL2 = 0o1
MDCR_EL2.TPM = 1
res0.HCR_EL2 = "0x8"
fgu.HFGxTR = 1
"""


@pytest.mark.parametrize("text", [json.dumps(VECTOR), json.dumps(TOP), TOML_VECTOR, TOML_TOP])
@pytest.mark.parametrize("mark", ["", "\ufeff", "\n \n"])
def test_every_shape_of_state_means_the_same(
    nvtrap: Nvtrap, tmp_path: Path, text: str, mark: str
) -> None:
    """JSON and TOML, a vector's shape and registers at top level, from a file and a pipe."""
    whole = (mark + text).encode()
    (tmp_path / "state").write_bytes(whole)
    assert state_of(nvtrap("query", REG, "--why", "--state", "state")) == SAME_STATE
    assert state_of(nvtrap("query", REG, "--why", "--state", "-", stdin=whole)) == SAME_STATE


def test_toml_that_begins_with_a_table_is_no_json(nvtrap: Nvtrap) -> None:
    """A bracket begins a TOML table, whatever the file is called."""
    run = nvtrap("query", REG, "--why", "--state", "-", stdin=b"[HCR_EL2]\nE2H = 1\n")
    assert state_of(run) == "EL1, HCR_EL2=0x400000000"


def test_registers_may_be_of_any_case(nvtrap: Nvtrap) -> None:
    """At top level as well as in `state`."""
    for text in (b"hcr_el2.tid1 = 1", b"[state]\nhcr_el2 = 0x10000"):
        run = nvtrap("query", REG, "--why", "--state", "-", stdin=text)
        assert state_of(run) == "EL1, HCR_EL2=0x10000"


def test_options_come_after_the_file(nvtrap: Nvtrap) -> None:
    """`--set`, `--el` and `--no-nv` change what the file says; the layout is the file's."""
    state = b'{"HCR_EL2": {"E2H": 1, "TID1": 1}, "el": 0}'
    options = ("--set", "HCR_EL2.TID1=0", "--set", "CPTR_EL2.TTA=1", "--el", "2", "--no-nv")
    run = nvtrap("query", REG, "--why", "--state", "-", *options, stdin=state)
    assert state_of(run) == "EL2, HCR_EL2=0x400000000, CPTR_EL2=0x10000000, no EL2"


@pytest.mark.parametrize("text", [b"", b"\n", b"{}", b"# nothing", b'{"state":{}}'])
def test_an_empty_state_is_all_zero(nvtrap: Nvtrap, text: bytes) -> None:
    """A file that says nothing gives the defaults."""
    run = nvtrap("query", REG, "--why", "--state", "-", stdin=text)
    assert state_of(run) == "EL1"


def state(value: str, key: str = "HCR_EL2") -> bytes:
    """A JSON state with one value."""
    return f'{{"{key}": {value}}}'.encode()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        # texts that are no mapping
        (b"\xff{}", "byte 0 is not UTF-8"),
        (b'{"HCR_EL2": "\xff"}', "byte 13 is not UTF-8"),
        (b'{"HCR_EL2": ', "this is not JSON: expecting value at line 1, column 13"),
        (b'{"HCR_EL2": 1} 2', "this is not JSON: extra data"),
        (b"[1, 2]", "neither JSON nor TOML"),
        (b"3", "neither JSON nor TOML"),
        (b"null", "neither JSON nor TOML"),
        (b"\x00", "neither JSON nor TOML"),
        (b"HCR_EL2 = 1\nHCR_EL2 = 2", "neither JSON nor TOML: cannot overwrite a value"),
        (b'{"HCR_EL2":' + b"[" * 100_000, "it is nested too deeply"),
        (b"HCR_EL2=" + b"[" * 100_000, "it is nested too deeply"),
        (b" " * (1 << 21), "is larger than a state file can be"),
        # values that are no register's
        (state("1.0"), "`1.0` is no value for `HCR_EL2`"),
        (state("1e400"), "`1e400` is too large a number"),
        (state("NaN"), "`NaN` is no number"),
        (state("-Infinity"), "`-Infinity` is no number"),
        (b"HCR_EL2 = nan", "`NaN` is no value for `HCR_EL2`"),
        (state("true"), "`true` is no value for `HCR_EL2`"),
        (state("null"), "`null` is no value for `HCR_EL2`"),
        (state("[]"), "`[]` is no value for `HCR_EL2`"),
        (state("-1"), "`-1` is no value for `HCR_EL2`"),
        (state(str(1 << 64)), "is no value for `HCR_EL2`"),
        (state("9" * 4000), "999… is no value for `HCR_EL2`".replace("… ", "…` ")),
        (state("9" * 5000), "this is not JSON: a number is too long"),
        (b"HCR_EL2=0x" + b"f" * 10_000, "`…` is no value for `HCR_EL2`"),
        (b"HCR_EL2=1979-05-27", "is no value for `HCR_EL2`"),
        (b"HCR_EL2" + b".a" * 3000 + b"=1", "`…` is no value for `HCR_EL2.a`"),
        (state('""'), "`` is no number for `HCR_EL2`"),
        (state('"ten"'), "`ten` is no number for `HCR_EL2`"),
        (state('"a\\nb"'), "is no number for `HCR_EL2`"),
        (state('{"TID1": 2}'), "`0x2` does not fit the 1 bit of `HCR_EL2.TID1`"),
        (state('{"TID1": true}'), "`true` is no value for `HCR_EL2.TID1`"),
        (state('{"TID1": {"X": 1}}'), '`{"X": 1}` is no value for `HCR_EL2.TID1`'),
        (state('{"TDI1": 1}'), "unknown field `HCR_EL2.TDI1`"),
        # names that are nobody's
        (state("1", "HCR_EL3"), "unknown register `HCR_EL3`"),
        (state("1", "hcr_el3"), "unknown key `hcr_el3`"),
        (state("1", "HCR_\\ud800"), "unknown register `HCR_�`"),
        (state("{}", "stat"), "unknown key `stat`"),
        (b'{"state": {}, "HCR_EL2": 1}', "unknown key `HCR_EL2`"),
        (b'{"state": {}, "esr": 1}', "unknown key `esr`"),
        # the other keys
        (state("3", "state"), "`state` maps names to values, it is `3`"),
        (state("3", "el"), "`el` is `3`, a trap comes from EL 0, 1 or 2"),
        (state("true", "el"), "`el` is `true`"),
        (state('"1"', "el"), "`el` is `1`"),
        (state("null", "el"), "`el` is `null`"),
        (b"el=0x" + b"f" * 10_000, "`el` is `…`"),
        (state("1", "nv"), "`nv` is `1`, it is true or false"),
        (b"nv=0x" + b"f" * 10_000, "`nv` is `…`"),
        (state("[]", "res0"), "`res0` maps names to values, it is `[]`"),
        (state('{"HCR_EL2": true}', "res0"), "`true` is no value for res0 of `HCR_EL2`"),
        (state('{"HCR_EL3": 1}', "res0"), "unknown register `HCR_EL3`"),
        (state('{"HFGRTR": 1}', "fgu"), "unknown fine-grained group `HFGRTR`"),
        (state("null", "fgu"), "`fgu` maps names to values, it is `null`"),
        (state('"FEAT_RAS"', "features"), "`features` is a list of names"),
        (state("[{}]", "features"), "`features` is a list of names"),
        (state("[1]", "features"), "`features` is a list of names"),
    ],
    ids=lambda value: repr(value)[:50],
)
def test_bad_states_are_told(nvtrap: Nvtrap, text: bytes, problem: str) -> None:
    """Whatever a file holds, the answer is one line that names the file and the reason."""
    run = nvtrap("query", REG, "--state", "-", stdin=text)
    assert (run.code, run.out) == (2, "")
    assert "standard input`" in run.err
    assert problem in run.err


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("missing.json", "`missing.json` cannot be read: no such file or directory"),
        (".", "`.` cannot be read: is a directory"),
        ("", "`` cannot be read"),
        ("/dev/zero", "`/dev/zero` is larger than a state file can be"),
    ],
)
def test_files_that_cannot_be_read_are_told(nvtrap: Nvtrap, path: str, problem: str) -> None:
    """What is no file, and what never ends, is told by its name."""
    run = nvtrap("query", REG, "--state", path)
    assert run.code == 2
    assert problem in run.err


@pytest.mark.parametrize("key", ["HCR_EL2", "state", "el", "nv", "res0", "fgu", "features", "id"])
def test_every_depth_of_nesting_is_survived(nvtrap: Nvtrap, key: str) -> None:
    """Also a depth that can just be read, but not be printed again."""
    for depth in (*range(900, 1000, 9), 2000):
        nested: Any = "[" * depth + "]" * depth
        run = nvtrap("query", REG, "--state", "-", stdin=state(nested, key))
        assert run.code == 2
