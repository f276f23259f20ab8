"""The commands of the ITS: 32 bytes, four doublewords (IHI 0069H, 5.3).

A command is one value of 256 bits with DW0 lowest. Those of GICv4.1 have all fields of
GICv4.0 and more, and stand once.
"""

from __future__ import annotations

from nvtrap.gic.codecs.layout import DOUBLEWORD, Field, Register
from nvtrap.gic.codecs.meaning import address, bits_of, decimal, intid, members, number_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from nvtrap.gic.codecs.layout import Says

COMMANDS = {
    0x01: "MOVI",
    0x03: "INT",
    0x04: "CLEAR",
    0x05: "SYNC",
    0x08: "MAPD",
    0x09: "MAPC",
    0x0A: "MAPTI",
    0x0B: "MAPI",
    0x0C: "INV",
    0x0D: "INVALL",
    0x0E: "MOVALL",
    0x0F: "DISCARD",
    0x21: "VMOVI",
    0x22: "VMOVP",
    0x23: "VSGI",
    0x25: "VSYNC",
    0x29: "VMAPP",
    0x2A: "VMAPTI",
    0x2B: "VMAPI",
    0x2D: "VINVALL",
    0x2E: "INVDB",
}
_NUMBERS = {name: number for number, name in COMMANDS.items()}


def _target(value: int, _: int | None) -> str:
    """RDbase [51:16]: an address or, with GITS_TYPER.PTA = 0, a PE's number."""
    return f"PE {value & 0xFFFF}, or the redistributor at {value << 16:#x} if PTA is 1"


def _its_list(value: int, _: int | None) -> str:
    return f"ITS {members(bits_of(value))}" if value else "no ITS"


def _events(value: int, _: int | None) -> str:
    return f"{value + 1} bits of EventID"


def _doorbell(value: int, _: int | None) -> str:
    return "no doorbell" if value == 1023 else intid(value)


def _sgi_priority(value: int, _: int | None) -> str:
    return f"{value << 4:#x}"


_OF_EVENTS = "CLEAR DISCARD INT INV MAPI MAPTI MOVI VMAPI VMAPTI VMOVI"
# (field, doubleword, msb, lsb, meaning, commands that have it), DW0 first
_LAYOUT: tuple[tuple[str, int, int, int, Says | tuple[str, ...], str], ...] = (
    ("DeviceID", 0, 63, 32, (), f"MAPD {_OF_EVENTS}"),
    ("VCONF_addr", 0, 51, 16, address(16), "VMAPP"),
    ("SequenceNumber", 0, 47, 32, decimal, "VMOVP"),
    ("vINTID", 0, 35, 32, intid, "VSGI"),
    ("Priority", 0, 23, 20, _sgi_priority, "VSGI"),
    ("Group", 0, 10, 10, ("Group 0", "Group 1"), "VSGI"),
    ("PTZ", 0, 9, 9, ("", "the pending table is all zero"), "VMAPP"),
    ("Clear", 0, 9, 9, ("configure", "clear the pending state"), "VSGI"),
    ("Alloc", 0, 8, 8, ("", "the first mapping or the last unmapping"), "VMAPP"),
    ("Enable", 0, 8, 8, ("disabled", "enabled"), "VSGI"),
    ("pINTID", 1, 63, 32, intid, "MAPTI"),
    ("vPEID", 1, 47, 32, decimal, "INVDB VINVALL VMAPI VMAPP VMAPTI VMOVI VMOVP VSGI VSYNC"),
    ("EventID", 1, 31, 0, (), _OF_EVENTS),
    ("Default_Doorbell_pINTID", 1, 31, 0, _doorbell, "VMAPP"),
    ("ITSList", 1, 15, 0, _its_list, "VMOVP"),
    ("Size", 1, 4, 0, _events, "MAPD"),
    ("V", 2, 63, 63, ("unmap", "map"), "MAPC MAPD VMAPP"),
    ("DB", 2, 63, 63, ("", "the default doorbell moves too"), "VMOVP"),
    ("Dbell_pINTID", 2, 63, 32, _doorbell, "VMAPI VMAPTI VMOVI"),
    ("ITT_addr", 2, 51, 8, address(8), "MAPD"),
    ("RDbase", 2, 51, 16, _target, "MAPC SYNC VMAPP VMOVP"),
    ("RDbase1", 2, 51, 16, _target, "MOVALL"),
    ("vINTID", 2, 31, 0, intid, "VMAPTI"),
    ("ICID", 2, 15, 0, decimal, "INVALL MAPC MAPI MAPTI MOVI"),
    ("D", 2, 0, 0, ("the doorbell stays", "the doorbell changes"), "VMOVI"),
    ("RDbase2", 3, 51, 16, _target, "MOVALL"),
    ("VPT_addr", 3, 51, 16, address(16), "VMAPP"),
    ("Default_Doorbell_pINTID", 3, 31, 0, _doorbell, "VMOVP"),
    ("VPT_size", 3, 4, 0, lambda value, _: f"{value + 1} bits of vINTID", "VMAPP"),
)


_KINDS: dict[object, str] = {
    _target: "the address of a redistributor or, with PTA = 0, the number of a PE",
    _doorbell: "an INTID, 1023 for no doorbell",
}


def _fields() -> Iterator[Field]:
    yield Field("Command", 7, 0, COMMANDS)
    for name, word, msb, lsb, meaning, commands in _LAYOUT:
        base = word * DOUBLEWORD
        which = ("Command", tuple(_NUMBERS[command] for command in commands.split()))
        about = _KINDS.get(meaning, "")
        yield Field(name, base + msb, base + lsb, meaning, when=which, about=about)


def _sentence(fields: Mapping[str, int], _: int | None) -> str:
    command = COMMANDS.get(fields["Command"])
    if command is None:
        return f"no command has the number {fields['Command']:#x}"
    words = []
    for field in sorted(COMMAND.fields, key=lambda field: field.lsb):
        given = field.when is not None and fields["Command"] in field.when[1]
        if given and (field.width > 1 or fields[field.name]):
            words.append(_word(field, fields[field.name]))
    if "V" in fields and not fields["V"]:
        words.append("unmap")
    return f"{command}: {', '.join(words)}" if words else command


def _word(field: Field, value: int) -> str:
    if field.width == 1:
        return field.values.get(1, field.name)
    if field.says is _target:
        return f"{field.name} {number_text(value)}"
    return f"{field.name} {field.means(value, None) or number_text(value)}"


COMMAND = Register(
    "ITS_COMMAND", 4 * DOUBLEWORD, "a command of the ITS", _fields(), sentence=_sentence
)
REGISTERS = (COMMAND,)
