"""Judges of recordings of the host."""
