"""Tables as JSON, and the schema that is published for them."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

import nvtrap
from nvtrap.emit import Emission, rendered
from nvtrap.engine import State
from tests.emit.drivers import value
from tests.engine.helpers import SMALL, table_of

SCHEMA = json.loads(
    (Path(nvtrap.__file__).parent / "emit" / "table.schema.json").read_text(encoding="utf-8")
)


@cache
def emission_of(name: str) -> Emission:
    """A shipped table, or the small one."""
    return Emission(table_of(SMALL) if name == "small" else nvtrap.load(name))


def document(name: str) -> Any:
    """The JSON of a table."""
    (text,) = rendered(emission_of(name), "json", "MIT", "").values()
    return json.loads(text)


def test_the_schema_is_one() -> None:
    """By the meta-schema; every object says all its members."""
    Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("name", ["linux-6.12", "arch", "small"])
def test_tables_are_valid(name: str) -> None:
    """Against the published schema."""
    Draft202012Validator(SCHEMA).validate(document(name))


@pytest.mark.parametrize("member", [*SCHEMA["required"]])
def test_every_member_is_required_and_known(member: str) -> None:
    """The schema notices what is missing, and what is not in it."""
    validator = Draft202012Validator(SCHEMA)
    good = document("small")
    without = {name: value for name, value in good.items() if name != member}
    assert not validator.is_valid(without)
    assert not validator.is_valid({**good, member: {"surprise": 1}})


class Reader:
    """Decides from the JSON alone, for states whose vCPU has everything."""

    def __init__(self, table: Any) -> None:
        self.table = table
        self.rule_of = {entry["encoding"]: entry["rule"] for entry in table["encodings"]}

    def decide(self, state: State, encoding: int, write: bool) -> tuple[str, int | None]:
        """(outcome, number of the deciding part)."""
        words = {**state.registers, "EL": state.el, "access.write": write, "context.nv": 1}
        words["context.hypervisor"] = words["context.host_EL0"] = 0
        if self._holds(self.table["hypervisor"], words, None):
            return "elsewhere", None
        rule = self.table["rules"][self.rule_of.get(encoding, 0)]
        for number in (*rule["fine"], *rule["coarse"]):
            if self._traps(self.table["rule_parts"][number], words, write, state.el):
                return "forward", number
        return "local", None

    def _traps(self, part: Any, words: dict[str, int], write: bool, el: int) -> bool:
        direction = "write" if write else "read"
        if direction not in part["directions"] or el not in part["levels"]:
            return False
        if not self._holds(part["guard"], words, part["index"]):
            return False
        if "group" in part:
            group = self.table["groups"][part["group"]]
            traps = words.get(group["registers"][write], 0) ^ int(group["negative"][write], 16)
            if self.table["fine_bits"] == "by name":
                traps &= int(group["defined"][write], 16)
            return bool(traps >> part["bit"] & 1)
        control = self.table["controls"][part["control"]]
        members = [self.table["controls"][number] for number in control["members"]] or [control]
        return any(
            direction in member["directions"] and self._holds(member["when"], words, part["index"])
            for member in members
        )

    def _holds(self, when: Any, words: dict[str, int], index: int | None) -> bool:
        if isinstance(when, bool):
            return when
        if "and" in when:
            return all(self._holds(part, words, index) for part in when["and"])
        if "or" in when:
            return any(self._holds(part, words, index) for part in when["or"])
        if "not" in when:
            return not self._holds(when["not"], words, index)
        left, right = (self._term(when[side], words, index) for side in ("left", "right"))
        return {
            "==": left == right,
            "!=": left != right,
            "<": left < right,
            "<=": left <= right,
            ">": left > right,
            ">=": left >= right,
        }[when["compare"]]

    def _term(self, term: Any, words: dict[str, int], index: int | None) -> int:
        if "number" in term:
            return int(term["number"], 16)
        if "index" in term:
            assert index is not None
            return index
        word = term["word"]
        whole = 1 if word.startswith("FEAT_") else words.get(word, 0)
        return int(
            "".join(f"{whole >> lsb & (1 << width) - 1:0{width}b}" for lsb, width in term["bits"]),
            2,
        )


@pytest.mark.parametrize("name", ["linux-6.12", "arch", "small"])
def test_the_json_says_all_that_decides(name: str) -> None:
    """A reader of a page decides from it as the engine does, in random guests."""
    emission, random, reader = emission_of(name), Random(5), Reader(document(name))
    known = sorted(reader.rule_of)
    outcomes = set()
    for _ in range(40):
        registers = {register: value(random) for register in reader.table["registers"]}
        state = State(registers, el=random.choice([0, 1, 1]))
        for encoding in random.choices(known, k=50):
            write = random.random() < 0.5
            found, number = reader.decide(state, encoding, write)
            outcome = emission.table.decide_at(state, encoding, write)
            part = None if outcome.part is None else emission.part_number(outcome.part)
            if found != "elsewhere":
                assert (found, number) == (outcome.outcome, part), (state, encoding, write)
            outcomes.add(found)
    assert {"forward", "local"} <= outcomes
