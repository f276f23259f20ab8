"""Recorded vectors → verdicts."""

from __future__ import annotations

from nvtrap.conform.kinds import Verdict, conform
from nvtrap.conform.lines import read_lines, size_of
from nvtrap.conform.traps import Decider

__all__ = ["Decider", "Verdict", "conform", "read_lines", "size_of"]
