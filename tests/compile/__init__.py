"""From the syntax tree to checked rules and a table."""
