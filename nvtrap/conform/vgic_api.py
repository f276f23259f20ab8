"""Recorded uses of KVM's VGIC: its device API, and what the guest sees of it.

::

    {"id", "host": "gicv3" | "gicv2", "needs": [...], "steps": [{"do", ..., "expect"}]}

The steps are those of `nvtrap.kvm.steps`; they run in order on one fresh VM, and every one
must give what it expects.
"""

from __future__ import annotations

from nvtrap.conform.verdicts import PASSED, failed
from nvtrap.errors import UsageError
from nvtrap.gic.parameters import USUAL
from nvtrap.inputs import shown
from nvtrap.kvm.host import Host
from nvtrap.kvm.step_members import members, word
from nvtrap.kvm.steps import Runner

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from nvtrap.conform.verdicts import Score
    from nvtrap.kvm.steps import Result

HOSTS = {"gicv3": 3, "gicv2": 2}
V2_COMPATIBLE = "v2_compat"
MOST_STEPS = 1 << 16


def judge(record: dict[str, Any]) -> Score:
    """The score of one case.

    Raises `UsageError` for a line that is not of the form above.
    """
    runner = Runner(host_of(record))
    for place, step in enumerate(members(record, "steps", MOST_STEPS)):
        result = runner.run(step)
        problem = difference(step, result)
        if problem:
            return failed(f"steps[{place}] ({shown(step['do'])}): {problem}")
    return PASSED


def host_of(record: dict[str, Any]) -> Host:
    """The host that a case asks for; raises `UsageError` when it is none."""
    gic = record.get("host", "gicv3")
    if not isinstance(gic, str) or gic not in HOSTS:
        raise UsageError(f"`host` is `{shown(gic)}`, it is gicv3 or gicv2")
    emulates_v2 = gic == "gicv2" or V2_COMPATIBLE in members(record, "needs", 64)
    return Host(USUAL, HOSTS[gic], emulates_v2)


def difference(step: dict[str, Any], result: Result) -> str:
    """How a result differs from what its step expects; empty where it does not.

    System calls expect an outcome, a number or the name of an errno or several of them,
    and then perhaps a value; instructions and memory expect a value, or "UNDEF".
    """
    if step["do"] in ("guest", "mem_r"):
        return _of_guest(step, result)
    accepted = step.get("expect", 0)
    if result.outcome not in (accepted if isinstance(accepted, list) else [accepted]):
        return f"expected {shown(accepted)}, got {result.outcome}"
    if result.outcome == 0 and "value_out" in step:
        return _of_value(step, result, [word(step, "value_out")])
    return ""


def _of_guest(step: dict[str, Any], result: Result) -> str:
    accepted = step.get("expect_in", [step["expect"]] if "expect" in step else [])
    if not isinstance(accepted, list):
        raise UsageError(f"`expect_in` is `{shown(accepted)}`, it is a list")
    if isinstance(result.outcome, str):
        return "" if result.outcome in accepted else f"got {result.outcome}"
    if isinstance(result.value, str):
        right = [text.lower().removeprefix("0x") for text in accepted if isinstance(text, str)]
        return "" if result.value in right else f"expected {shown(accepted)}, got {result.value}"
    if "UNDEF" in accepted:
        return "expected UNDEF, and the instruction completed"
    values = [word({"expect": value}, "expect") for value in accepted]
    return _of_value(step, result, values) if accepted else ""


def _of_value(step: dict[str, Any], result: Result, accepted: list[int]) -> str:
    assert isinstance(result.value, int)
    mask = word(step, "mask") if "mask" in step else (1 << 64) - 1
    got = result.value & mask
    if got in accepted:
        return ""
    return f"expected {' or '.join(map(hex, accepted))}, got {got:#x}"
