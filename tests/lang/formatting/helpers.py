"""Formatting texts, and disturbing their layout."""

from __future__ import annotations

from random import Random

from nvtrap.lang.findings import Report
from nvtrap.lang.formatting import format_source
from nvtrap.lang.formatting.tokens import tokens
from nvtrap.lang.source import Source

# No layout begins a line with one of these.
INSIDE = ("DOT", "EQUAL", "COMPARE", "LSQB", "RSQB", "COLON")
SPACES = (" ", "  ", "\t", " \t ", "\f ")


def formatted(text: str) -> str:
    """The layout of a text that parses."""
    report = Report()
    result = format_source(source(text), report)
    assert report.findings == []
    assert result is not None
    return result


def source(text: str) -> Source:
    """A source of that text."""
    return Source("a.trap", "a.trap", text)


def comments(text: str) -> list[str]:
    """All comments of a text, in their order."""
    return [comment for token in tokens(source(text)) for comment in token.comments]


def disturbed(text: str, random: Random) -> str:
    """The text with other white space, where only the layout says what there is."""
    pieces = []
    for token in tokens(source(text)):
        if token.breaks:
            lines = [f"{random.choice(SPACES)}{token.comment}", *token.above, ""]
            gap = random.choice((*SPACES, "\n")) if not token.kind else ""
            pieces.append(gap + ("\n" + random.choice(("", "\t", "   "))).join(lines))
            if "" in token.above:
                pieces.append(random.choice(("", "\n", "\n \n\n")) if not token.above[-1] else "")
        else:
            pieces.append(random.choice((*SPACES, "\n") if token.kind in INSIDE else SPACES))
        pieces.append(token.text)
    return "".join(pieces)


def commented(text: str, random: Random) -> str:
    """The text with comments and line ends at random between any two tokens."""
    pieces = []
    for number, token in enumerate(tokens(source(text))):
        gap = random.choice(("", "\n", "\n\n\n", f" # a{number}\n", f"\n  # b{number}\n\n#c\n"))
        own = "\n" if token.breaks else " "
        pieces.append((gap if random.random() < 0.2 else "") or own)
        pieces.append(token.text)
    return "".join(pieces)
