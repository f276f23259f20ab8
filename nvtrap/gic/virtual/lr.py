"""ICH_LR<n>_EL2, one list register: where its fields are, and its state machine.

IHI 0069, 12.4.3 (ICH_LR<n>_EL2). Bit 41 is an EOI request when HW is 0 and belongs to
pINTID when HW is 1::

    State[63:62] HW[61] Group[60] NMI[59] Priority[55:48] pINTID[44:32] vINTID[31:0]
                                                          EOI[41]
"""

from __future__ import annotations

INACTIVE = 0
PENDING = 1
ACTIVE = 2
PENDING_AND_ACTIVE = 3
STATE_NAMES = ("inactive", "pending", "active", "pending and active")

STATE_SHIFT = 62
PENDING_BIT = 1 << 62
ACTIVE_BIT = 1 << 63
STATE = PENDING_BIT | ACTIVE_BIT
HW = 1 << 61
GROUP = 1 << 60
NMI = 1 << 59
EOI = 1 << 41
GROUP_SHIFT = 60
PRIORITY_SHIFT = 48
PINTID_SHIFT = 32
PINTID = 0x1FFF << PINTID_SHIFT
VINTID = 0xFFFF_FFFF

# What can become of a list register's state while a guest runs (IHI 0069, 4.1.2 and
# 6.3): it is acknowledged, or deactivated. Only a hypervisor's write does anything else.
TRANSITIONS = {
    INACTIVE: (INACTIVE,),
    PENDING: (PENDING, ACTIVE),
    ACTIVE: (ACTIVE, INACTIVE),
    PENDING_AND_ACTIVE: (PENDING_AND_ACTIVE, PENDING),
}


def state(lr: int) -> int:
    """State, bits [63:62]: `INACTIVE`, `PENDING`, `ACTIVE` or `PENDING_AND_ACTIVE`."""
    return lr >> STATE_SHIFT & 3


def group(lr: int) -> int:
    """Group, bit [60]: 0 or 1."""
    return lr >> GROUP_SHIFT & 1


def priority(lr: int) -> int:
    """Priority, bits [55:48]."""
    return lr >> PRIORITY_SHIFT & 0xFF


def vintid(lr: int) -> int:
    """vINTID, bits [31:0]."""
    return lr & VINTID


def pintid(lr: int) -> int:
    """pINTID, bits [44:32]; it means something when HW is 1."""
    return lr >> PINTID_SHIFT & 0x1FFF


def make(
    vintid: int,
    state: int = PENDING,
    group: int = 1,
    priority: int = 0,
    pintid: int | None = None,
    eoi: bool = False,
) -> int:
    """A list register's value; with a `pintid` its HW bit is set."""
    lr = state << STATE_SHIFT | group << GROUP_SHIFT | priority << PRIORITY_SHIFT | vintid
    if pintid is not None:
        return lr | HW | pintid << PINTID_SHIFT
    return lr | (EOI if eoi else 0)


def requests_eoi(lr: int) -> bool:
    """Whether the ended interrupt wants a maintenance interrupt, its bit of ICH_EISR_EL2.

    IHI 0069, 12.4.2: State is 0, HW is 0, EOI is 1.
    """
    return lr & (STATE | HW | EOI) == EOI


def is_empty(lr: int) -> bool:
    """Whether the register holds nothing of use, its bit of ICH_ELRSR_EL2.

    IHI 0069, 12.4.2 (ICH_ELRSR_EL2): State is 0, and HW is 1 or EOI is 0.
    """
    return lr & STATE == 0 and lr & (HW | EOI) != EOI
