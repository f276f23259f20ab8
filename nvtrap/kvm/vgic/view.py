"""What can be seen of a VM's GIC without changing it, as plain data.

Every thing has a name (`SPI 40`, `PPI 27 of vCPU 1`, `LR0 of vCPU 0`, `GIC`) and fields;
a field is a truth value, a number, a text, a list of vCPU ids, or None.
"""

from __future__ import annotations

from nvtrap.gic import intids
from nvtrap.gic.v2 import lr as lr_v2
from nvtrap.gic.virtual import lr
from nvtrap.kvm.vcpu import IN_GUEST
from nvtrap.kvm.vgic.interrupt import FIRST_LPI, PRIVATE, SGIS
from nvtrap.kvm.vgic.lists_v2 import ListsV2
from nvtrap.kvm.vgic.lists_v3 import ListsV3
from nvtrap.kvm.vgic.vgic import GICV2, UNDEFINED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from nvtrap.kvm.vcpu import Vcpu
    from nvtrap.kvm.vgic.interrupt import Interrupt
    from nvtrap.kvm.vm import Vm

    Fields = dict[str, Any]


def interrupts(vm: Vm) -> Iterator[tuple[str, Interrupt]]:
    """Every interrupt with its name: those of each vCPU, the SPIs, the LPIs."""
    vgic = vm.vgic
    for vcpu in vm.vcpus:
        for irq in vcpu.private:
            yield f"{intids.kind(irq.intid)} {irq.intid} of vCPU {vcpu.id}", irq
    for irq in vgic.spis:
        yield f"SPI {irq.intid}", irq
    for _, irq in sorted(vgic.lpis.items()):
        yield f"LPI {irq.intid}", irq


def is_touched(vm: Vm, irq: Interrupt) -> bool:
    """Whether an interrupt is not as the GIC's initialisation has left it; LPIs never are."""
    if irq.intid >= FIRST_LPI or irq.source or not irq.is_at_reset():
        return True
    return vm.vgic.initialized and irq.group != (vm.vgic.model != GICV2)


def interrupt(vm: Vm, irq: Interrupt) -> Fields:
    """The fields of an interrupt; `target` and `listed` are ids of vCPUs.

    `targets`, `senders` and `active_sender` are a GICv2's, of SPIs and of SGIs.
    """
    fields: Fields = {
        "state": lr.STATE_NAMES[irq.pending() | irq.active << 1],
        "enabled": irq.enabled,
        "trigger": "edge" if irq.edge else "level",
        "line": irq.line_level,
        "latch": irq.pending_latch,
        "group": int(irq.group),
        "priority": irq.priority,
        "target": None if irq.target_vcpu is None else irq.target_vcpu.id,
        "listed": None if irq.vcpu is None else irq.vcpu.id,
    }
    if vm.vgic.model == GICV2:
        if irq.intid >= PRIVATE:
            fields["targets"] = irq.targets
        elif irq.intid < SGIS:
            fields["senders"] = [id for id in range(8) if irq.source >> id & 1]
            fields["active_sender"] = irq.active_source if irq.active else None
    if irq.hw is not None:
        fields["host"] = irq.hw.intid
        fields["host_active"] = irq.hw.active
    return fields


def list_registers(vcpu: Vcpu) -> list[Fields]:
    """The list registers of a vCPU, those of the hardware while it is in the guest."""
    lists = vcpu.lists
    assert isinstance(lists, ListsV2 | ListsV3)
    values = lists.interface.lrs if vcpu.mode is IN_GUEST else lists.lrs
    describe = _v2_list_register if isinstance(lists, ListsV2) else _list_register
    return [describe(value) for value in values]


def _list_register(value: int) -> Fields:
    return {
        "value": value,
        "intid": lr.vintid(value),
        "state": lr.STATE_NAMES[lr.state(value)],
        "group": lr.group(value),
        "priority": lr.priority(value),
        "host": lr.pintid(value) if value & lr.HW else None,
        "eoi": not value & lr.HW and bool(value & lr.EOI),
    }


def _v2_list_register(value: int) -> Fields:
    fields = _list_register(lr_v2.to_v3(value))
    is_sgi = bool(value & lr_v2.STATE) and not value & lr_v2.HW and lr_v2.vintid(value) < SGIS
    fields |= {"value": value, "intid": lr_v2.vintid(value)}
    return fields | {"sender": lr_v2.source(value) if is_sgi else None}


def interface(vcpu: Vcpu) -> Fields:
    """What of a vCPU's CPU interface outlives an exit, as KVM has saved it."""
    lists = vcpu.lists
    if isinstance(lists, ListsV2):
        return {"GICH_VMCR": lists.vmcr, "GICH_APR": lists.apr}
    assert isinstance(lists, ListsV3)
    fields: Fields = {"ICH_VMCR_EL2": lists.vmcr}
    for group in (0, 1):
        for n in range(lists.apr_count):
            fields[f"ICH_AP{group}R{n}_EL2"] = lists.aprs[group][n]
    return fields


def gic(vm: Vm) -> Fields:
    """What the distributor has besides interrupts; an address that is not set is None."""
    vgic = vm.vgic
    return {
        "model": vgic.model or None,
        "intids": vgic.nr_irqs,
        "initialized": vgic.initialized,
        "enabled": vgic.enabled,
        "distributor": None if vgic.dist_base == UNDEFINED else vgic.dist_base,
        "cpu_interface": None if vgic.cpu_base == UNDEFINED else vgic.cpu_base,
        "vcpus": len(vm.vcpus),
        "dead": vm.dead,
    }


def everything(vm: Vm) -> dict[str, Fields]:
    """Name → fields of all there is."""
    seen = {"GIC": gic(vm)}
    for vcpu in vm.vcpus:
        seen[f"vCPU {vcpu.id}"] = interface(vcpu)
        for n, fields in enumerate(list_registers(vcpu)):
            seen[f"LR{n} of vCPU {vcpu.id}"] = fields
    for name, irq in interrupts(vm):
        seen[name] = interrupt(vm, irq)
    return seen


def changes(before: dict[str, Fields], after: dict[str, Fields]) -> dict[str, dict[str, list[Any]]]:
    """Name → field → [old value, new value] of what differs between two views.

    What is only in one of them has no changes: it has come into being, or is gone.
    """
    found = {}
    for name, fields in after.items():
        old = before.get(name, fields)
        if old != fields:
            found[name] = {
                field: [old.get(field), fields.get(field)]
                for field in {**old, **fields}
                if old.get(field) != fields.get(field)
            }
    return found
