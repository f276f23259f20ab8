"""The machine as scenarios see it: what a register holds, what runs, what is pending."""

from __future__ import annotations

from nvtrap.arch.pstate import DAIF, EL1H
from nvtrap.errors import UsageError
from nvtrap.gic.virtual import ich, icv
from nvtrap.gic.virtual import lr as lrs
from nvtrap.kvm.context import HCR_E2H, HCR_TGE
from nvtrap.kvm.hyp.traps import CPTR_FPEN, CPTR_ZEN, HCR_RW
from nvtrap.kvm.hyp.worldswitch import L1_EL0, L1_EL1, L2, VEL2_NVHE, VEL2_VHE
from nvtrap.kvm.nested.machine import Machine
from nvtrap.kvm.nested.native import stored_name
from nvtrap.kvm.nested.registers import emulate_read
from nvtrap.kvm.vcpu import IN_GUEST
from nvtrap.sim.fields import GENERAL, Fields

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from nvtrap.kvm.nested.vcpu import NestedVcpu
    from nvtrap.kvm.vgic.interrupt import Interrupt
    from nvtrap.sim.scenario import Settings

# Who a block of steps says it is → the contexts that are it.
LEVELS = {
    "L1": (VEL2_VHE, VEL2_NVHE),
    "L1 EL0": (L1_EL0,),
    "L1 EL1": (L1_EL1,),
    "L2": (L2,),
}
WAITS, OFF = "waits", "off"
COMPUTED = frozenset({"ICH_MISR_EL2", "ICH_EISR_EL2", "ICH_ELRSR_EL2", "ICH_VTR_EL2"})
# Looking at these would change what they show.
ACKNOWLEDGES = frozenset({"ICC_IAR0_EL1", "ICC_IAR1_EL1", "ICC_NMIAR1_EL1"})
PENDING, ACTIVE = 1, 2
FIRST_SPI = 32
L1_VECTORS, L2_CODE = 0x4001_0000, 0x4010_0000
CPTR_NVHE_RES1 = 0x32FF
BOOT_RT = 10


class Stage:
    """A machine, and what is looked at in it without an access."""

    __slots__ = ("fields", "machine")

    def __init__(self, settings: Settings) -> None:
        """Raises `UsageError` for settings that no machine has."""
        self.machine = Machine(
            settings.vcpus,
            kernel=settings.kernel,
            table=settings.table,
            feature_names=settings.features,
            host_traps=settings.host_traps,
            interrupts=settings.interrupts,
            powered_on=settings.all_on,
        )
        self.fields = Fields(self.machine.architecture)

    def encoding(self, name: str) -> int:
        """The encoding of a register or instruction; raises `UsageError` for none."""
        return self.machine.encoding(name)

    # ---- who runs -----------------------------------------------------------------------

    def runs(self, vcpu: NestedVcpu) -> str:
        """`L1`, `L1 EL0`, `L1 EL1` or `L2`; `waits` or `off` for a vCPU that does not run."""
        if vcpu.kvm.powered_off:
            return OFF
        if vcpu.kvm.waiting:
            return WAITS
        name = vcpu.context_name
        return next((level for level, names in LEVELS.items() if name in names), name)

    # ---- registers ------------------------------------------------------------------------

    def look(self, vcpu: NestedVcpu, name: str) -> int:
        """What a register of the vCPU holds, by its own name; ICC_*: of what is loaded.

        Raises `UsageError` for one that cannot be looked at.
        """
        if name in GENERAL:
            return vcpu.context.x[int(name[1:])]
        if name in ("PC", "PSTATE"):
            return vcpu.context.pc if name == "PC" else vcpu.context.pstate
        if name in ACKNOWLEDGES:
            raise UsageError(f"to look at `{name}` is to acknowledge", "read it with `mrs`")
        if name in icv.READS:
            return icv.READS[name](vcpu.lists.hardware)
        if name in COMPUTED:
            return emulate_read(vcpu, name, self.machine.encoding(name)) or 0
        return vcpu.registers[name.replace("_EL12", "_EL1").replace("_EL02", "_EL0")]

    def meant(self, vcpu: NestedVcpu, name: str) -> int:
        """The same, by the name that the context which runs has for it."""
        return self.look(vcpu, stored_name(vcpu, name))

    def hardware(self, vcpu: NestedVcpu, name: str) -> int:
        """What the hardware's own register holds while the vCPU runs.

        Raises `UsageError` for one that L0 does not program.
        """
        if name in ich.READS:
            return ich.READS[name](vcpu.lists.hardware)
        if name not in vcpu.hardware.state.registers:
            raise UsageError(f"what the hardware has in `{name}` is not modelled")
        return vcpu.hardware.value_of(name)

    # ---- interrupts -------------------------------------------------------------------------

    def line(self, vcpu: NestedVcpu, intid: int) -> bool:
        """The level of an interrupt's line.

        Raises `UsageError` for an INTID that has none.
        """
        irq = self._interrupt(vcpu, intid)
        timer = next((one for one in vcpu.kvm.timers if one.intid == intid), None)
        return irq.line_level if timer is None else timer.line

    def state(self, vcpu: NestedVcpu, intid: int) -> int:
        """Whether an interrupt of L1 is pending (1), active (2), both or neither.

        While L1 runs its list registers in the hardware know better than the VGIC.
        """
        irq = self._interrupt(vcpu, intid)
        owners = [vcpu] if intid < FIRST_SPI else self.machine.vcpus
        for owner in owners:
            for lr in self._own_lists(owner):
                if lr & lrs.STATE and lrs.vintid(lr) == intid:
                    return lrs.state(lr)
        return PENDING * irq.pending() | ACTIVE * irq.active

    def left(self) -> list[str]:
        """Everything that is pending or active: of L1, and of its L2s."""
        return [one for vcpu in self.machine.vcpus for one in self._left_on(vcpu)]

    def _left_on(self, vcpu: NestedVcpu) -> Iterator[str]:
        on = f" on vCPU {vcpu.index}" if len(self.machine.vcpus) > 1 else ""
        spis = self.machine.vm.vgic.spis if not vcpu.index else []
        for irq in (*vcpu.kvm.private, *spis):
            state = self.state(vcpu, irq.intid)
            if state:
                yield f"interrupt {irq.intid} {lrs.STATE_NAMES[state]}{on}"
        l2_is_loaded = vcpu.lists.runs_l2
        for name, lr in self.list_registers(vcpu):
            if lr & lrs.STATE and name.startswith("hardware" if l2_is_loaded else "ICH_"):
                yield f"{name} {lrs.STATE_NAMES[lrs.state(lr)]}{on}"
        of_l2 = [vcpu.registers[f"ICH_AP{group}R0_EL2"] for group in (0, 1)]
        if any(vcpu.lists.hardware.active) or (not l2_is_loaded and any(of_l2)):
            yield f"active priorities{on}"

    def list_registers(self, vcpu: NestedVcpu) -> Iterator[tuple[str, int]]:
        """(name, value) of L1's list registers in its memory, and of the hardware's."""
        for n in range(vcpu.lists.count):
            yield f"ICH_LR{n}_EL2", vcpu.registers[f"ICH_LR{n}_EL2"]
        for n, lr in enumerate(vcpu.lists.hardware.lrs[: vcpu.lists.count]):
            yield f"hardware LR{n}", lr

    def _own_lists(self, vcpu: NestedVcpu) -> list[int]:
        """The list registers with L1's own interrupts, if they are in the hardware now."""
        loaded = vcpu.kvm.mode is IN_GUEST and not vcpu.lists.runs_l2
        return vcpu.lists.hardware.lrs if loaded else []

    def _interrupt(self, vcpu: NestedVcpu, intid: int) -> Interrupt:
        irq = self.machine.vm.vgic.interrupt(vcpu.kvm, intid)
        if irq is None:
            raise UsageError(f"there is no interrupt `{intid}`")
        return irq

    # ---- L1's beginnings ----------------------------------------------------------------------

    def boot(self, vcpu: NestedVcpu, *, vhe: bool) -> None:
        """Let L1 do what every hypervisor does first.

        Its vectors, FP, its GIC's CPU interface, and a return address and state for L2.
        """
        values = {
            "HCR_EL2": HCR_RW | (HCR_E2H | HCR_TGE) * vhe,
            "VBAR_EL2": L1_VECTORS,
            "CPTR_EL2": CPTR_FPEN | CPTR_ZEN if vhe else CPTR_NVHE_RES1,
            "SPSR_EL2": DAIF | EL1H,
            "ELR_EL2": L2_CODE,
            "ICC_PMR_EL1": 0xFF,
            "ICC_IGRPEN1_EL1": 1,
        }
        watch = self.machine.watch
        self.machine.set_watch(None)  # nothing of it is worth a line
        for name, value in values.items():
            self.machine.execute(vcpu, "msr", name, value, BOOT_RT)
        self.machine.set_watch(watch)
