"""The AArch32 registers that KVM emulates, by coprocessor (arch/arm64/kvm/sys_regs.c, 6.12).

An operand is the four numbers (opc1, CRn, CRm, opc2); registers of 64 bits have CRn and
opc2 zero. An accessor goes by KVM's name for it. Tables are in ascending order, without
two entries for one register, which `table` makes sure of.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    Operands = tuple[int, int, int, int]

DIRECT, LO, HI = "DIRECT", "LO", "HI"
BREAKPOINTS = 16
EVENT_COUNTERS = 31


class Entry:
    """How one register is emulated.

    `half`: whether it is the AArch64 register or its bits 31:0 or 63:32. `register` is the
    AArch64 register, where the accessor needs it; `index` the number of a breakpoint or
    watchpoint.
    """

    __slots__ = ("accessor", "half", "index", "register")

    def __init__(
        self, accessor: str, half: str = DIRECT, register: str = "", index: int | None = None
    ) -> None:
        self.accessor = accessor
        self.half = half
        self.register = register
        self.index = index

    @property
    def mask(self) -> tuple[int, int]:
        """(mask, shift) of its bits in the AArch64 register."""
        if self.half == LO:
            return (1 << 32) - 1, 0
        if self.half == HI:
            return (1 << 32) - 1 << 32, 32
        return (1 << 64) - 1, 0


def table(entries: Iterable[tuple[Operands, Entry]]) -> dict[Operands, Entry]:
    """The entries by operands; the order and uniqueness that a search needs are asserted."""
    made: dict[Operands, Entry] = {}
    last: Operands | None = None
    for operands, entry in entries:
        assert last is None or last < operands, f"{operands} comes after {last}"
        made[operands], last = entry, operands
    return made


def _cp14() -> Iterator[tuple[Operands, Entry]]:
    raz = Entry("trap_raz_wi")
    debug = {
        (0, 0): Entry("trap_dbgdidr"),
        (0, 2): raz,  # DBGDTRRXext
        (1, 0): raz,  # DBGDSCRint
        (2, 0): Entry("trap_debug_regs", DIRECT, "MDCCINT_EL1"),
        (2, 2): Entry("trap_debug_regs", DIRECT, "MDSCR_EL1"),
        (3, 0): raz,  # DBGDTR[RT]Xint
        (3, 2): raz,  # DBGDTR[RT]Xext
        (6, 0): raz,  # DBGWFAR
        (6, 2): raz,  # DBGOSECCR
        (7, 0): Entry("trap_debug_regs", DIRECT, "DBGVCR32_EL2"),
    }
    for n in range(BREAKPOINTS):
        debug[n, 4] = Entry("trap_bvr", LO, index=n)
        debug[n, 5] = Entry("trap_bcr", index=n)
        debug[n, 6] = Entry("trap_wvr", index=n)
        debug[n, 7] = Entry("trap_wcr", index=n)
    yield from (((0, 0, *place), debug[place]) for place in sorted(debug))
    os_lock = {
        (0, 0): raz,  # DBGDRAR
        (0, 4): Entry("trap_oslar_el1"),
        (1, 4): Entry("trap_oslsr_el1", DIRECT, "OSLSR_EL1"),
        (3, 4): raz,  # DBGOSDLR
        (4, 4): raz,  # DBGPRCR
    }
    for n in range(BREAKPOINTS):
        os_lock[n, 1] = Entry("trap_bvr", HI, index=n)
    yield from (((0, 1, *place), os_lock[place]) for place in sorted(os_lock))
    yield (0, 2, 0, 0), raz  # DBGDSAR
    for crm, opc2 in ((0, 7), (1, 7), (2, 7), (8, 6), (9, 6)):  # DBGDEVID*, DBGCLAIM*
        yield (0, 7, crm, opc2), raz
    yield (0, 7, 14, 6), Entry("trap_dbgauthstatus_el1")


def _cp14_64() -> Iterator[tuple[Operands, Entry]]:
    yield (0, 0, 1, 0), Entry("trap_raz_wi")  # DBGDRAR
    yield (0, 0, 2, 0), Entry("trap_raz_wi")  # DBGDSAR


def _vm(register: str, half: str = DIRECT) -> Entry:
    return Entry("access_vm_reg", half, register)


def _cp15() -> Iterator[tuple[Operands, Entry]]:
    yield (0, 0, 0, 1), Entry("access_ctr")
    yield (0, 1, 0, 0), _vm("SCTLR_EL1")
    yield (0, 1, 0, 1), Entry("access_actlr", LO, "ACTLR_EL1")
    yield (0, 1, 0, 3), Entry("access_actlr", HI, "ACTLR_EL1")
    yield (0, 2, 0, 0), _vm("TTBR0_EL1")
    yield (0, 2, 0, 1), _vm("TTBR1_EL1")
    yield (0, 2, 0, 2), _vm("TCR_EL1", LO)
    yield (0, 2, 0, 3), _vm("TCR_EL1", HI)
    yield (0, 3, 0, 0), _vm("DACR32_EL2")
    yield (0, 4, 6, 0), Entry("undef_access")  # ICC_PMR
    yield (0, 5, 0, 0), _vm("ESR_EL1")
    yield (0, 5, 0, 1), _vm("IFSR32_EL2")
    yield (0, 5, 1, 0), _vm("AFSR0_EL1")
    yield (0, 5, 1, 1), _vm("AFSR1_EL1")
    yield (0, 6, 0, 0), _vm("FAR_EL1", LO)
    yield (0, 6, 0, 2), _vm("FAR_EL1", HI)
    for crm in (6, 10, 14):  # DCISW, DCCSW, DCCISW
        yield (0, 7, crm, 2), Entry("access_dcsw")
    yield from _performance_monitors()
    yield (0, 10, 2, 0), _vm("MAIR_EL1", LO)
    yield (0, 10, 2, 1), _vm("MAIR_EL1", HI)
    yield (0, 10, 3, 0), _vm("AMAIR_EL1", LO)
    yield (0, 10, 3, 1), _vm("AMAIR_EL1", HI)
    yield from _interrupt_controller()
    yield (0, 13, 0, 1), _vm("CONTEXTIDR_EL1")
    for opc2 in (0, 1):  # CNTP_TVAL, CNTP_CTL
        yield (0, 14, 2, opc2), Entry("access_arch_timer")
    for accessor, first in (("access_pmu_evcntr", 8), ("access_pmu_evtyper", 12)):
        for n in range(EVENT_COUNTERS):
            yield (0, 14, first | n >> 3, n & 7), Entry(accessor)
    yield (0, 14, 15, 7), Entry("access_pmu_evtyper")  # PMCCFILTR
    yield (1, 0, 0, 0), Entry("access_ccsidr")
    yield (1, 0, 0, 1), Entry("access_clidr")
    yield (1, 0, 0, 2), Entry("undef_access")  # CCSIDR2
    yield (2, 0, 0, 0), Entry("access_csselr", DIRECT, "CSSELR_EL1")


def _performance_monitors() -> Iterator[tuple[Operands, Entry]]:
    accessors = {
        12: "pmcr pmcnten pmcnten pmovs pmswinc pmselr pmceid pmceid",
        13: "pmu_evcntr pmu_evtyper pmu_evcntr",
        14: "pmuserenr pminten pminten pmovs pmceid pmceid",
    }
    for crm, names in accessors.items():
        for opc2, name in enumerate(names.split()):
            half = DIRECT if name != "pmceid" else LO if crm == 12 else HI
            yield (0, 9, crm, opc2), Entry(f"access_{name}", half)
    yield (0, 9, 14, 6), Entry("trap_raz_wi")  # PMMIR


def _interrupt_controller() -> Iterator[tuple[Operands, Entry]]:
    refused = Entry("undef_access")
    for crm, numbers in ((8, range(8)), (9, range(4)), (11, (1, 3)), (12, range(8))):
        for opc2 in numbers:
            is_sre = crm == 12 and opc2 == 5
            yield (0, 12, crm, opc2), Entry("access_gic_sre") if is_sre else refused


def _cp15_64() -> Iterator[tuple[Operands, Entry]]:
    yield (0, 0, 2, 0), _vm("TTBR0_EL1")
    yield (0, 0, 9, 0), Entry("access_pmu_evcntr")  # PMCCNTR
    yield (0, 0, 12, 0), Entry("access_gic_sgi")  # ICC_SGI1R
    yield (0, 0, 14, 0), Entry("access_arch_timer")  # CNTPCT
    yield (1, 0, 2, 0), _vm("TTBR1_EL1")
    yield (1, 0, 12, 0), Entry("access_gic_sgi")  # ICC_ASGI1R
    yield (2, 0, 12, 0), Entry("access_gic_sgi")  # ICC_SGI0R
    yield (2, 0, 14, 0), Entry("access_arch_timer")  # CNTP_CVAL
    yield (8, 0, 14, 0), Entry("access_arch_timer")  # CNTPCTSS


CP14, CP14_64 = table(_cp14()), table(_cp14_64())
CP15, CP15_64 = table(_cp15()), table(_cp15_64())
