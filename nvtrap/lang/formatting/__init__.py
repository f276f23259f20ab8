"""The canonical layout of rule text.

`tokens` reads a text with its comments, `layout` (with `blocks`) says which tokens may or must
begin a line and how far in, `breaking` makes lines of them, `columns` aligns the lines, and
`formatter` holds the result against what was given.
"""

from __future__ import annotations

from nvtrap.lang.formatting.formatter import format_source, meaning

__all__ = ["format_source", "meaning"]
