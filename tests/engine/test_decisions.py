"""Outcomes of the small table: what they carry, and every way to ask for them."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from itertools import product
from random import Random

import numpy as np
import pytest

from nvtrap.arch import ENCODINGS, Access, encode
from nvtrap.engine import FORWARD, LOCAL, OUTCOMES, STEPS, UNDEF, State, Table, bulk
from nvtrap.errors import UnknownNameError, UsageError
from tests.engine.helpers import SMALL, table_of

E2H = 1 << 34
TGE = 1 << 27
TID1 = 1 << 16
NV2 = 1 << 45
NO_PIR = {"HFG": 1 << 58}
HOST_1 = State({"HCR_EL2": TGE, "MDCR_EL2": 1}, el=0)
HOST_2 = State({"HCR_EL2": TGE, "MDCR_EL2": 2}, el=0)


@pytest.fixture(scope="module")
def small() -> Table:
    """The small table."""
    return table_of(SMALL)


def line_of(words: str) -> int:
    """The line of the small table that has the words."""
    return 1 + SMALL[: SMALL.index(words)].count("\n")


@pytest.mark.parametrize(
    ("name", "write", "state", "said", "words"),
    [
        (
            "REVIDR_EL1",
            False,
            State({"HCR_EL2": TID1}),
            "forward: coarse by HCR.TID1",
            "REVIDR_EL1 by",
        ),
        ("REVIDR_EL1", False, State(), "local: none", ""),
        ("REVIDR_EL1", False, State(nv=False), "local: no-el2", ""),
        ("REVIDR_EL1", False, State(el=2), "local: hyp-context", ""),
        ("PIR_EL1", False, State(), "forward: fine by HFGRTR_EL2.nPIR", "PIR_EL1 fine"),
        ("PIR_EL1", True, State(), "forward: fine by HFGWTR_EL2.nPIR", "PIR_EL1 fine"),
        ("PIR_EL1", False, State(fgu=NO_PIR), "undef: fgu by HFGRTR_EL2.nPIR", "PIR_EL1 fine"),
        (
            "TWO_EL1",
            False,
            State(fgu={"HFG": 16}),
            "undef: fgu by HFGRTR_EL2[4]",
            "fine HFG.ONLY_W",
        ),
        (
            "TWO_EL1",
            True,
            State({"HFGWTR_EL2": 16}),
            "forward: fine by HFGWTR_EL2.ONLY_W",
            "fine HFG.ONLY_W",
        ),
        ("TWO_EL1", True, State({"HFGWTR_EL2": 8}), "local: none", ""),
        ("ONE_EL1", False, State({"HCR_EL2": TID1}), "forward: coarse by MDCR.BOTH", "ONE_EL1 by"),
        ("GAP_EL1", False, State(), "local: no-entry", "local GAP_EL1"),
        ("S3_7_C15_C15_7", False, State(), "local: no-entry", ""),
        ("PART_EL1", False, State(features=()), "undef: feature", ""),
        ("CNT1_EL0", False, HOST_1, "forward: coarse by MDCR.HPMN", "CNT<n>_EL0 by"),
        ("CNT1_EL0", False, HOST_2, "local: none", ""),
        ("CNT1_EL0", False, State(HOST_1.registers), "local: hyp-context", ""),
        ("TRCID_EL1", False, HOST_1, "local: hyp-context", ""),
        ("WFX", True, State({"HCR_EL2": 0b11 << 42}), "forward: coarse by HCR.NV", "WFX by"),
    ],
)
def test_an_outcome_says_what_decided(
    small: Table, name: str, write: bool, state: State, said: str, words: str
) -> None:
    """Outcome, step, control, and the line of the rule or of the reason for a gap."""
    outcome = small.decide(state, Access(name, write))
    at = f" (small.trap:{line_of(words)})" if words else ""
    assert repr(outcome) == f"{said}{at}"
    assert (outcome.place is not None) == bool(words)


def test_the_rest_of_an_outcome(small: Table) -> None:
    """The reason of a gap, and the exception class of a trap."""
    nv = small.decide(State({"HCR_EL2": 0b11 << 42}), Access("NV_EL1"))
    assert (nv.outcome, nv.ec, nv.reason, nv.write) == (FORWARD, 7, "", False)
    gap = small.decide(State(), Access("GAP_EL1"))
    assert (gap.outcome, gap.ec, gap.reason, gap.control) == (LOCAL, 0, "nothing there", "")
    fgu = small.decide(State(fgu={"HFG": 1 << 58}), Access("PIR_EL1"))
    assert (fgu.outcome, fgu.ec) == (UNDEF, 0)


@pytest.mark.parametrize(
    ("name", "write", "state", "offset"),
    [
        ("MEM_EL1", False, State({"HCR_EL2": NV2}), 0x10),
        ("MEM_EL1", False, State(), None),
        ("MEM_EL1", False, State({"HCR_EL2": NV2}, nv=False), None),
        ("MEM_EL1", False, State({"HCR_EL2": NV2}, el=2), None),
        ("MEM_EL1", False, State({"HCR_EL2": NV2 | TGE}), None),
        ("PIR_EL1", True, State({"HFGWTR_EL2": 1 << 58}), 0x2A0),
        ("PIR_EL1", False, State({"HFGRTR_EL2": 1 << 58}), None),
        ("PIR_EL1", True, State(), None),
    ],
)
def test_what_does_not_trap_may_be_memory(
    small: Table, name: str, write: bool, state: State, offset: int | None
) -> None:
    """L1's guest, and nobody else, has memory for an access that nothing traps."""
    assert small.decide(state, Access(name, write)).memory == offset


@pytest.mark.parametrize("name", ["revidr_el1", " REVIDR_EL1 ", "S3_0_C0_C0_6", "(3,0,0,0,6)"])
def test_an_access_may_be_named_in_any_way(small: Table, name: str) -> None:
    """Names in either case, generic names and 5-tuples mean the same encoding."""
    state = State({"HCR_EL2": TID1})
    access = Access(name)
    assert small.encoding_of(access) == encode(3, 0, 0, 0, 6)
    assert small.decide(state, access).step == "coarse"
    assert small.explain(state, access).name == "REVIDR_EL1"


@pytest.mark.parametrize("name", ["REVIDR_EL9", "", "\udcff", "RÉVIDR_EL1"])
def test_an_unknown_name_is_refused(small: Table, name: str) -> None:
    """A name that nothing goes by is an error, whatever its letters."""
    with pytest.raises(UnknownNameError, match="unknown register"):
        small.decide(State(), Access(name))


def test_an_instruction_may_be_written_with_a_space(small: Table) -> None:
    """`DC X` is the instruction that the catalogue calls `DC_X`."""
    assert small.decide(State({"HFGITR_EL2": 2}), Access("dc x", write=True)).step == "fine"


# ---- many -------------------------------------------------------------------------

STATES = [
    State(),
    State({"HCR_EL2": TID1 | E2H, "CPTR_EL2": 3 << 20, "MDCR_EL2": 3}),
    State({"HCR_EL2": TGE, "MDCR_EL2": 3}, el=0),
    State({"HCR_EL2": TGE, "MDCR_EL2": 3}, el=0, fgu={"HFG": 1 << 28}),
    State(el=2),
    State(nv=False),
    State(nv=False, fgu={"HFG": (1 << 64) - 1}),
    State({"HCR_EL2": TID1}, fgu={"HFG": 1 << 58}),
    State(features=()),
    State(features=["FEAT_P"]),
]


@pytest.mark.parametrize("state", STATES, ids=repr)
def test_all_at_once_is_one_by_one(small: Table, state: State) -> None:
    """`decide_all` holds what `decide` says of each encoding and direction."""
    every = small.decide_all(state)
    assert len(every) == ENCODINGS
    for encoding, step in enumerate(every):
        if step or encoding % 97 == 0:
            for write in (False, True):
                outcome = small.decide_at(state, encoding, write)
                assert STEPS[step >> 4 * write & 15] == outcome.step
                assert OUTCOMES[step >> 4 * write & 15] == outcome.outcome


@pytest.mark.parametrize("make", [list, tuple, np.array, lambda x: np.array(x, dtype=np.int64)])
def test_many_are_as_one(
    small: Table, monkeypatch: pytest.MonkeyPatch, make: Callable[[list[int]], object]
) -> None:
    """`decide_many` takes sequences and arrays, and one direction for all."""
    monkeypatch.setattr(bulk, "CHUNK", 100)
    random = Random(1)
    named = [encoding for _, encoding, _ in small.names if encoding < ENCODINGS]
    encodings = [random.choice([*named, random.randrange(ENCODINGS)]) for _ in range(1234)]
    writes = [random.random() < 0.5 for _ in encodings]
    for state in STATES[:4]:
        for direction in (make([int(w) for w in writes]), False, True):
            sides = [direction] * 1234 if isinstance(direction, bool) else writes
            expected = [
                STEPS.index(small.decide_at(state, encoding, bool(write)).step)
                for encoding, write in zip(encodings, sides, strict=True)
            ]
            found = small.decide_many(state, make(encodings), direction)
            assert list(found) == expected
            assert isinstance(found, np.ndarray if make not in (list, tuple) else bytes)


def test_nothing_is_many_too(small: Table) -> None:
    """No accesses have no steps."""
    assert small.decide_many(State(), [], []) == b""
    nothing = np.array([], dtype=np.uint16)
    assert small.decide_many(State(), nothing, nothing.astype(bool)).tolist() == []


def test_more_than_256_rules_take_several_pages() -> None:
    """A table may have any number of rules in any part of the encodings."""
    lines = ["register R_EL2 = S3_4_C1_C1_0 { N [9:0] }"]
    lines.append("condition K.x traps any when access.index == R_EL2.N")
    lines.append("register A<n: 0..1023>_EL1 = S3_1_C<0b0:n[9:7]>_C<n[6:3]>_<n[2:0]>")
    lines.append("trap A<n>_EL1 by K.x")
    table = table_of("\n".join(lines))
    assert table.rule_count == 1025
    for number in (0, 1, 255, 256, 511, 1000, 1023):
        every = table.decide_all(State({"R_EL2": number}))
        coarse = STEPS.index("coarse")
        forwarded = [encoding for encoding, step in enumerate(every) if step & 15 == coarse]
        assert [table.name_of(encoding) for encoding in forwarded] == [f"A{number}_EL1"]


def test_a_table_that_nobody_needs_is_gone() -> None:
    """Nothing keeps a table that has decided, been explained and looked at through features."""
    table = table_of(SMALL)
    table.decide_all(State(features=()))
    table.explain(State(), Access("REVIDR_EL1"))
    gone = weakref.ref(table)
    del table
    gc.collect()
    assert gone() is None


# ---- states -----------------------------------------------------------------------


def test_a_state_prints_as_it_is_asked_for() -> None:
    """Registers, RES0 bits, disabled features and all else in the order of a question."""
    state = State(
        {"HCR_EL2": TGE},
        el=0,
        nv=False,
        res0={"HCR_EL2": 1},
        fgu={"HFG": 2},
        features=["FEAT_Q", "FEAT_P"],
    )
    assert repr(state) == (
        "EL0, HCR_EL2=0x8000000, res0 HCR_EL2=0x1, fgu HFG=0x2, features FEAT_P FEAT_Q, no EL2"
    )
    assert repr(State()) == "EL1"
    assert repr(State(features=())) == "EL1, features none"


def test_states_are_equal_by_value() -> None:
    """Two states that say the same are equal, and cannot be keys."""
    assert State({"HCR_EL2": 1}) == State({"HCR_EL2": 1}, features=None)
    assert State({"HCR_EL2": 1}) != State({"HCR_EL2": 1}, features=())
    assert State() != "EL1"
    with pytest.raises(TypeError):
        hash(State())


def test_a_state_keeps_what_it_was_made_of() -> None:
    """Changing the mapping a state was made of does not change the state."""
    registers = {"HCR_EL2": 1}
    state = State(registers)
    registers["HCR_EL2"] = 2
    assert state.registers == {"HCR_EL2": 1}
    assert state.having({"MDCR_EL2": 3}) == State({"MDCR_EL2": 3})


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ({"el": 3}, "EL is `3`, a trap comes from EL 0, 1 or 2"),
        ({"registers": {"HCR_EL2": 1 << 64}}, "`HCR_EL2` is `0x10000000000000000`, which"),
        ({"res0": {"HCR_EL2": -1}}, "`HCR_EL2` is `-0x1`, which does not fit 64 bits"),
        ({"fgu": {"HFG": 1 << 64}}, "`HFG` is `0x10000000000000000`, which does not"),
    ],
)
def test_a_state_refuses_what_does_not_fit(what: dict[str, object], message: str) -> None:
    """Values have 64 bits, and a trap comes from EL0, EL1 or EL2."""
    with pytest.raises(UsageError) as caught:
        State(**what)  # type: ignore[arg-type]
    assert message in caught.value.message


def test_states_of_the_same_features_share_a_view(small: Table) -> None:
    """What features leave of a table is worked out once for each set of them."""
    first, second = (small.bind(State(features=["FEAT_P"])) for _ in range(2))
    assert first.undefined is second.undefined
    assert small.view(frozenset()).undefined == {small.encoding("PART_EL1")}


def test_a_bound_table_reads_registers_as_it_sees_them(small: Table) -> None:
    """RES0 bits are gone from the registers that the table reads without them."""
    bound = small.bind(State({"HCR_EL2": 3, "OTHER_EL2": 5}, res0={"HCR_EL2": 1}))
    assert (bound.value_of("HCR_EL2"), bound.value_of("OTHER_EL2")) == (2, 5)


# ---- features ---------------------------------------------------------------------

FEATURES = """
feature FEAT_P
register R_EL2 = S3_4_C1_C1_0 { A [0] requires FEAT_P else 1  B [1] }
register F_EL2 = S3_4_C1_C1_1 { nG [0] negative requires FEAT_P  H [1] }
register X_EL1 = S3_0_C1_C1_0
register Y_EL1 = S3_0_C1_C1_1
register Z_EL1 = S3_0_C1_C1_2
instruction WFX requires FEAT_P
control K.a traps any when R_EL2.A == 1
condition K.b traps any when R_EL2[0] == 1
fine group FG { any F_EL2 FGU }
trap X_EL1 by K.a
trap Y_EL1 by K.b
trap Z_EL1 fine FG.nG
table t { parts are exclusive hypervisor context when EL == 2 HOW }
"""


@pytest.mark.parametrize(
    ("how", "fgu", "steps"),
    [
        # Disarmed; a raw bit reads as the catalogue says of an absent field.
        ("absent fields disarm fine bits by name", "", ["none", "coarse", "none"]),
        # Reads as zero where the table sanitises, as it stands elsewhere.
        ("absent fields read as zero sanitise R_EL2, F_EL2", "", ["none", "none", "none"]),
        ("absent fields read as zero", "", ["coarse", "coarse", "fine"]),
        ("absent fields read as zero", 'fgu "FG"', ["coarse", "coarse", "fgu"]),
        ("absent fields disarm fine bits by name", 'fgu "FG"', ["none", "coarse", "none"]),
    ],
)
def test_what_an_absent_feature_does(how: str, fgu: str, steps: list[str]) -> None:
    """Fields of absent features are disarmed, read as zero, or are disabled for the VM."""
    table = table_of(FEATURES.replace("HOW", how).replace("FGU", fgu))
    names = ["X_EL1", "Y_EL1", "Z_EL1"]
    state = State({"R_EL2": int("read as" in how)}, features=())
    assert [table.decide(state, Access(name)).step for name in names] == steps
    every = table.decide_all(state)
    assert [STEPS[every[table.encoding(name)] & 15] for name in names] == steps
    wfx = table.decide(state, Access("WFX", write=True)).step
    assert wfx == ("no-entry" if "read as" in how else "feature")


def test_the_steps_of_a_kernel_that_knows_all(linux: Table) -> None:
    """In the shipped table every step but `feature` can decide."""
    found = set()
    for el, nv, fgu, bits in product((1, 2), (True, False), ({}, {"HFGxTR": 1}), (0, TID1)):
        state = State({"HCR_EL2": bits}, el=el, nv=nv, fgu=fgu)
        found |= {STEPS[step & 15] for step in linux.decide_all(state)}
    assert found == {*STEPS} - {"feature"}
