"""What can come of one line: passed, failed, or left out for a reason."""

from __future__ import annotations


class Score:
    """`problem` says why a line failed, `reason` why it was left out; both empty: passed."""

    __slots__ = ("problem", "reason")

    def __init__(self, problem: str = "", reason: str = "") -> None:
        self.problem = problem
        self.reason = reason


PASSED = Score()


def failed(problem: str) -> Score:
    """A line that the table answers otherwise."""
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
