"""Traces of real kernels."""
