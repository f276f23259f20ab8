"""The GICv2 virtual CPU interface: GICH_* and GICV_* (IHI 0048, chapter 5)."""
