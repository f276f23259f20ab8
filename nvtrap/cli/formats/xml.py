"""Text and attributes of XML that hold whatever a rule file or a file's name has."""

from __future__ import annotations

import re
from xml.sax.saxutils import escape, quoteattr

_NOT_XML = re.compile(r"[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def attribute(text: str) -> str:
    """An attribute's value, in quotes."""
    return _printable(quoteattr(text))


def content(text: str) -> str:
    """An element's text."""
    return _printable(escape(text))


def _printable(text: str) -> str:
    """The text in ASCII, without the characters that XML has no way to write."""
    sound = _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)
    return sound.encode("ascii", "xmlcharrefreplace").decode()
