"""`nvtrap.analysis.search` against enumeration of all states."""

from __future__ import annotations

from itertools import combinations

from hypothesis import given, settings

from nvtrap.analysis.search import forwarded_by, minimal_settings, never_forwarded
from nvtrap.arch import Access
from nvtrap.engine import FORWARD, State, Table
from nvtrap.states import StateBuilder
from tests.analysis.small_tables import BITS, ENCODINGS, states, table_of, texts


def forwards(table: Table, state: State, access: Access) -> bool:
    """Whether a table forwards an access in a state."""
    return table.decide(state, access).outcome == FORWARD


def changed(base: State, places: tuple[tuple[str, int], ...]) -> State:
    """The state with some bits flipped."""
    registers = dict(base.registers)
    for register, bit in places:
        registers[register] = registers.get(register, 0) ^ 1 << bit
    return State(registers, el=base.el)


def smallest(table: Table, base: State, access: Access) -> set[frozenset[tuple[str, int]]]:
    """The inclusion-minimal sets of flipped bits that forward an access, by trying all."""
    found: list[frozenset[tuple[str, int]]] = []
    for size in range(len(BITS) + 1):
        for places in combinations(BITS, size):
            state = changed(base, places)
            is_guest = table.bind(state).context == 0
            if is_guest and forwards(table, state, access):
                candidate = frozenset(places)
                if not any(known <= candidate for known in found):
                    found.append(candidate)
    return set(found)


@given(texts())
@settings(max_examples=40, deadline=None)
def test_minimal_settings_are_exactly_the_minimal_ones(text: str) -> None:
    """Applied, each forwards; they are as many and as large as trying all bits finds."""
    table = table_of(text)
    for base in (State(), State({"HCR_EL2": 0b11, "HFG_EL2": 0x18}, el=0)):
        for encoding in ENCODINGS:
            access = Access(encoding, write=True)
            found = minimal_settings(table, base, access)
            expected = smallest(table, base, access)
            assert (found == []) == (not expected)
            for settings_ in found:
                builder = StateBuilder(table)
                builder.registers = dict(base.registers)
                builder.el = base.el
                builder.set_all([pair for pair in settings_ if "[" not in pair[0]])
                assert forwards(table, builder.state(), access)


@given(texts())
@settings(max_examples=30, deadline=None)
def test_a_setting_lists_what_it_newly_forwards(text: str) -> None:
    """The accesses are those forwarded with the setting and not without."""
    table = table_of(text)
    before, after = State({"HCR_EL2": 2}), State({"HCR_EL2": 3, "HFG_EL2": 8})
    listed = {(a.encoding, a.write) for a, _ in forwarded_by(table, before, after)}
    accesses = [Access(e, write) for e in ENCODINGS for write in (False, True)]
    assert listed == {
        (a.encoding, a.write)
        for a in accesses
        if forwards(table, after, a) and not forwards(table, before, a)
    }


@given(texts())
@settings(max_examples=30, deadline=None)
def test_never_means_in_no_guest_state(text: str) -> None:
    """An access is listed exactly when no state outside hypervisor context forwards it."""
    table = table_of(text)
    listed = {(a.encoding, a.write) for a in never_forwarded(table)}
    for encoding in ENCODINGS:
        for write in (False, True):
            access = Access(encoding, write)
            sometimes = any(
                forwards(table, state, access)
                for state in states()
                if table.bind(state).context == 0
            )
            assert ((encoding, write) in listed) != sometimes
