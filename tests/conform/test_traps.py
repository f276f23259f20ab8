"""Recorded traps, decided one by one."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from nvtrap import Access, State, Table
from nvtrap.conform import Decider
from nvtrap.conform.traps import TrapReader
from nvtrap.errors import NvtrapError

VECTORS = Path(__file__).with_name("traps.jsonl.gz")
TID1 = {"HCR_EL2": "0x10000"}
REVIDR = "0x623c0001"


@pytest.fixture(scope="module")
def vectors() -> list[dict[str, Any]]:
    """Recorded traps."""
    with gzip.open(VECTORS, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def plain_state(vector: dict[str, Any]) -> State:
    """The state of a vector, put together here."""
    registers, res0, fgu = (
        {name: int(value, 16) for name, value in vector.get(key, {}).items()}
        for key in ("state", "res0", "fgu")
    )
    return State(registers, el=vector["el"], nv=vector["nv"], res0=res0, fgu=fgu)


def test_recorded_outcomes_are_met(linux: Table, vectors: list[dict[str, Any]]) -> None:
    """With the outcome that the table gives to the same state and access."""
    reader = TrapReader(linux)
    seen = set()
    for vector in vectors:
        outcome = reader.decide(vector)
        assert outcome.outcome == vector["expect"]
        direct = linux.decide(plain_state(vector), Access.from_esr(int(vector["esr"], 16)))
        assert repr(outcome) == repr(direct)
        seen.add(vector["expect"])
    assert seen == {"forward", "local", "undef"}


def test_the_context_is_kept_between_lines(linux: Table, vectors: list[dict[str, Any]]) -> None:
    """Asked again without its state, each trap has its outcome again."""
    reader = TrapReader(linux)
    for vector in vectors:
        first = reader.decide(vector)
        assert reader.decide({"esr": vector["esr"]}) is first


def test_a_refused_context_leaves_the_old_one(linux: Table) -> None:
    """Whatever part of it was wrong."""
    reader = TrapReader(linux)
    reader.decide({"state": TID1, "esr": REVIDR})
    contexts: list[dict[str, Any]] = [
        {"state": {"HCR_EL2": "x"}},
        {"state": {}, "el": 9},
        {"state": {}, "res0": []},
        {"state": {}, "fgu": {"X": 1}},
        {"state": {}, "features": [1]},
        {"el": 2},
    ]
    for bad in contexts:
        with pytest.raises(NvtrapError):
            reader.decide({**bad, "esr": REVIDR})
        assert reader.decide({"esr": REVIDR}).outcome == "forward"


def test_features_are_all_or_those_named(linux: Table) -> None:
    """Null means all; a list is taken as it is."""
    reader = TrapReader(linux)
    for features in (None, [], ["FEAT_FGT"]):
        reader.decide({"state": TID1, "features": features, "esr": REVIDR})


def test_bad_lines_are_counted(linux: Table) -> None:
    """And nothing else is."""
    decider = Decider(linux)
    for line in (b"{", b"{}", b'{"esr":"0x623c0001"}', b"[]"):
        decider.answer(line)
    assert decider.bad == 3


def test_an_answer_is_one_line_of_ascii(linux: Table) -> None:
    """Whatever the id, so that nothing on its way can break it."""
    decider = Decider(linux)
    for name in ("é\u2028\n", "\ud800", ["\x00"], {"\x1b": "ü"}):
        for line in ({"id": name, "esr": REVIDR}, {"id": name, "esr": "é\n"}):
            answer = decider.answer(json.dumps(line).encode())
            assert answer.isascii()
            assert answer.isprintable()
            assert json.loads(answer)["id"] == name


def test_a_number_is_written_in_hex_decimal_or_as_a_number(linux: Table) -> None:
    """Hex with 0x in either case, decimal, or a JSON number."""
    reader = TrapReader(linux)
    for value in ("0x10000", "0X10000", "65536", 65536):
        assert reader.decide({"state": {"HCR_EL2": value}, "esr": REVIDR}).outcome == "forward"
