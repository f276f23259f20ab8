"""What the numbers in GIC registers mean, in words.

Each function named in a layout takes (value, n of the register or None); those with
arguments of their own make such a function.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from nvtrap.gic.codecs.layout import Says

# (first INTID, what it is), IHI 0069H, 2.2.1
_KINDS = (
    (8192, "LPI"),
    (5120, "reserved"),
    (4096, "extended SPI"),
    (1120, "reserved"),
    (1056, "extended PPI"),
    (1024, "reserved"),
    (1023, "spurious"),
    (1020, "special"),
    (32, "SPI"),
    (16, "PPI"),
    (0, "SGI"),
)
CACHEABILITY = (
    "Device-nGnRnE",
    "Non-cacheable",
    "Read-allocate Write-through",
    "Read-allocate Write-back",
    "Write-allocate Write-through",
    "Write-allocate Write-back",
    "Read-allocate Write-allocate Write-through",
    "Read-allocate Write-allocate Write-back",
)
OUTER_CACHEABILITY = ("as InnerCache", *CACHEABILITY[1:])
SHAREABILITY = ("Non-shareable", "Inner Shareable", "Outer Shareable", "reserved")
GROUPS = ("Group 0", "Group 1")
PAGE_SIZES = ("4 KiB", "16 KiB", "64 KiB", "64 KiB")


def intid(value: int, _: int | None = None) -> str:
    """An INTID with its kind: `27 (PPI)`."""
    return f"{value} ({next(kind for first, kind in _KINDS if value >= first)})"


def priority(value: int, _: int | None = None) -> str:
    """A priority; 0 is the most urgent."""
    return f"{value:#x}, the highest" if value == 0 else f"{value:#x}"


def running(value: int, _: int | None = None) -> str:
    """The running priority; 0xff says that nothing is active."""
    return "idle" if value == 0xFF else priority(value)


def mask(value: int, _: int | None = None) -> str:
    """A priority mask: what is let through is more urgent than it."""
    return f"lets priorities below {value:#x} through" if value else "lets nothing through"


def plus_one(noun: str) -> Says:
    """A count that the register holds less 1: `5 bits`."""
    return lambda value, _: f"{value + 1} {noun}"


def address(shift: int) -> Says:
    """An address without its lowest bits."""
    return lambda value, _: f"{value << shift:#x}"


def decimal(value: int, _: int | None = None) -> str:
    """A number that people count in."""
    return str(value)


def affinity(value: int, _: int | None = None) -> str:
    """A 32-bit affinity as Aff3.Aff2.Aff1.Aff0."""
    return ".".join(str(value >> shift & 0xFF) for shift in (24, 16, 8, 0))


def affinity_of(fields: Mapping[str, int], *levels: str) -> str:
    """The affinity in fields of these names, joined by points."""
    return ".".join(str(fields[level]) for level in levels)


def size(count_of_bytes: int) -> str:
    """A number of bytes in the largest unit that divides it, KiB at least: `64 KiB`."""
    for unit, shift in (("GiB", 30), ("MiB", 20)):
        if count_of_bytes % (1 << shift) == 0:
            return f"{count_of_bytes >> shift} {unit}"
    return f"{count_of_bytes >> 10} KiB"


def plural(number: int, noun: str) -> str:
    """`1 page`, `2 pages`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


# What a field holds, where the function alone says it.
KINDS: dict[Says, str] = {
    intid: "an INTID",
    priority: "a priority, 0 is the highest",
    running: "a priority, 0xff when idle",
    mask: "a priority that lets only higher ones through",
    affinity: "Aff3.Aff2.Aff1.Aff0",
    decimal: "a number",
}


# ---- bitmaps and arrays -----------------------------------------------------------


def members(numbers: Iterable[int]) -> str:
    """Numbers as people list them: `3, 5-8`."""
    bits = 0
    for number in numbers:
        bits |= 1 << number
    return ", ".join(f"{low}" if low == high else f"{low}-{high}" for high, low in runs(bits))


def bits_of(value: int) -> list[int]:
    """The positions of the bits that are set."""
    return [position for position in range(value.bit_length()) if value >> position & 1]


def bitmap(label: str, noun: str, first: Callable[[int | None], int | None]) -> Says:
    """A bit a thing: `enabled: INTID 33, 35-38`.

    `first` is the number of the thing at bit 0, by the register's n; where that is not
    known, bits are named.
    """

    def says(value: int, index: int | None) -> str:
        start = first(index)
        found = bits_of(value)
        if not found:
            return f"{label}: none"
        if start is None:
            return f"{label}: bit {members(found)}"
        return f"{label}: {noun} {members(start + position for position in found)}"

    return says


def flags(fields: Mapping[str, int], names: Iterable[str]) -> str:
    """Those of the flags that are set."""
    return ", ".join(name for name in names if fields[name])


def joined(*parts: str) -> str:
    """The parts that say something, with commas."""
    return ", ".join(part for part in parts if part)


def binary_point(group: int) -> Says:
    """Which bits of a priority preempt, IHI 0069H, 4.8.2.

    Group 1 has one bit more for the same number, as long as it has a binary point of its
    own.
    """

    def says(value: int, _: int | None) -> str:
        low = value + 1 - group
        if low > 7:
            return "no preemption"
        return "bits [7:0] preempt" if low <= 0 else f"bits [7:{low}] preempt"

    return says


# ---- numbers ----------------------------------------------------------------------


def number_text(value: int) -> str:
    """A number as people read it: small ones decimal, the others hexadecimal."""
    return str(value) if value < 10 else f"{value:#x}"


def runs(bits: int) -> list[tuple[int, int]]:
    """(highest, lowest) of each run of set bits, from the bottom."""
    found: list[tuple[int, int]] = []
    while bits:
        low = (bits & -bits).bit_length() - 1
        width = (~(bits >> low) & (bits >> low) + 1).bit_length() - 1
        found.append((low + width - 1, low))
        bits &= ~(((1 << width) - 1) << low)
    return found
