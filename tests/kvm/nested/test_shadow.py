"""The shadow stage 2: whose a fault is, what is mapped, what takes it away."""

from __future__ import annotations

from errno import EFAULT

import pytest

from nvtrap.arch.memory import PAGE_SIZE
from nvtrap.errors import UsageError
from nvtrap.kvm.context import Context, Features, Registers
from nvtrap.kvm.exits.aborts import Abort
from nvtrap.kvm.exits.mmio import DEVICE, FAULT_IN, AbortHandler, Handled
from nvtrap.kvm.memory.faults import fault_info, hpfar_of, syndrome
from nvtrap.kvm.memory.memslots import LOG_DIRTY_PAGES, READONLY
from nvtrap.kvm.memory.mmu import FETCH, LOAD, STORE
from nvtrap.kvm.nested import tlbi
from nvtrap.kvm.nested.shadow import PER_VCPU, Shadow
from nvtrap.kvm.nested.vcpummu import L1_FAULT, RESTART, VcpuMmu
from tests.kvm.nested.mmus import (
    AF,
    ALL,
    BLOCK,
    GUEST_PA,
    HVA,
    RAM_BASE,
    READ,
    VTCR,
    XN,
    L1Tables,
    Machine,
)

TABLES = RAM_BASE + 0x10_0000
VTTBR = TABLES | 5 << 48
L2 = 0x4000_0000
TARGET = RAM_BASE + 2 * BLOCK
ISV = 1 << 24


def tables(machine: Machine) -> L1Tables:
    """Empty tables at VTTBR's base."""
    return L1Tables(machine, TABLES)


def outcome(result: int | Handled) -> tuple[str, int]:
    """(outcome, return code) of an access that did not get through."""
    assert isinstance(result, Handled)
    return result.outcome, result.ret


def pa_of(l1_address: int) -> int:
    """Where the VM's memory lies in the host's."""
    return GUEST_PA + l1_address - RAM_BASE


# ---- whose fault it is ------------------------------------------------------------


def test_memory_that_l1_gives_l2_is_mapped_on_a_fault() -> None:
    """L2's address goes through both tables, and the second access does not fault."""
    machine = Machine()
    tables(machine).map(L2, TARGET)
    vcpu = machine.run_l2(VTTBR)
    shadow = vcpu.mmu
    assert isinstance(shadow, Shadow)
    assert list(shadow.table.leaves()) == []
    assert vcpu.access(L2 + 0x123, LOAD) == pa_of(TARGET) + 0x123
    ((ipa, level, descriptor),) = shadow.table.leaves()
    assert (ipa, level, descriptor >> 55 & 3) == (L2, 3, 3)
    assert shadow.translate(0, L2 + 8, STORE) == (pa_of(TARGET) + 8, 0)


@pytest.mark.parametrize("kind", [LOAD, STORE, FETCH])
def test_what_l1_does_not_map_is_l1s_fault(kind: str) -> None:
    """ESR_EL2 has the walk's status and the rest of the abort's, FAR and HPFAR are its."""
    machine = Machine()
    tables(machine).map(L2, TARGET)
    context = machine.contexts[0]
    context.pc = 0x1000
    vcpu = machine.run_l2(VTTBR)
    missed = L2 + PAGE_SIZE
    assert outcome(vcpu.access(missed + 0x34, kind, far=0xFFFF_1234)) == (L1_FAULT, 1)
    registers = context.sysregs
    assert registers["ESR_EL2"] == syndrome(kind, 0x04 | 3)
    assert (registers["FAR_EL2"], registers["HPFAR_EL2"]) == (0xFFFF_1234, missed >> 8)
    assert registers["ELR_EL2"] == 0x1000


def test_a_permission_that_l1_withholds_is_l1s_fault() -> None:
    """A page is mapped with L1's permissions; what they do not allow faults and is L1's."""
    machine = Machine()
    tables(machine).map(L2, TARGET, attributes=READ | AF | XN)
    vcpu = machine.run_l2(VTTBR)
    assert vcpu.access(L2, LOAD) == pa_of(TARGET)
    for kind in (STORE, FETCH):
        assert outcome(vcpu.access(L2, kind)) == (L1_FAULT, 1)
        assert machine.contexts[0].sysregs["ESR_EL2"] == syndrome(kind, 0x0C | 3)
        machine.contexts[0].pstate = 0b0101


def test_an_old_page_and_one_outside_the_output_size_are_l1s_faults() -> None:
    """Access flag and address size faults, with the level of the walk."""
    machine = Machine()
    l1 = tables(machine)
    l1.map(L2, TARGET, attributes=ALL & ~AF)
    l1.map(L2 + BLOCK, 1 << 40, level=2)
    vcpu = machine.run_l2(VTTBR)
    assert outcome(vcpu.access(L2, LOAD)) == (L1_FAULT, 1)
    assert machine.contexts[0].sysregs["ESR_EL2"] == syndrome(LOAD, 0x08 | 3)
    machine.contexts[0].pstate = 0b0101
    machine.contexts[0].sysregs["VTCR_EL2"] = VTCR & ~(7 << 16)  # 32 bits of output
    assert outcome(vcpu.access(L2 + BLOCK, LOAD)) == (L1_FAULT, 1)
    assert machine.contexts[0].sysregs["ESR_EL2"] == syndrome(LOAD, 0x00 | 2)


def test_tables_of_l1_that_cannot_be_are_an_error_of_the_vm() -> None:
    """A bad configuration, or tables where no memory is: -EFAULT, and L1 sees a fault."""
    machine = Machine()
    vcpu = machine.run_l2(VTTBR)
    machine.contexts[0].sysregs["VTCR_EL2"] = 0
    assert outcome(vcpu.access(L2, LOAD)) == (L1_FAULT, -EFAULT)
    assert machine.contexts[0].sysregs["ESR_EL2"] == syndrome(LOAD, 0)
    machine.contexts[0].pstate = 0b0101
    machine.contexts[0].sysregs.update(VTCR_EL2=VTCR, VTTBR_EL2=0x1000)
    assert outcome(vcpu.access(L2, LOAD)) == (L1_FAULT, -EFAULT)


def test_l2_reaches_a_device_that_l1_passes_through() -> None:
    """What L1 maps to no memory of its own is a device, at L1's address."""
    machine = Machine()
    tables(machine).map(L2, 0x0900_0000)
    vcpu = machine.run_l2(VTTBR)
    handled = vcpu.access(L2 + 0x18, LOAD, iss=ISV | 2 << 22 | 3 << 16)
    assert isinstance(handled, Handled)
    assert handled.outcome == DEVICE
    assert handled.exit is not None
    assert handled.exit.address == 0x0900_0018


def test_l2_without_a_stage_2_of_l1_sees_l1s_addresses() -> None:
    """HCR_EL2.VM is clear: one to one, in a context of the VMID."""
    machine = Machine()
    vcpu = machine.run_l2(VTTBR, hcr=0)
    assert vcpu.access(TARGET, STORE) == pa_of(TARGET)
    first = vcpu.mmu
    assert machine.run_l2(VTTBR ^ 0x1000, hcr=0).mmu is first
    assert machine.run_l2(VTTBR).mmu is not first


def test_hypervisor_context_runs_on_the_vms_own_stage_2() -> None:
    """L1 at vEL2 uses the VM's addresses, and so does a vCPU without EL2 everywhere."""
    machine = Machine()
    vcpu = machine.run_l1()
    assert vcpu.mmu is machine.vm.mmu
    assert vcpu.access(TARGET, STORE) == pa_of(TARGET)
    plain = VcpuMmu(
        machine.vm,
        machine.shadows,
        1,
        Context(Features(nv=False), pstate=0b0101),
        AbortHandler(machine.vm.slots.behind, lambda _access, _data: None),
    )
    vcpu.put()
    assert plain.load(0) is machine.vm.mmu
    assert plain.access(TARGET + 4, LOAD) == pa_of(TARGET) + 4


# ---- an address that hardware did not give ----------------------------------------


def test_hpfar_is_not_trusted_after_a_permission_fault() -> None:
    """The virtual address is translated again; of a table walk the register holds."""
    permission, translation = syndrome(STORE, 0x0F), syndrome(STORE, 0x07)
    walk = syndrome(STORE, 0x0F, 1 << 7)
    wrong = hpfar_of(0xBAD_0000)

    def ipa(esr: int, *, erratum: bool = False) -> int:
        abort = fault_info(esr, 0x1234, wrong, lambda far: far + 0x5000, erratum=erratum)
        assert abort is not None
        return abort.ipa

    assert ipa(permission) == 0x6000
    assert ipa(translation) == ipa(walk) == 0xBAD_0000
    assert ipa(translation, erratum=True) == 0x6000


def test_an_address_that_is_gone_restarts_the_guest() -> None:
    """L2's own tables changed between its access and the walk: nothing is done."""
    machine = Machine()
    tables(machine).map(L2, TARGET, attributes=READ | AF)
    vcpu = machine.run_l2(VTTBR)
    assert vcpu.access(L2, LOAD) == pa_of(TARGET)
    before = Registers(machine.contexts[0].sysregs)
    assert outcome(vcpu.access(L2, STORE, translate=lambda _: None)) == (RESTART, 1)
    assert machine.contexts[0].sysregs == before
    assert outcome(vcpu.access(L2, STORE, translate=lambda far: far)) == (L1_FAULT, 1)


# ---- sizes ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "l1", "expected"),
    [
        (PAGE_SIZE, 2, 3),
        (BLOCK, 2, 2),
        (BLOCK, 3, 3),
        (BLOCK, 1, 2),
    ],
)
def test_a_shadow_maps_the_smaller_of_the_two_blocks(host: int, l1: int, expected: int) -> None:
    """And notes the level at which L1 mapped it."""
    machine = Machine(block=host)
    tables(machine).map(L2, TARGET, level=l1)
    vcpu = machine.run_l2(VTTBR)
    ipa = L2 + (TARGET & (1 << 30) - 1) if l1 == 1 else L2
    inside = 0x5678 if l1 < 3 else 0x678
    assert vcpu.access(ipa + inside, LOAD) == pa_of(TARGET) + inside
    assert vcpu.mmu is not None
    ((start, level, descriptor),) = vcpu.mmu.table.leaves()
    assert (level, descriptor >> 55 & 3) == (expected, l1)
    assert start == (ipa + inside) & -(1 << 12 + 9 * (3 - level))


# ---- what ends a mapping ----------------------------------------------------------


def test_what_l1_changed_holds_after_its_tlbi() -> None:
    """Until then the shadow may be used; the TLBI by IPA takes away the page."""
    machine = Machine()
    l1 = tables(machine)
    l1.map(L2, TARGET)
    vcpu = machine.run_l2(VTTBR)
    assert vcpu.access(L2, LOAD) == pa_of(TARGET)
    l1.map(L2, TARGET + BLOCK)
    assert vcpu.access(L2, LOAD) == pa_of(TARGET)
    ipas2e1is = 1 << 14 | 4 << 11 | 8 << 7 | 0 << 3 | 1
    assert tlbi.invalidate(machine.shadows, ipas2e1is, L2 >> 12, VTTBR ^ 1 << 48) == tlbi.DONE
    assert vcpu.access(L2, LOAD) == pa_of(TARGET)
    assert tlbi.invalidate(machine.shadows, ipas2e1is, L2 >> 12, VTTBR) == tlbi.DONE
    assert vcpu.access(L2, LOAD) == pa_of(TARGET) + BLOCK


def test_a_permission_that_l1_adds_holds_without_a_tlbi() -> None:
    """The fault is the host's then, which adds it to the mapping that there is."""
    machine = Machine()
    l1 = tables(machine)
    l1.map(L2, TARGET, attributes=READ | AF | XN)
    vcpu = machine.run_l2(VTTBR)
    assert vcpu.access(L2, LOAD) == pa_of(TARGET)
    l1.map(L2, TARGET)
    for kind in (STORE, FETCH, LOAD):
        assert vcpu.access(L2, kind) == pa_of(TARGET)


def test_a_page_that_the_host_moves_is_found_where_it_is_now() -> None:
    """The notifier takes it from the VM's tables and empties every shadow."""
    machine = Machine()
    l1 = tables(machine)
    l1.map(L2, TARGET)
    l1.map(L2 + PAGE_SIZE, TARGET + PAGE_SIZE)
    vcpu = machine.run_l2(VTTBR)
    for offset in (0, PAGE_SIZE):
        assert vcpu.access(L2 + offset, LOAD) == pa_of(TARGET) + offset
    assert vcpu.mmu is not None
    machine.space.map(HVA + TARGET - RAM_BASE, PAGE_SIZE, 0x20_0000_0000)
    assert list(vcpu.mmu.table.leaves()) == []
    assert vcpu.access(L2, LOAD) == 0x20_0000_0000
    assert vcpu.access(L2 + PAGE_SIZE, LOAD) == pa_of(TARGET) + PAGE_SIZE
    assert machine.run_l1().access(TARGET, LOAD) == 0x20_0000_0000


def test_memory_that_the_vmm_lost_is_an_error() -> None:
    """The slot is there, nothing behind it: -EFAULT; without the slot it is a device."""
    machine = Machine()
    tables(machine).map(L2, TARGET)
    vcpu = machine.run_l2(VTTBR)
    machine.space.unmap(HVA + TARGET - RAM_BASE, PAGE_SIZE)
    assert outcome(vcpu.access(L2, LOAD)) == (FAULT_IN, -EFAULT)


def test_only_the_vms_own_stage_2_ages() -> None:
    """Memory that only L2 uses looks unused (kvm_age_gfn)."""
    machine = Machine()
    tables(machine).map(L2, TARGET)
    at = HVA + TARGET - RAM_BASE
    machine.run_l2(VTTBR).access(L2, LOAD)
    assert not machine.space.age(at, PAGE_SIZE)
    l1 = machine.run_l1()
    l1.access(TARGET, LOAD)
    assert machine.space.age(at, PAGE_SIZE)
    assert not machine.space.age(at, PAGE_SIZE)
    assert l1.access(TARGET, LOAD) == pa_of(TARGET)  # an access flag fault makes it young
    assert machine.space.age(at, PAGE_SIZE, clear=False)


def test_a_deleted_slot_leaves_nothing_mapped() -> None:
    """In the VM's tables and in shadows; L2's access is then a device's."""
    machine = Machine()
    tables(machine).map(L2, TARGET)
    machine.vm.set_slot(1, 0xA000_0000, BLOCK, HVA)
    l1 = machine.run_l1()
    assert l1.access(0xA000_0000, LOAD) == GUEST_PA
    machine.vm.set_slot(1, 0xA000_0000, 0, HVA)
    handled = l1.access(0xA000_0000, LOAD, iss=ISV | 3 << 22)
    assert outcome(handled) == (DEVICE, 1)


def test_writes_of_l2_are_logged() -> None:
    """A page is mapped read-only until it is written; a write faults and is noted."""
    machine = Machine(block=BLOCK)
    tables(machine).map(L2, TARGET, level=2)
    machine.vm.set_slot(0, RAM_BASE, machine.space.find(HVA).size, HVA, LOG_DIRTY_PAGES)  # type: ignore[union-attr]
    slot = machine.vm.slots.find(TARGET)
    assert slot is not None
    vcpu = machine.run_l2(VTTBR)
    vcpu.access(L2, LOAD)
    assert slot.take_dirty() == set()
    vcpu.access(L2 + 0x3000, STORE)
    vcpu.access(L2, STORE)
    page = (TARGET - RAM_BASE) // PAGE_SIZE
    assert slot.take_dirty() == {page, page + 3}


def test_the_tlb_keeps_l2s_writes_from_a_log_that_is_turned_on() -> None:
    """6.12 protects the shadow but does not flush its VMID; the VM's own is flushed."""
    machine = Machine()
    tables(machine).map(L2, TARGET)
    area = machine.space.find(HVA)
    assert area is not None
    vcpu = machine.run_l2(VTTBR)
    vcpu.access(L2, STORE)
    machine.run_l1().access(TARGET, STORE)
    vcpu = machine.run_l2(VTTBR)
    machine.vm.set_slot(0, RAM_BASE, area.size, HVA, LOG_DIRTY_PAGES)
    slot = machine.vm.slots.find(TARGET)
    assert slot is not None
    assert vcpu.access(L2, STORE) == pa_of(TARGET)
    assert slot.take_dirty() == set()
    machine.run_l1().access(TARGET, STORE)
    assert slot.take_dirty() == {(TARGET - RAM_BASE) // PAGE_SIZE}


def test_a_read_only_slot_is_read_and_not_written() -> None:
    """A store of L2 to it is a device's."""
    machine = Machine()
    tables(machine).map(L2, 0xA000_0000)
    machine.vm.set_slot(1, 0xA000_0000, BLOCK, HVA, READONLY)
    vcpu = machine.run_l2(VTTBR)
    assert vcpu.access(L2, LOAD) == GUEST_PA
    assert outcome(vcpu.access(L2, STORE, iss=ISV | 3 << 22)) == (DEVICE, 1)


# ---- as 6.12 does it --------------------------------------------------------------


def test_a_fetch_through_xn_of_an_unmapped_page_runs() -> None:
    """Only a permission fault asks L1's tables, and there is none; later kernels check."""
    for checks in (False, True):
        machine = Machine()
        tables(machine).map(L2, TARGET, attributes=ALL | XN)
        vcpu = machine.run_l2(VTTBR)
        vcpu.checks_fetch = checks
        result = vcpu.access(L2, FETCH)
        if checks:
            assert outcome(result) == (L1_FAULT, 1)
        else:
            assert result == pa_of(TARGET)


def test_a_read_that_l1_allows_later_ends_the_vm() -> None:
    """A read permission fault that is not L1's is thought impossible: -EFAULT."""
    machine = Machine()
    l1 = tables(machine)
    l1.map(L2, TARGET, attributes=ALL & ~READ)
    vcpu = machine.run_l2(VTTBR)
    assert vcpu.access(L2, STORE) == pa_of(TARGET)
    l1.map(L2, TARGET)
    assert outcome(vcpu.access(L2, LOAD)) == (FAULT_IN, -EFAULT)


# ---- contexts ---------------------------------------------------------------------


def test_contexts_are_found_again_and_reused_in_turn() -> None:
    """The key is VTTBR_EL2 without CnP, and VTCR_EL2; two for each vCPU."""
    machine = Machine()
    shadows = machine.shadows
    assert len(shadows.contexts) == PER_VCPU
    first = shadows.get(VTTBR, VTCR, 1)
    shadows.put(first)
    assert shadows.get(VTTBR | 1, VTCR, 1) is first
    second = shadows.get(VTTBR, VTCR + 1, 1)
    assert second is not first
    with pytest.raises(UsageError, match="every MMU context is held"):
        shadows.get(VTTBR ^ 1 << 48, VTCR, 1)
    shadows.put(first)
    third = shadows.get(VTTBR ^ 1 << 48, VTCR, 1)
    assert third is first
    assert third.pending_unmap
    assert shadows.find(VTTBR, VTCR, 1) is None


def test_a_reused_context_is_emptied_before_it_is_entered() -> None:
    """Nothing of one L2 is seen by the next."""
    machine = Machine()
    l1 = tables(machine)
    l1.map(L2, TARGET)
    other = L1Tables(machine, TABLES + 0x10_0000)
    for vmid in range(4):
        machine.run_l2(VTTBR & (1 << 48) - 1 | vmid << 48).access(L2, LOAD)
    vcpu = machine.run_l2(other.base | 9 << 48)
    assert outcome(vcpu.access(L2, LOAD)) == (L1_FAULT, 1)


def test_a_vcpu_that_is_scheduled_out_keeps_its_context() -> None:
    """One that is put otherwise gives it up."""
    machine = Machine()
    tables(machine).map(L2, TARGET)
    vcpu = machine.run_l2(VTTBR)
    shadow = vcpu.mmu
    assert isinstance(shadow, Shadow)
    vcpu.put(scheduled_out=True)
    assert (vcpu.mmu, shadow.references) == (shadow, 1)
    vcpu.load(0)
    assert (vcpu.mmu, shadow.references) == (shadow, 1)
    vcpu.put()
    assert (vcpu.mmu, shadow.references) == (None, 0)
    with pytest.raises(UsageError, match="vCPU 0 is not loaded"):
        vcpu.access(L2, LOAD)


def test_two_vcpus_of_one_context_do_not_share_tlb_entries() -> None:
    """Where another vCPU ran last, the TLB is flushed of the VMID (last_vcpu_ran)."""
    machine = Machine(vcpus=2)
    tables(machine).map(L2, TARGET)
    mmu = machine.run_l2(VTTBR).mmu
    assert mmu is not None
    machine.vcpu.access(L2, LOAD)
    assert machine.host.tlb.find(0, mmu.vmid_number, L2) is not None
    machine.vcpu.put()
    assert machine.run_l2(VTTBR, vcpu=1).mmu is mmu
    assert machine.host.tlb.find(0, mmu.vmid_number, L2) is None


def test_the_registers_that_the_host_loads_describe_its_tables() -> None:
    """VTTBR_EL2 has the VMID and the base; VTCR_EL2 size, start level, 16-bit VMIDs."""
    mmu = Machine().run_l1().mmu
    assert mmu is not None
    assert mmu.vttbr == mmu.table.root | mmu.vmid_number << 48
    assert mmu.vmid_number == 1
    assert mmu.vtcr == 1 << 31 | 1 << 19 | 5 << 16 | 0x3500 | 1 << 6 | 24


def test_a_host_out_of_pages_fails_before_it_maps() -> None:
    """The store is topped up first: -ENOMEM, and nothing is half done."""
    machine = Machine()
    tables(machine).map(L2, TARGET)
    vcpu = machine.run_l2(VTTBR)
    machine.host.pages.allocate(1)
    while machine.host.pages.allocate() is not None:
        pass
    assert outcome(vcpu.access(L2, LOAD)) == (FAULT_IN, -12)
    assert vcpu.mmu is not None
    assert list(vcpu.mmu.table.leaves()) == []


def test_faults_that_are_nobodys_tables_are_handled_first() -> None:
    """An external abort does not depend on an address."""
    machine = Machine()
    vcpu = machine.run_l2(VTTBR)
    handled = vcpu.handle(Abort(syndrome(LOAD, 0x10), 0, 0))
    assert (handled.outcome, handled.serror) == ("sea", True)
