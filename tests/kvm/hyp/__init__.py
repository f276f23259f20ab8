"""EL2: how the host takes it, what it programs there for each context, and calls to it."""
