"""The GICv3 as silicon (Arm IHI 0069): what hardware does, with no hypervisor in it.

A `Machine` is a distributor, and for each PE a redistributor, a physical and a virtual CPU
interface, made from `Parameters`::

    machine = Machine()
    pe = machine.pes[0]
    pe.msr("ICH_HCR_EL2", 2, 1)
    machine.write(0x0800_0000, 4, 0x50)
"""

from __future__ import annotations

from nvtrap.gic.machine import Machine
from nvtrap.gic.parameters import Parameters
from nvtrap.gic.pe import PE
from nvtrap.gic.virtual.interface import VirtualInterface

__all__ = ["PE", "Machine", "Parameters", "VirtualInterface"]
