"""A vCPU: KVM_RUN, and what the guest does between an entry and an exit."""

from __future__ import annotations

from errno import EIO

from nvtrap.arch.memory import PAGE_SIZE
from nvtrap.arch.pstate import EL1H
from nvtrap.errors import UsageError
from nvtrap.kvm.context import Context, Features
from nvtrap.kvm.errno import refuse
from nvtrap.kvm.exits.aborts import Abort
from nvtrap.kvm.exits.mmio import NO_SLOT, RAM, AbortHandler
from nvtrap.kvm.timer import PHYSICAL, VIRTUAL, Timer
from nvtrap.kvm.vgic import gicc, icc
from nvtrap.kvm.vgic.queue import has_pending
from nvtrap.kvm.vgic.regions import map_resources
from nvtrap.kvm.vgic.table_bases import IN_GICR, initial
from nvtrap.kvm.vgic.vgic import GICV3

TYPE_CHECKING = False
if TYPE_CHECKING:
    from nvtrap.kvm.exits.mmio import Access, Handled
    from nvtrap.kvm.vgic.interrupt import Interrupt
    from nvtrap.kvm.vgic.lists import Lists
    from nvtrap.kvm.vgic.mmio import Frame
    from nvtrap.kvm.vgic.regions import Region
    from nvtrap.kvm.vm import Vm

# Where a vCPU is: not in KVM_RUN; in it, but in the host; in the guest.
OUTSIDE, IN_HOST, IN_GUEST = "outside", "in the host", "in the guest"
ISR_I, ISR_F = 1 << 7, 1 << 6
PFR0_GIC_SHIFT = 24


class Vcpu:
    """One vCPU, made by `Vm.create_vcpu`; `index` counts in the order of creation.

    `mode` is one of the names above; `waiting` says that it sleeps in WFI, `powered_off`
    that PSCI has not started it. `private` are its SGIs and PPIs, `ap_list` the pending
    and active interrupts that it is to take, `lists` its list registers. `context` has its
    general registers, for what the host does in its place. `redistributor` is
    its frame, None until it has an address, the `region_index`-th of `region`;
    `pendbaser` and `lpis_enabled` belong to the redistributor. `priority_bits` and
    `id_bits` are those that user space may lower by ICC_CTLR_EL1.
    """

    __slots__ = (
        "aborts",
        "ap_list",
        "context",
        "cpu_lines",
        "has_run",
        "id",
        "id_bits",
        "index",
        "lists",
        "lpis_enabled",
        "mode",
        "mpidr",
        "pendbaser",
        "powered_off",
        "priority_bits",
        "private",
        "redistributor",
        "region",
        "region_index",
        "timers",
        "vgic",
        "vm",
        "waiting",
    )

    def __init__(self, vm: Vm, id: int, index: int, powered_off: bool = False) -> None:
        self.vm = vm
        self.vgic = vm.vgic
        self.id = id
        self.index = index
        self.mpidr = mpidr_of(id)
        self.mode = OUTSIDE
        self.has_run = False
        self.waiting = False
        self.powered_off = powered_off
        self.private: list[Interrupt] = []
        self.ap_list: list[Interrupt] = []
        self.redistributor: Frame | None = None
        self.region: Region | None = None
        self.region_index = 0
        self.pendbaser = 0
        self.lpis_enabled = False
        self.priority_bits = self.id_bits = 0
        self.cpu_lines = [False, False]  # IRQ and FIQ, without a GIC in the kernel
        self.lists: Lists = vm.host.lists_of(self)
        self.context = Context(Features(nv=False), pstate=EL1H)
        self.aborts = AbortHandler(self._slot, self._device, ia_bits=vm.ipa_bits)
        self.timers = [Timer(self, VIRTUAL), Timer(self, PHYSICAL)]

    def __repr__(self) -> str:
        return f"Vcpu({self.id})"

    # ---- KVM_RUN -------------------------------------------------------------------

    def run(self) -> None:
        """KVM_RUN of a guest that exits to user space at once.

        Raises `OSError` as `enter` does.
        """
        self.enter()
        self.exit()

    def enter(self, data: bytes = b"") -> None:
        """KVM_RUN, up to the guest.

        After an exit for MMIO `data` is what user space has read for the guest, in the
        order of memory; missing bytes are zero. Raises `OSError`: EIO for a VM that is
        dead; at the first run what `map_resources` refuses, after which the VM is dead.
        Raises `UsageError` for a vCPU that is in KVM_RUN.
        """
        if self.mode is not OUTSIDE:
            raise UsageError(f"vCPU {self.id} is in KVM_RUN")
        if self.vm.dead:
            refuse(EIO)
        if not self.has_run:
            self._first_run()
        self.aborts.complete(self.context, data.ljust(8, b"\0"))
        self.mode = IN_HOST
        self.vm.running += 1
        self.load()
        if not self.powered_off:
            self.enter_guest()

    def exit(self) -> None:
        """Leave KVM_RUN; a vCPU that waits or is off leaves it as a signal makes it."""
        if self.mode is OUTSIDE:
            raise UsageError(f"vCPU {self.id} is not in KVM_RUN")
        if self.waiting:
            self._wake()
        if not self.powered_off:
            self.enter_guest()
        self._leave()

    def _leave(self) -> None:
        """From wherever it is in KVM_RUN to user space."""
        self.exit_guest()
        self.put()
        self.mode = OUTSIDE
        self.vm.running -= 1

    def _first_run(self) -> None:
        if self.vgic.model:
            map_resources(self.vm)
        for timer in self.timers:
            timer.enable()
        self.has_run = True

    def load(self) -> None:
        """vcpu_load: the GIC's CPU interface and the devices are the guest's."""
        if self.vgic.initialized:
            self.lists.load()
        for timer in self.timers:
            timer.load()

    def put(self) -> None:
        """vcpu_put: shared devices are quiescent before the host runs.

        So is the GIC, whose own interrupt is not passed on to the guest.
        """
        for timer in self.timers:
            timer.quiesce()
        if self.vgic.initialized:
            self.lists.put()

    def enter_guest(self) -> None:
        """From the host into the guest, with the list registers filled."""
        if self.mode is IN_HOST:
            self.lists.flush()
            self.mode = IN_GUEST

    def exit_guest(self) -> None:
        """From the guest into the host, with the list registers folded."""
        if self.mode is IN_GUEST:
            self.mode = IN_HOST
            before, self.vm.current = self.vm.current, self
            self.lists.sync()
            self.vm.current = before

    def kick(self) -> None:
        """Make it look at its interrupts: it exits from the guest, or wakes up."""
        if self.mode is IN_GUEST:
            self.exit_guest()
        elif self.waiting and self.is_runnable:
            self._wake()

    @property
    def is_runnable(self) -> bool:
        """Whether something wakes it from WFI (kvm_arch_vcpu_runnable)."""
        return any(self.cpu_lines) or has_pending(self)

    def _wake(self) -> None:
        self.waiting = False
        self.load()

    def enable(self) -> None:
        """Reset the CPU interface as the GIC is initialised (kvm_vgic_vcpu_enable)."""
        parameters = self.vm.host.parameters
        self.id_bits = int(parameters.intid_bits == 24)
        self.priority_bits = parameters.virtual_priority_bits
        if self.vgic.model == GICV3:
            self.pendbaser = initial(IN_GICR)
        self.lists.enable()

    def set_cpu_line(self, number: int, level: bool) -> None:
        """Move the CPU's own IRQ (0) or FIQ (1) line; for a GIC in user space."""
        if self.cpu_lines[number] != level:
            self.cpu_lines[number] = level
            self.kick()

    def deactivate_host_interrupt(self, intid: int) -> None:
        """The guest has ended a forwarded interrupt, through the HW bit."""
        for timer in self.timers:
            if timer.host.intid == intid:
                timer.host.active = False

    # ---- the guest's instructions --------------------------------------------------

    def mrs(self, name: str) -> int:
        """The guest reads a system register at EL1: of the GIC, ISR_EL1 or ID_AA64PFR0_EL1.

        Raises `Undefined`, and `UnknownNameError` for any other register.
        """
        self._go_on()
        if name == "ISR_EL1":
            return self._isr()
        if name == "ID_AA64PFR0_EL1":
            return int(self.vgic.model == GICV3) << PFR0_GIC_SHIFT
        return icc.read(self, name)

    def msr(self, name: str, value: int) -> None:
        """The guest writes a system register of the GIC at EL1.

        Raises `Undefined`, and `UnknownNameError` for any other register.
        """
        self._go_on()
        icc.write(self, name, value)
        self._take_host_interrupts()

    def read(self, address: int, size: int) -> int | None:
        """The guest loads `size` bytes (1, 2, 4, 8) from a physical address.

        From RAM or a device in the kernel; None where user space would be asked.
        """
        self._go_on()
        if gicc.is_mapped_at(self.vgic, address):
            return gicc.read(self, address, size)
        if self.vm.memory.holds(address, size):
            return self.vm.memory.read(address, size)
        self.exit_guest()
        return self.vm.device_read(self, address, size)

    def write(self, address: int, size: int, value: int) -> bool:
        """The guest stores `size` bytes; False where user space would be asked."""
        self._go_on()
        answered = gicc.is_mapped_at(self.vgic, address)
        if answered:
            gicc.write(self, address, size, value)
        elif self.vm.memory.holds(address, size):
            self.vm.memory.write(address, size, value)
            return True
        else:
            self.exit_guest()
            answered = self.vm.device_write(self, address, size, value)
        self._take_host_interrupts()
        return answered

    def data_abort(self, esr: int, far: int, hpfar: int) -> Handled:
        """The guest's access faulted at stage 2, with these ESR_EL2, FAR_EL2 and HPFAR_EL2.

        A device in the kernel answers (registers are those of `context`), or KVM_RUN
        returns: for user space to do the access, whose data then goes to `enter`, or
        with the error of `Handled.ret`. Raises `UsageError` for what is no register.
        """
        for value in (esr, far, hpfar):
            if type(value) is not int or value >> 64:
                raise UsageError(f"a register holds `{value!r:.40}`, it has 64 bits")
        self._go_on()
        self.exit_guest()
        self.context.esr = esr
        handled = self.aborts.handle(self.context, Abort(esr, far, hpfar))
        if handled.ret <= 0:
            self._leave()
        else:
            self._take_host_interrupts()
        return handled

    def _slot(self, address: int) -> str:
        return RAM if self.vm.memory.holds(address, PAGE_SIZE) else NO_SLOT

    def _device(self, access: Access, data: bytes) -> bytes | None:
        """Let a device in the kernel do an access; it is little-endian whatever the guest is."""
        if access.is_write:
            value = int.from_bytes(data, "little")
            answered = self.vm.device_write(self, access.address, access.size, value)
            return b"" if answered else None
        found = self.vm.device_read(self, access.address, access.size)
        return None if found is None else found.to_bytes(access.size, "little")

    def wfi(self) -> bool:
        """The guest waits for an interrupt; whether it sleeps now (kvm_vcpu_wfi)."""
        self._go_on()
        self.exit_guest()
        self.put()
        self.waiting = not self.is_runnable
        if not self.waiting:
            self.load()
        return self.waiting

    def _go_on(self) -> None:
        if self.mode is OUTSIDE or self.waiting or self.powered_off:
            raise UsageError(f"vCPU {self.id} runs no instructions now")
        self.enter_guest()

    def _isr(self) -> int:
        irq, fiq = self.cpu_lines
        if self.vgic.initialized:
            signalled = self.lists.interface.signalled()
            irq, fiq = irq or signalled[0], fiq or signalled[1]
        return (ISR_I if irq else 0) | (ISR_F if fiq else 0)

    def _take_host_interrupts(self) -> None:
        """Exit for what the last instruction raised: maintenance, and the guest's timers."""
        if self.mode is IN_GUEST and self.lists.interrupts:
            self.exit_guest()
        for timer in self.timers:
            timer.check()


def mpidr_of(id: int) -> int:
    """Aff2.Aff1.Aff0 of a vCPU: Aff0 is id[3:0], Aff1 id[11:4], Aff2 id[19:12] (reset_mpidr)."""
    return id & 0xF | (id >> 4 & 0xFF) << 8 | (id >> 12 & 0xFF) << 16
