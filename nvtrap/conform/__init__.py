"""Recorded vectors → verdicts."""

from __future__ import annotations

from nvtrap.conform.kinds import conform
from nvtrap.conform.lines import read_lines
from nvtrap.conform.traps import Decider
from nvtrap.conform.verdicts import Score, Verdict
from nvtrap.streams import size_of

__all__ = ["Decider", "Score", "Verdict", "conform", "read_lines", "size_of"]
