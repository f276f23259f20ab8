"""Recorded SMCCC and PSCI calls.

::

    {"esr", "pstate", "SCTLR_EL1", "config": {"psci_0_2_feature", "psci_version", "std_bmap",
     "std_hyp_bmap", "vendor_hyp_bmap", "system_suspend_enabled"}, "vcpus": [{"mpidr",
     "state"}], "caller", "args": [X0, X1, X2, X3], "host": {…}, "filters": [{"base", "nr",
     "action", "ret"}], "expect"}
"""

from __future__ import annotations

from nvtrap.arch.pstate import AARCH32
from nvtrap.conform.host.fields import Fields, compare, word
from nvtrap.conform.verdicts import PASSED
from nvtrap.errors import UsageError
from nvtrap.inputs import shown
from nvtrap.kvm.calls.psci import (
    PSCI_0_1,
    PSCI_1_1,
    RUNNABLE,
    STOPPED,
    SUSPENDED,
    Call,
    Hypercall,
    Power,
    Psci,
)
from nvtrap.kvm.calls.smccc import (
    AFFECTED,
    HANDLE,
    MITIGATED,
    NOT_AFFECTED,
    Clock,
    HostFacts,
    Smccc,
)
from nvtrap.kvm.calls.trng import TRNG_FUNCTIONS
from nvtrap.kvm.context import MASK_32, MASK_64
from nvtrap.kvm.exits.endian import is_big_endian

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from nvtrap.conform.verdicts import Score

MOST_VCPUS = 512  # KVM_MAX_VCPUS with a GICv3
MOST_FILTERS = 1 << 16
STATES = (RUNNABLE, STOPPED, SUSPENDED)
SPECTRE = (NOT_AFFECTED, MITIGATED, AFFECTED)
INVALID_GPA = MASK_64
MITIGATIONS = ("spectre_v2", "spectre_v4", "spectre_bhb")
SSBS = "guest_ssbs"
CLOCK = "clocksource_is_arch_counter"
CLOCK_WORDS = ("cycles", "real_ns", "voffset", "poffset")
# What a line leaves out, and how it reads then.
NOTHING_ELSE: dict[str, Any] = {"vcpus": {}, "wfi": False, "trng": False, "exit": None}


def judge(record: dict[str, Any]) -> Score:
    """The score of one call.

    Raises `UsageError` for a line that is not of the form above.
    """
    line = Fields(record)
    vcpus = [_power(entry) for entry in line.objects("vcpus", MOST_VCPUS)]
    caller = line.number("caller", 0, len(vcpus) - 1)
    smccc = _smccc(line, vcpus)
    score = _filter(line, smccc)
    if score is not PASSED:
        return score
    call = _call(line)
    told = line.inner("expect").values
    expected = {**NOTHING_ELSE, **{key: told[key] for key in told if told[key] is not None}}
    if call.function in TRNG_FUNCTIONS and smccc.action(call.function) == HANDLE:
        return compare(expected, {**NOTHING_ELSE, "ret": smccc.call(caller, call), "trng": True})
    before = [vcpu.state for vcpu in vcpus]
    got = {**NOTHING_ELSE, "ret": smccc.call(caller, call), "wfi": call.waits}
    got["regs"] = [f"{value:#x}" for value in call.x]
    got["vcpus"] = _changes(vcpus, before)
    got["exit"] = _exit(call, expected["exit"])
    if type(expected["vcpus"]) is dict:  # nothing happened to one that is not named
        expected["vcpus"] = {**dict.fromkeys(got["vcpus"]), **expected["vcpus"]}
    return compare(expected, got)


def _power(entry: Fields) -> Power:
    return Power(entry.word("mpidr"), entry.choice("state", STATES))


def _smccc(line: Fields, vcpus: list[Power]) -> Smccc:
    config = line.inner("config")
    return Smccc(
        Psci(vcpus, _version(config), suspend_enabled=config.flag("system_suspend_enabled")),
        _host(line.inner("host")) if line.has("host") else None,
        std=config.number("std_bmap", 0, MASK_64),
        std_hyp=config.number("std_hyp_bmap", 0, MASK_64),
        vendor_hyp=config.number("vendor_hyp_bmap", 0, MASK_64),
    )


def _version(config: Fields) -> int:
    """The version that is set; the latest without one, and 0.1 without the vCPU feature."""
    if not config.flag("psci_0_2_feature"):
        return PSCI_0_1
    if config.values.get("psci_version") is None:
        return PSCI_1_1
    return config.word("psci_version", 32) or PSCI_1_1


def _host(facts: Fields) -> HostFacts:
    """The facts that a line has, and the usual for the others."""
    host = HostFacts()
    for name in MITIGATIONS:
        if facts.has(name):
            setattr(host, name, facts.choice(name, SPECTRE))
    if facts.has(SSBS):
        host.guest_ssbs = facts.flag(SSBS)
    if facts.has(CLOCK) and facts.flag(CLOCK):
        host.clock = Clock(*(facts.word(name) for name in CLOCK_WORDS))
    named = {*MITIGATIONS, SSBS, CLOCK, *CLOCK_WORDS}
    host.stolen_time = _stolen_time({k: v for k, v in facts.values.items() if k not in named})
    return host


def _stolen_time(facts: dict[str, Any]) -> int | None:
    """The one address among the facts of a PV-time call, whatever it goes by.

    A bare true says that there is one.
    """
    texts = {key: value for key, value in facts.items() if type(value) is str}
    addresses = [word(text, f"host.{shown(key)}") for key, text in texts.items() if "0x" in text]
    flags = [value for value in facts.values() if type(value) is bool]
    if not all(flags) or not (addresses or flags) or INVALID_GPA in addresses:
        return None
    return addresses[0] if addresses else 0


def _filter(line: Fields, smccc: Smccc) -> Score:
    """Insert the filters; whether each attempt ends as recorded."""
    attempts = line.objects("filters", MOST_FILTERS) if line.has("filters") else []
    for index, attempt in enumerate(attempts):
        base, count = attempt.word("base", 32), attempt.number("nr", 0, MASK_32)
        ret = smccc.filter.insert(base, count, attempt.number("action", 0, 255))
        if attempt.number("ret", -MASK_32, 0) != ret:
            return compare(attempt.values["ret"], ret, f"filters[{index}].ret")
    return PASSED


def _call(line: Fields) -> Call:
    args = line.items("args", 4)
    if len(args) != 4:
        raise UsageError("`args` has X0 to X3")
    pstate = line.word("pstate")
    return Call(
        [word(value, f"args[{index}]") for index, value in enumerate(args)],
        esr=line.word("esr"),
        aarch32=pstate & AARCH32 != 0,
        big_endian=is_big_endian(pstate, line.word("SCTLR_EL1")),
    )


def _changes(vcpus: list[Power], before: list[str]) -> dict[str, Any]:
    """Index → what the call did to a vCPU, for those that it touched."""
    changes: dict[str, Any] = {}
    for index, vcpu in enumerate(vcpus):
        change: dict[str, Any] = {}
        if vcpu.state != before[index]:
            change["state"] = vcpu.state
        if vcpu.requests:
            change["requests"] = sorted(vcpu.requests)
        if vcpu.reset is not None:
            pc, x0, big_endian = vcpu.reset
            change["reset"] = {"pc": f"{pc:#x}", "r0": f"{x0:#x}", "be": big_endian}
        if change:
            changes[str(index)] = change
    return changes


def _exit(call: Call, expected: object) -> dict[str, Any] | None:
    if call.exit is None:
        return None
    if isinstance(call.exit, Hypercall):
        function = f"{call.exit.function:#x}"
        return {"reason": "hypercall", "nr": function, "flags": call.exit.flags}
    data = call.exit.data
    seen = {"reason": "system_event", "type": call.exit.type, "ndata": len(data)}
    if data or (type(expected) is dict and "data0" in expected):  # user space finds 0 there
        seen["data0"] = data[0] if data else 0
    return seen
