"""What an implementation may choose, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvtrap.errors import UnknownNameError, UsageError
from nvtrap.gic.parameters import ADDRESSES, FLAGS, NUMBERS, Parameters
from nvtrap.gic.virtual import ich

REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"list_registers": 0}, "`list_registers` is `0`, it goes from 1 to 16"),
    ({"list_registers": 17}, "goes from 1 to 16"),
    ({"list_registers": True}, "goes from 1 to 16"),
    ({"virtual_preemption_bits": 6}, "more preemption bits than priority bits"),
    ({"intid_bits": 20}, "16 or 24 INTID bits"),
    ({"distributor_intid_bits": 17, "intid_bits": 16}, "more INTID bits than the CPU interfaces"),
    ({"distributor_intid_bits": 13}, "LPIs start at INTID 8192"),
    ({"lpis": False, "its": True}, "there are none"),
    ({"direct_injection": True}, "there is none"),
    ({"physical_priority_bits": 4, "security_states": 2}, "at least 5 priority bits"),
    ({"extended_ppis": 16}, "32 at a time"),
    ({"extended_spis": 33}, "32 at a time"),
    ({"spis": 100}, "32 at a time"),
    ({"affinities": []}, "1 to 512 PEs"),
    ({"affinities": [0, 0]}, "same affinity"),
    ({"affinities": [1 << 32]}, "32-bit number"),
    ({"affinities": ["1.2.3.4"]}, "32-bit number"),
    ({"affinities": 7}, "`affinities` is a list"),
    ({"a3v": False, "affinities": [1 << 24]}, "A3V says"),
    ({"affinities": [16]}, "range selector"),
    ({"gicd_base": 0x800}, "aligned to 64 KiB"),
    ({"gicr_base": 0x0800_0000}, "overlap"),
    ({"nmi": 1}, "`nmi` is `1`, it is true or false"),
]


@pytest.mark.parametrize(("choices", "why"), REFUSED, ids=lambda case: str(case)[:40])
def test_what_cannot_be_is_refused_with_its_reason(choices: dict[str, Any], why: str) -> None:
    """Every illegal choice or combination names what is wrong with it."""
    with pytest.raises(UsageError) as caught:
        Parameters.from_dict(choices)
    assert why in caught.value.message


def test_a_misspelled_parameter_gets_a_suggestion() -> None:
    """An unknown keyword is an unknown name."""
    with pytest.raises(UnknownNameError) as caught:
        Parameters.from_dict({"list_register": 4})
    assert "list_registers" in caught.value.help


def choices() -> st.SearchStrategy[dict[str, Any]]:
    """Parameters within their ranges; not every combination of them can be."""
    numbers = {
        name: st.integers(low, high) | st.just(usual)
        for name, (low, high, usual, _) in NUMBERS.items()
    }
    flags = {name: st.booleans() for name in FLAGS}
    return st.fixed_dictionaries({}, optional={**numbers, **flags})


@given(choices())
def test_what_is_accepted_survives_json_and_says_so_in_ich_vtr(chosen: dict[str, Any]) -> None:
    """Accepted parameters are equal after a round trip, and ICH_VTR_EL2 reports them."""
    try:
        parameters = Parameters.from_dict(chosen)
    except UsageError:
        return
    again = Parameters.from_dict(json.loads(json.dumps(parameters.as_dict())))
    assert again == parameters
    assert hash(again) == hash(parameters)
    vtr = ich.vtr(parameters)
    assert (vtr & 31) + 1 == parameters.list_registers
    assert (vtr >> 26 & 7) + 1 == parameters.virtual_preemption_bits
    assert (vtr >> 29) + 1 == parameters.virtual_priority_bits
    assert vtr >> 5 & 0x3FFF == 0


def test_the_usual_parameters_are_those_of_the_virt_board() -> None:
    """ICH_VTR_EL2 as QEMU's `virt` has it."""
    assert ich.vtr(Parameters()) == 0x90B8_0003
    assert repr(Parameters(spis=32)) == "Parameters(spis=32)"


def test_parameters_do_not_change() -> None:
    """Models made from them rely on it."""
    with pytest.raises(AttributeError, match="do not change"):
        Parameters().spis = 32


def test_every_parameter_is_described() -> None:
    """A name stands for one thing only."""
    assert len({*NUMBERS, *FLAGS, *ADDRESSES}) == len(NUMBERS) + len(FLAGS) + len(ADDRESSES)
    assert all(about for *_, about in [*NUMBERS.values(), *FLAGS.values()])
