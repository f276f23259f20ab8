"""Recordings of Arm's architecture models.

A line is either one access with the control bits that decide it (`base` and `bits`: the
outcome in the model's base state, and with single bits of it flipped), or one access in a
random state (`outcome`). The base states, the control bits, the features of the models
and what they assume of registers that no line names are in `models.json`: facts of the
recording, as are the rules of what is scored.
"""

from __future__ import annotations

import os
from json import load as load_json

from nvtrap.arch.encoding import encode
from nvtrap.conform.verdicts import PASSED, failed, left_out
from nvtrap.engine import FORWARD, State
from nvtrap.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from nvtrap.conform.verdicts import Score
    from nvtrap.engine import Bound, Outcome, Table

DIRECTIONS = {"R": False, "W": True}
NOT_TO_EL2 = ("local", "exec")
NV_BITS = {"NV": 42, "NV1": 43, "NV2": 45}
NV_NAMES = tuple(f"HCR_EL2.{name}" for name in NV_BITS)
NO_BIT = ""


class Architecture:
    """Judges architecture lines by one table."""

    def __init__(self, table: Table) -> None:
        self._table = table
        with open(f"{os.path.dirname(__file__)}/models.json", encoding="utf-8") as file:
            self._models = load_json(file)
        self._features: dict[str, frozenset[str]] = {}
        self._bound: dict[tuple[object, ...], Bound] = {}

    def judge(self, record: dict[str, Any]) -> Score:
        """The score of one line.

        Raises `UsageError` for a line that is not of the form above.
        """
        if record.get("model") not in self._models:
            raise UsageError(f"no model is called `{record.get('model')}`")
        direction, enc = record.get("dir"), record.get("enc")
        if direction not in DIRECTIONS or not isinstance(enc, list) or len(enc) != 5:
            raise UsageError("a line needs `enc` and `dir`")
        access = encode(*enc), DIRECTIONS[direction]
        return self._random(record, access) if "outcome" in record else self._single(record, access)

    def _features_of(self, model: str) -> frozenset[str]:
        if model not in self._features:
            words = self._models[model]["features"]
            self._features[model] = self._table.features.named(words)
        return self._features[model]

    # ---- random states -----------------------------------------------------

    def _random(self, record: dict[str, Any], access: tuple[int, bool]) -> Score:
        expected = record["outcome"]
        if expected in ("el1", "undef"):
            return left_out(f"random state, {expected}")
        if record.get("impdef") and expected != "el2":
            return left_out("IMPLEMENTATION DEFINED")
        model = record["model"]
        values = {**self._models[model]["assumed"], **record["state"]}
        state = State(
            {name: int(value, 16) for name, value in values.items()},
            el=record["el"],
            features=self._features_of(model),
        )
        outcome = self._table.decide_at(state, *access)
        return _score(outcome, expected, NO_BIT)

    # ---- single bits -------------------------------------------------------

    def _single(self, record: dict[str, Any], access: tuple[int, bool]) -> Score:
        """The base state, then every control bit: the listed ones change it, no other does."""
        base, bits = record["base"], record["bits"]
        layout = f"e2h{record['e2h']}"
        scored_base = base not in ("el1", "undef")
        if not scored_base and "el2" not in bits.values():
            return left_out(f"base {base}")
        if scored_base:
            score = self._flipped(record, access, layout, NO_BIT, base)
            if score.problem:
                return score
        # A variant's own NV bits are part of its base state; the recording flips the others.
        held = {*record.get("skip", ()), *(NV_NAMES if "nv" in record else ())}
        for name in self._models[record["model"]]["control_bits"][layout]:
            expected = bits.get(name, base)
            if expected in ("el1", "undef") or name in held:
                continue
            score = self._flipped(record, access, layout, name, expected)
            if score.problem:
                return score
        return PASSED

    def _flipped(
        self,
        record: dict[str, Any],
        access: tuple[int, bool],
        layout: str,
        bit: str,
        expected: str,
    ) -> Score:
        key = record["model"], layout, record.get("nv", ""), record["el"], bit
        bound = self._bound.get(key)
        if bound is None:
            bound = self._bound[key] = self._table.bind(self._state(*key))
        return _score(bound.decide(*access), expected, bit)

    def _state(self, model: str, layout: str, nv: str, el: int, bit: str) -> State:
        facts = self._models[model]
        values = {**facts["assumed"], **facts["base"][layout]}
        registers = {name: int(value, 16) for name, value in values.items()}
        for name in nv.split("+") if nv else ():
            registers["HCR_EL2"] |= 1 << NV_BITS[name]
        if bit:
            register = bit.partition(".")[0]
            flipped = 1 << facts["control_bits"][layout][bit]
            registers[register] = registers.get(register, 0) ^ flipped
        return State(registers, el=el, features=self._features_of(model))


def judge_by(table: Table) -> Callable[[dict[str, Any]], Score]:
    """What judges architecture lines by `table`."""
    return Architecture(table).judge


def _score(outcome: Outcome, expected: str, bit: str) -> Score:
    where = f"with {bit} flipped: " if bit else ""
    to_el2 = outcome.outcome == FORWARD
    if to_el2 != (expected == "el2"):
        return failed(f"{where}expected {expected}, got {outcome!r}")
    return PASSED
