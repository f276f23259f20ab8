"""JSON from strangers, and its values in messages."""

from __future__ import annotations

import datetime as dt
import sys
from io import BytesIO, TextIOWrapper
from typing import Any

import pytest

from nvtrap.errors import InputError, UsageError
from nvtrap.inputs import is_names, parse_json, shown, standard_input


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (b"1", 1),
        (b"-0.5e-3", -0.0005),
        (b' "\xc3\xa9" ', "é"),
        (b"\xef\xbb\xbf[]", []),
        (b'{"a": {"b": [null, true]}}', {"a": {"b": [None, True]}}),
        (b"1e308", 1e308),
    ],
)
def test_json_is_parsed(raw: bytes, value: object) -> None:
    """Every value that JSON has."""
    assert parse_json(raw) == value


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        (b"", "expecting value at line 1, column 1"),
        (b'{\n"a" 1}', "expecting ':' delimiter at line 2, column 5"),
        (b"NaN", "`NaN` is no number"),
        (b"[1, -Infinity]", "`-Infinity` is no number"),
        (b"1e309", "`1e309` is too large a number"),
        (b"9" * 5000, "a number is too long"),
        (b"[" * 100_000, "it is nested too deeply"),
        (b'"\xff"', "byte 1 is not UTF-8"),
        (b"\xff\xfe1\x00", "byte 0 is not UTF-8"),
        (b"'a'", "expecting value"),
    ],
)
def test_what_is_not_json_is_refused(raw: bytes, problem: str) -> None:
    """On one line, in words that name no Python."""
    with pytest.raises(UsageError, match=r"^this is not JSON: ") as caught:
        parse_json(raw)
    assert problem in caught.value.message
    assert "\n" not in caught.value.message
    assert "sys." not in caught.value.message


def nested(depth: int) -> Any:
    """A list in a list, and so on."""
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


HUGE = 1 << 100_000


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("text", "text"),
        (True, "true"),
        (None, "null"),
        (1.5, "1.5"),
        ({"a": ["é"]}, '{"a": ["\\u00e9"]}'),
        (dt.date(1979, 5, 27), '"1979-05-27"'),
        ("x" * 40, "x" * 40),
        ("x" * 41, "x" * 39 + "…"),
    ],
)
def test_a_value_is_shown_as_json(value: object, text: str) -> None:
    """Short, whatever it is."""
    assert shown(value) == text


def test_a_value_too_long_or_deep_is_not_shown() -> None:
    """Python itself gives up printing it."""
    assert shown(HUGE) == "…"
    assert shown(nested(100_000)) == "…"


def test_names_are_a_list_of_texts() -> None:
    """An empty one is as well."""
    assert is_names([])
    assert is_names(["a", ""])
    others: list[object] = ["a", None, {}, [1], ["a", None], [[]]]
    for value in others:
        assert not is_names(value)


def test_standard_input_is_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or an error where there is none."""
    monkeypatch.setattr(sys, "stdin", TextIOWrapper(BytesIO(b"\xff")))
    assert standard_input().read() == b"\xff"
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(InputError, match=r"^standard input is closed$"):
        standard_input()
