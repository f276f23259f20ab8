"""A piece of a trace, read for itself: its traps, and how each task begins and ends."""

from __future__ import annotations

from nvtrap.errors import UsageError
from nvtrap.trace.events import EVENTS, EVERYBODY, L1_STATE, l1_state
from nvtrap.trace.lines import BARE_EVENT, COMMENT, EVENT, LOST, OTHER
from nvtrap.trace.tasks import INCOMING, NOTHING, UNCHANGED, Task, Traps, changed
from nvtrap.trace.tasks import LOST as EVENTS_LOST

TYPE_CHECKING = False
if TYPE_CHECKING:
    from nvtrap.trace.events import Event
    from nvtrap.trace.tasks import Context

MOST_IN_A_LINE = 1 << 16
MOST_OF_A_LINE = 120
L1_STATE_IS = L1_STATE + b":"


class Piece:
    """What a piece of a trace comes to.

    `common` is the change of everybody's context, `lost` whether events were lost, `seen`
    the names of its events, `damage` the first damaged lines: number, beginning, reason.
    """

    __slots__ = ("common", "damage", "damaged", "lines", "lost", "most", "seen", "tasks", "traps")

    def __init__(self, most: int) -> None:
        self.most = most
        self.traps = Traps(most)
        self.tasks: dict[bytes, Task] = {}
        self.common = UNCHANGED
        self.lost = 0
        self.lines = 0
        self.damaged = 0
        self.damage: list[tuple[int, bytes, str]] = []
        self.seen: frozenset[bytes] = frozenset()

    def task(self, name: bytes) -> Task:
        """The task of that name, begun if this is its first event in the piece."""
        found = self.tasks.get(name)
        if found is None:
            shown = NOTHING if self.lost else INCOMING
            found = self.tasks[name] = Task(name, self.traps, self.common, shown)
            found.first = EVENTS_LOST if self.lost else None
        return found

    def change(self, name: bytes, change: Context) -> None:
        """Change the context of a task, or of all."""
        if name != EVERYBODY:
            task = self.task(name)
            task.context = changed(task.context, change)
            return
        self.common = changed(self.common, change)
        for task in self.tasks.values():
            task.context = changed(task.context, change)

    def lose(self) -> None:
        """Events were lost, of which task nobody knows."""
        self.lost += 1
        for task in self.tasks.values():
            task.lose()

    def damages(self, number: int, line: bytes, reason: str) -> None:
        """Count a damaged line."""
        self.damaged += 1
        if len(self.damage) < self.most:
            self.damage.append((number, line[:MOST_OF_A_LINE], reason))


def scan(data: bytes, most: int) -> Piece:
    """Read whole lines of a trace; of everything countable the first `most` lines are kept."""
    piece = Piece(most)
    piece.seen = frozenset(name for name in EVENTS if name + b":" in data)
    lines = data.split(b"\n")
    if not lines[-1]:
        lines.pop()
    piece.lines = len(lines)
    scanner = _Scanner(piece)
    read = scanner.read
    for number, line in enumerate(lines, 1):
        try:
            read(number, line)
        except UsageError as error:
            piece.damages(number, line, error.message)
    return piece


class _Scanner:
    """Reads lines, and knows again what it has seen in them.

    A line `BEFORE TIME: NAME: text` whose BEFORE and NAME have stood in another such line
    needs no pattern: it is of the same task, and of the same event. The methods raise
    `UsageError` for a damaged line.
    """

    __slots__ = ("_events", "_piece", "_tasks")

    def __init__(self, piece: Piece) -> None:
        self._piece = piece
        self._tasks: dict[bytes, Task] = {}
        self._events: dict[bytes, Event] = {}

    def read(self, number: int, line: bytes) -> None:
        """Read a line."""
        if len(line) > MOST_IN_A_LINE:
            raise UsageError(f"a line has at most {MOST_IN_A_LINE >> 10} KiB")
        parts = line.split(b": ", 2)
        if len(parts) < 3:
            self._unknown(number, line, b"", b"", 0)
            return
        head, name, text = parts
        before, _, time = head.rpartition(b" ")
        if not time.translate(None, b".").isdigit():
            self._unknown(number, line, b"", b"", 0)
            return
        task, event = self._tasks.get(before), self._events.get(name)
        if task is None or event is None:
            self._unknown(number, line, before, name, len(head) + 2 + len(name))
        else:
            event(task, number, text)

    def _unknown(self, number: int, line: bytes, before: bytes, name: bytes, end: int) -> None:
        """Read a line by its pattern; know BEFORE and NAME if its event's name ends at `end`."""
        match = EVENT(line)
        if match is None:
            self._no_task(number, line)
            return
        task = self._piece.task(match[1])
        event = self._event(match[2])
        if match.end(2) == end:
            self._tasks[before], self._events[name] = task, event
        event(task, number, line[match.end() :])

    def _no_task(self, number: int, line: bytes) -> None:
        """Read a line that does not begin with a task."""
        if COMMENT(line):
            _, found, text = line.partition(L1_STATE_IS)
            if found:
                self._change(EVERYBODY, text)
        elif LOST(line):
            self._piece.lose()
        elif not OTHER(line):
            match = BARE_EVENT(line)
            if match is None:
                raise UsageError("no tracer prints such a line")
            task = self._piece.task(b"" if match[1] is None else b"CPU " + match[1])
            self._event(match[2])(task, number, line[match.end() :])

    def _event(self, name: bytes | None) -> Event:
        """What an event does; any but those of KVM may carry a state."""
        if name == L1_STATE:
            return self._l1_state
        return EVENTS.get(name or b"", self._other)

    def _l1_state(self, task: Task, line: int, text: bytes) -> None:
        del line
        self._change(task.name, text)

    def _other(self, task: Task, line: int, text: bytes) -> None:
        del line
        if L1_STATE_IS in text:
            self._change(task.name, text.partition(L1_STATE_IS)[2])

    def _change(self, task: bytes, text: bytes) -> None:
        named, change = l1_state(text)
        self._piece.change(task if named is None else named, change)
