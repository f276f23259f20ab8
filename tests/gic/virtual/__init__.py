"""The virtual CPU interface: list registers, ICH_*_EL2 and ICV_*_EL1 (IHI 0069, chapter 6)."""
