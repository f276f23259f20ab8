"""Distributor and redistributors: GICD_* and GICR_* (IHI 0069, chapters 3 and 12)."""
