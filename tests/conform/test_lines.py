"""Lines of JSON, from whatever they come."""

from __future__ import annotations

import gzip
import os
import sys
from io import BufferedReader, BytesIO, TextIOWrapper
from pathlib import Path

import pytest

from nvtrap.conform import read_lines, size_of
from nvtrap.conform.lines import MOST_IN_A_LINE, parse_object
from nvtrap.errors import InputError, UsageError

TEXT = b'{"a": 1}\n\n{"b": 2}\r\n{"c": 3}'
LINES = [b'{"a": 1}\n', b"\n", b'{"b": 2}\r\n', b'{"c": 3}']


@pytest.mark.parametrize(
    "raw", [TEXT, gzip.compress(TEXT), gzip.compress(TEXT[:20]) + gzip.compress(TEXT[20:])]
)
def test_files_and_standard_input_are_read_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, raw: bytes
) -> None:
    """Plain or gzipped, in one piece or several."""
    path = tmp_path / "lines"
    path.write_bytes(raw)
    assert list(read_lines(str(path))) == LINES
    monkeypatch.setattr(sys, "stdin", TextIOWrapper(BufferedReader(BytesIO(raw))))
    assert list(read_lines("-")) == LINES


def test_standard_input_without_a_look_ahead_is_plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where another program has put its own stream there."""
    monkeypatch.setattr(sys, "stdin", TextIOWrapper(BytesIO(TEXT)))
    assert list(read_lines("-")) == LINES


@pytest.mark.parametrize("raw", [b"", b"\x1f", b"{", b"\n"])
def test_short_files_are_plain(tmp_path: Path, raw: bytes) -> None:
    """Even one that is shorter than the mark of a gzipped one."""
    (tmp_path / "lines").write_bytes(raw)
    assert b"".join(read_lines(str(tmp_path / "lines"))) == raw


def test_a_long_line_is_cut_and_the_next_is_whole(tmp_path: Path) -> None:
    """Only the beginning of a line that is too long comes, and that is refused."""
    path = tmp_path / "lines"
    exact = b"x" * (MOST_IN_A_LINE - 1) + b"\n"
    path.write_bytes(b"x" * (3 * MOST_IN_A_LINE) + b"\n" + exact + TEXT)
    long, short, *rest = read_lines(str(path))
    assert len(long) == MOST_IN_A_LINE + 1
    assert short == exact
    assert rest == LINES
    with pytest.raises(UsageError, match="at most 16 MiB"):
        parse_object(long)


def test_what_cannot_be_read_is_an_input_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Missing, a folder, damaged, or no standard input at all."""
    (tmp_path / "cut").write_bytes(gzip.compress(TEXT)[:-9])
    for name, problem in (("none", "no such file"), ("", "is a directory"), ("cut", "damaged")):
        with pytest.raises(InputError, match=problem):
            list(read_lines(str(tmp_path / name)))
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(InputError, match="standard input is closed"):
        list(read_lines("-"))


def test_the_size_is_known_of_plain_files_only(tmp_path: Path) -> None:
    """And asking takes nothing out of a pipe."""
    (tmp_path / "plain").write_bytes(TEXT)
    (tmp_path / "packed").write_bytes(gzip.compress(TEXT))
    assert size_of(str(tmp_path / "plain")) == len(TEXT)
    for name in ("packed", "missing", ""):
        assert size_of(str(tmp_path / name)) == 0
    assert size_of("-") == 0
    read, write = os.pipe()
    os.write(write, TEXT)
    os.close(write)
    assert size_of(f"/dev/fd/{read}") == 0
    assert os.read(read, 1000) == TEXT
    os.close(read)


@pytest.mark.parametrize(
    ("line", "record"),
    [
        (b"{}", {}),
        (b' {"a": [1, 2.5, null, true]} \r\n', {"a": [1, 2.5, None, True]}),
        (b'\xef\xbb\xbf{"a": "\xc3\xa9"}', {"a": "é"}),
        (b'{"a": "\\ud83d\\ude00 \\ud800"}', {"a": "😀 \ud800"}),
        (b'{"a": 1, "a": 2}', {"a": 2}),
    ],
)
def test_an_object_is_parsed(line: bytes, record: object) -> None:
    """As JSON has it."""
    assert parse_object(line) == record


@pytest.mark.parametrize("line", [b"[]", b"1", b'"{}"', b"null", b"true"])
def test_other_values_are_refused(line: bytes) -> None:
    """A line is an object."""
    with pytest.raises(UsageError, match="a line is one JSON object"):
        parse_object(line)
