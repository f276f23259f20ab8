"""What can be done in a scenario: a guest's instructions, and what happens around it.

Every act has `check`, which raises `UsageError` for what can never be right, and `run`,
which does it and gives the machine's `Result`, None where there is none.
"""

from __future__ import annotations

from nvtrap.errors import UnknownNameError, UsageError
from nvtrap.kvm.timer import VIRTUAL
from nvtrap.kvm.vgic.interrupt import PRIVATE, SGIS
from nvtrap.sim.fields import GENERAL
from nvtrap.sim.values import Target, in_some_layout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from nvtrap.kvm.nested.guest import Result
    from nvtrap.kvm.nested.vcpu import NestedVcpu
    from nvtrap.sim.fields import Fields
    from nvtrap.sim.stage import Stage
    from nvtrap.sim.values import Value

SIZES = (1, 2, 4, 8)
# The general registers of MRS, and of MSR and SYS; loads and stores have X0.
READ_RT, WRITE_RT = 9, 10
ALL_PRIORITIES = 0xFF


class Act:
    """One of them. `is_instruction`: only a guest that runs can do it."""

    __slots__ = ()
    is_instruction = True

    def check(self, fields: Fields) -> None:
        """Raise `UsageError` for names and numbers that are wrong on every machine."""

    def run(self, stage: Stage, vcpu: NestedVcpu) -> Result | None:
        """Do it; raises `NvtrapError` for what cannot be done."""
        raise NotImplementedError

    def reads(self) -> Target | None:
        """Where the value is from that it gives, for expectations by field; None for none."""
        return None


# ---- instructions -----------------------------------------------------------------------


class Mrs(Act):
    """MRS; an expectation may look at some fields of what it reads."""

    __slots__ = ("target",)

    def __init__(self, target: Target) -> None:
        self.target = target

    def check(self, fields: Fields) -> None:
        """The register and its fields are known."""
        fields.register(self.target.name)
        in_some_layout(lambda look: self.target.part(0, fields, look))

    def run(self, stage: Stage, vcpu: NestedVcpu) -> Result:
        """Read."""
        return stage.machine.execute(vcpu, "mrs", stage.encoding(self.target.name), READ_RT)

    def reads(self) -> Target:
        """The register."""
        return self.target


class Msr(Act):
    """MSR; with fields, the others keep what the register holds."""

    __slots__ = ("target", "value")

    def __init__(self, target: Target, value: Value) -> None:
        self.target = target
        self.value = value

    def check(self, fields: Fields) -> None:
        """Register, fields and value fit."""
        fields.register(self.target.name)
        in_some_layout(lambda look: self.target.wanted(self.value, fields, look))

    def run(self, stage: Stage, vcpu: NestedVcpu) -> Result:
        """Write."""
        name = stage.fields.register(self.target.name)

        def look(register: str) -> int:
            return stage.meant(vcpu, register)

        number = self.target.wanted(self.value, stage.fields, look)
        if self.target.fields:
            number = self.target.put(number, look(name), stage.fields, look)
        return stage.machine.execute(vcpu, "msr", stage.encoding(name), number, WRITE_RT)


class Operation(Act):
    """TLBI, AT, DC or IC, with the value of its register."""

    __slots__ = ("name", "value")

    def __init__(self, name: str, value: Value) -> None:
        self.name = name
        self.value = value

    def check(self, fields: Fields) -> None:
        """The instruction is known."""
        fields.register(self.name)
        in_some_layout(lambda look: self.value.of(fields, "X0", look))

    def run(self, stage: Stage, vcpu: NestedVcpu) -> Result:
        """Execute."""
        number = self.value.of(stage.fields, "X0", lambda name: stage.meant(vcpu, name))
        return stage.machine.execute(vcpu, "msr", stage.encoding(self.name), number, WRITE_RT)


class Mov(Act):
    """A general register gets a value; nothing can trap that, and no time passes."""

    __slots__ = ("register", "value")

    def __init__(self, register: str, value: Value) -> None:
        self.register = register
        self.value = value

    def check(self, fields: Fields) -> None:
        """It is one, and the value is."""
        if self.register.upper() not in GENERAL:
            raise UnknownNameError("general register", self.register, GENERAL)
        in_some_layout(lambda look: self.value.of(fields, self.register.upper(), look))

    def run(self, stage: Stage, vcpu: NestedVcpu) -> None:
        """Write the register."""
        register = self.register.upper()
        value = self.value.of(stage.fields, register, lambda name: stage.meant(vcpu, name))
        vcpu.context.set_register(int(register[1:]), value)


class Load(Act):
    """A load into X0."""

    __slots__ = ("address", "size")

    def __init__(self, address: int, size: int) -> None:
        self.address = address
        self.size = size

    def check(self, fields: Fields) -> None:
        """Size and alignment are possible."""
        del fields
        check_access(self.address, self.size)

    def run(self, stage: Stage, vcpu: NestedVcpu) -> Result:
        """Load."""
        return stage.machine.execute(vcpu, "load", self.address, self.size)


class Store(Load):
    """A store from X0."""

    __slots__ = ("value",)

    def __init__(self, address: int, size: int, value: Value) -> None:
        super().__init__(address, size)
        self.value = value

    def check(self, fields: Fields) -> None:
        """Size, alignment and value are possible."""
        super().check(fields)
        in_some_layout(lambda look: self.value.of(fields, "X0", look))

    def run(self, stage: Stage, vcpu: NestedVcpu) -> Result:
        """Store."""
        value = self.value.of(stage.fields, "X0", lambda name: stage.meant(vcpu, name))
        return stage.machine.execute(vcpu, "store", self.address, self.size, value)


class Plain(Act):
    """An instruction that is its name, or its name and one operand."""

    __slots__ = ("name", "operands")

    def __init__(self, name: str, *operands: object) -> None:
        self.name = name
        self.operands = operands

    def run(self, stage: Stage, vcpu: NestedVcpu) -> Result:
        """Execute."""
        return stage.machine.execute(vcpu, self.name, *self.operands)


# ---- around the guest ---------------------------------------------------------------------


class Line(Act):
    """A device moves the line of an interrupt, or the timer of the vCPU its own."""

    __slots__ = ("intid", "level")
    is_instruction = False

    def __init__(self, level: bool, intid: int = VIRTUAL) -> None:
        self.intid = intid
        self.level = level

    def check(self, fields: Fields) -> None:
        """It is none of the SGIs, which have no line."""
        del fields
        if self.intid < SGIS:
            raise UsageError(f"SGI {self.intid} has no line")

    def run(self, stage: Stage, vcpu: NestedVcpu) -> None:
        """Move it."""
        stage.machine.raise_interrupt(self.intid, self.level, vcpu)


class Enable(Act):
    """L1 has enabled interrupts in its distributor; private ones on every vCPU."""

    __slots__ = ("intids", "priority")
    is_instruction = False

    def __init__(self, intids: Sequence[int], priority: int) -> None:
        self.intids = tuple(intids)
        self.priority = priority

    def check(self, fields: Fields) -> None:
        """The priority is one."""
        del fields
        if self.priority > ALL_PRIORITIES:
            raise UsageError(f"a priority is at most {ALL_PRIORITIES:#x}")

    def run(self, stage: Stage, vcpu: NestedVcpu) -> None:
        """Configure each."""
        for intid in self.intids:
            for owner in stage.machine.vcpus if intid < PRIVATE else [vcpu]:
                stage.machine.configure_interrupt(intid, owner, priority=self.priority)


class Boot(Act):
    """L1 sets up what every hypervisor does; in `setup` on every vCPU that runs."""

    __slots__ = ("everywhere", "vhe")
    is_instruction = False

    def __init__(self, vhe: bool) -> None:
        self.vhe = vhe
        self.everywhere = False

    def run(self, stage: Stage, vcpu: NestedVcpu) -> None:
        """Boot it.

        Raises `UsageError` where L1 does not run.
        """
        vcpus = [vcpu]
        if self.everywhere:
            vcpus = [one for one in stage.machine.vcpus if not one.kvm.powered_off]
        for one in vcpus:
            if stage.runs(one) != "L1":
                raise UsageError(f"L1 cannot boot, vCPU {one.index} runs {stage.runs(one)}")
            stage.boot(one, vhe=self.vhe)


class Answer(Act):
    """User space answers the load that it was asked for."""

    __slots__ = ("number",)
    is_instruction = False

    def __init__(self, number: int) -> None:
        self.number = number

    def run(self, stage: Stage, vcpu: NestedVcpu) -> None:
        """Complete the access.

        Raises `UsageError` when none is pending.
        """
        if vcpu.mmu.aborts.pending is None:
            raise UsageError("user space was not asked for anything")
        stage.machine.complete(vcpu, self.number.to_bytes(8, "little"))


def check_access(address: int, size: int) -> None:
    """Raise `UsageError` for an access that is not 1, 2, 4 or 8 aligned bytes."""
    if size not in SIZES:
        raise UsageError(f"an access has 1, 2, 4 or 8 bytes, not {size}")
    if address % size:
        raise UsageError(f"`{address:#x}` is not aligned to {size} bytes")
