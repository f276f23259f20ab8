"""Traces of real kernels → what a table says of their traps."""

from __future__ import annotations

from nvtrap.trace.pieces import blocks_of, scanned
from nvtrap.trace.replay import SHOWN, Decision, Report, Row, replay

__all__ = ["SHOWN", "Decision", "Report", "Row", "blocks_of", "replay", "scanned"]
