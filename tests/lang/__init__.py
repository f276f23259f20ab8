"""Rule text: what is read, and what is said about it."""
