"""Running scenarios that are written in a test."""

from __future__ import annotations

from typing import Any

from nvtrap.sim import Runner, parse
from nvtrap.sim.records import Checked, Record

BOOTED = 'scenario "test"\nsetup: enable 25, 27, 40 boot L1 with VHE\n'
IN_L2 = BOOTED + "L1: msr HCR_EL2 = RW E2H VM IMO FMO eret -> runs L2\n"


def run(text: str, begin: str = BOOTED) -> list[Record]:
    """Everything that a scenario tells, begun like that."""
    return list(Runner(parse("test.sim", begin + text)).run())


def failed(text: str, begin: str = BOOTED) -> list[tuple[str, str]]:
    """(expectation, what was got instead) of those that do not hold."""
    return [
        (record.claim.text, record.got)
        for record in run(text, begin)
        if isinstance(record, Checked) and record.got is not None
    ]


def told(text: str, begin: str = BOOTED) -> list[dict[str, Any]]:
    """The same as plain data."""
    return [record.to_json() for record in run(text, begin)]
