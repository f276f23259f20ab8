"""The terminals of the grammar have names for people."""

from __future__ import annotations

import re
from typing import Any

from nvtrap.lang import parse
from nvtrap.lang.grammar import STATEMENTS, TERMINALS, WORDS, grammar_text, in_words


def _terminals() -> set[str]:
    lark, _ = parse._parser()
    return {terminal.name for terminal in lark.terminals if terminal.name not in lark.ignore_tokens}


def test_statements_are_those_of_the_grammar() -> None:
    """The words that begin a statement are what the parser accepts at the start."""
    lark, _ = parse._parser()
    parser: Any = lark.parse_interactive("")
    accepted = set(parser.accepts()) - {"$END"}
    assert accepted == set(STATEMENTS)


def test_every_terminal_has_words() -> None:
    """A terminal is a word of the language or is told as something readable."""
    for terminal in _terminals():
        for word in in_words(terminal):
            assert not re.search(r"__|[A-Z]{2}_", word), terminal


def test_no_words_are_left_behind() -> None:
    """Nothing is told of terminals that the grammar does not have."""
    assert set(TERMINALS) | set(WORDS) <= _terminals() | {"$END"}


def test_words_of_a_terminal_are_in_the_grammar() -> None:
    """The words that stand for a terminal are those of its pattern."""
    text = grammar_text()
    for words in WORDS.values():
        for word in " ".join(words).split():
            assert re.search(rf"\b{word.rstrip('0123')}", text), word
