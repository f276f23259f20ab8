"""Registers with an index each, for tests that go over all of them."""

from __future__ import annotations

from hypothesis import strategies as st

from nvtrap.gic.codecs import Register, registers

ALL = tuple(registers())


def names(register: Register) -> list[str]:
    """The register by its name, an array by its first, second and last one too."""
    if register.indexes is None:
        return [register.name]
    known = register.indexes
    return [register.name, *(register.spelled(n) for n in (known[0], known[1], known[-1]))]


NAMES = tuple(name for register in ALL for name in names(register))


def values(register: Register) -> st.SearchStrategy[int]:
    """Values of a register: any, or few bits."""
    top = (1 << register.width) - 1
    few = st.lists(st.integers(0, register.width - 1), max_size=4)
    return st.integers(0, top) | few.map(lambda bits: sum(1 << bit for bit in set(bits)))
