"""Recorded decodings of syndromes are met, and wrong ones are not."""

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

from nvtrap.conform.host.iss import judge_iss
from nvtrap.errors import UsageError
from tests.conform.host.test_exceptions import JSON

VECTORS = Path(__file__).parents[2] / "vectors" / "host-core" / "iss.jsonl.gz"


def read() -> list[dict[str, Any]]:
    """The recorded lines."""
    with gzip.open(VECTORS, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


LINES = read()


def test_every_recorded_line_is_met() -> None:
    """Every class and every outcome."""
    for line in LINES:
        assert judge_iss(line).problem == "", line["id"]
    assert {line["ec"] for line in LINES} == {3, 4, 5, 6, 8, 12, 24}


def changed(value: Any) -> Any:
    """Another value of the same type."""
    if type(value) is bool:
        return not value
    if type(value) is int:
        return value + 1
    if value.startswith("0x"):
        return hex(int(value, 16) ^ 1)
    return value + "x"


def test_each_result_counts() -> None:
    """A line with any one of its results changed fails, and names it."""
    for line in LINES:
        for key in {"ec", "iss", "outcome", "condition_holds"} & line.keys():
            problem = judge_iss({**line, key: changed(line[key])}).problem
            assert problem.startswith(f"{key}: expected")
        for outer in {"params", "table", "skip", "regs_after"} & line.keys():
            for key in line[outer] or ():
                wrong = copy.deepcopy(line)
                wrong[outer][key] = changed(line[outer][key])
                assert judge_iss(wrong).problem.startswith(f"{outer}.{key}: expected")


def access(crn: int, opc2: int, *, write: bool, **more: Any) -> dict[str, Any]:
    """A line of a CP15 access with X1, from A32."""
    iss = 0x1E00000 | opc2 << 17 | crn << 10 | 1 << 5 | (not write)
    line = {"id": "x", "kind": "iss", "ec": 3, "iss": hex(iss), "esr": hex(0xE000000 | iss)}
    line |= {"cpsr": "0x1f", "pc": "0x0", "regs": {"1": "0x12345678"}, "outcome": "table"}
    return {**line, "condition_holds": True, "skip": {"pc": "0x4", "cpsr": "0x1f"}, **more}


OLD = "0x1111111122222222"
ACTLR2 = {"access": "access_actlr", "map": "HI", "reg": "ACTLR_EL1"}
TTBCR2 = {"access": "access_vm_reg", "map": "HI", "reg": "TCR_EL1"}


def test_a_half_is_merged() -> None:
    """TTBCR2 into TCR_EL1."""
    merge = {"old": OLD, "new": "0x1234567822222222"}
    assert judge_iss(access(2, 3, write=True, table=TTBCR2, merge=merge)).problem == ""
    merge["new"] = OLD
    problem = judge_iss(access(2, 3, write=True, table=TTBCR2, merge=merge)).problem
    assert problem == f"merge.new: expected {OLD}, got 0x1234567822222222"


def test_actlr_is_read_only() -> None:
    """ACTLR2 ignores writes and reads the upper half."""
    merge = {"old": OLD, "new": OLD}
    assert judge_iss(access(1, 3, write=True, table=ACTLR2, merge=merge)).problem == ""
    read = access(1, 3, write=False, table=ACTLR2, merge=merge)
    read |= {"read_value": "0x11111111", "regs_after": {"1": "0x11111111"}}
    assert judge_iss(read).problem == ""
    read["read_value"] = "0x22222222"
    assert judge_iss(read).problem == "read_value: expected 0x22222222, got 0x11111111"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"esr": 1}, "`esr` is `1`, it is a number of 64 bits in hex"),
        ({"esr": "0x04000000"}, "EC 0x01 is no access to a coprocessor"),
        ({"regs": {"31": "0x0"}}, "`regs.31` is no general register"),
        ({"regs": {"x": "0x0"}}, "`regs.x` is no general register"),
        ({"regs": {"1": 1}}, "`regs.1` is `1`"),
        ({"regs": None}, "`regs` is `null`, it is an object"),
    ],
)
def test_a_line_that_is_no_decoding_is_refused(change: dict[str, Any], message: str) -> None:
    """With what is wrong and where."""
    with pytest.raises(UsageError) as caught:
        judge_iss({**LINES[0], **change})
    assert caught.value.message.startswith(message)


@given(st.sampled_from(LINES), st.data())
def test_damaged_lines_never_crash(line: dict[str, Any], data: st.DataObject) -> None:
    """A member of any depth replaced or missing is a failure or a clear error."""
    damaged = copy.deepcopy(line)
    inner = damaged
    while True:
        key = data.draw(st.sampled_from(sorted(inner)))
        if type(inner[key]) is not dict or not inner[key] or data.draw(st.booleans()):
            break
        inner = inner[key]
    if data.draw(st.booleans()):
        del inner[key]
    else:
        inner[key] = data.draw(JSON)
    with suppress(UsageError):
        judge_iss(damaged)
