"""What the machine's CPUs are, and what L1 is told of them: ID registers, and RES0 and RES1.

The bits that KVM fixes whatever the VM has are those of kvm_init_nv_sysregs
(arch/arm64/kvm/nested.c, 6.12; ICH_HCR_EL2: 6.15).
"""

from __future__ import annotations

from nvtrap.kvm.context import HCR_E2H

TYPE_CHECKING = False
if TYPE_CHECKING:
    from nvtrap.engine import Table
    from nvtrap.gic.parameters import Parameters
    from nvtrap.kvm.context import Features

ALL = (1 << 64) - 1
HCR_RW = 1 << 31
MPIDR_RES1 = 1 << 31

# A VM with EL2, VHE, a PMU and GICv3, on a CPU with 48 bits of physical addresses.
ID_REGISTERS = {
    "MIDR_EL1": 0x410F_D4F0,
    "REVIDR_EL1": 0,
    "AIDR_EL1": 0,
    "CTR_EL0": 0xB444_C004,
    "CLIDR_EL1": 0x0A20_0023,
    "CCSIDR_EL1": 0x2,
    "GMID_EL1": 0,
    "DCZID_EL0": 0x4,
    "ID_AA64PFR0_EL1": 0x1100_0000_0100_1111,
    "ID_AA64PFR1_EL1": 0x20,
    "ID_AA64DFR0_EL1": 0x0000_0000_10F0_F517,
    "ID_AA64ISAR0_EL1": 0x0221_1110_1021_2120,
    "ID_AA64ISAR1_EL1": 0x0000_0000_0011_1051,
    "ID_AA64MMFR0_EL1": 0x0000_2220_0000_1125,
    "ID_AA64MMFR1_EL1": 0x0000_0100_1021_2122,
    "ID_AA64MMFR2_EL1": 0x0001_0000_0200_1011,
}
# VM's bits of the registers that the kernel sanitises: (bits there are, bits that are one).
_VTCR = ~((1 << 64) - (1 << 32) | (1 << 31) - (1 << 20)) & ALL, 1 << 31
_VMPIDR = ~((1 << 64) - (1 << 40) | (1 << 31) - (1 << 24)) & ALL, MPIDR_RES1


def sysreg_masks(
    table: Table, present: frozenset[str] | None, features: Features, parameters: Parameters
) -> dict[str, tuple[int, int]]:
    """(bits that are there, bits that are one) of each sanitised register.

    `present` are the VM's architectural features, None for all.
    """
    masks = {"VTCR_EL2": _VTCR, "VMPIDR_EL2": _VMPIDR}
    for slot in table.sanitised:
        name = table.slots[slot]
        absent, ones = (0, 0) if present is None else table.features.absent_bits(name, present)
        masks[name] = ~absent & ALL, ones
    there, ones = masks.get("HCR_EL2", (ALL, 0))
    masks["HCR_EL2"] = there & ~(1 << 48), ones | HCR_RW | (0 if features.e2h0 else HCR_E2H)
    masks["ICH_HCR_EL2"] = parameters.hcr_mask, 0
    return masks


def reset_values(features: Features) -> dict[str, int]:
    """The registers that are not zero out of reset (sys_reg_descs, 6.12)."""
    values = {"SCTLR_EL1": 0x00C5_0078}
    if features.nv:
        values |= {"SCTLR_EL2": 0x30C5_0830, "CPTR_EL2": 0x33FF, "TCR_EL2": 0x8080_0000}
        values["HCR_EL2"] = HCR_RW | (0 if features.e2h0 else HCR_E2H)
    return values
