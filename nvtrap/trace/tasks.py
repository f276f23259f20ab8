"""One task's events, and what they show of its traps.

A vCPU runs in one task. Its trap begins with `kvm_handle_sys_reg`, and the next event of
the task shows what became of it (Linux, arch/arm64/kvm: `triage_sysreg_trap` in
emulate-nested.c, `kvm_handle_sys_reg` and `perform_access` in sys_regs.c):

* `kvm_forward_sysreg_trap` of the same access: L1 got it;
* `kvm_inject_nested_exception` with the same syndrome: the same, and the exact context;
* `kvm_sys_access`: L0 handled it itself, even if its handler then injects an exception;
* anything else of these events: L1 did not get it.

Each of the first three also stands for a trap where `kvm_handle_sys_reg` was not recorded.

A trace is read in pieces, each for itself, before it is known how the piece before ended.
Therefore a context is a *change* of the one in which the piece begins, and a task in a
piece begins with a trap of which nothing is known (`INCOMING`); `first` keeps the event
that ends it, until `join` puts the ending of the piece before and this one together.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    # EL, HCR_EL2, other registers by name; None is as before.
    Context = tuple[int | None, int | None, tuple[tuple[str, int], ...]]
    # Task, context, access, what is shown of it.
    Trap = tuple[bytes, Context, int, int]
    # Line, access or -1, EL and HCR_EL2 from which the exception was taken, and the context.
    Injection = tuple[int, int, int, int, Context]

UNCHANGED: Context = (None, None, ())
# What is shown of a trap; of the last trap of a task before a piece, nothing.
NOTHING, WAITING, FORWARDED, LOCAL, INCOMING = range(5)
# What ends the trap before a piece, beside an access (encoding << 1 | write) or an injection.
ENDS, LOST = -1, -2
EL2 = 2


def changed(context: Context, change: Context) -> Context:
    """The context after a change."""
    el, hcr, registers = change
    return (
        context[0] if el is None else el,
        context[1] if hcr is None else hcr,
        tuple(sorted({**dict(context[2]), **dict(registers)}.items())) if registers else context[2],
    )


class Traps:
    """Counts of equal traps, each with the first `most` of its lines."""

    __slots__ = ("counts", "most", "unshown")

    def __init__(self, most: int) -> None:
        self.most = most
        self.counts: dict[Trap, list[int]] = {}  # the count, then lines
        self.unshown = 0

    def add(self, trap: Trap, line: int) -> None:
        """Count a trap."""
        found = self.counts.get(trap)
        if found is None:
            found = self.counts[trap] = [0]
        found[0] += 1
        if len(found) <= self.most:
            found.append(line)


class Task:
    """What is known of one task at a place in the trace.

    `access`, `line`, `at` (the context) and `shown` are its last trap.
    """

    __slots__ = ("access", "at", "context", "first", "line", "name", "shown", "traps")

    def __init__(self, name: bytes, traps: Traps, context: Context, shown: int) -> None:
        self.name = name
        self.traps = traps
        self.context = context
        self.first: int | Injection | None = None
        self.line = 0
        self.access = ENDS
        self.at = context
        self.shown = shown

    # ---- the events ------------------------------------------------------------

    def handled(self, line: int, access: int) -> None:
        """`kvm_handle_sys_reg`."""
        self.close()
        self._begin(line, access, WAITING)

    def showed(self, line: int, access: int, shown: int) -> None:
        """`kvm_forward_sysreg_trap` or `kvm_sys_access`: `shown` is FORWARDED or LOCAL."""
        if self.shown != WAITING or self.access != access:
            self.close(access)
        self._begin(line, access, shown)

    def injected(self, line: int, access: int, el: int, hcr: int) -> None:
        """`kvm_inject_nested_exception` from `el`; `access` is -1 where it is no such trap."""
        registers = self.context[2]
        if self.shown == INCOMING:
            self.first = line, access, el, hcr, self.context
            self.shown = NOTHING
        else:
            self._inject(line, access, (el, hcr, registers))
        self.context = (EL2, hcr, registers)

    def _inject(self, line: int, access: int, before: Context) -> None:
        if access < 0 or self.access != access or self.shown == NOTHING:
            self.close()
            if access < 0:
                return
            self._begin(line, access, WAITING)
        if self.shown == WAITING:
            self.line, self.shown = line, FORWARDED
        if self.shown == FORWARDED:
            self.at = before
        self.close()

    def returned(self, el: int, hcr: int) -> None:
        """`kvm_nested_eret`, to `el`."""
        self.close()
        self.context = (el, hcr, self.context[2])

    def close(self, first: int = ENDS) -> None:
        """Count the last trap: no event of it follows. `first` is the access of this event."""
        shown = self.shown
        if shown == INCOMING:
            self.first = first
        elif shown != NOTHING:
            self.traps.add((self.name, self.at, self.access, shown), self.line)
        self.shown = NOTHING

    def lose(self) -> None:
        """Events were lost: of a trap that waits nothing will be known."""
        if self.shown == WAITING:
            self.traps.unshown += 1
            self.shown = NOTHING
        self.close(LOST)

    def _begin(self, line: int, access: int, shown: int) -> None:
        self.line, self.access, self.shown = line, access, shown
        self.at = self.context

    # ---- the seam between two pieces ---------------------------------------------

    def join(self, piece: Task, line: int) -> None:
        """Go on with the same task in the next piece, which begins behind `line`."""
        start, first = self.context, piece.first
        if isinstance(first, tuple):
            number, access, el, hcr, context = first
            self.context = changed(start, context)
            self.injected(line + number, access, el, hcr)
        elif first == LOST:
            self.lose()
        elif first is not None and (self.shown != WAITING or self.access != first):
            self.close()
        self.context = changed(start, piece.context)
        if piece.shown != INCOMING:
            self.line, self.access, self.shown = line + piece.line, piece.access, piece.shown
            self.at = changed(start, piece.at)
