"""Recorded sequences of the VMID allocator.

::

    {"vmid_bits", "cpus", "steps": [{"op": "update" | "put" | "new", "cpu", "vm",
      "vmid", "generation", "flush", "active", "reserved"}]}
"""

from __future__ import annotations

from nvtrap.conform.host.fields import Fields, compare
from nvtrap.conform.verdicts import PASSED
from nvtrap.errors import UsageError
from nvtrap.inputs import shown
from nvtrap.kvm.memory.vmid import MOST_BITS, Vmid, VmidAllocator

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from nvtrap.conform.verdicts import Score

MOST_CPUS = 4096  # what an arm64 kernel can be built for
MOST_STEPS = 1 << 20
NO_VM = -1


def judge(record: dict[str, Any]) -> Score:
    """The score of one sequence.

    Raises `UsageError` for a line that is not of the form above.
    """
    line = Fields(record)
    cpus = line.number("cpus", 1, MOST_CPUS)
    allocator = VmidAllocator(line.number("vmid_bits", 1, MOST_BITS), cpus)
    sequence = Sequence(allocator, cpus)
    for index, step in enumerate(line.items("steps", MOST_STEPS)):
        if type(step) is not dict:
            raise UsageError(f"`steps[{index}]` is `{shown(step)}`, it is an object")
        got = sequence.run(step, index)
        expected = {key: step.get(key) for key in got}
        if got != expected:
            return compare(expected, got, f"steps[{index}]")
    return PASSED


class Sequence:
    """An allocator and the VMs of one sequence."""

    __slots__ = ("_allocator", "_cpus", "_vms")

    def __init__(self, allocator: VmidAllocator, cpus: int) -> None:
        self._allocator = allocator
        self._cpus = cpus
        self._vms: dict[int, Vmid] = {}

    def run(self, step: dict[str, Any], index: int) -> dict[str, Any]:
        """What is to be seen after a step; None where there is nothing.

        Raises `UsageError` for a step that cannot be run.
        """
        op, cpu, vm = step.get("op"), step.get("cpu"), step.get("vm", NO_VM)
        if type(cpu) is not int or not 0 <= cpu < self._cpus:
            raise UsageError(f"`steps[{index}].cpu` is `{shown(cpu)}`, there are {self._cpus}")
        if type(vm) is not int or (vm == NO_VM and op != "put"):
            raise UsageError(f"`steps[{index}].vm` is no number of a VM")
        seen: dict[str, Any] = {}
        if op == "update":
            seen = self._update(vm, cpu)
        elif op == "put":
            self._allocator.clear_active(cpu)
        elif op == "new":
            self._vms[vm] = Vmid()
        else:
            raise UsageError(f"`steps[{index}].op` is `{shown(op)}`, it is update, put or new")
        seen["active"] = f"{self._allocator.active[cpu]:#x}"
        seen["reserved"] = f"{self._allocator.reserved[cpu]:#x}"
        return seen

    def _update(self, vm: int, cpu: int) -> dict[str, Any]:
        holder = self._vms.get(vm)
        if holder is None:
            holder = self._vms[vm] = Vmid()
        flush = self._allocator.update(holder, cpu)
        vmid, generation = self._allocator.split(holder)
        return {"vmid": vmid, "generation": generation, "flush": True if flush else None}
