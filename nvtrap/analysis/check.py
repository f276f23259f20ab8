"""Checking rule files: what the compiler finds, and the expectations."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from nvtrap.analysis.expectations import check_expectations
from nvtrap.compile import Compilation, Loader, compile_program
from nvtrap.compile.program import Program
from nvtrap.engine import Table
from nvtrap.errors import InputError
from nvtrap.lang import nodes
from nvtrap.lang.findings import Finding, Report
from nvtrap.lang.source import Source, Span
from nvtrap.places import display_path
from nvtrap.table.file import unpack

SUFFIX = ".trap"


@dataclass(frozen=True, slots=True)
class Checked:
    """The result of a check: findings by place, and the files that were looked at."""

    findings: tuple[Finding, ...]
    files: tuple[str, ...]
    tables: tuple[str, ...]
    expectations: int

    @property
    def has_errors(self) -> bool:
        """Whether any finding is an error."""
        return any(finding.is_error for finding in self.findings)


def check_paths(paths: Sequence[str], roots: Sequence[str] = ()) -> Checked:
    """Check rule files, and all those below folders.

    A file that a table uses is checked as part of it; a table, and one that none uses, is
    checked by itself, with what it uses. Raises `InputError` for a path that is not there or a
    folder without rule files.
    """
    files = files_at(paths)
    report = Report()
    tables: list[str] = []
    expectations = 0
    for program in programs(files, paths, roots, report):
        compilation = compile_program(program)
        for finding in compilation.findings:
            report.include(finding)
        if compilation.name:
            tables.append(compilation.name)
        expectations += _expect(compilation, report)
    shown = tuple(display_path(path) for path in files)
    return Checked(tuple(report.findings), shown, tuple(tables), expectations)


def files_at(paths: Sequence[str]) -> list[str]:
    """The rule files that paths mean, each once.

    Raises `InputError` for a path that is not there or a folder without rule files.
    """
    return list(dict.fromkeys(path for given in paths for path in rule_files(given)))


def programs(
    files: Sequence[str], paths: Sequence[str], roots: Sequence[str], report: Report
) -> Iterator[Program]:
    """The programs of `files`, which were found at `paths`: tables, and what none uses.

    A file that leads out of the given folders is reported and left out.
    """
    folders = [path for path in paths if os.path.isdir(path)]
    loader = Loader([*roots, *folders])
    covered: set[str] = set()
    for path, says_table in _tables_first(files, loader):
        if os.path.realpath(path) in covered and not says_table:
            continue
        if not _stays(path, paths, folders):
            where = Span(Source(path, display_path(path), ""), 0, 0)
            report.add("NV002", f"`{where.source.display}` leads out of the folder", where)
            continue
        program = loader.load(path)
        covered.update(file.source.path for file in program.files)
        yield program


def _stays(path: str, given: Sequence[str], folders: Sequence[str]) -> bool:
    """Whether a file was given by name, or lies in a given folder in truth.

    In a stranger's folder a link could lead to any file of this machine, and findings
    quote what they do not understand.
    """
    real = os.path.realpath(path)
    return path in given or any(
        real.startswith(os.path.join(os.path.realpath(folder), "")) for folder in folders
    )


def _expect(compilation: Compilation, report: Report) -> int:
    if compilation.is_sound and compilation.expectations:
        table = unpack(compilation.blob, Table)
        check_expectations(compilation.expectations, table, report)
    return len(compilation.expectations)


def rule_files(path: str) -> list[str]:
    """The rule files that a path means, in order of name."""
    if not os.path.exists(path):
        raise InputError(f"`{path}` does not exist")
    if not os.path.isdir(path):
        return [path]
    found = sorted(
        os.path.join(folder, name)
        for folder, _, names in os.walk(path)
        for name in names
        if name.endswith(SUFFIX)
    )
    if not found:
        raise InputError(f"`{path}` has no rule files", f"they end in `{SUFFIX}`")
    return found


def _tables_first(files: Sequence[str], loader: Loader) -> Iterator[tuple[str, bool]]:
    """Files that say a table (and that they do), then the others, most of which it uses."""
    others = []
    for path in files:
        if _says_table(path, loader):
            yield path, True
        else:
            others.append(path)
    for path in others:
        yield path, False


def _says_table(path: str, loader: Loader) -> bool:
    file = loader.peek(path)
    return file is not None and any(isinstance(s, nodes.Table) for s in file.statements)
