"""ICC_* and ICV_*: the CPU interface, physical and virtual (IHI 0069H, 12.2 to 12.7).

The virtual registers answer behind the names of the physical ones; they have the same
layout but for what a guest is not told.
"""

from __future__ import annotations

from nvtrap.gic.codecs.ich import ACTIVE_PRIORITIES, ID_BITS, NMI_ACTIVE, PRIORITIES
from nvtrap.gic.codecs.layout import Field, Register, bit
from nvtrap.gic.codecs.meaning import (
    GROUPS,
    affinity_of,
    binary_point,
    bits_of,
    decimal,
    intid,
    joined,
    mask,
    members,
    plus_one,
    running,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from nvtrap.gic.codecs.layout import Sentence


def _sgi(fields: Mapping[str, int], _: int | None) -> str:
    if fields["IRM"]:
        return f"SGI {fields['INTID']} to all PEs but this one"
    above = affinity_of(fields, "Aff3", "Aff2", "Aff1")
    aff0 = [16 * fields["RS"] + position for position in bits_of(fields["TargetList"])]
    to = f"{above}.{members(aff0)}" if len(aff0) == 1 else f"{above}.{{{members(aff0)}}}"
    return f"SGI {fields['INTID']} to {to if aff0 else 'no PE'}"


def _targets(value: int, _: int | None) -> str:
    return f"Aff0 {members(bits_of(value))} (+ 16 RS)" if value else "no PE"


def _enables(fields: Mapping[str, int], _: int | None) -> str:
    return joined(
        f"SRE {fields['SRE']}",
        "Enable" if fields.get("Enable") else "",
        "IRQ bypass disabled" if fields["DIB"] else "",
        "FIQ bypass disabled" if fields["DFB"] else "",
    )


_INTID = (Field("INTID", 23, 0, intid),)
_RUNNING = Field("Priority", 7, 0, running)
_ENABLE = (bit("Enable", 0, "disabled", "enabled"),)
_EOI_MODE = ("EOI drops and deactivates", "EOI drops, DIR deactivates")
_COMMON = ("a binary point a group", "BPR0 is for both groups")
_SRE = (
    bit("DIB", 2, "", "IRQ bypass disabled"),
    bit("DFB", 1, "", "FIQ bypass disabled"),
    bit("SRE", 0, "memory-mapped interface", "system registers"),
)
_SRE_ABOVE = (bit("Enable", 3, "ICC_SRE of lower ELs traps", "lower ELs may use ICC_SRE"), *_SRE)
_CONFIGURATION = (
    bit("A3V", 15, "Aff3 is 0 in SGIs", "SGIs have Aff3"),
    bit("SEIS", 14, "", "system errors can be signalled"),
    Field("IDbits", 13, 11, ID_BITS | dict.fromkeys(range(2, 8), "reserved")),
    Field("PRIbits", 10, 8, plus_one("priority bits")),
)
_RANGES = (
    bit("ExtRange", 19, "", "INTIDs 1024 to 8191 are supported"),
    bit("RSS", 18, "SGIs to Aff0 0-15", "SGIs to Aff0 0-255"),
)
_MASK_HINT = bit("PMHE", 6, "", "the priority mask is a hint for distribution")
_MODES = (bit("EOImode", 1, *_EOI_MODE), bit("CBPR", 0, *_COMMON))
_SGI = (
    Field("Aff3", 55, 48, decimal),
    Field("RS", 47, 44, about="Aff0 is 16 RS + the position in TargetList"),
    bit("IRM", 40, "to the PEs listed", "to all PEs but this one"),
    Field("Aff2", 39, 32, decimal),
    Field("INTID", 27, 24, intid),
    Field("Aff1", 23, 16, decimal),
    Field("TargetList", 15, 0, _targets, about="a bit a PE"),
)

# name, what it is, fields, how the virtual one differs (none: as the physical one)
_EL1 = (
    ("IAR0", "acknowledge, Group 0", _INTID, None),
    ("IAR1", "acknowledge, Group 1", _INTID, None),
    ("EOIR0", "end of interrupt, Group 0", _INTID, None),
    ("EOIR1", "end of interrupt, Group 1", _INTID, None),
    ("HPPIR0", "highest pending, Group 0", _INTID, None),
    ("HPPIR1", "highest pending, Group 1", _INTID, None),
    ("DIR", "deactivate", _INTID, None),
    ("PMR", "priority mask", (Field("Priority", 7, 0, mask),), None),
    ("BPR0", "binary point, Group 0", (Field("BinaryPoint", 2, 0, binary_point(0)),), None),
    ("BPR1", "binary point, Group 1", (Field("BinaryPoint", 2, 0, binary_point(1)),), None),
    ("IGRPEN0", "enable, Group 0", _ENABLE, None),
    ("IGRPEN1", "enable, Group 1", _ENABLE, None),
    (
        "RPR",
        "running priority",
        (
            bit("NMI", 63, "", "an NMI is active"),
            bit("NMI_NS", 62, "", "a Non-secure NMI is active"),
            _RUNNING,
        ),
        (bit("NMI", 63, "", "an NMI is active"), _RUNNING),
    ),
    (
        "CTLR",
        "control",
        (*_RANGES, *_CONFIGURATION, _MASK_HINT, *_MODES),
        (*_RANGES, *_CONFIGURATION, *_MODES),
    ),
)


def _interface() -> Iterator[Register]:
    """Each register four times: physical and virtual, AArch64 and AArch32."""
    for name, about, fields, virtual in _EL1:
        yield from _two_states(f"ICC_{name}_EL1", about, fields)
        yield from _two_states(f"ICV_{name}_EL1", f"{about}, virtual", virtual or fields)
    for group in (0, 1):
        about = f"active priorities, {GROUPS[group]}"
        active = (NMI_ACTIVE, PRIORITIES) if group else (PRIORITIES,)
        yield from _two_states(f"ICC_AP{group}R<n>_EL1", about, active, ACTIVE_PRIORITIES)
        virtual_name = f"ICV_AP{group}R<n>_EL1"
        yield from _two_states(virtual_name, f"{about}, virtual", active, ACTIVE_PRIORITIES)
    # AArch32 has no FEAT_GICv3_NMI.
    yield Register("ICC_NMIAR1_EL1", 64, "acknowledge an NMI, Group 1", _INTID)
    yield Register("ICV_NMIAR1_EL1", 64, "acknowledge an NMI, Group 1, virtual", _INTID)


def _two_states(
    name: str, about: str, fields: tuple[Field, ...], indexes: range | None = None
) -> Iterator[Register]:
    register = Register(name, 64, about, fields, indexes=indexes)
    yield register
    yield register.aarch32(name.removesuffix("_EL1"))


def _renamed(
    name: str, short: str, about: str, fields: tuple[Field, ...], sentence: Sentence | None = None
) -> Iterator[Register]:
    register = Register(name, 64, about, fields, sentence=sentence)
    yield register
    yield register.aarch32(short)


def _generating() -> Iterator[Register]:
    """ICC_SGI1R has 64 bits in AArch32 too: it is written by MCRR."""
    for name, about in (
        ("SGI0R", "generate an SGI, Group 0"),
        ("SGI1R", "generate an SGI, Group 1 of this Security state"),
        ("ASGI1R", "generate an SGI, Group 1 of the other Security state"),
    ):
        yield Register(f"ICC_{name}_EL1", 64, about, _SGI, sentence=_sgi)
        yield Register(f"ICC_{name}", 64, about, _SGI, sentence=_sgi)


_CONTROL_EL3 = (
    *_RANGES,
    bit("nDS", 17, "", "security cannot be disabled"),
    *_CONFIGURATION,
    _MASK_HINT,
    bit("RM", 5, "", "routing modifier, for legacy EL1 in AArch32"),
    bit("EOImode_EL1NS", 4, *_EOI_MODE),
    bit("EOImode_EL1S", 3, *_EOI_MODE),
    bit("EOImode_EL3", 2, *_EOI_MODE),
    bit("CBPR_EL1NS", 1, *_COMMON),
    bit("CBPR_EL1S", 0, *_COMMON),
)
_ENABLE_EL3 = (
    bit("EnableGrp1S", 1, "Secure Group 1 disabled", "Secure Group 1 enabled"),
    bit("EnableGrp1NS", 0, "Non-secure Group 1 disabled", "Non-secure Group 1 enabled"),
)

REGISTERS = (
    *_interface(),
    *_generating(),
    *_renamed("ICC_SRE_EL1", "ICC_SRE", "system register enable, EL1", _SRE, _enables),
    *_renamed("ICC_SRE_EL2", "ICC_HSRE", "system register enable, EL2", _SRE_ABOVE, _enables),
    *_renamed("ICC_SRE_EL3", "ICC_MSRE", "system register enable, EL3", _SRE_ABOVE, _enables),
    *_renamed("ICC_CTLR_EL3", "ICC_MCTLR", "control, EL3", _CONTROL_EL3),
    *_renamed("ICC_IGRPEN1_EL3", "ICC_MGRPEN1", "enable, Group 1, EL3", _ENABLE_EL3),
)
