"""The trap controls of EL2 that KVM programs for a guest, computed as Linux 6.12 does.

In hypervisor context they are the host's own and those of NV2; below it L1's are merged
in, each in its way (hyp/vhe/switch.c and hyp/include/hyp/switch.h of arch/arm64/kvm).
Behaviour of that version: **MDCR_EL2 is not merged**, L1's debug and PMU traps have effect
only where the host traps anyway and forwards.
"""

from __future__ import annotations

from nvtrap.kvm.context import HCR_E2H, HCR_NV, HCR_TGE, HCR_TSC, is_e2h, is_hyp_context

TYPE_CHECKING = False
if TYPE_CHECKING:
    from nvtrap.kvm.context import Context

HCR_VM, HCR_SWIO, HCR_PTW, HCR_FMO, HCR_IMO, HCR_AMO = (1 << n for n in range(6))
HCR_VSE, HCR_FB, HCR_BSU_IS = 1 << 8, 1 << 9, 1 << 10
HCR_TWI, HCR_TWE, HCR_TID2, HCR_TID3 = 1 << 13, 1 << 14, 1 << 17, 1 << 18
HCR_TIDCP, HCR_TACR, HCR_TSW = 1 << 20, 1 << 21, 1 << 22
HCR_TTLB, HCR_TVM, HCR_RW, HCR_TLOR = 1 << 25, 1 << 26, 1 << 31, 1 << 35
HCR_TERR, HCR_TEA, HCR_APK, HCR_API = 1 << 36, 1 << 37, 1 << 40, 1 << 41
HCR_NV1, HCR_AT, HCR_NV2, HCR_FWB = 1 << 43, 1 << 44, 1 << 45, 1 << 46
HCR_TID4, HCR_TTLBOS, HCR_ATA = 1 << 49, 1 << 55, 1 << 56
HCR_GUEST_FLAGS = (
    HCR_TSC | HCR_TSW | HCR_TWE | HCR_TWI | HCR_VM | HCR_BSU_IS | HCR_FB | HCR_TACR | HCR_AMO
) | (HCR_SWIO | HCR_TIDCP | HCR_RW | HCR_TLOR | HCR_FMO | HCR_IMO | HCR_PTW | HCR_TID3)
HCR_HOST_FLAGS = HCR_RW | HCR_TGE | HCR_E2H
# L1 may set these, and they cannot be the hardware's: L1's EL1 is needed, and pointer
# authentication is looked at when the vCPU is loaded.
_NOT_L1S = HCR_TGE | HCR_API | HCR_APK

MDCR_HPMN = 0x1F
MDCR_TPMCR, MDCR_TPM, MDCR_TDE, MDCR_TDA = 1 << 5, 1 << 6, 1 << 8, 1 << 9
MDCR_TDOSA, MDCR_TDRA, MDCR_TPMS, MDCR_TTRF = 1 << 10, 1 << 11, 1 << 14, 1 << 19
_MDCR_ALWAYS = MDCR_TPM | MDCR_TPMS | MDCR_TTRF | MDCR_TPMCR | MDCR_TDRA | MDCR_TDOSA

# CPTR_EL2 as it is with E2H, where CPACR_EL1 writes it.
CPTR_ZEN, CPTR_FPEN, CPTR_SMEN = 0b11 << 16, 0b11 << 20, 0b11 << 24
CPTR_TTA, CPTR_E0POE, CPTR_TAM, CPTR_TCPAC = 1 << 28, 1 << 29, 1 << 30, 1 << 31
CPTR_ZEN_EL1, CPTR_SMEN_EL1 = 0b01 << 16, 0b01 << 24

HCRX_SMPME, HCRX_MCE2, HCRX_MSCEN, HCRX_TCR2EN, HCRX_ENFPM = (1 << n for n in (5, 10, 11, 14, 23))
HCRX_HOST_FLAGS = HCRX_MSCEN | HCRX_TCR2EN | HCRX_ENFPM

HSTR_T15 = 1 << 15  # AArch32's implementation-defined registers
PMUSERENR_ALL = 0xF
# With E2H: EL1's access to the physical counter and timer. Without they are bits 0 and 1.
CNTHCTL_EL1PCTEN, CNTHCTL_EL1PCEN = 1 << 10, 1 << 11
CNTHCTL_ECV = 1 << 12

# User space debugs the guest (KVM_SET_GUEST_DEBUG), with the hardware's breakpoints.
GUEST_DEBUG, GUEST_DEBUG_HW = 1 << 0, 1 << 17

# Bits of HFGRTR_EL2 for registers that cannot be written.
_READ_ONLY = 0x4500_1624_C604
# Fine-grained controls → (RES0, bits that trap when set); all others trap when clear.
FINE_GRAINED = {
    "HFGRTR_EL2": (1 << 51, (1 << 50) - 1),
    "HFGWTR_EL2": (1 << 51 | _READ_ONLY, (1 << 50) - 1 & ~_READ_ONLY),
    "HFGITR_EL2": (0xA000_0000_0000_0000, 1 << 62 | 1 << 60 | (1 << 55) - 1),
    "HDFGRTR_EL2": (0x0002_04C0_0030_0100, 0x87FD_FB3F_FFCF_FEFF),
    "HDFGWTR_EL2": (0x8C08_89C4_4040_0240, 0x03F7_763B_BFBF_FDBF),
    "HAFGRTR_EL2": (0xFFFC_0000_0001_FFE0, 0x0003_FFFF_FFFE_001F),
}
_HCRX = (0xFFFF_FFFF_FE00_3000, 1 << 6)

# Feature that the guest must have → (control, bits): what is undefined to it without.
_ACCESS = ("HFGRTR_EL2", "HFGWTR_EL2")
_NEVER = 1 << 63 | 1 << 62 | 1 << 61 | 1 << 50 | 1 << 54 | 1 << 55
_UNDEFINED_WITHOUT: tuple[tuple[str, tuple[str, ...], int], ...] = (
    ("FEAT_TLBIOS", ("HFGITR_EL2",), 0x3FF << 18),
    ("FEAT_TLBIRANGE", ("HFGITR_EL2",), 0xF << 38 | 0xF << 34 | 0xF << 24),
    ("FEAT_ATS1A", ("HFGITR_EL2",), 1 << 62),
    ("FEAT_PAN2", ("HFGITR_EL2",), 0b11 << 16),
    ("FEAT_S1PIE", _ACCESS, 0b11 << 57),
    ("FEAT_S1POE", _ACCESS, 0b11 << 59),
    ("FEAT_AMUv1", ("HAFGRTR_EL2",), FINE_GRAINED["HAFGRTR_EL2"][1]),
)


class HostCpu:
    """The host's CPUs: what they have (`features`, FEAT_ names) and what is set up once.

    `midr` is MIDR_EL1, `counters` MDCR_EL2.HPMN as the firmware left it, `cnthctl` the
    host's CNTHCTL_EL2 beside what KVM changes. FEAT_FP is Advanced SIMD and floating point,
    FEAT_CNTPOFF the register CNTPOFF_EL2, FEAT_BROKEN_CACHES caches that differ by CPU.
    """

    __slots__ = ("cnthctl", "counters", "features", "midr")

    def __init__(
        self,
        features: frozenset[str] = frozenset(
            {"FEAT_FP", "FEAT_FGT", "FEAT_HCX", "FEAT_RAS", "FEAT_S2FWB", "FEAT_EVT"}
            | {"FEAT_PMUv3", "FEAT_TLBIOS", "FEAT_TLBIRANGE", "FEAT_PAN2", "FEAT_NV2"}
        ),
        *,
        midr: int = 0x410F_D490,
        counters: int = 6,
        cnthctl: int = 0,
    ) -> None:
        self.features = features
        self.midr = midr
        self.counters = counters
        self.cnthctl = cnthctl


class VcpuState:
    """What of a vCPU decides about its controls, beside its registers.

    `features` are those of its VM, `affinity` that of its MPIDR_EL1. `owns_fp`: its FP
    registers are in the CPU. `debug` are flags of KVM_SET_GUEST_DEBUG, `uses_debug` says
    that it uses its own debug registers, `os_lock` that OSLSR_EL1.OSLK is set.
    `traps_wfi`, `traps_wfe`: the scheduler's wish. `traps_caches` is HCR_EL2.TVM while its
    caches are off, `serror` a virtual SError pending. `offset` is that of its physical
    counter, `virtual_offset` that of its virtual one.
    """

    __slots__ = (
        "affinity",
        "debug",
        "features",
        "offset",
        "os_lock",
        "owns_fp",
        "serror",
        "traps_caches",
        "traps_wfe",
        "traps_wfi",
        "uses_debug",
        "virtual_offset",
    )

    def __init__(self, features: frozenset[str] = frozenset(), affinity: int = 0) -> None:
        self.features = features
        self.affinity = affinity
        self.owns_fp = False
        self.debug = 0
        self.uses_debug = False
        self.os_lock = False
        self.traps_wfi = self.traps_wfe = True
        self.traps_caches = False
        self.serror = False
        self.offset = self.virtual_offset = 0


def is_nested(context: Context) -> bool:
    """Whether the guest below L1's hypervisor context runs, so that L1's traps count."""
    return context.features.nv and not is_hyp_context(context)


def hcr(context: Context, vcpu: VcpuState, cpu: HostCpu) -> int:
    """HCR_EL2 (vcpu_set_hcr, vcpu_set_pauth_traps, __compute_hcr)."""
    value = _own_hcr(context, vcpu, cpu)
    if not context.features.nv:
        return value
    if is_hyp_context(context):
        value |= HCR_NV | HCR_NV2 | HCR_AT | HCR_TTLB
        if not is_e2h(context):
            value |= HCR_NV1
    return value | context.sysregs["HCR_EL2"] & ~_NOT_L1S


def _own_hcr(context: Context, vcpu: VcpuState, cpu: HostCpu) -> int:
    value, has = HCR_GUEST_FLAGS | HCR_E2H, cpu.features
    if "FEAT_RAS" in has:
        value |= HCR_TEA | HCR_TERR
    if "FEAT_S2FWB" in has:
        value |= HCR_FWB
    value |= HCR_TID4 if "FEAT_EVT" in has and "FEAT_BROKEN_CACHES" not in has else HCR_TID2
    if context.features.el1_32bit:
        value &= ~HCR_RW
    if context.features.mte:
        value |= HCR_ATA
    if "FEAT_TLBIOS" not in vcpu.features:
        value |= HCR_TTLBOS
    if vcpu.traps_caches:
        value |= HCR_TVM
    if vcpu.serror:
        value |= HCR_VSE
    if not vcpu.traps_wfi:
        value &= ~HCR_TWI
    if not vcpu.traps_wfe:
        value &= ~HCR_TWE
    if context.features.ptrauth:
        both = HCR_API | HCR_APK
        value |= context.sysregs["HCR_EL2"] & both if is_nested(context) else both
    return value


def mdcr(vcpu: VcpuState, cpu: HostCpu) -> int:
    """MDCR_EL2 (kvm_arm_setup_mdcr_el2): debug registers trap until the guest uses them."""
    value = cpu.counters & MDCR_HPMN | _MDCR_ALWAYS
    if vcpu.debug:
        value |= MDCR_TDE
    if vcpu.debug & GUEST_DEBUG_HW or not vcpu.uses_debug or vcpu.os_lock:
        value |= MDCR_TDA
    return value


def cptr(context: Context, vcpu: VcpuState) -> int:
    """CPTR_EL2 (__activate_cptr_traps): FP traps until its state is in the CPU."""
    value = CPTR_TTA | CPTR_TAM
    if vcpu.owns_fp:
        value |= CPTR_FPEN
        if "FEAT_SVE" in vcpu.features:
            value |= CPTR_ZEN
    if not context.features.nv:
        return value
    if is_hyp_context(context):
        return value | CPTR_TCPAC if is_e2h(context) else value
    wanted = cptr_of_l1(context)
    for field in (CPTR_FPEN, CPTR_ZEN):
        # Of the two bits the lower one alone decides while TGE is clear.
        if not wanted & field & -field:
            value &= ~field
    if "FEAT_S2POE" in vcpu.features:
        value |= wanted & CPTR_E0POE
    return value | wanted & CPTR_TCPAC


def cptr_of_l1(context: Context) -> int:
    """L1's CPTR_EL2 in the layout of E2H, whatever its own is."""
    value = context.sysregs["CPTR_EL2"]
    return value if is_e2h(context) else cptr_to_cpacr(value)


def cptr_to_cpacr(value: int) -> int:
    """A CPTR_EL2 without E2H as CPACR_EL1 has it (translate_cptr_el2_to_cpacr_el1)."""
    result = value & (CPTR_TCPAC | CPTR_TAM)
    if value & 1 << 20:
        result |= CPTR_TTA
    if not value & 1 << 10:
        result |= CPTR_FPEN
    if not value & 1 << 8:
        result |= CPTR_ZEN
    return result


def cptr_of_host(cpu: HostCpu) -> int:
    """CPTR_EL2 while the host runs (kvm_get_reset_cptr_el2): FP on, SVE and SME at EL1 alone."""
    value = CPTR_FPEN | CPTR_ZEN_EL1
    return value | CPTR_SMEN_EL1 if "FEAT_SME" in cpu.features else value


def hcrx(context: Context, vcpu: VcpuState) -> int:
    """HCRX_EL2, on a host that has it: bits by the guest's features, then L1's traps."""
    value = HCRX_SMPME
    for feature, bits in (
        ("FEAT_MOPS", HCRX_MSCEN | HCRX_MCE2),
        ("FEAT_TCR2", HCRX_TCR2EN),
        ("FEAT_FPMR", HCRX_ENFPM),
    ):
        if feature in vcpu.features:
            value |= bits
    if is_nested(context):
        res0, positive = _HCRX
        wanted = context.sysregs["HCRX_EL2"] & ~res0
        value |= wanted & positive
        value &= ~(~wanted & ~(res0 | positive))
    return value


def fine_grained(context: Context, vcpu: VcpuState, cpu: HostCpu) -> dict[str, int]:
    """The fine-grained controls that are written; any other keeps the host's value.

    What is undefined to the VM traps in every context, what L1 asks for below it. A
    control with nothing to trap is left alone (update_fgt_traps_cs).
    """
    if "FEAT_FGT" not in cpu.features:
        return {}
    values = {}
    for name, (res0, positive) in FINE_GRAINED.items():
        if name == "HAFGRTR_EL2" and "FEAT_AMUv1" not in cpu.features:
            continue
        negative = ~(res0 | positive) & (1 << 64) - 1
        undefined = _undefined(name, vcpu)
        set, clear = undefined & positive, undefined & negative
        if is_nested(context):
            wanted = context.sysregs[name] & ~res0
            set |= wanted & positive
            clear |= ~wanted & negative
        if set or clear:
            values[name] = negative & ~clear | set
    return values


def _undefined(name: str, vcpu: VcpuState) -> int:
    """What the VM has not: bits to set or, of those that trap when clear, to clear."""
    bits = _NEVER if name in _ACCESS else 0
    for feature, names, more in _UNDEFINED_WITHOUT:
        if name in names and feature not in vcpu.features:
            bits |= more
    return bits


def cnthctl(context: Context, vcpu: VcpuState, cpu: HostCpu) -> int:
    """CNTHCTL_EL2 (timer_set_traps): the physical timer traps for an offset, or for L1."""
    has_offset = "FEAT_CNTPOFF" in cpu.features
    enabled = CNTHCTL_EL1PCTEN | CNTHCTL_EL1PCEN
    if vcpu.offset and not has_offset:
        enabled = 0
    if is_nested(context):
        wanted = context.sysregs["CNTHCTL_EL2"]
        enabled &= wanted if is_e2h(context) else wanted << 10
    other = cpu.cnthctl & ~(CNTHCTL_EL1PCTEN | CNTHCTL_EL1PCEN)
    return other | enabled | (CNTHCTL_ECV if has_offset else 0)
