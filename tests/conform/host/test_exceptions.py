"""Recorded injections, ERETs and trapped instructions are met, and wrong ones are not."""

from __future__ import annotations

import copy
import gzip
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvtrap.conform.host.exceptions import judge_eret, judge_inject, judge_trap
from nvtrap.errors import UsageError

VECTORS = Path(__file__).parents[2] / "vectors" / "host-core" / "exceptions.jsonl.gz"
JUDGES = {"inject": judge_inject, "eret": judge_eret, "trap": judge_trap}
SCORED = {
    *("after", "switched", "left_pending", "pstate_at_put", "pstate_at_load"),
    *("taken_el2", "ret", "outcome", "warned", "auth", "int_shift_quirk", "illegal"),
    *("emulated", "forwarded", "fpac", "undef", "nothing"),
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 70), 1 << 70) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=4,
)


def read() -> list[dict[str, Any]]:
    """The recorded lines."""
    with gzip.open(VECTORS, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


LINES = read()


def test_every_recorded_line_is_met() -> None:
    """All three kinds."""
    for line in LINES:
        assert JUDGES[line["kind"]](line).problem == "", line["id"]
    assert {line["kind"] for line in LINES} == JUDGES.keys()


def test_each_result_counts() -> None:
    """A line with any one of its results changed or left out fails, and names it."""
    for line in LINES[::10]:
        for key in SCORED & line.keys() - {"after"}:
            wrong = {**line, key: 7 if type(line[key]) is not int else line[key] + 1}
            problem = JUDGES[line["kind"]](wrong).problem
            assert problem.startswith(f"{key}: expected"), (line["id"], key)
        for key in line["after"]:
            wrong = copy.deepcopy(line)
            wrong["after"][key] = hex(int(line["after"][key], 16) ^ 1)
            assert JUDGES[line["kind"]](wrong).problem.startswith(f"after.{key}: expected")


def test_a_result_of_another_type_is_another() -> None:
    """True is not 1, and no hex text is a number."""
    line = next(line for line in LINES if line["kind"] == "inject" and line["switched"])
    assert judge_inject({**line, "switched": 1}).problem == "switched: expected 1, got true"
    assert judge_inject({**line, "ret": "1"}).problem == "ret: expected 1, got 1"


def test_hex_is_compared_as_a_number() -> None:
    """Leading zeros and capitals do not matter."""
    line = copy.deepcopy(LINES[0])
    line["after"] = {key: f"0x{int(value, 16):016X}" for key, value in line["after"].items()}
    assert JUDGES[line["kind"]](line).problem == ""


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"before": []}, "`before` is `[]`, it is an object"),
        ({"type": "fiq"}, "`type` is `fiq`, it is one of sync, irq, undef, dabt, pabt"),
        ({"before.PC": 5}, "`before.PC` is `5`, it is a number of 64 bits in hex"),
        ({"before.PC": "0x1_0"}, "`before.PC` is `0x1_0`, it is a number of 64 bits in hex"),
        ({"before.PC": "0x"}, "`before.PC` is `0x`, it is a number of 64 bits in hex"),
        ({"before.pending": "el3"}, "`before.pending` is `el3`, it is one of none, "),
        ({"before.features": {"sve": True}}, "unknown feature `sve`"),
        ({"before.features": {"nv": 1}}, "`before.features.nv` is `1`, it is true or false"),
        ({"before.features": {}}, "the line has no `before.features.nv`"),
        ({"after": {}}, "the line has no `after.PC`"),
        ({"after.X1": "0x0"}, "unknown register `X1`"),
    ],
)
def test_a_line_that_is_no_injection_is_refused(change: dict[str, Any], message: str) -> None:
    """With what is wrong and where."""
    line = copy.deepcopy(next(line for line in LINES if line["kind"] == "inject"))
    for place, value in change.items():
        outer, _, key = place.rpartition(".")
        (line[outer] if outer else line)[key] = value
    with pytest.raises(UsageError) as caught:
        judge_inject(line)
    assert caught.value.message.startswith(message)


@pytest.mark.parametrize("outcome", ["el2", "nothing", None])
def test_no_word_is_for_a_trap_meant_for_a_missing_vel2(outcome: str | None) -> None:
    """An SVC of such a vCPU changes nothing, and that is what is scored."""
    line = next(dict(line) for line in LINES if line.get("type") == "svc")
    before = {**line["before"], "features": {**line["before"]["features"], "nv": False}}
    after = {name: before[name] for name in line["after"]}
    untouched = {"before": before, "after": after, "switched": False, "left_pending": None}
    plain = {key: value for key, value in line.items() if not key.startswith("pstate_at")}
    assert judge_trap({**plain, **untouched, "outcome": outcome}).problem == ""
    assert judge_trap({**plain, **untouched, "switched": True}).problem.startswith("switched")


def test_an_address_to_authenticate_needs_a_code() -> None:
    """PACGA is not modelled, its result is in the line."""
    line = next(dict(line) for line in LINES if "auth" in line and "pacga" in line)
    enabled = {**line["before"], "SCTLR_EL2": "0xc0000000"}
    with pytest.raises(UsageError, match="the line has no `pacga`"):
        judge_eret({**{k: v for k, v in line.items() if k != "pacga"}, "before": enabled})


@given(st.sampled_from(LINES), st.data())
def test_damaged_lines_never_crash(line: dict[str, Any], data: st.DataObject) -> None:
    """A member of any depth replaced or missing is a failure or a clear error."""
    damaged = copy.deepcopy(line)
    inner = damaged
    while True:
        key = data.draw(st.sampled_from(sorted(inner)))
        if type(inner[key]) is not dict or data.draw(st.booleans()):
            break
        inner = inner[key]
    if data.draw(st.booleans()):
        del inner[key]
    else:
        inner[key] = data.draw(JSON)
    with suppress(UsageError):
        JUDGES[line["kind"]](damaged)
