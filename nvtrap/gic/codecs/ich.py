"""ICH_*: how a hypervisor controls the virtual CPU interface (IHI 0069H, 12.4, 12.6)."""

from __future__ import annotations

from nvtrap.gic.codecs.layout import Field, Register, bit
from nvtrap.gic.codecs.meaning import (
    GROUPS,
    binary_point,
    bitmap,
    bits_of,
    decimal,
    flags,
    intid,
    joined,
    mask,
    plural,
    plus_one,
    priority,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

STATES = ("inactive", "pending", "active", "pending and active")
SOFTWARE = ("HW", (0,))
HARDWARE = ("HW", (1,))
LIST_REGISTERS = range(16)
ACTIVE_PRIORITIES = range(4)
TRAPS = ("TC", "TALL0", "TALL1", "TSEI", "TDIR")
MAINTENANCE = ("UIE", "LRENPIE", "NPIE", "VGrp0EIE", "VGrp0DIE", "VGrp1EIE", "VGrp1DIE")


def _list_register(fields: Mapping[str, int], _: int | None) -> str:
    if not any(fields.values()):
        return "empty"
    free = not fields["State"] and (fields["HW"] or not fields["EOI"])
    return joined(
        STATES[fields["State"]] + (" (free)" if free else ""),
        GROUPS[fields["Group"]],
        "non-maskable" if fields.get("NMI") else "",
        f"priority {fields['Priority']:#x}",
        f"vINTID {intid(fields['vINTID'])}" if "vINTID" in fields else "",
        _source(fields),
    )


def _source(fields: Mapping[str, int]) -> str:
    if fields["HW"]:
        return f"hardware, pINTID {intid(fields['pINTID'])}"
    return f"software (EOI maintenance {'on' if fields['EOI'] else 'off'})"


def _control(fields: Mapping[str, int], _: int | None) -> str:
    maintenance = flags(fields, MAINTENANCE)
    traps = flags(fields, TRAPS)
    return joined(
        "on" if fields["En"] else "off",
        f"maintenance interrupt for {maintenance}" if maintenance else "no maintenance interrupt",
        f"traps {traps}" if traps else "no traps",
        flags(fields, ("DVIM", "vSGIEOICount")),
        f"EOIcount {fields['EOIcount']}" if fields["EOIcount"] else "",
    )


def _kind(fields: Mapping[str, int], _: int | None) -> str:
    return joined(
        plural(fields["ListRegs"] + 1, "list register"),
        f"{fields['PRIbits'] + 1} priority bits",
        f"{fields['PREbits'] + 1} preemption bits",
        ID_BITS.get(fields["IDbits"], "reserved IDbits"),
        flags(fields, ("SEIS", "A3V", "nV4", "TDS", "DVIM")),
    )


def _machine(fields: Mapping[str, int], _: int | None) -> str:
    return joined(
        f"Group 0 {'on' if fields['VENG0'] else 'off'}",
        f"Group 1 {'on' if fields['VENG1'] else 'off'}",
        f"PMR {fields['VPMR']:#x}",
        f"BPR0 {fields['VBPR0']}",
        f"BPR1 {fields['VBPR1']}",
        f"EOImode {fields['VEOIM']}",
        flags(fields, ("VCBPR", "VFIQEn", "VAckCtl")),
    )


def active_priorities(value: int, index: int | None) -> str:
    """The active priorities in an AP register, IHI 0069H, 4.8.2.

    With 5 preemption bits there is one register, with 6 two, with 7 four: a register has
    the number of bits that first makes it exist.
    """
    bits = 5 if not index else 6 if index == 1 else 7
    shown = ", ".join(
        f"{position + 32 * (index or 0) << 8 - bits:#x}" for position in bits_of(value)
    )
    return f"active: priority {shown} (with {bits} preemption bits)" if shown else "active: none"


ID_BITS = {0: "16-bit INTIDs", 1: "24-bit INTIDs"}
NMI_ACTIVE = bit("NMI", 63, "", "the NMI priority is active")
PRIORITIES = Field("P<x>", 31, 0, active_priorities, each=1, about="active priorities")


def _each_lr(name: str, label: str) -> Field:
    return Field(name, 15, 0, bitmap(label, "LR", lambda _: 0), each=1)


_CONTROL = Register(
    "ICH_HCR_EL2",
    64,
    "hypervisor control",
    (
        Field("EOIcount", 31, 27, decimal, about="EOIs of INTIDs in no list register"),
        bit("DVIM", 15, "", "directly injected virtual interrupts are masked"),
        bit("TDIR", 14, "", "traps ICC_DIR_EL1 writes"),
        bit("TSEI", 13, "", "traps locally generated system errors"),
        bit("TALL1", 12, "", "traps the Group 1 registers"),
        bit("TALL0", 11, "", "traps the Group 0 registers"),
        bit("TC", 10, "", "traps the registers common to both groups"),
        bit("vSGIEOICount", 8, "", "EOIs of virtual SGIs do not count"),
        bit("VGrp1DIE", 7, "", "maintenance interrupt while Group 1 is disabled"),
        bit("VGrp1EIE", 6, "", "maintenance interrupt while Group 1 is enabled"),
        bit("VGrp0DIE", 5, "", "maintenance interrupt while Group 0 is disabled"),
        bit("VGrp0EIE", 4, "", "maintenance interrupt while Group 0 is enabled"),
        bit("NPIE", 3, "", "maintenance interrupt while no list register is pending"),
        bit("LRENPIE", 2, "", "maintenance interrupt while EOIcount is not 0"),
        bit("UIE", 1, "", "maintenance interrupt while less than two list registers are in use"),
        bit("En", 0, "virtual CPU interface off", "virtual CPU interface on"),
    ),
    sentence=_control,
)
_TYPE = Register(
    "ICH_VTR_EL2",
    64,
    "VGIC type: what the virtual CPU interface has",
    (
        Field("PRIbits", 31, 29, plus_one("priority bits")),
        Field("PREbits", 28, 26, plus_one("preemption bits")),
        Field("IDbits", 25, 23, ID_BITS | dict.fromkeys(range(2, 8), "reserved")),
        bit("SEIS", 22, "", "the guest's system errors can be signalled"),
        bit("A3V", 21, "Aff3 is 0 in SGIs", "SGIs have Aff3"),
        bit("nV4", 20, "virtual interrupts are injected directly", "no direct injection"),
        bit("TDS", 19, "", "ICH_HCR_EL2.TDIR is there"),
        bit("DVIM", 18, "", "ICH_HCR_EL2.DVIM is there"),
        Field("ListRegs", 4, 0, plus_one("list registers")),
    ),
    sentence=_kind,
)
_MACHINE = Register(
    "ICH_VMCR_EL2",
    64,
    "virtual machine control: the guest's ICV registers in one",
    (
        Field("VPMR", 31, 24, mask, about="ICV_PMR_EL1"),
        Field("VBPR0", 23, 21, binary_point(0), about="ICV_BPR0_EL1"),
        Field("VBPR1", 20, 18, binary_point(1), about="ICV_BPR1_EL1"),
        bit("VEOIM", 9, "EOI drops and deactivates", "EOI drops, DIR deactivates"),
        bit("VCBPR", 4, "a binary point a group", "BPR0 is for both groups"),
        bit("VFIQEn", 3, "Group 0 as virtual IRQ", "Group 0 as virtual FIQ"),
        bit("VAckCtl", 2, "", "an acknowledge of Group 0 also takes Group 1 (GICv2)"),
        bit("VENG1", 1, "Group 1 disabled", "Group 1 enabled"),
        bit("VENG0", 0, "Group 0 disabled", "Group 0 enabled"),
    ),
    sentence=_machine,
)
_STATUS = Register(
    "ICH_MISR_EL2",
    64,
    "maintenance interrupt status",
    (
        bit("VGrp1D", 7, "", "Group 1 is disabled"),
        bit("VGrp1E", 6, "", "Group 1 is enabled"),
        bit("VGrp0D", 5, "", "Group 0 is disabled"),
        bit("VGrp0E", 4, "", "Group 0 is enabled"),
        bit("NP", 3, "", "no list register is pending"),
        bit("LRENP", 2, "", "EOIcount is not 0"),
        bit("U", 1, "", "less than two list registers are in use"),
        bit("EOI", 0, "", "ICH_EISR_EL2 has a list register"),
    ),
)
_ENDED = Register(
    "ICH_EISR_EL2",
    64,
    "list registers whose EOI asks for maintenance",
    (_each_lr("Status<n>", "ended"),),
)
_FREE = Register(
    "ICH_ELRSR_EL2", 64, "list registers that are free", (_each_lr("Status<n>", "free"),)
)
_ACTIVE_0 = Register(
    "ICH_AP0R<n>_EL2", 64, "active priorities, Group 0", (PRIORITIES,), indexes=ACTIVE_PRIORITIES
)
_ACTIVE_1 = Register(
    "ICH_AP1R<n>_EL2",
    64,
    "active priorities, Group 1",
    (NMI_ACTIVE, PRIORITIES),
    indexes=ACTIVE_PRIORITIES,
)
_LIST_REGISTER = Register(
    "ICH_LR<n>_EL2",
    64,
    "list register: an interrupt of the guest",
    (
        Field("State", 63, 62, STATES),
        bit("HW", 61, "software", "hardware"),
        bit("Group", 60, *GROUPS),
        bit("NMI", 59, "", "non-maskable, the priority does not count"),
        Field("Priority", 55, 48, priority),
        Field("pINTID", 44, 32, intid, when=HARDWARE, about="deactivated with the virtual one"),
        bit("EOI", 41, "no maintenance at EOI", "maintenance interrupt at EOI", when=SOFTWARE),
        Field("vINTID", 31, 0, intid),
    ),
    indexes=LIST_REGISTERS,
    sentence=_list_register,
)
# AArch32 has a list register as two halves, and no NMI.
_LOWER_HALF = Register(
    "ICH_LR<n>",
    32,
    "list register, lower half (AArch32)",
    (Field("vINTID", 31, 0, intid),),
    indexes=LIST_REGISTERS,
)
_UPPER_HALF = Register(
    "ICH_LRC<n>",
    32,
    "list register, upper half (AArch32)",
    (
        Field("State", 31, 30, STATES),
        bit("HW", 29, "software", "hardware"),
        bit("Group", 28, *GROUPS),
        Field("Priority", 23, 16, priority),
        Field("pINTID", 12, 0, intid, when=HARDWARE, about="deactivated with the virtual one"),
        bit("EOI", 9, "no maintenance at EOI", "maintenance interrupt at EOI", when=SOFTWARE),
    ),
    indexes=LIST_REGISTERS,
    sentence=_list_register,
)

_AARCH64 = (
    _CONTROL,
    _TYPE,
    _MACHINE,
    _STATUS,
    _ENDED,
    _FREE,
    _ACTIVE_0,
    _ACTIVE_1,
)
REGISTERS = (
    *_AARCH64,
    _LIST_REGISTER,
    *(register.aarch32(register.name.removesuffix("_EL2")) for register in _AARCH64),
    _LOWER_HALF,
    _UPPER_HALF,
)
