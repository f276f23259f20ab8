"""The differences of two tables for people, for programs, and for pull requests."""

from __future__ import annotations

from nvtrap.analysis.differences import OUTCOME, STEP, TEXT, UNDEF
from nvtrap.cli.accesses import in_words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from nvtrap.analysis.differences import Difference
    from nvtrap.cli.terminal import Line
    from nvtrap.engine import Table

STYLES = {OUTCOME: "bold red", UNDEF: "bold magenta", STEP: "bold yellow", TEXT: "dim"}
QUIET = {STEP: "the deciding step", TEXT: "the text of the rules"}


class Report:
    """All forms of one comparison; `names` are what the user called the two tables."""

    def __init__(
        self,
        names: tuple[str, str],
        tables: Sequence[Table],
        differences: list[Difference],
        *,
        with_text: bool,
    ) -> None:
        self._names = names
        self._tables = tables
        self._all = differences
        self._shown = [d for d in differences if d.kind != TEXT or with_text]

    # ---- people ------------------------------------------------------------

    def lines(self) -> Iterator[Line]:
        """A block for each difference, then the counts."""
        for difference in self._shown:
            yield [(self._title(difference), STYLES[difference.kind])]
            yield [(f"  {self._accesses(difference)}", "")]
            if difference.kind != TEXT:
                yield [(f"  in {difference.witness!r}", "cyan")]
            for name, outcome, places in self._sides(difference):
                yield [(f"    {name}: ", ""), (outcome, "bold"), (f"  {places}", "dim")]
            yield [("", "")]
        yield [(self._summary(), "bold")]

    def _title(self, difference: Difference) -> str:
        count = len(difference.accesses)
        accesses = f"{count} access" + "es" * (count != 1)
        if difference.kind == OUTCOME:
            only, other = self._names[difference.side], self._names[1 - difference.side]
            return f"{accesses}: {only} forwards by {difference.cause}, {other} does not"
        if difference.kind == UNDEF:
            return f"{accesses}: undefined in one of them, by disabled features"
        return f"{accesses}: only {QUIET[difference.kind]} differs"

    def _accesses(self, difference: Difference) -> str:
        return in_words(self._tables[difference.side], difference.accesses)

    def _sides(self, difference: Difference) -> Iterator[tuple[str, str, str]]:
        sides = zip(self._names, difference.outcomes, difference.places, strict=True)
        for name, outcome, places in sides:
            more = f" and {len(places) - 4} more" if len(places) > 4 else ""
            yield name, outcome, ", ".join(places[:4]) + more if places else "no rule"

    def _summary(self) -> str:
        counts = dict.fromkeys((OUTCOME, UNDEF, STEP, TEXT), 0)
        for difference in self._all:
            counts[difference.kind] += len(difference.accesses)
        if not self._all:
            return f"{self._names[0]} and {self._names[1]} behave the same"
        words = {
            OUTCOME: "differ in outcome",
            UNDEF: "in what is undefined",
            STEP: "in the deciding step only",
            TEXT: "in text only",
        }
        return "accesses that " + ", ".join(f"{words[kind]}: {n}" for kind, n in counts.items())

    # ---- programs ----------------------------------------------------------

    def json(self) -> str:
        """A list of differences with all their accesses."""
        from json import dumps

        document = {
            "version": 1,
            "tables": list(self._names),
            "differences": [self._record(difference) for difference in self._shown],
        }
        return dumps(document, indent=2) + "\n"

    def _record(self, difference: Difference) -> dict[str, Any]:
        table = self._tables[difference.side]
        state = difference.witness
        return {
            "kind": difference.kind,
            "forwards": self._names[difference.side] if difference.kind == OUTCOME else None,
            "cause": difference.cause or None,
            "state": {name: hex(value) for name, value in state.registers.items()},
            "el": state.el,
            "outcomes": list(difference.outcomes),
            "rules": [list(places) for places in difference.places],
            "accesses": [
                {"register": table.name_of(encoding, write), "dir": "W" if write else "R"}
                for encoding, write in difference.accesses
            ],
        }

    def markdown(self) -> str:
        """A heading, a table and the counts."""
        first, second = self._names
        lines = [f"### Behaviour of `{second}` against `{first}`", "", self._summary() + ".", ""]
        shown = [d for d in self._shown if d.kind in (OUTCOME, UNDEF)]
        if shown:
            lines += [
                f"| accesses | in the state | `{first}` | `{second}` | cause |",
                "| --- | --- | --- | --- | --- |",
            ]
            lines += [self._row(difference) for difference in shown]
        quiet = [d for d in self._shown if d.kind == STEP]
        if quiet:
            lines += ["", "Only the deciding step differs for:", ""]
            lines += [f"* {_cell(self._accesses(difference))}" for difference in quiet]
        return "\n".join(lines) + "\n"

    def _row(self, difference: Difference) -> str:
        sides = [f"**{outcome}** {_cell(places)}" for _, outcome, places in self._sides(difference)]
        cause = f"`{_cell(difference.cause)}`" if difference.cause else "disabled features"
        cells = [_cell(self._accesses(difference)), f"`{difference.witness!r}`", *sides, cause]
        return "| " + " | ".join(cells) + " |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
