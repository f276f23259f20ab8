"""`nvtrap.analysis.differences` against enumeration of all states."""

from __future__ import annotations

from hypothesis import given, settings

from nvtrap.analysis.differences import OUTCOME, STEP, TEXT, Comparison, changed
from nvtrap.arch import Access
from nvtrap.engine import FORWARD, State, Table
from tests.analysis.small_tables import ENCODINGS, states, table_of, texts


def forwards(table: Table, state: State, encoding: int, write: bool) -> bool:
    """Whether a table forwards an access in a state."""
    return table.decide(state, Access(encoding, write)).outcome == FORWARD


def guest(table: Table, state: State) -> bool:
    """Whether a table is not in hypervisor context in a state."""
    return table.bind(state).context == 0


def enumerated(first: Table, second: Table, *, everywhere: bool) -> set[tuple[int, bool]]:
    """The accesses that some state both tables admit shows to differ in outcome."""
    found = set()
    for state in states():
        if everywhere or (guest(first, state) and guest(second, state)):
            for encoding in ENCODINGS:
                for write in (False, True):
                    outcomes = {forwards(t, state, encoding, write) for t in (first, second)}
                    if len(outcomes) == 2:
                        found.add((encoding, write))
    return found


@given(texts(), texts())
@settings(max_examples=60, deadline=None)
def test_a_diff_finds_exactly_what_enumeration_finds(one: str, other: str) -> None:
    """The accesses reported are those that differ in some state, in guest contexts and in all."""
    first, second = table_of(one), table_of(other)
    for everywhere in (False, True):
        found = Comparison(first, second, everywhere=everywhere).differences()
        reported = {access for d in found if d.kind == OUTCOME for access in d.accesses}
        assert reported == enumerated(first, second, everywhere=everywhere)
        assert changed(found) == bool(reported)


@given(texts(), texts())
@settings(max_examples=60, deadline=None)
def test_every_witness_really_differs(one: str, other: str) -> None:
    """In each witness the named side forwards every access of its difference, the other none."""
    tables = table_of(one), table_of(other)
    for difference in Comparison(*tables).differences():
        for encoding, write in difference.accesses:
            told = [forwards(t, difference.witness, encoding, write) for t in tables]
            if difference.kind == OUTCOME:
                assert told[difference.side]
                assert not told[1 - difference.side]
            else:
                assert told[0] == told[1]


@given(texts())
@settings(max_examples=30, deadline=None)
def test_a_table_does_not_differ_from_itself(text: str) -> None:
    """The same text compiled twice has no difference of any kind."""
    assert Comparison(table_of(text), table_of(text)).differences() == []


BASE = """
register HCR_EL2 = S3_4_C1_C1_0 { A [0]  B [1] }
register HFG_EL2 = S3_4_C1_C1_4 { X [3] }
register R_EL1 = S3_0_C1_C0_0
control C.A traps any when HCR_EL2.A == 1
control C.B traps any when HCR_EL2.B == 1
control C.X traps any when HFG_EL2.X == 1
fine group G { any HFG_EL2 }
table small { parts are exclusive absent fields read as zero }
"""


def test_the_deciding_step_alone_is_told_apart() -> None:
    """The same bit tested as a control and as a fine-grained part changes only the step."""
    coarse = table_of(BASE + "trap R_EL1 by C.X")
    fine = table_of(BASE + "trap R_EL1 fine G.X")
    kinds = {difference.kind for difference in Comparison(coarse, fine).differences()}
    assert kinds == {STEP}


def test_text_alone_is_told_apart() -> None:
    """A control written another way with the same meaning changes only the text."""
    other = BASE.replace("C.A traps any when HCR_EL2.A == 1", "C.A traps any when HCR_EL2[0] == 1")
    first, second = (table_of(text + "trap R_EL1 by C.A") for text in (BASE, other))
    kinds = {difference.kind for difference in Comparison(first, second).differences()}
    assert kinds == {TEXT}


def test_each_cause_is_reported_with_its_own_smallest_state() -> None:
    """A combo that gained two controls is two differences, each with one bit set."""
    combo = BASE + "combo C.AB = C.A | C.B\n"
    first = table_of(combo + 'local R_EL1 because "a gap"')
    second = table_of(combo + "trap R_EL1 by C.AB")
    found = Comparison(first, second).differences()
    assert [(d.side, d.cause, d.witness.registers) for d in found] == [
        (1, "C.A", {"HCR_EL2": 1}),
        (1, "C.B", {"HCR_EL2": 2}),
    ]
