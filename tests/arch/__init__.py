"""Encodings, accesses and syndromes."""
