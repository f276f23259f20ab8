"""Explanations: what they say is true, and what they advise works."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nvtrap.arch import Access
from nvtrap.engine import State, Table
from nvtrap.engine.explain import Explanation, Reason
from nvtrap.engine.wishes import Wish
from nvtrap.lang import nodes
from tests.engine.helpers import SMALL, both, examples, key_of, table_of
from tests.interpreter import Interpreter, Key, Piece, Question
from tests.strategies import ACCESSES, CONTROL_REGISTERS, FINE_REGISTERS, states, tables

REGISTERS = (*CONTROL_REGISTERS, *FINE_REGISTERS)
SOME_ACCESSES = st.lists(
    st.tuples(st.sampled_from(ACCESSES), st.booleans()), min_size=4, max_size=8, unique=True
)


@pytest.fixture(scope="module")
def small() -> Table:
    """The small table."""
    return table_of(SMALL)


def with_wishes(interpreter: Interpreter, state: State, wishes: Sequence[Wish]) -> State:
    """The state once a person has set, by their names, what an explanation advises.

    Fields that may move with a layout come last.
    """
    for wish in sorted(wishes, key=lambda wish: wish.name.startswith("CB_EL2.")):
        bits = named_bits(interpreter, state, wish.name)
        value = state.registers.get(wish.register, 0)
        for place, bit in enumerate(reversed(bits)):
            value = value & ~(1 << bit) | (wish.value >> place & 1) << bit
        assert wish.value >> len(bits) == 0
        state = state.having({**state.registers, wish.register: value})
    return state


def named_bits(interpreter: Interpreter, state: State, name: str) -> list[int]:
    """The bits that a name means to a reader of the catalogue, highest first."""
    found = re.fullmatch(r"(\w+)(?:\.(\w+)|\.\{(.*)\}|\[(\d+)(?::(\d+))?\])?", name)
    assert found is not None, name
    register, field, fields, high, low = found.groups()
    if high is not None:
        return list(range(int(high), int(low or high) - 1, -1))
    fields = [field] if field else fields.split(", ") if fields else []
    if not fields:
        return list(range(63, -1, -1))
    known = interpreter.registers[register]
    current = [
        next(info for info in known.named(one) if interpreter.is_current(info, state))
        for one in fields
    ]
    return [bit for info in current for bit in info.bits]


def told(
    interpreter: Interpreter, explanation: Explanation, key: Key
) -> Iterator[tuple[Reason, Piece]]:
    """Every reason of an explanation with the part of the text that it is about."""
    for kind, step in ((nodes.Fine, "fine"), (nodes.Coarse, "coarse")):
        pieces = [p for p in interpreter.entries.get(key, ()) if isinstance(p.part, kind)]
        for found in explanation.steps:
            if found.name == step:
                for reason, piece in zip(found.reasons, pieces, strict=True):
                    yield reason, piece
                    yield from zip(reason.members, interpreter.members(piece), strict=True)


def is_armed(interpreter: Interpreter, piece: Piece, asked: Question | None) -> bool | None:
    """Whether a part traps; None where no rule applies."""
    if asked is None:
        return None
    return interpreter.traps(piece, replace(asked, index=piece.index))


def question(interpreter: Interpreter, state: State, write: bool) -> Question | None:
    """The question that a state is for rules; None where none applies."""
    context = interpreter.context(state)
    return None if context is None else replace(context, write=write)


def one_bit_would_do(interpreter: Interpreter, piece: Piece, state: State, asked: Question) -> bool:
    """Whether some one bit of a register turns a part round, in the same context."""
    armed = is_armed(interpreter, piece, asked)
    for register in REGISTERS:
        for bit in (*range(28), 62, 63):
            value = state.registers.get(register, 0) ^ 1 << bit
            other = state.having({**state.registers, register: value})
            again = question(interpreter, other, asked.write)
            same = again is not None and again.in_host_el0 == asked.in_host_el0
            if same and is_armed(interpreter, piece, again) is not armed:
                return True
    return False


@settings(max_examples=examples(30))
@given(tables(), st.lists(states(), min_size=1, max_size=3), SOME_ACCESSES)
def test_explanations_are_true_and_advice_works(
    text: str, situations: list[State], accesses: list[tuple[str, bool]]
) -> None:
    """One step decides, every reason is as it says, and every advice turns its part round."""
    table, interpreter = both(text)
    for state in situations:
        for name, write in accesses:
            access = Access(name, write)
            explanation = table.explain(state, access)
            outcome = table.decide(state, access)
            assert repr(explanation.outcome) == repr(outcome)
            assert [step.name for step in explanation.steps if step.decided] == [outcome.step]
            assert explanation.steps[-1].decided
            asked = question(interpreter, state, write)
            for reason, piece in told(interpreter, explanation, key_of(table, name)):
                armed = is_armed(interpreter, piece, asked)
                assert reason.armed is armed, (reason.name, state)
                after = with_wishes(interpreter, state, reason.changes)
                turned = is_armed(interpreter, piece, question(interpreter, after, write))
                if reason.changes:
                    assert turned is (not armed), (reason.name, reason.changes, state)


@settings(max_examples=examples(15))
@given(tables(), states(), SOME_ACCESSES)
def test_advice_is_there_where_one_bit_would_do(
    text: str, state: State, accesses: list[tuple[str, bool]]
) -> None:
    """A bit or plain control that one bit turns round has advice, where no bit is RES0."""
    table, interpreter = both(text)
    state = State(state.registers, el=state.el, nv=state.nv)
    for name, write in accesses:
        asked = question(interpreter, state, write)
        explanation = table.explain(state, Access(name, write))
        for reason, piece in told(interpreter, explanation, key_of(table, name)):
            plain = reason.kind in ("fine", "control") and piece.statement.guard is None
            if asked is not None and plain and piece.part.filter is None and not reason.changes:
                assert not one_bit_would_do(interpreter, piece, state, asked), (reason.name, state)


@settings(max_examples=examples(20))
@given(tables(), states(), SOME_ACCESSES)
def test_a_register_that_matters_and_is_missing_is_named(
    text: str, state: State, accesses: list[tuple[str, bool]]
) -> None:
    """What is not given and can change the outcome by one bit is named, nothing given is."""
    table, interpreter = both(text)
    absent = set(REGISTERS) - state.registers.keys()
    for name, write in accesses:
        key = key_of(table, name)
        not_given = table.explain(state, Access(name, write)).not_given
        outcome = interpreter.decide(state, key, write)[0]
        assert set(not_given) <= absent
        for register in absent.difference(not_given):
            for bit in (*range(28), 62, 63):
                other = state.having({**state.registers, register: 1 << bit})
                assert interpreter.decide(other, key, write)[0] == outcome, (register, bit, state)


# ---- what is not given ------------------------------------------------------------

E2H = 1 << 34
TGE = 1 << 27
TID1 = 1 << 16
NV = 1 << 42
NO_PIR = {"HFGRTR_EL2": 1 << 58}
TO_TID1 = ["HCR_EL2.TID1 = 1"]
TO_ONLY_R = "HFGRTR_EL2.ONLY_R = 1"


@pytest.mark.parametrize(
    ("name", "state", "missing"),
    [
        # A negative bit left at 0 forwards; it alone would end that.
        ("PIR_EL1", State(), ["HCR_EL2", "HFGRTR_EL2"]),
        ("PIR_EL1", State({"HCR_EL2": 0}), ["HFGRTR_EL2"]),
        ("PIR_EL1", State({"HCR_EL2": 0, "HFGRTR_EL2": 0}), []),
        # What is given decides, or takes the choice away.
        ("REVIDR_EL1", State({"HCR_EL2": TID1}), []),
        ("REVIDR_EL1", State({"HCR_EL2": TGE}), []),
        ("REVIDR_EL1", State({"HFGRTR_EL2": 1 << 28}), ["HCR_EL2"]),
        ("REVIDR_EL1", State(), ["HCR_EL2", "HFGRTR_EL2"]),
        ("REVIDR_EL1", State(nv=False), []),
        ("REVIDR_EL1", State(el=2), []),
        ("REVIDR_EL1", State(fgu={"HFG": 1 << 28}), []),
        ("REVIDR_EL1", State({"HCR_EL2": 0}, res0={"HFGRTR_EL2": 1 << 28}), []),
        ("GAP_EL1", State(), []),
        ("S3_7_C15_C15_7", State(), []),
        # Whole values and layouts.
        ("NV_EL1", State(), ["HCR_EL2"]),
        ("TRCID_EL1", State(), ["CPTR_EL2"]),
        ("TRCID_EL1", State({"CPTR_EL2": 1 << 28}), ["HCR_EL2"]),
        ("CNT3_EL0", State({"HCR_EL2": 0}), ["MDCR_EL2"]),
        ("CNT0_EL0", State({"MDCR_EL2": 31}), []),
    ],
)
def test_registers_that_the_answer_hangs_on_are_named(
    small: Table, name: str, state: State, missing: list[str]
) -> None:
    """Exactly the absent registers of which a value would change the outcome are named."""
    assert sorted(small.explain(state, Access(name)).not_given) == missing


WIDE = """
register R_EL2 = S3_4_C1_C1_0 { A [15:0]  B [31:16]  LOW [35:32] }
register Q_EL2 = S3_4_C1_C1_1 { C [15:0] }
register X_EL1 = S3_0_C1_C1_0
register Y_EL1 = S3_0_C1_C1_1
register Z_EL1 = S3_0_C1_C1_2
condition K.x traps any when R_EL2.A == 0x1234
condition K.y traps any when R_EL2.A > Q_EL2.C and R_EL2.B == 7
condition K.z traps any when R_EL2 == 0xffff0000ffff
trap X_EL1 by K.x
trap Y_EL1 by K.y
trap Z_EL1 by K.z
register MANY_EL2 = S3_4_C1_C1_2 { M<n: 0..59> [0 + n] }
register M_EL1 = S3_0_C1_C1_3
condition K.m traps any when Q_EL2.C == 1 and (MANY)
trap M_EL1 by K.m
""".replace("MANY)", " or ".join(f"MANY_EL2.M{number} == 1" for number in range(60)) + ")")


@pytest.mark.parametrize(
    ("name", "registers", "missing"),
    [
        ("X_EL1", {}, ["R_EL2"]),
        ("Y_EL1", {"Q_EL2": 0x100}, ["R_EL2"]),
        ("Y_EL1", {"R_EL2": 0x70000}, []),
        ("Y_EL1", {"R_EL2": 0x70005}, ["Q_EL2"]),
        ("Z_EL1", {}, ["R_EL2"]),
        ("M_EL1", {"Q_EL2": 1}, ["MANY_EL2"]),
        ("M_EL1", {"Q_EL2": 0}, []),
        ("M_EL1", {"MANY_EL2": 1 << 59}, ["Q_EL2"]),
    ],
)
def test_wide_fields_are_tried_where_they_are_compared(
    name: str, registers: dict[str, int], missing: list[str]
) -> None:
    """Of a register with many bits the values count that a comparison tells apart."""
    explanation = table_of(WIDE).explain(State(registers), Access(name))
    assert explanation.not_given == missing


# ---- advice -----------------------------------------------------------------------


def changes(table: Table, name: str, state: State, write: bool = False) -> dict[str, list[str]]:
    """The advice of an explanation, by the name of its part."""
    steps = table.explain(state, Access(name, write)).steps
    reasons = [reason for step in steps for reason in step.reasons]
    reasons += [member for reason in reasons for member in reason.members]
    return {reason.name: [str(wish) for wish in reason.changes] for reason in reasons}


@pytest.mark.parametrize(
    ("name", "write", "state", "advice"),
    [
        ("REVIDR_EL1", False, State(), {"HCR.TID1": ["HCR_EL2.TID1 = 1"]}),
        ("REVIDR_EL1", False, State({"HCR_EL2": TID1}), {"HCR.TID1": ["HCR_EL2.TID1 = 0"]}),
        ("REVIDR_EL1", True, State(), {"HCR.TID1": []}),
        ("REVIDR_EL1", False, State(), {"HFGRTR_EL2.REVIDR": ["HFGRTR_EL2.REVIDR = 1"]}),
        ("REVIDR_EL1", False, State(res0={"HCR_EL2": TID1}), {"HCR.TID1": []}),
        ("PIR_EL1", False, State(), {"HFGRTR_EL2.nPIR": ["HFGRTR_EL2.nPIR = 1"]}),
        ("PIR_EL1", False, State(NO_PIR), {"HFGRTR_EL2.nPIR": ["HFGRTR_EL2.nPIR = 0"]}),
        ("PIR_EL1", False, State(res0=NO_PIR), {"HFGRTR_EL2.nPIR": []}),
        ("NV_EL1", False, State(), {"HCR.NV": ["HCR_EL2.{NV2, NV1, NV} = 3"]}),
        ("TRCID_EL1", False, State(), {"CPTR.TTA": ["CPTR_EL2.TTA = 1"]}),
        ("TRCID_EL1", False, State({"HCR_EL2": E2H}), {"CPTR.TTA": ["CPTR_EL2.TTA = 1"]}),
        ("TRCID_EL1", False, State({"CPTR_EL2": 1 << 28}), {"CPTR.TTA": ["CPTR_EL2.TTA = 1"]}),
        ("CNT3_EL0", False, State({"MDCR_EL2": 9}), {"MDCR.HPMN": ["MDCR_EL2.HPMN = 3"]}),
        ("CNT3_EL0", False, State({"MDCR_EL2": 1}), {"MDCR.HPMN": ["MDCR_EL2.HPMN = 4"]}),
        ("CNT0_EL0", False, State({"HCR_EL2": TGE}, el=0), {"MDCR.HPMN": ["MDCR_EL2.HPMN = 1"]}),
        ("ONE_EL1", False, State(), {"HCR.TID1": ["HCR_EL2.TID1 = 1"], "MDCR.TPM": []}),
        ("ONE_EL1", True, State(), {"MDCR.TPM": ["MDCR_EL2.TPM = 1"], "HCR.TID1": []}),
        # The statement's own condition counts as well.
        ("ONE_EL1", False, State({"HCR_EL2": E2H}), {"HCR.TID1": [*TO_TID1, "HCR_EL2.E2H = 0"]}),
        ("ONE_EL1", False, State({"HCR_EL2": TID1 | E2H}), {"HCR.TID1": ["HCR_EL2.E2H = 0"]}),
        # A bit that the register of this direction does not have, and a filter.
        ("TWO_EL1", False, State(), {"HFGRTR_EL2.ONLY_R": [TO_ONLY_R], "HFGRTR_EL2[4]": []}),
        (
            "TWO_EL1",
            True,
            State({"HCR_EL2": NV}),
            {"HFGWTR_EL2.ONLY_W": ["HFGWTR_EL2.ONLY_W = 1", "HCR_EL2.NV = 0"]},
        ),
    ],
)
def test_advice(
    small: Table, name: str, write: bool, state: State, advice: dict[str, list[str]]
) -> None:
    """The fewest settings that arm or disarm each part, none where nothing does."""
    assert changes(small, name, state, write).items() >= advice.items()


FORMS = """
feature FEAT_P
register R_EL2 = S3_4_C1_C1_0 { A [3:0]  B [7:4]  C [8]  SPLIT [63:62, 12]  T [20] }
register Q_EL2 = S3_4_C1_C1_1 { A [3:0] }
register X_EL1 = S3_0_C1_C1_0
condition K.x traps any when {when}
trap X_EL1 by K.x
table t { parts are additive hypervisor context when R_EL2.T == 1 }
"""


@pytest.mark.parametrize(
    ("when", "registers", "advice"),
    [
        ("R_EL2.A == 3", {}, ["R_EL2.A = 3"]),
        ("R_EL2.A != 0", {}, ["R_EL2.A = 1"]),
        ("R_EL2.A >= 9", {}, ["R_EL2.A = 9"]),
        ("R_EL2.A > 9", {}, ["R_EL2.A = 0xa"]),
        ("R_EL2.A < 9", {"R_EL2": 12}, ["R_EL2.A = 8"]),
        ("9 >= R_EL2.A", {"R_EL2": 12}, ["R_EL2.A = 9"]),
        ("R_EL2.A < R_EL2.B", {}, ["R_EL2.B = 1"]),
        ("R_EL2.A > R_EL2.B", {"R_EL2": 0xF0}, ["R_EL2.A = 0xf", "R_EL2.B = 0"]),
        ("R_EL2.C < R_EL2.C", {}, []),
        ("R_EL2.A == 1 and R_EL2.A == 2", {}, []),
        ("R_EL2.A == 1 and R_EL2.C == 1", {}, ["R_EL2.A = 1", "R_EL2.C = 1"]),
        ("(R_EL2.A == 1 and R_EL2.C == 1) or Q_EL2.A == 2", {}, ["Q_EL2.A = 2"]),
        ("not (R_EL2.A == 0 or R_EL2.C == 0)", {}, ["R_EL2.A = 1", "R_EL2.C = 1"]),
        ("R_EL2.SPLIT == 0b101", {}, ["R_EL2.SPLIT = 5"]),
        ("R_EL2.{C, A} == 0x1f", {}, ["R_EL2.{C, A} = 0x1f"]),
        ("R_EL2[9:8] == 2", {}, ["R_EL2[9:8] = 2"]),
        ("R_EL2[9] == 1", {}, ["R_EL2[9] = 1"]),
        ("R_EL2 == 77", {}, ["R_EL2 = 0x4d"]),
        ("R_EL2.C == 0", {}, ["R_EL2.C = 1"]),
        # The lowest bit of these two would put L1 where no rule applies.
        ("R_EL2.{C, T} == 0", {}, ["R_EL2.{C, T} = 2"]),
        ("R_EL2.C == 0 or R_EL2.A == 0", {}, ["R_EL2.C = 1", "R_EL2.A = 1"]),
        ("EL == 0", {}, []),
        ("FEAT_P", {}, []),
        ("access.write", {}, []),
        ("access.write or R_EL2.C == 1", {}, ["R_EL2.C = 1"]),
        ("not FEAT_P and R_EL2.C == 1", {}, []),
        ("context.hypervisor", {}, []),
    ],
)
def test_advice_for_every_form_of_condition(
    when: str, registers: dict[str, int], advice: list[str]
) -> None:
    """Comparisons move to the nearest value; what no register decides has no advice."""
    table = table_of(FORMS.replace("{when}", when))
    assert changes(table, "X_EL1", State(registers))["K.x"] == advice


# ---- the story --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "state", "steps"),
    [
        ("GAP_EL1", State(), ["no-entry: left to L0: nothing there"]),
        ("S3_7_C15_C15_7", State(), ["no-entry: nothing in the table traps it"]),
        (
            "PART_EL1",
            State(features=()),
            ["feature: the vCPU lacks the feature that brings it"],
        ),
        (
            "REVIDR_EL1",
            State(fgu={"HFG": 1 << 28}),
            [
                "no-entry: the table has an entry",
                "fgu: the feature is disabled for the VM (HFG)",
            ],
        ),
        (
            "NV_EL1",
            State(nv=False),
            ["no-entry: the table has an entry", "no-el2: the vCPU has no EL2"],
        ),
        (
            "NV_EL1",
            State(el=2),
            [
                "no-entry: the table has an entry",
                "no-el2: the vCPU has EL2",
                "hyp-context: in hypervisor context",
            ],
        ),
        (
            "CNT1_EL0",
            State({"HCR_EL2": TGE, "MDCR_EL2": 4}, el=0),
            [
                "no-entry: the table has an entry",
                "no-el2: the vCPU has EL2",
                "hyp-context: in host EL0",
                "coarse: does not trap",
                "none: nothing forwards it",
            ],
        ),
        (
            "REVIDR_EL1",
            State({"HCR_EL2": TID1}),
            [
                "no-entry: the table has an entry",
                "fgu: the feature is not disabled for the VM (HFG)",
                "no-el2: the vCPU has EL2",
                "hyp-context: EL1, not in hypervisor context",
                "fine: does not trap",
                "coarse: traps",
            ],
        ),
    ],
)
def test_the_story_ends_with_the_step_that_decides(
    small: Table, name: str, state: State, steps: list[str]
) -> None:
    """Every step up to the one that decides is told, in order, and none behind it."""
    explanation = small.explain(state, Access(name))
    assert [f"{step.name}: {step.verdict}" for step in explanation.steps] == steps


def test_explanations_are_plain_data(small: Table) -> None:
    """The machine's form has the decision, every part and every value."""
    explanation = small.explain(State({"HCR_EL2": TID1}), Access("REVIDR_EL1"))
    record = explanation.to_json()
    place = record["rule"]
    assert record == {
        "register": "REVIDR_EL1",
        "encoding": "S3_0_C0_C0_6",
        "direction": "read",
        "outcome": "forward",
        "step": "coarse",
        "control": "HCR.TID1",
        "rule": place,
        "ec": 0x18,
        "reason": None,
        "memory": None,
        "not_given": ["HFGRTR_EL2"][:0],
        "steps": record["steps"],
    }
    assert re.fullmatch(r"small\.trap:\d+", place)
    assert repr(explanation) == f"read REVIDR_EL1: forward: coarse by HCR.TID1 ({place})"
    coarse = record["steps"][-1]["parts"][0]
    assert coarse == {
        "kind": "control",
        "name": "HCR.TID1",
        "rule": place,
        "armed": True,
        "directions": "read",
        "condition": "HCR_EL2.TID1 == 1",
        "values": {"HCR_EL2.TID1": "0x1"},
        "not_given": [],
        "changes": ["HCR_EL2.TID1 = 0"],
        "members": [],
    }


def test_an_instruction_without_encoding_is_explained(small: Table) -> None:
    """It has a name and no encoding."""
    record = small.explain(State(), Access("WFX", write=True)).to_json()
    assert (record["register"], record["encoding"], record["outcome"]) == ("WFX", None, "local")


def test_a_filter_and_a_guard_are_told_with_the_condition(small: Table) -> None:
    """The condition's text has the part's filter and RES0, and values of the current layout."""
    steps = small.explain(State(res0={"HFGWTR_EL2": 1 << 4}), Access("TWO_EL1", True)).steps
    conditions = [reason.condition for step in steps for reason in step.reasons]
    assert "HFGWTR_EL2.ONLY_W == 1 (unless HCR_EL2.NV == 1), and the vCPU has the bit" in (
        conditions[1].replace(" (here it is RES0)", "")
    )
    for e2h, value in ((0, 1), (E2H, 0)):
        state = State({"HCR_EL2": e2h, "CPTR_EL2": 1 << 20})
        reason = small.explain(state, Access("TRCID_EL1")).steps[-1 - (not value)].reasons[0]
        assert {v.name: (v.value, v.given) for v in reason.values} == {
            "CPTR_EL2.TTA": (value, True)
        }


def test_a_field_that_the_layout_lacks_has_no_value() -> None:
    """Of the fields that a condition names only those of the current layout are shown."""
    when = "CPTR_EL2.FPEN == 1"
    table = table_of(SMALL.replace("CPTR_EL2.TTA == 1", when))
    for e2h, values in ((0, []), (E2H, [("CPTR_EL2.FPEN", 2)])):
        state = State({"HCR_EL2": e2h, "CPTR_EL2": 2 << 20})
        steps = table.explain(state, Access("TRCID_EL1")).steps
        (reason,) = next(step.reasons for step in steps if step.name == "coarse")
        assert [(v.name, v.value) for v in reason.values if "CPTR" in v.name] == values
