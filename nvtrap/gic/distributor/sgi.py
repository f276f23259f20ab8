"""Software generated interrupts: ICC_SGI0R_EL1, ICC_SGI1R_EL1, ICC_ASGI1R_EL1 (IHI 0069, 12.2).

Which PEs a write names, and whether an SGI as it is configured at a PE is generated
there: "Use of control registers for SGI forwarding", 12.1.
"""

from __future__ import annotations

from nvtrap.gic.distributor.bank import GROUP0, GROUP1_NS, GROUP1_S

TYPE_CHECKING = False
if TYPE_CHECKING:
    from nvtrap.gic.physical.interface import PhysicalInterface

# The registers, by the group they ask for: Group 0, Group 1 of the own security state, and
# Group 1 of the other one.
SGI0R, SGI1R, ASGI1R = "SGI0R", "SGI1R", "ASGI1R"

IRM = 1 << 40

# The groups in which an SGI may be configured to be generated; Non-secure writes with two
# security states need the level of GICR_NSACR that stands with the group.
_SINGLE = {SGI0R: (GROUP0,), SGI1R: (GROUP0, GROUP1_NS), ASGI1R: (GROUP0,)}
_SECURE = {SGI0R: (GROUP0,), SGI1R: (GROUP0, GROUP1_S), ASGI1R: (GROUP1_NS,)}
_NON_SECURE = {
    SGI0R: {GROUP0: 1},
    SGI1R: {GROUP1_NS: 0},
    ASGI1R: {GROUP0: 1, GROUP1_S: 2},
}


def generate(sender: PhysicalInterface, register: str, value: int, in_secure: bool) -> None:
    """Carry out a write of `value` by the PE of `sender`, in Secure state or not."""
    sgi = value >> 24 & 15
    for target in sender.distributor.interfaces:
        if _is_target(sender, target, value) and _is_accepted(target, sgi, register, in_secure):
            target.redistributor.ppis.latch |= 1 << sgi


def _is_target(sender: PhysicalInterface, target: PhysicalInterface, value: int) -> bool:
    """Whether a value names a PE: its cluster and place in the target list, or all others."""
    if value & IRM:
        return target is not sender
    affinity = target.affinity
    # Aff3 [55:48], Aff2 [39:32], Aff1 [23:16].
    cluster = value >> 48 & 0xFF, value >> 32 & 0xFF, value >> 16 & 0xFF
    if (affinity >> 24, affinity >> 16 & 0xFF, affinity >> 8 & 0xFF) != cluster:
        return False
    selected = value >> 44 & 15 if sender.parameters.range_selector else 0
    return affinity >> 4 & 15 == selected and bool(value >> (affinity & 15) & 1)


def _is_accepted(target: PhysicalInterface, sgi: int, register: str, in_secure: bool) -> bool:
    """Whether a PE takes an SGI in the group in which it is configured there."""
    bank = target.redistributor.ppis
    is_single = target.distributor.is_single
    group = bank.group_of(sgi, is_single)
    if is_single:
        return group in _SINGLE[register]
    if in_secure:
        return group in _SECURE[register]
    level = _NON_SECURE[register].get(group)
    if level is None:
        return False
    return level == 0 or bool(bank.granted(level) >> sgi & 1)
