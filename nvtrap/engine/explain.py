"""Why an access is forwarded or not: every step, every control, and what would change it."""

from __future__ import annotations

from nvtrap.arch.encoding import generic_name
from nvtrap.engine.binding import HOST_EL0, HYPERVISOR
from nvtrap.engine.missing import missing
from nvtrap.engine.programs import COARSE, FEATURE, FGU, FINE, HYP_CONTEXT, NO_EL2, NONE, STEPS
from nvtrap.engine.table import Bound
from nvtrap.engine.wishes import granted, named, ways
from nvtrap.errors import UsageError
from nvtrap.table.conditions import WRITE, conjunction, joined
from nvtrap.table.model import ANY, READ, Part
from nvtrap.table.model import WRITE as WRITES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from nvtrap.arch import Access
    from nvtrap.engine.state import State
    from nvtrap.engine.table import Outcome, Table
    from nvtrap.engine.wishes import Wish
    from nvtrap.table.conditions import Condition
    from nvtrap.table.model import FieldUse, Place

DIRECTIONS = {READ: "read", WRITES: "write", ANY: "any"}


class Value:
    """A field and what it holds; `given` says whether its register was given at all."""

    __slots__ = ("given", "name", "value")

    def __init__(self, name: str, value: int, given: bool) -> None:
        self.name = name
        self.value = value
        self.given = given


class Reason:
    """One part, or one control of a combo: whether it traps, and why.

    `condition` is the text that arms it, `values` the fields it reads, `directions` what
    it traps, `changes` the settings that together would make it trap (or, armed, stop
    trapping); none where no settings were found that do.
    """

    __slots__ = (
        "armed",
        "changes",
        "condition",
        "directions",
        "kind",
        "members",
        "name",
        "place",
        "values",
    )

    def __init__(
        self,
        kind: str,
        name: str,
        place: Place,
        armed: bool,
        condition: str,
        directions: str,
        values: list[Value],
        changes: list[Wish],
        members: list[Reason],
    ) -> None:
        self.kind = kind
        self.name = name
        self.place = place
        self.armed = armed
        self.condition = condition
        self.directions = directions
        self.values = values
        self.changes = changes
        self.members = members


class Step:
    """One step of the decision: `verdict` in words, `decided` if it ended there."""

    __slots__ = ("decided", "name", "reasons", "verdict")

    def __init__(self, name: str, verdict: str, decided: bool, reasons: list[Reason]) -> None:
        self.name = name
        self.verdict = verdict
        self.decided = decided
        self.reasons = reasons


class Explanation:
    """The whole story of one decision.

    `not_given` names the registers that the answer hangs on and the state lacks, see
    `nvtrap.engine.missing`.
    """

    __slots__ = ("encoding", "name", "not_given", "outcome", "state", "steps", "write")

    def __init__(
        self,
        encoding: int,
        name: str,
        write: bool,
        outcome: Outcome,
        state: State,
        steps: list[Step],
        not_given: list[str],
    ) -> None:
        self.encoding = encoding
        self.name = name
        self.write = write
        self.outcome = outcome
        self.state = state
        self.steps = steps
        self.not_given = not_given

    def to_json(self) -> dict[str, Any]:
        """Plain data for machines."""
        outcome = self.outcome
        return {
            "register": self.name,
            "encoding": generic_name(self.encoding) or None,
            "direction": "write" if self.write else "read",
            "outcome": outcome.outcome,
            "step": outcome.step,
            "control": outcome.control or None,
            "rule": str(outcome.place) if outcome.place else None,
            "ec": outcome.ec or None,
            "reason": outcome.reason or None,
            "memory": None if outcome.memory is None else hex(outcome.memory),
            "not_given": self.not_given,
            "steps": [_step_json(step) for step in self.steps],
        }

    def __repr__(self) -> str:
        return f"{'write' if self.write else 'read'} {self.name}: {self.outcome!r}"


def _step_json(step: Step) -> dict[str, Any]:
    return {
        "step": step.name,
        "verdict": step.verdict,
        "decided": step.decided,
        "parts": [_reason_json(reason) for reason in step.reasons],
    }


def _reason_json(reason: Reason) -> dict[str, Any]:
    return {
        "kind": reason.kind,
        "name": reason.name,
        "rule": str(reason.place),
        "armed": reason.armed,
        "directions": reason.directions,
        "condition": reason.condition,
        "values": {value.name: hex(value.value) for value in reason.values},
        "not_given": [value.name for value in reason.values if not value.given],
        "changes": [str(wish) for wish in reason.changes],
        "members": [_reason_json(member) for member in reason.members],
    }


def explain(table: Table, state: State, access: Access) -> Explanation:
    """The explanation of one decision."""
    outcome = table.decide(state, access)
    encoding = table.encoding_of(access)
    steps = _Story(table, table.bind(state), outcome).steps()
    name = table.name_of(encoding, access.write)
    not_given = missing(table, state, outcome)
    return Explanation(encoding, name, access.write, outcome, state, steps, not_given)


class _Story:
    """The making of one explanation."""

    def __init__(self, table: Table, bound: Bound, outcome: Outcome) -> None:
        self._table = table
        self._bound = bound
        self._outcome = outcome
        self._rule = table.rule(outcome.number)
        self._write = outcome.write
        self._decided = STEPS.index(outcome.step)

    def steps(self) -> list[Step]:
        if self._decided == FEATURE:
            verdict = "the vCPU lacks the feature that brings it"
            return [Step("feature", verdict, True, [])]
        if not self._rule.has_parts:
            reason = self._rule.local_reason
            verdict = f"left to L0: {reason}" if reason else "nothing in the table traps it"
            return [Step("no-entry", verdict, True, [])]
        told = [Step("no-entry", "the table has an entry", False, [])]
        told += self._fgu()
        told += self._contexts()
        if self._decided in (FINE, COARSE, NONE):
            told += self._parts()
        return told

    def _fgu(self) -> list[Step]:
        if not self._rule.fine:
            return []
        decided = self._decided == FGU
        keys = dict.fromkeys(self._table.groups[part.group].fgu for part in self._rule.fine)
        named = ", ".join(key for key in keys if key)
        verdict = f"the feature is {'disabled' if decided else 'not disabled'} for the VM ({named})"
        return [Step("fgu", verdict, decided, [])]

    def _contexts(self) -> list[Step]:
        if self._decided == FGU:
            return []
        state, context = self._bound.state, self._bound.context
        told = [
            Step(
                "no-el2",
                "the vCPU has EL2" if state.nv else "the vCPU has no EL2",
                self._decided == NO_EL2,
                [],
            )
        ]
        if state.nv:
            where = {HYPERVISOR: "in hypervisor context", HOST_EL0: "in host EL0"}.get(
                context, f"EL{state.el}, not in hypervisor context"
            )
            told.append(Step("hyp-context", where, self._decided == HYP_CONTEXT, []))
        return told

    def _parts(self) -> list[Step]:
        told = []
        if self._rule.fine:
            reasons = [self._fine(part) for part in self._rule.fine]
            told.append(self._step("fine", reasons))
        if self._rule.coarse and self._decided != FINE:
            reasons = [self._coarse(part) for part in self._rule.coarse]
            told.append(self._step("coarse", reasons))
        if self._decided == NONE:
            told.append(Step("none", "nothing forwards it", True, []))
        return told

    def _step(self, name: str, reasons: list[Reason]) -> Step:
        decided = self._outcome.step == name
        return Step(name, "traps" if decided else "does not trap", decided, reasons)

    # ---- parts -------------------------------------------------------------

    def _fine(self, part: Part) -> Reason:
        group = self._table.groups[part.group]
        register = group.registers[self._write]
        name = group.bit_name(part.bit, self._write)
        negative = group.negative[self._write] >> part.bit & 1
        slot, pieces = group.slots[self._write], [[part.bit, 1]]
        when = ["cmp", "!=", ["f", slot, pieces], ["k", negative]]
        condition = f"{name} == {0 if negative else 1}"
        if part.text:
            condition += f" ({part.text})"
        if self._bound.state.res0.get(register, 0) >> part.bit & 1:
            condition += ", and the vCPU has the bit (here it is RES0)"
        armed = self._armed(part)
        return Reason(
            "fine",
            name,
            part.place,
            armed,
            condition,
            DIRECTIONS[part.directions],
            [self._value(name, slot, pieces)],
            self._changes(part, armed, when, []),
            [],
        )

    def _coarse(self, part: Part) -> Reason:
        control = self._table.control(part.control)
        if not control.members:
            return self._control(part)
        return Reason(
            control.kind,
            control.name,
            part.place,
            self._armed(part),
            control.text,
            DIRECTIONS[control.directions],
            [],
            [],
            [self._control(part.of(member), is_member=True) for member in control.members],
        )

    def _control(self, part: Part, *, is_member: bool = False) -> Reason:
        """One control, as the part of a rule or as the member of a combo."""
        control = self._table.control(part.control)
        armed = self._armed(part)
        return Reason(
            control.kind,
            control.name,
            control.place if is_member else part.place,
            armed,
            f"{control.text} ({part.text})" if part.text else control.text,
            DIRECTIONS[control.directions],
            [
                self._value(use.name, use.slot, use.pieces)
                for use in control.fields
                if self._in_layout(use.name, use.pieces)
            ],
            self._changes(part, armed, control.when, control.fields),
            [],
        )

    def _armed(self, part: Part, bound: Bound | None = None) -> bool:
        bound = bound or self._bound
        return self._table.part_armed(part, self._write, bound.words, bound.context == HOST_EL0)

    def _changes(
        self, part: Part, armed: bool, when: Condition, uses: Sequence[FieldUse]
    ) -> list[Wish]:
        """The first settings that turn the part round and leave the context as it is."""
        table, state = self._table, self._bound.state
        whole = conjunction([when, part.guard])
        for way in ways(whole, table, self._word, part.index, wanted=not armed):
            after = Bound(table, state.having(granted(state.registers, way, table.slots)))
            if after.context == self._bound.context and self._armed(part, after) != armed:
                return named(way, table, uses, after.value_of)
        return []

    # ---- values ------------------------------------------------------------

    def _in_layout(self, name: str, pieces: list[list[int]]) -> bool:
        register, _, field = name.partition(".")
        if not field:
            return True
        try:
            now = self._table.fields.pieces(register, field, self._bound.value_of)
        except UsageError:
            return False
        return now == pieces

    def _word(self, slot: int) -> int:
        is_direction = self._table.slots[slot] == WRITE
        return int(self._write) if is_direction else self._bound.words[slot]

    def _value(self, name: str, slot: int, pieces: list[list[int]]) -> Value:
        given = self._table.slots[slot] in self._bound.state.registers
        return Value(name, joined(self._bound.words[slot], pieces), given)
