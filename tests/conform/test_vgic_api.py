"""Recorded uses of the device API: all pass, and a step that goes wrong is told."""

from __future__ import annotations

import gzip
import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from nvtrap.conform.kinds import DEVICE_API, kind_of
from nvtrap.conform.vgic_api import judge
from nvtrap.errors import UsageError

CASES = Path(__file__).parent.parent / "vectors" / "vgic-api" / "cases.jsonl.gz"


def recorded() -> list[dict[str, Any]]:
    """The cases."""
    with gzip.open(CASES) as lines:
        return [json.loads(line) for line in lines]


RECORDED = recorded()


@pytest.mark.parametrize("case", RECORDED, ids=lambda case: str(case["id"]))
def test_recorded_cases_are_met(case: dict[str, Any]) -> None:
    """What a real kernel did, step by step."""
    assert kind_of(case) == DEVICE_API
    score = judge(case)
    assert (score.problem, score.reason) == ("", "")


def altered(step: dict[str, Any]) -> bool:
    """Make a step expect something else; whether it expects anything."""
    if step["do"] in ("guest", "mem_r"):
        if "expect" not in step:
            return False
        wrong = "00" if step["do"] == "mem_r" else "0xdeadbeef"
        step["expect"] = wrong if step["expect"] == "UNDEF" else "UNDEF"
    elif "value_out" in step:
        step["value_out"] = hex(int(step["value_out"], 16) ^ 1)
        step["mask"] = "0xffffffffffffffff"
    elif step["do"] != "create_vm":
        step["expect"] = "EPERM"
    else:
        return False
    return True


@pytest.mark.parametrize("case", RECORDED[::7], ids=lambda case: str(case["id"]))
def test_every_expectation_counts(case: dict[str, Any]) -> None:
    """A case in which one step expects something else fails at that step."""
    for place in range(len(case["steps"])):
        other = deepcopy(case)
        if altered(other["steps"][place]):
            assert f"steps[{place}] " in judge(other).problem


CREATE = {"do": "create_vm", "vcpus": [0]}
DEVICE = {"do": "create_device", "type": "vgic_v3", "name": "gic"}
GET = {"do": "get_attr", "dev": "gic", "group": "NR_IRQS", "attr": "0x0"}


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ([{"do": "fly"}], "unknown step `fly`"),
        ([CREATE, 7], "a step is `7`"),
        ([{"do": "irq_line", "irq": "0x1", "level": 1}], "no VM was created"),
        ([{"do": "create_vm", "ram": [[1]]}], "`ram` has `\\[1\\]`"),
        ([{"do": "create_vm", "ipa_bits": 3}], "32 to 52 bits"),
        ([{"do": "create_vm", "vcpus": ["0"]}], "a vCPU's id is"),
        ([CREATE, {"do": "run_vcpu", "id": 4}], "there is no vCPU 4"),
        ([CREATE, {"do": "create_device", "type": "gic"}], "unknown type of a device `gic`"),
        ([CREATE, GET], "unknown device `gic`"),
        ([CREATE, DEVICE, {**GET, "group": "DIST"}], "unknown group `DIST`"),
        ([CREATE, DEVICE, {**GET, "group": "9" * 5000}], "unknown group"),
        ([CREATE, DEVICE, {**GET, "attr": "4"}], "`attr` is `4`, it is a number of 64 bits"),
        ([CREATE, DEVICE, {**GET, "attr": "0x" + "1" * 17}], "`attr` is"),
        ([CREATE, DEVICE, {**GET, "value_out": True}], "`value_out` is `true`"),
        ([CREATE, {"do": "guest", "vcpu": 0, "op": "hlt"}], "unknown guest operation `hlt`"),
        ([CREATE, {"do": "guest", "vcpu": 0, "op": "mrs", "reg": "X0"}], "unknown system register"),
        (
            [CREATE, {"do": "guest", "vcpu": 0, "op": "mmio_r", "addr": "0x0", "size": 3}],
            "`size` is `3`",
        ),
        ([CREATE, {"do": "mem_w", "addr": "0x0", "data": "00"}], "there is no memory at 0x0"),
        ([CREATE, {"do": "mem_r", "addr": "0x0", "len": -1}], "`len` is `-1`"),
        ([CREATE, {"do": "mem_w", "addr": "0x0", "data": "0"}], "bytes in hex"),
        ([CREATE, {"do": "irqfd_write", "gsi": 3}], "no eventfd is bound to GSI 3"),
        ([CREATE, {"do": "hw_line", "vcpu": 0, "intid": 40, "level": 1}], "no timer with PPI 40"),
        ([CREATE, {"do": "set_gsi_routing", "entries": [0]}], "a route is `0`, it is an object"),
        (
            [CREATE, {"do": "set_gsi_routing", "entries": [{"gsi": 0, "type": "x"}]}],
            "unknown type of a route `x`",
        ),
        ([CREATE, {"do": "set_attr", "dev": 1, "group": "ADDR", "attr": "0x0"}], "`dev` is `1`"),
        (
            [CREATE, DEVICE, {**GET, "do": "set_attr", "value": {"var": "x"}}],
            "unknown saved value `x`",
        ),
        ([CREATE, {"do": "vcpu_leave", "id": 0}], "vCPU 0 is not in KVM_RUN"),
    ],
)
def test_a_step_that_is_none_says_what_is_wrong(steps: list[Any], message: str) -> None:
    """In a sentence, and never as a traceback."""
    with pytest.raises(UsageError, match=message):
        judge({"id": "x", "steps": steps})


def test_the_host_is_one_of_two() -> None:
    """And a GICv3 host makes GICv2 guests where the case says that it can."""
    with pytest.raises(UsageError, match="`host` is `gicv5`"):
        judge({"host": "gicv5", "steps": []})
    steps = [CREATE, {"do": "create_device", "type": "vgic_v2", "expect": "ENODEV"}]
    assert judge({"host": "gicv3", "steps": steps}).problem == ""
    assert judge({"host": "gicv3", "needs": ["v2_compat"], "steps": steps}).problem


def test_values_are_kept_for_later_steps() -> None:
    """`save_as` and `{var, clear, or}`."""
    level = {"do": "get_attr", "dev": "gic", "group": "DIST_REGS", "attr": "0x0"}
    steps = [
        CREATE,
        DEVICE,
        {"do": "set_attr", "dev": "gic", "group": "CTRL", "attr": "0x0"},
        {**level, "save_as": "ctlr", "value_out": "0x50"},
        {
            "do": "set_attr",
            "dev": "gic",
            "group": "DIST_REGS",
            "attr": "0x0",
            "value": {"var": "ctlr", "clear": "0x40", "or": "0x2"},
        },
        {**level, "value_out": "0x52"},
        {"do": "guest", "vcpu": 0, "op": "mmio_r", "addr": "0x1000", "size": 4},
    ]
    assert judge({"id": "x", "steps": steps[:-1]}).problem == ""
    assert "ENXIO" in judge({"id": "x", "steps": steps}).problem
