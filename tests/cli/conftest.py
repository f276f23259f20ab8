"""Running the command: in this process, or in one of its own."""

from __future__ import annotations

import sys
from io import BufferedReader, BytesIO, TextIOWrapper
from pathlib import Path

import pytest

from nvtrap.cli.main import main
from tests.cli.helpers import DEMO, ROOT, Nvtrap, Program, Run, checked


@pytest.fixture
def nvtrap(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Nvtrap:
    """The command in this process, in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(*words: str, stdin: bytes = b"") -> Run:
        monkeypatch.setattr(sys, "stdin", TextIOWrapper(BufferedReader(BytesIO(stdin))))
        code = main(list(words))
        out, err = capsys.readouterr()
        return checked(Run(code, out, err))

    return run


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory, cache_of_tests: Path) -> Program:
    """The command as a program; its folder can be put into PATH."""
    assert cache_of_tests.is_dir()
    path = tmp_path_factory.mktemp("bin") / "nvtrap"
    path.write_text(
        f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(ROOT)!r})\n"
        "from nvtrap.cli import main\nsys.exit(main())\n",
        encoding="utf-8",
    )
    path.chmod(0o755)
    return Program(path)


@pytest.fixture
def demo(tmp_path: Path) -> Path:
    """A folder with a small table in `demo.trap`."""
    (tmp_path / "demo.trap").write_text(DEMO, encoding="utf-8")
    return tmp_path
