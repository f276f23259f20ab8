"""The interrupt translation service: from a device's event to an LPI (IHI 0069, chapter 5)."""

from __future__ import annotations

from nvtrap.gic.its.registers import Its

__all__ = ["Its"]
