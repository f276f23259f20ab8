"""Places in text."""

from __future__ import annotations

import pytest

from nvtrap.lang.source import Source, Span, one_line_end

TEXT = "one\ntwo  three\n\nfour"


def _source() -> Source:
    return Source("/rules/a.trap", "a.trap", TEXT)


@pytest.mark.parametrize(
    ("offset", "place"), [(0, (1, 1)), (3, (1, 4)), (4, (2, 1)), (15, (3, 1)), (len(TEXT), (4, 5))]
)
def test_place_counts_from_one(offset: int, place: tuple[int, int]) -> None:
    """Lines and columns begin with 1, and a line end belongs to its line."""
    assert _source().place(offset) == place


@pytest.mark.parametrize(("number", "line"), [(1, "one"), (2, "two  three"), (3, ""), (4, "four")])
def test_line_has_no_line_end(number: int, line: str) -> None:
    """A line is told without what ends it, the last one too."""
    assert _source().line(number) == line


def test_span_tells_its_place_and_text() -> None:
    """A span knows what stands there, and prints as file, line and column."""
    span = Span(_source(), 4, 14)
    assert (span.line, span.column, span.text) == (2, 1, "two  three")
    assert span.one_line == "two three"
    assert str(span) == "a.trap:2:1"
    assert span.key() == ("a.trap", 4, 14)


def test_sources_are_told_apart_by_identity() -> None:
    """Two files with the same text are two."""
    assert _source() != _source()


@pytest.mark.parametrize("text", ["a\nb\n", "a\r\nb\r\n", "a\rb\r"])
def test_every_line_end_becomes_a_newline(text: str) -> None:
    """Whatever ends lines, they are the same lines."""
    assert one_line_end(text) == "a\nb\n"
