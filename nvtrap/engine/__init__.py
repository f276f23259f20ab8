"""Table + state → outcome: one access, many, and why."""

from __future__ import annotations

from nvtrap.engine.programs import STEPS
from nvtrap.engine.state import State
from nvtrap.engine.table import FORWARD, LOCAL, OUTCOMES, UNDEF, Bound, Outcome, Table

__all__ = [
    "FORWARD",
    "LOCAL",
    "OUTCOMES",
    "STEPS",
    "UNDEF",
    "Bound",
    "Outcome",
    "State",
    "Table",
]
