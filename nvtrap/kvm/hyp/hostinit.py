"""How KVM starts on a host: its tables checked, EL2 taken over, and given back.

Linux 6.12, kvm_arm_init of arch/arm64/kvm/arm.c. With VHE the kernel is at EL2 already and
there is nothing to map. Without, each CPU goes from the boot stub's vectors to KVM's own:
it installs those of the initialisation, which turn the MMU on. All CPUs do so once at the
start, to be looked at, and again when the first VM is made; the last one gives EL2 back.
"""

from __future__ import annotations

from errno import EINVAL, ENODEV, ENOMEM

from nvtrap.arch.memory import PAGE_SIZE
from nvtrap.kvm.errno import refuse
from nvtrap.kvm.exits.coprocessor_tables import CP14, CP14_64, CP15, CP15_64
from nvtrap.kvm.hyp.emulationtables import out_of_order, problems
from nvtrap.kvm.hyp.hostcalls import (
    HYP_INIT,
    RESET_VECTORS,
    SET_VECTORS,
    SUCCESS,
    El2,
    function_id,
)
from nvtrap.kvm.hyp.mappings import CODE, CONSTANTS, DATA, DEVICE, HypMappings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from nvtrap.kvm.hyp.mappings import Layout
    from nvtrap.kvm.memory.pagepool import HostPages

AARCH32_TABLES: Mapping[str, Sequence[tuple[int, ...]]] = {
    "cp14": list(CP14),
    "cp14_64": list(CP14_64),
    "cp15": list(CP15),
    "cp15_64": list(CP15_64),
}
# Sections of the kernel that EL2 uses, as it maps them.
SECTIONS = {
    "hyp text": CODE,
    "hyp rodata": CONSTANTS,
    "rodata": CONSTANTS,
    "hyp bss": DATA,
    "bss": CONSTANTS,
}


class Image:
    """The kernel's image: (start, end) in kernel addresses of each of SECTIONS.

    `vectors` is the kernel address of KVM's final vectors, `stub` and `init` are the
    physical ones of the two before, `per_cpu` the bytes of EL2's variables of one CPU.
    """

    __slots__ = ("init", "per_cpu", "sections", "stub", "vectors")

    def __init__(
        self,
        sections: dict[str, tuple[int, int]],
        *,
        vectors: int,
        stub: int,
        init: int,
        per_cpu: int = PAGE_SIZE,
    ) -> None:
        self.sections = sections
        self.vectors = vectors
        self.stub = stub
        self.init = init
        self.per_cpu = per_cpu


class HypCpu:
    """What one CPU's EL2 is initialised with: its stack and its own variables."""

    __slots__ = ("el2", "per_cpu", "ready", "stack", "stack_pa")

    def __init__(self, el2: El2, stack_pa: int, per_cpu: int) -> None:
        self.el2 = el2
        self.stack_pa = stack_pa
        self.per_cpu = per_cpu
        self.stack = 0
        """The initial stack pointer, an address of EL2."""
        self.ready = False
        """kvm_hyp_initialized: KVM has this CPU's EL2, asleep or not."""


class HostInit:
    """KVM on a host without VHE: `cpus` CPUs, an `image` in a `layout`, `pages` to use.

    `functions` are what host calls run. `tables` are the AArch64 emulation tables and
    `aarch32` the others, both checked at the start. `with_el2`: whether it booted there.
    """

    __slots__ = (
        "_image",
        "_layout",
        "_pages",
        "_per_cpu_pages",
        "_vms",
        "aarch32",
        "cpus",
        "functions",
        "mappings",
        "tables",
        "with_el2",
    )

    def __init__(
        self,
        pages: HostPages,
        layout: Layout,
        image: Image,
        cpus: int,
        functions: Mapping[str, Callable[..., int]] | None = None,
        *,
        tables: Mapping[str, Sequence[int]] | None = None,
        aarch32: Mapping[str, Sequence[tuple[int, ...]]] = AARCH32_TABLES,
        with_el2: bool = True,
    ) -> None:
        self._pages = pages
        self._layout = layout
        self._image = image
        self._per_cpu_pages = 1 << (-(-image.per_cpu // PAGE_SIZE) - 1).bit_length()
        self._vms = 0
        self.functions = functions or {}
        self.tables = tables or {}
        self.aarch32 = aarch32
        self.with_el2 = with_el2
        self.mappings: HypMappings | None = None
        self.cpus = [HypCpu(self._el2(), 0, 0) for _ in range(cpus)]

    # ---- start and end -------------------------------------------------------------

    def start(self) -> None:
        """Check the tables, map what EL2 needs, and try every CPU's EL2 once.

        Raises `OSError`: ENODEV for a host that did not boot at EL2, EINVAL for tables that
        are wrong, and for an identity map in the way of others; ENOMEM. Nothing is left of
        a start that failed.
        """
        if not self.with_el2:
            refuse(ENODEV)
        if list(self.findings()):
            refuse(EINVAL)
        try:
            self._map()
        except OSError:
            self.stop()
            raise
        for cpu in self.cpus:
            self._take(cpu)
        for cpu in self.cpus:
            self._give_back(cpu)

    def stop(self) -> None:
        """Give EL2 and all memory back (teardown_hyp_mode)."""
        for cpu in self.cpus:
            self._give_back(cpu)
            if cpu.stack_pa:
                self._pages.free(cpu.stack_pa)
            if cpu.per_cpu:
                self._pages.free(cpu.per_cpu, self._per_cpu_pages)
            cpu.stack_pa = cpu.per_cpu = cpu.stack = 0
        if self.mappings is not None:
            self.mappings.free()
            self.mappings = None

    def findings(self) -> Iterator[str]:
        """What is wrong with the emulation tables, a sentence each."""
        yield from problems(self.tables)
        for name, keys in self.aarch32.items():
            yield from out_of_order(name, keys)

    # ---- VMs, and CPUs that sleep --------------------------------------------------

    def create_vm(self) -> None:
        """A VM more; with the first, every CPU's EL2 becomes KVM's."""
        self._vms += 1
        for cpu in self.cpus:
            self._take(cpu)

    def destroy_vm(self) -> None:
        """A VM less; with the last, EL2 goes back to the boot stub."""
        self._vms -= 1
        if not self._vms:
            for cpu in self.cpus:
                self._give_back(cpu)

    def suspend(self, number: int) -> None:
        """A CPU goes to sleep, and its EL2 to the boot stub (CPU_PM_ENTER)."""
        cpu = self.cpus[number]
        if cpu.ready:
            cpu.el2.hvc(RESET_VECTORS)

    def resume(self, number: int) -> None:
        """A CPU wakes up; where KVM had its EL2, KVM has it again (CPU_PM_EXIT)."""
        cpu = self.cpus[number]
        if cpu.ready:
            self._install(cpu)

    def map_device(self, pa: int, size: int) -> int:
        """Map a device's registers for EL2, such as GICH of a GICv2; EL2's address.

        Raises `OSError` as `HypMappings.map_private` does, EINVAL before the start.
        """
        if self.mappings is None:
            refuse(EINVAL)
        return self.mappings.map_private(pa, size, DEVICE)

    # ---- one CPU -------------------------------------------------------------------

    def _el2(self) -> El2:
        return El2(self.functions, self._initialise, stub=self._image.stub, init=self._image.init)

    def _initialise(self, _params: int) -> tuple[int, int]:
        """___kvm_hyp_init: the tables that the MMU is turned on with, and the final vectors."""
        root = 0 if self.mappings is None else self.mappings.root
        return root, self._layout.hyp_va(self._image.vectors)

    def _take(self, cpu: HypCpu) -> None:
        if not cpu.ready:
            cpu.el2.hvc(RESET_VECTORS)
            self._install(cpu)
            cpu.ready = True

    def _install(self, cpu: HypCpu) -> None:
        """Stub vectors → those of the initialisation → the final ones, with the MMU on."""
        cpu.el2.hvc(SET_VECTORS, self._image.init)
        answer = cpu.el2.hvc(function_id(HYP_INIT), cpu.per_cpu)
        assert answer[0] == SUCCESS, answer

    def _give_back(self, cpu: HypCpu) -> None:
        if cpu.ready:
            cpu.el2.hvc(RESET_VECTORS)
            cpu.ready = False

    # ---- memory --------------------------------------------------------------------

    def _map(self) -> None:
        self.mappings = mappings = HypMappings(self._pages, self._layout)
        for cpu in self.cpus:
            cpu.stack_pa = self._allocate(1)
        for cpu in self.cpus:
            cpu.per_cpu = self._allocate(self._per_cpu_pages)
        for name, kind in SECTIONS.items():
            mappings.map_kernel(*self._image.sections[name], kind)
        for cpu in self.cpus:
            cpu.stack = mappings.map_stack(cpu.stack_pa)
        base, physical, _ = self._layout.linear
        for cpu in self.cpus:
            start = base + cpu.per_cpu - physical
            mappings.map_kernel(start, start + self._image.per_cpu, DATA)

    def _allocate(self, count: int) -> int:
        address = self._pages.allocate(count)
        if address is None:
            refuse(ENOMEM)
        return address
