"""What the commands for physical LPIs do, and their errors."""

from __future__ import annotations

import pytest

from tests.gic.its import COLLECTIONS, DEVICES, ITTS, PENDING, VALID, Bench

WILD_ITT = 0x7000_0000


def mapped(indirect: bool = False) -> Bench:
    """Event 2 of device 1 is LPI 8200 at PE 1, of priority 0x40."""
    bench = Bench(indirect)
    bench.map_device()
    bench.configure(8200, 0x40)
    assert bench.command("MAPTI", DeviceID=1, EventID=2, pINTID=8200, ICID=1) == ""
    return bench


def stall_and_skip(bench: Bench, name: str, **fields: int) -> str:
    """The error of a command; the queue then goes on behind it."""
    error = bench.command(name, **fields)
    assert bench.retry("SYNC") == ""
    return error


@pytest.mark.parametrize("indirect", [False, True])
def test_an_event_becomes_exactly_its_lpi(indirect: bool) -> None:
    """At the PE of its collection and at no other."""
    bench = mapped(indirect=indirect)
    assert bench.its.translate(1, 2) == ""
    assert bench.waiting() == [None, (0x40, 8200), None]
    pending = [i for i in range(8192, 65536) for lpis in bench.lpis if lpis.is_pending(i)]
    assert pending == [8200]


def test_int_is_what_the_device_does_and_clear_takes_it_back() -> None:
    """INT and CLEAR."""
    bench = mapped()
    assert bench.command("INT", DeviceID=1, EventID=2) == ""
    assert bench.lpis[1].is_pending(8200)
    assert bench.command("CLEAR", DeviceID=1, EventID=2) == ""
    assert bench.waiting() == [None, None, None]


def test_mapi_maps_to_the_lpi_of_the_same_number() -> None:
    """EventID and INTID are one."""
    bench = Bench()
    bench.map_device(event_bits=14)
    assert bench.command("MAPI", DeviceID=1, EventID=8193, ICID=0) == ""
    assert bench.its.translate(1, 8193) == ""
    assert bench.lpis[0].is_pending(8193)


def test_an_event_moves_with_its_pending_state() -> None:
    """MOVI."""
    bench = mapped()
    bench.its.translate(1, 2)
    assert bench.command("MOVI", DeviceID=1, EventID=2, ICID=2) == ""
    assert bench.waiting() == [None, None, (0x40, 8200)]
    bench.lpis[2].acknowledge(8200)
    assert bench.command("MOVI", DeviceID=1, EventID=2, ICID=0) == ""
    assert bench.waiting() == [None, None, None]
    bench.its.translate(1, 2)
    assert bench.waiting() == [(0x40, 8200), None, None]


def test_everything_pending_moves() -> None:
    """MOVALL, which changes no mapping."""
    bench = mapped()
    bench.its.translate(1, 2)
    assert bench.command("MOVALL", RDbase1=1, RDbase2=0) == ""
    assert bench.waiting() == [(0x40, 8200), None, None]
    bench.its.translate(1, 2)
    assert bench.waiting() == [(0x40, 8200), (0x40, 8200), None]


def test_discarding_takes_the_mapping_and_the_pending_state() -> None:
    """DISCARD."""
    bench = mapped()
    bench.its.translate(1, 2)
    assert bench.command("DISCARD", DeviceID=1, EventID=2) == ""
    assert bench.waiting() == [None, None, None]
    assert bench.its.translate(1, 2) == "INT_UNMAPPED_INTERRUPT"


def test_configuration_is_read_again_after_inv_and_invall() -> None:
    """INV for an event's LPI, INVALL for a collection's PE."""
    bench = mapped()
    bench.its.translate(1, 2)
    bench.configure(8200, 0x80)
    assert bench.command("INVALL", ICID=0) == ""
    assert bench.waiting()[1] == (0x40, 8200)
    assert bench.command("INV", DeviceID=1, EventID=2) == ""
    assert bench.waiting()[1] == (0x80, 8200)
    bench.configure(8200, 0, enabled=False)
    assert bench.command("INVALL", ICID=1) == ""
    assert bench.waiting()[1] is None


def test_a_mapping_is_replaced() -> None:
    """MAPTI of an event that is mapped."""
    bench = mapped()
    assert bench.command("MAPTI", DeviceID=1, EventID=2, pINTID=9000, ICID=0) == ""
    bench.its.translate(1, 2)
    assert bench.lpis[0].is_pending(9000)
    assert not bench.lpis[1].is_pending(8200)


def test_unmapping_a_device_or_a_collection_stops_its_interrupts() -> None:
    """MAPD and MAPC with V = 0; their other fields do not matter then."""
    bench = mapped()
    assert bench.command("MAPC", V=0, ICID=1, RDbase=99) == ""
    assert bench.its.translate(1, 2) == "INT_ITE_INVALID"
    assert bench.command("MAPD", V=0, DeviceID=1, Size=31) == ""
    assert bench.its.translate(1, 2) == "INT_UNMAPPED_DEVICE"


def test_pending_lpis_are_in_memory_after_enable_lpis_is_cleared() -> None:
    """What the ITS sent is in the Pending table of the PE; what it then sends is lost."""
    bench = mapped()
    bench.its.translate(1, 2)
    bench.lpis[1].enable(False)
    assert bench.memory.read(PENDING[1] + 8200 // 8, 1) == 1
    bench.command("CLEAR", DeviceID=1, EventID=2)
    bench.command("INT", DeviceID=1, EventID=2)
    assert bench.memory.read(PENDING[1] + 8200 // 8, 1) == 1


# ---- errors ---------------------------------------------------------------------------

EVENT = {"DeviceID": 1, "EventID": 2}
FREE = {"DeviceID": 1, "EventID": 3}
ERRORS = [
    ("MAPD_DEVICE_OOR", {"DeviceID": 8192, "V": 1}),
    ("MAPD_DEVICE_OOR", {"DeviceID": 0xFFFF_FFFF, "V": 0}),
    ("MAPD_ITTSIZE_OOR", {"DeviceID": 1, "V": 1, "Size": 16}),
    ("MAPD_NO_MEMORY", {"DeviceID": 0x1FFF, "V": 1, "Size": 1}),
    ("MAPC_COLLECTION_OOR", {"ICID": 8192, "V": 1}),
    ("MAPC_PROCNUM_OOR", {"ICID": 0, "V": 1, "RDbase": 3}),
    ("MAPTI_DEVICE_OOR", {"DeviceID": 8192, "pINTID": 8192}),
    ("MAPTI_UNMAPPED_DEVICE", {"DeviceID": 2, "pINTID": 8192}),
    ("MAPTI_ID_OOR", {"DeviceID": 1, "EventID": 32, "pINTID": 8192}),
    ("MAPTI_COLLECTION_OOR", {**FREE, "ICID": 8192, "pINTID": 8192}),
    ("MAPTI_PHYSICALID_OOR", {**FREE, "pINTID": 8191}),
    ("MAPTI_PHYSICALID_OOR", {**FREE, "pINTID": 65536}),
    ("MAPI_DEVICE_OOR", {"DeviceID": 8192, "EventID": 8192}),
    ("MAPI_UNMAPPED_DEVICE", {"DeviceID": 2, "EventID": 8192}),
    ("MAPI_ID_OOR", {"DeviceID": 1, "EventID": 8192}),
    ("MAPI_PHYSICALID_OOR", FREE),
    ("MOVI_DEVICE_OOR", {"DeviceID": 8192}),
    ("MOVI_UNMAPPED_DEVICE", {"DeviceID": 2}),
    ("MOVI_ID_OOR", {"DeviceID": 1, "EventID": 32}),
    ("MOVI_UNMAPPED_INTERRUPT", FREE),
    ("MOVI_COLLECTION_OOR", {**EVENT, "ICID": 8192}),
    ("MOVI_UNMAPPED_COLLECTION", {**EVENT, "ICID": 3}),
    ("MOVI_ID_IS_VIRTUAL", {"DeviceID": 1, "EventID": 4}),
    ("MOVI_ITE_INVALID", {"DeviceID": 1, "EventID": 5}),
    ("MOVALL_PROCNUM_OOR", {"RDbase1": 3}),
    ("MOVALL_PROCNUM_OOR", {"RDbase2": 0xFFFF}),
    *[
        (f"{name}_{reason}", fields)
        for name in ("INT", "CLEAR", "INV", "DISCARD")
        for reason, fields in [
            ("DEVICE_OOR", {"DeviceID": 8192}),
            ("UNMAPPED_DEVICE", {"DeviceID": 2}),
            ("ID_OOR", {"DeviceID": 1, "EventID": 32}),
            ("UNMAPPED_INTERRUPT", FREE),
            ("ITE_INVALID", {"DeviceID": 1, "EventID": 5}),
            ("ITE_INVALID", {"DeviceID": 1, "EventID": 6}),
            ("NO_MEMORY", {"DeviceID": 3, "EventID": 0}),
        ]
    ],
    ("INVALL_COLLECTION_OOR", {"ICID": 8192}),
    ("INVALL_UNMAPPED_COLLECTION", {"ICID": 3}),
    ("INVALL_UNMAPPED_COLLECTION", {"ICID": 4}),
]


@pytest.fixture(scope="module")
def everything_wrong() -> Bench:
    """A bench on which everything that can be missing is missing somewhere."""
    bench = mapped()
    doorbell = {"vPEID": 0, "vINTID": 8192, "Dbell_pINTID": 1023}
    for event_id in (4, 6):
        fields = {"DeviceID": 1, "EventID": event_id, **doorbell}
        assert bench.command("VMAPTI", **fields) == ""
    assert bench.command("MAPTI", DeviceID=1, EventID=5, pINTID=8205, ICID=3) == ""
    assert bench.command("MAPD", V=1, DeviceID=3, Size=3, ITT_addr=WILD_ITT >> 8) == ""
    bench.memory.write(COLLECTIONS + 4 * 8, 8, VALID | 3)  # a collection at a PE that is not there
    return bench


@pytest.mark.parametrize(("error", "fields"), ERRORS)
def test_a_command_with_an_error_does_nothing(
    everything_wrong: Bench, error: str, fields: dict[str, int]
) -> None:
    """The queue stalls with the error's name; memory and LPIs are as before."""
    bench = everything_wrong
    if error == "MAPD_NO_MEMORY":
        bench = Bench(indirect=True)
        bench.memory.write(DEVICES + 8 * 15, 8, VALID | WILD_ITT)
    tables = bench.tables()
    states = [lpis.state() for lpis in bench.lpis]
    assert stall_and_skip(bench, error.partition("_")[0], **fields) == error
    assert bench.tables() == tables
    assert [lpis.state() for lpis in bench.lpis] == states


def test_the_range_of_devices_is_that_of_typer_too() -> None:
    """GITS_TYPER.Devbits, where the table would have room for more."""
    bench = Bench(its_device_bits=4)
    assert stall_and_skip(bench, "MAPD", V=1, DeviceID=16) == "MAPD_DEVICE_OOR"
    assert bench.command("MAPD", V=1, DeviceID=15) == ""


@pytest.mark.parametrize(
    ("device_id", "event_id", "error"),
    [
        (8192, 0, "INT_DEVICE_OOR"),
        (-1, 0, "INT_DEVICE_OOR"),
        (1 << 32, 0, "INT_DEVICE_OOR"),
        (2, 0, "INT_UNMAPPED_DEVICE"),
        (1, 32, "INT_ID_OOR"),
        (1, -1, "INT_ID_OOR"),
        (1, 1 << 32, "INT_ID_OOR"),
        (1, 3, "INT_UNMAPPED_INTERRUPT"),
        (1, 5, "INT_ITE_INVALID"),
        (3, 0, "INT_NO_MEMORY"),
    ],
)
def test_a_device_that_may_not_is_ignored(
    everything_wrong: Bench, device_id: int, event_id: int, error: str
) -> None:
    """Its write is discarded; the queue does not stall for it."""
    bench = everything_wrong
    assert bench.its.translate(device_id, event_id) == error
    assert bench.its.queue.error == ""
    assert bench.waiting() == [None, None, None]


def test_a_disabled_its_translates_nothing() -> None:
    """GITS_CTLR.Enabled 0."""
    bench = mapped()
    bench.its.write(0, 4, 0)
    assert bench.its.translate(1, 2) == "DISABLED"
    assert bench.waiting() == [None, None, None]


def test_entries_that_software_spoilt_reach_no_lpi_that_is_none() -> None:
    """An ITT entry with a wild INTID: nothing becomes pending."""
    bench = mapped()
    for intid in (0, 8191, 65536, 0xFFFF_FFFF):
        bench.memory.write(ITTS + 0x1000 + 2 * 16, 16, VALID | 1 << 32 | intid)
        assert bench.its.translate(1, 2) == ""
        assert bench.waiting() == [None, None, None]
