"""Scenarios by strangers: whatever stands in them, every run ends, and nothing crashes."""

from __future__ import annotations

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from nvtrap.errors import NvtrapError
from nvtrap.sim import Runner, names, parse, read
from tests.sim.helpers import BOOTED

TEXTS = [read(name)[1] for name in names()]
TOKENS = sorted(
    {token for text in TEXTS for token in re.findall(r'"[^"\n]*"|\w+|->|[^\w\s]', text)}
)
REGISTERS = st.sampled_from(
    [
        *("HCR_EL2", "ICH_HCR_EL2", "ICH_VMCR_EL2", "ICH_LR0_EL2", "ICH_LR3_EL2", "SPSR_EL2"),
        *("ELR_EL2", "VTTBR_EL2", "VTCR_EL2", "ICC_IAR1_EL1", "ICC_EOIR1_EL1", "ICC_DIR_EL1"),
        *("ICC_SGI1R_EL1", "MDCR_EL2", "CPTR_EL2", "VNCR_EL2", "DAIF", "SPSR_EL1", "VBAR_EL12"),
        *("PMSELR_EL0", "PMXEVCNTR_EL0", "ICC_CTLR_EL1", "ICC_SRE_EL2", "TTBR0_EL1", "HFGITR_EL2"),
    ]
)
WORDS = st.sampled_from([0, 1, 27, 0x40100000, (1 << 64) - 1]) | st.integers(0, (1 << 64) - 1)
STEPS = st.one_of(
    st.builds("mrs {}".format, REGISTERS),
    st.builds("msr {} = {:#x}".format, REGISTERS, WORDS),
    st.builds("load {:#x}".format, WORDS.map(lambda word: word & -8)),
    st.builds("store {:#x}, 4 bytes = 1".format, WORDS.map(lambda word: word & -4)),
    st.builds("mov X0 = {:#x}".format, WORDS | st.sampled_from([0xC4000003, 0x84000008])),
    st.sampled_from(["eret", "eretaa", "hvc", "smc", "svc", "brk", "wfi", "wfe", "fp", "sve"]),
    st.sampled_from(["msr HCR_EL2 = RW E2H VM IMO FMO", "msr SPSR_EL2 = EL1h", "nop", "pauth"]),
    st.sampled_from(["expect nothing pending", "expect interrupt 40 idle", "expect waits"]),
)
DEVICES = st.sampled_from(["raise 40", "lower 40", "timer fires", "timer stops", "answer 5"])
BLOCKS = st.builds(
    "{} on vcpu {}: {}".format,
    st.sampled_from(["L1", "L2", "L1 EL1", "L1 EL0"]),
    st.integers(0, 1),
    st.lists(STEPS, max_size=8).map(" ".join),
) | DEVICES.map("device: {}".format)


def runs(text: str) -> None:
    """Run it, or be told in one line why not."""
    message = "x"
    try:
        for record in Runner(parse("x", text)).run():
            assert record.to_json()
    except NvtrapError as error:
        message = error.message
    assert message.startswith("x")
    assert "\n" not in message


@settings(max_examples=80, deadline=None)
@given(st.lists(BLOCKS, max_size=10).map("\n".join))
def test_random_programs_end(text: str) -> None:
    """Whatever L1 and L2 do."""
    runs(BOOTED.replace("\n", "\nmachine: vcpus 2\n", 1) + text)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(TOKENS), max_size=40).map(" ".join), st.booleans())
def test_random_words_are_refused_or_run(text: str, begins_well: bool) -> None:
    """Tokens of real scenarios in any order."""
    runs(BOOTED + text if begins_well else text)


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=60), st.booleans())
def test_random_text_is_refused_or_run(text: str, begins_well: bool) -> None:
    """Any characters at all."""
    runs(BOOTED + text if begins_well else text)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(TEXTS), st.data())
def test_damaged_scenarios_are_refused_or_run(text: str, data: st.DataObject) -> None:
    """A piece is missing, or another one stands in its place."""
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(start + 30, len(text))))
    runs(text[:start] + data.draw(st.sampled_from(["", " 5 ", " = ", " L2: "])) + text[end:])
