"""The command queue: how far it goes, and where it stalls."""

from __future__ import annotations

import pytest

from nvtrap.gic.codecs import encode
from tests.gic.its import CBASER, CREADR, CTLR, CWRITER, QUEUE, VALID, Bench

SYNC = encode("ITS_COMMAND", {"Command": "SYNC"})
BAD = encode("ITS_COMMAND", {"Command": "MAPC", "V": 1, "RDbase": 9})


def fill(bench: Bench, count: int, command: int = SYNC, start: int = 0) -> None:
    """Put a command into the queue that often."""
    for index in range(start, start + count):
        bench.memory.write(QUEUE + 32 * index, 32, command)


def small(bench: Bench) -> None:
    """Make the queue one page, which is 128 commands."""
    bench.its.write(CTLR, 4, 0)
    bench.its.write(CBASER, 8, VALID | QUEUE)
    bench.its.write(CWRITER, 8, 0)
    bench.its.write(CTLR, 4, 1)


def test_it_wraps() -> None:
    """After the last command of the queue comes the first."""
    bench = Bench()
    small(bench)
    fill(bench, 128)
    bench.its.write(CWRITER, 8, 127 * 32)
    assert bench.its.read(CREADR, 8) == 127 * 32
    bench.its.write(CWRITER, 8, 2 * 32)
    assert bench.its.read(CREADR, 8) == 2 * 32


def test_nothing_is_read_while_it_is_disabled_or_invalid() -> None:
    """Commands wait for GITS_CTLR.Enabled and GITS_CBASER.Valid."""
    bench = Bench()
    small(bench)
    bench.its.write(CTLR, 4, 0)
    fill(bench, 2)
    bench.its.write(CWRITER, 8, 64)
    assert bench.its.read(CREADR, 8) == 0
    bench.its.write(CBASER, 8, QUEUE)
    bench.its.write(CTLR, 4, 1)
    assert bench.its.read(CREADR, 8) == 0
    bench.its.write(CTLR, 4, 0)
    bench.its.write(CBASER, 8, VALID | QUEUE)
    bench.its.write(CTLR, 4, 1)
    assert bench.its.read(CREADR, 8) == 64


def test_a_write_pointer_beyond_the_end_makes_it_invalid_until_it_is_in_range() -> None:
    """CONSTRAINED UNPREDICTABLE, IHI 0069, 12.19."""
    bench = Bench()
    small(bench)
    fill(bench, 4)
    bench.its.write(CWRITER, 8, 0x1000)
    assert bench.its.read(CREADR, 8) == 0
    assert bench.its.read(CWRITER, 8) == 0x1000
    bench.its.write(CWRITER, 8, 96)
    assert bench.its.read(CREADR, 8) == 96


def test_it_stalls_at_an_error_until_retry() -> None:
    """GITS_CREADR stays at the command and says Stalled; Retry alone goes on."""
    bench = Bench()
    fill(bench, 1)
    fill(bench, 1, BAD, 1)
    fill(bench, 2, SYNC, 2)
    bench.its.write(CWRITER, 8, 96)
    assert bench.its.read(CREADR, 8) == 32 | 1
    assert bench.its.queue.error == "MAPC_PROCNUM_OOR"
    assert bench.its.queue.error_number == 0x010902
    bench.its.write(CWRITER, 8, 128)
    bench.its.write(CTLR, 4, 0)
    bench.its.write(CTLR, 4, 1)
    assert bench.its.read(CREADR, 8) == 32 | 1
    bench.its.write(CWRITER, 8, 128 | 1)
    assert bench.its.read(CREADR, 8) == 32 | 1
    fill(bench, 1, SYNC, 1)
    bench.its.write(CWRITER, 8, 128 | 1)
    assert bench.its.read(CREADR, 8) == 128
    assert (bench.its.queue.error, bench.its.queue.error_number) == ("", 0)


def test_it_stalls_where_there_is_no_memory() -> None:
    """A queue outside RAM, or one that ends in the middle of a command."""
    bench = Bench()
    bench.its.write(CTLR, 4, 0)
    bench.its.write(CBASER, 8, VALID | 0x1_0000_0000)
    bench.its.write(CWRITER, 8, 32)
    bench.its.write(CTLR, 4, 1)
    assert bench.its.read(CREADR, 8) == 1
    assert bench.its.queue.error == "COMMAND_NO_MEMORY"
    assert bench.its.queue.error_number == 0x0100FE


@pytest.mark.parametrize("number", [0x00, 0x02, 0x06, 0x23, 0x2E, 0xFF])
def test_it_stalls_at_what_is_no_command_of_its_version(number: int) -> None:
    """Those of GICv4.1 (VSGI, INVDB) are not there."""
    bench = Bench()
    fill(bench, 1, number)
    bench.its.write(CWRITER, 8, 32)
    assert bench.its.queue.error.endswith("_UNSUPPORTED")
    assert bench.its.queue.error_number == 0x0100FF | number << 8


@pytest.mark.parametrize("name", ["VMAPP", "VMAPTI", "VMAPI", "VMOVI", "VMOVP", "VSYNC", "VINVALL"])
def test_without_gicv4_virtual_commands_are_none(name: str) -> None:
    """GITS_TYPER.Virtual 0."""
    bench = Bench(direct_injection=False)
    assert bench.command(name) == f"{name}_UNSUPPORTED"


def test_a_full_queue_of_1_mib_ends() -> None:
    """32767 commands are executed by one write."""
    bench = Bench()
    bench.memory.write_bytes(QUEUE, SYNC.to_bytes(32, "little") * 32768)
    bench.its.write(CWRITER, 8, 32767 * 32)
    assert bench.its.read(CREADR, 8) == 32767 * 32
