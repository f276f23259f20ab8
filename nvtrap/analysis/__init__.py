"""Questions about tables and rule files."""

from __future__ import annotations

from nvtrap.analysis.check import Checked, check_paths

__all__ = ["Checked", "check_paths"]
