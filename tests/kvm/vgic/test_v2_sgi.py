"""SGIs of a GICv2: sent by GICD_SGIR, kept apart by their senders, listed one at a time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvtrap.kvm.vgic.device import Group
from nvtrap.kvm.vm import Vm
from tests.kvm.vgic.machines_v2 import (
    CPENDSGIR,
    GICC,
    GICD,
    SPENDSGIR,
    SPURIOUS,
    acknowledge,
    end,
    isr,
    load,
    send,
    spi_line,
    started,
    store,
)

ISPENDR, ICPENDR, ISACTIVER, IPRIORITYR = 0x200, 0x280, 0x300, 0x400


@pytest.mark.parametrize(
    ("target_filter", "targets", "reached"),
    [
        (0, 0b101, {0, 2}),
        (0, 0b1000, set[int]()),
        (0, 0, set[int]()),
        (1, 0, {0, 2}),
        (1, 0xFF, {0, 2}),
        (2, 0, {1}),
        (2, 0b101, {1}),
        (3, 0xFF, set[int]()),
    ],
)
def test_the_filter_says_whom_it_reaches(
    target_filter: int, targets: int, reached: set[int]
) -> None:
    """The list, all but the sender, the sender; 3 is reserved and sends nothing."""
    vm, _ = started(vcpus=3)
    send(vm, 1, 5, targets, target_filter)
    assert {id for id in range(3) if isr(vm, id)} == reached
    for id in reached:
        assert acknowledge(vm, id) == 1 << 10 | 5


def test_sgir_takes_words_only_and_reads_as_zero() -> None:
    """A byte of it is no register."""
    vm, _ = started()
    store(vm, 0, GICD + 0xF00, 2, size=1)
    store(vm, 0, GICD + 0xF03, 2, size=1)
    assert isr(vm) == 0
    assert load(vm, 0, GICD + 0xF00) == 0


def test_senders_come_one_after_the_other_the_lowest_first() -> None:
    """Each is acknowledged and ended by itself; the next waits for that."""
    vm, _ = started(vcpus=4)
    for sender in (3, 1, 2):
        send(vm, sender, 7, targets=1)
    assert load(vm, 0, GICD + SPENDSGIR + 4) == 0b1110 << 24
    for sender in (1, 2, 3):
        assert acknowledge(vm) == sender << 10 | 7
        assert acknowledge(vm) == SPURIOUS
        end(vm, sender << 10 | 7)
    assert acknowledge(vm) == SPURIOUS


def test_an_sgi_sent_twice_by_one_comes_once() -> None:
    """Pending is a bit for each sender."""
    vm, _ = started(vcpus=2)
    send(vm, 1, 0, targets=1)
    send(vm, 1, 0, targets=1)
    end(vm, acknowledge(vm))
    assert acknowledge(vm) == SPURIOUS


def test_one_sent_again_while_active_comes_again() -> None:
    """The same sender may be active and pending at once."""
    vm, _ = started(vcpus=2)
    send(vm, 1, 3, targets=1)
    assert acknowledge(vm) == 1 << 10 | 3
    send(vm, 1, 3, targets=1)
    assert load(vm, 0, GICD + SPENDSGIR) == 0b10 << 24
    assert load(vm, 0, GICD + ISACTIVER) == 1 << 3
    end(vm, 1 << 10 | 3)
    assert acknowledge(vm) == 1 << 10 | 3


def test_all_senders_come_before_anything_of_lower_priority() -> None:
    """With more senders than one the list is sorted and nothing lower gets a list register."""
    vm, _ = started(vcpus=3, list_registers=4)
    spi_line(vm, 40, 1)  # priority 0 until it is set
    store(vm, 0, GICD + IPRIORITYR + 40, 0x80, size=1)
    store(vm, 0, GICD + IPRIORITYR + 2, 0x40, size=1)
    for sender in (1, 2):
        send(vm, sender, 2, targets=1)
    order = []
    while (seen := acknowledge(vm)) != SPURIOUS:
        order.append(seen)
        end(vm, seen)
    assert order == [1 << 10 | 2, 2 << 10 | 2, 40]


def test_more_sgis_than_list_registers_all_come_in_the_order_of_priority() -> None:
    """Sixteen SGIs from two senders with two list registers."""
    vm, _ = started(vcpus=2, list_registers=2)
    for intid in range(16):
        store(vm, 0, GICD + IPRIORITYR + intid, (15 - intid) << 3, size=1)
        for sender in (0, 1):
            send(vm, sender, intid, targets=1)
    taken = []
    while (seen := acknowledge(vm)) != SPURIOUS:
        taken.append(seen)
        end(vm, seen)
    assert taken == [sender << 10 | intid for intid in range(15, -1, -1) for sender in (0, 1)]


def test_sgis_become_pending_by_their_own_registers_only() -> None:
    """A guest's ISPENDR and ICPENDR do not move them; SPENDSGIR and CPENDSGIR do."""
    vm, _ = started()
    store(vm, 0, GICD + ISPENDR, 0xFFFF)
    assert load(vm, 0, GICD + ISPENDR) == 0
    store(vm, 0, GICD + SPENDSGIR + 5, 0x81, size=1)
    assert load(vm, 0, GICD + SPENDSGIR + 4) == 0x8100
    assert load(vm, 0, GICD + CPENDSGIR + 5, size=1) == 0x81
    store(vm, 0, GICD + ICPENDR, 0xFFFF)
    assert load(vm, 0, GICD + ISPENDR) == 1 << 5
    store(vm, 0, GICD + CPENDSGIR + 5, 0x80, size=1)
    assert acknowledge(vm) == 5
    store(vm, 0, GICD + CPENDSGIR + 5, 0xFF, size=1)
    assert load(vm, 0, GICD + ISPENDR) == 0


def test_clearing_every_sender_takes_it_back() -> None:
    """Also from a list register, once the vCPU has left the guest."""
    vm, _ = started(vcpus=2)
    send(vm, 1, 4, targets=1)
    assert isr(vm) == 0x80
    store(vm, 0, GICD + CPENDSGIR + 4, 0b10)
    assert isr(vm) == 0
    assert acknowledge(vm) == SPURIOUS


def test_user_space_sets_an_sgi_as_if_the_vcpu_had_sent_it_to_itself() -> None:
    """Its ISPENDR knows no sender; its ICPENDR clears all of them."""
    vm, gic = started(vcpus=2)
    gic.set_attr(Group.DIST_REGS, 1 << 32 | ISPENDR, 1 << 9)
    assert gic.get_attr(Group.DIST_REGS, 1 << 32 | SPENDSGIR + 8) == 0b10 << 8
    assert acknowledge(vm, 1) == 1 << 10 | 9
    end(vm, 1 << 10 | 9, vcpu=1)
    gic.set_attr(Group.DIST_REGS, 1 << 32 | SPENDSGIR + 8, 0xFF << 8)
    gic.set_attr(Group.DIST_REGS, 1 << 32 | ICPENDR, 1 << 9)
    assert gic.get_attr(Group.DIST_REGS, 1 << 32 | SPENDSGIR + 8) == 0
    assert isr(vm, 1) == 0


@pytest.mark.parametrize(("by_user", "source"), [(True, 0), (False, 1)])
def test_an_sgi_made_active_has_a_source(by_user: bool, source: int) -> None:
    """The vCPU that wrote ISACTIVER, 0 for user space: nobody knows it better."""
    vm, gic = started(vcpus=2)
    if by_user:
        gic.set_attr(Group.DIST_REGS, 1 << 32 | ISACTIVER, 1)
    else:
        store(vm, 1, GICD + ISACTIVER, 1)
    vcpu = vm.vcpus[1]
    vcpu.enter()
    lr = vcpu.lists.interface.lrs[0]
    assert (lr >> 28 & 3, lr >> 10 & 7) == (2, source)
    vcpu.exit()


@given(
    st.lists(
        st.one_of(
            st.tuples(
                st.just("send"),
                st.integers(0, 2),
                st.integers(0, 3),
                st.integers(0, 7),
                st.integers(0, 2),
            ),
            st.tuples(st.just("take"), st.integers(0, 2)),
        ),
        max_size=40,
    ),
    st.sampled_from([1, 2, 4]),
)
def test_every_sgi_comes_once_to_each_target(
    actions: list[tuple[str, int] | tuple[str, int, int, int, int]], list_registers: int
) -> None:
    """Against a model: for each vCPU a set of (INTID, sender)."""
    vm, _ = started(vcpus=3, list_registers=list_registers)
    waiting: list[set[tuple[int, int]]] = [set(), set(), set()]
    for action in actions:
        if len(action) == 5:
            _, sender, intid, targets, target_filter = action
            send(vm, sender, intid, targets, target_filter)
            listed = {0: targets, 1: 7 & ~(1 << sender), 2: 1 << sender}[target_filter]
            for id in range(3):
                if listed >> id & 1:
                    waiting[id].add((intid, sender))
        else:
            _take(vm, action[1], waiting)
    for id in range(3):
        while waiting[id]:
            _take(vm, id, waiting)
        assert acknowledge(vm, id) == SPURIOUS
        assert load(vm, id, GICC + 0x14) == 0xFF


def _take(vm: Vm, id: int, waiting: list[set[tuple[int, int]]]) -> None:
    seen = acknowledge(vm, id)
    if not waiting[id]:
        assert seen == SPURIOUS
        return
    waiting[id].remove((seen & 0x3FF, seen >> 10))
    end(vm, seen, id)
