"""Other people's tables as rule files."""
