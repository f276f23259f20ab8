"""What KVM makes of the memory attributes in registers that hold the base of a table.

GICR_PROPBASER, GICR_PENDBASER, GITS_CBASER and GITS_BASER<n> name them alike, at places of
their own (IHI 0069, 12.11 and 12.19). Linux 6.12, arch/arm64/kvm/vgic/vgic-mmio-v3.c.
"""

from __future__ import annotations

SHAREABILITY_SHIFT = 10
INNER_SHAREABLE, OUTER_SHAREABLE = 1, 2
READ_ALLOCATE_WRITE_BACK = 3  # an inner cacheability; those below it are not cacheable
SAME_AS_INNER, NON_CACHEABLE = 0, 1  # outer cacheabilities
# Where the inner and the outer cacheability are.
IN_GICR = (7, 56)
IN_GITS = (59, 53)


def initial(places: tuple[int, int]) -> int:
    """The attributes after reset: inner shareable, read-allocate and write-back."""
    return READ_ALLOCATE_WRITE_BACK << places[0] | INNER_SHAREABLE << SHAREABILITY_SHIFT


def sanitised(register: int, places: tuple[int, int]) -> int:
    """A register with the attributes that KVM does not allow replaced by those next to them."""
    inner, outer = places
    if register >> SHAREABILITY_SHIFT & 3 == OUTER_SHAREABLE:
        register ^= (INNER_SHAREABLE ^ OUTER_SHAREABLE) << SHAREABILITY_SHIFT
    if register >> inner & 7 <= NON_CACHEABLE:
        register = register & ~(7 << inner) | READ_ALLOCATE_WRITE_BACK << inner
    if register >> outer & 7 > NON_CACHEABLE:
        register = register & ~(7 << outer) | SAME_AS_INNER << outer
    return register
