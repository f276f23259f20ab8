"""System registers that L0 emulates for L1 and L2 where a trap is nobody else's.

Which registers there are, and how each behaves, is what Linux 6.12 has in sys_reg_descs
and sys_insn_descs (arch/arm64/kvm/sys_regs.c); ICH_* and ICC_SRE_EL2 are those of 6.15.
Whatever has no emulation is undefined.
"""

from __future__ import annotations

from nvtrap.arch.encoding import operands
from nvtrap.gic.virtual import maintenance
from nvtrap.gic.virtual.ich import vtr
from nvtrap.kvm.context import MASK_64
from nvtrap.kvm.nested import tlbi
from nvtrap.kvm.nested.vncr import OFFSETS
from nvtrap.kvm.vgic import sgi
from nvtrap.kvm.vgic.icc import SRE_VALUE
from nvtrap.kvm.vgic.nested import list_registers, nested_elrsr, nested_misr

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from nvtrap.kvm.nested.vcpu import NestedVcpu

    # (vCPU, register's name, encoding) → its value; with the value that is written → done.
    Read = Callable[[NestedVcpu, str, int], int | None]
    Write = Callable[[NestedVcpu, str, int, int], bool]

# ICH_VTR_EL2 as L1 sees it: no DVIM, A3V and IDbits, nV4 set.
VTR_DVIM, VTR_A3V, VTR_IDBITS, VTR_NV4 = 1 << 18, 1 << 21, 7 << 23, 1 << 20
SRE_EL2 = 0xF
PMCR_WRITABLE = 0b1111001
PMCR_N_SHIFT = 11
PAR_ATTRIBUTES = 1 << 11  # RES1 of a successful translation
ADDRESS = (1 << 52) - 1 & -1 << 12


def emulate_read(vcpu: NestedVcpu, name: str, encoding: int) -> int | None:
    """The value that a trapped MRS reads; None for what is undefined."""
    function = _READS.get(name)
    if function is None:
        function = _by_encoding(encoding)[0]
    return None if function is None else function(vcpu, name, encoding)


def emulate_write(vcpu: NestedVcpu, name: str, encoding: int, value: int) -> bool:
    """Carry out a trapped MSR or SYS; false for what is undefined."""
    function = _WRITES.get(name)
    if function is None:
        function = _by_encoding(encoding)[1]
    return function is not None and function(vcpu, name, encoding, value)


def _by_encoding(encoding: int) -> tuple[Read | None, Write | None]:
    """Emulations that go by a part of the encoding space: ID registers, instructions."""
    op0, op1, crn, crm, _ = operands(encoding)
    if (op0, op1, crn) == (3, 0, 0) and 1 <= crm <= 7:
        return _id, None
    if op0 == 1 and crn == 7:
        return None, _at if crm in (8, 9) else _nothing
    if op0 == 1 and crn in (8, 9):
        return None, _tlbi
    return None, None


# ---- behaviours -----------------------------------------------------------------------


def _id(vcpu: NestedVcpu, name: str, _: int) -> int:
    return vcpu.machine.id_register(vcpu, name)


def _stored(vcpu: NestedVcpu, name: str, _: int) -> int:
    return vcpu.registers[_home(name)]


def _store(vcpu: NestedVcpu, name: str, _: int, value: int) -> bool:
    vcpu.registers[_home(name)] = value
    return True


def _home(name: str) -> str:
    """The register that _EL12 and _EL02 names mean."""
    if name.endswith("_EL12"):
        return f"{name[:-5]}_EL1"
    return f"{name[:-5]}_EL0" if name.endswith("_EL02") else name


def _zero(*_: object) -> int:
    return 0


def _nothing(*_: object) -> bool:
    return True


def _set_bits(vcpu: NestedVcpu, name: str, _: int, value: int) -> bool:
    target = _base(name)
    vcpu.registers[target] |= value
    return True


def _clear_bits(vcpu: NestedVcpu, name: str, _: int, value: int) -> bool:
    target = _base(name)
    vcpu.registers[target] &= ~value
    return True


def _base(name: str) -> str:
    return name.replace("CLR_", "SET_").replace("PMOVSC", "PMOVSS")


def _bits(vcpu: NestedVcpu, name: str, _: int) -> int:
    return vcpu.registers[_base(name)]


def _write_cptr(vcpu: NestedVcpu, _: str, encoding: int, value: int) -> bool:
    return _store(vcpu, "CPTR_EL2", encoding, value)


def _read_cptr(vcpu: NestedVcpu, _: str, encoding: int) -> int:
    return _stored(vcpu, "CPTR_EL2", encoding)


# ---- the GIC's ------------------------------------------------------------------------


def _vtr(vcpu: NestedVcpu, _: str, __: int) -> int:
    own = vtr(vcpu.kvm.vm.host.parameters)
    return own & ~(VTR_DVIM | VTR_A3V | VTR_IDBITS) | VTR_NV4


def _misr(vcpu: NestedVcpu, _: str, __: int) -> int:
    return nested_misr(vcpu.registers, vcpu.lists.count)


def _eisr(vcpu: NestedVcpu, _: str, __: int) -> int:
    return maintenance.eisr(list_registers(vcpu.registers, vcpu.lists.count))


def _elrsr(vcpu: NestedVcpu, _: str, __: int) -> int:
    return nested_elrsr(list_registers(vcpu.registers, vcpu.lists.count))


def _sre_el1(*_: object) -> int:
    return SRE_VALUE


def _sre_el2(*_: object) -> int:
    return SRE_EL2


def _send_sgi(vcpu: NestedVcpu, name: str, _: int, value: int) -> bool:
    sgi.dispatch(vcpu.kvm, value, allow_group1=name == "ICC_SGI1R_EL1")
    return True


# ---- the performance monitors' ----------------------------------------------------------


def _pmcr(vcpu: NestedVcpu, _: str, __: int) -> int:
    return vcpu.registers["PMCR_EL0"] & PMCR_WRITABLE | vcpu.machine.counters << PMCR_N_SHIFT


def _write_pmcr(vcpu: NestedVcpu, _: str, __: int, value: int) -> bool:
    vcpu.registers["PMCR_EL0"] = value & PMCR_WRITABLE
    return True


def _selected(vcpu: NestedVcpu, name: str) -> str:
    """The counter that PMXEVCNTR_EL0 or PMXEVTYPER_EL0 means, by PMSELR_EL0.SEL."""
    number = vcpu.registers["PMSELR_EL0"] & 0x1F
    if number == 31:
        return "PMCCFILTR_EL0" if "TYPER" in name else "PMCCNTR_EL0"
    return f"{name.replace('PMX', 'PM')[:-4]}{number}_EL0"


def _read_selected(vcpu: NestedVcpu, name: str, encoding: int) -> int:
    return _stored(vcpu, _selected(vcpu, name), encoding)


def _write_selected(vcpu: NestedVcpu, name: str, encoding: int, value: int) -> bool:
    return _store(vcpu, _selected(vcpu, name), encoding, value)


# ---- counters, the OS lock, instructions --------------------------------------------------


def _counter(vcpu: NestedVcpu, name: str, _: int) -> int:
    return vcpu.machine.counter(vcpu, name)


def _oslsr(vcpu: NestedVcpu, _: str, __: int) -> int:
    return 1 << 3 | vcpu.registers["OSLAR_EL1"] << 1


def _oslar(vcpu: NestedVcpu, _: str, __: int, value: int) -> bool:
    vcpu.registers["OSLAR_EL1"] = value & 1
    return True


def _at(vcpu: NestedVcpu, name: str, _: int, value: int) -> bool:
    """AT: stage 1 is off, so every address is its own translation; stage 2 is L1's."""
    address = value & MASK_64
    if "S12" in name:
        found = vcpu.mmu.walk(address)
        output = getattr(found, "output", None)
        if output is None:
            vcpu.registers["PAR_EL1"] = PAR_ATTRIBUTES | 1 << 9 | _status(found) << 1 | 1
            return True
        address = output
    vcpu.registers["PAR_EL1"] = PAR_ATTRIBUTES | address & ADDRESS
    return True


def _status(fault: object) -> int:
    return int(getattr(fault, "fsc", 0))


def _tlbi(vcpu: NestedVcpu, _: str, encoding: int, value: int) -> bool:
    """TLBI of vEL2: what concerns stage 2 empties shadows, the rest stage 1 that is off."""
    vttbr = vcpu.registers["VTTBR_EL2"]
    done = tlbi.invalidate(vcpu.mmu.shadows, encoding, value, vttbr)
    return done != tlbi.UNDEF


# ---- which register behaves how -------------------------------------------------------------

_RW = (
    *("SCTLR_EL2", "ACTLR_EL2", "MDCR_EL2", "CPTR_EL2", "ZCR_EL2", "TTBR0_EL2", "TTBR1_EL2"),
    *("TCR_EL2", "TCR2_EL2", "SCTLR2_EL2", "AFSR0_EL2", "AFSR1_EL2", "HPFAR_EL2", "MAIR_EL2"),
    *("AMAIR_EL2", "PIR_EL2", "PIRE0_EL2", "POR_EL2", "VBAR_EL2", "CONTEXTIDR_EL2"),
    *("CNTHCTL_EL2", "HACR_EL2", "TPIDR_EL2", "SP_EL1", "SP_EL2", "SPSR_EL2", "ELR_EL2"),
    *("ESR_EL2", "FAR_EL2", "CNTKCTL_EL12", "CNTHP_CTL_EL2", "CNTHP_CVAL_EL2", "CNTHP_TVAL_EL2"),
    *("CNTHV_CTL_EL2", "CNTHV_CVAL_EL2", "CNTHV_TVAL_EL2", "CNTP_CTL_EL0", "CNTP_CVAL_EL0"),
    *("CNTP_TVAL_EL0", "CNTP_CTL_EL02", "CNTP_CVAL_EL02", "CNTP_TVAL_EL02", "CNTV_CTL_EL02"),
    *("CNTV_CVAL_EL02", "CNTV_TVAL_EL02", "CNTV_CTL_EL0", "CNTV_CVAL_EL0", "CNTV_TVAL_EL0"),
    *("SCTLR_EL1", "TTBR0_EL1", "TTBR1_EL1", "TCR_EL1", "TCR2_EL1", "ESR_EL1", "FAR_EL1"),
    *("AFSR0_EL1", "AFSR1_EL1", "MAIR_EL1", "AMAIR_EL1", "CONTEXTIDR_EL1", "VBAR_EL1"),
    *("SPSR_EL1", "ELR_EL1", "CSSELR_EL1", "MDCCINT_EL1", "MDSCR_EL1", "DBGVCR32_EL2"),
    *("PMSELR_EL0", "PMUSERENR_EL0", "PMCCNTR_EL0", "PMCCFILTR_EL0"),
    *(name for name in OFFSETS if name.endswith("_EL2") and not name.startswith("AMEV")),
    *(f"PMEVCNTR{n}_EL0" for n in range(31)),
    *(f"PMEVTYPER{n}_EL0" for n in range(31)),
    *(f"DBG{part}{n}_EL1" for part in ("BVR", "BCR", "WVR", "WCR") for n in range(16)),
)
_ZERO = (
    *("ERRIDR_EL1", "ERRSELR_EL1", "ERXFR_EL1", "ERXCTLR_EL1", "ERXSTATUS_EL1", "ERXADDR_EL1"),
    *("ERXMISC0_EL1", "ERXMISC1_EL1", "PMMIR_EL1", "PMCEID0_EL0", "PMCEID1_EL0", "PMSWINC_EL0"),
    *("SPSR_irq", "SPSR_abt", "SPSR_und", "SPSR_fiq", "OSECCR_EL1", "OSDTRRX_EL1"),
    *("OSDTRTX_EL1", "OSDLR_EL1", "DBGPRCR_EL1", "DBGCLAIMSET_EL1", "DBGCLAIMCLR_EL1"),
    *("DBGAUTHSTATUS_EL1", "MDCCSR_EL0", "DBGDTR_EL0", "DBGDTRRX_EL0", "DBGDTRTX_EL0", "MDRAR_EL1"),
    *("LORSA_EL1", "LOREA_EL1", "LORN_EL1", "LORC_EL1", "LORID_EL1", "ACTLR_EL1"),
)
_READ_ONLY = frozenset({"LORID_EL1", "PMMIR_EL1", "PMCEID0_EL0", "PMCEID1_EL0"})
_IDS = ("CTR_EL0", "CCSIDR_EL1", "CLIDR_EL1", "GMID_EL1", "REVIDR_EL1", "AIDR_EL1", "MIDR_EL1")
_PAIRS = ("PMCNTEN", "PMINTEN", "PMOVS")

_READS: dict[str, Read] = {
    **dict.fromkeys(_RW, _stored),
    **dict.fromkeys(_ZERO, _zero),
    **dict.fromkeys(_IDS, _id),
    **{f"{pair}{way}_EL0": _bits for pair in _PAIRS for way in ("SET", "CLR")},
    **{f"{pair}{way}_EL1": _bits for pair in _PAIRS for way in ("SET", "CLR")},
    "CPACR_EL1": _read_cptr,
    "PMCR_EL0": _pmcr,
    "PMXEVCNTR_EL0": _read_selected,
    "PMXEVTYPER_EL0": _read_selected,
    "CNTPCT_EL0": _counter,
    "CNTPCTSS_EL0": _counter,
    "OSLSR_EL1": _oslsr,
    "RVBAR_EL2": _stored,
    "ICH_VTR_EL2": _vtr,
    "ICH_MISR_EL2": _misr,
    "ICH_EISR_EL2": _eisr,
    "ICH_ELRSR_EL2": _elrsr,
    "ICC_SRE_EL1": _sre_el1,
    "ICC_SRE_EL2": _sre_el2,
}
_WRITES: dict[str, Write] = {
    **dict.fromkeys(_RW, _store),
    **{name: _nothing for name in _ZERO if name not in _READ_ONLY},
    **{f"{pair}SET_{el}": _set_bits for pair in _PAIRS for el in ("EL0", "EL1")},
    **{f"{pair}CLR_{el}": _clear_bits for pair in _PAIRS for el in ("EL0", "EL1")},
    "CPACR_EL1": _write_cptr,
    "PMCR_EL0": _write_pmcr,
    "PMXEVCNTR_EL0": _write_selected,
    "PMXEVTYPER_EL0": _write_selected,
    "OSLAR_EL1": _oslar,
    "ICC_SRE_EL1": _nothing,
    "ICC_SRE_EL2": _nothing,
    "ICC_SGI0R_EL1": _send_sgi,
    "ICC_SGI1R_EL1": _send_sgi,
    "ICC_ASGI1R_EL1": _send_sgi,
}
