"""What the commands for virtual LPIs do, and their errors (GICv4.0)."""

from __future__ import annotations

import pytest

from tests.gic.its import ITTS, Bench

EVENT = {"DeviceID": 1, "EventID": 2}
VLPI, DOORBELL = 8192 + 50, 8192 + 7


def mapped() -> tuple[Bench, int]:
    """Event 2 of device 1 is virtual LPI 8242 of vPE 4, which is at PE 1; with a doorbell.

    Gives also the vPE's Pending table.
    """
    bench = Bench()
    bench.map_device()
    table = bench.map_vpe(4, 1)
    bench.configure(DOORBELL, 0x10)
    bench.configure_virtual(VLPI, 0x60)
    fields = {**EVENT, "vPEID": 4, "vINTID": VLPI, "Dbell_pINTID": DOORBELL}
    assert bench.command("VMAPTI", **fields) == ""
    return bench, table


def test_a_scheduled_vpe_gets_its_interrupt_and_no_doorbell() -> None:
    """It is a candidate of the virtual CPU interface."""
    bench, table = mapped()
    bench.schedule(1, table)
    assert bench.its.translate(1, 2) == ""
    assert bench.vlpis[1].highest_pending() == (0x60, VLPI)
    assert bench.waiting() == [None, None, None]


def test_a_vpe_that_does_not_run_has_its_doorbell_rung() -> None:
    """Once, and the interrupt is there when the vPE runs."""
    bench, table = mapped()
    assert bench.command("INT", **EVENT) == ""
    assert bench.waiting() == [None, (0x10, DOORBELL), None]
    bench.lpis[1].acknowledge(DOORBELL)
    bench.its.translate(1, 2)
    assert bench.waiting() == [None, None, None]
    bench.schedule(1, table)
    assert bench.vlpis[1].highest_pending() == (0x60, VLPI)


def test_1023_is_no_doorbell() -> None:
    """VMAPI maps to the virtual LPI of the same number."""
    bench = Bench()
    bench.map_device(event_bits=14)
    table = bench.map_vpe(0, 2)
    bench.configure_virtual(8200, 0x20)
    fields = {"DeviceID": 1, "EventID": 8200, "vPEID": 0, "Dbell_pINTID": 1023}
    assert bench.command("VMAPI", **fields) == ""
    bench.its.translate(1, 8200)
    assert bench.waiting() == [None, None, None]
    bench.schedule(2, table)
    assert bench.vlpis[2].highest_pending() == (0x20, 8200)


def test_clear_and_discard_take_it_back() -> None:
    """Also from a vPE that runs."""
    bench, table = mapped()
    bench.its.translate(1, 2)
    assert bench.command("CLEAR", **EVENT) == ""
    bench.schedule(1, table)
    assert bench.vlpis[1].highest_pending() is None
    bench.its.translate(1, 2)
    assert bench.command("DISCARD", **EVENT) == ""
    assert bench.vlpis[1].highest_pending() is None
    assert bench.its.translate(1, 2) == "INT_UNMAPPED_INTERRUPT"


def test_an_event_moves_to_another_vpe() -> None:
    """VMOVI, with its pending state and, with D, a new doorbell."""
    bench, table = mapped()
    other = bench.map_vpe(5, 2)
    bench.configure(DOORBELL + 1, 0x30)
    bench.its.translate(1, 2)
    bench.lpis[1].acknowledge(DOORBELL)
    assert bench.command("VMOVI", **EVENT, vPEID=5, D=1, Dbell_pINTID=DOORBELL + 1) == ""
    assert bench.waiting() == [None, None, (0x30, DOORBELL + 1)]
    assert bench.memory.read(table + VLPI // 8, 1) == 0
    bench.schedule(2, other)
    assert bench.vlpis[2].highest_pending() == (0x60, VLPI)
    assert bench.command("VMOVI", **EVENT, vPEID=4, Dbell_pINTID=1) == ""
    assert bench.vlpis[2].highest_pending() is None
    assert bench.waiting()[1] == (0x10 + 0x20, DOORBELL + 1)


def test_a_vpe_moves_to_another_pe() -> None:
    """VMOVP: its Pending table goes with it."""
    bench, table = mapped()
    bench.its.translate(1, 2)
    assert bench.command("VMOVP", vPEID=4, RDbase=0) == ""
    bench.schedule(0, table)
    assert bench.vlpis[0].highest_pending() == (0x60, VLPI)
    bench.vlpis[0].acknowledge(VLPI)
    bench.its.translate(1, 2)
    assert bench.vlpis[0].highest_pending() == (0x60, VLPI)


def test_configuration_is_read_again() -> None:
    """INV for one event, VINVALL for a vPE; VSYNC has nothing to wait for."""
    bench, table = mapped()
    bench.schedule(1, table)
    bench.its.translate(1, 2)
    bench.configure_virtual(VLPI, 0x20)
    assert bench.command("INV", **EVENT) == ""
    assert bench.vlpis[1].highest_pending() == (0x20, VLPI)
    bench.configure_virtual(VLPI, 0x40)
    assert bench.command("VINVALL", vPEID=4) == ""
    assert bench.command("VSYNC", vPEID=4) == ""
    assert bench.vlpis[1].highest_pending() == (0x40, VLPI)


def test_a_vpe_without_a_mapping_gets_nothing() -> None:
    """VMAPP with V = 0."""
    bench, _ = mapped()
    assert bench.command("VMAPP", vPEID=4, V=0, VPT_size=31, RDbase=99) == ""
    assert bench.its.translate(1, 2) == "INT_ITE_INVALID"


def test_the_vpes_table_limits_its_interrupts() -> None:
    """A vPE with 14 bits has no LPI of 15."""
    bench, _ = mapped()
    fields = {"vPEID": 4, "V": 1, "RDbase": 1, "VPT_size": 13, "VPT_addr": 0x4210}
    assert bench.command("VMAPP", **fields) == ""
    wide = {**EVENT, "vPEID": 4, "vINTID": 1 << 14, "Dbell_pINTID": DOORBELL}
    assert bench.command("VMAPTI", **wide) == ""
    bench.its.translate(1, 2)
    assert bench.waiting() == [None, None, None]
    assert bench.memory.read(0x4210_0000 + (1 << 14) // 8, 1) == 0


ERRORS = [
    ("VMAPP_VCPU_OOR", {"vPEID": 8192, "V": 1}),
    ("VMAPP_VPTSIZE_OOR", {"vPEID": 0, "V": 1, "VPT_size": 16}),
    ("VMAPP_PROCNUM_OOR", {"vPEID": 0, "V": 1, "RDbase": 3}),
    *[
        (f"{name}_{reason}", {**fields, **more})
        for name, more in [("VMAPTI", {"vINTID": 8192}), ("VMAPI", {})]
        for reason, fields in [
            ("DEVICE_OOR", {"DeviceID": 8192}),
            ("UNMAPPED_DEVICE", {"DeviceID": 2}),
            ("ID_OOR", {"DeviceID": 1, "EventID": 1 << 14}),
            ("VCPU_OOR", {**EVENT, "vPEID": 8192}),
        ]
    ],
    ("VMAPTI_VIRTUALID_OOR", {**EVENT, "vINTID": 8191}),
    ("VMAPTI_VIRTUALID_OOR", {**EVENT, "vINTID": 65536}),
    ("VMAPI_VIRTUALID_OOR", EVENT),
    ("VMAPTI_PHYSICALID_OOR", {**EVENT, "vINTID": 8192, "Dbell_pINTID": 1022}),
    ("VMAPI_PHYSICALID_OOR", {"DeviceID": 1, "EventID": 8192, "Dbell_pINTID": 65536}),
    ("VMOVI_DEVICE_OOR", {"DeviceID": 8192}),
    ("VMOVI_UNMAPPED_DEVICE", {"DeviceID": 2}),
    ("VMOVI_ID_OOR", {"DeviceID": 1, "EventID": 1 << 14}),
    ("VMOVI_VCPU_OOR", {**EVENT, "vPEID": 8192}),
    ("VMOVI_UNMAPPED_INTERRUPT", {"DeviceID": 1, "EventID": 9}),
    ("VMOVI_ID_IS_PHYSICAL", {"DeviceID": 1, "EventID": 3}),
    ("VMOVI_PHYSICALID_OOR", {**EVENT, "vPEID": 4, "D": 1, "Dbell_pINTID": 8191}),
    ("VMOVI_CMDVCPU_INVALID", {**EVENT, "vPEID": 6}),
    ("VMOVI_ITEVCPU_INVALID", {"DeviceID": 1, "EventID": 4, "vPEID": 4}),
    ("VMOVP_VCPU_OOR", {"vPEID": 8192}),
    ("VMOVP_VCPU_INVALID", {"vPEID": 6}),
    ("VMOVP_PROCNUM_OOR", {"vPEID": 4, "RDbase": 3}),
    ("VSYNC_VCPU_OOR", {"vPEID": 8192}),
    ("VSYNC_VCPU_INVALID", {"vPEID": 6}),
    ("VINVALL_VCPU_OOR", {"vPEID": 8192}),
    ("VINVALL_VCPU_INVALID", {"vPEID": 6}),
]


@pytest.fixture(scope="module")
def everything_wrong() -> Bench:
    """Event 3 is physical, event 4 of a vPE that is not mapped, event 9 of nothing."""
    bench = Bench()
    bench.map_device(event_bits=14)
    bench.map_vpe(4, 1)
    bench.command("VMAPTI", **EVENT, vPEID=4, vINTID=VLPI, Dbell_pINTID=1023)
    bench.command("MAPTI", DeviceID=1, EventID=3, pINTID=8192, ICID=0)
    bench.command("VMAPTI", DeviceID=1, EventID=4, vPEID=6, vINTID=8192, Dbell_pINTID=1023)
    assert bench.its.queue.error == ""
    return bench


@pytest.mark.parametrize(("error", "fields"), ERRORS)
def test_a_command_with_an_error_does_nothing(
    everything_wrong: Bench, error: str, fields: dict[str, int]
) -> None:
    """The queue stalls with the error's name, and memory is as before."""
    bench = everything_wrong
    tables = bench.tables()
    assert bench.command(error.partition("_")[0], **fields) == error
    assert bench.tables() == tables
    assert bench.retry("SYNC") == ""


def test_a_virtual_entry_that_software_wrote_is_nothing_without_gicv4() -> None:
    """An ITS of GICv3 has no vPEs."""
    bench = Bench(direct_injection=False)
    bench.map_device()
    bench.memory.write(ITTS + 0x1000 + 2 * 16, 16, 3 << 62 | 8192)
    assert bench.its.translate(1, 2) == "INT_ITE_INVALID"
