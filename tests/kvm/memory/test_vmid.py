"""The VMID allocator: generations, rollovers, and what no sequence can do to it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvtrap.errors import UsageError
from nvtrap.kvm.memory.vmid import Vmid, VmidAllocator

CPUS = 2
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["update", "update", "update", "put", "new"]),
        st.integers(0, 11),
        st.integers(0, CPUS - 1),
    ),
    max_size=200,
)


def ids(allocator: VmidAllocator, vms: list[Vmid]) -> list[tuple[int, int]]:
    """(VMID, generation) of each VM."""
    return [allocator.split(vm) for vm in vms]


@given(STEPS, st.integers(2, 4))
def test_live_vms_of_a_generation_have_different_vmids_and_none_is_zero(
    steps: list[tuple[str, int, int]], bits: int
) -> None:
    """Whatever runs where: a VMID belongs to one VM, and 0 to none."""
    allocator = VmidAllocator(bits, CPUS - (bits == 2))
    vms = [Vmid() for _ in range(12)]
    newest = 1
    for op, index, cpu in steps:
        cpu = min(cpu, len(allocator.active) - 1)  # noqa: PLW2901
        if op == "put":
            allocator.clear_active(cpu)
        elif op == "new":
            vms[index] = Vmid()
        else:
            rolled = allocator.update(vms[index], cpu)
            newest += rolled
            assert allocator.active[cpu] == vms[index].id
        vmids = [vmid for vmid, generation in ids(allocator, vms) if generation == newest]
        assert len(vmids) == len(set(vmids))
        assert all(0 < vmid < 1 << bits for vmid in vmids)
        assert all(generation <= newest for _, generation in ids(allocator, vms))


@given(STEPS)
def test_a_vm_that_runs_through_a_rollover_keeps_its_vmid(
    steps: list[tuple[str, int, int]],
) -> None:
    """On the CPU where it runs, or another, as long as it is not put before."""
    allocator = VmidAllocator(3, CPUS)
    pinned, vms = Vmid(), [Vmid() for _ in range(12)]
    allocator.update(pinned, 0)
    number, _ = allocator.split(pinned)
    for _, index, _ in steps:
        allocator.update(vms[index], 1)
        allocator.update(pinned, 0)
        assert allocator.split(pinned)[0] == number


def fill(allocator: VmidAllocator, cpu: int = 0) -> list[Vmid]:
    """New VMs on one CPU until the generation is full."""
    vms: list[Vmid] = []
    while not vms or allocator.split(vms[-1])[0] != 7:
        vms.append(Vmid())
        assert not allocator.update(vms[-1], cpu)
    return vms


def test_a_full_generation_rolls_over_once_and_starts_at_one() -> None:
    """The VM that runs elsewhere keeps 1, so that the new one gets 2."""
    allocator = VmidAllocator(3, 2)
    first = Vmid()
    allocator.update(first, 1)
    assert ids(allocator, fill(allocator))[-1] == (7, 1)
    new = Vmid()
    assert allocator.update(new, 0)
    assert ids(allocator, [new, first]) == [(2, 2), (1, 1)]
    assert allocator.active == [0x12, 0]
    assert allocator.reserved == [0xF, 0x9]
    assert not allocator.update(first, 0)  # on another CPU
    assert ids(allocator, [first]) == [(1, 2)]
    assert allocator.reserved == [0xF, 0x11]


def test_a_put_reserves_nothing() -> None:
    """The idle value is not zero: it takes the place of an older reservation."""
    allocator = VmidAllocator(3, 1)
    vms = fill(allocator)
    allocator.clear_active(0)
    assert allocator.active == [0x8]
    new = Vmid()
    assert allocator.update(new, 0)
    assert allocator.reserved == [0x8]
    assert ids(allocator, [new]) == [(1, 2)]
    assert not allocator.update(vms[0], 0)
    assert ids(allocator, [vms[0]]) == [(2, 2)]  # 1 is gone, the search goes on at the last
    assert not allocator.update(vms[6], 0)
    assert ids(allocator, [vms[6]]) == [(7, 2)]  # free, so it gets its own again


def test_a_cpu_that_did_not_run_since_a_rollover_keeps_its_older_reservation() -> None:
    """Its active id is 0 by then."""
    allocator = VmidAllocator(3, 2)
    pinned = Vmid()
    allocator.update(pinned, 1)
    for generation in (2, 3):
        while not allocator.update(Vmid(), 0):
            pass
        assert allocator.active[1] == 0
        assert allocator.reserved[1] == 0x9
        assert allocator.split(pinned) == (1, 1)
        assert allocator.split(_updated(allocator)) == (3, generation)
    assert not allocator.update(pinned, 1)
    assert allocator.split(pinned) == (1, 3)


def _updated(allocator: VmidAllocator) -> Vmid:
    vm = Vmid()
    allocator.update(vm, 0)
    return vm


@pytest.mark.parametrize(("bits", "cpus"), [(0, 1), (17, 1), (8, 0), (8, 255), (1, 1), (-1, 1)])
def test_there_must_be_more_vmids_than_cpus(bits: int, cpus: int) -> None:
    """And their bits must be the architecture's."""
    with pytest.raises(UsageError):
        VmidAllocator(bits, cpus)
