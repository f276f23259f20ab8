"""What can come of one line: passed, failed, or left out for a reason."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


class Score:
    """`problem` says why a line failed, `reason` why it was left out; both empty: passed.

    `apart` counts what of the line is not scored, by why: (agrees, differs).
    """

    __slots__ = ("apart", "problem", "reason")

    def __init__(
        self,
        problem: str = "",
        reason: str = "",
        apart: Mapping[str, tuple[int, int]] | None = None,
    ) -> None:
        self.problem = problem
        self.reason = reason
        self.apart = apart


PASSED = Score()


def failed(problem: str) -> Score:
    """A line that is answered otherwise."""
    return Score(problem=problem)


def left_out(reason: str) -> Score:
    """A line that the rules of its recording do not score."""
    return Score(reason=reason)


class Verdict:
    """The score of one line, by the name it goes by."""

    __slots__ = ("name", "score")

    def __init__(self, name: str, score: Score) -> None:
        self.name = name
        self.score = score
