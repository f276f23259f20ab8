"""Which parts each encoding has, and what they do."""

from __future__ import annotations

import pytest

from nvtrap.arch import Access
from nvtrap.engine import State
from tests.compile.helpers import PRELUDE, codes, findings, outcome, table

REST = "trap S3_0_C15_C0_0 by C.A\ntrap S3_0_C15_C0_1 by C.nP\ntrap read S3_0_C15_C0_2 by C.B\n"


# ---- fine-grained parts ------------------------------------------------------------------


def test_direction_selects_the_register() -> None:
    """Reads look at the read register, writes at the write register."""
    made = table("trap X_EL1 fine F.X_EL1\n")
    assert outcome(made, "read X_EL1", FR_EL2=1) == "forward fine FR_EL2.X_EL1"
    assert outcome(made, "write X_EL1", FR_EL2=1) == "local none"
    assert outcome(made, "write X_EL1", FW_EL2=1) == "forward fine FW_EL2.X_EL1"


def test_negative_bit_traps_when_clear() -> None:
    """The polarity is the field's."""
    made = table("trap Y_EL1 fine F.nY_EL1\n")
    assert outcome(made, "read Y_EL1") == "forward fine FR_EL2.nY_EL1"
    assert outcome(made, "read Y_EL1", FR_EL2=2) == "local none"


@pytest.mark.parametrize(
    ("part", "forwards"),
    [
        ("fine F[0]", [1]),
        ("fine F[1]", [0]),
        ("fine F[1] positive", [2]),
        ("fine F.X_EL1 negative", [0]),
        ("fine F.nY_EL1 positive", [2]),
    ],
)
def test_bits_by_number_and_polarity(part: str, forwards: list[int]) -> None:
    """A bit by number has its field's polarity, unless the rule says another."""
    made = table(f"trap X_EL1 {part}\n")
    values = {"fine F[0]": (0, 1), "fine F.X_EL1 negative": (0, 1)}.get(part, (0, 2))
    assert [v for v in values if outcome(made, "read X_EL1", FR_EL2=v) != "local none"] == forwards


@pytest.mark.parametrize(("by", "expected"), [("position", "forward"), ("name", "local")])
def test_bit_of_the_other_side(by: str, expected: str) -> None:
    """By position a bit is tested even where only the other register has it."""
    made = table(f"table t {{ fine bits by {by} }}\ntrap W_EL1 fine F.R_EL1\n{REST}")
    assert outcome(made, "write W_EL1", FW_EL2=4).split()[0] == expected


def test_field_arrays_go_with_the_index() -> None:
    """Each element of an array has its own bit."""
    made = table("trap V<n>_EL0 fine F.V<n>_EL0\n")
    assert outcome(made, "read V3_EL0", FR_EL2=1 << 14) == "forward fine FR_EL2.V3_EL0"
    assert outcome(made, "read V2_EL0", FR_EL2=1 << 14) == "local none"


def test_fine_comes_before_coarse() -> None:
    """Where both are armed the fine part decides."""
    made = table("trap X_EL1 by C.A, fine F.X_EL1\n")
    assert outcome(made, "read X_EL1", C_EL2=1, FR_EL2=1) == "forward fine FR_EL2.X_EL1"
    assert outcome(made, "read X_EL1", C_EL2=1) == "forward coarse C.A"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("fine F.Z_EL1", "NV011 `FR_EL2` and `FW_EL2` have no field `Z_EL1`"),
        ("fine O.Z_EL1", "NV011 `FR_EL2` has no field `Z_EL1`"),
        ("fine F[63]", "NV039 bit 63 of `FR_EL2` and `FW_EL2` is RES0"),
        ("fine F[64]", "NV026 bit 64 is not within [63:0]"),
        ("fine W.N", "NV026 `N` has more than one bit"),
        ("fine F.V<n>_EL0", "NV025 `X_EL1` is no element of an array, so it has no index"),
        ("fine F.A<n>B<n>", "NV023 `A<n>B<n>` has more than one index"),
        (
            "fine M.X_EL1",
            "NV042 `X_EL1` is at `FR_EL2[0]` and `M_EL2[1]`, its positions must agree",
        ),
        ("by C.Z", "NV012 unknown control `C.Z`"),
        ("fine F.X_EL1 (when Z == 1)", "NV010 unknown register `Z`"),
        (
            "by C.A when access.index == 1",
            "NV025 `X_EL1` is no element of an array, so it has no index",
        ),
    ],
)
def test_what_is_wrong_with_a_part(text: str, found: str) -> None:
    """Bits exist, are one bit wide and stand at one place; controls exist."""
    groups = (
        "fine group O { any FR_EL2 }\nfine group W { any C_EL2 }\n"
        "register M_EL2 = S3_4_C15_C0_0 { X_EL1 [1] }\nfine group M { read FR_EL2 write M_EL2 }\n"
    )
    assert findings(f"{groups}trap X_EL1 {text}") == [found]


def test_unknown_element_of_a_field_array_is_told_once() -> None:
    """A field array that is too short is found at its first element without a bit."""
    assert findings("trap V<n>_EL0 fine F.W<n>_EL0") == [
        "NV011 `FR_EL2` and `FW_EL2` have no field `W0_EL0`"
    ]


# ---- filters, levels, guards ----------------------------------------------------------------


def test_filter_binds_to_its_part() -> None:
    """A filtered fine part leaves the coarse part alone."""
    made = table("trap X_EL1 by C.A, fine F.X_EL1 (unless C_EL2.B == 1)\n")
    assert outcome(made, "read X_EL1", FR_EL2=1, C_EL2=2) == "local none"
    assert outcome(made, "read X_EL1", FR_EL2=1, C_EL2=3) == "forward coarse C.A"
    assert outcome(made, "read X_EL1", FR_EL2=1) == "forward fine FR_EL2.X_EL1"


def test_guard_binds_to_every_part() -> None:
    """The statement's condition holds for all its parts."""
    made = table("trap X_EL1 by C.A (when EL == 1), fine F.X_EL1 when C_EL2.B == 1\n")
    assert outcome(made, "read X_EL1", FR_EL2=1, C_EL2=1) == "local none"
    assert outcome(made, "read X_EL1", C_EL2=3) == "forward coarse C.A"
    assert outcome(made, "read X_EL1", 0, C_EL2=3) == "local none"
    assert outcome(made, "read X_EL1", FR_EL2=1, C_EL2=2) == "forward fine FR_EL2.X_EL1"


def test_levels() -> None:
    """A rule acts at the exception levels that it lists."""
    made = table("trap X_EL1 by C.A from EL0, EL2\n")
    assert [outcome(made, "read X_EL1", el, C_EL2=1).split()[0] for el in (0, 1, 2)] == [
        "forward",
        "local",
        "forward",
    ]


def test_directions_of_a_rule() -> None:
    """A rule may speak of one direction only."""
    made = table("trap write X_EL1 by C.A\n")
    assert outcome(made, "read X_EL1", C_EL2=1) == "local none"
    assert outcome(made, "write X_EL1", C_EL2=1) == "forward coarse C.A"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("trap write R_EL1 by C.A", "NV037 this traps only writes, and `R_EL1` is read-only"),
        ("trap read W_EL1 by C.A", "NV037 this traps only reads, and `W_EL1` is write-only"),
        ("trap W_EL1 by C.B", "NV037 this traps only reads, and `W_EL1` is write-only"),
        (
            "register Q_EL1 = S3_0_C1_C0_5 write-only\ntrap read W_EL1, Q_EL1 fine F.X_EL1",
            "NV037 this traps only reads, and `W_EL1` .. `Q_EL1` are write-only",
        ),
    ],
)
def test_direction_that_cannot_be(text: str, found: str) -> None:
    """A part must trap something that its registers allow."""
    assert findings(text) == [found]


# ---- exclusive and additive ----------------------------------------------------------------------


def test_parts_of_one_encoding_may_stand_apart() -> None:
    """Coarse and fine parts are joined from separate statements."""
    made = table("trap X_EL1 by C.A\ntrap X_EL1, Y_EL1 fine F.X_EL1\n")
    assert outcome(made, "read X_EL1", C_EL2=1) == "forward coarse C.A"
    assert outcome(made, "read X_EL1", FR_EL2=1) == "forward fine FR_EL2.X_EL1"


def test_exclusive_has_one_of_each() -> None:
    """A second coarse or fine part is refused, however different."""
    assert codes("trap X_EL1 by C.A\ntrap X_EL1 by C.B") == ["NV030"]
    assert codes("trap X_EL1 by C.A, C.B") == ["NV030"]
    assert codes("trap X_EL1 fine F.X_EL1, fine F.nY_EL1") == ["NV031"]


def test_clash_names_every_encoding_and_both_places() -> None:
    """One finding for two statements, with all that they share."""
    (found,) = findings("trap X_EL1, Y_EL1, R_EL1 by C.A\ntrap S3_0_C1_C0_* by C.A")
    assert found == "NV030 a second coarse part for `X_EL1` .. `R_EL1`"


def test_additive_joins_parts() -> None:
    """Any of the parts traps."""
    made = table(f"table t {{ parts are additive }}\ntrap X_EL1 by C.A, C.B\n{REST}")
    assert outcome(made, "read X_EL1", C_EL2=1) == "forward coarse C.A"
    assert outcome(made, "read X_EL1", C_EL2=2) == "forward coarse C.B"


@pytest.mark.parametrize(
    ("second", "found"),
    [
        ("trap X_EL1 by C.A", ["NV032"]),
        ("trap read X_EL1 by C.A", []),
        ("trap X_EL1 by C.A from EL0", []),
        ("trap X_EL1 by C.A (when EL == 0)", []),
        ("trap X_EL1 by C.A reported as 7", []),
        ("trap X_EL1 by C.nP", []),
    ],
)
def test_additive_refuses_the_same_part_only(second: str, found: list[str]) -> None:
    """Parts that differ in anything are two."""
    text = f"table t {{ parts are additive }}\ntrap X_EL1 by C.A\n{REST}{second}"
    assert codes(text) == found


def test_polarities_must_agree() -> None:
    """One bit does not trap when set here and when clear there."""
    assert findings("trap X_EL1 fine F.X_EL1\ntrap Y_EL1 fine F.X_EL1 negative") == [
        "NV038 bit 0 of group `F` has two polarities"
    ]


# ---- changes -------------------------------------------------------------------------------


def test_replace_keeps_the_other_kind() -> None:
    """A coarse part is replaced, the fine one stays."""
    made = table("trap X_EL1 by C.A, fine F.X_EL1\nreplace trap X_EL1 by C.nP\n")
    assert outcome(made, "read X_EL1", C_EL2=1 << 8 | 1) == "local none"
    assert outcome(made, "read X_EL1") == "forward coarse C.nP"
    assert outcome(made, "read X_EL1", FR_EL2=1) == "forward fine FR_EL2.X_EL1"


@pytest.mark.parametrize(
    ("drop", "left"),
    [
        ("drop trap X_EL1", "local no-entry"),
        ("drop trap X_EL1 by C.A", "forward fine FR_EL2.X_EL1"),
        ("drop trap X_EL1 fine F.X_EL1", "forward coarse C.A"),
    ],
)
def test_drop(drop: str, left: str) -> None:
    """All parts are dropped, or those of the kind that is named."""
    made = table(f"trap X_EL1 by C.A, fine F.X_EL1\n{drop}\n")
    assert outcome(made, "read X_EL1", C_EL2=1, FR_EL2=1) == left


def test_dropped_part_may_be_said_again() -> None:
    """After a drop an additive table has forgotten the part."""
    text = f"table t {{ parts are additive }}\ntrap X_EL1 by C.A\n{REST}"
    assert codes(f"{text}drop trap X_EL1\ntrap X_EL1 by C.A") == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("drop trap X_EL1", "NV041 `drop trap` hits nothing at `X_EL1`"),
        ("replace trap X_EL1 by C.A", "NV041 `replace trap` hits nothing at `X_EL1`"),
        (
            "trap X_EL1 by C.A\ndrop trap X_EL1 fine F.X_EL1",
            "NV041 `drop trap` hits nothing at `X_EL1`",
        ),
        ("trap X_EL1 by C.A\ndrop trap X_EL1, Y_EL1", "NV041 `drop trap` hits nothing at `Y_EL1`"),
    ],
)
def test_changes_must_hit(text: str, found: str) -> None:
    """Each encoding of a change has the kind of part that it is about."""
    assert findings(text) == [found]


# ---- what is not trapped ----------------------------------------------------------------------


def test_local_changes_no_outcome() -> None:
    """A deliberate gap is no entry, with its reason."""
    made = table('local X_EL1 because "it is RES0"\ntrap Y_EL1 by C.A\n')
    assert outcome(made, "read X_EL1") == "local no-entry"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (
            'local X_EL1 because "a"\nlocal X_EL1, Y_EL1 because "b"',
            "NV040 said to be local twice: `X_EL1`",
        ),
        (
            'local X_EL1, Y_EL1 because "a"\ntrap X_EL1, Y_EL1 by C.A',
            "NV043 `X_EL1` .. `Y_EL1` are both local and trapped",
        ),
        ('local X_EL1 because "a"\ntrap X_EL1 by C.A', "NV043 `X_EL1` is both local and trapped"),
        ("memory X_EL1 at 8\nmemory X_EL1 at 16", "NV040 said to be memory twice: `X_EL1`"),
    ],
)
def test_what_is_said_twice(text: str, found: str) -> None:
    """An encoding is local once, memory once, and not local and trapped."""
    assert findings(text) == [found]


def test_memory_keeps_its_condition() -> None:
    """An access that is memory knows its offset while the condition holds."""
    made = table("memory X_EL1 at 0x110 when C_EL2.A == 1\n")
    offsets = [made.decide(State({"C_EL2": c}), Access("X_EL1")).memory for c in (0, 1)]
    assert offsets == [None, 0x110]


# ---- absent fields ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("absent", "present", "forwards"),
    [
        ("read as zero", True, True),
        ("read as zero", False, True),
        ("disarm", True, True),
        ("disarm", False, False),
    ],
)
def test_absent_field_of_a_control(absent: str, present: bool, forwards: bool) -> None:
    """Read as zero, a control for 0 stays armed; disarmed it does not."""
    rest = REST.replace("C.nP", "C.A")
    made = table(f"table t {{ absent fields {absent} }}\ntrap X_EL1 by C.nP\n{rest}")
    state = State(features=["FEAT_P", "FEAT_Q"] if present else ["FEAT_Q"])
    assert (made.decide(state, Access("X_EL1")).outcome == "forward") == forwards


def test_absent_fine_bit_is_disarmed() -> None:
    """Where absent fields disarm, so does a fine bit without its feature."""
    made = table(f"table t {{ absent fields disarm }}\ntrap X_EL1 fine F.P_EL1\n{REST}")
    registers = {"FW_EL2": 8}
    with_it, without = (State(registers, features=f) for f in (["FEAT_P"], ["FEAT_Q"]))
    assert made.decide(with_it, Access("X_EL1", write=True)).outcome == "forward"
    assert made.decide(without, Access("X_EL1", write=True)).outcome == "local"


def test_layout_is_there_without_the_feature_of_its_bit() -> None:
    """A layout for a bit that is 0 holds where the bit is absent, as it reads as 0."""
    made = table(
        PRELUDE.replace("E2H [34]", "E2H [34] requires FEAT_Q")
        + "table t { absent fields disarm }\ncontrol T.T traps any when D_EL2.T == 1\n"
        + f"trap X_EL1 by T.T\n{REST}",
        "",
    )
    state = State({"D_EL2": 1 << 20}, features=["FEAT_P"])
    assert made.decide(state, Access("X_EL1")).outcome == "forward"
