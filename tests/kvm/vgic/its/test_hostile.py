"""Guests and user spaces that mean harm to an ITS: every call ends, as one that may be."""

from __future__ import annotations

from random import Random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nvtrap.kvm.vgic.device import Group
from tests.kvm.vgic.its.guests import (
    BASER0,
    BASER1,
    CBASER,
    COLLECTION_TABLE,
    CTLR,
    CWRITER,
    DEVICE_TABLE,
    EVENT_TABLES,
    GITS,
    LPI,
    NOWHERE,
    QUEUE,
    RAM,
    RAM_SIZE,
    VALID,
    Guest,
    command,
    event_table,
    mapc,
    mapd,
    pending_table,
    refusal,
)
from tests.kvm.vgic.machines import GICR

ADDRESSES = (RAM, DEVICE_TABLE, COLLECTION_TABLE, QUEUE, EVENT_TABLES, pending_table(0), NOWHERE)
REGISTERS = (CTLR, 4, CBASER, CWRITER, 0x90, BASER0, BASER1, 0x110, 0xFFE8)
ERRNOS = {"", "EINVAL", "ENXIO", "EBUSY", "EFAULT", "EEXIST"}
SLOW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
SEEDS = st.integers(0, 1 << 32)


def word(random: Random) -> int:
    """Eight bytes that are small, an address, or anything."""
    kind = random.random()
    if kind < 0.4:
        return random.randrange(64)
    if kind < 0.7:
        low = random.choice((0, random.randrange(64), LPI + random.randrange(64)))
        return random.choice(ADDRESSES) | random.choice((0, VALID, VALID >> 1)) | low
    return random.getrandbits(64) & random.choice((-1, 0xFFFF_FFFF, 0xFF_FFFF_FFFF_FFFF))


CODES = (*range(17), 1, 3, 3, 3, 4, 8, 9, 9, *[0xA] * 8, 0xF)


def instruction(random: Random) -> bytes:
    """A command that could be right, most of the time."""
    if random.random() < 0.1:
        return command(*(word(random) for _ in range(4)))
    device, event, lpi = random.randrange(4), random.randrange(8), LPI + random.randrange(16)
    table = EVENT_TABLES + 0x100 * device
    if random.random() < 0.1:
        table = random.choice((QUEUE, DEVICE_TABLE, NOWHERE, RAM + RAM_SIZE - 0x100))
    valid = random.choice((0, VALID, VALID, VALID, VALID))
    target = random.choice((0, 0, 1, 1, 2)) << 16
    code = random.choice(CODES)
    third = valid | (table if code == 8 else target | random.randrange(4))
    return command(code | device << 32, event | lpi << 32, third, random.randrange(3) << 16)


def check(guest: Guest) -> None:
    """LPIs are there as long as something leads to them or they are listed, and no longer."""
    mappings = guest.its.mappings
    events = [event for device in mappings.sort_devices() for event in device.events.values()]
    lpis = guest.vm.vgic.lpis
    for intid, irq in lpis.items():
        assert irq.mappings == sum(event.irq is irq for event in events)
        assert irq.intid == intid
        assert irq.mappings or irq.vcpu is not None
    listed = [irq for vcpu in guest.vm.vcpus for irq in vcpu.ap_list]
    assert len(listed) == len({id(irq) for irq in listed})
    assert all(lpis[irq.intid] is irq for irq in listed if irq.intid >= LPI)
    assert all(lpis[event.irq.intid] is event.irq for event in events)
    for event in events:
        kept = event.collection
        assert kept is None or mappings.collections[kept.id] is kept


@SLOW
@given(SEEDS)
def test_any_queue_is_worked_off(seed: int) -> None:
    random = Random(seed)
    guest = Guest(2)
    guest.send(*(mapc(n, n) for n in range(2)), *(mapd(n, event_table(n)) for n in range(4)))
    for _ in range(8):
        guest.send(*(instruction(random) for _ in range(32)))
        guest.take(random.randrange(2))
        check(guest)


@SLOW
@given(SEEDS)
def test_any_memory_is_restored_or_refused(seed: int) -> None:
    random = Random(seed)
    guest = Guest(2)
    memory = guest.vm.memory
    damage = random.choice((0, 0, 0.02, 0.1))
    for base in (DEVICE_TABLE, COLLECTION_TABLE, *(EVENT_TABLES + 0x100 * n for n in range(4))):
        for place in range(random.randrange(4, 16)):
            memory.write(base + 8 * place, 8, entry(random, base, place, damage))
    outcome = refusal(guest.control, 2)
    assert outcome in {"", "EINVAL", "EFAULT", "EEXIST"}
    if outcome:
        assert not guest.its.mappings.collections
        assert not guest.its.mappings.sort_devices()
    check(guest)
    assert refusal(guest.control, 1) in {"", "EFAULT"}


def entry(random: Random, base: int, place: int, damage: float) -> int:
    """An entry of a table, wrong with a chance of `damage`."""
    if random.random() < damage:
        return word(random)
    if base == COLLECTION_TABLE:
        return VALID | random.randrange(2) << 16 | place
    step = random.choice((0, 1, 1, 1, 1, 2, 3))
    if base == DEVICE_TABLE:
        table = EVENT_TABLES + 0x100 * random.randrange(4)
        return VALID | step << 49 | table >> 8 << 5 | random.randrange(4, 8)
    return step << 48 | LPI + random.randrange(32) << 16 | random.randrange(4)


@SLOW
@given(SEEDS)
def test_any_calls_fail_only_as_documented(seed: int) -> None:
    """Registers, tables and redistributors in any order, with any values, and MSIs between."""
    random = Random(seed)
    guest = Guest(2, on=random.random() < 0.8)
    guest.vm.memory.write_bytes(QUEUE, b"".join(instruction(random) for _ in range(0x800)))
    for _ in range(60):
        kind = random.randrange(7)
        offset, value = random.choice(REGISTERS), word(random)
        if kind == 0:
            guest.write(GITS + offset, random.choice((4, 8)), value & 0xFFFF_FFFF)
        elif kind == 1:
            guest.write(GITS + CWRITER, 4, 32 * random.randrange(0x800))
        elif kind == 2:
            group, attr = Group.ITS_REGS, random.choice((offset, value))
            assert refusal(guest.device.set_attr, group, attr, word(random) % (1 << 64)) in ERRNOS
        elif kind == 3:
            assert refusal(guest.control, random.choice((0, 1, 2, 2, 4))) in ERRNOS
        elif kind == 4:
            guest.write(GICR + random.choice((0, 0x70, 0x78, 0xA0, 0xB0)), 4, value & 0xFFFF_FFFF)
        elif kind == 5:
            outcome = refusal(guest.msi, random.randrange(8), random.randrange(32))
            assert outcome in {"", "EBUSY"}
        else:
            guest.take(random.randrange(2))
        check(guest)
