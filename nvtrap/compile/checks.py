"""Checks of a whole table: what no single statement can be blamed for."""

from __future__ import annotations

from nvtrap.compile.catalogue import Catalogue
from nvtrap.compile.controls import Controls
from nvtrap.compile.expressions import Slots
from nvtrap.compile.rules import Entry, Part
from nvtrap.lang import nodes
from nvtrap.lang.findings import Label, Report
from nvtrap.lang.source import Span

# Every question about a table costs a look at each.
MOST_SLOTS = 1024


def check_entries(entries: dict[int, Entry], catalogue: Catalogue, report: Report) -> None:
    """An encoding that is declared local must not be trapped."""
    clashes: dict[tuple[Span, Span], list[int]] = {}
    for encoding, entry in entries.items():
        parts = entry.coarse + entry.fine
        if entry.local is not None and parts:
            clashes.setdefault((entry.local.span, parts[0].span), []).append(encoding)
    for (local, trap), shared in clashes.items():
        report.add(
            "NV043",
            f"{catalogue.describe(sorted(shared))} {'is' if len(shared) == 1 else 'are'} both"
            " local and trapped",
            local,
            "",
            Label(trap, "trapped here"),
        )


def check_polarities(
    entries: dict[int, Entry], controls: Controls, report: Report
) -> dict[tuple[int, int], bool]:
    """One polarity for each (group, bit); the result says which bits trap when 0."""
    polarity: dict[tuple[int, int], Part] = {}
    groups = list(controls.groups.values())
    for entry in entries.values():
        for part in entry.fine:
            first = polarity.setdefault((part.group, part.bit), part)
            if first.negative != part.negative:
                report.add(
                    "NV038",
                    f"bit {part.bit} of group `{groups[part.group].name}` has two polarities",
                    part.span,
                    "",
                    Label(first.span, f"here it traps when {0 if first.negative else 1}"),
                )
    return {key: part.negative for key, part in polarity.items()}


def check_unused(controls: Controls, report: Report) -> None:
    """Every control of a table should be named by a rule or a used combo."""
    for control in controls.controls:
        if not control.used:
            report.add(
                "NV035",
                f"{control.kind} `{control.name}` is used by no rule",
                control.span,
                "use it, or delete it",
            )


def check_limits(
    table: nodes.Table,
    entries: dict[int, Entry],
    controls: Controls,
    slots: Slots,
    report: Report,
) -> None:
    """What the table's word numbers must fit the bits it has for that."""
    if len(slots.names) > MOST_SLOTS:
        text = f"the table reads more than {MOST_SLOTS} registers and features"
        report.add("NV006", text, table.span)
    parts = {id(part): part for entry in entries.values() for part in entry.fine}
    filters = {str(part.guard) for part in parts.values()}
    counts = {
        "controls": len(controls.controls),
        "groups": len(controls.groups),
        "filters": len(filters - {"['true']"}),
    }
    for limit in table.limits:
        if counts[limit.what] > limit.most:
            report.add(
                "NV036",
                f"the table has {counts[limit.what]} {limit.what}, its word can number"
                f" {limit.most}",
                limit.span,
            )
