"""Recordings of stage-2 aborts, walks, VMIDs and calls: met, told apart, and never trusted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nvtrap.conform.kinds import Judges
from nvtrap.conform.verdicts import Score
from nvtrap.errors import UsageError

from .recordings import Path_, at, judge, leaves, other, recorded, replaced, without

KINDS = ("mmio", "s2walk", "vmid", "psci")
SCORED = {
    "mmio": ("ret", "outcome", "after"),
    "s2walk": ("reads", "ret", "expect", "permission", "fault"),
    "vmid": ("steps",),
    "psci": ("expect", "filters"),
}
# Within these: inputs, and what the recordings' rules leave out.
NOT_SCORED = {"load_data", "reg_architectural", "reason", "op", "cpu", "vm", "base", "nr", "action"}
HOSTILE: tuple[Any, ...] = (
    None,
    True,
    -1,
    1 << 70,
    1.5,
    "",
    "0x",
    "0xg",
    "0x" + "f" * 17,
    "ram",
    [],
    [{}],
    {},
    {"a": 1},
)


@pytest.mark.parametrize("kind", KINDS)
def test_every_recording_is_met(kind: str) -> None:
    """No line of any kind differs."""
    problems = {line["id"]: judge(line).problem for line in recorded(kind)}
    assert {name: problem for name, problem in problems.items() if problem} == {}
    assert len(problems) >= 10


def scored_leaves(line: dict[str, Any]) -> Iterator[Path_]:
    """The ways to all values of a line that are compared."""
    for root in SCORED[line["kind"]]:
        for path in leaves(line.get(root, {}), (root,)):
            if NOT_SCORED.isdisjoint(path):
                yield path


def samples(kind: str) -> list[dict[str, Any]]:
    """Lines of one kind, fewer and shorter where they are long."""
    if kind != "vmid":
        return recorded(kind)
    return [{**line, "steps": line["steps"][:40]} for line in recorded(kind)]


@pytest.mark.parametrize("kind", KINDS)
def test_each_scored_value_counts_and_is_named(kind: str) -> None:
    """A line with one other value in it fails, and says where."""
    for line in samples(kind):
        for path in scored_leaves(line):
            problem = judge(replaced(line, path, other(at(line, path)))).problem
            named = [str(key) for key in path if key not in SCORED[kind] or len(path) == 1]
            assert any(name in problem for name in named), (line["id"], path, problem)


@pytest.mark.parametrize(
    ("kind", "label"), [("mmio", "reason"), ("mmio", "reg_architectural"), ("psci", "name")]
)
def test_labels_do_not_count(kind: str, label: str) -> None:
    """What a line says beside what happened may be anything."""
    seen = 0
    for line in recorded(kind):
        for path in leaves(line):
            if path[-1] == label:
                assert judge(replaced(line, path, "x")).problem == ""
                seen += 1
    assert seen > 5


def test_what_a_line_does_not_tell_must_not_happen() -> None:
    """A call with an exit, a wait or a change of a vCPU fails where the line has none."""
    failures = set()
    for line in recorded("psci"):
        for key in {"exit", "wfi", "trng", "vcpus"} & line["expect"].keys():
            assert judge(without(line, ("expect", key))).problem
            failures.add(key)
    assert failures == {"exit", "wfi", "trng", "vcpus"}
    line = next(line for line in recorded("vmid") if any(s.get("flush") for s in line["steps"]))
    index = next(number for number, step in enumerate(line["steps"]) if step.get("flush"))
    problem = judge(without(line, ("steps", index, "flush"))).problem
    assert problem == f"steps[{index}].flush: expected null, got true"


@pytest.mark.parametrize("kind", KINDS)
def test_a_line_without_a_member_or_with_a_wrong_one_is_refused_or_fails(kind: str) -> None:
    """Whatever stands where a value should, there is a verdict."""
    lines = {frozenset(str(path) for path in leaves(line)): line for line in samples(kind)[:40]}
    for line in list(lines.values())[:12]:
        if kind == "vmid":
            line["steps"] = line["steps"][:3]
        paths = list(leaves(line)) + [(key,) for key in line]
        for path in paths:
            assert verdict(without(line, path)) is not None
            for value in HOSTILE:
                assert verdict(replaced(line, path, value)) is not None


def verdict(line: dict[str, Any]) -> Score | str | None:
    """What a line comes to: a score, or why it is refused."""
    if line.get("kind") not in KINDS:
        return "no kind"
    try:
        return judge(line)
    except UsageError as error:
        message = error.message
    assert message
    assert "\n" not in message
    assert len(message) < 400
    return message


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=6) | st.sampled_from(HOSTILE),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from(KINDS), st.integers(0), st.lists(st.tuples(st.integers(0), JSON), max_size=4)
)
def test_nothing_that_is_json_gets_out_of_a_verdict(
    kind: str, number: int, changes: list[tuple[int, Any]]
) -> None:
    """Lines with several values replaced by anything are scored or refused."""
    lines = samples(kind)
    line = lines[number % len(lines)]
    for index, value in changes:
        paths = list(leaves(line))
        line = replaced(line, paths[index % len(paths)], value)
    assert verdict(line) is not None


@pytest.mark.parametrize(
    ("kind", "path", "value", "message"),
    [
        ("mmio", ("esr",), 5, "`esr` is `5`"),
        ("mmio", ("config", "memslot"), "rom", "`config.memslot` is `rom`"),
        ("mmio", ("config", "ia_bits"), 65, "`config.ia_bits` is `65`"),
        ("mmio", ("rt",), 32, "`rt` is `32`"),
        ("s2walk", ("mem",), {"0x0": "no"}, "`mem.0x0` is `no`"),
        ("s2walk", ("mem",), {"no": "0x0"}, "`mem` is `no`"),
        ("s2walk", ("ipa_limit",), 0, "`ipa_limit` is `0`"),
        ("vmid", ("vmid_bits",), 17, "`vmid_bits` is `17`"),
        ("vmid", ("cpus",), 1 << 40, "`cpus` is `1099511627776`"),
        ("vmid", ("cpus",), 255, "255 CPUs do not fit 8-bit VMIDs"),
        ("vmid", ("steps", 0), 7, "`steps[0]` is `7`"),
        ("vmid", ("steps", 0, "cpu"), 99, "`steps[0].cpu` is `99`, there are 2"),
        ("vmid", ("steps", 0, "op"), "swap", "`steps[0].op` is `swap`"),
        ("vmid", ("steps", 0, "vm"), None, "`steps[0].vm` is no number of a VM"),
        ("psci", ("caller",), 8, "`caller` is `8`"),
        ("psci", ("vcpus",), [], "`caller` is"),
        ("psci", ("args",), ["0x0"], "`args` has X0 to X3"),
        ("psci", ("vcpus", 0, "state"), "asleep", "`vcpus[0].state` is `asleep`"),
    ],
)
def test_what_is_wrong_is_said(kind: str, path: Path_, value: object, message: str) -> None:
    """By the member's name and its value."""
    with pytest.raises(UsageError) as caught:
        judge(replaced(recorded(kind)[0], path, value))
    assert message in caught.value.message


def test_the_loaded_bytes_fit_the_access() -> None:
    """A device cannot answer with more bytes than were asked for."""
    line = next(line for line in recorded("mmio") if "load_data" in line["outcome"])
    for data in ("", "0", "zz" * line["outcome"]["len"], "00" * 9, 4):
        with pytest.raises(UsageError, match="load_data"):
            judge(replaced(line, ("outcome", "load_data"), data))


def test_kinds_are_found_by_their_name() -> None:
    """The `kind` of a line is enough; no table is loaded for it."""

    def load(name: str) -> Any:
        raise AssertionError(name)

    judges = Judges(load)
    for kind in KINDS:
        line = recorded(kind)[0]
        found = judges.verdict(json.dumps(line).encode(), "line 1")
        assert (found.name, found.score.problem) == (line["id"], "")


# What the samples have no case of, as the rules of the recording describe it.

SUSPEND = {
    "id": "s",
    "kind": "psci",
    "esr": "0x5a000000",
    "pstate": "0x3c5",
    "SCTLR_EL1": "0x30d00800",
    "config": {
        "psci_0_2_feature": True,
        "psci_version": None,
        "std_bmap": 1,
        "std_hyp_bmap": 1,
        "vendor_hyp_bmap": 3,
        "system_suspend_enabled": True,
    },
    "vcpus": [{"mpidr": "0x80000000", "state": "runnable"}],
    "caller": 0,
    "args": ["0x8400000e", "0x100000001", "0x2", "0x3"],
    "expect": {
        "ret": 0,
        "regs": ["0x8400000e", "0x1", "0x2", "0x3"],
        "exit": {"reason": "system_event", "type": 5, "ndata": 0},
    },
}


@pytest.mark.parametrize("extra", [{}, {"data0": 0}])
def test_a_suspend_has_no_data(extra: dict[str, int]) -> None:
    """Whether a line names the first item, which is 0 then, or not."""
    exit = {**SUSPEND["expect"]["exit"], **extra}  # type: ignore[index]
    assert judge(replaced(SUSPEND, ("expect", "exit"), exit)).problem == ""
    wrong = {**exit, "data0": 1}
    assert "data0" in judge(replaced(SUSPEND, ("expect", "exit"), wrong)).problem


@pytest.mark.parametrize(
    ("host", "x0"),
    [
        ({"base": "0x40001000"}, "0x40001000"),
        ({"base": "0xffffffffffffffff"}, "0xffffffffffffffff"),
        ({"set": False, "base": "0x40001000"}, "0xffffffffffffffff"),
        ({"base": None}, "0xffffffffffffffff"),
        ({"set": True, "base": "0x0"}, "0x0"),
        ({"set": True}, "0x0"),
        ({}, "0xffffffffffffffff"),
    ],
)
def test_stolen_time_is_where_the_host_says(host: dict[str, object], x0: str) -> None:
    """The address is taken under any name; all ones, or a fact that is false, mean none."""
    line = {
        **SUSPEND,
        "args": ["0xc5000021", "0x0", "0x0", "0x0"],
        "host": host,
        "expect": {"ret": 1, "regs": [x0, "0x0", "0x0", "0x0"]},
    }
    assert judge(line).problem == ""
