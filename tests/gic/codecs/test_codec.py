"""Values to fields and back."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nvtrap.errors import UnknownNameError, UsageError
from nvtrap.gic.codecs import decode, encode, find
from tests.engine.helpers import examples
from tests.gic.codecs.helpers import ALL, NAMES, values


@given(st.data())
@settings(max_examples=examples(2000))
def test_encode_is_the_inverse_of_decode(data: st.DataObject) -> None:
    """For every register: a value is its fields and its reserved bits."""
    name = data.draw(st.sampled_from(NAMES))
    value = data.draw(values(find(name)[0]))
    _holds(name, value)


@pytest.mark.parametrize("name", NAMES)
def test_every_bit_is_in_a_field_or_reserved(name: str) -> None:
    """The same law where every bit is alone, and where all are set."""
    width = find(name)[0].width
    for bit in range(width):
        _holds(name, 1 << bit)
    _holds(name, 0)
    _holds(name, (1 << width) - 1)


def _holds(name: str, value: int) -> None:
    decoded = decode(name, value)
    assert decoded.name == name
    assert encode(name, decoded.as_dict()) == value & ~decoded.res0
    again = decode(name, value & ~decoded.res0)
    assert again.as_dict() == decoded.as_dict()
    assert again.res0 == 0
    assert decoded.sentence == again.sentence
    assert decoded.sentence
    assert decoded.sentence == " ".join(decoded.sentence.split())


@pytest.mark.parametrize("register", ALL, ids=lambda register: register.name)
def test_what_is_left_out_is_zero(register: object) -> None:
    """Except RES1, which only an LPI's byte has."""
    name = getattr(register, "name", "")
    assert encode(name, {}) == (2 if name == "LPI_CONFIG" else 0)


def test_a_list_register_has_pintid_or_eoi() -> None:
    """As HW says; bits of the other are reserved."""
    software = decode("ICH_LR0_EL2", 1 << 41 | 1 << 40)
    assert software["EOI"] == 1
    assert software.res0 == 1 << 40
    assert "pINTID" not in software.as_dict()
    hardware = decode("ICH_LR0_EL2", 1 << 61 | 1 << 41 | 1 << 40)
    assert hardware["pINTID"] == 0b11 << 8
    assert hardware.res0 == 0
    with pytest.raises(UnknownNameError, match="unknown field `EOI`"):
        _ = hardware["EOI"]


def test_reserved_bits_are_reported_in_runs() -> None:
    """From the top."""
    decoded = decode("ICC_PMR_EL1", 1 << 63 | 0xF00 | 0xA0)
    assert decoded.res0 == 1 << 63 | 0xF00
    assert decoded.res0_runs() == [(63, 63), (11, 8)]
    assert decode("ICC_PMR_EL1", (1 << 64) - 1).res0_runs() == [(63, 8)]


@pytest.mark.parametrize("name", ["ICH_LR0_EL2", "GICD_TYPER", "LPI_CONFIG", "ITS_COMMAND"])
def test_values_that_do_not_fit_are_told(name: str) -> None:
    """One bit too many, negative, or absurd."""
    width = find(name)[0].width
    decode(name, (1 << width) - 1)
    for value in (1 << width, -1, 1 << 99_999):
        with pytest.raises(UsageError, match=f"does not fit the {width} bits of {name}") as caught:
            decode(name, value)
        assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("fields", "value"),
    [
        ({"State": "pending", "vINTID": 27}, 1 << 62 | 27),
        ({"state": "PENDING and active"}, 3 << 62),
        ({"State": "pending-and_active"}, 3 << 62),
        ({"HW": 1, "pINTID": 27}, 1 << 61 | 27 << 32),
        ({"pINTID": 27, "hw": "hardware"}, 1 << 61 | 27 << 32),
        ({"EOI": 1}, 1 << 41),
        ({"Group": "group-1", "Priority": 0xA0}, 1 << 60 | 0xA0 << 48),
    ],
)
def test_fields_have_names_in_any_case(fields: dict[str, int | str], value: int) -> None:
    """And their values have names."""
    assert encode("ICH_LR0_EL2", fields) == value


@pytest.mark.parametrize(
    ("name", "fields", "value"),
    [
        ("GICD_ISENABLER1", {"Set_enable_bit5": 1}, 1 << 5),
        ("GICD_ISENABLER1", {"Set_enable_bit31": 1, "set_enable_bit<x>": 1}, 1),
        ("ICH_EISR_EL2", {"Status15": 1, "Status0": 1}, 0x8001),
        ("GICD_ICFGR2", {"Int_config3": 2}, 2 << 6),
        ("GICD_SPENDSGIR0", {"SGI_set_pending_bits2": 0x81}, 0x81 << 16),
    ],
)
def test_elements_of_an_array_are_fields(name: str, fields: dict[str, int], value: int) -> None:
    """Those named later win."""
    assert encode(name, fields) == value


@pytest.mark.parametrize(
    ("name", "fields", "problem", "help_"),
    [
        ("ICH_LR0_EL2", {"Stat": 1}, "unknown field `Stat`", "`State`"),
        ("ICH_LR0_EL2", {"State": 4}, "`0x4` does not fit the 2 bits of `State`", ""),
        ("ICH_LR0_EL2", {"HW": 2}, "`0x2` does not fit the 1 bit of `HW`", ""),
        ("ICH_LR0_EL2", {"HW": -1}, "`-0x1` does not fit the 1 bit of `HW`", ""),
        ("ICH_LR0_EL2", {"State": "pendng"}, "unknown value of State `pendng`", "`pending`"),
        ("ICH_LR0_EL2", {"vINTID": "x"}, "unknown value of vINTID `x`", ""),
        ("ICH_LR0_EL2", {"pINTID": 3}, "`pINTID` is not in this value of ICH_LR0_EL2", "HW is 1"),
        ("ICH_LR0_EL2", {"EOI": 1, "HW": 1}, "`EOI` is not in this value", "HW is 0"),
        ("GICD_CTLR", {"ARE_S": 1, "DS": 1}, "`ARE_S` is not in this value", "DS is 0"),
        ("ITS_COMMAND", {"Size": 3}, "`Size` is not in this value", "Command is MAPD"),
        ("GITS_BASER0", {"Page_Size": 4}, "`0x4` does not fit the 2 bits", ""),
        ("ICH_EISR_EL2", {"Status16": 1}, "unknown field `Status16`", ""),
        ("ICH_EISR_EL2", {"Status0": 2}, "`0x2` does not fit the 1 bit of `Status0`", ""),
        ("ICH_EISR_EL2", {"Status٣": 1}, "unknown field `Status٣`", ""),
        ("ICH_LRX_EL2", {}, "unknown register `ICH_LRX_EL2`", "`ICH_LR<n>_EL2`"),
    ],
)
def test_fields_that_cannot_be_are_told(
    name: str, fields: dict[str, int | str], problem: str, help_: str
) -> None:
    """By what the user wrote."""
    with pytest.raises(UsageError) as caught:
        encode(name, fields)
    assert problem in str(caught.value)
    assert help_ in caught.value.help


def test_a_decoded_value_is_plain_data() -> None:
    """With texts for what is wider than a JSON number."""
    decoded = decode("ICH_LR3_EL2", 1 << 62 | 1 << 45 | 27)
    data = decoded.to_json()
    assert data["register"] == "ICH_LR3_EL2"
    assert data["value"] == "0x400020000000001b"
    assert data["res0"] == "0x200000000000"
    assert data["sentence"] == decoded.sentence
    first = {"field": "State", "bits": "[63:62]", "value": 1, "meaning": "pending"}
    assert isinstance(data["fields"], list)
    assert data["fields"][0] == first
    assert repr(decoded).startswith("Decoded(ICH_LR3_EL2=0x400020000000001b: pending, ")
    assert repr(decoded.fields[0]) == "FieldValue(State=0x1)"
