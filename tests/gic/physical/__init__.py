"""The physical CPU interface: ICC_*_ELx (IHI 0069, chapters 2 and 4)."""
