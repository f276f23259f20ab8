"""Priorities: what of them counts for preemption, and the active-priority bit sets.

A priority is 8 bits, 0 the highest; an implementation has its top 4 to 8 bits (IHI 0069,
4.8 "Interrupt prioritization"). The binary point register of a group splits it into
group priority and subpriority. The active priorities of a group, the ICx_AP<g>R<n>
registers taken together, are one bit set here: bit b of register n is bit 32n + b, and
stands for the group priority b << (8 - preemption bits) of n = 0, and so on.
"""

from __future__ import annotations

IDLE = 0xFF
HIGHEST_BPR = 7


def minimum_bpr0(preemption_bits: int) -> int:
    """The smallest value ICx_BPR0 holds: 7 less the preemption bits (IHI 0069, 4.8.2)."""
    return max(0, 7 - preemption_bits)


def minimum_bpr1(preemption_bits: int) -> int:
    """The smallest value ICx_BPR1 holds in a Non-secure or virtual view: one more."""
    return 8 - preemption_bits


def group_mask(bpr: int, group: int) -> int:
    """The bits of a priority that are its group priority, under binary point `bpr` (0..7).

    Group 1 has one group-priority bit more than Group 0 at the same value, when it uses
    its own register (IHI 0069, tables 4-6 and 4-7).
    """
    return 0xFF << (bpr + 1 - group) & 0xFF


def highest(active: int) -> int:
    """The number of the highest active priority, the lowest set bit; -1 when none is."""
    return (active & -active).bit_length() - 1


def words(active: int, count: int = 4) -> list[int]:
    """The `count` ICx_AP<g>R<n> registers, 32 bits each, of active priorities."""
    return [active >> 32 * n & 0xFFFF_FFFF for n in range(count)]


def with_word(active: int, n: int, value: int, preemption_bits: int) -> int:
    """Active priorities with register n (0..3) written; unimplemented bits stay 0."""
    kept = active & ~(0xFFFF_FFFF << 32 * n)
    return (kept | (value & 0xFFFF_FFFF) << 32 * n) & (1 << (1 << preemption_bits)) - 1
