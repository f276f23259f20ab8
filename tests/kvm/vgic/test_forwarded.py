"""Forwarded interrupts: once to the guest, until it has ended the host's."""

from __future__ import annotations

from errno import EEXIST, EINVAL

from hypothesis import given
from hypothesis import strategies as st

from nvtrap.gic.virtual import lr as lrs
from nvtrap.gic.virtual import maintenance
from nvtrap.kvm.timer import Timer
from nvtrap.kvm.vcpu import OUTSIDE, Vcpu
from nvtrap.kvm.vgic import forwarded
from nvtrap.kvm.vgic.forwarded import HostInterrupt
from tests.kvm.vgic.machines import (
    ICACTIVER,
    ICENABLER,
    ICPENDR,
    ISACTIVER,
    ISENABLER,
    ISPENDR,
    acknowledge,
    end,
    line,
    redistributor,
    refused,
    started,
)

TIMER = 27
BIT = 1 << TIMER
SPURIOUS = 1023
FRAME = redistributor(0)


def with_timer() -> tuple[Vcpu, Timer]:
    """A vCPU in the guest, its virtual timer's interrupt enabled."""
    _, _, (vcpu,) = started()
    vcpu.write(FRAME + ISENABLER, 4, BIT)
    return vcpu, vcpu.timers[0]


def registers(vcpu: Vcpu) -> list[int]:
    """The list registers that are not empty."""
    vcpu.enter_guest()
    return [lr for lr in vcpu.lists.interface.lrs if lr & lrs.STATE]


def test_the_list_register_names_the_hosts_interrupt() -> None:
    """HW is set with pINTID, and there is no EOI request."""
    vcpu, timer = with_timer()
    timer.set_line(True)
    (lr,) = registers(vcpu)
    assert lr & lrs.HW
    assert lrs.pintid(lr) == TIMER
    assert lrs.state(lr) == lrs.PENDING
    assert timer.host.active


def test_the_guests_end_deactivates_the_hosts() -> None:
    """Through the HW bit; with the line low nothing comes again."""
    vcpu, timer = with_timer()
    timer.set_line(True)
    assert acknowledge(vcpu) == TIMER
    assert timer.host.active
    timer.set_line(False)
    end(vcpu, TIMER)
    assert not timer.host.active
    assert acknowledge(vcpu) == SPURIOUS


def test_it_is_queued_once_until_it_has_ended() -> None:
    """A line that stays high comes again, but only after the guest's end."""
    vcpu, timer = with_timer()
    timer.set_line(True)
    assert acknowledge(vcpu) == TIMER
    for _ in range(3):
        vcpu.exit()
        vcpu.enter()
        assert acknowledge(vcpu) == SPURIOUS
        (lr,) = registers(vcpu)
        assert lrs.state(lr) == lrs.ACTIVE
    end(vcpu, TIMER)
    assert acknowledge(vcpu) == TIMER


def test_sync_reports_the_end_and_nothing_else() -> None:
    """1 only when the host's interrupt went from active to inactive since the entry."""
    host = HostInterrupt(TIMER, lambda: False)
    for before, after, ended in ((0, 0, 0), (0, 1, 0), (1, 1, 0), (1, 0, 1)):
        host.active = bool(before)
        host.note_entry()
        host.active = bool(after)
        assert host.sync() == ended
        assert host.sync() == 0


def test_a_line_that_falls_unseen_lets_go_of_the_host() -> None:
    """The interrupt was pending only: after the exit the line is sampled."""
    vcpu, timer = with_timer()
    timer.set_line(True)
    vcpu.enter_guest()
    timer.set_line(False)
    vcpu.exit()
    assert not timer.host.active
    vcpu.enter()
    assert acknowledge(vcpu) == SPURIOUS
    timer.set_line(True)
    assert acknowledge(vcpu) == TIMER


def test_devices_are_quiescent_before_the_host_runs() -> None:
    """The timer's line is silent while its guest is out, and the GIC raises nothing."""
    vcpu, timer = with_timer()
    vcpu.exit()
    timer.set_line(True)
    assert not timer.loaded
    assert not timer.host.active
    assert not vcpu.ap_list
    assert not maintenance.signalled(vcpu.lists.interface)
    vcpu.enter()
    assert acknowledge(vcpu) == TIMER


def test_the_gics_own_interrupt_stays_in_the_host() -> None:
    """Maintenance: a level interrupt that ends makes the guest exit, and comes again."""
    vm, _, (vcpu,) = started()
    line(vm, 40, 1)
    assert acknowledge(vcpu) == 40
    end(vcpu, 40)
    assert vcpu.mode == "in the host"  # by the maintenance interrupt
    assert acknowledge(vcpu) == 40
    vcpu.exit()
    assert not maintenance.signalled(vcpu.lists.interface)


def test_a_write_to_pend_and_one_to_unpend_do_not_mask_the_device() -> None:
    """The host's interrupt becomes active, and is let go of again."""
    vcpu, timer = with_timer()
    vcpu.write(FRAME + ISPENDR, 4, BIT)
    assert timer.host.active
    vcpu.write(FRAME + ICPENDR, 4, BIT)
    assert not timer.host.active
    timer.set_line(True)
    assert acknowledge(vcpu) == TIMER


def test_active_states_go_together() -> None:
    """A guest's writes move both; user space's move neither."""
    vcpu, timer = with_timer()
    vcpu.write(FRAME + ISACTIVER, 4, BIT)
    assert vcpu.private[TIMER].active
    assert timer.host.active
    vcpu.write(FRAME + ICACTIVER, 4, BIT)
    assert not vcpu.private[TIMER].active
    assert not timer.host.active
    vcpu.exit()
    gic = vcpu.vm.devices[0]
    gic.set_attr(5, 0x1_0000 + ISACTIVER, BIT)
    assert not vcpu.private[TIMER].active


def test_a_line_that_fell_while_disabled_is_seen_when_enabled() -> None:
    """The guest may have quieted the device meanwhile."""
    vcpu, timer = with_timer()
    timer.set_line(True)
    vcpu.write(FRAME + ICENABLER, 4, BIT)
    timer.line = False
    vcpu.write(FRAME + ISENABLER, 4, BIT)
    assert not timer.host.active
    assert acknowledge(vcpu) == SPURIOUS


def test_owners() -> None:
    """One owner each, and none for SGIs and what there is not; the owner alone moves the line."""
    vcpu, _ = with_timer()
    for intid, errno in ((TIMER, EEXIST), (5, EINVAL), (1019, EINVAL), (8192, EINVAL)):
        with refused(errno):
            forwarded.own(vcpu, intid, "another")
    line(vcpu.vm, TIMER, 1)
    assert not vcpu.private[TIMER].line_level


def test_a_mapping_can_be_reset_and_ended() -> None:
    """As a device resets its line, and as a nested guest's timer is taken away."""
    vcpu, timer = with_timer()
    timer.set_line(True)
    assert acknowledge(vcpu) == TIMER
    vcpu.exit()
    assert forwarded.is_active(vcpu, TIMER)
    timer.reset()
    forwarded.reset_mapped(vcpu, TIMER)
    assert not forwarded.is_active(vcpu, TIMER)
    forwarded.unmap_interrupt(vcpu, TIMER)
    assert vcpu.private[TIMER].hw is None
    with refused(EINVAL):
        forwarded.map_interrupt(vcpu, 1019, timer.host)


def test_a_host_that_needs_help_is_deactivated_by_kvm() -> None:
    """Without the HW bit: the exit that finds it ended clears the host's state."""
    vcpu, timer = with_timer()
    timer.host.resamples = True
    timer.set_line(True)
    (lr,) = registers(vcpu)
    assert not lr & lrs.HW
    assert lr & lrs.EOI
    assert acknowledge(vcpu) == TIMER
    timer.line = False
    end(vcpu, TIMER)
    vcpu.exit()
    assert not timer.host.active


STEPS = st.lists(
    st.sampled_from(["rise", "fall", "take", "end", "round", "out", "pend", "unpend"]),
    max_size=60,
)


@given(STEPS)
def test_a_rise_is_never_lost(steps: list[str]) -> None:
    """Whatever comes between, a line that is high in the end is delivered, and a low one not."""
    vcpu, timer = with_timer()
    taken = False
    for step in steps:
        if step in ("rise", "fall"):
            timer.set_line(step == "rise")
        elif step == "take":
            taken = acknowledge(vcpu) == TIMER or taken
        elif step == "end" and taken:
            end(vcpu, TIMER)
            taken = False
        elif step in ("round", "out"):
            vcpu.exit()
            if step == "out":
                timer.set_line(not timer.line)
            vcpu.enter()
        elif step in ("pend", "unpend") and not taken:
            vcpu.write(FRAME + (ISPENDR if step == "pend" else ICPENDR), 4, BIT)
    if taken:
        end(vcpu, TIMER)
    vcpu.write(FRAME + ICPENDR, 4, BIT)
    vcpu.exit()
    assert vcpu.mode is OUTSIDE
    vcpu.enter()
    assert acknowledge(vcpu) == (TIMER if timer.line else SPURIOUS)
