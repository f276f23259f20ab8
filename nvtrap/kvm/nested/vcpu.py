"""A vCPU with EL2: which of its contexts runs, and the way into the guest and out of it."""

from __future__ import annotations

from nvtrap.arch.pstate import DAIF, EL1H, EL2H, MODE
from nvtrap.engine import State
from nvtrap.errors import UsageError
from nvtrap.kvm.calls.psci import RUNNABLE, STOPPED, Power
from nvtrap.kvm.context import (
    EL2_SYNC,
    HCR_E2H,
    NOTHING_PENDING,
    Context,
    is_el2,
    is_hyp_context,
)
from nvtrap.kvm.exits.exceptions import adjust_pc, inject_nested_irq
from nvtrap.kvm.exits.mmio import DEVICE, DEVICE_EXIT
from nvtrap.kvm.hyp.traps import HCR_FMO, HCR_IMO, HCR_VM, VcpuState
from nvtrap.kvm.hyp.worldswitch import describe, name_of
from nvtrap.kvm.nested import events, exits
from nvtrap.kvm.nested.controls import (
    ICH_TRAPS,
    WATCHED,
    hardware_controls,
    level_of,
)
from nvtrap.kvm.nested.identity import reset_values
from nvtrap.kvm.nested.lists import NestedLists
from nvtrap.kvm.nested.vcpummu import VcpuMmu
from nvtrap.kvm.nested.vncr import RegisterFile
from nvtrap.kvm.vcpu import IN_GUEST, OUTSIDE
from nvtrap.kvm.vgic.nested import writes_back_at

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from nvtrap.engine import Outcome
    from nvtrap.engine.table import Bound
    from nvtrap.kvm.exits.aborts import Abort
    from nvtrap.kvm.exits.mmio import Handled
    from nvtrap.kvm.hyp.worldswitch import World
    from nvtrap.kvm.nested.machine import Machine
    from nvtrap.kvm.vcpu import Vcpu

_MOST_VIEWS = 256


class NestedVcpu:
    """One vCPU of the machine.

    `kvm` is KVM's vCPU, whose list registers are `lists`; `context` the guest's
    registers, of which `registers` are the system registers, in the page that is its VNCR
    page at the host's address `vncr`. `state` is what else decides about its traps (whether
    its FP registers are loaded, too), `mmu` its stage 2, `power` its side of PSCI. `abort`
    is the stage-2 fault of the exit that is handled, `exit` what user space was last asked.
    """

    __slots__ = (
        "_hardware",
        "_kernel",
        "_now",
        "_views",
        "abort",
        "context",
        "exit",
        "index",
        "kvm",
        "lists",
        "machine",
        "mmu",
        "power",
        "registers",
        "state",
        "vncr",
    )

    def __init__(self, machine: Machine, kvm: Vcpu, vncr: int) -> None:
        self.machine = machine
        self.kvm = kvm
        self.index = kvm.index
        self.vncr = vncr
        self.registers = RegisterFile(
            machine.host_memory, vncr, masks=machine.masks, watched=WATCHED
        )
        self.context = Context(machine.features, self.registers, put=self._put, load=self._load)
        self.lists = NestedLists(
            kvm,
            self.registers,
            self.is_nested,
            writes_back=writes_back_at(machine.kernel_version),
            host_traps=machine.host_traps,
            maintenance_intid=machine.maintenance_intid,
        )
        self.lists.enable()
        kvm.lists = self.lists
        kvm.context = self.context
        kvm.aborts.slot = machine.slots.behind
        self.mmu = VcpuMmu(machine.mmu, machine.shadows, kvm.index, self.context, kvm.aborts)
        self.power = Power(kvm.mpidr, STOPPED if kvm.powered_off else RUNNABLE)
        self.abort: Abort | None = None
        self.exit: object = None
        self.context.pstate = DAIF | (EL2H if machine.features.nv else EL1H)
        self.reset_registers()
        self.state = VcpuState(machine.present, kvm.mpidr)
        self._now: object = None
        self._hardware: Bound | None = None
        self._kernel: Bound | None = None
        self._views: dict[tuple[int, ...], tuple[Bound, Bound]] = {}

    def __repr__(self) -> str:
        return f"NestedVcpu({self.index}, {self.context_name})"

    # ---- which context runs ---------------------------------------------------------

    @property
    def is_hyp(self) -> bool:
        """Whether L1's hypervisor or its EL0 runs (is_hyp_ctxt)."""
        return is_hyp_context(self.context)

    def is_nested(self) -> bool:
        """Whether the list registers are L2's (vgic_state_is_nested)."""
        if not self.context.features.nv or self.is_hyp:
            return False
        return self.registers["HCR_EL2"] & (HCR_IMO | HCR_FMO) != 0

    @property
    def is_l2(self) -> bool:
        """Whether L1's stage 2 is on outside of vEL2: that is what makes it an L2."""
        return not self.is_hyp and self.registers["HCR_EL2"] & HCR_VM != 0

    @property
    def context_name(self) -> str:
        """The name of the context that runs, as `nvtrap.kvm.hyp.worldswitch` has them."""
        return name_of(self.context)

    # ---- decisions --------------------------------------------------------------------

    @property
    def hardware(self) -> Bound:
        """The architecture's table with what L0 has programmed for the context that runs."""
        self._look()
        assert self._hardware is not None
        return self._hardware

    @property
    def kernel(self) -> Bound:
        """The kernel's table with what L1 has programmed."""
        self._look()
        assert self._kernel is not None
        return self._kernel

    def _look(self) -> None:
        """See whether anything has changed on which decisions hang."""
        registers = self.registers
        traps = self.lists.hardware.hcr & ICH_TRAPS
        mode, owns_fp = self.context.pstate & MODE, self.state.owns_fp
        now = registers.version, mode, owns_fp, traps
        if now == self._now:
            return
        self._now = now
        key = mode, owns_fp, traps, *registers.watched_values.values()
        found = self._views.get(key)
        if found is None:
            if len(self._views) >= _MOST_VIEWS:
                self._views.clear()
            found = self._views[key] = self._bind(traps)
        self._hardware, self._kernel = found

    def _bind(self, traps: int) -> tuple[Bound, Bound]:
        machine, context = self.machine, self.context
        level = level_of(context)
        controls = hardware_controls(context, self.state, machine.cpu, traps)
        own = {name: self.registers[name] for name in machine.kernel_controls}
        if not context.features.e2h0:
            own["HCR_EL2"] |= HCR_E2H
        kernel = State(
            own,
            el=2 if is_el2(context) else level,
            nv=context.features.nv,
            features=machine.feature_names,
        )
        # The hardware has every feature; what the VM has not is L0's to trap.
        hardware = State(controls, el=level)
        return machine.architecture.bind(hardware), machine.table.bind(kernel)

    # ---- into the guest and out of it -------------------------------------------------

    def ready(self) -> None:
        """Be in the guest, as an instruction is to run.

        Raises `UsageError` for a vCPU that waits or is off.
        """
        kvm = self.kvm
        if kvm.mode is IN_GUEST:
            return
        if kvm.waiting or kvm.powered_off:
            state = "waits for an interrupt" if kvm.waiting else "is powered off"
            raise UsageError(f"vCPU {self.index} {state}")
        if kvm.mode is OUTSIDE:
            self._first_entry()
        self.enter()

    def _first_entry(self) -> None:
        kvm = self.kvm
        if not kvm.has_run:
            self.lists.own_maintenance()
        kvm.enter()

    def enter(self) -> None:
        """From the host into the guest: what is pending happens, and L1 may be forced in.

        A maintenance interrupt of the host's that L2 has at once is taken once.
        """
        self._enter()
        if self.lists.runs_l2 and self.lists.host_maintenance:
            self.leave()
            self._enter()

    def _enter(self) -> None:
        context, kvm, lists = self.context, self.kvm, self.lists
        if context.pending != NOTHING_PENDING:
            adjust_pc(context)
        if self.mmu.cpu < 0:
            self.mmu.load(self.index)
            kvm.load()
        self.mmu.enter()
        kvm.enter_guest()
        if lists.request:
            kvm.exit_guest()
            lists.request = False
            inject_nested_irq(context)
            if context.pending != NOTHING_PENDING:
                adjust_pc(context)
            kvm.enter_guest()

    def leave(self) -> None:
        """From the guest into the host, the interrupts that came with it taken."""
        lists = self.lists
        was_asserted = lists.runs_l2 and lists.host_maintenance
        self.kvm.exit_guest()
        if was_asserted:
            lists.take_host_maintenance()

    def _put(self, _: Context) -> None:
        if self.machine.watch is not None:
            self.machine.before = self.context_name
        self.kvm.put()
        self.mmu.put()
        self.state.owns_fp = False

    def _load(self, _: Context) -> None:
        self.mmu.load(self.index)
        self.kvm.load()
        if self.machine.watch is not None and self.machine.before != self.context_name:
            self.tell(events.CONTEXT, before=self.machine.before)

    def take_host_interrupt(self) -> None:
        """The host's maintenance interrupt is asserted: out of the guest, and back into it."""
        self.leave()
        self.enter()

    def wait(self) -> bool:
        """Wait for an interrupt, in the host; whether there was none (kvm_vcpu_wfi)."""
        kvm = self.kvm
        kvm.put()
        self.mmu.put()
        kvm.waiting = not kvm.is_runnable
        if not kvm.waiting:
            kvm.load()
        return kvm.waiting

    def stop(self) -> None:
        """PSCI turns it off."""
        kvm = self.kvm
        if kvm.mode is IN_GUEST:
            self.leave()
        kvm.waiting = False
        kvm.powered_off = True

    def reset_registers(self) -> None:
        """The system registers as they are out of reset."""
        self.registers.clear()
        self.registers.update(reset_values(self.context.features))

    # ---- user space -----------------------------------------------------------------------

    def ask_user_space(self, handled: Handled) -> str:
        """An access that is not memory: a device of the host's, or of user space."""
        self.exit = handled.exit
        if handled.outcome == DEVICE:
            return exits.EMULATED
        user_space = self.machine.user_space
        data = None if user_space is None else user_space(self, handled.exit)
        self.tell(events.USER, exit=handled.outcome)
        if data is None or handled.outcome != DEVICE_EXIT:
            return exits.USER
        self.mmu.aborts.complete(self.context, data)
        return exits.EMULATED

    def answer(self, data: bytes) -> None:
        """User space answers the access that it was asked for."""
        if self.kvm.mode is IN_GUEST:
            self.leave()
        self.mmu.aborts.complete(self.context, data)

    # ---- interrupts ---------------------------------------------------------------------

    def signalled(self) -> tuple[bool, bool]:
        """Whether an IRQ and a FIQ are signalled to the context that runs."""
        irq, fiq = self.lists.hardware.signalled()
        if not self.is_hyp and self.context.features.nv:
            hcr = self.registers["HCR_EL2"]
            irq, fiq = irq or bool(hcr >> 7 & 1), fiq or bool(hcr >> 6 & 1)
        return irq, fiq

    def world(self) -> World:
        """What the hardware has for the context that runs (`nvtrap.kvm.hyp.worldswitch`)."""
        lists = self.lists
        return describe(
            self.context,
            self.state,
            self.machine.cpu,
            mmu=self.mmu.mmu,
            vncr=self.vncr,
            ich_hcr=lists.hardware.hcr,
            list_registers=len(lists.shadow.shadow) if lists.runs_l2 else lists.used,
            active_priorities=lists.apr_count,
        )

    # ---- what is told -------------------------------------------------------------------

    def tell(self, kind: str, **details: Any) -> None:
        """Tell of an event, if anybody watches."""
        watch = self.machine.watch
        if watch is not None:
            watch(events.Event(kind, self.index, self.context_name, self.context.pc, **details))

    def tell_exit(self, esr: int, register: str = "", decision: Outcome | None = None) -> None:
        """Tell of an exit to the host."""
        self.tell(events.EXIT, esr=esr, register=register, decision=decision)

    def tell_trace(self, name: str, values: tuple[int, ...]) -> None:
        """Tell of a trace event of the kernel's, and of what it says."""
        if name == "kvm_inject_nested_exception":
            kind, esr, *_ = values
            what = "IRQ" if kind else "exception"
            self.tell(events.INJECT, what=what, target="vEL2", esr=esr)
        self.tell(events.TRACE, name=name, text=events.trace_text(name, values))

    def tell_injection(self) -> None:
        """Tell of an exception that is queued for the exception level it comes from."""
        level = "EL2" if self.context.pending == EL2_SYNC else "EL1"
        target = "vEL2" if level == "EL2" else level
        esr = self.registers[f"ESR_{level}"]
        self.tell(events.INJECT, what="exception", target=target, esr=esr)

    def tell_deactivated(self, intid: int) -> None:
        """Tell that L2's EOI has ended an interrupt of L1, through the HW bit."""
        self.tell(events.IRQ, intid=intid, what=events.DEACTIVATED)
