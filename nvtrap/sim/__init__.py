"""Scenarios: L0, L1 and L2 together, step by step (grammar/sim.md).

::

    scenario = parse(*read("timer"))
    for record in Runner(scenario).run():
        print(record.to_json())
"""

from __future__ import annotations

from nvtrap.sim.parse import parse
from nvtrap.sim.runner import Runner
from nvtrap.sim.scenario import Scenario
from nvtrap.sim.source import names, read

__all__ = ["Runner", "Scenario", "names", "parse", "read"]
