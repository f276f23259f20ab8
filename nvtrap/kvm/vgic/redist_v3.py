"""The redistributor of a GICv3: GICR_*, the frame for LPIs and the one for SGIs and PPIs.

Linux 6.12, arch/arm64/kvm/vgic/vgic-mmio-v3.c. The registers of LPIs are in `lpis`.
"""

from __future__ import annotations

from nvtrap.kvm.vgic import lpis, registers
from nvtrap.kvm.vgic.dist_v3 import iidr, read_ids
from nvtrap.kvm.vgic.mmio import (
    BYTE_OR_WORD,
    WORD_OR_DOUBLE,
    Register,
    Table,
    ignore,
    part,
    zero,
)
from nvtrap.kvm.vgic.regions import REDISTRIBUTOR

TYPE_CHECKING = False
if TYPE_CHECKING:
    from nvtrap.kvm.vcpu import Vcpu

SGI_BASE = 0x1_0000
TYPER_PLPIS, TYPER_LAST = 1 << 0, 1 << 4


def _read_typer(vcpu: Vcpu, offset: int, size: int) -> int:
    value = (vcpu.mpidr & 0xFF_FFFF) << 32 | (vcpu.id & 0xFFFF) << 8
    if vcpu.vgic.its:
        value |= TYPER_PLPIS
    if is_last(vcpu):
        value |= TYPER_LAST
    return part(value, offset, size)


def is_last(vcpu: Vcpu) -> bool:
    """Whether GICR_TYPER.Last is set (vgic_mmio_vcpu_rdist_is_last).

    In a region that is not full the newest redistributor is the last one; the last one
    of a full region is not when another region with redistributors begins at its end.
    """
    region = vcpu.region
    if region is None or vcpu.region_index < region.free_index - 1:
        return False
    if vcpu.region_index != region.count - 1:
        return True
    end = region.base + region.count * REDISTRIBUTOR
    return not any(other.base == end and other.free_index for other in vcpu.vgic.regions)


def _read_iidr(_vcpu: Vcpu, _offset: int, _size: int) -> int:
    return iidr(0)


# GICR_STATUSR is not there: Linux has it in its table, out of order, and never finds it.
REGISTERS = Table(
    [
        *lpis.REGISTERS,  # GICR_CTLR, PROPBASER, PENDBASER, INVLPIR, INVALLR, SYNCR
        Register(0x04, 4, _read_iidr, ignore),
        Register(0x08, 8, _read_typer, ignore, sizes=WORD_OR_DOUBLE),
        Register(0x14, 4, zero, ignore),  # GICR_WAKER
        Register(0xFFD0, 48, read_ids, ignore),
        Register(SGI_BASE + 0x080, 4, registers.read_group, registers.write_group),
        Register(
            SGI_BASE + 0x100,
            4,
            registers.read_enable,
            registers.set_enable,
            user_write=registers.user_set_enable,
        ),
        Register(SGI_BASE + 0x180, 4, registers.read_enable, registers.clear_enable),
        Register(
            SGI_BASE + 0x200,
            4,
            registers.read_pending,
            registers.set_pending,
            user_read=registers.user_read_pending,
            user_write=registers.user_write_pending,
        ),
        Register(
            SGI_BASE + 0x280,
            4,
            registers.read_pending,
            registers.clear_pending,
            user_read=zero,
            user_write=ignore,
        ),
        Register(
            SGI_BASE + 0x300,
            4,
            registers.read_active,
            registers.set_active,
            user_read=registers.user_read_active,
        ),
        Register(
            SGI_BASE + 0x380,
            4,
            registers.read_active,
            registers.clear_active,
            user_read=registers.user_read_active,
        ),
        Register(
            SGI_BASE + 0x400,
            32,
            registers.read_priority,
            registers.write_priority,
            sizes=BYTE_OR_WORD,
        ),
        Register(SGI_BASE + 0xC00, 8, registers.read_config, registers.write_config),
        Register(SGI_BASE + 0xD00, 4, zero, ignore),  # GICR_IGRPMODR0
        Register(SGI_BASE + 0xE00, 4, zero, ignore),  # GICR_NSACR
    ]
)
