"""Recorded walks of L1's stage 2.

::

    {"vtcr", "vttbr", "SCTLR_EL2", "ipa_limit", "trap_esr", "mem": {address: word}, "ipa",
     "reads": [address], "ret", "expect", "permission"  or  "fault"}
"""

from __future__ import annotations

from nvtrap.conform.host.fields import Fields, compare, word
from nvtrap.errors import AddressError
from nvtrap.inputs import shown
from nvtrap.kvm.memory.stage2 import (
    BAD_CONFIGURATION,
    SCTLR_EE,
    Fault,
    Stage2,
    Translation,
    permission_fault,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from nvtrap.conform.verdicts import Score

MOST_IPA_BITS = 52  # FEAT_LPA2, or 64K pages with FEAT_LPA
MOST_ERRNO = 4095
# What a line has one of: the walk's end, and None for the others.
ENDS: dict[str, Any] = {"expect": None, "permission": None, "fault": None}


def judge(record: dict[str, Any]) -> Score:
    """The score of one walk.

    Raises `UsageError` for a line that is not of the form above.
    """
    line = Fields(record)
    memory = _memory(line.inner("mem").values)
    reads: list[str] = []

    def read(address: int) -> int:
        reads.append(f"{address:#x}")
        if address not in memory:
            raise AddressError(address)
        return memory[address]

    trap_esr = line.word("trap_esr")
    tables = Stage2(
        line.word("vtcr"),
        line.word("vttbr"),
        big_endian=line.word("SCTLR_EL2") & SCTLR_EE != 0,
        ipa_limit=line.number("ipa_limit", 1, MOST_IPA_BITS),
    )
    result = tables.walk(line.word("ipa"), read)
    expected = {"reads": record.get("reads"), "ret": line.number("ret", -MOST_ERRNO, 1)}
    expected |= {key: record.get(key) for key in ENDS}
    if isinstance(result, Fault):
        end = _failed(result, trap_esr, tables)
    else:
        end = _found(result, trap_esr)
    return compare(expected, {**ENDS, "reads": reads, **end})


def _memory(words: dict[str, Any]) -> dict[int, int]:
    return {word(key, "mem"): word(value, f"mem.{shown(key)}") for key, value in words.items()}


def _failed(fault: Fault, trap_esr: int, tables: Stage2) -> dict[str, Any]:
    seen = {
        "esr": f"{fault.esr(trap_esr):#x}",
        "fsc": f"{fault.fsc:#x}",
        "level": fault.level,
        "type": fault.name,
    }
    if fault.name == BAD_CONFIGURATION and tables.is_inconsistent:
        seen["warn"] = True
    return {"ret": fault.errno or 1, "fault": seen}


def _found(translation: Translation, trap_esr: int) -> dict[str, Any]:
    forwarded = permission_fault(translation, trap_esr)
    seen = {
        "output": f"{translation.output:#x}",
        "block_size": f"{translation.block_size:#x}",
        "readable": translation.readable,
        "writable": translation.writable,
        "executable": translation.executable,
        "level": translation.level,
        "desc": f"{translation.descriptor:#x}",
        "esr": "0x0",
    }
    permission = {"forward": forwarded is not None, "esr": f"{forwarded or 0:#x}"}
    return {"ret": 0, "expect": seen, "permission": permission}
