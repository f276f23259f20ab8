"""`nvtrap query`: the forms of the answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from tests.cli.helpers import Nvtrap

TEXT = (str,)
TEXT_OR_NULL = (str, type(None))
NUMBER_OR_NULL = (int, type(None))
ANSWER = {
    "register": TEXT,
    "encoding": TEXT_OR_NULL,
    "direction": TEXT,
    "outcome": TEXT,
    "step": TEXT,
    "control": TEXT_OR_NULL,
    "rule": TEXT_OR_NULL,
    "ec": NUMBER_OR_NULL,
    "reason": TEXT_OR_NULL,
    "not_given": (list,),
    "steps": (list,),
}
STEP = {"step": TEXT, "verdict": TEXT, "decided": (bool,), "parts": (list,)}
PART = {
    "kind": TEXT,
    "name": TEXT,
    "rule": TEXT,
    "armed": (bool,),
    "directions": TEXT,
    "condition": TEXT,
    "values": (dict,),
    "not_given": (list,),
    "changes": (list,),
    "members": (list,),
}
STEPS = {"no-entry", "fgu", "feature", "no-el2", "hyp-context", "fine", "coarse", "none"}
QUESTIONS = [
    ["REVIDR_EL1"],
    ["REVIDR_EL1", "--set", "HCR_EL2.TID1=1"],
    ["-w", "TLBI_VAE1ISNXS", "--set", "HFGITR_EL2.TLBIVAE1IS=1", "--set", "HCRX_EL2.FGTnXS=1"],
    ["PIR_EL1", "--res0", "HFGRTR_EL2=0x0400000000000000"],
    ["REVIDR_EL1", "--fgu", f"HFGxTR={1 << 28}"],
    ["REVIDR_EL1", "--no-nv"],
    ["REVIDR_EL1", "--el", "2"],
    ["S2_7_C15_C15_7"],
    ["CNTPCT_EL0", "--set", "HCR_EL2.E2H=1"],
    ["PMEVCNTR3_EL0", "--set", "MDCR_EL2.HPMN=2"],
]


def hold(value: dict[str, Any], shape: Mapping[str, tuple[type, ...]]) -> None:
    """Assert that a record has the keys of a shape, with values of its types."""
    assert shape.keys() <= value.keys()
    for name, types in shape.items():
        assert type(value[name]) in types, name


def hold_part(part: dict[str, Any]) -> None:
    """Assert the shape of a part and of its members."""
    hold(part, PART)
    assert part["directions"] in ("read", "write", "any")
    assert all(text.startswith("0x") for text in part["values"].values())
    assert set(part["not_given"]) <= part["values"].keys()
    for member in part["members"]:
        hold_part(member)


@pytest.mark.parametrize("question", QUESTIONS, ids=" ".join)
def test_json_has_every_key(nvtrap: Nvtrap, question: list[str]) -> None:
    """Every key is there with its type, and exactly one step decided: the one named."""
    answer = nvtrap("query", *question, "--json").json()
    hold(answer, ANSWER)
    assert answer["direction"] in ("read", "write")
    assert answer["outcome"] in ("forward", "local", "undef")
    assert answer["step"] in STEPS
    for step in answer["steps"]:
        hold(step, STEP)
        assert step["step"] in STEPS
        for part in step["parts"]:
            hold_part(part)
    assert [step["step"] for step in answer["steps"] if step["decided"]] == [answer["step"]]


@pytest.mark.parametrize("question", QUESTIONS, ids=" ".join)
def test_the_three_forms_agree(nvtrap: Nvtrap, question: list[str]) -> None:
    """The short answer is the first line of --why, and says what --json says."""
    short = nvtrap("query", *question).lines
    why = nvtrap("query", *question, "--why").lines
    answer = nvtrap("query", *question, "--json").json()
    assert short[0] == why[0]
    assert short[1:] == ([why[-1]] if len(short) > 1 else [])
    assert short[0].startswith(f"{answer['direction']} {answer['register']}: {answer['outcome']}")
    for key in ("control", "rule", "reason"):
        assert not answer[key] or answer[key] in short[0]
    assert all(name in short[-1] for name in answer["not_given"])


def test_why_says_each_step_value_and_change(nvtrap: Nvtrap) -> None:
    """A combo is explained by its members, with what they read and what would arm them."""
    run = nvtrap("query", "-w", "TLBI_VAE1IS", "--set", "HCR_EL2.TTLBIS=1", "--why")
    assert run.code == 0
    text = run.out
    for said in (
        "encoding S1_0_C8_C3_1, state EL1, HCR_EL2=",
        "\n  no-entry: the table has an entry\n",
        "\n  fgu: ",
        "\n  no-el2: the vCPU has EL2\n",
        "\n  hyp-context: EL1, not in hypervisor context\n",
        "\n  fine: does not trap\n",
        "\n  => coarse: traps\n",
        "combo HCR.TTLB_TTLBIS armed, traps any  rules/linux/6.12/tlbi.trap:",
        "control HCR.TTLB not armed",
        "HCR_EL2.TTLB is 0x0\n",
        "would trap with HCR_EL2.TTLB = 1",
        "control HCR.TTLBIS armed",
        "HFGITR_EL2.TLBIVAE1IS is 0x0 (not given)",
    ):
        assert said in text, said


def test_json_names_what_would_change_the_answer(nvtrap: Nvtrap) -> None:
    """A suggested change, when made, changes the answer."""
    answer = nvtrap("query", "ACTLR_EL1", "--json").json()
    (change,) = [c for step in answer["steps"] for part in step["parts"] for c in part["changes"]]
    assert nvtrap("query", "ACTLR_EL1", "--set", change.replace(" ", "")).out.startswith(
        "read ACTLR_EL1: forward"
    )


def test_json_wins_over_why(nvtrap: Nvtrap) -> None:
    """Both options together give JSON, which has all of --why anyway."""
    asked = ("query", "REVIDR_EL1", "--json")
    assert nvtrap(*asked, "--why") == nvtrap(*asked)
