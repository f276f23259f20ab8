"""What `nvtrap replay` found, for people and for programs."""

from __future__ import annotations

from nvtrap.cli.accesses import direction_word, in_words
from nvtrap.cli.commands.query import NO_PART
from nvtrap.cli.terminal import show, show_table
from nvtrap.trace import SHOWN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterable, Iterator
    from typing import Any

    from nvtrap.cli.terminal import Line
    from nvtrap.engine import Table
    from nvtrap.trace import Decision, Report, Row

FORWARDS = (b"kvm_forward_sysreg_trap", b"kvm_inject_nested_exception")


def print_text(table: Table, report: Report, arguments: Namespace) -> None:
    """Counts in a table, disagreements, damaged lines, notes, and the totals last."""
    if report.rows:
        count = _by_rule if arguments.by == "rule" else _by_register
        show_table(*_right(*count(table, report)))
    show(_lines(table, report, arguments.trace))


def _right(headings: list[str], rows: list[list[str]]) -> tuple[list[str], list[list[str]]]:
    """The columns of numbers, which are digits and commas in every row, set to the right."""
    columns = []
    for heading, *cells in zip(headings, *rows, strict=True):
        width = max(map(len, (heading, *cells)))
        numbers = all(cell.replace(",", "").isdigit() or not cell for cell in cells)
        columns.append([c.rjust(width) if numbers else c for c in (heading, *cells)])
    first, *rest = map(list, zip(*columns, strict=True))
    return first, rest


# ---- counts ------------------------------------------------------------------------


def _grouped(report: Report, by: str) -> list[list[Row]]:
    """Rows of the same register and direction, or of the same rule; most traps first."""
    groups: dict[object, list[Row]] = {}
    for row in report.rows.values():
        rule = row.outcome, row.step, row.control, row.place
        groups.setdefault(row.access if by == "register" else rule, []).append(row)
    return sorted(groups.values(), key=lambda rows: (-_traps(rows), rows[0].access, rows[0].place))


def _traps(rows: Iterable[Row]) -> int:
    return sum(row.count for row in rows)


def _numbers(rows: list[Row]) -> list[str]:
    forwarded = _traps(row for row in rows if row.outcome == "forward")
    apart = sum(row.apart for row in rows)
    return [f"{_traps(rows):,}", f"{forwarded:,}", f"{apart:,}" if apart else ""]


def _by_register(table: Table, report: Report) -> tuple[list[str], list[list[str]]]:
    found = []
    for rows in _grouped(report, "register"):
        encoding, write = rows[0].access >> 1, bool(rows[0].access & 1)
        rules = [_rule(row) for row in sorted(rows, key=lambda row: -row.count)]
        name = [table.name_of(encoding, write), direction_word({write})]
        found.append([*name, *_numbers(rows), "; ".join(dict.fromkeys(rules))])
    return ["register", "access", "traps", "forwarded", "disagree", "by"], found


def _by_rule(table: Table, report: Report) -> tuple[list[str], list[list[str]]]:
    found = []
    for rows in _grouped(report, "rule"):
        accesses = in_words(table, ((row.access >> 1, bool(row.access & 1)) for row in rows))
        found.append([_rule(rows[0]), *_numbers(rows), accesses])
    return ["rule", "traps", "forwarded", "disagree", "accesses"], found


def _rule(row: Row) -> str:
    """`HCR.TID1 rules/linux/6.12/id.trap:9`; why no rule forwards, where none does."""
    words = [row.control] if row.control else [row.outcome, f"({row.step})"]
    return " ".join([*words, row.place] if row.place else words)


# ---- lines -------------------------------------------------------------------------


def _lines(table: Table, report: Report, trace: str) -> Iterator[Line]:
    for number, decision in report.apart:
        yield [(f"{trace}:{number}: ", ""), (_apart(table, decision), "red")]
    if report.disagreements > len(report.apart):
        more = report.disagreements - len(report.apart)
        yield [(f"and {_many(more, 'more disagreement')} (`--limit` shows them)", "dim")]
    for number, line, reason in report.damage:
        text = line.decode(errors="replace").strip()
        yield [(f"{trace}:{number}: damaged, {reason}: ", ""), (f"`{text}`", "dim")]
    if report.damaged > len(report.damage):
        more = report.damaged - len(report.damage)
        yield [(f"and {_many(more, 'more damaged line')}", "dim")]
    for note in notes(report):
        yield [(f"note: {note}", "italic")]
    style = "bold red" if report.disagreements else "bold green"
    yield [(_totals(report), style)]


def _apart(table: Table, decision: Decision) -> str:
    outcome = decision.outcome
    write = bool(decision.access & 1)
    name = table.name_of(decision.access >> 1, write)
    because = f"by {outcome.control}, {outcome.place}" if outcome.control else ""
    because = because or outcome.reason or NO_PART[outcome.step]
    return (
        f"{direction_word({write})} {name} was {SHOWN[decision.shown]}, the table says"
        f" {outcome.outcome} ({because}) in {decision.state!r}"
    )


def notes(report: Report) -> Iterator[str]:
    """What the trace lacks, and what the disagreements hang on."""
    if not report.traps:
        yield "the trace shows no trap; were the events of kvm enabled?"
    if report.lacks:
        were, them = ("was", "it") if len(report.lacks) == 1 else ("were", "them")
        names = ", ".join(report.lacks)
        yield (
            f"{names} {were} neither given nor traced and read as 0, disagreements hang on {them}"
        )
    if report.unknown:
        names = ", ".join(sorted(report.unknown)[:10])
        yield f"the trace gives values of {names}, which no register goes by"
    if b"kvm_handle_sys_reg" in report.seen and report.seen.isdisjoint(FORWARDS):
        yield "the trace has no event of a forwarded trap; was kvm_forward_sysreg_trap enabled?"
    if report.lost:
        yield f"events were lost at {_many(report.lost, 'place')}, what follows may be misjudged"
    if report.unshown:
        yield f"the trace ends before it shows what became of {_many(report.unshown, 'trap')}"


def _totals(report: Report) -> str:
    forwarded = _traps(row for row in report.rows.values() if row.outcome == "forward")
    return (
        f"{_many(report.lines, 'line')}, {_many(report.traps, 'trap')}, {forwarded:,} forwarded,"
        f" {_many(report.disagreements, 'disagreement')}, {_many(report.damaged, 'damaged line')}"
    )


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


# ---- JSON --------------------------------------------------------------------------


def print_json(table: Table, report: Report, arguments: Namespace) -> None:
    """Print everything as one object."""
    from json import dumps

    document = {
        "version": 1,
        "trace": arguments.trace,
        "table": arguments.table,
        "lines": report.lines,
        "traps": report.traps,
        "forwarded": _traps(row for row in report.rows.values() if row.outcome == "forward"),
        "disagreements": report.disagreements,
        "damaged": report.damaged,
        "unshown": report.unshown,
        "lost": report.lost,
        "counts": [_row(table, row) for rows in _grouped(report, arguments.by) for row in rows],
        "apart": [_record(table, number, decision) for number, decision in report.apart],
        "damage": [
            {"line": number, "text": line.decode(errors="replace"), "reason": reason}
            for number, line, reason in report.damage
        ],
        "notes": list(notes(report)),
    }
    print(dumps(document, indent=2))


def _access(table: Table, access: int) -> dict[str, Any]:
    write = bool(access & 1)
    return {"register": table.name_of(access >> 1, write), "dir": "W" if write else "R"}


def _row(table: Table, row: Row) -> dict[str, Any]:
    return {
        **_access(table, row.access),
        "count": row.count,
        "disagreements": row.apart,
        "outcome": row.outcome,
        "step": row.step,
        "control": row.control or None,
        "rule": row.place or None,
    }


def _record(table: Table, number: int, decision: Decision) -> dict[str, Any]:
    outcome, state = decision.outcome, decision.state
    return {
        "line": number,
        **_access(table, decision.access),
        "trace": SHOWN[decision.shown],
        "outcome": outcome.outcome,
        "step": outcome.step,
        "control": outcome.control or None,
        "rule": None if outcome.place is None else str(outcome.place),
        "el": state.el,
        "state": {name: hex(value) for name, value in state.registers.items()},
    }
