"""The architecture's table where no recorded vector reaches: the text it follows is named."""

from __future__ import annotations

import pytest

from nvtrap.arch import Access
from nvtrap.engine import State, Table
from nvtrap.store import load

HPMN_4 = {"MDCR_EL2": 4, "PMUSERENR_EL0": 0xF}


@pytest.fixture(scope="module")
def arch() -> Table:
    """The architecture's table."""
    return load("arch")


def outcome(table: Table, register: str, registers: dict[str, int], el: int = 1) -> tuple[str, str]:
    """(outcome, deciding control) of a write."""
    told = table.decide(State(registers, el=el), Access(register, write=True))
    return told.outcome, told.control


def without_fine(table: Table, registers: dict[str, int]) -> dict[str, int]:
    """The registers, with every negative fine-grained bit set so that none traps."""
    negative = {
        name: mask
        for group in table.groups
        for name, mask in zip(group.registers, group.negative, strict=True)
    }
    return {**negative, **registers}


@pytest.mark.parametrize("array", ["PMEVCNTR", "PMEVTYPER"])
@pytest.mark.parametrize("el", [0, 1])
def test_counters_from_hpmn_on_belong_to_el2(arch: Table, array: str, el: int) -> None:
    """DDI 0487, D24.5, Accessing PMEVCNTR<n>_EL0 and PMEVTYPER<n>_EL0: n >= HPMN traps."""
    state = without_fine(arch, HPMN_4)
    assert outcome(arch, f"{array}3_EL0", state, el=el)[0] == "local"
    for number in (4, 30):
        told = outcome(arch, f"{array}{number}_EL0", state, el=el)
        assert told == ("forward", "MDCR.HPMN")


@pytest.mark.parametrize("register", ["PMXEVCNTR_EL0", "PMXEVTYPER_EL0"])
def test_the_selected_counter_counts_for_the_indirect_registers(arch: Table, register: str) -> None:
    """DDI 0487, D24.5, Accessing PMXEVCNTR_EL0 and PMXEVTYPER_EL0: PMSELR_EL0.SEL >= HPMN traps."""
    base = without_fine(arch, HPMN_4)
    assert outcome(arch, register, {**base, "PMSELR_EL0": 3})[0] == "local"
    assert outcome(arch, register, {**base, "PMSELR_EL0": 4})[0] == "forward"


def test_the_cycle_counter_is_no_counter_of_hpmn(arch: Table) -> None:
    """DDI 0487, D24.5, Accessing PMXEVTYPER_EL0: SEL = 31 selects PMCCFILTR_EL0, which is EL1's."""
    base = without_fine(arch, {**HPMN_4, "PMSELR_EL0": 31})
    assert outcome(arch, "PMXEVTYPER_EL0", base)[0] == "local"


@pytest.mark.parametrize("number", range(16))
def test_hstr_el2_traps_no_aarch64_access(arch: Table, number: int) -> None:
    """DDI 0487, D24.2, HSTR_EL2: T<n> traps AArch32 accesses to coprocessor 15 alone."""
    base = without_fine(arch, {})
    with_bit = arch.decide_all(State({**base, "HSTR_EL2": 1 << number}))
    assert with_bit == arch.decide_all(State(base))


@pytest.mark.parametrize(
    ("instruction", "registers", "ec"),
    [
        ("WFI", {"HCR_EL2": 1 << 13}, 0x01),
        ("WFE", {"HCR_EL2": 1 << 14}, 0x01),
        ("SMC", {"HCR_EL2": 1 << 19}, 0x17),
        ("ERET", {"HCR_EL2": 1 << 42}, 0x1A),
        ("SIMD_FP", {"CPTR_EL2": 1 << 10, "CPACR_EL1": 3 << 20}, 0x07),
        ("SVE", {"CPTR_EL2": 1 << 8, "CPACR_EL1": 3 << 16}, 0x19),
        ("SME", {"CPTR_EL2": 1 << 12, "CPACR_EL1": 3 << 24}, 0x1D),
        ("ST64B", {"CPACR_EL1": 0}, 0x0A),
    ],
)
def test_other_traps_carry_their_exception_class(
    arch: Table, instruction: str, registers: dict[str, int], ec: int
) -> None:
    """DDI 0487, D24.2, ESR_EL2.EC: what is no system register access has a class of its own."""
    told = arch.decide(State(without_fine(arch, registers)), Access(instruction, write=True))
    assert (told.outcome, told.ec) == ("forward", ec)


def test_tidcp_reaches_both_op0_spaces(arch: Table) -> None:
    """DDI 0487, D24.2, HCR_EL2.TIDCP: CRn 11 and 15, of op0 1 and of op0 3."""
    state = State(without_fine(arch, {"HCR_EL2": 1 << 20}))
    for encoding in ("S1_0_C11_C0_0", "S1_7_C15_C3_2", "S3_0_C11_C0_0", "S3_7_C15_C15_7"):
        assert arch.decide(state, Access(encoding)).control == "HCR.TIDCP"
