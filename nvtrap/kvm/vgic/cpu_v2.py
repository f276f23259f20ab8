"""A GICv2's CPU interface as user space saves and restores it: KVM_DEV_ARM_VGIC_GRP_CPU_REGS.

Linux 6.12, arch/arm64/kvm/vgic/vgic-mmio-v2.c. These are KVM's copies of GICH_VMCR and
GICH_APR in the clothes of GICC registers; a guest itself reaches the hardware (`gicc`).
Registers that act when they are read or written do not exist here.
"""

from __future__ import annotations

from nvtrap.gic.v2.gich import VMABP_SHIFT, VMBP_SHIFT, VMPRIMASK_SHIFT
from nvtrap.gic.v2.interface import ABPR, APR0, BPR, CTLR, CTLR_FIELDS, IIDR, PMR
from nvtrap.kvm.vgic.dist_v3 import IMPLEMENTER_ARM, PRODUCT_KVM
from nvtrap.kvm.vgic.mmio import Register, Table, ignore

TYPE_CHECKING = False
if TYPE_CHECKING:
    from nvtrap.kvm.vcpu import Vcpu
    from nvtrap.kvm.vgic.lists_v2 import ListsV2

IIDR_VALUE = PRODUCT_KVM << 20 | 2 << 16 | IMPLEMENTER_ARM
# Offset → (shift, mask) of the field of GICH_VMCR. That of PMR has five bits, which user
# space sees as they are: the actual mask is eight times that.
FIELDS = {
    CTLR: (0, CTLR_FIELDS),
    PMR: (VMPRIMASK_SHIFT, 0x1F),
    BPR: (VMBP_SHIFT, 7),
    ABPR: (VMABP_SHIFT, 7),
}


def _lists(vcpu: Vcpu) -> ListsV2:
    from nvtrap.kvm.vgic.lists_v2 import ListsV2

    assert isinstance(vcpu.lists, ListsV2)
    return vcpu.lists


def _read_field(vcpu: Vcpu, offset: int, _size: int) -> int:
    shift, mask = FIELDS[offset]
    return _lists(vcpu).vmcr >> shift & mask


def _write_field(vcpu: Vcpu, offset: int, _size: int, value: int) -> None:
    shift, mask = FIELDS[offset]
    lists = _lists(vcpu)
    lists.vmcr = lists.vmcr & ~(mask << shift) | (value & mask) << shift


def _read_apr(vcpu: Vcpu, offset: int, _size: int) -> int:
    """GICC_APR<n>: 32 priorities take one register, the others are RAZ/WI."""
    return _lists(vcpu).apr if offset == APR0 else 0


def _write_apr(vcpu: Vcpu, offset: int, _size: int, value: int) -> None:
    if offset == APR0:
        _lists(vcpu).apr = value & 0xFFFF_FFFF


def _read_iidr(_vcpu: Vcpu, _offset: int, _size: int) -> int:
    return IIDR_VALUE


REGISTERS = Table(
    [
        *(Register(offset, 4, _read_field, _write_field) for offset in FIELDS),
        Register(APR0, 16, _read_apr, _write_apr),
        Register(IIDR, 4, _read_iidr, ignore),
    ]
)
