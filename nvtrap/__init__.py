"""Which system-register traps does a nested hypervisor want?

`load` a table, describe the vCPU with a `State`, ask about an `Access`::

    table = nvtrap.load("linux-6.12")
    state = nvtrap.State({"HCR_EL2": 1 << 16})
    table.decide(state, nvtrap.Access("REVIDR_EL1"))

Names are imported when first used, so that importing the package costs nothing.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from nvtrap.arch import Access as Access
    from nvtrap.engine import Outcome as Outcome
    from nvtrap.engine import State as State
    from nvtrap.engine import Table as Table
    from nvtrap.errors import NvtrapError as NvtrapError
    from nvtrap.store import load as load

__version__ = "0.1.0"

_HOMES = {
    "Access": "nvtrap.arch",
    "NvtrapError": "nvtrap.errors",
    "Outcome": "nvtrap.engine",
    "State": "nvtrap.engine",
    "Table": "nvtrap.engine",
    "load": "nvtrap.store",
}
__all__ = ["Access", "NvtrapError", "Outcome", "State", "Table", "load"]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module `nvtrap` has no attribute `{name}`")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
