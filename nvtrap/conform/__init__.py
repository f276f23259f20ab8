"""Recorded vectors → verdicts."""

from __future__ import annotations

from nvtrap.conform.kinds import conform
from nvtrap.conform.lines import read_lines, size_of
from nvtrap.conform.traps import Decider
from nvtrap.conform.verdicts import Score, Verdict

__all__ = ["Decider", "Score", "Verdict", "conform", "read_lines", "size_of"]
