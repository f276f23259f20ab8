"""Why an access is forwarded or not: every step, every control, and what would change it."""

from __future__ import annotations

from nvtrap.arch.encoding import generic_name
from nvtrap.engine.binding import HOST_EL0, HYPERVISOR
from nvtrap.engine.programs import FGU, FINE, HYP_CONTEXT, NO_EL2, STEPS, fgu_word
from nvtrap.engine.table import FORWARD, Outcome, part_name
from nvtrap.engine.wishes import Wish, fulfil
from nvtrap.table.conditions import EL, WRITE, joined
from nvtrap.table.model import ANY, READ
from nvtrap.table.model import WRITE as WRITES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from nvtrap.arch import Access
    from nvtrap.engine.state import State
    from nvtrap.engine.table import Bound, Table
    from nvtrap.table.model import Control, Part, Place

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
    it traps, `changes` the settings that would make it trap (or, armed, stop trapping).
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

    `not_given` names the registers that the answer hangs on and the state lacks.
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
            "encoding": generic_name(self.encoding),
            "direction": "write" if self.write else "read",
            "outcome": outcome.outcome,
            "step": outcome.step,
            "control": outcome.control or None,
            "rule": str(outcome.place) if outcome.place else None,
            "ec": outcome.ec or None,
            "reason": outcome.reason or None,
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
    encoding = access.encoding if access.encoding >= 0 else table.encoding(access.name)
    story = _Story(table, table.bind(state), outcome)
    steps = story.steps()
    name = table.name_of(encoding, access.write)
    return Explanation(encoding, name, access.write, outcome, state, steps, story.not_given())


class _Story:
    """The making of one explanation."""

    def __init__(self, table: Table, bound: Bound, outcome: Outcome) -> None:
        self._table = table
        self._bound = bound
        self._outcome = outcome
        self._rule = table.rule(outcome.number)
        self._write = outcome.write
        self._decided = STEPS.index(outcome.step)
        self._asked: list[Value] = []

    def steps(self) -> list[Step]:
        if not self._rule.has_parts:
            reason = self._rule.local_reason
            verdict = f"left to L0: {reason}" if reason else "nothing in the table traps it"
            return [Step("no-entry", verdict, True, [])]
        told = [Step("no-entry", "the table has an entry", False, [])]
        told += self._fgu()
        told += self._contexts()
        if self._bound.context != HYPERVISOR and self._bound.state.nv:
            told += self._parts()
        return told

    def not_given(self) -> list[str]:
        names = [
            value.name.partition(".")[0].partition("[")[0]
            for value in self._asked
            if not value.given
        ]
        return list(dict.fromkeys(names))

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
            self._ask_context()
            told.append(Step("hyp-context", where, self._decided == HYP_CONTEXT, []))
        return told

    def _ask_context(self) -> None:
        if self._bound.state.el == 2 or self._table.slot("HCR_EL2") < 0:
            return
        given = "HCR_EL2" in self._bound.state.registers
        self._asked.append(Value("HCR_EL2", 0, given))

    def _parts(self) -> list[Step]:
        told = []
        if self._rule.fine:
            reasons = [self._fine(part) for part in self._rule.fine]
            told.append(self._step("fine", reasons))
        if self._rule.coarse and self._decided != FINE:
            reasons = [self._coarse(part) for part in self._rule.coarse]
            told.append(self._step("coarse", reasons))
        if self._decided == STEPS.index("none"):
            told.append(Step("none", "nothing forwards it", True, []))
        return told

    def _step(self, name: str, reasons: list[Reason]) -> Step:
        decided = self._outcome.step == name
        return Step(name, "traps" if decided else "does not trap", decided, reasons)

    # ---- parts -------------------------------------------------------------

    def _armed(self, part: Part) -> bool:
        host_el0 = self._bound.context == HOST_EL0
        return self._table.part_armed(part, self._write, self._bound.words, host_el0)

    def _fine(self, part: Part) -> Reason:
        group = self._table.groups[part.group]
        register = group.registers[self._write]
        name = group.bit_name(part.bit, self._write)
        negative = group.negative[self._write] >> part.bit & 1
        slot = group.slots[self._write]
        value = self._value(name, slot, [[part.bit, 1]])
        armed = self._armed(part)
        condition = f"{name} == {0 if negative else 1}"
        if part.text:
            condition += f" ({part.text})"
        lacking = self._bound.state.res0.get(register, 0) >> part.bit & 1
        if lacking:
            condition += ", and the vCPU has the bit (here it is RES0)"
        wanted = (0 if negative else 1) ^ armed
        changes = [] if lacking else [Wish(name, wanted)]
        return Reason(
            "fine",
            name,
            part.place,
            armed,
            condition,
            DIRECTIONS[part.directions],
            [value],
            changes,
            [],
        )

    def _coarse(self, part: Part) -> Reason:
        control = self._table.control(part.control)
        armed = self._armed(part)
        if control.members:
            controls = [self._table.control(number) for number in control.members]
            members = [self._control(member, part) for member in controls]
            return Reason(
                control.kind,
                control.name,
                part.place,
                armed,
                control.text,
                DIRECTIONS[control.directions],
                [],
                [],
                members,
            )
        reason = self._control(control, part)
        reason.armed = armed
        reason.place = part.place
        return reason

    def _control(self, control: Control, part: Part) -> Reason:
        direction = WRITES if self._write else READ
        traps = bool(control.directions & direction)
        values = [
            self._value(use.name, use.slot, use.pieces)
            for use in control.fields
            if self._in_layout(use.name, use.pieces)
        ]
        wishes = fulfil(control, self._table, self._word, part.index)
        armed = traps and wishes == []
        condition = f"{control.text} ({part.text})" if part.text else control.text
        changes = (wishes or []) if traps else []
        return Reason(
            control.kind,
            control.name,
            control.place,
            armed,
            condition,
            DIRECTIONS[control.directions],
            values,
            changes,
            [],
        )

    def _in_layout(self, name: str, pieces: list[list[int]]) -> bool:
        register, _, field = name.partition(".")
        if not field:
            return True
        try:
            return self._table.fields.pieces(register, field, self._register) == pieces
        except ValueError:
            return False

    def _register(self, name: str) -> int:
        return self._bound.state.registers.get(name, 0)

    def _word(self, slot: int) -> int:
        name = self._table.slots[slot]
        if name == WRITE:
            return int(self._write)
        return self._bound.state.el if name == EL else self._bound.words[slot]

    def _value(self, name: str, slot: int, pieces: list[list[int]]) -> Value:
        register = self._table.slots[slot]
        given = register in self._bound.state.registers
        value = Value(name, joined(self._bound.words[slot], pieces), given)
        self._asked.append(value)
        return value


__all__ = ["FORWARD", "Explanation", "Reason", "Step", "Value", "explain", "fgu_word", "part_name"]
