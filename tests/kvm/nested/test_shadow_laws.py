"""The shadow is the composition of the two walks, whatever L1 and the host do to either."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from nvtrap.arch.memory import PAGE_SIZE
from nvtrap.arch.pstate import EL1H
from nvtrap.kvm.exits.mmio import DEVICE, FAULT_IN, Handled
from nvtrap.kvm.memory.mmu import FETCH, LOAD, STORE, HostMmu, Mmu, VmMmu
from nvtrap.kvm.memory.stage2 import Fault, Translation
from nvtrap.kvm.nested import tlbi
from nvtrap.kvm.nested.vcpummu import L1_FAULT
from tests.kvm.nested.mmus import (
    AF,
    BLOCK,
    GUEST_PA,
    HVA,
    RAM_BASE,
    RAM_SIZE,
    READ,
    WRITE,
    XN,
    L1Tables,
    Machine,
)

# Five L2s for the four contexts of two vCPUs; two share a VMID.
BASES = [RAM_BASE + 0x8_0000 * n for n in range(5)]
VTTBRS = [base | vmid << 48 for base, vmid in zip(BASES, (5, 5, 6, 7, 1), strict=True)]
L2_PAGES = [0x4000_0000 + n * PAGE_SIZE for n in range(3)] + [0x4000_0000 + BLOCK + 0x3000]
TARGETS = [RAM_BASE + 2 * BLOCK + n * PAGE_SIZE for n in range(3)] + [0x0900_0000]
PERMISSIONS = [READ | WRITE | AF, READ | AF | XN, WRITE | AF, AF, READ | WRITE]
IPAS2E1IS, RIPAS2E1IS = (1 << 14 | 4 << 11 | 8 << 7 | op2 for op2 in (1, 2))
VMALLS12E1, ALLE1IS = (1 << 14 | 4 << 11 | 8 << 7 | crm << 3 | op2 for crm, op2 in ((7, 6), (3, 4)))

INDEX = st.integers(0, 3)
# (how often, step)
WEIGHTED: list[tuple[int, st.SearchStrategy[tuple[object, ...]]]] = [
    (10, st.tuples(st.just("access"), INDEX, st.sampled_from([LOAD, STORE, FETCH]))),
    (3, st.tuples(st.just("switch"), st.integers(0, 4), st.integers(0, 1))),
    (2, st.tuples(st.just("map"), INDEX, INDEX, st.integers(0, 4), st.sampled_from([2, 3]))),
    (1, st.tuples(st.just("unmap"), INDEX, st.sampled_from([2, 3]))),
    (1, st.tuples(st.just("tlbi"), st.sampled_from(["ipa", "range", "vmid", "all"]), INDEX)),
    (1, st.tuples(st.just("move"), INDEX)),
    (1, st.tuples(st.just("age"))),
    (1, st.tuples(st.just("vmids"), st.integers(1, 9))),
]
STEPS = st.lists(
    st.sampled_from([step for weight, step in WEIGHTED for _ in range(weight)]).flatmap(
        lambda step: step
    ),
    min_size=40,
    max_size=90,
)

Answer = Translation | Fault


class World:
    """A machine of two vCPUs with five L2s, beside what each L2 may see of each page."""

    def __init__(self) -> None:
        self.machine = Machine(vcpus=2, vmid_bits=3)
        self.tables = [L1Tables(self.machine, base) for base in BASES]
        for which, tables in enumerate(self.tables):
            for n, page in enumerate(L2_PAGES):
                tables.map(page, TARGETS[(n + which) % 4])
        self.others = [VmMmu(self.machine.host, self.machine.space).mmu for _ in range(9)]
        self.moves = 0
        self.now = 0
        self.vcpu = self.machine.run_l2(VTTBRS[0])
        # What L1's tables said of each page since the last TLBI for it.
        self.said: dict[tuple[int, int], list[Answer]] = {}
        for which in range(len(VTTBRS)):
            for page in L2_PAGES:
                self.said[which, page] = [self.answer(which, page)]

    def answer(self, which: int, ipa: int) -> Answer:
        """L1's tables walked afresh."""
        registers = self.machine.contexts[0].sysregs
        before = registers["VTTBR_EL2"]
        registers["VTTBR_EL2"] = VTTBRS[which]
        found = self.machine.vcpu.walk(ipa)
        registers["VTTBR_EL2"] = before
        return found

    def changed(self, which: int) -> None:
        """L1 wrote to its tables: from now on the new answer may be seen as well."""
        for page in L2_PAGES:
            self.said[which, page].append(self.answer(which, page))

    def map(self, page: int, target: int, permissions: int, level: int) -> None:
        """L1 maps something, anew or over what was there."""
        self.tables[self.now].map(L2_PAGES[page], TARGETS[target], level, PERMISSIONS[permissions])
        self.changed(self.now)

    def unmap(self, page: int, level: int) -> None:
        """L1 takes something away."""
        self.tables[self.now].unmap(L2_PAGES[page], level)
        self.changed(self.now)

    def tlbi(self, what: str, page: int) -> None:
        """A TLBI of L1, which has the VTTBR_EL2 of the L2 that ran last."""
        ipa = L2_PAGES[page]
        encoding, value, pages = {
            "ipa": (IPAS2E1IS, ipa >> 12, [ipa]),
            # Two pages from `ipa` on: TG 4K, SCALE 0, NUM 0.
            "range": (RIPAS2E1IS, 1 << 46 | ipa >> 12, [ipa, ipa + PAGE_SIZE]),
            "vmid": (VMALLS12E1, 0, L2_PAGES),
            "all": (ALLE1IS, 0, L2_PAGES),
        }[what]
        vttbr = VTTBRS[self.now]
        assert tlbi.invalidate(self.machine.shadows, encoding, value, vttbr) == tlbi.DONE
        for which in range(len(VTTBRS)):
            if what == "all" or VTTBRS[which] >> 48 == vttbr >> 48:
                self.forget(which, pages)

    def forget(self, which: int, pages: list[int]) -> None:
        """A TLBI for pages: what was said of them before is gone, and of blocks around them.

        Of blocks, as long as L1 breaks before it makes: where pages were mapped as well, a
        CPU may hold either.
        """
        reached = {page // BLOCK for page in pages}
        for page in pages:
            if any(_is_page(answer) for answer in self.said.get((which, page), ())):
                reached.discard(page // BLOCK)
        for page in L2_PAGES:
            said = self.said[which, page]
            if page in pages:
                del said[:-1]
            elif page // BLOCK in reached:
                said[:-1] = [old for old in said[:-1] if _is_page(old)]

    def switch(self, which: int, vcpu: int) -> None:
        """Another L2 runs, on one vCPU or the other; there is one CPU."""
        self.vcpu.put()
        self.now = which
        self.vcpu = self.machine.run_l2(VTTBRS[which], vcpu=vcpu)

    def move(self, target: int) -> None:
        """The host moves a page of the VM."""
        if TARGETS[target] >= RAM_BASE:
            self.moves += 1
            hva = HVA + TARGETS[target] - RAM_BASE
            self.machine.space.map(hva, PAGE_SIZE, 0x30_0000_0000 + self.moves * PAGE_SIZE)

    def age(self) -> None:
        """The host asks what is in use."""
        self.machine.space.age(HVA, RAM_SIZE)

    def vmids(self, count: int) -> None:
        """Other VMs run in between, so that VMIDs run out; then the vCPU comes back."""
        self.vcpu.put(scheduled_out=True)
        for mmu in self.others[:count]:
            mmu.activate(0, 0)
            self.machine.host.vmids.clear_active(0)
        self.vcpu.load(0)
        self.vcpu.enter()

    def access(self, page: int, kind: str) -> None:
        """L2 accesses a page: what it sees was true of L1's tables since the last TLBI."""
        context = self.vcpu.context
        ipa = L2_PAGES[page] + 0x40
        result = self.vcpu.access(ipa, kind, iss=1 << 24 | 3 << 22)
        said = self.said[self.now, L2_PAGES[page]]
        esr = context.sysregs["ESR_EL2"]
        context.pending, context.pstate = 0, EL1H
        if isinstance(result, int):
            assert result in {self.host_pa(answer) for answer in said}
        elif result.outcome == L1_FAULT:
            assert esr & 0x3F == fault_of(said[-1], kind)
        elif result.ret < 0:
            self.check_error(result, kind, said)
        else:
            assert result.outcome == DEVICE or (kind == FETCH and result.outcome != FAULT_IN)
            assert self.host_pa(said[-1]) is None
        if len(said) == 1:
            assert composition(self, said[0], kind) == summary(result)

    def check_error(self, result: Handled, kind: str, said: list[Answer]) -> None:
        """The host gives up on one thing alone: a read that L1 did not allow before."""
        assert (result.outcome, result.ret, kind) == (FAULT_IN, -14, LOAD)
        assert any(isinstance(answer, Translation) and not answer.readable for answer in said)

    def host_pa(self, answer: Answer) -> int | None:
        """The host's walk of what L1's tables answered."""
        if isinstance(answer, Fault):
            return None
        slot = self.machine.vm.slots.find(answer.output)
        if slot is None:
            return None
        hva = slot.hva_of(answer.output)
        area = self.machine.space.find(hva)
        assert area is not None
        return area.pa + hva - area.base | 0x40


def _is_page(answer: Answer) -> bool:
    return isinstance(answer, Translation) and answer.level == 3


def fault_of(answer: Answer, kind: str) -> int:
    """The fault status that L1's tables give an access; 0 for none."""
    if isinstance(answer, Fault):
        return answer.fsc
    allowed = {LOAD: answer.readable, STORE: answer.writable, FETCH: answer.executable}[kind]
    return 0 if allowed else 0x0C | answer.level


def composition(world: World, answer: Answer, kind: str) -> object:
    """L1's walk, then the host's: an address, "l1_fault", or "device"."""
    pa = world.host_pa(answer)
    if isinstance(answer, Fault) or (pa is not None and fault_of(answer, kind)):
        return L1_FAULT
    return "device" if pa is None else pa


def summary(result: int | Handled) -> object:
    """What an access came to, in the same words."""
    if isinstance(result, int):
        return result
    return L1_FAULT if result.outcome == L1_FAULT else "device"


@settings(max_examples=150)
@given(STEPS)
def test_a_shadow_answers_as_the_two_walks_composed(steps: list[tuple[object, ...]]) -> None:
    """Stale only until the TLBI, never of another L2, never of memory that moved.

    All the while the host's store of pages never runs out, nothing is raised, and VMIDs
    of three bits roll over.
    """
    world = World()
    for step in steps:
        name, *arguments = step
        getattr(world, str(name))(*arguments)
    for vcpu in world.machine.vcpus:
        assert vcpu.cache.shortest > 0
    check_vmids(world)


def check_vmids(world: World) -> None:
    """No two MMUs of one generation have the same VMID."""
    split = world.machine.host.vmids.split
    mmus = [*world.machine.shadows.contexts, world.machine.vm.mmu, *world.others]
    ids = [split(mmu.vmid) for mmu in mmus if mmu.vmid.id]
    newest = max(generation for _, generation in ids)
    numbers = [number for number, generation in ids if generation == newest]
    assert len(numbers) == len(set(numbers))


@settings(max_examples=100)
@given(
    st.lists(st.tuples(st.integers(0, 11), st.booleans(), st.sampled_from(L2_PAGES)), min_size=30)
)
def test_no_mmu_sees_a_translation_of_another_through_rollovers(
    steps: list[tuple[int, bool, int]],
) -> None:
    """Twelve VMs on two CPUs share seven VMIDs; each maps every page to its own memory."""
    machine = Machine(cpus=2, vmid_bits=3)
    host: HostMmu = machine.host
    vms = [VmMmu(host, machine.space) for _ in range(12)]
    cache = machine.vcpu.cache
    for number, second, ipa in steps:
        mmu: Mmu = vms[number].mmu
        cpu = int(second)
        mmu.activate(cpu, number)
        expected = (GUEST_PA + (number << 30) + ipa % BLOCK) & -PAGE_SIZE
        if mmu.translate(cpu, ipa, LOAD)[1]:
            cache.top_up(mmu.table.least_pages)
            mmu.table.map(ipa, PAGE_SIZE, expected, READ | WRITE | AF, cache)
        assert mmu.translate(cpu, ipa, LOAD) == (expected, 0)
    assert host.tlb.flushes <= len(steps)


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["map", "unmap", "protect", "young", "relax"]),
            st.integers(0, 7),
            st.sampled_from([PAGE_SIZE, BLOCK, 1 << 30]),
        ),
        min_size=8,
        max_size=40,
    ),
    st.sampled_from([32, 36, 40, 44, 48]),
)
def test_page_tables_hold_what_was_mapped_and_give_all_pages_back(
    steps: list[tuple[str, int, int]], ia_bits: int
) -> None:
    """Against a plain dictionary of pages; blocks are taken away as a whole."""
    machine = Machine()
    before = machine.host.pages.used
    mmu = Mmu(machine.host, ia_bits)
    table, cache = mmu.table, machine.vcpu.cache
    expected: dict[int, tuple[int, int]] = {}  # start → (size, PA)
    for op, place, size in steps:
        ipa = (place << 29 | place << 13) & -size & (1 << ia_bits) - 1
        overlapping = [
            start
            for start, (length, _) in expected.items()
            if start < ipa + size and ipa < start + length
        ]
        if op == "map":
            pa = (place << 33) & -size
            cache.top_up(table.least_pages)
            before_map = len(cache)
            if table.map(ipa, size, pa, READ | AF, cache):
                for start in overlapping:
                    del expected[start]
                length = min(size, BLOCK) if table.start_level == 2 else size
                for offset in range(0, size, length):
                    expected[ipa + offset] = length, pa + offset
            assert before_map - len(cache) <= table.least_pages
        elif op == "unmap":
            mmu.unmap(ipa, size)
            for start in overlapping:
                del expected[start]
        elif op == "protect":
            table.write_protect(ipa, size)
        elif op == "young":
            assert table.test_young(ipa, size, clear=False) is bool(overlapping)
        else:
            assert table.relax(ipa, READ | WRITE) is any(
                start <= ipa < start + expected[start][0] for start in overlapping
            )
        found = {
            start: (1 << 12 + 9 * (3 - level), descriptor & ((1 << 48) - 1) & -PAGE_SIZE)
            for start, level, descriptor in table.leaves()
        }
        assert found == expected
    table.destroy()
    cache.free()
    assert machine.host.pages.used == before
