"""Values the way a person reads them."""

from __future__ import annotations

from pathlib import Path

import pytest

from nvtrap.gic.codecs import decode, encode

# One a line; the numbers of QEMU's `virt` board are among them.
SENTENCES = [
    line
    for line in Path(__file__).with_name("sentences.txt").read_text(encoding="utf-8").splitlines()
    if not line.startswith("#")
]
COMMANDS = (
    *("CLEAR", "DISCARD", "INT", "INV", "INVALL", "INVDB", "MAPC", "MAPD", "MAPI", "MAPTI"),
    *("MOVALL", "MOVI", "SYNC", "VINVALL", "VMAPI", "VMAPP", "VMAPTI", "VMOVI", "VMOVP"),
    *("VSGI", "VSYNC"),
)


@pytest.mark.parametrize("line", SENTENCES)
def test_a_value_reads_as_a_sentence(line: str) -> None:
    """Each family has its words; none of these values has a reserved bit."""
    given, _, sentence = line.partition(": ")
    name, numbers = given.split()
    value = 0
    for position, number in enumerate(numbers.split(",")):
        value |= int(number, 0) << 64 * position
    decoded = decode(name, value)
    assert decoded.sentence == sentence
    assert decoded.res0 == 0


@pytest.mark.parametrize(
    ("first", "last", "kind"),
    [
        (0, 15, "SGI"),
        (16, 31, "PPI"),
        (32, 1019, "SPI"),
        (1020, 1022, "special"),
        (1023, 1023, "spurious"),
        (1024, 1055, "reserved"),
        (1056, 1119, "extended PPI"),
        (1120, 4095, "reserved"),
        (4096, 5119, "extended SPI"),
        (5120, 8191, "reserved"),
        (8192, (1 << 32) - 1, "LPI"),
    ],
)
def test_an_intid_has_a_kind(first: int, last: int, kind: str) -> None:
    """IHI 0069H, 2.2.1."""
    for intid in (first, last):
        field = decode("ICH_LR0_EL2", intid).fields[-1]
        assert field.meaning == f"{intid} ({kind})"


def test_every_command_has_its_fields() -> None:
    """And a number of its own; all other numbers are no command."""
    numbers = {encode("ITS_COMMAND", {"Command": name}) for name in COMMANDS}
    assert len(numbers) == len(COMMANDS)
    for number in range(256):
        decoded = decode("ITS_COMMAND", number)
        assert (len(decoded.fields) > 1) == (number in numbers)
        assert decoded.sentence.startswith("no command ") == (number not in numbers)
