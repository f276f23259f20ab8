"""The distributor of a GICv2: GICD_*.

Linux 6.12, arch/arm64/kvm/vgic/vgic-mmio-v2.c. SGIs remember who sent them, once for each
sender; SPIs have a byte of targets, of which the lowest counts.
"""

from __future__ import annotations

from errno import EINVAL

from nvtrap.kvm.errno import refuse
from nvtrap.kvm.vgic import registers
from nvtrap.kvm.vgic.dist_v3 import REVISION, REVISION_SHIFT, REVISIONS, iidr
from nvtrap.kvm.vgic.interrupt import PRIVATE
from nvtrap.kvm.vgic.mmio import BYTE_OR_WORD, Register, Table, per_intid, zero
from nvtrap.kvm.vgic.queue import kick_all, queue

TYPE_CHECKING = False
if TYPE_CHECKING:
    from nvtrap.kvm.vcpu import Vcpu

LENGTH = 0x1000
CTLR, TYPER, IIDR = 0x0, 0x4, 0x8
CTLR_ENABLE = 0x1
TYPER_CPUS_SHIFT = 5
# GICD_SGIR.TargetListFilter.
LISTED, ALL_OTHERS, ITSELF = 0, 1, 2


def _read_misc(vcpu: Vcpu, offset: int, _size: int) -> int:
    vgic = vcpu.vgic
    if offset == CTLR:
        return int(vgic.enabled)
    if offset == TYPER:
        return (vgic.nr_irqs >> 5) - 1 | len(vcpu.vm.vcpus) - 1 << TYPER_CPUS_SHIFT
    return iidr(vgic.revision)


def _write_misc(vcpu: Vcpu, offset: int, _size: int, value: int) -> None:
    """GICD_CTLR: switching on kicks the vCPUs; what became pending meanwhile is not queued."""
    if offset == CTLR:
        vgic = vcpu.vgic
        was_enabled, vgic.enabled = vgic.enabled, value & CTLR_ENABLE != 0
        if vgic.enabled and not was_enabled:
            kick_all(vgic)


def _user_write_misc(vcpu: Vcpu, offset: int, size: int, value: int) -> None:
    """What user space may write: CTLR as a guest does, and the revision in IIDR.

    A user space that writes IIDR knows of groups: only then it may write them. Raises
    `OSError` EINVAL for an IIDR of another implementation.
    """
    if offset != IIDR:
        _write_misc(vcpu, offset, size, value)
        return
    revision = value >> REVISION_SHIFT & REVISION
    if value != iidr(revision) or revision not in REVISIONS:
        refuse(EINVAL)
    vcpu.vgic.revision = revision
    vcpu.vgic.v2_groups_writable = True


def _user_write_group(vcpu: Vcpu, offset: int, size: int, value: int) -> None:
    if vcpu.vgic.v2_groups_writable:
        registers.write_group(vcpu, offset, size, value)


def _read_targets(vcpu: Vcpu, offset: int, size: int) -> int:
    """GICD_ITARGETSR; the bytes of SGIs and PPIs name the vCPU that reads."""
    found = registers.interrupts(vcpu, offset, size, 8)
    return int.from_bytes(bytes([irq.targets for irq in found]), "little")


def _write_targets(vcpu: Vcpu, offset: int, size: int, value: int) -> None:
    """GICD_ITARGETSR: vCPUs that are not there do not stick, and no target means the first.

    Nothing moves by it: what is queued is moved when its vCPU next leaves the guest.
    """
    vcpus = vcpu.vm.vcpus
    for irq in registers.interrupts(vcpu, offset, size, 8):
        if irq.intid >= PRIVATE:
            irq.targets = value & (1 << len(vcpus)) - 1 & 0xFF
            irq.target_vcpu = vcpus[max(0, _lowest(irq.targets))]
        value >>= 8


def _lowest(bits: int) -> int:
    return (bits & -bits).bit_length() - 1


def _write_sgir(vcpu: Vcpu, _offset: int, _size: int, value: int) -> None:
    """GICD_SGIR: send an SGI to the listed vCPUs, all others or oneself.

    The list counts vCPUs in the order of creation, the sender goes by its id.
    """
    intid, listed, target_filter = value & 0xF, value >> 16 & 0xFF, value >> 24 & 3
    vcpus = vcpu.vm.vcpus
    myself = 1 << vcpu.id
    if target_filter == ALL_OTHERS:
        listed = (1 << len(vcpus)) - 1 & ~myself
    elif target_filter == ITSELF:
        listed = myself
    elif target_filter != LISTED:
        return
    for target in vcpus:
        if listed >> target.index & 1:
            irq = target.private[intid]
            irq.pending_latch = True
            irq.source |= myself & 0xFF
            queue(irq)


def _read_senders(vcpu: Vcpu, offset: int, size: int) -> int:
    """GICD_CPENDSGIR and GICD_SPENDSGIR: for each SGI a byte of vCPUs whose SGI is pending."""
    first = offset & 0xF
    found = vcpu.private[first : first + size]
    return int.from_bytes(bytes([irq.source for irq in found]), "little")


def _clear_senders(vcpu: Vcpu, offset: int, size: int, value: int) -> None:
    """GICD_CPENDSGIR; without a sender an SGI is no longer pending."""
    first = offset & 0xF
    for irq in vcpu.private[first : first + size]:
        irq.source &= ~value & 0xFF
        if not irq.source:
            irq.pending_latch = False
        value >>= 8


def _set_senders(vcpu: Vcpu, offset: int, size: int, value: int) -> None:
    """GICD_SPENDSGIR; an SGI that has a sender is pending, even if this write named none."""
    first = offset & 0xF
    for irq in vcpu.private[first : first + size]:
        irq.source |= value & 0xFF
        if irq.source:
            irq.pending_latch = True
            queue(irq)
        value >>= 8


REGISTERS = Table(
    [
        Register(CTLR, 12, _read_misc, _write_misc, user_write=_user_write_misc),
        per_intid(
            0x080, 1, registers.read_group, registers.write_group, user_write=_user_write_group
        ),
        per_intid(
            0x100,
            1,
            registers.read_enable,
            registers.set_enable,
            user_write=registers.user_set_enable,
        ),
        per_intid(0x180, 1, registers.read_enable, registers.clear_enable),
        per_intid(
            0x200,
            1,
            registers.read_pending,
            registers.set_pending,
            user_read=registers.user_read_pending,
            user_write=registers.user_set_pending,
        ),
        per_intid(
            0x280,
            1,
            registers.read_pending,
            registers.clear_pending,
            user_read=registers.user_read_pending,
            user_write=registers.user_clear_pending,
        ),
        per_intid(
            0x300,
            1,
            registers.read_active,
            registers.set_active,
            user_read=registers.user_read_active,
        ),
        per_intid(
            0x380,
            1,
            registers.read_active,
            registers.clear_active,
            user_read=registers.user_read_active,
        ),
        per_intid(0x400, 8, registers.read_priority, registers.write_priority, sizes=BYTE_OR_WORD),
        per_intid(0x800, 8, _read_targets, _write_targets, sizes=BYTE_OR_WORD),
        per_intid(0xC00, 2, registers.read_config, registers.write_config),
        Register(0xF00, 4, zero, _write_sgir),
        Register(0xF10, 16, _read_senders, _clear_senders, sizes=BYTE_OR_WORD),
        Register(0xF20, 16, _read_senders, _set_senders, sizes=BYTE_OR_WORD),
    ]
)
