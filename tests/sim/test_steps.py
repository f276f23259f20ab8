"""What steps do and what expectations see, beyond what the shipped scenarios show."""

from __future__ import annotations

import pytest

from nvtrap.sim import Runner, parse
from nvtrap.sim.records import Change, Done, Stopped
from tests.sim.helpers import BOOTED, IN_L2, failed, run, told

# (steps, an expectation that fails behind them, what was got)
FAILURES = [
    ("L1: mrs ICC_PMR_EL1", "5", "0xf8, not 0x5"),
    ("L1: mrs HCR_EL2.TGE", "0", "0x1, not 0x0"),
    ("L1: nop", "5", "no value: native"),
    ("L1: nop", "emulated", "native"),
    ("device: raise 40", "native", "no instruction"),
    ("L1: nop", "trap to L0", "no exit: native"),
    ("L1: mrs ICH_VTR_EL2", "trap to L1", "a trap to L0, emulated"),
    ("L1: nop", "by HCR.TID3", "no decision of the table"),
    ("L1: mrs ICH_VTR_EL2", "forward", "local: hyp-context"),
    ("L1: nop", "EC 0x18", "no exception"),
    ("L1: mrs ICH_VTR_EL2", "EC 0x1a", "EC 0x18"),
    ("L1: nop", "IRQ taken", "no interrupt"),
    ("L1: nop", "acknowledges 27", "nothing of the kind"),
    ("device: raise 40", "acknowledges 40", "40 raised"),
    ("L1: nop", "runs L2", "vCPU 0: L1"),
    ("L1: nop", "waits", "vCPU 0: L1"),
    ("L1: mrs VBAR_EL3", "native", "undefined"),
    ("L1: svc", "native", "exception"),
]
CLAIMS = [
    ("line 40 high", "low"),
    ("interrupt 40 pending", "idle"),
    ("memory 0x40000000 = 1", "0x0, not 0x1"),
    ("memory 0 = 1", "there is no memory at 0x0"),
    ("off", "vCPU 0: L1"),
    ("hardware HCR_EL2.VM = 0", "0x1, not 0x0"),
    ("X5 = 1", "0x0, not 0x1"),
    ("VBAR_EL2 = VBAR_EL2 + 4", "0x40010000, not 0x40010004"),
]


@pytest.mark.parametrize(("steps", "claim", "got"), FAILURES)
def test_a_failed_expectation_says_what_was_got(steps: str, claim: str, got: str) -> None:
    """In the words of the language."""
    assert failed(f"{steps} -> {claim}") == [(claim, got)]


@pytest.mark.parametrize(("claim", "got"), CLAIMS)
def test_a_failed_expectation_of_the_machine_says_what_it_is(claim: str, got: str) -> None:
    """The same for what `expect` looks at."""
    assert failed(f"L1: expect {claim}") == [(claim, got)]


def test_what_is_left_is_listed() -> None:
    """The interrupt, its list register's priority, and on which vCPU."""
    text = "device: raise 40 L1: mrs ICC_IAR1_EL1 expect nothing pending"
    assert failed(text) == [("nothing pending", "interrupt 40 active, active priorities")]
    two = BOOTED.replace("\n", "\nmachine: vcpus 2\n", 1)
    lists = "L1 on vcpu 1: msr ICH_LR3_EL2 = pending group1 vintid 50 expect nothing pending"
    assert failed(lists, two) == [("nothing pending", "ICH_LR3_EL2 pending on vCPU 1")]


def test_what_l2_has_left_is_seen_in_the_hardware_while_it_runs() -> None:
    """L1's memory is not up to date then."""
    text = "L1: msr ICH_HCR_EL2 = En msr ICH_LR2_EL2 = pending group1 vintid 50 eret"
    begin = IN_L2.replace("eret -> runs L2", "")
    got = failed(f"{text} expect nothing pending", begin)
    assert got == [("nothing pending", "hardware LR0 pending")]


def test_a_step_out_of_turn_stops_the_run() -> None:
    """Nothing after it is done; in the story it is a failure."""
    records = run("L2 'x': nop".replace("'", '"') + " expect PC = 0 L1: nop")
    assert isinstance(records[-2], Stopped)
    assert (records[-2].expected, records[-2].got) == ("L2", "L1")
    assert not any(isinstance(r, Done) and r.step.text == "nop" for r in records)
    summary = records[-1].to_json()
    assert (summary["holds"], summary["failed"]) == (False, 0)


def test_a_vcpu_that_waits_or_is_off_has_no_turn() -> None:
    """The one waits for an interrupt, the other for PSCI."""
    waits = run("L1: wfi -> waits nop")
    assert isinstance(waits[-2], Stopped)
    assert waits[-2].got == "waits"
    one = 'scenario "x" machine: vcpus 2, one on L1 on vcpu 1: expect off nop'
    records = list(Runner(parse("x", one)).run())
    assert isinstance(records[-2], Stopped)
    assert records[-2].got == "off"


def test_fields_are_written_beside_the_others() -> None:
    """By the name that the context has for the register."""
    text = """
    L1: msr VBAR_EL2 = 0x1000 msr SCTLR_EL12 = EE M msr SCTLR_EL12.M = 0
        expect SCTLR_EL1 = EE, SCTLR_EL12 = EE
        msr CPACR_EL1.FPEN = 0
        expect CPTR_EL2 = 0x30000
        msr ICC_CTLR_EL1.EOImode = 1
        expect ICC_CTLR_EL1.EOImode = 1, ICC_PMR_EL1 = 0xf8"""
    assert failed(text) == []


@pytest.mark.parametrize(
    ("value", "number"),
    [
        ("pending active", 3 << 62),
        ("PENDING GROUP1", 1 << 62 | 1 << 60),
        ("hw 27 vintid 5", 1 << 61 | 27 << 32 | 5),
        ("State 2 Priority 0xff", 2 << 62 | 0xFF << 48),
        ("eoi nmi", 1 << 41 | 1 << 59),
        ("inactive group0", 0),
    ],
)
def test_words_of_a_list_register(value: str, number: int) -> None:
    """States and flags together, with fields, in any case."""
    text = f"L1: msr ICH_LR0_EL2 = {value} mrs ICH_LR0_EL2 -> {number:#x}"
    assert failed(text) == []


def test_a_change_is_told_with_its_meaning() -> None:
    """Of list registers, and of the line of the maintenance interrupt."""
    records = run("L1: msr ICH_LR1_EL2 = pending group1 vintid 50 msr ICH_HCR_EL2 = En UIE nop wfe")
    changes = [(r.name, r.meaning) for r in records if isinstance(r, Change)]
    assert changes[0][0] == "ICH_LR1_EL2"
    assert changes[0][1].startswith("pending, Group 1, priority 0x0, vINTID 50 (SPI)")
    assert ("maintenance interrupt 25", "rises") in changes


def test_everything_is_plain_data() -> None:
    """Steps with place and end, decisions in their parts, numbers as texts."""
    data = told("L1: mrs ID_AA64PFR0_EL1.EL2 -> 1, emulated, 1")
    kinds = [record["kind"] for record in data]
    assert kinds[:4] == ["section", "step", "step", "section"]
    assert kinds[4:] == ["step", "exit", "trace", *["expectation"] * 3, "summary"]
    step, exit = data[4], data[5]
    assert step["at"] == "test.sim:3:5"
    assert (step["step"], step["ending"], step["vcpu"]) == (
        "mrs ID_AA64PFR0_EL1.EL2",
        "emulated",
        0,
    )
    assert (step["level"], int(step["value"], 16) >> 8 & 15) == ("L1", 1)
    assert (exit["decision"], exit["step"], exit["control"]) == ("local", "hyp-context", "")
    assert exit["esr"] == "0x62300129"
    assert data[7] == {"kind": "expectation", "at": "test.sim:3:32", "expected": "1", "holds": True}
    assert data[-1] == {
        "kind": "summary",
        "scenario": "test.sim",
        "title": "test",
        "steps": 3,
        "holds": True,
        "expectations": 3,
        "failed": 0,
    }


def test_features_that_are_missing_are_undefined() -> None:
    """FEAT_LOR's registers, although L1 traps them."""
    text = "L1: msr HCR_EL2 = RW E2H VM TLOR eret L2: mrs LORC_EL1 -> "
    without = BOOTED.replace("\n", "\nmachine: without FEAT_LOR\n", 1)
    assert failed(text + "trap to L1") == []
    assert failed(text + "undefined", without) == []


def test_traps_of_the_hosts_gic_are_emulated_without_an_exit_of_l1s() -> None:
    """TALL1 of a host whose virtual CPU interface is broken."""
    broken = BOOTED.replace("\n", "\nmachine: host traps TALL1\n", 1)
    assert failed("device: raise 40 L1: mrs ICC_IAR1_EL1 -> 40, native") == []
    text = "L1: msr ICH_HCR_EL2 = En msr ICH_VMCR_EL2 = VPMR 0xff VENG1"
    text += " msr ICH_LR0_EL2 = pending group1 vintid 50 msr HCR_EL2 = RW E2H VM IMO FMO eret"
    assert failed(f"{text} L2: mrs ICC_IAR1_EL1 -> 50, emulated", broken) == []
