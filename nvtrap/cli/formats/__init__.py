"""The formats of findings, a module each: `render(checked)` gives the whole text."""
