"""States as people write them."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path

import pytest

from nvtrap import State, Table
from nvtrap.errors import InputError, UnknownNameError, UsageError
from nvtrap.states import StateBuilder, number


@pytest.fixture
def builder(linux: Table) -> StateBuilder:
    """A builder that has been told nothing."""
    return StateBuilder(linux)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("7", 7),
        ("0x1F", 31),
        ("0b101", 5),
        ("0o17", 15),
        ("1_000", 1000),
        (" 1 ", 1),
        ("0xffffffffffffffff", (1 << 64) - 1),
    ],
)
def test_numbers_people_write(text: str, value: int) -> None:
    """Decimal, hex, binary and octal, with `_` between digits."""
    assert number(text, "it") == value


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "`` is no number for it"),
        ("x", "`x` is no number for it"),
        ("1.0", "`1.0` is no number for it"),
        ("0x", "`0x` is no number for it"),
        ("010", "`010` is no number for it"),
        ("1__0", "`1__0` is no number for it"),
        ("-1", "`-1` does not fit the 64 bits of it"),
        ("0x10000000000000000", "`0x10000000000000000` does not fit the 64 bits of it"),
        ("9" * 10_000, f"`{'9' * 80}` does not fit the 64 bits of it"),
    ],
)
def test_numbers_that_are_none(text: str, problem: str) -> None:
    """Each is refused by its text."""
    with pytest.raises(UsageError) as caught:
        number(text, "it")
    assert caught.value.message == problem


def test_a_new_builder_has_the_defaults(builder: StateBuilder) -> None:
    """EL1, with EL2, nothing set."""
    assert builder.state() == State()


def test_settings_in_any_order_give_one_state(linux: Table) -> None:
    """A register first, its fields on top, moving ones in the layout that results."""
    settings = [
        ("CPTR_EL2.TTA", 1),
        ("HCR_EL2.E2H", 1),
        ("HCR_EL2", 1 << 16),
        ("CPTR_EL2", 1),
        ("CPTR_EL2.FPEN", 2),
    ]
    for order in permutations(settings):
        builder = StateBuilder(linux)
        builder.set_all(order)
        assert builder.registers == {
            "HCR_EL2": 1 << 34 | 1 << 16,
            "CPTR_EL2": 1 << 28 | 2 << 20 | 1,
        }


def test_later_settings_build_on_earlier_ones(builder: StateBuilder) -> None:
    """A second batch keeps what it does not name."""
    builder.set_all([("HCR_EL2.E2H", 1), ("HCR_EL2.TID1", 1)])
    builder.set_all([("HCR_EL2.TID1", 0), ("CPTR_EL2.TTA", 1)])
    assert builder.registers == {"HCR_EL2": 1 << 34, "CPTR_EL2": 1 << 28}


def test_a_field_replaces_its_bits_alone(builder: StateBuilder) -> None:
    """All others stay."""
    ones = (1 << 64) - 1
    builder.set_all([("MDCR_EL2", ones), ("MDCR_EL2.HPMN", 0b01010)])
    assert builder.registers == {"MDCR_EL2": ones & ~0b10101}


def test_names_may_be_of_any_case(builder: StateBuilder) -> None:
    """They are kept as the catalogue spells them; the key of a group is spelled exactly."""
    builder.set_all([("hcr_el2.tid1", 1), (" mdcr_EL2 ", 1)])
    builder.set_res0("hcr_el2", 2)
    builder.set_fgu("HFGxTR", 3)
    assert builder.registers == {"HCR_EL2": 1 << 16, "MDCR_EL2": 1}
    assert builder.res0 == {"HCR_EL2": 2}
    assert builder.fgu == {"HFGxTR": 3}


def test_unknown_names_carry_suggestions(builder: StateBuilder) -> None:
    """For registers, fields and groups."""
    for close, setting in (("HCR_EL2", "HCR_EL"), ("HCR_EL2.TID1", "HCR_EL2.TDI1")):
        with pytest.raises(UnknownNameError) as caught:
            builder.set_all([(setting, 1)])
        assert close in caught.value.close
    with pytest.raises(UnknownNameError) as caught:
        builder.set_fgu("HFGXTR", 1)
    assert caught.value.close[0] == "HFGxTR"


def test_a_record_of_either_shape(linux: Table) -> None:
    """Registers in `state` or at top level, fields nested or dotted."""
    context = {"el": 2, "nv": False, "features": ["FEAT_NV2"], "res0": {"HCR_EL2": "1"}}
    registers = {"HCR_EL2": {"TID1": 1, "E2H": "0b1"}, "CPTR_EL2.TTA": 1, "MDCR_EL2": "0x10"}
    states = []
    for record in ({"state": registers, **context}, {**registers, **context}):
        builder = StateBuilder(linux)
        builder.read_record(record)
        states.append(builder.state())
    assert states[0] == states[1]
    assert states[0] == State(
        {"HCR_EL2": 1 << 34 | 1 << 16, "CPTR_EL2": 1 << 28, "MDCR_EL2": 16},
        el=2,
        nv=False,
        res0={"HCR_EL2": 1},
        features=["FEAT_NV2"],
    )


def test_a_record_adds_to_what_is_there(builder: StateBuilder) -> None:
    """What it does not name stays as it was."""
    builder.el, builder.nv, builder.features = 0, False, frozenset({"FEAT_NV2"})
    builder.read_record({"HCR_EL2": 1})
    assert builder.state() == State({"HCR_EL2": 1}, el=0, nv=False, features=["FEAT_NV2"])


def test_errors_in_a_file_name_the_file(builder: StateBuilder, tmp_path: Path) -> None:
    """They are errors of the file, with the help they came with."""
    path = tmp_path / "state.json"
    path.write_text('{"HCR_EL2": {"TDI1": 1}}', encoding="utf-8")
    with pytest.raises(InputError) as caught:
        builder.read_file(str(path))
    assert caught.value.message == f"`{path}`: unknown field `HCR_EL2.TDI1`"
    assert "`HCR_EL2.TID1`" in caught.value.help
