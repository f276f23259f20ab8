"""The commands of the ITS as it reads them, and their errors (IHI 0069, 5.3, 5.5)."""

from __future__ import annotations

from functools import cache

COMMAND_SIZE = 32

# What is wrong with a command → bits [7:0] of the error's number.
REASONS = {
    "DEVICE_OOR": 0x01,
    "ITTSIZE_OOR": 0x02,
    "PROCNUM_OOR": 0x02,
    "COLLECTION_OOR": 0x03,
    "UNMAPPED_DEVICE": 0x04,
    "ID_OOR": 0x05,
    "PHYSICALID_OOR": 0x06,
    "UNMAPPED_INTERRUPT": 0x07,
    "ID_IS_VIRTUAL": 0x08,
    "UNMAPPED_COLLECTION": 0x09,
    "ITE_INVALID": 0x10,
    "VCPU_OOR": 0x11,
    "VPTSIZE_OOR": 0x12,
    "VIRTUALID_OOR": 0x13,
    "VCPU_INVALID": 0x14,
    "ID_IS_PHYSICAL": 0x15,
    "ITEVCPU_INVALID": 0x16,
    "CMDVCPU_INVALID": 0x17,
    # Not the architecture's: the ITS reached memory that is not there, or has no such command.
    "NO_MEMORY": 0xFE,
    "UNSUPPORTED": 0xFF,
}
# Errors whose numbers are not 0x01, the command's number, the reason's number.
_IRREGULAR = {"MOVALL_PROCNUM_OOR": 0x01_0E01}
_ERROR_GROUPS = {0x04: 0x05}  # the errors of CLEAR have the number of SYNC


class Command:
    """A decoded command: its number and name, `fields` by the manual's names.

    The name is `COMMAND` where the number is no command's. Addresses are as in the
    fields: without the low bits that they do not hold.
    """

    __slots__ = ("fields", "name", "number")

    def __init__(self, number: int, name: str, fields: dict[str, int]) -> None:
        self.number = number
        self.name = name
        self.fields = fields

    def error(self, reason: str) -> str:
        """The mnemonic of an error: `MAPD_DEVICE_OOR`."""
        return f"{self.name}_{reason}"

    def error_number(self, reason: str) -> int:
        """The 24 bits that the architecture gives an error: 0x010801 for `MAPD_DEVICE_OOR`."""
        group = _ERROR_GROUPS.get(self.number, self.number)
        regular = 0x01 << 16 | group << 8 | REASONS[reason]
        return _IRREGULAR.get(self.error(reason), regular)


def decode(data: bytes) -> Command:
    """The command in 32 bytes, four little-endian doublewords with DW0 first."""
    value = int.from_bytes(data, "little")
    number = value & 0xFF
    name, layout = _layout(number)
    return Command(number, name, {field: value >> lsb & mask for field, lsb, mask in layout})


@cache
def _layout(number: int) -> tuple[str, tuple[tuple[str, int, int], ...]]:
    """The name of a command, and (name, lsb, mask) of its fields."""
    from nvtrap.gic.codecs.commands import COMMAND, COMMANDS  # only who has commands needs it

    fields = tuple(
        (field.name, field.lsb, (1 << field.width) - 1)
        for field in COMMAND.fields
        if field.when is not None and number in field.when[1]
    )
    return COMMANDS.get(number, "COMMAND"), fields
