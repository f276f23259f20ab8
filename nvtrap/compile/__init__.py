"""Rule text → checked rules → a compiled table."""

from __future__ import annotations

from nvtrap.compile.compiler import (
    Compilation,
    compile_path,
    compile_program,
    compile_text,
    compiled,
)
from nvtrap.compile.program import Loader, Snapshot, find_table, table_files

__all__ = [
    "Compilation",
    "Loader",
    "Snapshot",
    "compile_path",
    "compile_program",
    "compile_text",
    "compiled",
    "find_table",
    "table_files",
]
