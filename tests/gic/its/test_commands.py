"""Commands as the ITS reads them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvtrap.gic.codecs import decode as show
from nvtrap.gic.codecs import encode
from nvtrap.gic.its.commands import REASONS, Command, decode

# A command by hand, from the figures of IHI 0069, 5.3: number, doublewords, fields.
BY_HAND = [
    ("MOVI", (0x07 << 32 | 0x01, 5, 3, 0), {"DeviceID": 7, "EventID": 5, "ICID": 3}),
    ("INT", (0x07 << 32 | 0x03, 5, 0, 0), {"DeviceID": 7, "EventID": 5}),
    ("CLEAR", (0x07 << 32 | 0x04, 5, 0, 0), {"DeviceID": 7, "EventID": 5}),
    ("SYNC", (0x05, 0, 2 << 16, 0), {"RDbase": 2}),
    (
        "MAPD",
        (0x07 << 32 | 0x08, 15, 1 << 63 | 0x4100_0000, 0),
        {"DeviceID": 7, "Size": 15, "V": 1, "ITT_addr": 0x41_0000},
    ),
    ("MAPC", (0x09, 0, 1 << 63 | 2 << 16 | 3, 0), {"V": 1, "RDbase": 2, "ICID": 3}),
    (
        "MAPTI",
        (0x07 << 32 | 0x0A, 8192 << 32 | 5, 3, 0),
        {"DeviceID": 7, "pINTID": 8192, "EventID": 5, "ICID": 3},
    ),
    ("MAPI", (0x07 << 32 | 0x0B, 8195, 3, 0), {"DeviceID": 7, "EventID": 8195, "ICID": 3}),
    ("INV", (0x07 << 32 | 0x0C, 5, 0, 0), {"DeviceID": 7, "EventID": 5}),
    ("INVALL", (0x0D, 0, 3, 0), {"ICID": 3}),
    ("MOVALL", (0x0E, 0, 1 << 16, 2 << 16), {"RDbase1": 1, "RDbase2": 2}),
    ("DISCARD", (0x07 << 32 | 0x0F, 5, 0, 0), {"DeviceID": 7, "EventID": 5}),
    (
        "VMOVI",
        (0x07 << 32 | 0x21, 9 << 32 | 5, 8200 << 32 | 1, 0),
        {"DeviceID": 7, "vPEID": 9, "EventID": 5, "Dbell_pINTID": 8200, "D": 1},
    ),
    ("VMOVP", (0x22, 9 << 32, 2 << 16, 0), {"vPEID": 9, "RDbase": 2}),
    ("VSYNC", (0x25, 9 << 32, 0, 0), {"vPEID": 9}),
    (
        "VMAPP",
        (0x29, 9 << 32, 1 << 63 | 2 << 16, 0x4210_0000 | 15),
        {"vPEID": 9, "V": 1, "RDbase": 2, "VPT_addr": 0x4210, "VPT_size": 15},
    ),
    (
        "VMAPTI",
        (0x07 << 32 | 0x2A, 9 << 32 | 5, 1023 << 32 | 8192, 0),
        {"DeviceID": 7, "vPEID": 9, "EventID": 5, "Dbell_pINTID": 1023, "vINTID": 8192},
    ),
    (
        "VMAPI",
        (0x07 << 32 | 0x2B, 9 << 32 | 8192, 1023 << 32, 0),
        {"DeviceID": 7, "vPEID": 9, "EventID": 8192, "Dbell_pINTID": 1023},
    ),
    ("VINVALL", (0x2D, 9 << 32, 0, 0), {"vPEID": 9}),
]


@pytest.mark.parametrize(("name", "words", "fields"), BY_HAND, ids=[case[0] for case in BY_HAND])
def test_fields_are_where_the_manual_has_them(
    name: str, words: tuple[int, ...], fields: dict[str, int]
) -> None:
    """Every command of GICv3 and GICv4.0; fields that are not given are 0."""
    data = b"".join(word.to_bytes(8, "little") for word in words)
    command = decode(data)
    assert command.name == name
    assert {field: value for field, value in command.fields.items() if value} == fields
    assert encode("ITS_COMMAND", {"Command": name, **fields}) == int.from_bytes(data, "little")


@given(st.binary(min_size=32, max_size=32))
def test_any_32_bytes_are_a_command(data: bytes) -> None:
    """With the fields that the codec shows."""
    command = decode(data)
    shown = show("ITS_COMMAND", int.from_bytes(data, "little")).as_dict()
    assert shown.pop("Command") == command.number == data[0]
    assert shown == command.fields


@pytest.mark.parametrize(
    ("number", "name", "reason", "mnemonic", "error_number"),
    [
        (0x01, "MOVI", "UNMAPPED_COLLECTION", "MOVI_UNMAPPED_COLLECTION", 0x010109),
        (0x03, "INT", "ITE_INVALID", "INT_ITE_INVALID", 0x010310),
        (0x04, "CLEAR", "UNMAPPED_INTERRUPT", "CLEAR_UNMAPPED_INTERRUPT", 0x010507),
        (0x08, "MAPD", "DEVICE_OOR", "MAPD_DEVICE_OOR", 0x010801),
        (0x08, "MAPD", "ITTSIZE_OOR", "MAPD_ITTSIZE_OOR", 0x010802),
        (0x09, "MAPC", "PROCNUM_OOR", "MAPC_PROCNUM_OOR", 0x010902),
        (0x0A, "MAPTI", "PHYSICALID_OOR", "MAPTI_PHYSICALID_OOR", 0x010A06),
        (0x0E, "MOVALL", "PROCNUM_OOR", "MOVALL_PROCNUM_OOR", 0x010E01),
        (0x0F, "DISCARD", "UNMAPPED_INTERRUPT", "DISCARD_UNMAPPED_INTERRUPT", 0x010F07),
        (0x21, "VMOVI", "CMDVCPU_INVALID", "VMOVI_CMDVCPU_INVALID", 0x012117),
        (0x25, "VSYNC", "VCPU_INVALID", "VSYNC_VCPU_INVALID", 0x012514),
        (0x29, "VMAPP", "VCPU_OOR", "VMAPP_VCPU_OOR", 0x012911),
        (0x2A, "VMAPTI", "VIRTUALID_OOR", "VMAPTI_VIRTUALID_OOR", 0x012A13),
    ],
)
def test_errors_have_the_manuals_names_and_numbers(
    number: int, name: str, reason: str, mnemonic: str, error_number: int
) -> None:
    """0x01, the command, the reason; but for CLEAR and MOVALL."""
    command = Command(number, name, {})
    assert command.error(reason) == mnemonic
    assert command.error_number(reason) == error_number


def test_reasons_of_one_command_have_numbers_of_their_own() -> None:
    """Only MAPD and MAPC share one."""
    numbers = [number for reason, number in REASONS.items() if reason != "PROCNUM_OOR"]
    assert len(numbers) == len(set(numbers))
