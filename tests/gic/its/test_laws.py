"""The ITS under software that means harm: it never raises, ends, and can be copied."""

from __future__ import annotations

import json
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from nvtrap.gic.codecs.commands import COMMAND, COMMANDS
from nvtrap.gic.its import Its
from nvtrap.gic.lpi.lpis import Lpis
from nvtrap.gic.lpi.vlpis import Vlpis
from tests.engine.helpers import examples
from tests.gic.its import (
    BASER,
    CBASER,
    COLLECTIONS,
    CONFIGURATION,
    CREADR,
    CTLR,
    CWRITER,
    DEVICES,
    ITTS,
    PENDING,
    PES,
    QUEUE,
    VALID,
    VPENDING,
    VPES,
    Bench,
)

ADDRESSES = (
    QUEUE, CONFIGURATION, DEVICES, COLLECTIONS, VPES, ITTS, VPENDING, *PENDING,
    0, 0x43FF_F000, 0x4400_0000, (1 << 52) - 0x1_0000,
)  # fmt: skip
SMALL = (0, 1, 2, 3, 4, 5, 15, 31, 1023, 8191, 8192, 8193, 8200, 65535, 65536, 0xFFFF_FFFF)


def doubleword(random: Random) -> int:
    """A number that is likely to mean something."""
    if random.random() < 0.2:
        return random.getrandbits(64)
    value = random.choice(SMALL) | random.choice(SMALL) << 32
    if random.random() < 0.5:
        value |= random.choice(ADDRESSES)
    return (value | random.getrandbits(1) << 63) & (1 << 64) - 1


def command(random: Random) -> bytes:
    """A command with any fields, or with likely ones."""
    if random.random() < 0.8:
        itt = ITTS + random.randrange(4) * 0x1000
        return likely(random, itt if random.random() < 0.8 else random.choice(ADDRESSES))
    words = [doubleword(random) for _ in range(4)]
    words[0] = words[0] & ~0xFF | random.choice([*COMMANDS, random.getrandbits(8)])
    return b"".join(word.to_bytes(8, "little") for word in words)


LIKELY = {
    "DeviceID": (1, 1, 1, 2, 2, 2, 0, 3, 65536),
    "EventID": (0, 1, 2, 3, 4, 8192, 8200, 65536),
    "ICID": (0, 1, 2, 0, 1, 2, 3, 0xFFFF),
    "pINTID": (8192, 8193, 8194, 65535, 8191, 65536),
    "vINTID": (8192, 8193, 8200, 65535, 8191, 65536),
    "Dbell_pINTID": (1023, 8192, 8193, 8200, 1022),
    "vPEID": (0, 1, 2, 0, 1, 2, 3, 0xFFFF),
    "RDbase": (0, 1, 2, 0, 1, 2, 3),
    "RDbase1": (0, 1, 2, 3),
    "RDbase2": (0, 1, 2, 3),
    "Size": (1, 4, 13, 13, 16),
    "VPT_size": (13, 15, 15, 31),
    "VPT_addr": tuple(VPENDING + n * 0x1_0000 >> 16 for n in range(3)),
    "V": (1, 1, 1, 0),
    "D": (0, 1),
}


def likely(random: Random, itt: int) -> bytes:
    """A command whose fields name things that there may be."""
    number = random.choice([*COMMANDS])
    if number in (0x08, 0x09, 0x0F, 0x29) and random.random() < 0.6:
        number = 0x03  # what maps and unmaps everything is rarer than what uses it
    value = number
    for field in COMMAND.fields:
        if field.when is not None and number in field.when[1]:
            choices = (itt >> 8,) if field.name == "ITT_addr" else LIKELY.get(field.name, (0,))
            value |= random.choice(choices) << field.lsb
    return value.to_bytes(32, "little")


def step(bench: Bench, random: Random) -> object:
    """Do something to a bench; what there is to see afterwards."""
    kind = random.choice((0, 0, 0, 0, 0, 0, 3, 4, 4, 4, 5, 6, 7, 7))
    answer: object = None
    if kind == 0:
        stuff(bench, random, random.randrange(1, 6))
    elif kind == 3:
        offset = random.choice(
            (CTLR, CBASER, CWRITER, CREADR, *range(BASER, BASER + 64, 8), 0x1_0040)
        )
        bench.its.write(
            offset + random.choice((0, 0, 4)), random.choice((4, 8)), doubleword(random)
        )
    elif kind == 4:
        answer = bench.its.translate(random.choice(SMALL), random.choice(SMALL))
    elif kind == 5:
        bench.memory.write(0x4000_0000 + (random.getrandbits(26) & ~7), 8, doubleword(random))
    elif kind == 6:
        lpis = random.choice(bench.lpis)
        lpis.enable(random.random() < 0.8)
        lpis.write(random.choice(sorted(Lpis.registers)), 8, doubleword(random))
    else:
        vlpis = random.choice(bench.vlpis)
        vlpis.write(random.choice(sorted(Vlpis.registers)), 8, doubleword(random))
    return answer, seen(bench)


def stuff(bench: Bench, random: Random, count: int) -> None:
    """Commands behind those that are there, with Retry at times."""
    base = bench.its.read(CBASER, 8) & (1 << 52) - (1 << 16)
    where = bench.its.read(CWRITER, 8)
    for index in range(count):
        if bench.memory.holds(base + where + 32 * index, 32):
            bench.memory.write_bytes(base + where + 32 * index, command(random))
    bench.its.write(CWRITER, 8, (where + 32 * count) % (1 << 20))
    for _ in range(count):
        if bench.its.queue.error and random.random() < 0.9:
            skip(bench)


def skip(bench: Bench) -> None:
    """Put a SYNC in the place of the command that the queue stalled at, and go on."""
    where = (bench.its.read(CBASER, 8) & (1 << 52) - (1 << 16)) + (bench.its.read(CREADR, 8) & ~1)
    if bench.memory.holds(where, 32):
        bench.memory.write(where, 32, 0x05)
    bench.its.write(CWRITER, 8, bench.its.read(CWRITER, 8) | 1)


def seen(bench: Bench) -> object:
    """What reading everything gives."""
    offsets = (CTLR, CBASER, CWRITER, CREADR, *range(BASER, BASER + 64, 8))
    registers = [bench.its.read(offset, 8) for offset in offsets]
    virtual = [vlpis.highest_pending() for vlpis in bench.vlpis]
    return registers, bench.its.queue.error, bench.waiting(), virtual


def prepared(random: Random) -> Bench:
    """A bench with devices, collections, vPEs and events, so that much works."""
    bench = Bench(indirect=random.random() < 0.5)
    for device_id in range(3):
        bench.map_device(device_id, event_bits=random.choice((2, 5, 16)))
    for vpe_id in range(3):
        bench.map_vpe(vpe_id, vpe_id)
    for event_id in range(4):
        place = {"DeviceID": 1, "EventID": event_id}
        bench.command("MAPTI", **place, pINTID=8192 + event_id, ICID=event_id % 3)
        place["DeviceID"] = 2
        bench.command("VMAPTI", **place, vINTID=8200, vPEID=event_id % 3, Dbell_pINTID=8192)
    for lpi in range(16):
        bench.configure(8192 + lpi, random.getrandbits(8))
        bench.configure_virtual(8192 + lpi, random.getrandbits(8))
    assert bench.its.queue.error == ""
    return bench


def copied(bench: Bench) -> Bench:
    """The same bench anew, through JSON."""
    copy = object.__new__(Bench)
    copy.parameters, copy.memory = bench.parameters, bench.memory.copy()
    copy.lpis = [Lpis(copy.parameters, copy.memory) for _ in range(PES)]
    copy.vlpis = [Vlpis(copy.parameters, copy.memory) for _ in range(PES)]
    copy.its = Its(copy.parameters, copy.memory, copy.lpis, copy.vlpis)
    for pe in range(PES):
        copy.lpis[pe].load(through_json(bench.lpis[pe].state()))
        copy.vlpis[pe].load(through_json(bench.vlpis[pe].state()))
    copy.its.load(through_json(bench.its.state()))
    assert states(copy) == states(bench)
    return copy


def through_json(state: dict[str, Any]) -> dict[str, Any]:
    """A state as it comes back from a file."""
    loaded: dict[str, Any] = json.loads(json.dumps(state))
    return loaded


def states(bench: Bench) -> list[dict[str, Any]]:
    """The states of all parts."""
    physical = [lpis.state() for lpis in bench.lpis]
    return [*physical, *(vlpis.state() for vlpis in bench.vlpis), bench.its.state()]


@settings(max_examples=examples(60))
@given(st.integers(0, 1 << 32))
def test_hostile_software_is_survived_and_a_copy_has_the_same_future(seed: int) -> None:
    """Any commands, registers and table contents; the copy is made in the middle."""
    random = Random(seed)
    bench = prepared(random)
    for _ in range(random.randrange(40)):
        step(bench, random)
    copy = copied(bench)
    again = random.getrandbits(32)
    one, other = Random(again), Random(again)
    for _ in range(25):
        assert step(copy, other) == step(bench, one)
    assert copy.memory.pages() == bench.memory.pages()
    assert states(copy) == states(bench)


@settings(max_examples=examples(60))
@given(st.integers(0, 1 << 32))
def test_flat_and_two_level_tables_behave_alike(seed: int) -> None:
    """The same commands have the same errors and deliver the same LPIs."""
    flat, two = Bench(pages=128), Bench(indirect=True, pages=1)
    random = Random(seed)
    for bench in (flat, two):
        bench.map_device(event_bits=14)
        bench.map_vpe(1, 1)
    for lpi in range(16):
        for bench in (flat, two):
            bench.configure(8192 + lpi, 8 * lpi)
    for _ in range(60):
        data = likely(random, ITTS + random.randrange(4) * 0x10_0000)
        for bench in (flat, two):
            where = bench.its.read(CREADR, 8) & ~1
            bench.memory.write_bytes(QUEUE + where, data)
            bench.its.write(CWRITER, 8, (where + 32) % (1 << 20) | 1)
        assert flat.its.queue.error == two.its.queue.error
        assert flat.waiting() == two.waiting()
        device_id, event_id = random.randrange(4), random.randrange(5)
        assert flat.its.translate(device_id, event_id) == two.its.translate(device_id, event_id)
        assert flat.waiting() == two.waiting()


@given(
    st.booleans(),
    st.integers(0, 8191),
    st.integers(0, (1 << 14) - 1),
    st.integers(8192, 65535),
    st.integers(0, 2),
    st.integers(0, 255),
)
def test_an_event_delivers_exactly_its_lpi(
    indirect: bool, device_id: int, event_id: int, intid: int, pe: int, byte: int
) -> None:
    """Every device, event, LPI and PE, whatever the configuration."""
    bench = Bench(indirect=indirect)
    for number in range(3):
        bench.command("MAPC", V=1, ICID=number, RDbase=number)
    bench.command("MAPD", V=1, DeviceID=device_id, Size=13, ITT_addr=ITTS >> 8)
    bench.command("MAPTI", DeviceID=device_id, EventID=event_id, pINTID=intid, ICID=pe)
    bench.configure(intid, byte, enabled=bool(byte & 1))
    assert bench.its.translate(device_id, event_id) == ""
    expected: list[tuple[int, int] | None] = [None, None, None]
    if byte & 1:
        expected[pe] = (byte & 0xF8, intid)
    assert bench.waiting() == expected
    for number, lpis in enumerate(bench.lpis):
        lpis.enable(False)
        table = bench.memory.read(PENDING[number], 8192)
        assert table == (1 << intid if number == pe else 0)


def test_a_queue_full_of_moves_ends() -> None:
    """1 MiB of MOVALL and INVALL over full Pending tables."""
    bench = Bench()
    bench.map_device()
    bench.lpis[0].enable(False)
    bench.memory.write_bytes(PENDING[0], b"\xff" * 8192)
    bench.lpis[0].enable(True)
    there = (
        (0x0E).to_bytes(16, "little") + (0).to_bytes(8, "little") + (1 << 16).to_bytes(8, "little")
    )
    back = (0x0E).to_bytes(16, "little") + (1 << 16).to_bytes(8, "little") + bytes(8)
    forget = (0x0D).to_bytes(32, "little")
    bench.memory.write_bytes(QUEUE, (there + forget + back + forget) * 8192)
    bench.its.write(CWRITER, 8, VALID | 32767 * 32)
    assert bench.its.read(CREADR, 8) == 32767 * 32
    assert all(bench.lpis[0].is_pending(intid) for intid in range(8192, 65536))
