"""Exits of a guest: exceptions and their injection, ERET, syndromes, aborts and MMIO."""
