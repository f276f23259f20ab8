"""What a figure is, and the machine that figures are scaled by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from tools.benchmarks.bench import Bench

BARE_MS = 12.6
DICT_NS = 27.0


class Measured(NamedTuple):
    """A value in the figure's unit, and what else is worth knowing."""

    value: float
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Machine:
    """This machine: a bare `python -c pass` as a whole process, and one dict hit."""

    bare_ms: float
    dict_ns: float

    def slowness(self, scale: str) -> float:
        """How many times slower than the reference machine: at `processes` or at `code`."""
        return {"processes": self.bare_ms / BARE_MS, "code": self.dict_ns / DICT_NS}.get(scale, 1.0)


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure: how it is measured, in which unit, and what it must keep to.

    `most` is an upper limit, `least` a lower one; `scale` says whether the value grows
    with the machine's `processes` or `code`, or stays (``""``, ratios).
    """

    name: str
    title: str
    unit: str
    measure: Callable[[Bench], Measured]
    scale: str = ""
    most: float | None = None
    least: float | None = None

    def scaled(self, value: float, machine: Machine) -> float:
        """The value that the reference machine would give."""
        slowness = machine.slowness(self.scale)
        return value * slowness if self.unit.endswith("/s") else value / slowness

    def is_over(self, scaled: float) -> bool:
        """Whether a scaled value is on the wrong side of the limit."""
        too_much = self.most is not None and scaled > self.most
        return too_much or (self.least is not None and scaled < self.least)


FIGURES: dict[str, Figure] = {}


def figure(
    title: str, unit: str, **limits: Any
) -> Callable[[Callable[[Bench], Measured]], Callable[[Bench], Measured]]:
    """Register the function below as a figure; `limits` are `scale`, `most` and `least`."""

    def register(measure: Callable[[Bench], Measured]) -> Callable[[Bench], Measured]:
        name = measure.__name__.replace("_", "-")
        FIGURES[name] = Figure(name, title, unit, measure, **limits)
        return measure

    return register
