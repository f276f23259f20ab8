"""CPU_SYSREGS: the CPU interface of a GICv3 as user space saves and restores it.

Linux 6.12, arch/arm64/kvm/vgic-sys-reg-v3.c. The registers are views of what KVM keeps of
ICH_VMCR_EL2 and of the active priorities. Nothing is cut to the bits of the hardware,
which drops the rest when the vCPU next runs.
"""

from __future__ import annotations

from errno import EINVAL, ENOENT, ENXIO
from functools import partial

from nvtrap.gic.priority import HIGHEST_BPR
from nvtrap.gic.registers import REGISTERS
from nvtrap.kvm.errno import refuse
from nvtrap.kvm.vgic.lists_v3 import VMCR_FIQEN, ListsV3

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from nvtrap.kvm.vcpu import Vcpu

INSTRUCTION = 0xFFFF
# Fields of ICH_VMCR_EL2: shift and mask.
PMR, BPR0, BPR1 = (24, 0xFF), (21, 7), (18, 7)
EOIMODE, CBPR, GROUP1, GROUP0 = (9, 1), (4, 1), (1, 1), (0, 1)
FIELDS = (PMR, BPR0, BPR1, EOIMODE, CBPR, GROUP1, GROUP0)
VMCR = sum(mask << shift for shift, mask in FIELDS)
# Priority bits → the last active-priority register of a group.
LAST_APR = {6: 1, 7: 3}
SRE = 1 << 0
SRE_VALUE = 7


def check_exists(attr: int) -> None:
    """Raises `OSError` ENXIO for an instruction that names no register of the group."""
    if attr & INSTRUCTION not in _REGISTERS:
        refuse(ENXIO)


def read(vcpu: Vcpu, attr: int) -> int:
    """The register that the attribute's instruction field names.

    Raises `OSError`: ENOENT for none, EINVAL for active priorities that the vCPU has not.
    """
    found = _REGISTERS.get(attr & INSTRUCTION)
    if found is None:
        refuse(ENOENT)
    return found[0](vcpu)


def write(vcpu: Vcpu, attr: int, value: int) -> None:
    """Write it.

    Raises `OSError` as `read`, and EINVAL for a value that the host cannot do.
    """
    found = _REGISTERS.get(attr & INSTRUCTION)
    if found is None:
        refuse(ENOENT)
    found[1](vcpu, value)


def _lists(vcpu: Vcpu) -> ListsV3:
    assert isinstance(vcpu.lists, ListsV3)
    return vcpu.lists


def _get(field: tuple[int, int], vcpu: Vcpu) -> int:
    shift, mask = field
    return _lists(vcpu).vmcr >> shift & mask


def _set(field: tuple[int, int], vcpu: Vcpu, value: int) -> None:
    shift, mask = field
    lists = _lists(vcpu)
    rest = lists.vmcr & VMCR & ~(mask << shift)
    lists.vmcr = rest | VMCR_FIQEN | (value & mask) << shift


def _get_bpr1(vcpu: Vcpu) -> int:
    if _get(CBPR, vcpu):
        return min(_get(BPR0, vcpu) + 1, HIGHEST_BPR)
    return _get(BPR1, vcpu)


def _set_bpr1(vcpu: Vcpu, value: int) -> None:
    if not _get(CBPR, vcpu):
        _set(BPR1, vcpu, value)


def _get_ctlr(vcpu: Vcpu) -> int:
    parameters = vcpu.vm.host.parameters
    return (
        vcpu.priority_bits - 1 << 8
        | vcpu.id_bits << 11
        | parameters.seis << 14
        | parameters.a3v << 15
        | _get(EOIMODE, vcpu) << 1
        | _get(CBPR, vcpu)
    )


def _set_ctlr(vcpu: Vcpu, value: int) -> None:
    """Fewer bits of priorities and INTIDs become the new limit, even if the rest is refused."""
    parameters = vcpu.vm.host.parameters
    priority_bits, id_bits = (value >> 8 & 7) + 1, value >> 11 & 7
    if priority_bits > vcpu.priority_bits:
        refuse(EINVAL)
    vcpu.priority_bits = priority_bits
    if id_bits > vcpu.id_bits:
        refuse(EINVAL)
    vcpu.id_bits = id_bits
    if value >> 14 & 1 != parameters.seis or value >> 15 & 1 != parameters.a3v:
        refuse(EINVAL)
    _set(CBPR, vcpu, value)
    _set(EOIMODE, vcpu, value >> 1)


def _get_apr(group: int, n: int, vcpu: Vcpu) -> int:
    if n > LAST_APR.get(vcpu.priority_bits, 0):
        refuse(EINVAL)
    return _lists(vcpu).aprs[group][n]


def _set_apr(group: int, n: int, vcpu: Vcpu, value: int) -> None:
    if n > LAST_APR.get(vcpu.priority_bits, 0):
        refuse(EINVAL)
    _lists(vcpu).aprs[group][n] = value & 0xFFFF_FFFF


def _get_sre(_vcpu: Vcpu) -> int:
    return SRE_VALUE


def _set_sre(_vcpu: Vcpu, value: int) -> None:
    if not value & SRE:
        refuse(EINVAL)


_NAMED: dict[str, tuple[Callable[[Vcpu], int], Callable[[Vcpu, int], None]]] = {
    "ICC_PMR_EL1": (partial(_get, PMR), partial(_set, PMR)),
    "ICC_BPR0_EL1": (partial(_get, BPR0), partial(_set, BPR0)),
    "ICC_BPR1_EL1": (_get_bpr1, _set_bpr1),
    "ICC_CTLR_EL1": (_get_ctlr, _set_ctlr),
    "ICC_SRE_EL1": (_get_sre, _set_sre),
    "ICC_IGRPEN0_EL1": (partial(_get, GROUP0), partial(_set, GROUP0)),
    "ICC_IGRPEN1_EL1": (partial(_get, GROUP1), partial(_set, GROUP1)),
    **{
        f"ICC_AP{group}R{n}_EL1": (partial(_get_apr, group, n), partial(_set_apr, group, n))
        for group in (0, 1)
        for n in range(4)
    },
}
_REGISTERS = {REGISTERS[name].encoding: functions for name, functions in _NAMED.items()}
