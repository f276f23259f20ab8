"""Rule text → syntax tree.

A file is parsed whole. Only when that fails is it parsed again statement by
statement, so that every broken statement gets its own finding.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

from nvtrap.lang import nodes
from nvtrap.lang.advice import advice
from nvtrap.lang.builder import Builder
from nvtrap.lang.findings import Report
from nvtrap.lang.grammar import STATEMENTS, grammar_text, in_words
from nvtrap.lang.source import Source, Span

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lark import Lark
    from lark.exceptions import UnexpectedInput

MOST_SYNTAX_FINDINGS = 100

_WORDS = "|".join(word.lower() for word in STATEMENTS).replace("fine", r"fine[ \t]+group")
_STATEMENT = re.compile(rf"^[ \t]*(?:{_WORDS})\b", re.MULTILINE)
# Where reading goes on behind a broken statement: a line that is not indented.
_LINE = re.compile(r"^[A-Za-z]", re.MULTILINE)


def parse(source: Source, report: Report) -> nodes.File:
    """The statements of `source`; what does not parse is reported and left out."""
    from lark.exceptions import UnexpectedInput

    try:
        statements = _run(source, 0, len(source.text), report)
    except UnexpectedInput:
        statements = _piecewise(source, report)
    return nodes.File(source, tuple(statements))


def terminals(source: Source) -> Iterator[tuple[str, int, int]]:
    """(terminal, start, end) of each token of a text that parses.

    What a word is hangs on where it stands: `by` is one of the language behind the registers
    of a trap, and a name in their place.
    """
    lark, builder = _parser()
    builder.begin(source, Report())
    for token in lark.parse_interactive(source.text).iter_parse():
        yield token.type, token.start_pos or 0, token.end_pos or 0


def _piecewise(source: Source, report: Report) -> list[nodes.Statement]:
    from lark.exceptions import UnexpectedInput

    found = 0
    statements: list[nodes.Statement] = []
    todo = _pieces(source.text)[::-1]
    while todo:
        start, end = todo.pop()
        try:
            statements += _run(source, start, end, report)
        except UnexpectedInput as error:
            found += 1
            if found > MOST_SYNTAX_FINDINGS:
                text = f"more than {MOST_SYNTAX_FINDINGS} syntax errors, the rest was not read"
                report.add("NV001", text, Span(source, start, start))
                break
            at = _explain(source, start, end, error, report)
            statements += _before(source, start, at, report)
            resume = _LINE.search(source.text, at + 1, end)
            if resume is not None:
                todo.append((resume.start(), end))
    return statements


def _before(source: Source, start: int, at: int, report: Report) -> list[nodes.Statement]:
    """The statements above the line of a syntax error, where they stand by themselves."""
    from lark.exceptions import UnexpectedInput

    end = source.text.rfind("\n", start, at) + 1
    if end <= start:
        return []
    try:
        return _run(source, start, end, report)
    except UnexpectedInput:
        return []


def _pieces(text: str) -> list[tuple[int, int]]:
    """(start, end) of each statement, told by the word its line begins with."""
    starts = [match.start() for match in _STATEMENT.finditer(text)]
    if not starts or text[: starts[0]].strip():
        starts.insert(0, 0)
    return list(zip(starts, [*starts[1:], len(text)], strict=True))


def _run(source: Source, start: int, end: int, report: Report) -> list[nodes.Statement]:
    from lark import TextSlice

    lark, builder = _parser()
    builder.begin(source, report)
    tree = lark.parse(TextSlice(source.text, start, end))
    return cast("list[nodes.Statement]", tree)


@lru_cache(maxsize=1)
def _parser() -> tuple[Lark, Builder]:
    from lark import Lark

    builder = Builder()
    lark = Lark(
        grammar_text(),
        parser="lalr",
        lexer="contextual",
        maybe_placeholders=True,
        transformer=builder,
    )
    return lark, builder


def _explain(source: Source, start: int, end: int, error: UnexpectedInput, report: Report) -> int:
    """Report a syntax error; the result is where it is."""
    from lark.exceptions import UnexpectedToken

    at = len(source.text[start:end].rstrip()) + start
    width = 0
    found = "the end of the statement"
    parser: Any = error.interactive_parser
    expected: set[str] = parser.accepts()
    if not isinstance(error, UnexpectedToken):
        at, width = cast("int", error.pos_in_stream), 1
    elif error.token.type != "$END":
        at, width = error.token.start_pos or 0, len(error.token)
    if width:
        found = f"`{source.text[at : at + min(width, 80)]}`"
    begins = not source.text[start:at].strip()
    report.add(
        "NV001",
        f"expected {_any_of(expected, begins=begins)}, found {found}",
        Span(source, at, at + min(width, 80)),
        advice(source.text[:end], at, expected),
    )
    return at


def _any_of(terminals: set[str], *, begins: bool) -> str:
    """The terminals in words; those that begin a statement are told as one thing."""
    statement = "TRAP" in terminals
    inside = terminals.difference(STATEMENTS) if statement else terminals
    words = sorted({word for name in inside for word in in_words(name)})
    if statement:
        words.append("a statement" if begins else "another statement")
    if len(words) == 1:
        return words[0]
    return ", ".join(words[:-1]) + " or " + words[-1]
