"""GICH_LR<n>, one list register of a GICv2: where its fields are.

IHI 0048B, 5.3.10. With HW 0 the bits of the physical INTID hold what else is to be said:
the EOI request in bit 19, the source of an SGI in bits 12 to 10::

    HW[31] Grp1[30] State[29:28] Priority[27:23] PhysicalID[19:10] VirtualID[9:0]
                                                 EOI[19] CPUID[12:10]
"""

from __future__ import annotations

from nvtrap.gic.virtual import lr as v3

INACTIVE = 0
PENDING = 1
ACTIVE = 2
PENDING_AND_ACTIVE = 3

STATE_SHIFT = 28
PENDING_BIT = 1 << 28
ACTIVE_BIT = 1 << 29
STATE = PENDING_BIT | ACTIVE_BIT
HW = 1 << 31
GROUP = 1 << 30
GROUP_SHIFT = 30
EOI = 1 << 19
PRIORITY_SHIFT = 23
# A priority has five bits here, bits 7 to 3 of the usual eight.
PRIORITY_DROPPED = 3
PINTID_SHIFT = 10
PINTID = 0x3FF << PINTID_SHIFT
SOURCE_SHIFT = 10
VINTID = 0x3FF
FIELDS = HW | GROUP | STATE | 0x1F << PRIORITY_SHIFT | PINTID | VINTID


def state(lr: int) -> int:
    """State, bits [29:28]: `INACTIVE`, `PENDING`, `ACTIVE` or `PENDING_AND_ACTIVE`."""
    return lr >> STATE_SHIFT & 3


def group(lr: int) -> int:
    """Grp1, bit [30]: 0 or 1."""
    return lr >> GROUP_SHIFT & 1


def priority(lr: int) -> int:
    """Priority as eight bits, of which the lowest three are 0."""
    return lr >> (PRIORITY_SHIFT - PRIORITY_DROPPED) & 0xF8


def vintid(lr: int) -> int:
    """VirtualID, bits [9:0]."""
    return lr & VINTID


def pintid(lr: int) -> int:
    """PhysicalID, bits [19:10]; it means something when HW is 1."""
    return lr >> PINTID_SHIFT & 0x3FF


def source(lr: int) -> int:
    """CPUID, bits [12:10]: who sent the SGI; it means something when HW is 0."""
    return lr >> SOURCE_SHIFT & 7


def make(
    vintid: int,
    state: int = PENDING,
    group: int = 0,
    priority: int = 0,
    pintid: int | None = None,
    eoi: bool = False,
    source: int = 0,
) -> int:
    """A list register's value; with a `pintid` its HW bit is set; `priority` has eight bits."""
    lr = state << STATE_SHIFT | group << GROUP_SHIFT | vintid
    lr |= priority >> PRIORITY_DROPPED << PRIORITY_SHIFT
    if pintid is not None:
        return lr | HW | pintid << PINTID_SHIFT
    return lr | source << SOURCE_SHIFT | (EOI if eoi else 0)


def requests_eoi(lr: int) -> bool:
    """Whether the ended interrupt wants a maintenance interrupt, its bit of GICH_EISR.

    IHI 0048B, 5.3.7: State is 0, HW is 0, EOI is 1.
    """
    return lr & (STATE | HW | EOI) == EOI


def is_empty(lr: int) -> bool:
    """Whether the register holds nothing of use, its bit of GICH_ELRSR.

    IHI 0048B, 5.3.8: State is 0, and HW is 1 or EOI is 0.
    """
    return lr & STATE == 0 and lr & (HW | EOI) != EOI


def from_v3(lr: int) -> int:
    """ICH_LR<n>_EL2 of a GICv2 guest in this form (IHI 0069, 12.4.3 with EL1 using memory).

    The source of an SGI stands in bits 12 to 10 of vINTID there.
    """
    pintid = v3.pintid(lr) if lr & v3.HW else None
    is_eoi, sender = bool(lr & v3.EOI), lr >> SOURCE_SHIFT & 7
    return make(lr & VINTID, v3.state(lr), v3.group(lr), v3.priority(lr), pintid, is_eoi, sender)


def to_v3(lr: int) -> int:
    """The way back."""
    number = vintid(lr) if lr & HW else vintid(lr) | source(lr) << SOURCE_SHIFT
    hardware = pintid(lr) if lr & HW else None
    return v3.make(number, state(lr), group(lr), priority(lr), hardware, bool(lr & EOI))
