"""Layouts that the distributor, the redistributors and the ITS have in common."""

from __future__ import annotations

from nvtrap.gic.codecs.layout import Field, Register, bit
from nvtrap.gic.codecs.meaning import bitmap, bits_of, decimal, joined, members, size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from nvtrap.gic.codecs.layout import Says

    # n of the register → the INTID of its first bit or field, where that is known
    First = Callable[[int | None], int | None]

# A bit an interrupt (IHI 0069H, 12.9, 12.11): register, field, what a 1 says,
# what the register is for
BITMAPS = (
    ("IGROUPR", "Group_status_bit<x>", "Group 1", "Group 1 or Group 0"),
    ("ISENABLER", "Set_enable_bit<x>", "enabled", "enable"),
    ("ICENABLER", "Clear_enable_bit<x>", "enabled", "disable"),
    ("ISPENDR", "Set_pending_bit<x>", "pending", "make pending"),
    ("ICPENDR", "Clear_pending_bit<x>", "pending", "clear pending"),
    ("ISACTIVER", "Set_active_bit<x>", "active", "make active"),
    ("ICACTIVER", "Clear_active_bit<x>", "active", "clear active"),
    ("IGRPMODR", "Group_modifier_bit<x>", "modifier set", "Group 0 to Secure Group 1"),
)
_ACCESS = {1: "may set pending", 2: "may also clear pending", 3: "may also target"}
VALID = bit("Valid", 63, "not valid", "valid")


def from_intid(base: int, per_register: int) -> First:
    """The first INTID of register n of an array that begins at `base`."""
    return lambda index: None if index is None else base + per_register * index


def bitmap_register(
    name: str, about: str, field: str, label: str, first: First, indexes: range | None
) -> Register:
    """A register with a bit an interrupt."""
    fields = (Field(field, 31, 0, bitmap(label, "INTID", first), each=1),)
    return Register(name, 32, about, fields, indexes=indexes)


def priorities(name: str, about: str, first: First, indexes: range) -> Register:
    """IPRIORITYR: a byte an interrupt."""

    def sentence(fields: Mapping[str, int], index: int | None) -> str:
        start = first(index)
        return joined(
            *(f"{_which(start, byte)} {fields[f'Priority_offset_{byte}B']:#x}" for byte in range(4))
        )

    fields = tuple(_byte(byte, _of_intid(first, byte)) for byte in (3, 2, 1, 0))
    return Register(name, 32, about, fields, indexes=indexes, sentence=sentence)


def _byte(byte: int, says: Says) -> Field:
    name = f"Priority_offset_{byte}B"
    return Field(name, 8 * byte + 7, 8 * byte, says, about="a priority")


def _which(start: int | None, offset: int) -> str:
    return f"byte {offset}" if start is None else f"INTID {start + offset}"


def _of_intid(first: First, offset: int) -> Says:
    return lambda _, index: _which(first(index), offset)


def configuration(name: str, about: str, first: First, indexes: range) -> Register:
    """ICFGR: two bits an interrupt, of which the upper says edge-triggered."""

    def says(value: int, index: int | None) -> str:
        edges = [position // 2 for position in bits_of(value) if position % 2]
        start = first(index)
        if start is None:
            return f"edge: field {members(edges)}" if edges else "all level-sensitive"
        found = members(start + edge for edge in edges)
        return f"edge: INTID {found}" if edges else "all level-sensitive"

    fields = (
        Field("Int_config<x>", 31, 0, says, each=2, about="2 bits each, the upper one says edge"),
    )
    return Register(name, 32, about, fields, indexes=indexes)


def access(name: str, first: First, indexes: range | None) -> Register:
    """NSACR: two bits an interrupt, what Non-secure may do to a Secure one."""

    def says(value: int, index: int | None) -> str:
        start = first(index)
        noun = "field" if start is None else "INTID"
        return (
            joined(
                *(
                    f"{text}: {noun} {members((start or 0) + x for x in found)}"
                    for code, text in _ACCESS.items()
                    if (found := [x for x in range(16) if value >> 2 * x & 3 == code])
                )
            )
            or "no Non-secure access"
        )

    named = ", ".join(f"{code} {text}" for code, text in _ACCESS.items())
    fields = (Field("NS_access<x>", 31, 0, says, each=2, about=f"2 bits each, {named}"),)
    return Register(name, 32, "Non-secure access control", fields, indexes=indexes)


def identification(prefix: str) -> Iterator[Register]:
    """IIDR and PIDR2, which every component has."""
    yield Register(
        f"{prefix}_IIDR",
        32,
        "implementer identification",
        (
            Field("ProductID", 31, 24),
            Field("Variant", 19, 16),
            Field("Revision", 15, 12),
            Field("Implementer", 11, 0, {0x43B: "Arm"}, about="JEP106 code"),
        ),
    )
    yield Register(
        f"{prefix}_PIDR2",
        32,
        "peripheral ID 2: the version of the architecture",
        (
            Field("ArchRev", 7, 4, {1: "GICv1", 2: "GICv2", 3: "GICv3", 4: "GICv4"}),
            Field("IMPDEF", 3, 0, about="IMPLEMENTATION DEFINED"),
        ),
    )


ERRORS = (
    bit("WROD", 3, "", "a read-only location was written"),
    bit("RWOD", 2, "", "a write-only location was read"),
    bit("WRD", 1, "", "a reserved location was written"),
    bit("RRD", 0, "", "a reserved location was read"),
)


def partitions(prefix: str) -> Iterator[Register]:
    """MPAMIDR and PARTIDR: the labels of memory accesses."""
    yield Register(
        f"{prefix}_MPAMIDR",
        32,
        "largest PARTID and PMG",
        (Field("PMGmax", 23, 16, decimal), Field("PARTIDmax", 15, 0, decimal)),
    )
    yield Register(
        f"{prefix}_PARTIDR",
        32,
        "PARTID and PMG of memory accesses",
        (Field("PMG", 23, 16, decimal), Field("PARTID", 15, 0, decimal)),
    )


def table(fields: Mapping[str, int], page: int, address: int) -> str:
    """Where a table lies and how long it is: `16 KiB at 0x80000000`."""
    return f"{size((fields['Size'] + 1) * page)} at {address:#x}"
