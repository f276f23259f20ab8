"""What the figures share: a folder, the environments, a table and states to ask about."""

from __future__ import annotations

import os
import sys
from functools import cached_property
from pathlib import Path
from random import Random

import nvtrap
from nvtrap import State, Table
from tools.benchmarks import measure
from tools.benchmarks.figures import Machine
from tools.packages import build, install

TABLE = "linux-6.12"
# What the kernel reads for a trap, as recorded traps carry it.
REGISTERS = (
    "HCR_EL2",
    "HCRX_EL2",
    "MDCR_EL2",
    "CPTR_EL2",
    "CNTHCTL_EL2",
    "ICH_HCR_EL2",
    "HFGRTR_EL2",
    "HFGWTR_EL2",
    "HFGITR_EL2",
    "HDFGRTR_EL2",
    "HDFGWTR_EL2",
    "HAFGRTR_EL2",
)
MASKED = REGISTERS[6:]
TGE = 1 << 27


class Bench:
    """One run; everything in it is made when first needed, from the same seed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        os.environ["XDG_CACHE_HOME"] = str(folder / "cache")

    @cached_property
    def machine(self) -> Machine:
        """This machine's speed."""
        (bare,) = measure.process_ms([[str(self.checkout / "python"), "-c", "pass"]])
        hit = measure.loop_ns("hits[key]", {"hits": {n: n for n in range(1000)}, "key": 500})
        return Machine(bare, hit)

    @property
    def checkout(self) -> Path:
        """The `bin` of the environment that this runs in."""
        return Path(sys.executable).parent

    @cached_property
    def installed(self) -> Path:
        """The `bin` of an environment with the installed wheel."""
        return install(build("wheel", self.folder), self.folder / "installed")

    @cached_property
    def table(self) -> Table:
        """The Linux table."""
        return nvtrap.load(TABLE)

    def registers(self, random: Random) -> dict[str, int]:
        """Random values of the registers, outside hypervisor context."""
        values = {name: random.getrandbits(64) for name in REGISTERS}
        values["HCR_EL2"] &= ~TGE
        return values

    @cached_property
    def states(self) -> tuple[State, State]:
        """Two states to change between."""
        random = Random(1)
        return State(self.registers(random)), State(self.registers(random))
