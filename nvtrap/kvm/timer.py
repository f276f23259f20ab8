"""The guest's timers, as far as their interrupts go: forwarded from the host's.

The device is shared: while a vCPU is loaded it is the guest's, and its context is saved
and the device made quiescent before the host or another guest runs, so that its line
cannot fire for a guest that is not there. Linux 6.12, arch/arm64/kvm/arch_timer.c.
"""

from __future__ import annotations

from nvtrap.kvm.vgic.forwarded import HostInterrupt, is_active, map_interrupt, own
from nvtrap.kvm.vgic.inject import inject

TYPE_CHECKING = False
if TYPE_CHECKING:
    from nvtrap.kvm.vcpu import Vcpu

# The PPIs of the virtual and the physical timer, unless user space chooses others.
VIRTUAL, PHYSICAL = 27, 30


class Timer:
    """A timer of one vCPU, with the output `line` that the guest sees.

    `level` is what the VGIC was last told, `loaded` whether the device is the guest's
    now. `host` is the host's interrupt: the same PPI of the CPU that runs the vCPU.
    """

    __slots__ = ("enabled", "host", "intid", "level", "line", "loaded", "vcpu")

    def __init__(self, vcpu: Vcpu, intid: int) -> None:
        self.vcpu = vcpu
        self.intid = intid
        self.line = False
        self.level = False
        self.loaded = False
        self.enabled = False
        self.host = HostInterrupt(intid, self.sample)

    def sample(self) -> bool:
        """The line as it is now, for a VGIC that asks (kvm_arch_timer_get_input_level).

        It is that of the vCPU that runs, even when that looks at another one's interrupt.
        """
        vcpu = self.vcpu.vm.current
        if vcpu is None or vcpu is self.vcpu:
            return self.line
        return next(timer.line for timer in vcpu.timers if timer.intid == self.intid)

    def enable(self) -> None:
        """Own the interrupt and forward the host's, at the vCPU's first run, once."""
        if not self.enabled and self.vcpu.vgic.model:
            own(self.vcpu, self.intid, self)
            map_interrupt(self.vcpu, self.intid, self.host)
            self.enabled = True

    def load(self) -> None:
        """Give the device to the guest as the vCPU is loaded.

        The host's interrupt is active where the guest has it, so that it is not taken
        again (kvm_timer_vcpu_load_gic).
        """
        if self.enabled:
            self._report(self.line)
            self.host.active = self.level or is_active(self.vcpu, self.intid)
            self.loaded = True

    def quiesce(self) -> None:
        """Take the device back as the vCPU is put: it is stopped and its line stays silent."""
        self.loaded = False

    def set_line(self, level: bool) -> None:
        """The guest moves the line."""
        self.line = level
        self.check()

    def check(self) -> None:
        """Let the host take the interrupt, if the line is high and it is not active.

        The host leaves it active until the guest has ended its own (kvm_arch_timer_handler).
        A vCPU that waits is woken by a timer of the host's instead (kvm_bg_timer_expire).
        """
        if self.line and self.vcpu.waiting:
            self._report(True)
        elif self.line and self.loaded and not self.host.active:
            self.vcpu.exit_guest()
            self.host.active = True
            self._report(True)

    def reset(self) -> None:
        """KVM_ARM_VCPU_INIT of a vCPU that ran: the line falls (kvm_timer_vcpu_reset)."""
        self.line = False
        if self.enabled:
            self._report(False)

    def _report(self, level: bool) -> None:
        self.level = level
        inject(self.vcpu.vgic, self.vcpu, self.intid, level, owner=self)
