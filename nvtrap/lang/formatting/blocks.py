"""The blocks of rule text: which are one line, and which are opened to a line per item."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from nvtrap.lang.formatting.tokens import Token


class Block:
    """The places of a block's braces, and how it is written.

    It is `open` when it is more than a line: when the author ended a line behind its first brace,
    or when it has a comment or an open block inside. `spread` says that each of its items gets a
    line of its own; in other open blocks the author's line ends count.
    """

    __slots__ = ("end", "open", "spread", "start")

    def __init__(self, tokens: Sequence[Token], start: int, end: int, *, has_open: bool) -> None:
        self.start = start
        self.end = end
        broken = tokens[start + 1].breaks and end > start + 1
        commented = any(tokens[place].comments for place in range(start + 1, end + 1))
        self.open = broken or commented or has_open
        self.spread = self.open and not broken

    def spread_out(self) -> None:
        """Open a block that was to be a line."""
        self.open = self.spread = True


def blocks_of(tokens: Sequence[Token]) -> dict[int, Block]:
    """The blocks of a text by the place of their first brace, inner ones first.

    Braces behind a dot, as in `HCR_EL2.{NV2, NV}`, are no block.
    """
    found: dict[int, Block] = {}
    starts: list[int] = []
    opened: list[int] = []
    for place, token in enumerate(tokens):
        if token.kind == "LBRACE":
            starts.append(place)
        elif token.kind == "RBRACE":
            start = starts.pop()
            if tokens[start - 1].kind == "DOT":
                continue
            has_open = False
            while opened and opened[-1] > start:
                opened.pop()
                has_open = True
            found[start] = Block(tokens, start, place, has_open=has_open)
            if found[start].open:
                opened.append(start)
    return found
