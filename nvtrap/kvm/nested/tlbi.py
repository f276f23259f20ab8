"""TLBI instructions of L1 that concern the stage 2 of its guests.

They go to every shadow of the VMID in L1's VTTBR_EL2. Linux 6.12, handle_*e1is in
arch/arm64/kvm/sys_regs.c, compute_tlb_inval_range in nested.c. Behaviour of that version:

* **Last level**: IPAS2LE1 invalidates as IPAS2E1 does.
* **Ranges**: TTL is not looked at. A range that leaves the addresses of a shadow is
  applied as far as it goes, and the kernel warns.
* **Support**: RIPAS2E1 and RIPAS2LE1 are let through without FEAT_TLBIRANGE, their Outer
  Shareable forms without FEAT_TLBIOS.
* **Reserved granule**: as in VTCR_EL2, the reserved values mean 64K.
"""

from __future__ import annotations

from nvtrap.arch.encoding import operands
from nvtrap.kvm.memory.pgtable import GUEST_LEVEL_SHIFT, VALID

TYPE_CHECKING = False
if TYPE_CHECKING:
    from nvtrap.kvm.nested.shadow import Shadow, Shadows

TTL, TLBIOS, TLBIRANGE, XS = "FEAT_TTL", "FEAT_TLBIOS", "FEAT_TLBIRANGE", "FEAT_XS"
ALL_FEATURES = frozenset({TTL, TLBIOS, TLBIRANGE, XS})

# What an instruction invalidates.
ALL, VMID, IPA, RANGE = "all", "VMID", "IPA", "range"
# What became of it.
DONE, WARNED, UNDEF = "done", "warned", "undef"

_CRN_XS, _CRN_NXS = 8, 9
_CRM_IPA_IS, _CRM_IPA, _CRM_OS = 0, 4, 1
# VTCR_EL2.TG0 → TTL.TG; TTL.TG → size at each level, 0 where a level says nothing.
_TTL_GRANULE = (1, 3, 2, 3)
_SIZES = {
    0: (0, 0, 0, 0),
    1: (0, 1 << 30, 2 << 20, 4 << 10),
    2: (0, 0, 32 << 20, 16 << 10),
    3: (0, 0, 512 << 20, 64 << 10),
}
_RANGE_GRANULE = (16, 12, 14, 16)  # TG of a range → bits; the reserved 0 means 64K


def decode(encoding: int) -> str | None:
    """What a TLBI concerning stage 2 invalidates, or None for any other instruction."""
    op0, op1, crn, crm, op2 = operands(encoding)
    if (op0, op1) != (1, 4) or crn not in {_CRN_XS, _CRN_NXS}:
        return None
    if crm in {1, 3, 7}:
        return {4: ALL, 6: VMID}.get(op2)
    if crm == _CRM_IPA_IS:
        return {1: IPA, 2: RANGE, 5: IPA, 6: RANGE}.get(op2)
    if crm == _CRM_IPA:
        return RANGE if op2 & 3 in {2, 3} else IPA
    return None


def is_supported(encoding: int, features: frozenset[str]) -> bool:
    """Whether L1 may use one of these, having `features`, some of `ALL_FEATURES`."""
    _, _, crn, crm, op2 = operands(encoding)
    if crn == _CRN_NXS and XS not in features:
        return False
    if crm == _CRM_OS:
        return TLBIOS in features
    if crm == _CRM_IPA_IS and op2 in {2, 6}:
        return TLBIRANGE in features
    if crm == _CRM_IPA and op2 in {0, 4}:
        return TLBIOS in features
    return crm != _CRM_IPA or op2 not in {3, 7} or TLBIRANGE in features


def invalidate(
    shadows: Shadows,
    encoding: int,
    value: int,
    vttbr: int,
    features: frozenset[str] = ALL_FEATURES,
) -> str | None:
    """Do a TLBI of L1 with the register `value`, `vttbr` being its VTTBR_EL2.

    Gives DONE, WARNED when it reached beyond a shadow's addresses, UNDEF when L1 has no such
    instruction, None when it does not concern stage 2.
    """
    what = decode(encoding)
    if what is None:
        return None
    if not is_supported(encoding, features):
        return UNDEF
    if what == ALL:
        for shadow in shadows.contexts:
            shadow.empty()
        return DONE
    in_range = True
    for shadow in shadows.with_vmid(vttbr):
        if what == VMID:
            shadow.empty()
        else:
            start, size = _range(value) if what == RANGE else _block(shadow, value, features)
            in_range &= shadow.unmap(start, size)
    return DONE if in_range else WARNED


def _range(value: int) -> tuple[int, int]:
    """(IPA, bytes) of a range: BaseADDR, NUM, SCALE and TG of its operand."""
    bits = _RANGE_GRANULE[value >> 46 & 3]
    scale, number = value >> 44 & 3, value >> 39 & 0x1F
    return (value & (1 << 37) - 1) << bits, number + 1 << 5 * scale + 1 << bits


def _block(shadow: Shadow, value: int, features: frozenset[str]) -> tuple[int, int]:
    """(IPA, bytes) of the largest block that may hold the IPA in the operand.

    Its size comes from TTL, or from the level at which L1 mapped what the shadow has
    there, or is the largest of L1's granule.
    """
    ipa = (value & (1 << 36) - 1) << 12
    ttl = value >> 44 & 0xF
    if not ttl or TTL not in features:
        ttl = _ttl_of_shadow(shadow, ipa)
    sizes = _SIZES[_TTL_GRANULE[shadow.vtcr_of_l1 >> 14 & 3]]
    size = _SIZES[ttl >> 2][ttl & 3] or max(sizes)
    return ipa & -size, size


def _ttl_of_shadow(shadow: Shadow, ipa: int) -> int:
    """The TTL that L1 could have given, by the levels noted in the shadow; 0 if none is."""
    granule = _TTL_GRANULE[shadow.vtcr_of_l1 >> 14 & 3]
    start = ipa
    for size in sorted(filter(None, _SIZES[granule])):
        start &= -size
        _, descriptor = shadow.table.leaf(start)
        level = descriptor >> GUEST_LEVEL_SHIFT & 3
        if descriptor & VALID and level:
            return granule << 2 | level if ipa < start + _SIZES[granule][level] else 0
    return 0
