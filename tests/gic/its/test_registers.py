"""GITS_*: what reads and writes of the ITS's frames do."""

from __future__ import annotations

from typing import Any

import pytest

from nvtrap.arch.memory import Memory
from nvtrap.gic.its import Its
from nvtrap.gic.parameters import Parameters
from tests.gic.its import BASER, CBASER, CREADR, CTLR, CWRITER, VALID, Bench

ALL = (1 << 64) - 1


def fresh(**choices: Any) -> Its:
    """An ITS out of reset, with no redistributors."""
    return Its(Parameters(its=True, **choices), Memory(), [])


def gicv4(**choices: Any) -> Its:
    """The same with direct injection."""
    return fresh(direct_injection=True, gits_base=0x0900_0000, **choices)


def test_out_of_reset_it_is_quiescent() -> None:
    """GITS_CTLR.Quiescent follows Enabled; nothing else of it can be written."""
    its = fresh()
    assert its.read(CTLR, 4) == 1 << 31
    its.write(CTLR, 4, ALL)
    assert its.read(CTLR, 4) == 1
    its.write(CTLR, 4, ALL - 1)
    assert its.read(CTLR, 4) == 1 << 31


def test_identification() -> None:
    """GITS_IIDR and the identification registers as Arm's; the architecture's version."""
    assert fresh().read(0x4, 4) == 0x43B
    assert fresh().read(0xFFE8, 4) == 0x3B
    assert gicv4().read(0xFFE8, 4) == 0x4B
    component = [fresh().read(0xFFF0 + 4 * n, 4) for n in range(4)]
    assert component == [0x0D, 0xF0, 0x05, 0xB1]


def test_typer_says_what_was_chosen() -> None:
    """Physical, Devbits, ID_bits and ITT_entry_size; with GICv4 Virtual and VMOVP."""
    its = fresh(its_device_bits=20, its_event_bits=11)
    assert its.read(0x8, 8) == 19 << 13 | 10 << 8 | 15 << 4 | 1
    assert its.read(0x8, 4) == its.read(0x8, 8) & 0xFFFF_FFFF
    assert gicv4().read(0x8, 8) == 1 << 37 | 15 << 13 | 15 << 8 | 15 << 4 | 3
    assert gicv4().read(0xC, 4) == 1 << 5


@pytest.mark.parametrize(("number", "kind"), [(0, 1), (1, 4), (2, 2)])
def test_basers_have_a_type_and_an_entry_size(number: int, kind: int) -> None:
    """Those cannot be written; the rest can, in halves too."""
    its = gicv4()
    offset, fixed = BASER + 8 * number, kind << 56 | 7 << 48
    assert its.read(offset, 8) == fixed
    its.write(offset, 8, ALL)
    assert its.read(offset, 8) == ALL & ~(0x7 << 56 | 0x1F << 48) | fixed
    its.write(offset, 4, 0)
    assert its.read(offset, 8) >> 32 == (ALL & ~(0x7 << 56 | 0x1F << 48) | fixed) >> 32
    assert its.read(offset, 4) == 0


@pytest.mark.parametrize("number", [2, 3, 7])
def test_basers_that_are_not_there_are_zero(number: int) -> None:
    """Without GICv4 there are two tables."""
    its = fresh()
    its.write(BASER + 8 * number, 8, ALL)
    assert its.read(BASER + 8 * number, 8) == 0


def test_cbaser_keeps_its_fields() -> None:
    """RES0 bits stay 0, and bits [15:12] of the address are taken as zero."""
    its = fresh()
    its.write(CBASER, 8, ALL)
    assert its.read(CBASER, 8) == 0xB8EF_FFFF_FFFF_0CFF


def test_tables_do_not_move_while_the_its_is_enabled() -> None:
    """Writes to GITS_CBASER and GITS_BASER<n> are ignored then."""
    bench = Bench()
    before = [bench.its.read(offset, 8) for offset in (CBASER, BASER, BASER + 8)]
    for offset in (CBASER, BASER, BASER + 12):
        bench.its.write(offset, 4, 0)
    assert [bench.its.read(offset, 8) for offset in (CBASER, BASER, BASER + 8)] == before


def test_the_read_pointer_cannot_be_written() -> None:
    """GITS_CREADR is read-only; GITS_CWRITER keeps its offset and reads Retry as 0."""
    its = fresh()
    its.write(CREADR, 8, ALL)
    its.write(CWRITER, 8, ALL)
    assert its.read(CREADR, 8) == 0
    assert its.read(CWRITER, 8) == 0xF_FFE0
    its.write(CWRITER + 4, 4, ALL)
    assert its.read(CWRITER, 8) == 0xF_FFE0
    its.write(CWRITER, 4, 0x41)
    assert its.read(CWRITER, 4) == 0x40


def test_everything_else_is_zero_and_ignored() -> None:
    """Every offset of both frames in every size: only the registers there are answer."""
    its = gicv4()
    wide = {0x8, CBASER, CWRITER, CREADR, *range(BASER, BASER + 24, 8)}
    words = {0x0, 0x4, *range(0xFFD0, 0x1_0000, 4)} | wide | {offset + 4 for offset in wide}
    before = its.state()
    for offset in [*range(0x200), *range(0xFF00, 0x1_0100), 0x1_FFFC, 0x2_0020]:
        for size in (1, 2, 4, 8, 16):
            if (size == 4 and offset in words) or (size == 8 and offset in wide):
                continue
            its.write(offset, size, ALL)
            assert its.read(offset, size) == 0, (hex(offset), size)
    assert its.state() == before


def test_a_pe_that_writes_the_translater_sends_nothing() -> None:
    """Such a write has no DeviceID."""
    bench = Bench()
    bench.map_device(0)
    assert bench.command("MAPTI", DeviceID=0, EventID=0, pINTID=8192, ICID=0) == ""
    bench.its.write(0x1_0040, 4, 0)
    assert not bench.lpis[0].is_pending(8192)
    assert bench.its.read(0x1_0040, 4) == 0
    assert bench.its.translate(0, 0) == ""
    assert bench.lpis[0].is_pending(8192)


def test_a_new_queue_begins_at_its_start() -> None:
    """Writing GITS_CBASER sets GITS_CREADR to 0, with Stalled."""
    bench = Bench()
    bench.command("SYNC", RDbase=0)
    assert bench.command("MAPC", V=1, ICID=0, RDbase=99) == "MAPC_PROCNUM_OOR"
    assert bench.its.read(CREADR, 8) == 0x21
    bench.its.write(CTLR, 4, 0)
    bench.its.write(CBASER, 8, VALID | 0x4000_0000)
    assert bench.its.read(CREADR, 8) == 0
    assert bench.its.queue.error == ""
