"""Calls whose host facts a recording tells in part, or as null."""

from __future__ import annotations

from typing import Any

import pytest

from nvtrap.conform.host.psci import judge

NO = "0xffffffffffffffff"
ARCH_FEATURES, PTP, STOLEN_TIME = "0x80000001", "0x86000001", "0xc5000021"
WORKAROUND_1, WORKAROUND_2, WORKAROUND_3 = "0x80008000", "0x80007fff", "0x80003fff"
TIMES = {"cycles": "0x100000009", "real_ns": "0x200000005", "voffset": "0x2", "poffset": "0x3"}


def line(x0: str, x1: str = "0x0", **members: Any) -> dict[str, Any]:
    """A call by the only vCPU of a VM with all services."""
    return {
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
            "system_suspend_enabled": False,
        },
        "vcpus": [{"mpidr": "0x80000000", "state": "runnable"}],
        "caller": 0,
        "args": [x0, x1, "0x7", "0x7"],
        **members,
    }


def problem(recorded: dict[str, Any], *regs: str) -> str:
    """What is wrong when the call answers with these registers, 0 for the others."""
    answer = [*regs, "0x0", "0x0", "0x0", "0x0"][:4]
    told = {"ret": 1, "regs": answer, **recorded.pop("told", {})}
    return judge({**recorded, "expect": told}).problem


@pytest.mark.parametrize(
    ("host", "feature", "answer"),
    [
        ({"spectre_v2": "mitigated"}, WORKAROUND_1, "0x0"),
        ({"spectre_v2": "unaffected"}, WORKAROUND_1, "0x1"),
        ({"spectre_v2": "vulnerable"}, WORKAROUND_1, NO),
        ({"spectre_v4": "mitigated", "guest_ssbs": False}, WORKAROUND_2, "0xfffffffffffffffe"),
        ({"spectre_v4": "mitigated", "guest_ssbs": True}, WORKAROUND_2, NO),
        ({"spectre_v4": "unaffected"}, WORKAROUND_2, "0xfffffffffffffffe"),
        ({"spectre_bhb": "mitigated"}, WORKAROUND_3, "0x0"),
        ({"spectre_bhb": "unaffected", "guest_ssbs": None}, WORKAROUND_3, "0x1"),
    ],
)
def test_the_one_mitigation_that_is_asked_for_is_enough(
    host: dict[str, Any], feature: str, answer: str
) -> None:
    """A line need not name the other mitigations, nor SSBS."""
    assert problem(line(ARCH_FEATURES, feature, host=host), answer) == ""
    assert "regs[0]" in problem(line(ARCH_FEATURES, feature, host=host), "0x77")


@pytest.mark.parametrize("times", [{}, dict.fromkeys(TIMES), TIMES])
def test_a_clock_that_is_not_the_counter_has_no_times(times: dict[str, Any]) -> None:
    """They may be left out or null then, and count for nothing when they are not."""
    host = {"clocksource_is_arch_counter": False, **times}
    assert problem(line(PTP, host=host), NO) == ""


@pytest.mark.parametrize(("counter", "low"), [("0x0", "0x7"), ("0x1", "0x6")])
def test_the_counters_have_their_own_offsets(counter: str, low: str) -> None:
    """The time of day in two halves, and the counter in two."""
    host = {"clocksource_is_arch_counter": True, **TIMES}
    assert problem(line(PTP, counter, host=host), "0x2", "0x5", "0x1", low) == ""


@pytest.mark.parametrize(
    ("host", "answer"),
    [
        ({"state": "unset"}, NO),
        ({"state": "set", "base": "0x40001000"}, "0x40001000"),
        ({"base": "0x40001000", "guest_ssbs": True}, "0x40001000"),
        ({"base": "0x40001000", "clocksource_is_arch_counter": False}, "0x40001000"),
    ],
)
def test_only_a_number_is_the_address_of_stolen_time(host: dict[str, Any], answer: str) -> None:
    """Facts of other calls, and words, neither are one nor take it away."""
    assert problem(line(STOLEN_TIME, host=host), answer) == ""


def test_null_is_as_good_as_left_out() -> None:
    """For what a line need not have."""
    told = {"exit": None, "vcpus": None, "wfi": None, "trng": None}
    recorded = line("0x84000000", host=None, filters=None, told=told)
    assert problem(recorded, "0x10001") == ""
