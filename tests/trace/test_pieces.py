"""Traces in pieces: from files, streams and ranges, by one process and by several."""

from __future__ import annotations

import gzip
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvtrap import State, Table
from nvtrap.errors import InputError, NvtrapError
from nvtrap.trace import blocks_of, pieces, replay, scanned
from nvtrap.trace.pieces import Range, cut, scan_block
from nvtrap.trace.scan import MOST_IN_A_LINE
from tests.trace.traces import MOST, data, made, report_of


def in_blocks(raw: bytes, size: int) -> Iterator[bytes]:
    """The bytes, so many at a time."""
    return (raw[n : n + size] for n in range(0, len(raw), size))


@given(st.lists(st.sampled_from([b"a", b"bc" * 9, b"\n", b"\r\n"])), st.integers(1, 40))
def test_lines_are_never_cut(parts: list[bytes], size: int) -> None:
    """Pieces end where lines end, and together are the whole."""
    raw = b"".join(parts)
    found = list(cut(in_blocks(raw, size)))
    assert b"".join(found) == raw
    assert all(piece.endswith(b"\n") for piece in found[:-1])
    assert all(found)


@pytest.mark.parametrize("size", [4096, MOST_IN_A_LINE, 1 << 20, 1 << 24])
def test_an_endless_line_is_one_damaged_line(linux: Table, size: int) -> None:
    """Wherever blocks end in it, and never held as a whole."""
    run = made(linux, 3, 100)
    raw = run.raw + b"x" * (8 << 20) + b"\n" + run.raw + b"y" * (2 << 20)
    found = list(cut(in_blocks(raw, size)))
    assert max(map(len, found)) <= MOST_IN_A_LINE + 1 + 2 * size
    report = report_of(linux, *found)
    assert (report.lines, report.damaged) == (2 * len(run.lines) + 2, 2)
    assert [number for number, _, _ in report.damage] == [len(run.lines) + 1, report.lines]
    assert [line for line, _ in report.apart] == [
        *run.apart,
        *(len(run.lines) + 1 + line for line in run.apart),
    ]


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize("packed", [False, True])
def test_files_give_the_same_report_however_they_are_read(
    linux: Table, tmp_path: Path, jobs: int, packed: bool
) -> None:
    """Plain or packed, in blocks of a few lines, by one process or two."""
    raw = made(linux, 7, 800).raw
    path = tmp_path / "trace"
    path.write_bytes(gzip.compress(raw) if packed else raw)
    whole = data(report_of(linux, raw))
    for size in (100, 5000):
        blocks = list(blocks_of(str(path), jobs, size))
        assert len(blocks) > 5
        assert isinstance(blocks[0], Range) == (jobs == 2 and not packed)
        report = replay(scanned(blocks, MOST, jobs), linux, State(), MOST)
        assert data(report) == whole


@given(st.lists(st.sampled_from([b"", b"x", b"y" * 50]), max_size=12), st.integers(1, 60))
def test_ranges_are_whole_lines(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], size: int
) -> None:
    """They follow one another without a gap, and but for the last end with a line."""
    path = tmp_path_factory.getbasetemp() / "lines"
    raw = b"\n".join(lines)
    path.write_bytes(raw)
    ranges = [found for found in blocks_of(str(path), 2, size) if isinstance(found, Range)]
    parts = [raw[found.start : found.end] for found in ranges]
    assert b"".join(parts) == raw
    assert all(part.endswith(b"\n") for part in parts[:-1])
    assert all(len(part) == len(found) > 0 for part, found in zip(parts, ranges, strict=True))


def test_a_range_is_read_piece_by_piece(
    linux: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An endless line in it takes no memory."""
    raw = made(linux, 3, 60).raw + b"x" * (1 << 20) + b"\n"
    (tmp_path / "trace").write_bytes(raw)
    monkeypatch.setattr(pieces, "PIECE", 1000)
    found = scan_block(Range(str(tmp_path / "trace"), 0, len(raw)), 5)
    assert sum(piece.lines for piece in found) == raw.count(b"\n")
    assert sum(piece.damaged for piece in found) == 1


def _killed(block: bytes | Range, most: int) -> None:
    del block, most
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_killed_process_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Instead of waiting for it."""
    monkeypatch.setattr(pieces, "scan_block", _killed)
    with pytest.raises(NvtrapError, match="a process that read the trace was killed"):
        list(scanned([b"\n"] * 9, 1, 2))


def test_what_cannot_be_read_is_an_input_error(tmp_path: Path) -> None:
    """Missing, or damaged somewhere."""
    with pytest.raises(InputError, match="no such file"):
        list(blocks_of(str(tmp_path / "none")))
    (tmp_path / "cut.gz").write_bytes(gzip.compress(b"x\n" * 99999)[:-20])
    with pytest.raises(InputError, match=r"`.*cut.gz` is damaged: it ends too early"):
        list(blocks_of(str(tmp_path / "cut.gz"), 2))
