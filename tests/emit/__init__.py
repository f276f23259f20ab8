"""What is made from tables, compiled and held against the engine."""
