"""Other people's tables as rule files."""

from __future__ import annotations

from nvtrap.imports.linux import MOST_BYTES, Imported, import_linux

__all__ = ["MOST_BYTES", "Imported", "import_linux"]
