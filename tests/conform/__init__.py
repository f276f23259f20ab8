"""Recorded vectors: reading lines, telling kinds, judging."""
