"""The hardware's trap controls for the context of a vCPU that runs.

The values are those by which the architecture decides which of a guest's instructions
exit to L0: those of `nvtrap.kvm.hyp.traps`, and what of EL1 itself plays a part.
"""

from __future__ import annotations

from nvtrap.arch.pstate import EL2H, EL2T, MODE, USR
from nvtrap.gic.virtual.ich import HCR_TALL0, HCR_TALL1, HCR_TC, HCR_TDIR
from nvtrap.kvm.hyp.traps import (
    MDCR_TDE,
    PMUSERENR_ALL,
    HostCpu,
    VcpuState,
    cnthctl,
    cptr,
    fine_grained,
    hcr,
    hcrx,
    is_nested,
    mdcr,
)
from nvtrap.kvm.hyp.vel2 import in_el1

TYPE_CHECKING = False
if TYPE_CHECKING:
    from nvtrap.kvm.context import Context

ALL = (1 << 64) - 1
ICH_TRAPS = HCR_TC | HCR_TALL0 | HCR_TALL1 | HCR_TDIR
ICC_SRE_VALUE = 0x7  # without Enable, bit 3 of ICC_SRE_EL2, ICC_SRE_EL1 traps
# Registers of EL1 that decide what its EL0 may do before EL2 is asked.
_FROM_EL1 = ("SCTLR_EL1", "CPACR_EL1", "CNTKCTL_EL1", "MDSCR_EL1", "SMCR_EL1")
# The registers of a vCPU, by the bits, on whose values something here hangs, or in the
# kernel's table.
WATCHED = {
    **dict.fromkeys(("HCR_EL2", "HCRX_EL2", "MDCR_EL2", "CPTR_EL2", "CNTHCTL_EL2"), ALL),
    **dict.fromkeys(("HFGRTR_EL2", "HFGWTR_EL2", "HDFGRTR_EL2", "HDFGWTR_EL2"), ALL),
    **dict.fromkeys(("HFGITR_EL2", "HAFGRTR_EL2", "SCTLR_EL2", "ZCR_EL2"), ALL),
    **dict.fromkeys(_FROM_EL1, ALL),
    "ICH_HCR_EL2": ICH_TRAPS,
}


def hardware_controls(
    context: Context, state: VcpuState, cpu: HostCpu, ich_hcr: int
) -> dict[str, int]:
    """Every register of the hardware on which traps hang; `ich_hcr` is its ICH_HCR_EL2.

    L1's MDCR_EL2.TDE is merged in, as it is since 6.14.
    """
    registers = context.sysregs
    nested = is_nested(context)
    debug = registers["MDCR_EL2"] & MDCR_TDE if nested else 0
    hyp = context.features.nv and not nested
    return {
        "HCR_EL2": hcr(context, state, cpu),
        "HCRX_EL2": hcrx(context, state),
        "MDCR_EL2": mdcr(state, cpu) | debug,
        "CPTR_EL2": cptr(context, state),
        "CNTHCTL_EL2": cnthctl(context, state, cpu),
        "ICH_HCR_EL2": ich_hcr,
        "ICC_SRE_EL2": ICC_SRE_VALUE,
        "ICC_SRE_EL1": ICC_SRE_VALUE,
        "PMSELR_EL0": 0,
        "PMUSERENR_EL0": PMUSERENR_ALL,
        **{name: in_el1(context, name)[1] if hyp else registers[name] for name in _FROM_EL1},
        **fine_grained(context, state, cpu),
    }


def level_of(context: Context) -> int:
    """The EL at which the hardware runs the context, 0 or 1: vEL2 is at EL1."""
    mode = context.pstate & MODE
    if mode in (EL2H, EL2T):
        return 1
    return int(mode != USR) if mode >= USR else mode >> 2 & 1
