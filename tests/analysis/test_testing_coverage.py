"""What expectations reach: what there is to reach, and what counts."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nvtrap import load
from nvtrap.analysis.expectations import Decided, Verdict, judge, names_of
from nvtrap.analysis.testing_coverage import KINDS, Coverage, figures, percent
from nvtrap.compile import Loader, compile_text
from nvtrap.engine import State, Table
from nvtrap.table.file import unpack
from tests.compile.helpers import CATALOGUE, CONTROLS
from tests.engine.helpers import examples, table_of
from tests.strategies import ACCESSES, states, tables

FIRST = CATALOGUE.count("\n") + 1  # the line of the first control
RULES = FIRST + CONTROLS.count("\n") + 2
TEXT = """\
combo C.AB = C.A | C.B
table t {}
trap X_EL1 by C.AB, fine F.X_EL1
trap R_EL1 by C.A, fine F.R_EL1
trap V<n>_EL0 by C.B
trap Y_EL1 fine F[3]
local W_EL1 because "it is write-only"
"""
EVERYTHING = {
    "rules": {f"text:{RULES + line}" for line in range(5)},
    "controls": {"C.A", "C.B", "fine F.X_EL1", "fine F.R_EL1", "fine F.P_EL1"},
    "directions": {
        *("C.A read", "C.A write", "C.B read"),
        *("fine F.X_EL1 read", "fine F.X_EL1 write", "fine F.R_EL1 read", "fine F.P_EL1 write"),
    },
    "encodings": {"X_EL1", "R_EL1", "Y_EL1", *(f"V{number}_EL0" for number in range(4))},
}


def reached(expectations: str, text: str = TEXT) -> tuple[Coverage, dict[str, set[str]]]:
    """The coverage of a text by expectations, and the items that were reached."""
    compilation = compile_text(CATALOGUE + CONTROLS + text + expectations)
    assert [finding.message for finding in compilation.findings if finding.is_error] == []
    table = unpack(compilation.blob, Table)
    coverage = Coverage(table, "t")
    for expect in compilation.expectations:
        verdict = judge(expect, table)
        assert verdict.problem == ""
        coverage.add(verdict)
    items = {kind: {i for i, n in coverage.hits[kind].items() if n} for kind in KINDS}
    return coverage, items


def test_everything_there_is() -> None:
    """Rules, what traps, directions that registers and bits have, encodings with rules."""
    coverage, items = reached("")
    assert {kind: set(coverage.hits[kind]) for kind in KINDS} == EVERYTHING
    assert items == {kind: set() for kind in KINDS}
    assert {kind: set(coverage.missing(kind)) for kind in KINDS} == EVERYTHING
    definitions = {("text", FIRST), ("text", FIRST + 1)}
    assert set(coverage.lines) == definitions | {("text", RULES + line) for line in range(5)}


@pytest.mark.parametrize(
    ("expectation", "rule", "name", "direction", "encoding"),
    [
        ("read X_EL1 forward when C_EL2.A = 1", 0, "C.A", "read", "X_EL1"),
        ("read X_EL1 forward when C_EL2.B = 1", 0, "C.B", "read", "X_EL1"),
        ("read X_EL1 forward when C_EL2.A = 1, C_EL2.B = 1", 0, "C.A", "read", "X_EL1"),
        ("write X_EL1 forward when FW_EL2 = 1, C_EL2.A = 1", 0, "fine F.X_EL1", "write", "X_EL1"),
        ("read R_EL1 forward when FR_EL2 = 4", 1, "fine F.R_EL1", "read", "R_EL1"),
        ("read S3_3_C14_C8_2 forward when C_EL2.B = 1", 2, "C.B", "read", "V2_EL0"),
        ("write Y_EL1 forward when FW_EL2 = 8", 3, "fine F.P_EL1", "write", "Y_EL1"),
    ],
)
def test_what_decides_is_reached(
    expectation: str, rule: int, name: str, direction: str, encoding: str
) -> None:
    """The line of the rule, the member or bit that decides, its direction, the encoding."""
    coverage, items = reached(f"expect {expectation}\n")
    assert items == {
        "rules": {f"text:{RULES + rule}"},
        "controls": {name},
        "directions": {f"{name} {direction}"},
        "encodings": {encoding},
    }
    lines = {line for (_, line), hits in coverage.lines.items() if hits}
    definition = {"C.A": {FIRST}, "C.B": {FIRST + 1}}.get(name, set())
    assert lines == {RULES + rule} | definition


def test_an_access_that_stays_local_reaches_its_encoding_alone() -> None:
    """Nothing decided; a deliberate gap, whose reason did, is reached as a rule."""
    _, items = reached("expect any X_EL1 local\nexpect write W_EL1 local\n")
    assert items == {
        "rules": {f"text:{RULES + 4}"},
        "controls": set(),
        "directions": set(),
        "encodings": {"X_EL1"},
    }


def test_a_disabled_feature_reaches_the_rule_but_no_direction() -> None:
    """The bit did not trap."""
    _, items = reached("expect read X_EL1 undef when fgu F.X_EL1 = 1\n")
    assert items["rules"] == {f"text:{RULES}"}
    assert items["controls"] == items["directions"] == set()


def test_a_direction_that_the_register_lacks_is_nothing_to_reach() -> None:
    """A table that tests bits by position may trap it all the same."""
    text = TEXT.replace("table t {}", "table t { fine bits by position }")
    coverage, items = reached("expect write R_EL1 forward when FW_EL2 = 4\n", text)
    assert items["controls"] == {"fine F.R_EL1"}
    assert items["directions"] == set()
    assert "fine F.P_EL1 read" in coverage.hits["directions"]


def test_hits_are_counted_for_each_direction() -> None:
    """`any` asks twice."""
    coverage, _ = reached("expect any X_EL1 forward when C_EL2.A = 1\n")
    assert coverage.hits["controls"]["C.A"] == coverage.lines["text", FIRST] == 2


@settings(max_examples=examples(40))
@given(tables(), st.lists(states(), min_size=1, max_size=6))
def test_whatever_decides_is_there_to_be_reached(text: str, situations: list[State]) -> None:
    """In random tables: no rule, control or encoding is left out of what is counted."""
    table = table_of(text)
    coverage = Coverage(table, "random")
    expect = Loader().load_text("expect any X_EL1 local", "x", ".").expectations[0]
    flags = {encoding: letters for _, encoding, letters in table.names}
    decided: dict[str, set[str]] = {kind: set() for kind in KINDS}
    for bound, name in product(map(table.bind, situations), ACCESSES):
        encoding = table.encoding(name)
        for write in (False, True):
            outcome = bound.decide(encoding, write)
            one = Decided(outcome, names_of(outcome, table, bound))
            coverage.add(Verdict(expect, encoding, [one], ""))
            if outcome.place is not None:
                decided["rules"].add(str(outcome.place))
            if table.rule(outcome.number).has_parts:
                decided["encodings"].add(table.name_of(encoding))
            if outcome.step in ("fine", "coarse"):
                known = one.names[0] if outcome.step == "fine" else one.names[-1]
                decided["controls"].add(known)
                if "rw"[write] in flags.get(encoding, "rw"):
                    decided["directions"].add(f"{known} {'write' if write else 'read'}")
    for kind, items in decided.items():
        reached = {item for item, hits in coverage.hits[kind].items() if hits}
        assert items <= reached if kind == "directions" else items == reached


def test_a_bit_whose_field_comes_and_goes_has_a_name_for_itself() -> None:
    """Its number, where the group does not know it by another."""
    text = """
    register G_EL2 = S3_4_C1_C1_6 {
        layout when C_EL2.E2H == 0 { Z [4] }
        layout when C_EL2.E2H == 1 { Z [5] }
    }
    fine group G { any G_EL2 }
    trap Y_EL1 fine G[5]
    """
    _, items = reached("expect read Y_EL1 forward when G_EL2 = 32, C_EL2.E2H = 1\n", text)
    assert items["controls"] == {"fine G[5]"}


def test_figures_add_tables_up() -> None:
    """And all of nothing is everything."""
    one, _ = reached("expect read X_EL1 forward when C_EL2.A = 1\n")
    other, _ = reached("")
    assert figures([one, other], "rules") == (1, 10)
    assert percent(1, 10) == 10
    assert figures([], "rules") == (0, 0)
    assert percent(0, 0) == 100


def test_the_encodings_of_a_shipped_table(linux: Table) -> None:
    """Are those whose rule has parts; its rules and controls are where it says them."""
    coverage = Coverage(load("linux-6.12"), "linux-6.12")
    trapped = sum(linux.rule(number).has_parts for number in linux.rule_of)
    assert len(coverage.hits["encodings"]) == trapped
    assert all(file.startswith("rules/linux/6.12/") for file, _ in coverage.lines)
    assert {"HCR.TID1", "fine HFG.REVIDR_EL1"} <= coverage.hits["controls"].keys()
