"""The GIC's system registers: their encodings, directions, and which controls reach them.

IHI 0069, 12.2 to 12.4 (tables 12-1 to 12-6); the families are those by which the
pseudocode of the accesses tests ICH_HCR_EL2, HCR_EL2 and SCR_EL3.
"""

from __future__ import annotations

from nvtrap.arch.encoding import encode

GROUP0 = "Group 0"
GROUP1 = "Group 1"
COMMON = "common"
DIRECTION = "DIR"
SGI = "SGI"
SRE = "SRE"
HYPERVISOR = "hypervisor"
MONITOR = "monitor"

READ, WRITE = 1, 2
BOTH = READ | WRITE


class Register:
    """One system register of the GIC.

    `access` has `READ` and `WRITE`; `family` is one of the names above; `vncr` is the
    register's offset in the page at VNCR_EL2 (DDI 0487, D8.12), -1 where it has none.
    """

    __slots__ = ("access", "encoding", "family", "name", "vncr")

    def __init__(
        self, name: str, encoding: int, family: str, access: int = BOTH, vncr: int = -1
    ) -> None:
        self.name = name
        self.encoding = encoding
        self.family = family
        self.access = access
        self.vncr = vncr

    def __repr__(self) -> str:
        return f"Register({self.name})"


def _interface() -> list[Register]:
    registers = [
        Register("ICC_PMR_EL1", encode(3, 0, 4, 6, 0), COMMON),
        Register("ICC_IAR0_EL1", encode(3, 0, 12, 8, 0), GROUP0, READ),
        Register("ICC_EOIR0_EL1", encode(3, 0, 12, 8, 1), GROUP0, WRITE),
        Register("ICC_HPPIR0_EL1", encode(3, 0, 12, 8, 2), GROUP0, READ),
        Register("ICC_BPR0_EL1", encode(3, 0, 12, 8, 3), GROUP0),
        Register("ICC_NMIAR1_EL1", encode(3, 0, 12, 9, 5), GROUP1, READ),
        Register("ICC_DIR_EL1", encode(3, 0, 12, 11, 1), DIRECTION, WRITE),
        Register("ICC_RPR_EL1", encode(3, 0, 12, 11, 3), COMMON, READ),
        Register("ICC_SGI1R_EL1", encode(3, 0, 12, 11, 5), SGI, WRITE),
        Register("ICC_ASGI1R_EL1", encode(3, 0, 12, 11, 6), SGI, WRITE),
        Register("ICC_SGI0R_EL1", encode(3, 0, 12, 11, 7), SGI, WRITE),
        Register("ICC_IAR1_EL1", encode(3, 0, 12, 12, 0), GROUP1, READ),
        Register("ICC_EOIR1_EL1", encode(3, 0, 12, 12, 1), GROUP1, WRITE),
        Register("ICC_HPPIR1_EL1", encode(3, 0, 12, 12, 2), GROUP1, READ),
        Register("ICC_BPR1_EL1", encode(3, 0, 12, 12, 3), GROUP1),
        Register("ICC_CTLR_EL1", encode(3, 0, 12, 12, 4), COMMON),
        Register("ICC_SRE_EL1", encode(3, 0, 12, 12, 5), SRE),
        Register("ICC_IGRPEN0_EL1", encode(3, 0, 12, 12, 6), GROUP0),
        Register("ICC_IGRPEN1_EL1", encode(3, 0, 12, 12, 7), GROUP1),
        Register("ICC_SRE_EL2", encode(3, 4, 12, 9, 5), HYPERVISOR),
        Register("ICC_CTLR_EL3", encode(3, 6, 12, 12, 4), MONITOR),
        Register("ICC_SRE_EL3", encode(3, 6, 12, 12, 5), MONITOR),
        Register("ICC_IGRPEN1_EL3", encode(3, 6, 12, 12, 7), MONITOR),
    ]
    for n in range(4):
        registers.append(Register(f"ICC_AP0R{n}_EL1", encode(3, 0, 12, 8, 4 + n), GROUP0))
        registers.append(Register(f"ICC_AP1R{n}_EL1", encode(3, 0, 12, 9, n), GROUP1))
    return registers


def _hypervisor() -> list[Register]:
    registers = [
        Register("ICH_HCR_EL2", encode(3, 4, 12, 11, 0), HYPERVISOR, vncr=0x4C0),
        Register("ICH_VTR_EL2", encode(3, 4, 12, 11, 1), HYPERVISOR, READ),
        Register("ICH_MISR_EL2", encode(3, 4, 12, 11, 2), HYPERVISOR, READ),
        Register("ICH_EISR_EL2", encode(3, 4, 12, 11, 3), HYPERVISOR, READ),
        Register("ICH_ELRSR_EL2", encode(3, 4, 12, 11, 5), HYPERVISOR, READ),
        Register("ICH_VMCR_EL2", encode(3, 4, 12, 11, 7), HYPERVISOR, vncr=0x4C8),
    ]
    for n in range(4):
        group0, group1 = encode(3, 4, 12, 8, n), encode(3, 4, 12, 9, n)
        registers.append(Register(f"ICH_AP0R{n}_EL2", group0, HYPERVISOR, vncr=0x480 + 8 * n))
        registers.append(Register(f"ICH_AP1R{n}_EL2", group1, HYPERVISOR, vncr=0x4A0 + 8 * n))
    for n in range(16):
        encoding = encode(3, 4, 12, 12 + (n >> 3), n & 7)
        registers.append(Register(f"ICH_LR{n}_EL2", encoding, HYPERVISOR, vncr=0x400 + 8 * n))
    return registers


REGISTERS = {register.name: register for register in [*_interface(), *_hypervisor()]}
BY_ENCODING = {register.encoding: register for register in REGISTERS.values()}
