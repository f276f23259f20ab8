"""Registers, fields and features from their statements, and the shipped ones."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nvtrap.arch import encode
from nvtrap.compile import Loader
from nvtrap.compile.catalogue import Catalogue, build
from nvtrap.lang.findings import Report
from nvtrap.places import rules_root
from tests.compile.helpers import CATALOGUE, findings

ENCODINGS = Path(__file__).parents[1] / "vectors" / "arch" / "encodings-v9.4.json"


def _build(text: str) -> Catalogue:
    report = Report()
    catalogue = build(Loader().load_text(text, "text", ".").statements, report)
    assert report.findings == []
    return catalogue


@pytest.fixture(scope="module")
def shipped() -> Catalogue:
    """The catalogue that is shipped."""
    main = f'use "{rules_root()}/registers"\n'
    program = Loader([rules_root()]).load_text(main, "text", rules_root())
    report = program.report
    catalogue = build(program.statements, report)
    assert report.findings == []
    return catalogue


# ---- registers -----------------------------------------------------------------------


def test_array_makes_an_element_of_each_number() -> None:
    """Elements have the number in their name, their encoding and their index."""
    catalogue = _build("register A<n: 8..10>_EL1 = S3_0_C1_C<n>_0")
    assert [(e.name, e.encoding, e.index) for e in catalogue.elements.values()] == [
        (f"A{n}_EL1", encode(3, 0, 1, n, 0), n) for n in (8, 9, 10)
    ]


def test_spellings_of_an_encoding() -> None:
    """Five numbers and the S-form are one encoding."""
    catalogue = _build(
        "register A = (3, 0, 1, 0, 1) read-only\nregister B = S3_0_C1_C0_1 write-only"
    )
    assert [e.name for e in catalogue.by_encoding[encode(3, 0, 1, 0, 1)]] == ["A", "B"]


def test_name_of_an_encoding_follows_the_direction() -> None:
    """Where two registers share an encoding the direction says which."""
    catalogue = _build(
        "register A = S3_0_C1_C0_1 read-only\nregister B = S3_0_C1_C0_1 write-only\n"
        "register C = S3_0_C1_C0_2 read-only"
    )
    shared, alone = encode(3, 0, 1, 0, 1), encode(3, 0, 1, 0, 2)
    assert [catalogue.name_of(shared, write) for write in (False, True)] == ["A", "B"]
    assert catalogue.name_of(alone, write=True) == "C"
    assert catalogue.name_of(0) == "S0_0_C0_C0_0"


def test_instruction_without_encoding_is_numbered_behind_all() -> None:
    """Instructions outside the system encoding space come after it."""
    catalogue = _build("instruction WFI\ninstruction WFE")
    assert [e.encoding for e in catalogue.elements.values()] == [1 << 16, (1 << 16) + 1]


def test_description_joins_runs() -> None:
    """Neighbouring encodings are told as a range, many runs as a number."""
    catalogue = _build("register A = S0_0_C0_C0_0")
    assert catalogue.describe([0, 1, 2, 5]) == "`A` .. `S0_0_C0_C0_2`, `S0_0_C0_C0_5`"
    assert catalogue.describe(range(0, 40, 2), most=1) == "`A` and 19 more"
    assert catalogue.describe([]) == ""


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("register A = S3_0_C1_C0_1", ["NV040 `A` has the encoding of `X_EL1`, S3_0_C1_C0_1"]),
        ("register X_EL1 = S3_0_C9_C0_1", ["NV040 register `X_EL1` is defined twice"]),
        (
            "register V<n: 4..5>_EL0 = S3_3_C14_C9_<n>",
            ["NV040 array `V<n: 4..5>_EL0` is defined twice"],
        ),
        (
            "register V<n>_EL9 = S3_3_C14_C9_0",
            ["NV023 an array is declared with its index and bounds, not `<n>`"],
        ),
        ("register A = (3, 0, 16, 0, 0)", ["NV024 CRn is 16, it goes from 0 to 15"]),
        ("instruction A<n: 0..1>", ["NV024 `A<n: 0..1>` has an index but no encoding"]),
        ("feature X", ["NV016 a feature is named `FEAT_…`, not `X`"]),
        ("feature FEAT_P", ["NV040 feature `FEAT_P` is defined twice"]),
        ("profile a = FEAT_P, b", ["NV014 unknown profile `b`"]),
        ("profile a = FEAT_R", ["NV014 unknown feature `FEAT_R`"]),
        ("profile a = FEAT_P\nprofile a = FEAT_Q", ["NV040 profile `a` is defined twice"]),
        ("context nv when EL == 1", ["NV040 context `nv` is the language's own"]),
        ("context a when EL == 1\ncontext a when EL == 2", ["NV040 context `a` is defined twice"]),
    ],
)
def test_what_is_wrong_with_a_definition(text: str, found: list[str]) -> None:
    """Names, arrays and encodings are defined once and fit."""
    assert findings(text, CATALOGUE) == found


def test_failed_array_leaves_nothing_to_name() -> None:
    """An array with an encoding that does not fit has no elements that a rule could find."""
    text = 'register A<n: 0..9>_EL1 = S3_0_C1_C9_<n>\nlocal A<n>_EL1 because "x"'
    assert findings(text) == [
        "NV024 op2 is 8, it goes from 0 to 7",
        "NV010 unknown array `A<n>_EL1`",
    ]


# ---- fields ----------------------------------------------------------------------------


def test_field_array_has_a_bit_for_each_element() -> None:
    """The bit of an element is the base and so many steps."""
    text = "register A = S0_0_C0_C0_0 { F<n: 2..4>_EL0 [8 + 2*n]  G<n: 0..1> [0 + n] }"
    fields = _build(text).fields["A"]
    assert {name: found[0].pieces for name, found in fields.items()} == {
        "F2_EL0": ((12, 1),),
        "F3_EL0": ((14, 1),),
        "F4_EL0": ((16, 1),),
        "G0": ((0, 1),),
        "G1": ((1, 1),),
    }


def test_split_field_keeps_its_order() -> None:
    """Pieces are (lowest bit, width), high part first."""
    (variant,) = _build("register A = S0_0_C0_C0_0 { F [3:2, 63:60] }").fields["A"]["F"]
    assert variant.pieces == ((2, 2), (60, 4))
    assert variant.width == 6
    assert variant.mask == 0xF << 60 | 0b1100


def test_second_name_is_the_same_field() -> None:
    """Both names lead to one field."""
    fields = _build("register A = S0_0_C0_C0_0 { F [0] is G  H [1] is H }").fields["A"]
    assert fields["F"][0] is fields["G"][0]
    assert len(fields["H"]) == 1


def test_field_that_moves_has_a_variant_for_each_layout() -> None:
    """A name in two layouts is one field in two places."""
    fields = _build(CATALOGUE).fields["D_EL2"]
    assert [variant.pieces for variant in fields["T"]] == [((20, 1),), ((28, 1),)]
    assert fields["ALL"][0].shares_layout(fields["T"][0])
    assert not fields["T"][0].shares_layout(fields["T"][1])
    assert fields["T"][0].shares_layout(fields["OLD"][0])


def test_elements_of_an_array_have_the_same_fields() -> None:
    """A block behind an array is that of each element."""
    fields = _build("register A<n: 0..1> = S0_0_C0_C0_<n> { F [0] }").fields
    assert fields["A0"] is fields["A1"]


@pytest.mark.parametrize(
    ("block", "found"),
    [
        ("F [64]", "NV026 bit 64 is not within [63:0]"),
        ("F [1:2]", "NV026 bits [1:2] are not within [63:0], high bit first"),
        ("F [1, 2:0]", "NV026 a bit stands twice in this field"),
        ("F [0]  F [1]", "NV040 field `F` is defined twice"),
        ("F [0]  G [1] is F", "NV040 field `F` is defined twice"),
        ("F [3:0]  G [3]", "NV026 `G` has bits that `F` has as well"),
        ("F<n: 0..1> [0]", "NV026 the bits of a field array depend on its index"),
        ("F [0 + n]", "NV026 `F` has no index that its bit could depend on"),
        ("F<n: 0..1> [0 + m]", "NV026 the index of this field is `n`, not `m`"),
        ("F<n: 0..64> [0 + n]", "NV026 bit 64 is not within [63:0]"),
        (
            "layout when C_EL2.A == 1 { F [0] } layout when C_EL2.A  ==  1 { G [0] }",
            "NV026 `G` has bits that `F` has as well",
        ),
        (
            "layout when D_EL2.T == 1 { F [0] }",
            "NV026 `D_EL2.T` has layouts itself, nothing else can hang on it",
        ),
        ("layout when EL == 1 { F [0] }", "NV016 `EL` means nothing here"),
        ("layout when FEAT_P { F [0] }", "NV016 `FEAT_P` means nothing here"),
        ("F [0] requires C_EL2.A == 1", "NV016 `C_EL2.A` means nothing here"),
        ("F [0] requires FEAT_NONE", "NV014 unknown feature `FEAT_NONE`"),
        ("layout when C_EL2.NONE == 1 { F [0] }", "NV011 `C_EL2` has no field `NONE`"),
    ],
)
def test_what_is_wrong_with_a_field(block: str, found: str) -> None:
    """Fields fit their register, share no bits in a layout, and hang on what can be known."""
    assert findings(f"register A_EL2 = S3_4_C15_C0_0 {{ {block} }}", CATALOGUE) == [found]


def test_feature_hangs_on_registers() -> None:
    """A predicate over anything else could not be derived from a CPU's registers."""
    assert findings("feature FEAT_R = FEAT_P", CATALOGUE) == ["NV016 `FEAT_P` means nothing here"]
    assert findings("feature FEAT_R = C_EL2.N >= 2", CATALOGUE) == []


def test_register_without_fields_says_so() -> None:
    """The help for an unknown field names those there are, or that there are none."""
    assert findings("control A.A traps any when X_EL1.F == 1") == ["NV011 `X_EL1` has no field `F`"]


# ---- what is shipped ---------------------------------------------------------------------


def test_shipped_names_have_the_encodings_of_the_architecture(shipped: Catalogue) -> None:
    """All 1,107 encodings of the v9.4 list are in the catalogue under the list's names."""
    rows = json.loads(ENCODINGS.read_text(encoding="utf-8"))
    assert len(rows) == 1108
    shipped_names = {name.upper(): element for name, element in shipped.elements.items()}
    for row in rows:
        name = row["reg"].replace(" ", "_")
        assert shipped_names[name.upper()].encoding == encode(*row["enc"]), name


def test_shipped_features_are_those_that_fields_require(shipped: Catalogue) -> None:
    """Every feature begins with its prefix, and every profile names features."""
    assert all(name.startswith("FEAT_") for name in shipped.features)
    assert shipped.profiles
