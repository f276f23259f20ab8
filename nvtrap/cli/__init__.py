"""The command line."""

from __future__ import annotations

from nvtrap.cli.main import main

__all__ = ["main"]
