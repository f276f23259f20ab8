"""`nvtrap cover`: a table against the architecture."""

from __future__ import annotations

import sys

from nvtrap import load
from nvtrap.analysis.coverage import DELIBERATE, KINDS, Coverage
from nvtrap.cli.accesses import in_words
from nvtrap.cli.terminal import show
from nvtrap.states import features_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator
    from typing import Any

    from nvtrap.analysis.coverage import Gap
    from nvtrap.cli.arguments import Parser
    from nvtrap.cli.terminal import Line
    from nvtrap.engine import Table

EXAMPLES = """\
  nvtrap cover linux-6.12
  nvtrap cover mine.trap --against arch --features armv8.4 --json

exit code: 0 nothing but deliberate gaps, 1 findings, 2 failure"""

ABOUT = {
    "missing": "the architecture traps, the table has nothing for it",
    "hole in an array": "other elements of the array have it",
    "wrong direction": "the control stands for the other direction only",
    "wrong polarity": "the control is armed by the opposite value",
    "wrong layout": "the control is right for one value of HCR_EL2.E2H only",
    "wrong EL or context": "the same control, at other ELs or under other conditions",
    "other condition": "the same bits, tested otherwise",
    "surplus": "the table traps, the architecture does not",
    "deliberate gap": "`local … because`",
}


def add_arguments(parser: Parser) -> None:
    """Add what `cover` takes."""
    add = parser.add_argument
    add(
        "table",
        metavar="TABLE",
        help="a shipped table, or the path of a rule file or compiled table",
    )
    add("--against", default="arch", metavar="NAME", help="the table that is right (default: arch)")
    add(
        "--features",
        metavar="LIST",
        help="features and profiles, such as armv8.4,FEAT_NV2 (default: all)",
    )
    add("--json", action="store_true", help="as JSON")


def run(arguments: Namespace) -> int:
    """Compare, and print by kind."""
    table, arch = load(arguments.table), load(arguments.against)
    features = features_of(arguments.features, arch)
    found = Coverage(table, arch, features).gaps()
    if arguments.json:
        from json import dumps

        records = [_record(arch, gap) for gap in found]
        document = {"version": 1, "table": arguments.table, "against": arguments.against}
        sys.stdout.write(dumps({**document, "gaps": records}, indent=2) + "\n")
    else:
        show(_lines(arch, found, arguments))
    return 1 if any(gap.kind != DELIBERATE for gap in found) else 0


def _lines(arch: Table, gaps: list[Gap], arguments: Namespace) -> Iterator[Line]:
    """A heading for each kind; below it a block for each control and pair of rules."""
    for kind in KINDS:
        blocks = _blocks([gap for gap in gaps if gap.kind == kind])
        if blocks:
            accesses = sum(map(len, blocks.values()))
            yield [(f"{kind} ({accesses}): ", "bold"), (ABOUT[kind], "")]
        for block in blocks.values():
            first = block[0]
            yield [(f"  {first.control:<28}", "cyan"), (_places(first, arguments), "dim")]
            yield [(f"    {in_words(arch, [(gap.encoding, gap.write) for gap in block])}", "")]
            reason = f": {first.reason}" if first.reason else ""
            yield [(f"    in {first.witness!r}{reason}", "dim")]
    wrong = sum(gap.kind != DELIBERATE for gap in gaps)
    yield [(f"{wrong} accesses with findings, {len(gaps) - wrong} deliberate", "bold")]


def _blocks(gaps: list[Gap]) -> dict[tuple[str, ...], list[Gap]]:
    """The gaps that differ in nothing but the access, in one block."""
    blocks: dict[tuple[str, ...], list[Gap]] = {}
    for gap in gaps:
        key = (gap.control, gap.arch_place, gap.place, repr(gap.witness))
        blocks.setdefault(key, []).append(gap)
    return blocks


def _places(gap: Gap, arguments: Namespace) -> str:
    words = []
    if gap.arch_place:
        words.append(f"{arguments.against}: {gap.arch_place}")
    if gap.place:
        words.append(f"{arguments.table}: {gap.place}")
    return ", ".join(words)


def _record(arch: Table, gap: Gap) -> dict[str, Any]:
    return {
        "kind": gap.kind,
        "register": arch.name_of(gap.encoding, gap.write),
        "dir": "W" if gap.write else "R",
        "control": gap.control,
        "arch_rule": gap.arch_place or None,
        "rule": gap.place or None,
        "state": {name: hex(value) for name, value in gap.witness.registers.items()},
        "el": gap.witness.el,
        "reason": gap.reason or None,
    }
