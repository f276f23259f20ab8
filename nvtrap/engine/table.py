"""A table that answers: one access, all of them, and why."""

from __future__ import annotations

from nvtrap.engine.binding import HOST_EL0, NO_CONTEXT, Binder, compile_program
from nvtrap.engine.programs import (
    COARSE,
    FEATURE,
    FGU,
    FINE,
    HYP_CONTEXT,
    NO_EL2,
    NO_ENTRY,
    NONE,
    STEPS,
    Writer,
    fgu_word,
)
from nvtrap.table.conditions import WRITE, evaluate
from nvtrap.table.model import CompiledTable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from nvtrap.arch import Access
    from nvtrap.engine.binding import Program
    from nvtrap.engine.bulk import Bulk
    from nvtrap.engine.explain import Explanation
    from nvtrap.engine.features import FeatureView
    from nvtrap.engine.state import State
    from nvtrap.table.model import Part, Place

FORWARD = "forward"
LOCAL = "local"
UNDEF = "undef"
OUTCOMES = tuple(
    FORWARD if step in (FINE, COARSE) else UNDEF if STEPS[step] in ("fgu", "feature") else LOCAL
    for step in range(len(STEPS))
)


class Outcome:
    """What becomes of an access: `outcome`, and the `step` and part that decided.

    `part` is the deciding part of the rule (None where no part decided), `place` the
    statement it comes from, `control` its name. `memory` is the offset from VNCR_EL2 of
    the memory that FEAT_NV2 makes of the access, None otherwise.
    """

    __slots__ = ("_table", "memory", "number", "outcome", "part", "step", "write")

    def __init__(
        self,
        table: CompiledTable,
        number: int,
        write: bool,
        step: int,
        part: Part | None,
        memory: int | None,
    ) -> None:
        self._table = table
        self.memory = memory
        self.number = number
        self.write = write
        self.step = STEPS[step]
        self.outcome = OUTCOMES[step]
        self.part = part

    @property
    def control(self) -> str:
        """The deciding control or fine-grained bit, or an empty text."""
        return "" if self.part is None else part_name(self._table, self.part, self.write)

    @property
    def place(self) -> Place | None:
        """`file:line` of the deciding rule, or of the reason for a deliberate gap."""
        if self.part is not None:
            return self.part.place
        return self._table.rule(self.number).local_place

    @property
    def reason(self) -> str:
        """Why a deliberate gap is one, or an empty text."""
        return self._table.rule(self.number).local_reason

    @property
    def ec(self) -> int:
        """The exception class with which the trap is reported; 0 without a trap."""
        return self.part.ec if self.part is not None and self.outcome == FORWARD else 0

    def __repr__(self) -> str:
        by = f" by {self.control}" if self.control else ""
        at = f" ({self.place})" if self.place else ""
        return f"{self.outcome}: {self.step}{by}{at}"


def part_name(table: CompiledTable, part: Part, write: bool) -> str:
    """`HCR.TID1`, or `HFGRTR_EL2.PAR_EL1` for a fine-grained bit."""
    if part.is_fine:
        return table.groups[part.group].bit_name(part.bit, write)
    return table.control(part.control).name


class Bound:
    """A table bound to one state; outcomes are kept once they are known."""

    __slots__ = ("_table", "context", "has_fgu", "outcomes", "state", "undefined", "words")

    def __init__(self, table: Table, state: State) -> None:
        self._table = table
        self.state = state
        view = None if state.features is None else table.view(state.features)
        self.words, self.context = table.binder.bind(state, view)
        self.has_fgu = bool(state.fgu) or (view is not None and any(view.fgu))
        self.undefined: frozenset[int] = frozenset() if view is None else view.undefined
        self.outcomes: dict[int, Outcome] = {}

    def value_of(self, register: str) -> int:
        """What the table reads from a register; as it was given where the table has none."""
        slot = self._table.slot(register)
        return self.state.registers.get(register, 0) if slot < 0 else self.words[slot]

    def decide(self, encoding: int, write: bool) -> Outcome:
        """What becomes of an access."""
        number = self._table.rule_of[encoding]
        if self.undefined and encoding in self.undefined:
            return Outcome(self._table, number, write, FEATURE, None, None)
        key = number << 1 | write
        return self.outcomes.get(key) or self.outcome(key)

    def outcome(self, key: int) -> Outcome:
        """The outcome of rule `key >> 1`, for writes if `key` is odd."""
        number, write = key >> 1, bool(key & 1)
        step = self.step(number, write)
        part = self._deciding_part(number, write, step)
        memory = self._memory(number, write, step)
        outcome = self.outcomes[key] = Outcome(self._table, number, write, step, part, memory)
        return outcome

    def _memory(self, number: int, write: bool, step: int) -> int | None:
        """The offset from VNCR_EL2 of the memory that a local access turns into.

        Only the guest of a hypervisor has such memory: not L1 itself, nor without EL2.
        """
        rule = self._table.rule(number)
        if rule.memory is None or step not in (NO_ENTRY, NONE):
            return None
        if not self.state.nv or self.context != NO_CONTEXT:
            return None
        offset, when = rule.memory
        direction = self._table.slot(WRITE)

        def word(slot: int) -> int:
            return write if slot == direction else self.words[slot]

        return offset if evaluate(when, word) else None

    def step(self, number: int, write: bool) -> int:
        """The step that decides for a rule, in the order of the design's decision."""
        table = self._table
        if number == 0 or not table.rule(number).has_parts:
            return NO_ENTRY
        if self.has_fgu and table.fgu_program(number)(self.words):
            return FGU
        if not self.state.nv:
            return NO_EL2
        if self.context == NO_CONTEXT:
            return table.program(number, write)(self.words)
        if self.context == HOST_EL0 and table.acts_in_host_el0(number):
            return table.program(number, write, host_el0=True)(self.words)
        return HYP_CONTEXT

    def _deciding_part(self, number: int, write: bool, step: int) -> Part | None:
        if step not in (FINE, COARSE, FGU):
            return None
        rule = self._table.rule(number)
        parts = rule.coarse if step == COARSE else rule.fine
        if len(parts) == 1:
            return parts[0]
        return next((part for part in parts if self._decides(part, write, step)), None)

    def _decides(self, part: Part, write: bool, step: int) -> bool:
        if step == FGU:
            return bool(self.words[fgu_word(self._table, part.group)] >> part.bit & 1)
        host_el0 = self.context == HOST_EL0
        return self._table.part_armed(part, write, self.words, host_el0)


class Table(CompiledTable):
    """A compiled table that decides. Loaded with `nvtrap.load`."""

    def __init__(
        self,
        data: dict[str, Any],
        rule_of: memoryview[int],
        names: bytes,
        fields: bytes,
        features: bytes,
    ) -> None:
        super().__init__(data, rule_of, names, fields, features)
        self.binder = Binder(self)
        self._bound: Bound | None = None
        self._bulk: Bulk | None = None
        self._writer = Writer(self)
        self._views: dict[frozenset[str], FeatureView] = {}
        self._programs: dict[tuple[int, bool, bool], Program] = {}
        self._fgu_programs: dict[int, Program] = {}

    def decide(self, state: State, access: Access) -> Outcome:
        """What becomes of `access` in `state`.

        Raises `UnknownNameError` when the access names a register nobody knows.
        """
        bound = self._bound
        if bound is None or bound.state is not state:
            bound = self.bind(state)
        encoding = access.encoding
        if encoding < 0:
            encoding = self.encoding_of(access)
        return bound.decide(encoding, access.write)

    def decide_at(self, state: State, encoding: int, write: bool) -> Outcome:
        """The same, for an encoding and a direction."""
        bound = self._bound
        if bound is None or bound.state is not state:
            bound = self.bind(state)
        return bound.decide(encoding, write)

    def encoding_of(self, access: Access) -> int:
        """The encoding of an access, looked up where it names a register.

        Raises `UnknownNameError` for a name nobody knows.
        """
        return access.encoding if access.encoding >= 0 else self.encoding(access.name)

    def view(self, features: frozenset[str]) -> FeatureView:
        """What a set of features leaves of the table; kept, as states share few of them."""
        view = self._views.get(features)
        if view is None:
            from nvtrap.engine.features import FeatureView

            view = self._views[features] = FeatureView(self, features)
        return view

    def bind(self, state: State) -> Bound:
        """The table's view of a state; kept until another state is asked about."""
        bound = self._bound = Bound(self, state)
        return bound

    def decide_all(self, state: State) -> bytes:
        """The steps of all 65,536 encodings: reads in bits [3:0], writes in bits [7:4].

        Numbers index `nvtrap.engine.STEPS`.
        """
        return self._whole().steps(self.bind(state))

    def decide_many(self, state: State, encodings: Any, writes: Any) -> Any:
        """The steps of many accesses, as numbers that index `nvtrap.engine.STEPS`.

        `encodings` and `writes` are equally long; numpy arrays give a numpy array,
        other sequences give bytes.
        """
        return self._whole().many(self.bind(state), encodings, writes)

    def explain(self, state: State, access: Access) -> Explanation:
        """Every step, every control with its current value, and what would change it."""
        from nvtrap.engine.explain import explain

        return explain(self, state, access)

    # ---- programs ----------------------------------------------------------

    def program(self, number: int, write: bool, host_el0: bool = False) -> Program:
        """The step of a rule in a context where rules apply, as a function of the words."""
        key = number, write, host_el0
        program = self._programs.get(key)
        if program is None:
            source = self._writer.rule(self.rule(number), write, host_el0=host_el0)
            program = self._programs[key] = compile_program(source)
        return program

    def fgu_program(self, number: int) -> Program:
        """Whether a disabled feature makes the rule's accesses undefined."""
        program = self._fgu_programs.get(number)
        if program is None:
            source = self._writer.fgu(self.rule(number))
            program = self._fgu_programs[number] = compile_program(source)
        return program

    def part_armed(self, part: Part, write: bool, words: tuple[int, ...], host_el0: bool) -> bool:
        """Whether one part of a rule traps."""
        return bool(compile_program(self._writer.part(part, write, host_el0=host_el0))(words))

    def acts_in_host_el0(self, number: int) -> bool:
        """Whether any control of the rule also takes effect in host EL0."""
        return any(self.control(part.control).host_el0 for part in self.rule(number).coarse)

    def _whole(self) -> Bulk:
        """The engine for all encodings at once, made when first asked for."""
        if self._bulk is None:
            from nvtrap.engine.bulk import Bulk

            self._bulk = Bulk(self)
        return self._bulk
