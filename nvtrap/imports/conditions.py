"""The conditions that the kernel writes as functions, translated by the function's name.

What a function does cannot be read off a table, so each known one stands here in the
words of the rule language (facts from the kernel's sources, Linux 6.6 to 7.3). One whose
answer hangs on the accessed register is several conditions, for some registers each.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Case:
    """What one function means for the registers whose names match `registers`.

    `suffix` is added to the control's name, `reads` are the registers that it hangs on.
    """

    when: str
    reads: tuple[str, ...]
    registers: str = ".*"
    suffix: str = ""
    host_el0: bool = False


# The counter is that of the encoding, or the one that PMSELR_EL0 selects. The cycle
# counter, selected as 31, never belongs to EL2.
_HPMN = (
    Case(
        "access.index >= MDCR_EL2.HPMN",
        ("MDCR_EL2", "PMSELR_EL0"),
        r"PMEV(?:CNTR|TYPER)\d+_EL0",
        host_el0=True,
    ),
    Case(
        "PMSELR_EL0.SEL != 31 and PMSELR_EL0.SEL >= MDCR_EL2.HPMN",
        ("MDCR_EL2", "PMSELR_EL0"),
        r"PMXEV(?:CNTR|TYPER)_EL0",
        "_sel",
        host_el0=True,
    ),
)
# An NV2 guest in its own host context: E2H and not TGE, virtual EL2 through memory.
_NV2_GUEST = "HCR_EL2.{NV2, NV1, NV, E2H, TGE} == 0b10110"
_NNVTGE = (Case("HCR_EL2.NV == 1 and HCRX_EL2.NVTGE == 0", ("HCR_EL2", "HCRX_EL2")),)

# The catalogue knows where CNTHCTL_EL2 and CPTR_EL2 have these bits with and without E2H.
FUNCTIONS: dict[str, tuple[Case, ...]] = {
    "check_cnthctl_el1pcten": (Case("CNTHCTL_EL2.EL1PCTEN == 0", ("CNTHCTL_EL2",)),),
    "check_cnthctl_el1pten": (Case("CNTHCTL_EL2.EL1PTEN == 0", ("CNTHCTL_EL2",)),),
    "check_cnthctl_el1nvpct": (
        Case(f"{_NV2_GUEST} and CNTHCTL_EL2.EL1NVPCT == 1", ("HCR_EL2", "CNTHCTL_EL2")),
    ),
    "check_cnthctl_el1nvvct": (
        Case(f"{_NV2_GUEST} and CNTHCTL_EL2.EL1NVVCT == 1", ("HCR_EL2", "CNTHCTL_EL2")),
    ),
    "check_cptr_tta": (Case("CPTR_EL2.TTA == 1", ("CPTR_EL2",)),),
    "check_mdcr_hpmn": _HPMN,
    "check_hcr_nv_hcrx_nnvtge": _NNVTGE,
}
# Conditions whose control says what they are, whatever the function is called.
CONTROLS: dict[str, tuple[Case, ...]] = {"CGT_HCR_NV_HCRX_nNVTGE": _NNVTGE}
