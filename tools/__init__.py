"""Developers' tools; the scripts are run from a checkout, nothing of this is installed."""
