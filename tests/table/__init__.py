"""Compiled tables and their file."""
