"""The rules of the house that no linter knows: sizes, bare excepts, paths of one machine.

`python tools/house.py [ROOT]` prints a line for each breach; exit 1 when there is one.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import median

MOST_LINES = 600
MOST_LINES_MEDIAN = 250
MOST_FUNCTION_LINES = 60
MOST_FUNCTION_LINES_MEDIAN = 10
MOST_BYTES = 2 << 20
MACHINE_PATH = re.compile(r"(?<![\w.~-])/(?:home|root|Users|work|workspace|builds|mnt|private)/")
NOT_OURS = {"build", "dist", "__pycache__"}
OURS_THOUGH_HIDDEN = {".ci", ".github", ".gitignore", ".shellcheckrc"}


def breaches(root: Path) -> Iterator[str]:
    """Every breach in the project at `root`, as `path:line: what`."""
    yield from _in_package(root)
    for path in _files(root):
        for number, line in enumerate(_lines(path), 1):
            if MACHINE_PATH.search(line):
                yield f"{path.relative_to(root)}:{number}: names a path of one machine"


def _in_package(root: Path) -> Iterator[str]:
    file_lengths, function_lengths = [], []
    for path in sorted((root / "nvtrap").rglob("*.py")):
        name = path.relative_to(root)
        text = path.read_text(encoding="utf-8")
        file_lengths.append(text.count("\n"))
        if file_lengths[-1] > MOST_LINES:
            yield f"{name}:1: has {file_lengths[-1]} lines, at most {MOST_LINES}"
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                function_lengths.append(_length(node))
            for problem in _problems(node):
                yield f"{name}:{problem}"
    yield from _median("file", file_lengths, MOST_LINES_MEDIAN)
    yield from _median("function", function_lengths, MOST_FUNCTION_LINES_MEDIAN)


def _problems(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.ExceptHandler) and node.type is None:
        yield f"{node.lineno}: bare except"
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        length = _length(node)
        if length > MOST_FUNCTION_LINES:
            yield f"{node.lineno}: {node.name} has {length} lines, at most {MOST_FUNCTION_LINES}"


def _length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return (function.end_lineno or function.lineno) - function.lineno + 1


def _median(what: str, lengths: list[int], most: int) -> Iterator[str]:
    if lengths and median(lengths) > most:
        yield f"nvtrap: the median {what} has {median(lengths):g} lines, at most {most}"


def _files(folder: Path) -> Iterator[Path]:
    """The project's files, without what tools and environments leave beside them."""
    for path in sorted(folder.iterdir()):
        hidden = path.name.startswith(".") and path.name not in OURS_THOUGH_HIDDEN
        if hidden or path.name in NOT_OURS or path.is_symlink():
            continue
        if path.is_file():
            yield path
        elif path.is_dir() and not (path / "pyvenv.cfg").exists():
            yield from _files(path)


def _lines(path: Path) -> list[str]:
    if path.stat().st_size > MOST_BYTES:
        return []
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        return []


def main(arguments: list[str]) -> int:
    """Print the breaches; the result is the exit code."""
    root = Path(arguments[0]) if arguments else Path(__file__).resolve().parent.parent
    found = list(breaches(root))
    for breach in found:
        print(breach)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
