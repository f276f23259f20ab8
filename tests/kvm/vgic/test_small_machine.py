"""A machine of 2 vCPUs, 2 list registers and 6 interrupts, searched schedule by schedule.

States are hashed, so that each is looked at once. In every state it holds that nothing was
delivered that was not raised, or twice, or before something more urgent; and from every
state, with the guests handling what comes, everything that is raised is delivered, whether
the vCPUs leave the guest for it or stay.
"""

from __future__ import annotations

from typing import Any

import pytest

from nvtrap.gic.virtual import lr as lrs
from nvtrap.kvm.vcpu import IN_GUEST, OUTSIDE, Vcpu
from nvtrap.kvm.vgic.interrupt import Interrupt
from tests.kvm.vgic.machines import (
    GICD,
    ICFGR,
    IPRIORITYR,
    IROUTER,
    ISENABLER,
    acknowledge,
    end,
    line,
    redistributor,
    spi,
    started,
)

SPURIOUS = 1023
SGI, TIMER, LEVEL, ROUTED, URGENT, EDGE = 1, 27, 32, 33, 34, 35
LEVELS = (LEVEL, URGENT)
EDGES = (ROUTED, EDGE)
USUAL_PRIORITY, URGENT_PRIORITY = 0xA0, 0x40
# SGI 1 goes from vCPU 0 to vCPU 1; 35 is vCPU 1's, the rest vCPU 0's, 33 until it is routed.
HOME = {SGI: 1, TIMER: 0, LEVEL: 0, ROUTED: 0, URGENT: 0, EDGE: 1}

State = tuple[Any, ...]
Action = tuple[Any, ...]


class Machine:
    """The machine with the guests' memory: what each has acknowledged, and what was raised."""

    def __init__(self, interrupts: tuple[int, ...]) -> None:
        self.interrupts = interrupts
        self.vm, _, self.vcpus = started(vcpus=2, list_registers=2)
        first, second = self.vcpus
        first.write(GICD + ICFGR + 8, 4, 2 << 2 | 2 << 6)  # 33 and 35 are edge-triggered
        for intid in (LEVEL, ROUTED, URGENT, EDGE):
            urgent = intid == URGENT
            priority = URGENT_PRIORITY if urgent else USUAL_PRIORITY
            first.write(GICD + IPRIORITYR + intid, 1, priority)
        first.write(GICD + IROUTER + 8 * EDGE, 8, 1)
        for vcpu, intid in ((first, TIMER), (second, SGI)):
            vcpu.write(redistributor(vcpu.index) + IPRIORITYR + intid, 1, USUAL_PRIORITY)
            vcpu.write(redistributor(vcpu.index) + ISENABLER, 4, 1 << intid)
        for vcpu in self.vcpus:
            vcpu.exit()
        self.timer = first.timers[0]
        self.irqs = {intid: self.interrupt(intid) for intid in HOME}
        self.taken: list[tuple[int, ...]] = [(), ()]
        # What is to come: line high, or an edge since it last came. And the edges that
        # did not come yet: one on its way to a vCPU may not be merged with the next.
        self.raised: frozenset[int] = frozenset()
        self.edges: tuple[int, ...] = ()

    def interrupt(self, intid: int) -> Interrupt:
        """The interrupt of an INTID."""
        return spi(self.vm, intid) if intid >= 32 else self.vcpus[HOME[intid]].private[intid]

    # ---- states ------------------------------------------------------------------------

    def state(self) -> State:
        """Everything that changes."""
        timer, host = self.timer, self.timer.host
        return (
            tuple(self._of_interrupt(irq) for irq in self.irqs.values()),
            tuple(self._of_vcpu(vcpu) for vcpu in self.vcpus),
            (timer.line, timer.level, timer.loaded, host.active, host.entered_active),
            tuple(self.taken),
            self.raised,
            self.edges,
        )

    def _of_interrupt(self, irq: Interrupt) -> State:
        holder = None if irq.vcpu is None else irq.vcpu.index
        assert irq.target_vcpu is not None
        state = (irq.line_level, irq.pending_latch, irq.active, holder)
        return (*state, irq.target_vcpu.index, irq.mpidr)

    def _of_vcpu(self, vcpu: Vcpu) -> State:
        lists: Any = vcpu.lists
        hardware = lists.hardware
        return (
            vcpu.mode,
            tuple(irq.intid for irq in vcpu.ap_list),
            (lists.used, lists.underflow, lists.aprs[1][0]),
            (tuple(hardware.lrs), hardware.hcr, hardware.active[1]),
        )

    def become(self, state: State) -> None:
        """Go to a state."""
        irqs, vcpus, timer, taken, self.raised, self.edges = state
        self.taken = list(taken)
        host = self.timer.host
        self.timer.line, self.timer.level, self.timer.loaded, *rest = timer
        host.active, host.entered_active = rest
        for irq, (line_level, latch, active, holder, target, mpidr) in zip(
            self.irqs.values(), irqs, strict=True
        ):
            irq.line_level, irq.pending_latch, irq.active, irq.mpidr = (
                line_level,
                latch,
                active,
                mpidr,
            )
            irq.vcpu = None if holder is None else self.vcpus[holder]
            irq.target_vcpu = self.vcpus[target]
        for vcpu, (mode, listed, kept, (registers, hcr, active)) in zip(
            self.vcpus, vcpus, strict=True
        ):
            lists: Any = vcpu.lists
            vcpu.mode = mode
            vcpu.ap_list = [self.irqs[intid] for intid in listed]
            lists.used, lists.underflow, lists.aprs[1][0] = kept
            lists.hardware.lrs[:] = registers
            lists.hardware.hcr, lists.hardware.active[1] = hcr, active
        self.vm.running = sum(vcpu.mode is not OUTSIDE for vcpu in self.vcpus)

    # ---- what can happen -----------------------------------------------------------------

    def actions(self) -> list[Action]:
        """What can happen next."""
        possible: list[Action] = []
        for intid in self.interrupts:
            if intid in LEVELS:
                possible.append(("line", intid, not self.irqs[intid].line_level))
            elif intid in EDGES:
                possible.append(("line", intid, True))
            elif intid == TIMER:
                possible.append(("timer", not self.timer.line))
            elif self.vcpus[0].mode is not OUTSIDE:
                possible.append(("sgi",))
        if ROUTED in self.interrupts:
            target = self.irqs[ROUTED].mpidr
            possible += [("route", n, 1 - target) for n in (0, 1) if self._runs(n)]
        for n in (0, 1):
            if not self._runs(n):
                possible.append(("enter", n))
            else:
                possible += [("exit", n), ("acknowledge", n)]
                possible += [("end", n)] if self.taken[n] else []
        return possible

    def _runs(self, n: int) -> bool:
        return self.vcpus[n].mode is not OUTSIDE

    def act(self, action: Action) -> None:
        """Let one thing happen, and look that it is right."""
        name, *arguments = action
        getattr(self, f"do_{name}")(*arguments)

    def do_line(self, intid: int, level: bool) -> None:
        line(self.vm, intid, level)
        if intid in EDGES:
            self._count_edge(intid)
        elif level:
            self.raised |= {intid}

    def _count_edge(self, intid: int) -> None:
        self.raised |= {intid}
        if self.edges.count(intid) < 2:
            self.edges = tuple(sorted((*self.edges, intid)))

    def do_timer(self, level: bool) -> None:
        self.timer.set_line(level)
        if level:
            self.raised |= {TIMER}

    def do_sgi(self) -> None:
        self.vcpus[0].msr("ICC_SGI1R_EL1", SGI << 24 | 1 << 1)
        self._count_edge(SGI)

    def do_route(self, n: int, target: int) -> None:
        self.vcpus[n].write(GICD + IROUTER + 8 * ROUTED, 8, target)

    def do_enter(self, n: int) -> None:
        self.vcpus[n].enter()

    def do_exit(self, n: int) -> None:
        self.vcpus[n].exit()

    def do_acknowledge(self, n: int) -> int:
        intid = acknowledge(self.vcpus[n])
        if intid != SPURIOUS:
            assert intid in self.raised or intid in self.edges, f"{intid} was not raised"
            assert intid not in (*self.taken[0], *self.taken[1]), f"{intid} came twice"
            assert intid == URGENT or not self._is_urgent(n), f"{intid} came too early"
            self.taken[n] += (intid,)
            if intid in self.edges:
                edges = list(self.edges)
                edges.remove(intid)
                self.edges = tuple(edges)
            if not self._is_high(intid):
                self.raised -= {intid}
        return intid

    def do_end(self, n: int) -> None:
        *rest, intid = self.taken[n]
        self.taken[n] = tuple(rest)
        end(self.vcpus[n], intid)

    def _is_urgent(self, n: int) -> bool:
        """Whether the most urgent interrupt waits for a vCPU."""
        is_taken = URGENT in (*self.taken[0], *self.taken[1])
        return HOME[URGENT] == n and self._line(URGENT) and not is_taken

    def _is_high(self, intid: int) -> bool:
        return self.timer.line if intid == TIMER else intid in LEVELS and self._line(intid)

    def _line(self, intid: int) -> bool:
        return self.irqs[intid].line_level

    # ---- what always holds -------------------------------------------------------------

    def check(self) -> None:
        """An interrupt is on one list, and a forwarded one has the host's behind it."""
        for vcpu in self.vcpus:
            assert all(irq.vcpu is vcpu for irq in vcpu.ap_list)
            for lr in vcpu.lists.interface.lrs if vcpu.mode is IN_GUEST else ():
                if lr & lrs.HW and lr & lrs.STATE:
                    assert lrs.state(lr) != lrs.PENDING_AND_ACTIVE
                    assert self.timer.host.active
        listed = [irq.intid for vcpu in self.vcpus for irq in vcpu.ap_list]
        assert len(listed) == len(set(listed))

    def settle(self) -> None:
        """Let the guests handle everything; each goes in and out of the guest."""
        for n in (0, 1):
            if self._runs(n):
                self.do_exit(n)
        self.edges = tuple(sorted(set(self.edges)))  # folded, all edges of one are merged
        stale = {intid for intid in (*LEVELS, TIMER) if not self._is_high(intid)}
        for _ in range(3):
            for n in (0, 1):
                self.do_enter(n)
                # What fell while nobody ran must not come any more.
                self.raised -= stale
                self._handle_all(n)
                self.do_exit(n)
        assert not self.raised, f"{set(self.raised)} was lost"
        assert self.taken == [(), ()]
        assert not any(irq.active or irq.pending() for irq in self.irqs.values())

    def settle_inside(self) -> None:
        """Let the guests handle everything while no vCPU leaves KVM_RUN.

        A level interrupt is ended once with its line still high, and comes again.
        """
        for n in (0, 1):
            if not self._runs(n):
                self.do_enter(n)
        for _ in range(2):
            for n in (0, 1):
                self._handle_all(n, patient=True)
        high = {intid for intid in (*LEVELS, TIMER) if self._is_high(intid)}
        # What fell need not come. Nor need an edge whose route was elsewhere when it came:
        # Linux kicks the vCPU of the route, not the one that has the interrupt, which
        # delivers it or moves it when it next leaves the guest.
        lost = self.raised - ({*LEVELS, TIMER} - high) - {ROUTED}
        assert not lost, f"{lost} was lost"
        assert self.taken == [(), ()]

    def _handle_all(self, n: int, *, patient: bool = False) -> None:
        """Take and end what there is; a handler lowers a level, a patient one the second time."""
        seen: set[int] = set()
        while True:
            while self.taken[n]:
                intid = self.taken[n][-1]
                if not patient or intid in seen:
                    self._lower(intid)
                seen.add(intid)
                self.do_end(n)
                if self._is_high(intid):
                    assert self.do_acknowledge(n) != SPURIOUS, f"{intid} did not come again"
            if self.do_acknowledge(n) == SPURIOUS:
                return

    def _lower(self, intid: int) -> None:
        if intid in LEVELS:
            self.do_line(intid, level=False)
        elif intid == TIMER:
            self.do_timer(level=False)
        self.raised -= {intid} & {*LEVELS, TIMER}


def search(machine: Machine, depth: int) -> int:
    """Look at every state that `depth` actions reach; how many there are."""
    start = machine.state()
    seen = {start}
    frontier = [start]
    for _ in range(depth):
        reached = []
        for state in frontier:
            machine.become(state)
            for action in machine.actions():
                machine.become(state)
                machine.act(action)
                machine.check()
                after = machine.state()
                if after not in seen:
                    seen.add(after)
                    reached.append(after)
        for state in reached:
            machine.become(state)
            machine.settle()
            machine.become(state)
            machine.settle_inside()
        if not reached:
            break
        frontier = reached
    return len(seen)


def test_a_state_is_all_there_is() -> None:
    """Going to a state and coming back changes nothing, so that the search is sound."""
    machine = Machine((LEVEL, TIMER))
    start = machine.state()
    machine.do_enter(0)
    machine.do_line(LEVEL, level=True)
    machine.do_acknowledge(0)
    after = machine.state()
    assert after != start
    machine.become(start)
    assert machine.state() == start
    machine.become(after)
    assert machine.state() == after
    machine.settle()


@pytest.mark.parametrize(
    ("interrupts", "least"),
    [
        ((TIMER, LEVEL), 1000),
        ((SGI, ROUTED), 1000),
        ((LEVEL, URGENT), 1000),
        ((TIMER, URGENT), 1000),
    ],
)
def test_every_state_of_two_interrupts_is_right(interrupts: tuple[int, ...], least: int) -> None:
    """Two interrupts at a time, to the last state there is."""
    assert search(Machine(interrupts), depth=1000) > least


def test_every_short_schedule_of_six_interrupts_is_right() -> None:
    """All six with two list registers: whatever happens in so many steps."""
    assert search(Machine((SGI, TIMER, LEVEL, ROUTED, URGENT, EDGE)), depth=6) > 10_000
