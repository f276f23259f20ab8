"""Tests of `nvtrap.analysis`."""
