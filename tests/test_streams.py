"""What is packed, and what unpacks it."""

from __future__ import annotations

import sys
import zlib
from io import BufferedReader, BytesIO, TextIOWrapper
from pathlib import Path
from types import ModuleType

import pytest

from nvtrap.errors import InputError
from nvtrap.streams import ZSTD, size_of, unpacked

TEXT = b"line\n" * 200_000


class _Frame:
    """One frame of a stand-in for zstd: its mark, and deflated data."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj()
        self._mark = len(ZSTD)

    def decompress(self, data: bytes) -> bytes:
        taken = min(self._mark, len(data))
        self._mark -= taken
        return self._inner.decompress(data[taken:])

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data


class _Decompressor:
    def decompressobj(self) -> _Frame:
        return _Frame()


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """A library with zstandard's interface, which unpacks frames of deflated data."""
    library = ModuleType("zstandard")
    library.ZstdDecompressor = _Decompressor  # type: ignore[attr-defined]
    library.ZstdError = zlib.error  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "zstandard", library)


def frame(text: bytes) -> bytes:
    """A frame of the stand-in."""
    return ZSTD + zlib.compress(text, 1)


def contents(path: Path) -> bytes:
    """A file's contents, unpacked, read in odd amounts."""
    found = []
    with unpacked(str(path)) as file:
        while part := file.read(77_777):
            found.append(part)
    return b"".join(found)


@pytest.mark.usefixtures("stand_in")
@pytest.mark.parametrize("parts", [[TEXT], [b""], [TEXT, b"", b"more\n"], [b"x"] * 50])
def test_zstd_frames_are_unpacked_one_after_the_other(
    tmp_path: Path, parts: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """From files and from standard input; the size of such a file says nothing."""
    raw = b"".join(map(frame, parts))
    (tmp_path / "x.zst").write_bytes(raw)
    assert contents(tmp_path / "x.zst") == b"".join(parts)
    assert size_of(str(tmp_path / "x.zst")) == 0
    monkeypatch.setattr(sys, "stdin", TextIOWrapper(BufferedReader(BytesIO(raw))))
    with unpacked("-") as file:
        assert file.read() == b"".join(parts)


@pytest.mark.usefixtures("stand_in")
def test_damaged_zstd_is_told(tmp_path: Path) -> None:
    """A file that ends too early, and one with other bytes."""
    path = tmp_path / "x.zst"
    path.write_bytes(frame(TEXT)[:-3])
    with pytest.raises(InputError, match=r"x\.zst` is damaged: it ends too early"):
        contents(path)
    path.write_bytes(ZSTD + b"\xff" * 100)
    with pytest.raises(InputError, match=r"x\.zst` is damaged: error -3"):
        contents(path)


def test_without_the_library_zstd_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With what to install."""
    monkeypatch.setitem(sys.modules, "zstandard", None)
    (tmp_path / "x.zst").write_bytes(ZSTD)
    with pytest.raises(InputError, match="the library `zstandard` is not installed") as caught:
        contents(tmp_path / "x.zst")
    assert "pip install nvtrap[zstd]" in caught.value.help


def test_the_real_library_agrees(tmp_path: Path) -> None:
    """Where it is installed."""
    library = pytest.importorskip("zstandard")
    packed = library.ZstdCompressor().compress(TEXT)
    (tmp_path / "x.zst").write_bytes(packed + packed)
    assert contents(tmp_path / "x.zst") == TEXT + TEXT
    for raw, problem in ((packed[:-3], "it ends too early"), (ZSTD + b"\xff" * 99, "damaged")):
        (tmp_path / "x.zst").write_bytes(raw)
        with pytest.raises(InputError, match=problem):
            contents(tmp_path / "x.zst")
