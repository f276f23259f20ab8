"""TAP, version 14: the test points of which a report is made.

The Test Anything Protocol's specification says how descriptions are escaped; the YAML of
a diagnostic holds JSON strings only, which are YAML as well.
"""

from __future__ import annotations

from json import dumps

from nvtrap.cli.terminal import plain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    # Whether it is well, what it is, and what is to be said when it is not.
    Point = tuple[bool, str, Sequence[Mapping[str, str | int]]]


def document(points: Iterable[Point]) -> str:
    """The whole report: version, plan, and a test point each."""
    shown = [_point(number, point) for number, point in enumerate(points, 1)]
    return "".join(["TAP version 14\n", f"1..{len(shown)}\n", *shown])


def _point(number: int, point: Point) -> str:
    is_well, what, details = point
    head = f"{'ok' if is_well else 'not ok'} {number} - {_description(what)}\n"
    return head + _diagnostic(details) if details else head


def _description(text: str) -> str:
    return plain(text).replace("\\", "\\\\").replace("#", "\\#")


def _diagnostic(details: Sequence[Mapping[str, str | int]]) -> str:
    """A list of mappings, so that a point may have several findings."""
    lines = ["  ---"]
    for record in details:
        for number, (name, value) in enumerate(record.items()):
            lines.append(f"  {' ' if number else '-'} {name}: {dumps(value)}")
    return "\n".join([*lines, "  ...", ""])
