"""The status of the list registers, and the maintenance interrupt.

IHI 0069, 6.5 "Maintenance interrupts" and 12.4.5 to 12.4.7 (ICH_EISR_EL2, ICH_ELRSR_EL2,
ICH_MISR_EL2). Nothing of it is stored: every register is derived when it is read.
"""

from __future__ import annotations

from nvtrap.gic.virtual import lr as lrs
from nvtrap.gic.virtual.interface import HCR_EN, HCR_EOICOUNT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from nvtrap.gic.virtual.interface import VirtualInterface

# ICH_HCR_EL2, 12.4.1.
UIE, LRENPIE, NPIE = 1 << 1, 1 << 2, 1 << 3
VGRP0EIE, VGRP0DIE, VGRP1EIE, VGRP1DIE = 1 << 4, 1 << 5, 1 << 6, 1 << 7
# ICH_MISR_EL2, 12.4.7.
EOI, U, LRENP, NP = 1 << 0, 1 << 1, 1 << 2, 1 << 3
VGRP0E, VGRP0D, VGRP1E, VGRP1D = 1 << 4, 1 << 5, 1 << 6, 1 << 7


def eisr(list_registers: Iterable[int]) -> int:
    """ICH_EISR_EL2: bit n is set when list register n waits for its EOI to be handled."""
    return _bits(list_registers, lrs.requests_eoi)


def elrsr(list_registers: Iterable[int]) -> int:
    """ICH_ELRSR_EL2: bit n is set when list register n is empty."""
    return _bits(list_registers, lrs.is_empty)


def _bits(list_registers: Iterable[int], holds: object) -> int:
    assert callable(holds)
    return sum(1 << n for n, lr in enumerate(list_registers) if holds(lr))


def misr(interface: VirtualInterface) -> int:
    """ICH_MISR_EL2: the reasons for a maintenance interrupt, whether or not En is set."""
    hcr = interface.hcr
    list_registers = interface.lrs
    bits = EOI if eisr(list_registers) else 0
    if hcr & UIE and sum(1 for lr in list_registers if lr & lrs.STATE) < 2:
        bits |= U
    if hcr & LRENPIE and hcr & HCR_EOICOUNT:
        bits |= LRENP
    if hcr & NPIE and not any(lrs.state(lr) == lrs.PENDING for lr in list_registers):
        bits |= NP
    group0, group1 = interface.enabled
    bits |= hcr & (VGRP0EIE if group0 else VGRP0DIE)
    bits |= hcr & (VGRP1EIE if group1 else VGRP1DIE)
    return bits


def signalled(interface: VirtualInterface) -> bool:
    """Whether the maintenance interrupt is asserted; a level, taken as a PPI."""
    return bool(interface.hcr & HCR_EN) and misr(interface) != 0
