"""A program: the files of one compilation, found through `use`, within bounds.

Rule files come from strangers. A `use` reaches only the folders it is given (the
shipped rules, and that of the file compiled), and files are bounded in size, number
and depth, so that reading ends soon whatever they say.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from nvtrap.lang import nodes, parse
from nvtrap.lang.findings import Finding, Report
from nvtrap.lang.source import Source, Span, one_line_end
from nvtrap.places import display_path, rules_root

SUFFIX = ".trap"
MOST_BYTES = 1 << 20
MOST_BYTES_IN_ALL = 8 << 20
MOST_FILES = 256
MOST_USES = 4096
LONGEST_PATH = 1024
DEEPEST = 32


@dataclass(slots=True)
class Program:
    """The files of one compilation in the order in which their statements count.

    `paths` are all the files and folders that were looked into, `inherited` the files of
    tables that the main file uses.
    """

    root: Source
    files: list[nodes.File] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    inherited: set[str] = field(default_factory=set)
    report: Report = field(default_factory=Report)

    @property
    def expectations(self) -> list[nodes.Expect]:
        """The tests of this table; those of an inherited one hold for that one."""
        return [
            statement
            for file in self.files
            if file.source.path not in self.inherited
            for statement in file.statements
            if isinstance(statement, nodes.Expect)
        ]

    @property
    def statements(self) -> list[nodes.Statement]:
        """All statements, used files before the files that use them."""
        return [statement for file in self.files for statement in file.statements]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Rule files unpacked elsewhere: below `folder`, told of as `prefix` and what follows.

    `rules` is the rules root that they were written for, the shipped one when empty.
    """

    folder: str
    prefix: str
    rules: str

    def display(self, path: str) -> str:
        """The name of a file for people."""
        inside = path.removeprefix(os.path.realpath(self.folder) + os.sep)
        return self.prefix + inside if inside != path else display_path(path)


class Loader:
    """Reads and parses files; each file is parsed once however many programs use it.

    `use` may reach `roots`; files of a `snapshot` are named and resolved as it says.
    """

    def __init__(self, roots: Sequence[str] = (), snapshot: Snapshot | None = None) -> None:
        self._roots = [os.path.realpath(root) for root in roots]
        self._display = display_path if snapshot is None else snapshot.display
        root = "" if snapshot is None else snapshot.rules
        self.rules = os.path.realpath(root or rules_root())
        self._parsed: dict[str, tuple[nodes.File, list[Finding]]] = {}

    def load(self, path: str) -> Program:
        """The program whose main file is `path`; what is wrong is in its report."""
        path = os.path.realpath(path)
        source = Source(path, self._display(path), "")
        program = Program(source)
        file = self._parse(path, Span(source, 0, 0), program.report)
        if file is not None:
            program.root = file.source
            _Walk(self, program, self._allowed(path)).visit(file, ())
        return program

    def load_text(self, text: str, display: str, folder: str) -> Program:
        """The program whose main file is `text`, `use`s relative to `folder`."""
        path = os.path.join(os.path.realpath(folder), os.path.basename(display) or "text")
        raw = text.encode(errors="surrogatepass")
        text, problem = decoded(raw, display)
        program = Program(Source(path, display, text))
        if problem:
            program.report.add("NV002", problem, Span(program.root, 0, 0))
            return program
        file = parse.parse(program.root, program.report)
        _Walk(self, program, self._allowed(path)).visit(file, ())
        # Nothing was read from there.
        program.paths.remove(path)
        return program

    def peek(self, path: str) -> nodes.File | None:
        """The file at `path` alone, or None when it cannot be read."""
        path = os.path.realpath(path)
        return self._parse(path, Span(Source(path, path, ""), 0, 0), Report())

    def _allowed(self, path: str) -> list[str]:
        own = [] if path.startswith(self.rules + os.sep) else [os.path.dirname(path)]
        return [*self._roots, *own, self.rules]

    def _parse(self, path: str, where: Span, report: Report) -> nodes.File | None:
        if path not in self._parsed:
            text, problem = read_text(path)
            if problem:
                report.add("NV002", problem, where)
                return None
            own = Report()
            file = parse.parse(Source(path, self._display(path), text), own)
            self._parsed[path] = file, own.findings
        file, findings = self._parsed[path]
        for finding in findings:
            report.include(finding)
        return file


def read_text(path: str) -> tuple[str, str]:
    """(text, problem) of a rule file; exactly one of them is empty, or both."""
    raw, problem = read_bytes(path)
    return ("", problem) if problem else decoded(raw, display_path(path))


def read_bytes(path: str) -> tuple[bytes, str]:
    """(content, problem) of a rule file, its content up to the most that it may have and one."""
    shown = display_path(path)
    try:
        # Opening a pipe would wait for somebody to write to it.
        if os.path.exists(path) and not os.path.isfile(path):
            return b"", f"`{shown}` is not a file"
        with open(path, "rb") as file:
            return file.read(MOST_BYTES + 1), ""
    except OSError as error:
        return b"", f"`{shown}` cannot be read: {(error.strerror or str(error)).lower()}"


def decoded(raw: bytes, shown: str) -> tuple[str, str]:
    """(text, problem) of the bytes of a rule file that is called `shown`, as `read_text`."""
    if len(raw) > MOST_BYTES:
        return "", f"`{shown}` is larger than {MOST_BYTES >> 20} MiB, the most a rule file may have"
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return "", f"`{shown}` is not UTF-8: byte {error.start} is {raw[error.start]:#04x}"
    if "\0" in text:
        return "", f"`{shown}` is not text: it has a NUL character"
    return one_line_end(text), ""


class _Walk:
    """One walk along the `use`s of a program."""

    def __init__(self, loader: Loader, program: Program, allowed: list[str]) -> None:
        self._loader = loader
        self._program = program
        self._allowed = allowed
        self._done: set[str] = set()
        self._bytes = 0
        self._uses = 0
        self._tables: dict[str, str] | None = None

    def visit(self, file: nodes.File, above: tuple[str, ...]) -> None:
        """Add what `file` uses, then `file`; `above` are the files that led here."""
        path = file.source.path
        says_table = any(isinstance(statement, nodes.Table) for statement in file.statements)
        if above and (says_table or above[-1] in self._program.inherited):
            self._program.inherited.add(path)
        self._done.add(path)
        self._program.paths.append(path)
        self._bytes += len(file.source.text)
        for statement in file.statements:
            if isinstance(statement, nodes.Use) and self._may_use(statement):
                for target in self._targets(statement, file.source):
                    self._follow(target, statement.span, (*above, path))
        self._program.files.append(file)

    def _may_use(self, use: nodes.Use) -> bool:
        self._uses += 1
        if self._uses == MOST_USES + 1:
            text = f"a program has at most {MOST_USES} `use` statements"
            self._program.report.add("NV006", text, use.span)
        return self._uses <= MOST_USES

    def _follow(self, target: str, where: Span, above: tuple[str, ...]) -> None:
        report = self._program.report
        if target in above:
            chain = " → ".join(display_path(path) for path in above[above.index(target) :])
            report.add("NV005", f"this file uses itself: {chain} → {display_path(target)}", where)
            return
        if target in self._done:
            return
        full = len(self._done) >= MOST_FILES or self._bytes > MOST_BYTES_IN_ALL
        if full or len(above) > DEEPEST:
            report.add(
                "NV006",
                f"a program has at most {MOST_FILES} files, {MOST_BYTES_IN_ALL >> 20} MiB"
                f" of text and {DEEPEST} levels of `use`",
                where,
            )
            return
        file = self._loader._parse(target, where, report)
        if file is not None:
            self.visit(file, above)

    def _targets(self, use: nodes.Use, source: Source) -> list[str]:
        """The files that a `use` means: one, or all of a folder, in order of name."""
        found = (
            self._known_tables().get(use.target) if use.is_table else self._find(use.target, source)
        )
        if found is None:
            self._report_missing(use)
            return []
        if not os.path.isdir(found):
            return [found]
        if found in self._program.paths:
            return []
        try:
            inside = sorted(name for name in os.listdir(found) if name.endswith(SUFFIX))
        except OSError as error:
            problem = (error.strerror or str(error)).lower()
            text = f"`{use.target}` cannot be read: {problem}"
            self._program.report.add("NV002", text, use.span)
            return []
        self._program.paths.append(found)
        paths = [os.path.realpath(os.path.join(found, name)) for name in inside]
        return [path for path in paths if self._is_allowed(path)]

    def _known_tables(self) -> dict[str, str]:
        if self._tables is None:
            self._tables = table_files()
        return self._tables

    def _find(self, target: str, source: Source) -> str | None:
        if len(target) > LONGEST_PATH:
            return None
        for folder in (os.path.dirname(source.path), self._loader.rules):
            path = os.path.realpath(os.path.join(folder, target))
            if os.path.exists(path) and self._is_allowed(path):
                return path
        return None

    def _is_allowed(self, path: str) -> bool:
        return any(path == root or path.startswith(root + os.sep) for root in self._allowed)

    def _report_missing(self, use: nodes.Use) -> None:
        report = self._program.report
        if use.is_table:
            help = report.suggest(use.target, self._known_tables())
            report.add("NV015", f"unknown table `{use.target}`", use.span, help)
            return
        report.add(
            "NV004",
            f"`{use.target}` is neither beside this file nor among the shipped rules",
            use.span,
            "a `use` reaches only the folder of the file that is compiled and the shipped rules",
        )


def table_files() -> dict[str, str]:
    """The main files of the shipped tables by table name: `…/NAME.trap` says `table NAME`."""
    return {name: path for name, path in _candidates() if _says_table(path, name)}


def find_table(name: str) -> str | None:
    """The main file of the shipped table `name`, or None."""
    for candidate, path in _candidates():
        if candidate == name and _says_table(path, name):
            return path
    return None


def _candidates() -> Iterator[tuple[str, str]]:
    for folder, subfolders, names in os.walk(rules_root()):
        subfolders.sort()
        for name in sorted(names):
            if name.endswith(SUFFIX):
                yield name[: -len(SUFFIX)], os.path.join(folder, name)


def _says_table(path: str, name: str) -> bool:
    with open(path, encoding="utf-8", errors="replace") as file:
        return any(line.split()[:2] == ["table", name] for line in file)
