"""Rule text: sources, findings, the syntax tree and the parser."""
