"""LPIs: configuration and pending tables, physical and virtual (IHI 0069, chapter 5)."""
