"""KVM_ARM_VCPU_INIT: what a vCPU is, and whether it starts.

Linux 6.12, arch/arm64/kvm/arm.c and guest.c. The target model is what is left of a time
when KVM knew CPUs by name: any host takes the generic one, and its own.
"""

from __future__ import annotations

from errno import EINVAL, ENOENT

from nvtrap.kvm.errno import refuse

# Targets of the ioctl.
AEM_V8, FOUNDATION_V8, CORTEX_A57, XGENE_POTENZA, CORTEX_A53, GENERIC_V8 = range(6)
_ARM, _APM = 0x41, 0x50
_TARGETS = {
    (_ARM, 0xD0F): AEM_V8,
    (_ARM, 0xD00): FOUNDATION_V8,
    (_ARM, 0xD03): CORTEX_A53,
    (_ARM, 0xD07): CORTEX_A57,
    (_APM, 0x000): XGENE_POTENZA,
}

# Features of the ioctl, bits of its first word.
POWER_OFF, EL1_32BIT, PSCI_0_2, PMU_V3, SVE, PTRAUTH_ADDRESS, PTRAUTH_GENERIC, HAS_EL2 = (
    1 << n for n in range(8)
)
VALID_6_12 = HAS_EL2 - 1
"""What 6.12 takes: not HAS_EL2, though most of nesting is there."""
VALID = HAS_EL2 | VALID_6_12

# Feature of a vCPU → that of the host's CPUs which it needs.
_NEEDS = {
    EL1_32BIT: "FEAT_AA32EL1",
    PMU_V3: "FEAT_PMUv3",
    SVE: "FEAT_SVE",
    PTRAUTH_ADDRESS: "FEAT_PAuth",
    PTRAUTH_GENERIC: "FEAT_PAuth",
    HAS_EL2: "FEAT_NV2",
}

# KVM_CHECK_EXTENSION: capability → 1 on every host. PSCI has POWER_OFF with it.
CAP_ARM_PSCI, CAP_ARM_PSCI_0_2 = 87, 102
ALWAYS = frozenset({CAP_ARM_PSCI, CAP_ARM_PSCI_0_2})
# Capability → the CPUs' feature that it is for.
CAPABILITIES = {
    93: "FEAT_AA32EL1",  # KVM_CAP_ARM_EL1_32BIT
    126: "FEAT_PMUv3",  # KVM_CAP_ARM_PMU_V3
    158: "FEAT_RAS",  # KVM_CAP_ARM_INJECT_SERROR_ESR
    170: "FEAT_SVE",  # KVM_CAP_ARM_SVE
    171: "FEAT_PAuth",  # KVM_CAP_ARM_PTRAUTH_ADDRESS
    172: "FEAT_PAuth",  # KVM_CAP_ARM_PTRAUTH_GENERIC
    205: "FEAT_MTE",  # KVM_CAP_ARM_MTE
}
RUNNABLE, STOPPED = "runnable", "stopped"


def target_of(midr: int) -> int:
    """The target model of a host by its MIDR_EL1 (kvm_target_cpu)."""
    return _TARGETS.get((midr >> 24 & 0xFF, midr >> 4 & 0xFFF), GENERIC_V8)


def preferred_target() -> tuple[int, int]:
    """KVM_ARM_PREFERRED_TARGET: (target, features)."""
    return GENERIC_V8, 0


def check_extension(capability: int, features: frozenset[str]) -> int:
    """KVM_CHECK_EXTENSION of the capabilities above: 1 or 0, by the CPUs' features."""
    if capability in ALWAYS:
        return 1
    return int(CAPABILITIES.get(capability, "") in features)


class VcpuInit:
    """What KVM_ARM_VCPU_INIT made of one vCPU; `vm` is shared by those of a VM.

    `state` is RUNNABLE or STOPPED, None as long as the vCPU was not initialised.
    """

    __slots__ = ("features", "state", "vm")

    def __init__(self, vm: VmFeatures) -> None:
        self.vm = vm
        self.features = 0
        self.state: str | None = None

    def init(self, target: int, *words: int) -> None:
        """KVM_ARM_VCPU_INIT with a target and the words of features.

        POWER_OFF counts for this call alone. Raises `OSError`: EINVAL for another target,
        a feature that the host has not, half of pointer authentication, EL2 or MTE with a
        32-bit EL1, and for features unlike those of the first vCPU or the first call;
        ENOENT for a feature that KVM does not know.
        """
        host = self.vm.features
        powered_off = bool(words and words[0] & POWER_OFF)
        features = (words[0] & ~POWER_OFF) if words else 0
        if target not in {GENERIC_V8, target_of(self.vm.midr)}:
            refuse(EINVAL)
        if features & ~self.vm.valid or any(words[1:]):
            refuse(ENOENT)
        if any(features & bit and need not in host for bit, need in _NEEDS.items()):
            refuse(EINVAL)
        if bool(features & PTRAUTH_ADDRESS) != bool(features & PTRAUTH_GENERIC):
            refuse(EINVAL)
        if features & EL1_32BIT and (features & HAS_EL2 or self.vm.mte):
            refuse(EINVAL)
        if self.vm.chosen is not None and self.vm.chosen != features:
            refuse(EINVAL)
        self.vm.chosen = self.features = features
        self.state = STOPPED if powered_off else RUNNABLE


class VmFeatures:
    """What all vCPUs of a VM share: `features` of the host's CPUs, and those `chosen`.

    `midr` is the host's, `mte` whether the VM has memory tagging, `valid` which features
    the kernel takes (`VALID_6_12`, or `VALID` of one that offers nesting).
    """

    __slots__ = ("chosen", "features", "midr", "mte", "valid")

    def __init__(
        self, features: frozenset[str], midr: int, *, mte: bool = False, valid: int = VALID
    ) -> None:
        self.features = features
        self.midr = midr
        self.mte = mte
        self.valid = valid
        self.chosen: int | None = None
