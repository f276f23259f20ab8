"""What an audit against the kernel's own functions found wrong in the judges of the host."""

from __future__ import annotations

import pytest

from nvtrap.conform.host.iss import judge_iss
from nvtrap.conform.host.nested import Excursion
from tests.conform.host.test_iss import ACTLR2, OLD, access

ZEROS = ["0x0"] * 4
UPPER, LOWER = "0x11111111", "0x22222222"


@pytest.mark.parametrize(
    ("intid", "loaded", "warnings"),
    [
        (63, "0x6000001b0000001b", 0),  # the last SPI, translated to host INTID 27
        (64, "0x400000400000001b", 1),
        (1019, "0x400003fb0000001b", 1),
        (1021, "0x400003fd0000001b", 1),
    ],
)
def test_listing_an_intid_past_the_spis_does_not_make_it_exist(
    intid: int, loaded: str, warnings: int
) -> None:
    """vgic_get_irq finds SPIs up to their number and LPIs, nothing between."""
    lr = hex(0x6000_0000_0000_001B | intid << 32)
    image = {"ICH_HCR_EL2": "0x1", "ICH_VMCR_EL2": "0x0", "ICH_AP0R": ZEROS, "ICH_AP1R": ZEROS}
    excursion = Excursion(
        {
            "version": "put",
            "nr_lr": 4,
            "pre_bits": 5,
            "nr_spis": 32,
            "l1": {**image, "ICH_LR": [lr, *ZEROS[1:]]},
            "irqs": {str(intid): {"hw": True, "hwintid": 27, "active": False}},
            "host_trap_bits": "0x0",
            "hw_after": {
                "lr": [loaded],
                "vmcr": "0x0",
                "hcr": "0x1",
                "misr": "0x0",
                "ap0r": ["0x0"],
                "ap1r": ["0x0"],
            },
        }
    )
    result = excursion.run()
    assert result["load"]["lr"] == [loaded]
    assert result["sync"]["warns"] == warnings


def test_a_read_of_actlr_is_met_whether_the_line_or_its_merge_tells_the_value() -> None:
    """`merge` may show what is read in place of the register after it."""
    merge = {"old": OLD, "read_value": UPPER}
    told = access(1, 3, write=False, table=ACTLR2, merge=merge, regs_after={"1": UPPER})
    assert judge_iss(told).problem == ""
    assert judge_iss({**told, "read_value": UPPER}).problem == ""
    assumed = {**told, "read_value": LOWER, "regs_after": {"1": LOWER}}
    assert judge_iss(assumed).problem == ""
    wrong = {**told, "merge": {**merge, "read_value": LOWER}}
    assert judge_iss(wrong).problem == f"merge.read_value: expected {LOWER}, got {UPPER}"
    wrong = {**told, "regs_after": {"1": LOWER}}
    assert judge_iss(wrong).problem == f"regs_after.1: expected {LOWER}, got {UPPER}"
