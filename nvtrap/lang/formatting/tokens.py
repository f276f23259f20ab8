"""Rule text as its tokens, with what stands between them: line ends and comments."""

from __future__ import annotations

from nvtrap.lang.parse import terminals

TYPE_CHECKING = False
if TYPE_CHECKING:
    from nvtrap.lang.source import Source

BLANKS = " \t\f"
# Tokens of several words, between which any white space may stand.
_PHRASES = ("HOST_EL0", "ABSENT_AS")


class Token:
    """One token and the gap before it.

    `kind` is its terminal in the grammar (empty for the end of the text), `comment` the one
    that ends the line of the token before it (empty if none), `above` the lines between the two,
    each a comment or empty, and `breaks` whether a line ends between the two.
    """

    __slots__ = ("above", "breaks", "comment", "kind", "text")

    def __init__(self, kind: str, text: str, gap: str) -> None:
        self.kind = kind
        self.text = " ".join(text.replace(",", ", ").split()) if kind in _PHRASES else text
        self.comment, *lines = (line.strip(BLANKS) for line in gap.split("\n"))
        # The last one is the indentation of this token, or the last line of the text.
        self.above = tuple(lines[:-1] if kind else lines)
        self.breaks = bool(lines)

    @property
    def comments(self) -> tuple[str, ...]:
        """All comments before the token."""
        return tuple(line for line in (self.comment, *self.above) if line)


def tokens(source: Source) -> list[Token]:
    """The tokens of a text that parses, and one without a kind for its end."""
    found = []
    text = source.text
    # A comment in the first line is none behind a token.
    before, end = "\n", 0
    for kind, begin, stop in terminals(source):
        # One of the phrases may begin with white space.
        start = stop - len(text[begin:stop].lstrip()) if kind in _PHRASES else begin
        found.append(Token(kind, text[start:stop], before + text[end:start]))
        before, end = "", stop
    found.append(Token("", "", before + text[end:]))
    return found
