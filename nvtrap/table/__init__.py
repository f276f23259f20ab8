"""Compiled tables: what they hold and the file they are kept in."""

from __future__ import annotations

from nvtrap.table.model import (
    ANY,
    READ,
    WRITE,
    CompiledTable,
    Control,
    FieldUse,
    Group,
    Part,
    Place,
    Rule,
)
from nvtrap.table.names import Fields, Names

__all__ = [
    "ANY",
    "READ",
    "WRITE",
    "CompiledTable",
    "Control",
    "FieldUse",
    "Fields",
    "Group",
    "Names",
    "Part",
    "Place",
    "Rule",
]
