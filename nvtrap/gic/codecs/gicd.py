"""GICD_*: the distributor (IHI 0069H, 12.8 and 12.9)."""

from __future__ import annotations

from nvtrap.gic.codecs.layout import Field, Register, bit
from nvtrap.gic.codecs.meaning import (
    GROUPS,
    affinity_of,
    bits_of,
    decimal,
    flags,
    intid,
    joined,
    members,
    plural,
    plus_one,
)
from nvtrap.gic.codecs.shared import (
    BITMAPS,
    ERRORS,
    access,
    bitmap_register,
    configuration,
    from_intid,
    identification,
    priorities,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ONE_STATE = ("DS", (1,))
TWO_STATES = ("DS", (0,))
EXTENDED = 4096
_NMI = ("INMIR", "NMI<x>", "non-maskable", "make non-maskable")
_LAST_SPI = 1019


def _kind(fields: Mapping[str, int], _: int | None) -> str:
    lines = fields["ITLinesNumber"]
    spis = min(32 * (lines + 1), _LAST_SPI + 1) - 32
    extended = 32 * (fields["ESPI_range"] + 1) if fields["ESPI"] else 0
    return joined(
        plural(spis, "SPI") + (f" (INTID 32-{31 + spis})" if spis else ""),
        f"{extended} extended SPIs (INTID {EXTENDED}-{EXTENDED - 1 + extended})"
        if extended
        else "",
        f"{fields['IDbits'] + 1}-bit INTIDs",
        "two Security states" if fields["SecurityExtn"] else "one Security state",
        flags(fields, ("LPIS", "DVIS", "MBIS", "NMI", "A3V", "No1N", "RSS")),
    )


def _lpis(value: int, _: int | None) -> str:
    return f"{2 << value} LPIs" if value else "as IDbits says"


def _route(fields: Mapping[str, int], index: int | None) -> str:
    who = "the interrupt" if index is None else f"INTID {intid(index)}"
    if fields["Interrupt_Routing_Mode"]:
        return f"{who} to any one PE"
    return f"{who} to PE {affinity_of(fields, 'Aff3', 'Aff2', 'Aff1', 'Aff0')}"


def _extended_route(fields: Mapping[str, int], index: int | None) -> str:
    return _route(fields, None if index is None else EXTENDED + index)


def _interfaces(value: int, _: int | None) -> str:
    return f"CPU {members(bits_of(value))}" if value else "no CPU"


def _senders(value: int, _: int | None) -> str:
    return (
        joined(
            *(
                f"SGI field {x}: {_interfaces(value >> 8 * x & 0xFF, None)}"
                for x in range(4)
                if value >> 8 * x & 0xFF
            )
        )
        or "none pending"
    )


_RWP = bit("RWP", 31, "", "register writes are in progress")
_ARE = ("affinity routing off", "affinity routing on")


def _enable(name: str, position: int, group: str, ds: int | None = None) -> Field:
    when = None if ds is None else ("DS", (ds,))
    return bit(name, position, f"{group} disabled", f"{group} enabled", when)


_CONTROL = Register(
    "GICD_CTLR",
    32,
    "control, as Secure sees it or with one Security state (DS = 1)",
    (
        _RWP,
        bit("nASSGIreq", 8, "", "SGIs without an active state are requested", ONE_STATE),
        bit("E1NWF", 7, "", "1-of-N wakeup is enabled"),
        bit("DS", 6, "two Security states", "one Security state"),
        bit("ARE_NS", 5, *_ARE, TWO_STATES),
        bit("ARE_S", 4, *_ARE, TWO_STATES),
        bit("ARE", 4, *_ARE, ONE_STATE),
        _enable("EnableGrp1S", 2, "Secure Group 1", 0),
        _enable("EnableGrp1NS", 1, "Non-secure Group 1", 0),
        _enable("EnableGrp1", 1, "Group 1", 1),
        _enable("EnableGrp0", 0, "Group 0"),
    ),
)
# The same address; which view it is depends on who reads, not on the value.
_CONTROL_NS = Register(
    "GICD_CTLR_NS",
    32,
    "GICD_CTLR as Non-secure sees it with two Security states",
    (
        _RWP,
        bit("ARE_NS", 4, *_ARE),
        _enable("EnableGrp1A", 1, "with affinity routing: Non-secure Group 1"),
        _enable("EnableGrp1", 0, "without affinity routing: Non-secure Group 1"),
    ),
)
_TYPE = Register(
    "GICD_TYPER",
    32,
    "type: what the distributor has",
    (
        Field("ESPI_range", 31, 27, plus_one("x 32 extended SPIs"), when=("ESPI", (1,))),
        bit("RSS", 26, "SGIs to Aff0 0-15", "SGIs to Aff0 0-255"),
        bit("No1N", 25, "1-of-N is supported", "no 1-of-N"),
        bit("A3V", 24, "Aff3 is 0", "Aff3 may be other than 0"),
        Field("IDbits", 23, 19, plus_one("bits of INTID")),
        bit("DVIS", 18, "", "direct injection of virtual LPIs"),
        bit("LPIS", 17, "no LPIs", "LPIs"),
        bit("MBIS", 16, "", "message-based SPIs"),
        Field("num_LPIs", 15, 11, _lpis),
        bit("SecurityExtn", 10, "one Security state", "two Security states"),
        bit("NMI", 9, "", "the non-maskable property"),
        bit("ESPI", 8, "no extended SPIs", "extended SPIs"),
        Field("CPUNumber", 7, 5, plus_one("PEs without affinity routing")),
        Field("ITLinesNumber", 4, 0, plus_one("x 32 INTIDs")),
    ),
    sentence=_kind,
)
_TYPE_2 = Register(
    "GICD_TYPER2",
    32,
    "type 2: GICv4.1",
    (
        bit("nASSGIcap", 8, "", "SGIs without an active state"),
        bit("VIL", 7, "16 bits of vPEID", "VID has the bits of vPEID"),
        Field("VID", 4, 0, plus_one("bits of vPEID"), when=("VIL", (1,))),
    ),
)


def _control() -> Iterator[Register]:
    yield from (_CONTROL, _CONTROL_NS, _TYPE, _TYPE_2)
    yield from identification("GICD")
    yield Register("GICD_STATUSR", 32, "error status", ERRORS)
    for name, about in (
        ("SETSPI_NSR", "set an SPI pending, Non-secure"),
        ("CLRSPI_NSR", "clear a pending SPI, Non-secure"),
        ("SETSPI_SR", "set an SPI pending, Secure"),
        ("CLRSPI_SR", "clear a pending SPI, Secure"),
    ):
        yield Register(f"GICD_{name}", 32, about, (Field("INTID", 12, 0, intid),))


def _arrays() -> Iterator[Register]:
    """The arrays of SPIs, and of extended SPIs with an E behind."""
    for name, field, label, effect in (*BITMAPS, _NMI):
        about = f"{effect}, a bit an interrupt"
        for pattern, base in ((f"GICD_{name}<n>", 0), (f"GICD_{name}<n>E", EXTENDED)):
            first = from_intid(base, 32)
            yield bitmap_register(pattern, about, field, label, first, range(32))
    about = "priorities, a byte an interrupt"
    yield priorities("GICD_IPRIORITYR<n>", about, from_intid(0, 4), range(255))
    yield priorities("GICD_IPRIORITYR<n>E", about, from_intid(EXTENDED, 4), range(256))
    about = "edge or level, two bits an interrupt"
    yield configuration("GICD_ICFGR<n>", about, from_intid(0, 16), range(64))
    yield configuration("GICD_ICFGR<n>E", about, from_intid(EXTENDED, 16), range(64))
    yield access("GICD_NSACR<n>", from_intid(0, 16), range(64))
    yield access("GICD_NSACR<n>E", from_intid(EXTENDED, 16), range(64))


_ROUTE = (
    Field("Aff3", 39, 32, decimal),
    bit("Interrupt_Routing_Mode", 31, "to the PE of the affinity", "to any one PE"),
    Field("Aff2", 23, 16, decimal),
    Field("Aff1", 15, 8, decimal),
    Field("Aff0", 7, 0, decimal),
)


def _routes() -> Iterator[Register]:
    about = "the PE that an SPI goes to"
    spis = range(32, _LAST_SPI + 1)
    yield Register("GICD_IROUTER<n>", 64, about, _ROUTE, indexes=spis, sentence=_route)
    yield Register(
        "GICD_IROUTER<n>E", 64, about, _ROUTE, indexes=range(1024), sentence=_extended_route
    )


def _legacy() -> Iterator[Register]:
    """What is RES0 with affinity routing, IHI 0069H, 12.9."""
    targets = tuple(
        Field(
            f"CPU_targets_offset_{byte}B", 8 * byte + 7, 8 * byte, _interfaces, about="a bit a CPU"
        )
        for byte in (3, 2, 1, 0)
    )
    about = "CPUs that an interrupt goes to, without affinity routing"
    yield Register("GICD_ITARGETSR<n>", 32, about, targets, indexes=range(255))
    filters = ("CPUs listed", "all CPUs but this one", "this CPU", "reserved")
    yield Register(
        "GICD_SGIR",
        32,
        "generate an SGI, without affinity routing",
        (
            Field("TargetListFilter", 25, 24, filters),
            Field("CPUTargetList", 23, 16, _interfaces, about="a bit a CPU"),
            bit("NSATT", 15, *GROUPS),
            Field("INTID", 3, 0, intid),
        ),
    )
    for name, word in (("CPENDSGIR", "clear"), ("SPENDSGIR", "set")):
        fields = (Field(f"SGI_{word}_pending_bits<x>", 31, 0, _senders, each=8),)
        yield Register(
            f"GICD_{name}<n>", 32, f"{word} pending SGIs by sender", fields, indexes=range(4)
        )


REGISTERS = (*_control(), *_arrays(), *_routes(), *_legacy())
