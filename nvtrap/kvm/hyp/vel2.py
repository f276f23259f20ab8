"""Virtual EL2 in the registers of EL1: where L1's hypervisor finds its own when it runs.

Linux 6.12, get_el2_to_el1_mapping of arch/arm64/kvm/sys_regs.c and asm/kvm_nested.h. An L1
with E2H has the values as they are; without it four of them are translated. (That version
reads and writes them so; its switch code does not load them yet.)
"""

from __future__ import annotations

from nvtrap.arch.pstate import AARCH32, EL1H, EL1T, EL2H, EL2T, IL, MODE
from nvtrap.kvm.context import is_e2h
from nvtrap.kvm.hyp.traps import cptr_to_cpacr

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from nvtrap.kvm.context import Context

# Register of EL1 → that of EL2 which it holds in hypervisor context.
EL2_IN_EL1 = {
    "SCTLR_EL1": "SCTLR_EL2",
    "CPACR_EL1": "CPTR_EL2",
    "TTBR0_EL1": "TTBR0_EL2",
    "TTBR1_EL1": "TTBR1_EL2",
    "TCR_EL1": "TCR_EL2",
    "VBAR_EL1": "VBAR_EL2",
    "AFSR0_EL1": "AFSR0_EL2",
    "AFSR1_EL1": "AFSR1_EL2",
    "ESR_EL1": "ESR_EL2",
    "FAR_EL1": "FAR_EL2",
    "MAIR_EL1": "MAIR_EL2",
    "AMAIR_EL1": "AMAIR_EL2",
    "ELR_EL1": "ELR_EL2",
    "SPSR_EL1": "SPSR_EL2",
    "SP_EL1": "SP_EL2",
    "ZCR_EL1": "ZCR_EL2",
}

# M, A, C, SA, I, WXN, IESB and EE.
_SCTLR = 1 << 0 | 1 << 1 | 1 << 2 | 1 << 3 | 1 << 12 | 1 << 19 | 1 << 21 | 1 << 25
_TCR_SAME = 0b11 << 14 | 0b11 << 10 | 0b11 << 8 | 0x3F  # TG0, ORGN0, IRGN0, T0SZ
_TCR_EPD1, _TCR_TBI0 = 1 << 23, 1 << 37


def sctlr_to_el1(value: int) -> int:
    """SCTLR_EL2 without E2H as SCTLR_EL1: the bits that both have and KVM supports."""
    return value & _SCTLR


def tcr_to_el1(value: int) -> int:
    """TCR_EL2 without E2H as TCR_EL1, the upper half of addresses being off."""
    tbi = _TCR_TBI0 if value & 1 << 20 else 0
    return _TCR_EPD1 | tbi | (value >> 16 & 7) << 32 | value & _TCR_SAME


def ttbr0_to_el1(value: int) -> int:
    """TTBR0_EL2 without E2H as TTBR0_EL1: no ASID."""
    return value & (1 << 48) - 1


_TRANSLATIONS: dict[str, Callable[[int], int]] = {
    "SCTLR_EL1": sctlr_to_el1,
    "CPACR_EL1": cptr_to_cpacr,
    "TTBR0_EL1": ttbr0_to_el1,
    "TCR_EL1": tcr_to_el1,
}


def in_el1(context: Context, name: str) -> tuple[str, int]:
    """(where it is kept, value) of what a register of EL1 holds in hypervisor context.

    That is EL2's where there is one, translated without E2H, else EL1's own.
    """
    source = EL2_IN_EL1.get(name, name)
    value = context.sysregs[source]
    translate = _TRANSLATIONS.get(name)
    return source, value if translate is None or is_e2h(context) else translate(value)


def hardware_pstate(pstate: int) -> int:
    """PSTATE with which the guest is entered: vEL2 is EL1, anything above it illegal.

    The latter is EL2h with IL, so that the guest takes an illegal execution state
    (to_hw_pstate, __sysreg_restore_el2_return_state).
    """
    mode = pstate & MODE
    if mode in {EL2T, EL2H}:
        mode = EL1T if mode == EL2T else EL1H
    if not mode & AARCH32 and mode > EL2T:
        return EL2H | IL
    return pstate & ~MODE | mode
