"""The nested machine: an L0 host with one VM, whose vCPUs have EL2.

A guest's instruction goes through `Machine.execute`, or for speed the functions of
`nvtrap.kvm.nested.guest`. The machine is the VM's user space too: it makes the vCPUs and
the GIC, drives interrupt lines, and answers what the host asks user space.
"""

from __future__ import annotations

from nvtrap.arch.aarch32 import CoprocessorAccess
from nvtrap.arch.encoding import ENCODINGS
from nvtrap.errors import UnknownNameError, UsageError
from nvtrap.kvm.calls.psci import Psci
from nvtrap.kvm.calls.smccc import Smccc
from nvtrap.kvm.context import Features
from nvtrap.kvm.host import Host
from nvtrap.kvm.hyp.traps import HostCpu
from nvtrap.kvm.memory.memslots import AddressSpace
from nvtrap.kvm.memory.mmu import HostMmu, VmMmu
from nvtrap.kvm.nested import events, guest
from nvtrap.kvm.nested.controls import ICH_TRAPS
from nvtrap.kvm.nested.identity import ID_REGISTERS, MPIDR_RES1, sysreg_masks
from nvtrap.kvm.nested.lists import MAINTENANCE
from nvtrap.kvm.nested.shadow import Shadows
from nvtrap.kvm.nested.vcpu import NestedVcpu
from nvtrap.kvm.vcpu import IN_HOST
from nvtrap.kvm.vgic.device import Address, Control, Group
from nvtrap.kvm.vgic.inject import inject
from nvtrap.kvm.vm import DeviceType, Vm
from nvtrap.store import load

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from nvtrap.engine import Table
    from nvtrap.kvm.nested.events import Event
    from nvtrap.kvm.nested.guest import Result

RAM_BASE, RAM_SIZE = 0x4000_0000, 0x4000_0000
GICD_BASE, GICR_BASE = 0x0800_0000, 0x080A_0000
# The host's own memory lies beyond every address that a VM can have.
HOST_BASE, TABLE_PAGES, PAGE = 1 << 46, 1 << 14, 1 << 12
SIXTEEN_BITS = 16
USUAL_KERNEL = (6, 18)
REGISTERS = 31

_tables: dict[str, Table] = {}


class Machine:
    """A host that runs one VM.

    `vcpus` are its vCPUs, of which the first runs and the others wait for PSCI. `kernel`
    is the host's version (major, minor): it says when L2's list registers go back to L1
    (`nvtrap.kvm.vgic.nested`). `table` is its trap table, a shipped one's name or a table;
    `feature_names` the architectural features of the VM, None for all. `host_traps` are
    the bits of ICH_HCR_EL2 that the host's GIC needs, `host` that GIC, `cpu` its CPUs. RAM is
    1 GiB at 1 GiB, the GIC at its usual place. `watch`, if there is one, is called with each
    event, `user_space` with a vCPU and what user space is asked.
    """

    def __init__(
        self,
        vcpus: int = 1,
        *,
        kernel: tuple[int, int] = USUAL_KERNEL,
        table: str | Table = "linux-6.12",
        features: Features | None = None,
        feature_names: Iterable[str] | None = None,
        host: Host | None = None,
        host_traps: int = 0,
        maintenance_intid: int = MAINTENANCE,
        interrupts: int = 256,
        id_registers: Mapping[str, int] | None = None,
        cpu: HostCpu | None = None,
        powered_on: bool = False,
    ) -> None:
        """`interrupts` counts SGIs, PPIs and SPIs; with `powered_on` all vCPUs run.

        Raises `UsageError` for numbers that no VM has, `UnknownNameError` for a table or a
        feature that there is not.
        """
        if type(vcpus) is not int or not 1 <= vcpus <= SIXTEEN_BITS:
            raise UsageError(f"a machine has 1 to {SIXTEEN_BITS} vCPUs, not `{vcpus!r:.20}`")
        if host_traps & ~ICH_TRAPS:
            raise UsageError(f"`{host_traps:#x}` has bits that are no traps of ICH_HCR_EL2")
        self.kernel_version = kernel
        self.features = features or Features()
        self.table = _table(table) if isinstance(table, str) else table
        self.architecture = _table("arch")
        self.feature_names = (
            None if feature_names is None else self.architecture.features.named(feature_names)
        )
        self.present = (
            self.architecture.features.named(["all"])
            if self.feature_names is None
            else self.feature_names
        )
        self.kernel_controls = [
            name for name in self.table.slots if name[0].isupper() and name.endswith("_EL2")
        ]
        self.host_traps = host_traps
        self.maintenance_intid = maintenance_intid
        self.id_registers = {**ID_REGISTERS, **(id_registers or {})}
        self.cpu = cpu or HostCpu()
        self.counters = self.cpu.counters
        self.ticks = 0
        self.before = ""
        self._encodings: dict[str, int] = {}
        self._names: tuple[dict[int, str], dict[int, str]] = {}, {}
        self._directions: dict[int, bool] = {}
        self.watch: Callable[[Event], None] | None = None
        self.user_space: Callable[[NestedVcpu, object], bytes | None] | None = None
        self._make_vm(vcpus, host or Host(), interrupts, powered_on)

    def _make_vm(self, vcpus: int, host: Host, interrupts: int, powered_on: bool) -> None:
        private = (vcpus + TABLE_PAGES) * PAGE
        self.vm = Vm(ram=[(RAM_BASE, RAM_SIZE), (HOST_BASE, private)], host=host)
        self.host_memory = self.vm.memory
        self.masks = sysreg_masks(self.table, self.feature_names, self.features, host.parameters)
        space = AddressSpace(self.host_memory)
        space.map(RAM_BASE, RAM_SIZE, RAM_BASE)
        tables = HOST_BASE + vcpus * PAGE, TABLE_PAGES
        self.mmu = VmMmu(HostMmu(self.host_memory, tables, cpus=vcpus), space, self.vm.ipa_bits)
        self.mmu.set_slot(0, RAM_BASE, RAM_SIZE, RAM_BASE)
        self.slots = self.mmu.slots
        self.shadows = Shadows(self.mmu)
        for id in range(vcpus):
            self.vm.create_vcpu(id, powered_off=id > 0 and not powered_on)
        self._make_gic(interrupts)
        self.vcpus = [NestedVcpu(self, kvm, HOST_BASE + kvm.index * PAGE) for kvm in self.vm.vcpus]
        self.smccc = Smccc(Psci([vcpu.power for vcpu in self.vcpus]))

    def _make_gic(self, interrupts: int) -> None:
        gic = self.vm.create_device(DeviceType.VGIC_V3)
        assert gic is not None
        try:
            gic.set_attr(Group.NR_IRQS, 0, interrupts)
        except OSError as error:
            raise UsageError(f"a GIC cannot have `{interrupts}` interrupts") from error
        gic.set_attr(Group.ADDR, Address.V3_DIST, GICD_BASE)
        gic.set_attr(Group.ADDR, Address.V3_REDIST, GICR_BASE)
        gic.set_attr(Group.CTRL, Control.INIT)

    # ---- a guest's instructions --------------------------------------------------------

    def execute(self, vcpu: NestedVcpu, instruction: str, *operands: object) -> Result:
        """One instruction of the guest, as it is in whatever context runs.

        `mrs REGISTER [RT]`, `msr REGISTER VALUE [RT]`, `load ADDRESS SIZE [RT]`, `store
        ADDRESS SIZE VALUE [RT]`, `eret [a|b]`, `hvc`, `smc`, `svc`, `brk` [IMMEDIATE],
        `wfi`, `wfe`, `fp`, `sve`, `pauth`, `nop`; AArch32: `mrc`, `mcr` (EC OPC1 CRN CRM
        OPC2, and VALUE). Values are put into the register RT, X0 if nothing is said.

        Raises `UnknownNameError` for an instruction or register that there is not,
        `UsageError` for operands that do not fit, and for a vCPU that does not run.
        """
        found = _INSTRUCTIONS.get(instruction)
        if found is None:
            raise UnknownNameError("instruction", str(instruction), _INSTRUCTIONS)
        function, least, most = found
        if not least <= len(operands) <= most:
            said = f"{least}" if least == most else f"{least} to {most}"
            raise UsageError(f"`{instruction}` takes {said} operands, not {len(operands)}")
        result = function(self, vcpu, *operands)
        self.catch_up()
        return result

    def _mrs(self, vcpu: NestedVcpu, register: str | int, rt: int = 0) -> Result:
        return guest.mrs(vcpu, self.encoding(register), _register(rt))

    def _msr(self, vcpu: NestedVcpu, register: str | int, value: int, rt: int = 0) -> Result:
        encoding = self.encoding(register)
        vcpu.context.set_register(_register(rt), _word(value))
        return guest.msr(vcpu, encoding, rt)

    def _load(self, vcpu: NestedVcpu, address: int, size: int, rt: int = 0) -> Result:
        return guest.load(vcpu, _word(address), size, _register(rt))

    def _store(self, vcpu: NestedVcpu, address: int, size: int, value: int, rt: int = 0) -> Result:
        vcpu.context.set_register(_register(rt), _word(value))
        return guest.store(vcpu, _word(address), size, rt)

    def _mrc(self, vcpu: NestedVcpu, ec: int, *operands: int) -> Result:
        opc1, crn, crm, opc2 = map(_word, operands)
        access = CoprocessorAccess(opc1, crn, crm, opc2, write=False)
        return guest.coprocessor(vcpu, _word(ec), access)

    def _mcr(self, vcpu: NestedVcpu, ec: int, *operands: int) -> Result:
        opc1, crn, crm, opc2, value = map(_word, operands)
        vcpu.context.set_register(0, value)
        access = CoprocessorAccess(opc1, crn, crm, opc2, write=True)
        return guest.coprocessor(vcpu, _word(ec), access)

    def _eret(self, vcpu: NestedVcpu, key: str = "") -> Result:
        return guest.eret(vcpu, str(key))

    def catch_up(self) -> None:
        """Let every vCPU that was made to leave the guest go back into it."""
        for vcpu in self.vcpus:
            kvm = vcpu.kvm
            if kvm.mode is IN_HOST and not kvm.waiting and not kvm.powered_off:
                vcpu.enter()
                guest.settle(vcpu)

    # ---- interrupts, devices, user space --------------------------------------------------

    def raise_interrupt(
        self, intid: int, level: bool = True, vcpu: NestedVcpu | None = None
    ) -> None:
        """A device moves the line of an interrupt of L1: an SPI, or a PPI of `vcpu`.

        Raises `UsageError` for an INTID that has no line.
        """
        owner = self.vcpus[0] if vcpu is None else vcpu
        owner.tell(events.IRQ, intid=intid, what=events.RAISED if level else events.LOWERED)
        timer = next((one for one in owner.kvm.timers if one.intid == intid), None)
        if timer is not None:
            timer.set_line(level)
        else:
            try:
                inject(self.vm.vgic, owner.kvm, intid, level)
            except OSError as error:
                raise UsageError(f"interrupt `{intid}` has no line") from error
        self.catch_up()

    def configure_interrupt(
        self,
        intid: int,
        vcpu: NestedVcpu | None = None,
        *,
        enabled: bool = True,
        priority: int = 0xA0,
        group: int = 1,
        edge: bool | None = None,
    ) -> None:
        """Set an interrupt of L1's GIC up, as L1 would through its distributor.

        Raises `UsageError` for an INTID that there is not.
        """
        owner = self.vcpus[0] if vcpu is None else vcpu
        irq = self.vm.vgic.interrupt(owner.kvm, intid)
        if irq is None:
            raise UsageError(f"there is no interrupt `{intid}`")
        irq.enabled, irq.priority, irq.group = enabled, priority & 0xF8, group
        if edge is not None and intid >= 32:
            irq.edge = edge
        self.vm.vgic.enabled = True

    def complete(self, vcpu: NestedVcpu, data: bytes = b"") -> None:
        """User space answers the access that `vcpu` is waiting for with `data`."""
        vcpu.answer(data)
        self.catch_up()

    def set_watch(self, watch: Callable[[Event], None] | None) -> None:
        """Have every event told to `watch`, or with None nobody."""
        self.watch = watch
        for vcpu in self.vcpus:
            vcpu.context.trace = None if watch is None else vcpu.tell_trace
            vcpu.lists.deactivated = None if watch is None else vcpu.tell_deactivated

    # ---- names ------------------------------------------------------------------------------

    def encoding(self, register: str | int) -> int:
        """The encoding that a name means.

        Raises `UnknownNameError`, and `UsageError` for a number that is none.
        """
        if not isinstance(register, str):
            if type(register) is not int:
                raise UsageError(f"`{register!r:.20}` is neither a register's name nor a number")
            if not 0 <= register < ENCODINGS:
                raise UsageError(f"encoding `{register:#x}` does not fit 16 bits")
            return register
        found = self._encodings.get(register)
        if found is None:
            found = self._encodings[register] = self.architecture.encoding(register)
        return found

    def name_of(self, encoding: int, write: bool) -> str:
        """The name of an encoding."""
        names = self._names[write]
        name = names.get(encoding)
        if name is None:
            name = names[encoding] = self.architecture.name_of(encoding, write)
        return name

    def has_direction(self, encoding: int, write: bool) -> bool:
        """Whether a register of the encoding can be read, or written."""
        key = encoding << 1 | write
        found = self._directions.get(key)
        if found is None:
            found = bool(self.architecture.names.of(encoding, write, strict=True))
            self._directions[key] = found
        return found

    def id_register(self, vcpu: NestedVcpu, name: str) -> int:
        """An ID register of the VM; those that are not given read as zero."""
        if name == "MPIDR_EL1":
            return MPIDR_RES1 | vcpu.kvm.mpidr
        return self.id_registers.get(name, 0)

    def counter(self, vcpu: NestedVcpu, name: str) -> int:
        """A counter of the generic timer; L2's virtual one is behind by CNTVOFF_EL2."""
        if name.startswith("CNTV") and not vcpu.is_hyp:
            return self.ticks - vcpu.registers["CNTVOFF_EL2"] & (1 << 64) - 1
        return self.ticks


def _table(name: str) -> Table:
    """A shipped table; they are kept, machines being many."""
    if name not in _tables:
        _tables[name] = load(name)
    return _tables[name]


def _register(rt: object) -> int:
    if type(rt) is not int or not 0 <= rt <= REGISTERS:
        raise UsageError(f"`{rt!r:.20}` is no general register, they go from 0 to {REGISTERS}")
    return rt


def _word(value: object) -> int:
    if type(value) is not int or not 0 <= value < 1 << 64:
        raise UsageError(f"`{value!r:.40}` is no number of 64 bits")
    return value


def _calls(function: Callable[[NestedVcpu, int], Result]) -> Callable[..., Result]:
    """An instruction that may have an immediate of 16 bits."""

    def run(_: Machine, vcpu: NestedVcpu, immediate: object = 0) -> Result:
        if type(immediate) is not int or not 0 <= immediate < 1 << 16:
            raise UsageError(f"`{immediate!r:.20}` is no immediate of 16 bits")
        return function(vcpu, immediate)

    return run


def _plain(function: Callable[[NestedVcpu], Result]) -> Callable[..., Result]:
    return lambda _, vcpu: function(vcpu)


# The function of each, and the number of operands that it takes.
_INSTRUCTIONS: dict[str, tuple[Callable[..., Result], int, int]] = {
    "mrs": (Machine._mrs, 1, 2),
    "msr": (Machine._msr, 2, 3),
    "load": (Machine._load, 2, 3),
    "store": (Machine._store, 3, 4),
    "mrc": (Machine._mrc, 5, 5),
    "mcr": (Machine._mcr, 6, 6),
    "eret": (Machine._eret, 0, 1),
    "hvc": (_calls(guest.hvc), 0, 1),
    "smc": (_calls(guest.smc), 0, 1),
    "svc": (_calls(guest.svc), 0, 1),
    "brk": (_calls(guest.brk), 0, 1),
    "wfi": (_plain(guest.wfi), 0, 0),
    "wfe": (_plain(guest.wfe), 0, 0),
    "fp": (_plain(guest.fp), 0, 0),
    "sve": (_plain(guest.sve), 0, 0),
    "pauth": (_plain(guest.pauth), 0, 0),
    "nop": (_plain(guest.nop), 0, 0),
}
INSTRUCTIONS = tuple(_INSTRUCTIONS)
