"""What the commands for virtual LPIs do: GICv4.0 (IHI 0069, 5.3).

They return the reason of an error as those of `operations` do. GITS_TYPER.VMOVP is 1:
VMOVP concerns one ITS alone. VMAPP and VMOVP of GICv4.0 have no default doorbell.
"""

from __future__ import annotations

from nvtrap.gic.its.tables import NO_DOORBELL, Interrupt, Vpe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from nvtrap.gic.its.operations import Fields, Operation
    from nvtrap.gic.its.translate import Translation


def vmapp(its: Translation, fields: Fields) -> str:
    """VMAPP: map a vPE to a PE and its Pending table, or unmap it."""
    bits = fields["VPT_size"] + 1
    if not its.has_vpe(fields["vPEID"]):
        return "VCPU_OOR"
    if not fields["V"]:
        its.tables.set_vpe(fields["vPEID"], None)
        return ""
    if bits > its.parameters.distributor_intid_bits:
        return "VPTSIZE_OOR"
    if not its.has_pe(fields["RDbase"]):
        return "PROCNUM_OOR"
    its.tables.set_vpe(fields["vPEID"], Vpe(fields["RDbase"], fields["VPT_addr"] << 16, bits))
    return ""


def vmapti(its: Translation, fields: Fields) -> str:
    """VMAPTI: map an event to a virtual LPI of a vPE, with a doorbell or none."""
    return _map(its, fields, fields["vINTID"])


def vmapi(its: Translation, fields: Fields) -> str:
    """VMAPI: map an event to the virtual LPI of the same number."""
    return _map(its, fields, fields["EventID"])


def _map(its: Translation, fields: Fields, vintid: int) -> str:
    device = its.device(fields["DeviceID"], fields["EventID"])
    if isinstance(device, str):
        return device
    if not its.has_vpe(fields["vPEID"]):
        return "VCPU_OOR"
    if not its.has_lpi(vintid):
        return "VIRTUALID_OOR"
    doorbell = fields["Dbell_pINTID"]
    if not _is_doorbell(its, doorbell):
        return "PHYSICALID_OOR"
    interrupt = Interrupt(vintid, fields["vPEID"], True, doorbell)
    its.tables.set_interrupt(device, fields["EventID"], interrupt)
    return ""


def _is_doorbell(its: Translation, intid: int) -> bool:
    return intid == NO_DOORBELL or its.has_lpi(intid)


def vmovi(its: Translation, fields: Fields) -> str:
    """VMOVI: move an event to another vPE, with its pending state; D: with a new doorbell."""
    device = its.device(fields["DeviceID"], fields["EventID"])
    if isinstance(device, str):
        return device
    if not its.has_vpe(fields["vPEID"]):
        return "VCPU_OOR"
    interrupt = its.tables.interrupt(device, fields["EventID"])
    if interrupt is None:
        return "UNMAPPED_INTERRUPT"
    if not interrupt.is_virtual:
        return "ID_IS_PHYSICAL"
    doorbell = fields["Dbell_pINTID"] if fields["D"] else interrupt.doorbell
    if fields["D"] and not _is_doorbell(its, doorbell):
        return "PHYSICALID_OOR"
    moved = Interrupt(interrupt.intid, fields["vPEID"], True, doorbell)
    old, new = its.target(interrupt), its.target(moved)
    if old is None:
        return "ITEVCPU_INVALID"
    if new is None:
        return "CMDVCPU_INVALID"
    its.tables.set_interrupt(device, fields["EventID"], moved)
    if old.clear_pending():
        new.set_pending()
    return ""


def vmovp(its: Translation, fields: Fields) -> str:
    """VMOVP: map a vPE to another PE; its pending state stays in its Pending table."""
    vpe = its.vpe(fields["vPEID"])
    if vpe is None:
        return _no_vpe(its, fields)
    if not its.has_pe(fields["RDbase"]):
        return "PROCNUM_OOR"
    its.tables.set_vpe(fields["vPEID"], Vpe(fields["RDbase"], vpe.table, vpe.bits))
    return ""


def vsync(its: Translation, fields: Fields) -> str:
    """VSYNC: wait for what came before for a vPE, which is always done."""
    return _no_vpe(its, fields) if its.vpe(fields["vPEID"]) is None else ""


def vinvall(its: Translation, fields: Fields) -> str:
    """VINVALL: have the configuration of all LPIs of a vPE read again."""
    vpe = its.vpe(fields["vPEID"])
    if vpe is None:
        return _no_vpe(its, fields)
    its.vlpis[vpe.pe].invalidate_all(vpe.table)
    return ""


def _no_vpe(its: Translation, fields: Fields) -> str:
    return "VCPU_INVALID" if its.has_vpe(fields["vPEID"]) else "VCPU_OOR"


VIRTUAL_OPERATIONS: dict[str, Operation] = {
    "VMAPP": vmapp,
    "VMAPTI": vmapti,
    "VMAPI": vmapi,
    "VMOVI": vmovi,
    "VMOVP": vmovp,
    "VSYNC": vsync,
    "VINVALL": vinvall,
}
