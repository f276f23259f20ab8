"""Traces of real kernels: each trap is decided by a table, and compared."""

from __future__ import annotations

from nvtrap.engine import State
from nvtrap.engine.missing import missing
from nvtrap.engine.table import FORWARD, LOCAL, Bound
from nvtrap.trace import tasks
from nvtrap.trace.scan import Piece
from nvtrap.trace.tasks import NOTHING, UNCHANGED, WAITING, Task, Traps, changed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from nvtrap.engine import Outcome, Table
    from nvtrap.trace.tasks import Context

HCR_EL2 = "HCR_EL2"
SHOWN = {tasks.FORWARDED: "forwarded", tasks.LOCAL: "handled locally", WAITING: "not forwarded"}
# What the table may say of a trap of which so much is shown.
AGREES = {
    tasks.FORWARDED: (FORWARD,),
    tasks.LOCAL: (LOCAL,),
    WAITING: (LOCAL, "undef"),
}
_MOST_CONTEXTS = 1 << 12


class Decision:
    """The table's answer to an access in a context, and whether a trace contradicts it."""

    __slots__ = ("access", "apart", "outcome", "shown", "state")

    def __init__(self, bound: Bound, access: int, shown: int) -> None:
        self.state = bound.state
        self.access = access
        self.shown = shown
        self.outcome: Outcome = bound.decide(access >> 1, bool(access & 1))
        self.apart = self.outcome.outcome not in AGREES[shown]


class Row:
    """Equal traps with equal answers: how many there are, and how many contradict them."""

    __slots__ = ("access", "apart", "control", "count", "outcome", "place", "reason", "step")

    def __init__(self, decision: Decision) -> None:
        outcome = decision.outcome
        self.access = decision.access
        self.outcome = outcome.outcome
        self.step = outcome.step
        self.control = outcome.control
        self.place = "" if outcome.place is None else str(outcome.place)
        self.reason = outcome.reason
        self.count = 0
        self.apart = 0


class Report:
    """What a trace comes to.

    `rows` by access and rule; `apart` the first disagreements with their lines, of
    `disagreements` in all; `damage` the first damaged lines; `unshown` counts traps of
    which the trace does not show what became, `lost` the places where it lacks events.
    `lacks` are registers on which kept disagreements hang though nobody gave their values,
    `unknown` names of traced values that no register goes by, `seen` the kinds of events.
    """

    __slots__ = (
        "apart",
        "damage",
        "damaged",
        "disagreements",
        "lacks",
        "lines",
        "lost",
        "rows",
        "seen",
        "traps",
        "unknown",
        "unshown",
    )

    def __init__(self) -> None:
        self.rows: dict[tuple[int, str, str, str], Row] = {}
        self.apart: list[tuple[int, Decision]] = []
        self.damage: list[tuple[int, bytes, str]] = []
        self.lacks: list[str] = []
        self.unknown: set[str] = set()
        self.seen: frozenset[bytes] = frozenset()
        self.lines = self.traps = self.disagreements = self.damaged = self.unshown = self.lost = 0


class Replay:
    """Puts the pieces of a trace together, in their order, and decides their traps.

    `given` is the state in which nothing was traced yet; `most` is how many disagreements
    and damaged lines are kept.
    """

    def __init__(self, table: Table, given: State, most: int) -> None:
        self._table = table
        self._given = given
        self._most = most
        self._common = UNCHANGED
        self._tasks: dict[bytes, Task] = {}
        self._traps = Traps(most)
        self._bound: dict[Context, Bound] = {}
        self._decisions: dict[tuple[Context, int, int], Decision] = {}
        self.report = Report()

    def take(self, piece: Piece) -> None:
        """Go on with the next piece.

        Its traps and tasks are relative to the context that the pieces before have left.
        """
        report = self.report
        for (name, change, access, shown), found in piece.traps.counts.items():
            before = self._tasks.get(name)
            context = changed(self._common if before is None else before.context, change)
            self._count(context, access, shown, found, report.lines)
        for name, ending in piece.tasks.items():
            self._task(name).join(ending, report.lines)
        self._take_common(piece)
        self._count_own()
        room = self._most - len(report.damage)
        report.damage += [(report.lines + n, line, why) for n, line, why in piece.damage[:room]]
        report.damaged += piece.damaged
        report.unshown += piece.traps.unshown
        report.lost += piece.lost
        report.seen |= piece.seen
        report.lines += piece.lines
        self._keep_first()

    def finish(self) -> Report:
        """The report, when the last piece was taken.

        What became of a task's last trap is told by nothing where the trace records what
        follows every trap; else nothing forwarded it.
        """
        follows = not self.report.seen.isdisjoint((b"kvm_entry", b"kvm_sys_access"))
        for task in self._tasks.values():
            if follows:
                task.lose()
            task.close()
        self._count_own()
        self._keep_first()
        kept = {id(decision): decision for _, decision in self.report.apart}.values()
        lacking = [missing(self._table, found.state, found.outcome) for found in kept]
        self.report.lacks = sorted({name for names in lacking for name in names})
        return self.report

    def _keep_first(self) -> None:
        """Of the disagreements, keep the first."""
        self.report.apart = sorted(self.report.apart, key=lambda pair: pair[0])[: self._most]

    def _task(self, name: bytes) -> Task:
        found = self._tasks.get(name)
        if found is None:
            found = self._tasks[name] = Task(name, self._traps, self._common, NOTHING)
        return found

    def _take_common(self, piece: Piece) -> None:
        """What holds for all tasks also holds for those that the piece does not show."""
        self._common = changed(self._common, piece.common)
        if piece.common == UNCHANGED and not piece.lost:
            return
        for name, task in self._tasks.items():
            if name not in piece.tasks:
                task.context = changed(task.context, piece.common)
                if piece.lost:
                    task.lose()

    def _count_own(self) -> None:
        """Count the traps that ended at the seam of two pieces."""
        for (_, context, access, shown), found in self._traps.counts.items():
            self._count(context, access, shown, found, 0)
        self._traps.counts.clear()
        self.report.unshown += self._traps.unshown
        self._traps.unshown = 0

    def _count(
        self, context: Context, access: int, shown: int, found: list[int], behind: int
    ) -> None:
        report = self.report
        decision = self._decision(context, access, shown)
        count, *lines = found
        row = self._row(decision)
        row.count += count
        report.traps += count
        if decision.apart:
            row.apart += count
            report.disagreements += count
            report.apart += [(behind + line, decision) for line in lines]

    def _row(self, decision: Decision) -> Row:
        outcome = decision.outcome
        key = decision.access, outcome.step, outcome.control, str(outcome.place)
        row = self.report.rows.get(key)
        if row is None:
            row = self.report.rows[key] = Row(decision)
        return row

    def _decision(self, context: Context, access: int, shown: int) -> Decision:
        key = context, access, shown
        decision = self._decisions.get(key)
        if decision is None:
            if len(self._decisions) > 16 * _MOST_CONTEXTS:
                self._decisions.clear()
            decision = Decision(self._bind(context), access, shown)
            self._decisions[key] = decision
        return decision

    def _bind(self, context: Context) -> Bound:
        """The table bound to the given state with what was traced."""
        bound = self._bound.get(context)
        if bound is None:
            if len(self._bound) > _MOST_CONTEXTS:
                self._bound.clear()
            bound = self._bound[context] = Bound(self._table, self._state(context))
        return bound

    def _state(self, context: Context) -> State:
        el, hcr, registers = context
        given = self._given
        traced = dict(registers) if hcr is None else {**dict(registers), HCR_EL2: hcr}
        known = {name: self._table.names.spelled(name) for name in traced}
        self.report.unknown |= {name for name, spelled in known.items() if spelled is None}
        values = {known[name] or name: value for name, value in traced.items()}
        return State(
            {**given.registers, **values},
            el=given.el if el is None else el,
            nv=given.nv,
            res0=given.res0,
            fgu=given.fgu,
            features=given.features,
        )


def replay(pieces: Iterable[Piece], table: Table, given: State, most: int) -> Report:
    """Decide and compare the traps of a whole trace."""
    whole = Replay(table, given, most)
    for piece in pieces:
        whole.take(piece)
    return whole.finish()
