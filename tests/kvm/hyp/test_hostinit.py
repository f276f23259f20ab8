"""The start of KVM on a host: tables, EL2's mappings, vectors, host calls, new vCPUs."""

from __future__ import annotations

from collections.abc import Callable
from errno import EINVAL, ENODEV, ENOENT, ENOMEM

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvtrap.arch.encoding import encode
from nvtrap.arch.memory import PAGE_SIZE, Memory
from nvtrap.errors import UnknownNameError, UsageError
from nvtrap.kvm.hyp import hostcalls, target
from nvtrap.kvm.hyp.emulationtables import MOST_ENTRIES, out_of_order, problems
from nvtrap.kvm.hyp.hostcalls import (
    FINAL,
    FIRST_FUNCTION,
    FUNCTIONS,
    GUEST_TRAP,
    HINT,
    INIT,
    NOT_SUPPORTED,
    STUB,
    STUB_ERROR,
    El2,
    function_id,
)
from nvtrap.kvm.hyp.hostinit import AARCH32_TABLES, SECTIONS, HostInit, Image
from nvtrap.kvm.hyp.mappings import CODE, CONSTANTS, DATA, DEVICE, HypMappings, Layout
from nvtrap.kvm.hyp.target import (
    EL1_32BIT,
    GENERIC_V8,
    HAS_EL2,
    POWER_OFF,
    PSCI_0_2,
    PTRAUTH_ADDRESS,
    PTRAUTH_GENERIC,
    RUNNABLE,
    STOPPED,
    SVE,
    VcpuInit,
    VmFeatures,
)
from nvtrap.kvm.memory.pagepool import HostPages

LINEAR = (0xFFFF_0000_0000_0000, 0x4000_0000, 1 << 30)  # kernel, physical, bytes
TEXT = LINEAR[0] + 0x20_0000
IDMAP = (0x4020_0800, 0x4020_0900)
STUB_VECTORS, INIT_VECTORS, FINAL_VECTORS = 0x4010_0000, 0x4020_0800, TEXT + 0x800
POOL = (0x4800_0000, 64)


def layout(idmap: tuple[int, int] = IDMAP) -> Layout:
    """RAM of 1G at 1G."""
    return Layout(LINEAR, idmap)


def pages(count: int = POOL[1]) -> HostPages:
    """Free pages in it."""
    return HostPages(Memory([(0x4000_0000, 1 << 30)]), POOL[0], count)


def image() -> Image:
    """Two pages for each section, in order."""
    sections = {
        name: (TEXT + n * 0x2000, TEXT + (n + 1) * 0x2000) for n, name in enumerate(SECTIONS)
    }
    return Image(
        sections, vectors=FINAL_VECTORS, stub=STUB_VECTORS, init=INIT_VECTORS, per_cpu=0x2800
    )


def host(pool: HostPages | None = None, *, with_el2: bool = True) -> HostInit:
    """A host of two CPUs that can answer one call."""
    functions: dict[str, Callable[..., int]] = {"__kvm_get_mdcr_el2": lambda: 6}
    return HostInit(pool or pages(), layout(), image(), 2, functions, with_el2=with_el2)


def vectors(init: HostInit) -> list[str]:
    """Which each CPU's EL2 has."""
    return [cpu.el2.vectors for cpu in init.cpus]


# ---- EL2 taken and given back -----------------------------------------------------


def test_el2_goes_from_the_stub_to_kvm_and_back() -> None:
    """Tried at the start; KVM's while there is a VM, with its MMU on."""
    init = host()
    init.start()
    assert vectors(init) == [STUB, STUB]
    init.create_vm()
    init.create_vm()
    assert vectors(init) == [FINAL, FINAL]
    assert init.mappings is not None
    el2 = init.cpus[1].el2
    assert (el2.mmu_on, el2.ttbr) == (True, init.mappings.root)
    found = init.mappings.find(el2.vbar)
    assert found == (0x4020_0800, CODE)
    init.destroy_vm()
    assert vectors(init) == [FINAL, FINAL]
    init.destroy_vm()
    assert vectors(init) == [STUB, STUB]
    assert (el2.mmu_on, el2.vbar) == (False, STUB_VECTORS)


def test_a_cpu_that_sleeps_leaves_el2_to_the_stub_meanwhile() -> None:
    """And has it back when it wakes; one that KVM did not have stays as it was."""
    init = host()
    init.start()
    init.resume(0)
    assert vectors(init) == [STUB, STUB]
    init.create_vm()
    init.suspend(0)
    assert vectors(init) == [STUB, FINAL]
    init.cpus[0].el2.reset()
    init.resume(0)
    assert vectors(init) == [FINAL, FINAL]


def test_the_sections_of_the_kernel_are_mapped_as_they_are_used() -> None:
    """Code is not writable, constants are read, EL2's data is the rest."""
    init = host()
    init.start()
    mappings = init.mappings
    assert mappings is not None
    for name, kind in SECTIONS.items():
        for address in (image().sections[name][0], image().sections[name][1] - 1):
            physical = address - LINEAR[0] + LINEAR[1]
            assert mappings.find(layout().hyp_va(address)) == (physical, kind)
    assert mappings.find(layout().hyp_va(TEXT - 1)) is None
    assert mappings.find(IDMAP[0]) == (IDMAP[0], CODE)


def test_every_cpu_has_a_stack_above_a_guard_page_and_its_own_variables() -> None:
    """Bit 12 of every address in a stack is set."""
    init = host()
    init.start()
    mappings = init.mappings
    assert mappings is not None
    for cpu in init.cpus:
        assert mappings.find(cpu.stack - 1) == (cpu.stack_pa + PAGE_SIZE - 1, DATA)
        assert (cpu.stack - 1) & PAGE_SIZE
        assert mappings.find(cpu.stack - PAGE_SIZE - 1) is None
        variables = layout().hyp_va(LINEAR[0] + cpu.per_cpu - LINEAR[1])
        assert mappings.find(variables + 0x27FF) == (cpu.per_cpu + 0x27FF, DATA)
    assert init.cpus[0].stack != init.cpus[1].stack


def test_devices_are_mapped_in_the_private_region() -> None:
    """Below the identity map, with the offset in the page kept."""
    init = host()
    with pytest.raises(OSError, match="Invalid") as error:
        init.map_device(0x800_0000, 0x1000)
    assert error.value.errno == EINVAL
    init.start()
    first = init.map_device(0x800_0040, 0x1000)
    second = init.map_device(0x801_0000, 0x1000)
    assert init.mappings is not None
    assert init.mappings.find(first) == (0x800_0040, DEVICE)
    assert init.mappings.find(first + 0xFFF) == (0x800_103F, DEVICE)
    assert second < first < IDMAP[0]


def test_all_memory_is_given_back_at_the_end() -> None:
    """Tables, stacks and variables."""
    pool = pages()
    init = host(pool)
    init.start()
    init.create_vm()
    assert pool.used > 10
    init.stop()
    assert (pool.used, init.mappings, vectors(init)) == (0, None, [STUB, STUB])


@pytest.mark.parametrize("count", range(14))
def test_a_start_without_enough_memory_leaves_nothing(count: int) -> None:
    """Wherever the pages end: -ENOMEM, nothing is kept, EL2 is the stub's."""
    pool = pages(count)
    init = host(pool)
    with pytest.raises(OSError, match="memory") as error:
        init.start()
    assert error.value.errno == ENOMEM
    assert (pool.used, init.mappings, vectors(init)) == (0, None, [STUB, STUB])


def test_a_host_that_did_not_boot_at_el2_has_no_kvm() -> None:
    """-ENODEV."""
    with pytest.raises(OSError, match="device") as error:
        host(with_el2=False).start()
    assert error.value.errno == ENODEV


# ---- addresses --------------------------------------------------------------------


def test_addresses_of_el2_are_the_kernels_with_another_top() -> None:
    """The bits that tell RAM apart stay; bit 47 is not that of the identity map."""
    assert layout().hyp_va(LINEAR[0] + 0x1234) == 1 << 47 | 0x1234
    high = Layout(LINEAR, (0x8000_4020_0000, 0x8000_4020_1000))
    assert high.hyp_va(LINEAR[0] + 0x1234) == 0x1234
    assert not layout().collides


def test_an_identity_map_among_the_addresses_of_ram_stops_the_start() -> None:
    """With fewer bits of addresses than physical ones."""
    inside = Layout((0, 0, 1 << 41), (1 << 40, (1 << 40) + 0x1000), va_bits=40)
    assert inside.collides
    with pytest.raises(OSError, match="Invalid"):
        HypMappings(pages(), inside)


def test_a_page_is_not_mapped_twice_and_the_private_region_ends() -> None:
    """The same again is nothing new; something else is refused."""
    mappings = HypMappings(pages(), layout())
    mappings.map(0x1000, 0x1000, 0x5000, DATA)
    mappings.map(0x1800, 0x100, 0x5800, DATA)
    with pytest.raises(OSError, match="Invalid"):
        mappings.map(0x1000, 1, 0x5000, CONSTANTS)
    with pytest.raises(OSError, match="memory"):
        mappings.map_private(0, 1 << 31, DEVICE)


# ---- host calls -------------------------------------------------------------------


def el2() -> El2:
    """One CPU's EL2 with three functions."""
    functions: dict[str, Callable[..., int]] = {
        "__kvm_get_mdcr_el2": lambda: 6,
        "__kvm_adjust_pc": lambda vcpu: -vcpu,
        "__kvm_tlb_flush_vmid_range": lambda mmu, ipa, pages: mmu + ipa + pages,
    }
    return El2(functions, lambda params: (params, 0x800), stub=0x1000, init=0x2000)


def ready() -> El2:
    """EL2 with its final vectors."""
    made = el2()
    made.hvc(hostcalls.SET_VECTORS, 0x2000)
    made.call("__kvm_hyp_init", 0x9000)
    return made


def test_vectors_are_set_by_the_stub_and_initialised_once() -> None:
    """Stub → init → final; the parameters give the tables."""
    made = el2()
    assert made.hvc(hostcalls.SET_VECTORS, 0x3000) == (0, 0x3000)
    assert (made.vectors, made.vbar) == (STUB, 0x3000)
    made.hvc(hostcalls.SET_VECTORS, 0x2000)
    assert (made.vectors, made.mmu_on) == (INIT, False)
    assert made.hvc(function_id("__kvm_get_mdcr_el2"))[0] == NOT_SUPPORTED
    assert made.hvc(function_id("__kvm_hyp_init"), 0x9000) == (0, 0x9000)
    assert (made.vectors, made.vbar, made.ttbr, made.mmu_on) == (FINAL, 0x800, 0x9000, True)
    assert made.hvc(function_id("__kvm_hyp_init"), 0x9000)[0] == NOT_SUPPORTED


def test_a_call_is_a_function_and_up_to_three_arguments() -> None:
    """What it returns is in X1; a hint in the number is none of its business."""
    made = ready()
    assert made.call("__kvm_get_mdcr_el2") == 6
    assert made.call("__kvm_tlb_flush_vmid_range", 1, 20, 300) == 321
    assert made.hvc(function_id("__kvm_adjust_pc") | HINT, 1) == (0, (1 << 64) - 1)
    assert max(len(arguments) for _, arguments in FUNCTIONS.values()) == 3
    assert function_id("__kvm_vcpu_run") == 0xC600_000C


def test_a_wrong_call_says_what_is_wrong() -> None:
    """By name; the CPU says it by X0."""
    made = ready()
    with pytest.raises(UnknownNameError, match="unknown host call `__kvm_vcpu_rum`") as error:
        made.call("__kvm_vcpu_rum")
    assert "__kvm_vcpu_run" in error.value.help
    with pytest.raises(UsageError, match=r"takes 3 arguments \(mmu, ipa, pages\), not 1"):
        made.call("__kvm_tlb_flush_vmid_range", 1)
    with pytest.raises(UsageError, match="is not supported with final vectors"):
        made.call("__kvm_vcpu_run", 1)
    with pytest.raises(UnknownNameError):
        El2({"__nothing": lambda: 0}, lambda _: (0, 0), stub=0, init=1)
    # The numbers of protected VMs, and beyond the last.
    for number in (2, 3, 4, 8, 9, 10, 22, 99):
        assert made.hvc(FIRST_FUNCTION + number)[0] == NOT_SUPPORTED


def test_only_the_hosts_vmid_calls() -> None:
    """A guest's HVC is an exit, whatever it has in its registers."""
    made = ready()
    made.vmid = 3
    assert made.hvc(function_id("__kvm_get_mdcr_el2")) == GUEST_TRAP
    assert made.hvc(hostcalls.RESET_VECTORS) == GUEST_TRAP
    assert made.vectors == FINAL
    with pytest.raises(UsageError):
        made.call("__kvm_get_mdcr_el2")
    made.vmid = 0
    assert made.call("__kvm_get_mdcr_el2") == 6


def test_stub_calls_reach_any_vectors() -> None:
    """RESET_VECTORS does what it says; the others are an error of KVM's own vectors."""
    made = ready()
    assert made.hvc(hostcalls.SET_VECTORS, 0x2000)[0] == STUB_ERROR
    assert made.hvc(hostcalls.FINALISE_EL2)[0] == STUB_ERROR
    assert made.hvc(hostcalls.RESET_VECTORS)[0] == 0
    assert (made.vectors, made.mmu_on, made.vbar) == (STUB, False, 0x1000)
    assert made.hvc(hostcalls.FINALISE_EL2)[0] == 0
    assert made.hvc(function_id("__kvm_get_mdcr_el2"))[0] == STUB_ERROR


@given(st.lists(st.tuples(st.integers(0, (1 << 64) - 1), st.integers(0, 5), st.booleans())))
def test_no_call_raises(calls: list[tuple[int, int, bool]]) -> None:
    """Any number in any state; the vectors are one of three."""
    made = el2()
    for number, small, host_vmid in calls:
        made.vmid = 0 if host_vmid else 1
        made.hvc(small, 0x2000)
        made.hvc(number, small)
        made.hvc(FIRST_FUNCTION + small, small)
        assert made.vectors in {STUB, INIT, FINAL}


# ---- emulation tables -------------------------------------------------------------


def test_tables_are_sorted_without_duplicates_and_without_encoding_0() -> None:
    """In one table and across them."""
    first, second, third = (encode(3, 0, 1, 0, n) for n in range(3))
    assert list(problems({"registers": [first, second], "instructions": [third]})) == []
    assert list(problems({"registers": [second, first]})) == [
        f"registers: entry 1 ({first},) is out of order"
    ]
    assert list(problems({"registers": [first, first]})) == [
        f"registers: entry 1 ({first},) is duplicate"
    ]
    assert list(problems({"a": [first], "b": [first]})) == ["b: S3_0_C1_C0_0 stands in a too"]
    assert list(problems({"a": [0]})) == ["a: encoding 0 is reserved"]


def test_a_table_ends_where_its_numbers_do() -> None:
    """Ten bits hold the number of an entry, plus one."""
    assert list(problems({"a": range(1, MOST_ENTRIES + 1)})) == []
    (found,) = problems({"a": range(1, MOST_ENTRIES + 2)})
    assert found == "a: S0_0_C7_C15_7 is entry 1022, there are 1022 at most"


def test_the_tables_of_aarch32_are_in_order() -> None:
    """Those that the exits use; DBGDIDR is at encoding 0 there."""
    for name, keys in AARCH32_TABLES.items():
        assert list(out_of_order(name, keys)) == []
    assert AARCH32_TABLES["cp14"][0] == (0, 0, 0, 0)


def test_wrong_tables_stop_the_start() -> None:
    """-EINVAL, before anything is mapped."""
    pool = pages()
    for options in (
        {"tables": {"registers": [5, 4]}},
        {"aarch32": {"cp15": [(0, 1, 0, 0), (0, 1, 0, 0)]}},
    ):
        init = HostInit(pool, layout(), image(), 1, **options)
        with pytest.raises(OSError, match="Invalid") as error:
            init.start()
        assert (error.value.errno, pool.used) == (EINVAL, 0)
        assert len(list(init.findings())) == 1


# ---- KVM_ARM_VCPU_INIT ------------------------------------------------------------

EVERYTHING = frozenset(
    {"FEAT_AA32EL1", "FEAT_PMUv3", "FEAT_SVE", "FEAT_PAuth", "FEAT_NV2", "FEAT_MTE", "FEAT_RAS"}
)
CORTEX_A57_MIDR = 0x411F_D070


def vcpu(features: frozenset[str] = EVERYTHING, **options: int) -> VcpuInit:
    """A vCPU of a new VM."""
    return VcpuInit(VmFeatures(features, CORTEX_A57_MIDR, **options))  # type: ignore[arg-type]


def test_a_vcpu_starts_or_is_powered_off() -> None:
    """POWER_OFF counts for one call, and is no feature of the VM."""
    made = vcpu()
    made.init(GENERIC_V8, POWER_OFF | PSCI_0_2)
    assert (made.state, made.features, made.vm.chosen) == (STOPPED, PSCI_0_2, PSCI_0_2)
    made.init(GENERIC_V8, PSCI_0_2)
    assert made.state == RUNNABLE
    second = VcpuInit(made.vm)
    second.init(GENERIC_V8, PSCI_0_2 | POWER_OFF)
    assert second.state == STOPPED


def test_powered_off_vcpus_have_a_capability() -> None:
    """KVM_CAP_ARM_PSCI and PSCI_0_2 on every host; others by the CPUs."""
    assert target.check_extension(target.CAP_ARM_PSCI, frozenset()) == 1
    assert target.check_extension(target.CAP_ARM_PSCI_0_2, frozenset()) == 1
    for capability in target.CAPABILITIES:
        assert target.check_extension(capability, EVERYTHING) == 1
        assert target.check_extension(capability, frozenset()) == 0
    assert target.check_extension(12345, EVERYTHING) == 0


@pytest.mark.parametrize(
    ("midr", "expected"),
    [
        (0x410F_D0F0, target.AEM_V8),
        (0x410F_D000, target.FOUNDATION_V8),
        (0x410F_D034, target.CORTEX_A53),
        (CORTEX_A57_MIDR, target.CORTEX_A57),
        (0x500F_0000, target.XGENE_POTENZA),
        (0x410F_D490, GENERIC_V8),
        (0x430F_D070, GENERIC_V8),
    ],
)
def test_a_host_has_a_target_model(midr: int, expected: int) -> None:
    """Five CPUs by name, all others generic; the generic one is preferred."""
    assert target.target_of(midr) == expected
    assert target.preferred_target() == (GENERIC_V8, 0)


@pytest.mark.parametrize(
    ("number", "words", "errno"),
    [
        (target.CORTEX_A53, (0,), EINVAL),
        (99, (0,), EINVAL),
        (GENERIC_V8, (1 << 8,), ENOENT),
        (GENERIC_V8, (0, 1), ENOENT),
        (GENERIC_V8, (PTRAUTH_ADDRESS,), EINVAL),
        (GENERIC_V8, (PTRAUTH_GENERIC,), EINVAL),
        (GENERIC_V8, (EL1_32BIT | HAS_EL2,), EINVAL),
    ],
)
def test_what_a_vcpu_cannot_be(number: int, words: tuple[int, ...], errno: int) -> None:
    """And after it is refused it is what it was."""
    made = vcpu()
    with pytest.raises(OSError, match=rf"Errno {errno}\]"):
        made.init(number, *words)
    assert (made.state, made.vm.chosen) == (None, None)
    made.init(target.CORTEX_A57, PTRAUTH_ADDRESS | PTRAUTH_GENERIC | HAS_EL2)


def test_features_need_the_hosts_and_are_one_for_a_vm() -> None:
    """SVE without it, 32 bits with MTE, EL2 in 6.12, and a change of mind."""
    for made, features, errno in (
        (vcpu(frozenset()), SVE, EINVAL),
        (vcpu(mte=True), EL1_32BIT, EINVAL),
        (vcpu(valid=target.VALID_6_12), HAS_EL2, ENOENT),
    ):
        with pytest.raises(OSError, match=rf"Errno {errno}\]"):
            made.init(GENERIC_V8, features)
    made = vcpu()
    made.init(GENERIC_V8, SVE)
    for other in (made, VcpuInit(made.vm)):
        with pytest.raises(OSError, match="Invalid"):
            other.init(GENERIC_V8, 0)
