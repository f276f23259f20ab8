"""C text as tokens: as much of C as tables of constants are written in.

Comments go, preprocessor lines are kept apart. Nothing is expanded and nothing that the
text includes is read. The text may be anybody's: every step is one pass over it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from nvtrap.errors import UsageError
from nvtrap.lang.findings import Report
from nvtrap.lang.source import Source, Span

NAME = "name"
NUMBER = "number"
MARK = "mark"
STRING = "string"

_TOKEN = re.compile(
    r"""(?P<space>(?:\s|\\\n)+)
      | (?P<comment>//[^\n]*|/\*[\s\S]*?\*/)
      | (?P<directive>\#(?:\\\n|[^\n])*)
      | (?P<name>[A-Za-z_]\w*)
      | (?P<number>\d\w*)
      | (?P<string>"(?:[^"\\\n]|\\[\s\S])*"|'(?:[^'\\\n]|\\[\s\S])*')
      | (?P<mark><<|>>|\.\.\.|.)
    """,
    re.VERBOSE | re.ASCII,
)
_DEFINE = re.compile(r"#\s*define\s+(?P<name>[A-Za-z_]\w*)(?P<call>\()?(?P<body>[\s\S]*)", re.ASCII)
_CONDITIONAL = re.compile(r"#\s*(?:if|ifdef|ifndef|elif|else)\b", re.ASCII)
_OPENING, _CLOSING = "([{", ")]}"


@dataclass(frozen=True, slots=True)
class Token:
    """One word of the text and where it stands."""

    kind: str
    text: str
    span: Span


Tokens = Sequence[Token]


class NotUnderstoodError(UsageError):
    """A piece of the text that means nothing here: what a finding at `span` says."""

    def __init__(self, code: str, message: str, span: Span, help: str = "") -> None:
        super().__init__(message, help)
        self.code = code
        self.span = span

    def report(self, report: Report) -> None:
        """Make a finding of it."""
        report.add(self.code, self.message, self.span, self.help)


@dataclass(slots=True)
class CText:
    """The tokens of a text; `defines` are its macros without arguments.

    `conditionals` are the lines that leave out text in some configurations.
    """

    source: Source
    tokens: list[Token] = field(default_factory=list)
    defines: dict[str, list[Token]] = field(default_factory=dict)
    conditionals: list[Span] = field(default_factory=list)


def read(source: Source, report: Report) -> CText:
    """Take the text apart; a comment or string that does not end is reported."""
    found = CText(source)
    for match in _matches(source.text, 0, len(source.text)):
        kind, span = match.lastgroup or "", Span(source, match.start(), match.end())
        if kind == "directive":
            _add_directive(found, match[0], span)
        elif match[0] == "/" and source.text.startswith("/*", span.start):
            report.add("NV001", "this comment is not closed", span)
            break
        else:
            if match[0] in ("'", '"'):
                report.add("NV001", "this string is not closed", span)
            found.tokens.append(Token(kind, match[0], span))
    return found


def _matches(text: str, start: int, end: int) -> Iterator[re.Match[str]]:
    """Everything but blanks and comments."""
    for match in _TOKEN.finditer(text, start, end):
        if match.lastgroup not in ("space", "comment"):
            yield match


def _add_directive(found: CText, text: str, span: Span) -> None:
    if _CONDITIONAL.match(text):
        found.conditionals.append(span)
    define = _DEFINE.match(text)
    if define is None or define["call"]:
        return
    start = span.start + define.start("body")
    body = [
        Token(match.lastgroup or "", match[0], Span(span.source, match.start(), match.end()))
        for match in _matches(span.source.text, start, span.end)
    ]
    if body:
        found.defines[define["name"]] = body


def block(tokens: Tokens, opening: int) -> Tokens:
    """What stands between the `{` at index `opening` and its `}`.

    Raises `NotUnderstoodError` when there is no such `}`.
    """
    depth = 0
    for index in range(opening, len(tokens)):
        text = tokens[index].text
        depth += (text == "{") - (text == "}")
        if depth == 0:
            return tokens[opening + 1 : index]
    raise NotUnderstoodError("NV001", "this `{` is not closed", tokens[opening].span)


def split(tokens: Tokens) -> list[Tokens]:
    """The pieces between the commas that stand in no brackets; an empty last one is none."""
    pieces: list[Tokens] = []
    start = depth = 0
    for index, token in enumerate(tokens):
        if token.kind != MARK:
            continue
        depth += (token.text in _OPENING) - (token.text in _CLOSING)
        if token.text == "," and depth == 0:
            pieces.append(tokens[start:index])
            start = index + 1
    if start < len(tokens):
        pieces.append(tokens[start:])
    return pieces


def whole(tokens: Tokens) -> Span:
    """The place from the first token to the last."""
    return Span(tokens[0].span.source, tokens[0].span.start, tokens[-1].span.end)


def is_name(tokens: Tokens) -> bool:
    """Whether this is a single name."""
    return len(tokens) == 1 and tokens[0].kind == NAME
