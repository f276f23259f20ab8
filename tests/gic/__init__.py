"""The GICv3 as silicon."""
