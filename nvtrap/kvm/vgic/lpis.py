"""LPIs: their life, their two tables in guest RAM, and the redistributor's registers for them.

The Configuration table has a byte for each LPI, the Pending table of a vCPU a bit for each
INTID. Linux 6.12, arch/arm64/kvm/vgic/vgic-its.c, vgic-v3.c and vgic-mmio-v3.c.
"""

from __future__ import annotations

from errno import ENXIO

from nvtrap.kvm.errno import refuse
from nvtrap.kvm.vgic.guest_memory import read_guest, write_guest
from nvtrap.kvm.vgic.interrupt import FIRST_LPI, Interrupt
from nvtrap.kvm.vgic.mmio import WORD_OR_DOUBLE, Register, ignore, part, with_part, zero
from nvtrap.kvm.vgic.queue import drop_lpis, queue
from nvtrap.kvm.vgic.table_bases import IN_GICR, sanitised

TYPE_CHECKING = False
if TYPE_CHECKING:
    from nvtrap.kvm.vcpu import Vcpu
    from nvtrap.kvm.vgic.vgic import Vgic

MOST_ID_BITS = 16
ID_BITS = 0x1F  # GICR_PROPBASER.IDbits, one less than their number
CONFIGURATION_ADDRESS = (1 << 52) - (1 << 12)
PENDING_ADDRESS = (1 << 52) - (1 << 16)
CONFIGURED_PRIORITY, CONFIGURED_ENABLE = 0xFC, 1
PENDING_TABLE_ZERO = 1 << 62  # GICR_PENDBASER.PTZ
PROPBASER_RES0 = 0x1F << 59 | 0xF << 52 | 3 << 5
PENDBASER_RES0 = 1 << 63 | 7 << 59 | 0xF << 52 | 0xF << 12 | 0x7F
CTLR_ENABLE_LPIS, CTLR_CES, CTLR_IR = 1 << 0, 1 << 1, 1 << 2
REVISION_WITH_INVALIDATION = 3  # from this GICD_IIDR.Revision on CES and IR are shown


# ---- life -----------------------------------------------------------------------------


def map_lpi(vgic: Vgic, intid: int, vcpu: Vcpu | None) -> Interrupt:
    """The LPI for one more event that leads to it; a new one is to go to `vcpu`.

    One that is there keeps its target and its configuration (vgic_add_lpi). Raises
    `OSError` EFAULT when a table is not in RAM; the LPI is then as if never mapped.
    """
    irq = vgic.lpis.get(intid)
    if irq is None:
        irq = vgic.lpis[intid] = Interrupt(intid, vcpu, edge=True, group=1)
        try:
            configure(vgic, irq)
            _take_pending(vgic, irq)
        except OSError:
            vgic.release(irq)
            raise
    irq.mappings += 1
    return irq


def unmap_lpi(vgic: Vgic, irq: Interrupt) -> None:
    """One event less leads to an LPI; the last one and the lists keep it alive."""
    irq.mappings -= 1
    vgic.release(irq)


def limit(vgic: Vgic) -> int:
    """The INTID above the last LPI, as GICR_PROPBASER.IDbits says."""
    bits: int = (vgic.propbaser & ID_BITS) + 1
    return 1 << min(bits, MOST_ID_BITS)


def trigger(irq: Interrupt) -> None:
    """Make an LPI pending, and queue it."""
    irq.pending_latch = True
    queue(irq)


# ---- the Configuration table ------------------------------------------------------------


def configure(vgic: Vgic, irq: Interrupt, only: Vcpu | None = None) -> None:
    """Read an LPI's priority and enable from RAM; it may be queued then (update_lpi_config).

    With `only`, not for an LPI that goes to another vCPU. Raises `OSError` EFAULT.
    """
    base = vgic.propbaser & CONFIGURATION_ADDRESS
    byte = read_guest(vgic.vm.memory, base + irq.intid - FIRST_LPI, 1)
    if only is None or irq.target_vcpu is only:
        irq.priority = byte & CONFIGURED_PRIORITY
        irq.enabled = byte & CONFIGURED_ENABLE != 0
        queue(irq)


def configure_all(vcpu: Vcpu) -> None:
    """Read the configuration of all LPIs of a vCPU; where there is no RAM it stays."""
    for intid in sorted(vcpu.vgic.lpis):
        irq = vcpu.vgic.lpis.get(intid)
        if irq is not None:
            try:
                configure(vcpu.vgic, irq, vcpu)
            except OSError:
                continue


# ---- the Pending tables -----------------------------------------------------------------


def _pending_byte(vcpu: Vcpu, intid: int) -> int:
    """The address of the byte that has an LPI's pending bit."""
    base: int = vcpu.pendbaser & PENDING_ADDRESS
    return base + intid // 8


def _take_pending(vgic: Vgic, irq: Interrupt) -> None:
    """Take a new LPI's pending state from RAM, where its bit becomes 0."""
    vcpu = irq.target_vcpu
    if vcpu is None:
        return
    address, bit = _pending_byte(vcpu, irq.intid), 1 << irq.intid % 8
    byte = read_guest(vgic.vm.memory, address, 1)
    irq.pending_latch = byte & bit != 0
    queue(irq)
    if byte & bit:
        write_guest(vgic.vm.memory, address, 1, byte & ~bit)


def load_pending(vcpu: Vcpu) -> None:
    """As LPIs are enabled: the mapped ones of a vCPU take their pending state; RAM stays.

    It ends where the table is not in RAM (its_sync_lpi_pending_table).
    """
    vgic = vcpu.vgic
    for intid in sorted(vgic.lpis):
        try:
            byte = read_guest(vgic.vm.memory, _pending_byte(vcpu, intid), 1)
        except OSError:
            return
        irq = vgic.lpis.get(intid)
        if irq is not None:
            if irq.target_vcpu is vcpu:
                irq.pending_latch = byte >> intid % 8 & 1 == 1
            queue(irq)


def save_pending_tables(vgic: Vgic) -> None:
    """KVM_DEV_ARM_VGIC_SAVE_PENDING_TABLES: the bits of the LPIs that are there, nothing else.

    Raises `OSError`: ENXIO before INIT, EFAULT where a table is not in RAM.
    """
    if not vgic.initialized:
        refuse(ENXIO)
    memory = vgic.vm.memory
    for intid in sorted(vgic.lpis):
        irq = vgic.lpis[intid]
        if irq.target_vcpu is None:
            continue
        address, bit = _pending_byte(irq.target_vcpu, intid), 1 << intid % 8
        byte = read_guest(memory, address, 1)
        if (byte & bit != 0) != irq.pending_latch:
            write_guest(memory, address, 1, byte ^ bit)


# ---- registers --------------------------------------------------------------------------


def _read_ctlr(vcpu: Vcpu, _offset: int, _size: int) -> int:
    value = CTLR_ENABLE_LPIS if vcpu.lpis_enabled else 0
    if vcpu.vgic.revision >= REVISION_WITH_INVALIDATION:
        value |= CTLR_CES | CTLR_IR
    return value


def _write_ctlr(vcpu: Vcpu, _offset: int, _size: int, value: int) -> None:
    vgic = vcpu.vgic
    enable = value & CTLR_ENABLE_LPIS != 0
    if not vgic.its or enable == vcpu.lpis_enabled:
        return
    vcpu.lpis_enabled = enable
    if not enable:
        drop_lpis(vcpu)
        for its in vgic.its:
            its.forget_translations()
    elif not vcpu.pendbaser & PENDING_TABLE_ZERO:
        load_pending(vcpu)


def _read_propbaser(vcpu: Vcpu, offset: int, size: int) -> int:
    return part(vcpu.vgic.propbaser, offset, size)


def _write_propbaser(vcpu: Vcpu, offset: int, size: int, value: int) -> None:
    """One for the VM, frozen while this vCPU's LPIs are enabled."""
    if not vcpu.lpis_enabled:
        register = with_part(vcpu.vgic.propbaser, offset, size, value)
        vcpu.vgic.propbaser = sanitised(register, IN_GICR) & ~PROPBASER_RES0


def _read_pendbaser(vcpu: Vcpu, offset: int, size: int) -> int:
    return part(vcpu.pendbaser & ~PENDING_TABLE_ZERO, offset, size)


def _write_pendbaser(vcpu: Vcpu, offset: int, size: int, value: int) -> None:
    if not vcpu.lpis_enabled:
        register = with_part(vcpu.pendbaser, offset, size, value)
        vcpu.pendbaser = sanitised(register, IN_GICR) & ~PENDBASER_RES0


def _write_invlpir(vcpu: Vcpu, offset: int, _size: int, value: int) -> None:
    """Any LPI's configuration is read; a write of the upper half alone is for vLPIs."""
    if offset & 4 or not vcpu.lpis_enabled:
        return
    irq = vcpu.vgic.lpis.get(value & 0xFFFF_FFFF)
    if irq is not None:
        try:
            configure(vcpu.vgic, irq)
        except OSError:
            return  # where there is no RAM the configuration stays


def _write_invallr(vcpu: Vcpu, offset: int, _size: int, _value: int) -> None:
    if not offset & 4 and vcpu.lpis_enabled:
        configure_all(vcpu)


REGISTERS = (
    Register(0x00, 4, _read_ctlr, _write_ctlr),
    Register(0x70, 8, _read_propbaser, _write_propbaser, sizes=WORD_OR_DOUBLE),
    Register(0x78, 8, _read_pendbaser, _write_pendbaser, sizes=WORD_OR_DOUBLE),
    Register(0xA0, 8, zero, _write_invlpir, sizes=WORD_OR_DOUBLE),
    Register(0xB0, 8, zero, _write_invallr, sizes=WORD_OR_DOUBLE),
    Register(0xC0, 4, zero, ignore),  # GICR_SYNCR: nothing is ever under way
)
