"""GICR_*: the redistributors' RD, SGI and VLPI frames (IHI 0069H, 12.10 and 12.11).

Two registers of the VLPI frame have another layout from GICv4.1 on; that goes by the
name with `_v4p1`. The byte that configures an LPI in memory is `LPI_CONFIG`.
"""

from __future__ import annotations

from nvtrap.gic.codecs.layout import Field, Register, bit
from nvtrap.gic.codecs.meaning import (
    CACHEABILITY,
    OUTER_CACHEABILITY,
    PAGE_SIZES,
    SHAREABILITY,
    address,
    affinity,
    bits_of,
    decimal,
    flags,
    intid,
    joined,
    members,
    plus_one,
    priority,
)
from nvtrap.gic.codecs.shared import (
    BITMAPS,
    ERRORS,
    VALID,
    access,
    bitmap_register,
    configuration,
    from_intid,
    identification,
    partitions,
    priorities,
    table,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# Register 1 of the arrays with an E behind begins at INTID 1056.
EXTENDED = 1024
_NMI = ("INMIR", "nmi<x>", "non-maskable", "make non-maskable")
_PPIS = {0: "INTID 16-31", 1: "INTID 16-31 and 1056-1087", 2: "INTID 16-31 and 1056-1119"}
_SAME_TABLE = (
    "all redistributors share the LPI tables",
    "those of one Aff3 share the LPI tables",
    "those of one Aff3.Aff2 share the LPI tables",
    "those of one Aff3.Aff2.Aff1 share the LPI tables",
)


def _kind(fields: Mapping[str, int], _: int | None) -> str:
    return joined(
        f"PE {affinity(fields['Affinity_Value'])}",
        f"processor {fields['Processor_Number']}",
        flags(fields, ("Last", "PLPIS", "VLPIS", "DirectLPI", "Dirty", "DPGS", "MPAM")),
        flags(fields, ("RVPEID", "VSGI")),
        f"{32 * fields['PPInum'] + 16} PPIs" if fields["PPInum"] < 3 else "",
    )


def _properties(fields: Mapping[str, int], _: int | None) -> str:
    where = fields["Physical_Address"] << 12
    return f"LPI configuration at {where:#x}, {fields['IDbits'] + 1}-bit INTIDs"


def _pending(fields: Mapping[str, int], _: int | None) -> str:
    where = fields["Physical_Address"] << 16
    return joined(f"pending LPIs at {where:#x}", "all zero" if fields.get("PTZ") else "")


def _resident(fields: Mapping[str, int], _: int | None) -> str:
    if not fields["Valid"]:
        return joined("no vPE is resident", flags(fields, ("PendingLast", "Dirty")))
    return joined(
        "a vPE is resident" if "vPEID" not in fields else f"vPE {fields['vPEID']} is resident",
        flags(fields, [name for name in ("VGrp0En", "VGrp1En", "Doorbell") if name in fields]),
        f"pending LPIs at {fields['Physical_Address'] << 16:#x}"
        if "Physical_Address" in fields
        else "",
    )


def _vpe_table(fields: Mapping[str, int], _: int | None) -> str:
    page = 1 << (12, 14, 16, 16)[fields["Page_Size"]]
    return joined(
        "valid" if fields["Valid"] else "not valid",
        "two-level" if fields["Indirect"] else "flat",
        table(fields, page, fields["Physical_Address"] << 12),
    )


def _lpi(fields: Mapping[str, int], _: int | None) -> str:
    state = "enabled" if fields["Enable"] else "disabled"
    return f"{state}, priority {fields['Priority'] << 2:#x}"


def _sgis(value: int, _: int | None) -> str:
    return f"SGI {members(bits_of(value))}" if value else "none"


_OUTER = Field("OuterCache", 58, 56, OUTER_CACHEABILITY)
_INNER = Field("InnerCache", 9, 7, CACHEABILITY)
_SHARED = Field("Shareability", 11, 10, SHAREABILITY)
_PAGE_4K = Field("Physical_Address", 51, 12, address(12))
_PAGE_64K = Field("Physical_Address", 51, 16, address(16))
_ID_BITS = Field("IDbits", 4, 0, plus_one("bits of INTID"))
_PROPERTIES = (_OUTER, _PAGE_4K, _SHARED, _INNER, _ID_BITS)
_VPE = Field("vPEID", 47, 32, decimal, when=("V", (1,)))
_VIRTUAL = bit("V", 63, "physical", "virtual")


def _rd_frame() -> Iterator[Register]:
    yield Register(
        "GICR_CTLR",
        32,
        "control",
        (
            bit("UWP", 31, "", "upstream writes are in progress"),
            bit("DPG1S", 26, "", "no 1-of-N of Secure Group 1"),
            bit("DPG1NS", 25, "", "no 1-of-N of Non-secure Group 1"),
            bit("DPG0", 24, "", "no 1-of-N of Group 0"),
            bit("RWP", 3, "", "register writes are in progress"),
            bit("IR", 2, "", "INVLPIR, INVALLR and SYNCR are there"),
            bit("CES", 1, "", "EnableLPIs can be cleared"),
            bit("EnableLPIs", 0, "LPIs disabled", "LPIs enabled"),
        ),
    )
    yield from identification("GICR")
    yield Register("GICR_TYPER", 64, "type: the PE and what it has", _TYPE, sentence=_kind)
    yield Register("GICR_STATUSR", 32, "error status", ERRORS)
    yield Register(
        "GICR_WAKER",
        32,
        "power management",
        (
            Field("IMPDEF31", 31, 31, about="IMPLEMENTATION DEFINED"),
            bit("ChildrenAsleep", 2, "the interface is awake", "the interface is quiescent"),
            bit("ProcessorSleep", 1, "the PE is awake", "the PE is asleep or going to sleep"),
            Field("IMPDEF0", 0, 0, about="IMPLEMENTATION DEFINED"),
        ),
    )
    yield from partitions("GICR")
    for name, about in (("SETLPIR", "set an LPI pending"), ("CLRLPIR", "clear a pending LPI")):
        yield Register(f"GICR_{name}", 64, about, (Field("pINTID", 31, 0, intid),))
    about = "where LPIs are configured"
    yield Register("GICR_PROPBASER", 64, about, _PROPERTIES, sentence=_properties)
    zero = bit("PTZ", 62, "", "the table is all zero")
    layout = (zero, _OUTER, _PAGE_64K, _SHARED, _INNER)
    yield Register("GICR_PENDBASER", 64, "where LPIs pend", layout, sentence=_pending)
    one = (_VIRTUAL, _VPE, Field("INTID", 31, 0, intid))
    yield Register("GICR_INVLPIR", 64, "invalidate the configuration of an LPI", one)
    about = "invalidate the configuration of all LPIs"
    yield Register("GICR_INVALLR", 64, about, (_VIRTUAL, _VPE))
    busy = bit("Busy", 0, "done", "invalidations are in progress")
    yield Register("GICR_SYNCR", 32, "whether invalidations are done", (busy,))


_TYPE = (
    Field("Affinity_Value", 63, 32, affinity),
    Field("PPInum", 31, 27, _PPIS | dict.fromkeys(range(3, 32), "reserved")),
    bit("VSGI", 26, "", "direct injection of virtual SGIs"),
    Field("CommonLPIAff", 25, 24, _SAME_TABLE),
    Field("Processor_Number", 23, 8, decimal),
    bit("RVPEID", 7, "a vPE is resident by its table", "a vPE is resident by its vPEID"),
    bit("MPAM", 6, "", "MPAM"),
    bit("DPGS", 5, "", "GICR_CTLR.DPG* are there"),
    bit("Last", 4, "", "the last redistributor of the region"),
    bit("DirectLPI", 3, "", "LPIs without an ITS"),
    bit("Dirty", 2, "", "GICR_VPENDBASER.Dirty is there"),
    bit("VLPIS", 1, "", "virtual LPIs"),
    bit("PLPIS", 0, "", "physical LPIs"),
)


def _sgi_frame() -> Iterator[Register]:
    """SGIs and PPIs in register 0, extended PPIs with an E behind."""
    for name, field, label, effect in (*BITMAPS, _NMI):
        about = f"{effect}, a bit an interrupt"
        yield bitmap_register(f"GICR_{name}0", about, field, label, lambda _: 0, None)
        first = from_intid(EXTENDED, 32)
        yield bitmap_register(f"GICR_{name}<n>E", about, field, label, first, range(1, 3))
    about = "priorities, a byte an interrupt"
    yield priorities("GICR_IPRIORITYR<n>", about, from_intid(0, 4), range(8))
    yield priorities("GICR_IPRIORITYR<n>E", about, from_intid(EXTENDED, 4), range(8, 24))
    about = "edge or level, two bits an interrupt"
    yield configuration("GICR_ICFGR<n>", about, from_intid(0, 16), range(2))
    yield configuration("GICR_ICFGR<n>E", about, from_intid(EXTENDED, 16), range(2, 6))
    yield access("GICR_NSACR", lambda _: 0, None)


_RESIDENT = bit("Valid", 63, "no vPE is resident", "a vPE is resident")
_LAST = bit("PendingLast", 61, "", "the last vPE has pending interrupts")
_DIRTY = bit("Dirty", 60, "", "the table is still being read or written")
_BY_TABLE = (
    _RESIDENT,
    bit("IDAI", 62, "", "the IMPLEMENTATION DEFINED area is not valid"),
    _LAST,
    _DIRTY,
    _OUTER,
    _PAGE_64K,
    _SHARED,
    _INNER,
)
_BY_VPEID = (
    _RESIDENT,
    bit("Doorbell", 62, "", "the default doorbell is wanted"),
    _LAST,
    _DIRTY,
    bit("VGrp0En", 59, "Group 0 disabled", "Group 0 enabled"),
    bit("VGrp1En", 58, "Group 1 disabled", "Group 1 enabled"),
    Field("vPEID", 15, 0, decimal),
)
_VPES = (
    VALID,
    Field("Entry_Size", 61, 59, plus_one("x 8 bytes an entry")),
    _OUTER,
    bit("Indirect", 55, "flat", "two-level"),
    Field("Page_Size", 54, 53, PAGE_SIZES),
    bit("Z", 52, "", "the table is all zero"),
    _PAGE_4K,
    _SHARED,
    _INNER,
    Field("Size", 6, 0, plus_one("pages")),
)
_PENDING_SGIS = (bit("Busy", 31, "", "not known yet"), Field("Pending", 15, 0, _sgis))


def _vlpi_frame() -> Iterator[Register]:
    """GICv4, and GICv4.1 where it is another layout."""
    about = "where virtual LPIs are configured (GICv4.0)"
    yield Register("GICR_VPROPBASER", 64, about, _PROPERTIES, sentence=_properties)
    about = "the table of vPEs (GICv4.1)"
    yield Register("GICR_VPROPBASER_v4p1", 64, about, _VPES, sentence=_vpe_table)
    about = "the resident vPE, by its pending table (GICv4.0)"
    yield Register("GICR_VPENDBASER", 64, about, _BY_TABLE, sentence=_resident)
    about = "the resident vPE, by its vPEID (GICv4.1)"
    yield Register("GICR_VPENDBASER_v4p1", 64, about, _BY_VPEID, sentence=_resident)
    vpe = (Field("vPEID", 15, 0, decimal),)
    yield Register("GICR_VSGIR", 32, "ask for the pending SGIs of a vPE", vpe)
    yield Register("GICR_VSGIPENDR", 32, "the pending SGIs that were asked for", _PENDING_SGIS)


_LPI = Register(
    "LPI_CONFIG",
    8,
    "an LPI's byte in the configuration table",
    (
        Field(
            "Priority",
            7,
            2,
            lambda value, _: priority(value << 2),
            about="a priority without its bits [1:0]",
        ),
        Field("RES1", 1, 1, default=1),
        bit("Enable", 0, "disabled", "enabled"),
    ),
    sentence=_lpi,
)

REGISTERS = (*_rd_frame(), *_sgi_frame(), *_vlpi_frame(), _LPI)
