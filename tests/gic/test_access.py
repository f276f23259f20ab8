"""What becomes of accesses: held against the project's own table of the architecture."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvtrap import load
from nvtrap.arch.encoding import generic_name
from nvtrap.engine import FORWARD, State
from nvtrap.errors import UnknownNameError, UsageError
from nvtrap.gic import PE, Machine, Parameters
from nvtrap.gic.access import Trapped, Undefined
from nvtrap.gic.registers import BY_ENCODING, READ, REGISTERS, WRITE

IMO, FMO, NV, NV1, NV2 = 1 << 4, 1 << 3, 1 << 42, 1 << 43, 1 << 45
FULL = Parameters(
    list_registers=16, virtual_priority_bits=7, virtual_preemption_bits=7, physical_priority_bits=7
)
ARCH = load("arch")


def outcome(pe: PE, name: str | int, el: int, write: bool) -> str:
    """`local`, `undef`, or the EL a trap goes to."""
    try:
        if write:
            pe.msr(name, el, 0)
        else:
            pe.mrs(name, el)
    except Undefined:
        return "undef"
    except Trapped as trap:
        return f"EL{trap.el}"
    return "local"


@given(
    st.sampled_from([name for name in REGISTERS if not name.endswith("EL3")]),
    st.booleans(),
    st.sets(st.sampled_from([IMO, FMO, NV, NV1, NV2])),
    st.sets(st.sampled_from([10, 11, 12, 14])),
)
def test_traps_from_el1_are_those_of_the_architectures_table(
    name: str, write: bool, routing: set[int], traps: set[int]
) -> None:
    """The two ways of saying when an access goes to EL2 agree on all of them."""
    register = REGISTERS[name]
    if not register.access & (WRITE if write else READ) or name == "ICC_NMIAR1_EL1":
        return
    pe = Machine(FULL).pes[0]
    hcr, ich_hcr = sum(routing), sum(1 << bit for bit in traps)
    pe.msr("ICH_HCR_EL2", 2, ich_hcr)
    pe.msr("HCR_EL2", 2, hcr)
    state = State(
        {"HCR_EL2": hcr, "ICH_HCR_EL2": ich_hcr, "ICC_SRE_EL1": 7, "ICC_SRE_EL2": 0xF}, el=1
    )
    wanted = ARCH.bind(state).decide(register.encoding, write).outcome
    assert (outcome(pe, name, 1, write) == "EL2") == (wanted == FORWARD)


def test_every_encoding_is_the_catalogues() -> None:
    """Names and encodings are said in two places, once each for rules and for the model."""
    for register in REGISTERS.values():
        assert ARCH.encoding(register.name) == register.encoding, register.name
    assert len(BY_ENCODING) == len(REGISTERS)


@pytest.mark.parametrize("name", REGISTERS)
def test_a_register_goes_by_its_encoding_too(name: str) -> None:
    """A number and the generic spelling mean the register."""
    pe = Machine(FULL).pes[0]
    encoding = REGISTERS[name].encoding
    for el in (0, 1, 2):
        asked = {outcome(pe, way, el, False) for way in (name, encoding, generic_name(encoding))}
        assert len(asked) == 1


@pytest.mark.parametrize("name", REGISTERS)
def test_el0_and_the_wrong_direction_are_undefined(name: str) -> None:
    """Before any trap: at EL0 everything is, and what cannot be read or written."""
    pe = Machine(FULL).pes[0]
    pe.msr("ICH_HCR_EL2", 2, 0x5C00)
    pe.msr("HCR_EL2", 2, IMO | FMO | NV)
    assert outcome(pe, name, 0, False) == outcome(pe, name, 0, True) == "undef"
    for write, way in ((False, READ), (True, WRITE)):
        if not REGISTERS[name].access & way:
            assert outcome(pe, name, 1, write) == outcome(pe, name, 2, write) == "undef"


@given(st.integers(1, 16), st.integers(5, 7), st.integers(5, 8))
def test_registers_beyond_the_parameters_are_undefined(
    list_registers: int, virtual: int, physical: int
) -> None:
    """List registers and active-priority registers are there as the parameters say."""
    pe = Machine(
        Parameters(
            list_registers=list_registers,
            virtual_priority_bits=7,
            virtual_preemption_bits=virtual,
            physical_priority_bits=physical,
        )
    ).pes[0]
    for n in range(16):
        there = "local" if n < list_registers else "undef"
        assert outcome(pe, f"ICH_LR{n}_EL2", 2, True) == there
    for n in range(4):
        in_virtual = "local" if n < 1 << virtual - 5 else "undef"
        in_physical = "local" if n < 1 << min(physical, 7) - 5 else "undef"
        assert outcome(pe, f"ICH_AP0R{n}_EL2", 2, False) == in_virtual
        assert outcome(pe, f"ICC_AP1R{n}_EL1", 2, False) == in_physical
        pe.msr("HCR_EL2", 2, IMO)
        assert outcome(pe, f"ICC_AP1R{n}_EL1", 1, False) == in_virtual
        pe.msr("HCR_EL2", 2, 0)


@given(st.integers(0, 0xFFFF))
def test_no_encoding_is_anything_but_a_register_undefined_or_unknown(encoding: int) -> None:
    """All 65,536 encodings: the GIC's, what is unallocated between them, and others' registers."""
    pe = Machine().pes[0]
    try:
        assert outcome(pe, encoding, 2, False) in ("local", "undef")
        assert encoding in BY_ENCODING or encoding >> 6 == 0b11_000_1100_1 | encoding >> 6 & 0x70
    except UnknownNameError:
        assert encoding not in BY_ENCODING


def test_bad_names_and_levels_are_usage_errors() -> None:
    """One sentence, with a suggestion where there is one."""
    pe = Machine().pes[0]
    with pytest.raises(UnknownNameError, match="unknown register of the GIC `ICC_IAR2_EL1`") as bad:
        pe.mrs("ICC_IAR2_EL1", 1)
    assert "ICC_IAR1_EL1" in bad.value.help
    for el in (-1, 4, "1"):
        with pytest.raises(UsageError, match="is no EL"):
            pe.mrs("ICC_IAR1_EL1", el)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="no EL3 with one security state"):
        pe.mrs("ICC_CTLR_EL3", 3)
    with pytest.raises(UsageError, match="by its name or its encoding"):
        pe.mrs([], 1)  # type: ignore[arg-type]


def test_traps_to_el3_come_after_those_to_el2() -> None:
    """SCR_EL3.{IRQ, FIQ} catch the physical accesses of EL1 and EL2."""
    pe = Machine(Parameters(security_states=2)).pes[0]
    pe.msr("SCR_EL3", 3, 0b111)  # FIQ, IRQ, NS
    assert outcome(pe, "ICC_IAR1_EL1", 2, False) == "EL3"
    assert outcome(pe, "ICC_IAR1_EL1", 3, False) == "local"
    pe.msr("HCR_EL2", 2, IMO)
    assert outcome(pe, "ICC_IAR1_EL1", 1, False) == "local"
    assert outcome(pe, "ICC_IAR0_EL1", 1, False) == "EL3"
    pe.msr("ICH_HCR_EL2", 2, 1 << 11)
    assert outcome(pe, "ICC_IAR0_EL1", 1, False) == "EL2"
    pe.msr("SCR_EL3", 3, 0b110)  # Secure, and EL2 is not enabled there
    assert outcome(pe, "ICC_IAR1_EL1", 1, False) == "EL3"
    assert outcome(pe, "ICC_SRE_EL1", 1, False) == "local"


def test_nv2_redirects_list_registers_to_memory() -> None:
    """At EL1 with HCR_EL2.{NV, NV2} an L1 hypervisor's list registers are its VNCR page."""
    machine = Machine()
    pe = machine.pes[0]
    pe.msr("VNCR_EL2", 2, 0x4000_0000)
    pe.msr("HCR_EL2", 2, NV | NV2)
    pe.msr("ICH_LR1_EL2", 1, 0x1234)
    assert machine.memory.read(0x4000_0408, 8) == 0x1234
    assert pe.mrs("ICH_LR1_EL2", 1) == 0x1234
    assert pe.mrs("ICH_LR1_EL2", 2) == 0
    assert outcome(pe, "ICH_VTR_EL2", 1, False) == "EL2"


def test_a_trap_carries_the_syndrome_of_the_access() -> None:
    """EC 0x18, the encoding, the direction, X0."""
    pe = Machine().pes[0]
    pe.msr("HCR_EL2", 2, IMO)
    with pytest.raises(Trapped) as caught:
        pe.msr("ICC_SGI1R_EL1", 1, 0)
    assert caught.value.esr == 0x623A_3016
    with pytest.raises(Undefined) as undefined:
        pe.mrs("ICC_SGI1R_EL1", 1)
    assert (undefined.value.el, undefined.value.esr) == (1, 0x200_0000)


def test_an_access_from_the_hosts_el0_is_undefined_at_el2() -> None:
    """With HCR_EL2.TGE exceptions of EL0 go to EL2."""
    pe = Machine().pes[0]
    pe.msr("HCR_EL2", 2, 1 << 27)
    with pytest.raises(Undefined) as caught:
        pe.mrs("ICC_IAR1_EL1", 0)
    assert caught.value.el == 2
