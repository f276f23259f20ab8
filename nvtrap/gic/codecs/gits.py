"""GITS_*: the interrupt translation service (IHI 0069H, 12.18 and 12.19)."""

from __future__ import annotations

from nvtrap.gic.codecs.layout import Field, Register, bit
from nvtrap.gic.codecs.meaning import (
    CACHEABILITY,
    OUTER_CACHEABILITY,
    PAGE_SIZES,
    SHAREABILITY,
    address,
    decimal,
    flags,
    intid,
    joined,
    plus_one,
)
from nvtrap.gic.codecs.shared import ERRORS, VALID, identification, partitions, table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_TABLES = {0: "no table", 1: "devices", 2: "vPEs", 3: "reserved", 4: "collections"}
_SYNDROMES = {
    0: "unknown reason",
    2: "DeviceID out of range",
    3: "DeviceID not mapped",
    4: "EventID out of range",
    5: "EventID not mapped",
    7: "collection not mapped",
    9: "vPEID not mapped",
}
_VPE_TABLES = (
    "no vPE table is shared",
    "those of one Aff3 share the vPE table",
    "those of one Aff3.Aff2 share the vPE table",
    "those of one Aff3.Aff2.Aff1 share the vPE table",
)
_SHORT_PAGES = ("Page_Size", (0, 1))
_LONG_PAGES = ("Page_Size", (2, 3))


def high_address(value: int, _: int | None = None) -> str:
    """Physical_Address [47:12] with pages of 64 KiB: its low four bits are bits [51:48]."""
    return f"{_high(value):#x}"


def _high(value: int) -> int:
    return (value & 0xF) << 48 | value >> 4 << 16


def _base(fields: Mapping[str, int], _: int | None) -> str:
    kind = _TABLES.get(fields["Type"], "reserved")
    if not fields["Valid"]:
        return f"{kind}, not valid"
    where = fields["Physical_Address"]
    long = fields["Page_Size"] >= 2
    page = 1 << (12, 14, 16, 16)[fields["Page_Size"]]
    return joined(
        f"{kind}: {'two-level' if fields['Indirect'] else 'flat'} table",
        table(fields, page, _high(where) if long else where << 12),
        f"{fields['Entry_Size'] + 1} bytes an entry",
    )


def _queue(fields: Mapping[str, int], _: int | None) -> str:
    where = table(fields, 1 << 12, fields["Physical_Address"] << 12)
    return f"{'valid' if fields['Valid'] else 'not valid'}, command queue of {where}"


def _kind(fields: Mapping[str, int], _: int | None) -> str:
    return joined(
        f"{fields['Devbits'] + 1}-bit DeviceIDs",
        f"{fields['ID_bits'] + 1}-bit EventIDs",
        f"{fields['CIDbits'] + 1 if fields['CIL'] else 16}-bit collections",
        f"{fields['ITT_entry_size'] + 1} bytes an ITT entry",
        f"{fields['HCC']} collections held inside" if fields["HCC"] else "",
        "targets are addresses" if fields["PTA"] else "targets are PE numbers",
        flags(fields, ("Physical", "Virtual", "VMOVP", "VMAPP", "VSGI", "MPAM", "SEIS")),
    )


def _offset(value: int, _: int | None) -> str:
    return f"command {value}, at {value << 5:#x}"


_TYPE = (
    bit("INV", 46, "", "clearing Enabled and GITS_BASER<n>.Valid empties caches"),
    bit("UMSIirq", 45, "", "an interrupt for unmapped MSIs"),
    bit("UMSI", 44, "", "unmapped MSIs are reported"),
    bit("nID", 43, "individual doorbells", "no individual doorbells"),
    Field("SVPET", 42, 41, _VPE_TABLES),
    bit("VMAPP", 40, "VMAPP as in GICv4.0", "VMAPP as in GICv4.1"),
    bit("VSGI", 39, "", "direct injection of virtual SGIs"),
    bit("MPAM", 38, "", "MPAM"),
    bit("VMOVP", 37, "VMOVP goes to every ITS", "VMOVP goes to one ITS"),
    bit("CIL", 36, "16 bits of collection", "CIDbits has the bits of collection"),
    Field("CIDbits", 35, 32, plus_one("bits of collection"), when=("CIL", (1,))),
    Field("HCC", 31, 24, decimal, about="collections held inside the ITS"),
    bit("PTA", 19, "targets are PE numbers", "targets are addresses"),
    bit("SEIS", 18, "", "system errors can be signalled"),
    Field("Devbits", 17, 13, plus_one("bits of DeviceID")),
    Field("ID_bits", 12, 8, plus_one("bits of EventID")),
    Field("ITT_entry_size", 7, 4, plus_one("bytes")),
    Field("IMPDEF3", 3, 3, about="IMPLEMENTATION DEFINED"),
    bit("CCT", 2, "collections are those in memory", "collections are HCC and those in memory"),
    bit("Virtual", 1, "", "virtual LPIs"),
    bit("Physical", 0, "", "physical LPIs"),
)
_INNER = Field("InnerCache", 61, 59, CACHEABILITY)
_OUTER = Field("OuterCache", 55, 53, OUTER_CACHEABILITY)
_SHARED = Field("Shareability", 11, 10, SHAREABILITY)
_OFFSET = Field("Offset", 19, 5, _offset)
_BASE = (
    VALID,
    bit("Indirect", 62, "flat", "two-level"),
    _INNER,
    Field("Type", 58, 56, _TABLES | dict.fromkeys(range(5, 8), "reserved")),
    _OUTER,
    Field("Entry_Size", 52, 48, plus_one("bytes an entry")),
    Field("Physical_Address", 47, 12, address(12), when=_SHORT_PAGES),
    Field("Physical_Address", 47, 12, high_address, when=_LONG_PAGES),
    _SHARED,
    Field("Page_Size", 9, 8, PAGE_SIZES),
    Field("Size", 7, 0, plus_one("pages")),
)


def _control() -> Iterator[Register]:
    yield Register(
        "GITS_CTLR",
        32,
        "control",
        (
            bit("Quiescent", 31, "busy", "quiescent"),
            bit("UMSIirq", 8, "", "an interrupt for unmapped MSIs"),
            Field("ITS_Number", 7, 4, decimal),
            bit("ImDe", 1, "", "IMPLEMENTATION DEFINED"),
            bit("Enabled", 0, "disabled", "enabled"),
        ),
    )
    yield from identification("GITS")
    yield Register("GITS_TYPER", 64, "type: what the ITS has", _TYPE, sentence=_kind)
    yield from partitions("GITS")
    levels = tuple(Field(f"Aff{level}", 8 * level + 7, 8 * level, decimal) for level in (3, 2, 1))
    yield Register("GITS_MPIDR", 32, "affinity of the ITS for its vPE table", levels)
    yield Register(
        "GITS_STATUSR",
        32,
        "error status",
        (
            Field("Syndrome", 9, 6, _SYNDROMES, about="why the MSI is not mapped"),
            bit("Overflow", 5, "", "more unmapped MSIs came"),
            bit("UMSI", 4, "", "an unmapped MSI came"),
            *ERRORS,
        ),
    )
    yield Register(
        "GITS_UMSIR", 64, "the unmapped MSI", (Field("DeviceID", 63, 32), Field("EventID", 31, 0))
    )


_QUEUE = (
    VALID,
    _INNER,
    _OUTER,
    Field("Physical_Address", 51, 12, address(12)),
    _SHARED,
    Field("Size", 7, 0, plus_one("pages of 4 KiB")),
)
_SGI = (Field("vPEID", 47, 32, decimal), Field("vINTID", 3, 0, intid))


def _queues() -> Iterator[Register]:
    yield Register("GITS_CBASER", 64, "the command queue", _QUEUE, sentence=_queue)
    retry = bit("Retry", 0, "", "a stalled queue goes on")
    yield Register("GITS_CWRITER", 64, "where software writes commands", (_OFFSET, retry))
    stalled = bit("Stalled", 0, "", "stopped by an error")
    yield Register("GITS_CREADR", 64, "where the ITS reads commands", (_OFFSET, stalled))
    about = "a table of the ITS"
    yield Register("GITS_BASER<n>", 64, about, _BASE, indexes=range(8), sentence=_base)
    yield Register("GITS_TRANSLATER", 32, "what a device writes", (Field("EventID", 31, 0),))
    yield Register("GITS_SGIR", 64, "a virtual SGI for a vPE", _SGI)


REGISTERS = (*_control(), *_queues())
