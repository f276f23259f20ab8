"""The distributor of a GICv3: GICD_*.

Linux 6.12, arch/arm64/kvm/vgic/vgic-mmio-v3.c. DS and ARE_NS are fixed, so one bit enables
both groups; the words of SGIs and PPIs are the redistributors'.
"""

from __future__ import annotations

from errno import EINVAL

from nvtrap.kvm.errno import refuse
from nvtrap.kvm.vgic import registers
from nvtrap.kvm.vgic.interrupt import PRIVATE
from nvtrap.kvm.vgic.mmio import (
    BYTE_OR_WORD,
    ROOM,
    WORD,
    WORD_OR_DOUBLE,
    Register,
    Table,
    ignore,
    intid_at,
    ones,
    part,
    per_intid,
    zero,
)
from nvtrap.kvm.vgic.queue import kick_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from nvtrap.kvm.vcpu import Vcpu
    from nvtrap.kvm.vgic.mmio import Read, Write

CTLR, TYPER, IIDR, TYPER2 = 0x0, 0x4, 0x8, 0xC
CTLR_FIXED = 0x50  # DS and ARE_NS
CTLR_ENABLE = 0x2
TYPER_LPIS = 1 << 17
PRODUCT_KVM, IMPLEMENTER_ARM = 0x4B, 0x43B
REVISION_SHIFT, REVISION = 12, 0xF
REVISIONS = (2, 3)
PIDR2 = 0xFFE8
PIDR2_VALUE = 0x3B


def _read_misc(vcpu: Vcpu, offset: int, _size: int) -> int:
    vgic = vcpu.vgic
    if offset == CTLR:
        return CTLR_FIXED | (CTLR_ENABLE if vgic.enabled else 0)
    if offset == TYPER:
        lines = (vgic.nr_irqs >> 5) - 1
        return lines | (15 << 19 | TYPER_LPIS if vgic.its else 9 << 19)
    return iidr(vgic.revision) if offset == IIDR else 0


def _write_misc(vcpu: Vcpu, offset: int, _size: int, value: int) -> None:
    """GICD_CTLR: switching on kicks the vCPUs; what became pending meanwhile is not queued."""
    if offset == CTLR:
        vgic = vcpu.vgic
        was_enabled, vgic.enabled = vgic.enabled, value & CTLR_ENABLE != 0
        if vgic.enabled and not was_enabled:
            kick_all(vgic)


def _user_write_misc(vcpu: Vcpu, offset: int, _size: int, value: int) -> None:
    """What user space may write: CTLR, which kicks nobody, and the revision in IIDR.

    Raises `OSError` EINVAL for another TYPER2 and for an IIDR of another implementation.
    """
    vgic = vcpu.vgic
    if offset == CTLR:
        vgic.enabled = value & CTLR_ENABLE != 0
    elif offset == TYPER2:
        if value != 0:
            refuse(EINVAL)
    elif offset == IIDR:
        revision = value >> REVISION_SHIFT & REVISION
        if value != iidr(revision) or revision not in REVISIONS:
            refuse(EINVAL)
        vgic.revision = revision


def iidr(revision: int) -> int:
    """GICD_IIDR, and with revision 0 GICR_IIDR and GITS_IIDR: Arm's implementer, KVM's product."""
    return PRODUCT_KVM << 24 | revision << REVISION_SHIFT | IMPLEMENTER_ARM


def read_ids(_vcpu: Vcpu, offset: int, _size: int) -> int:
    """The identification registers, of which only PIDR2 says something: a GICv3."""
    return PIDR2_VALUE if offset & 0xFFFF == PIDR2 else 0


def _read_router(vcpu: Vcpu, offset: int, size: int) -> int:
    irq = vcpu.vgic.interrupt(None, intid_at(offset, 64))
    return 0 if irq is None or offset & 4 else part(irq.mpidr, offset, size)


def _write_router(vcpu: Vcpu, offset: int, _size: int, value: int) -> None:
    """GICD_IROUTER: Aff2.Aff1.Aff0; an affinity that no vCPU has is no target at all.

    Nothing moves by it: what is queued is moved when its vCPU next leaves the guest.
    """
    irq = vcpu.vgic.interrupt(None, intid_at(offset, 64))
    if irq is not None and not offset & 4:
        irq.mpidr = value & 0xFF_FFFF
        irq.target_vcpu = vcpu.vm.vcpu_by_mpidr(irq.mpidr)


def _spis(
    offset: int,
    bits: int,
    read: Read = zero,
    write: Write = ignore,
    *,
    user_read: Read | None = None,
    user_write: Write | None = None,
    sizes: frozenset[int] = WORD,
) -> list[Register]:
    """An array whose part for SGIs and PPIs is RAZ/WI."""
    return [
        per_intid(offset, bits, zero, ignore, sizes=sizes, count=PRIVATE),
        per_intid(
            offset,
            bits,
            read,
            write,
            user_read=user_read,
            user_write=user_write,
            sizes=sizes,
            first=PRIVATE,
            count=ROOM - PRIVATE,
        ),
    ]


REGISTERS = Table(
    [
        Register(CTLR, 16, _read_misc, _write_misc, user_write=_user_write_misc),
        Register(0x10, 4, ones, ignore),  # GICD_STATUSR
        *_spis(0x080, 1, registers.read_group, registers.write_group),
        *_spis(
            0x100,
            1,
            registers.read_enable,
            registers.set_enable,
            user_write=registers.user_set_enable,
        ),
        *_spis(0x180, 1, registers.read_enable, registers.clear_enable),
        *_spis(
            0x200,
            1,
            registers.read_pending,
            registers.set_pending,
            user_read=registers.user_read_pending,
            user_write=registers.user_write_pending,
        ),
        *_spis(
            0x280,
            1,
            registers.read_pending,
            registers.clear_pending,
            user_read=zero,
            user_write=ignore,
        ),
        *_spis(
            0x300,
            1,
            registers.read_active,
            registers.set_active,
            user_read=registers.user_read_active,
        ),
        *_spis(
            0x380,
            1,
            registers.read_active,
            registers.clear_active,
            user_read=registers.user_read_active,
        ),
        *_spis(0x400, 8, registers.read_priority, registers.write_priority, sizes=BYTE_OR_WORD),
        *_spis(0x800, 8, sizes=BYTE_OR_WORD),  # GICD_ITARGETSR
        *_spis(0xC00, 2, registers.read_config, registers.write_config),
        *_spis(0xD00, 1),  # GICD_IGRPMODR
        *_spis(0x6000, 64, _read_router, _write_router, sizes=WORD_OR_DOUBLE),
        Register(0xFFD0, 48, read_ids, ignore),
    ]
)
