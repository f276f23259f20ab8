"""The kernel's groups of fine-grained traps, and its filters.

The kernel names a group after a register, and most tables name the read side. Where a
bit is on the write side alone the write register's name is used, for the same group.
"""

from __future__ import annotations

from dataclasses import dataclass

from nvtrap.imports.model import Group


@dataclass(frozen=True, slots=True)
class KernelGroup:
    """A group as a table names it; `registers` are those whose bits the name stands for."""

    group: Group
    registers: tuple[str, ...]


def _pair(name: str, read: str, write: str, *spellings: str) -> dict[str, KernelGroup]:
    """A group with two registers; `spellings` are further names of the read side."""
    registers = f"{read}_EL2", f"{write}_EL2"
    group = Group(name, *registers, read)
    found = {read: KernelGroup(group, registers[:1]), write: KernelGroup(group, registers[1:])}
    for spelling in spellings:
        key = Group(name, *registers, spelling)
        found[spelling] = KernelGroup(key, registers)
    return found


def _one(name: str, register: str) -> dict[str, KernelGroup]:
    """A group with one register for both directions."""
    full = f"{register}_EL2"
    return {register: KernelGroup(Group(name, full, full, register), (full,))}


# Up to 6.15 the kernel took HFGRTR and HFGWTR for one register, HFGxTR.
GROUPS: dict[str, KernelGroup] = {
    **_pair("HFG", "HFGRTR", "HFGWTR", "HFGxTR"),
    **_pair("HDFG", "HDFGRTR", "HDFGWTR"),
    **_one("HFGI", "HFGITR"),
    **_one("HAFG", "HAFGRTR"),
    **_pair("HFG2", "HFGRTR2", "HFGWTR2"),
    **_pair("HDFG2", "HDFGRTR2", "HDFGWTR2"),
    **_one("HFGI2", "HFGITR2"),
    **_pair("ICH_HFG", "ICH_HFGRTR", "ICH_HFGWTR"),
    **_one("ICH_HFGI", "ICH_HFGITR"),
}

# The kernel looks at filters in this group alone.
FILTERED_GROUP = "HFGITR"
FILTERS = {"__NO_FGF__": "", "HCRX_FGTnXS": "(unless HCRX_EL2.FGTnXS == 1)"}
