"""Tests of the nested machine."""
