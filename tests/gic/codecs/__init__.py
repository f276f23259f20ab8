"""Register values as fields."""
