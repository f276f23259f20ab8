"""What a set of features does to a table: bits that are not there, registers that are not.

In the architecture's table absent fields read as they do without their feature, and
absent registers are undefined. A table of a kernel knows features by what the kernel
keeps of them: RES0 masks of the registers it sanitises, and the fine-grained bits whose
feature it has disabled.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from nvtrap.table.model import CompiledTable


class FeatureView:
    """One table under one set of features.

    `absent` is (mask, value) by register, `fgu` the disabled bits by group number,
    `undefined` the encodings that are undefined.
    """

    __slots__ = ("absent", "fgu", "undefined")

    def __init__(self, table: CompiledTable, present: frozenset[str]) -> None:
        read = range(len(table.slots)) if table.disarm else table.sanitised
        self.absent = {
            table.slots[slot]: bits
            for slot in read
            if (bits := table.features.absent_bits(table.slots[slot], present))[0]
        }
        self.fgu = [0] * len(table.groups)
        self.undefined: frozenset[int] = frozenset()
        if table.disarm:
            self.undefined = table.features.undefined(present)
            return
        self.absent = {register: (mask, 0) for register, (mask, _) in self.absent.items()}
        for number, group in enumerate(table.groups):
            if group.fgu:
                for register in group.registers:
                    self.fgu[number] |= table.features.absent_bits(register, present)[0]
