"""Recordings of what an L0 host does beside deciding traps, one judge for each kind."""
