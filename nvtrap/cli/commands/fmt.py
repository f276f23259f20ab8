"""`nvtrap fmt`: rule files in their canonical layout."""

from __future__ import annotations

import os
import stat
import sys
from contextlib import suppress

from nvtrap.analysis.check import rule_files
from nvtrap.cli.terminal import plain, show
from nvtrap.compile.program import MOST_BYTES, decoded, read_bytes
from nvtrap.errors import InputError, UsageError
from nvtrap.inputs import standard_input
from nvtrap.lang.findings import Report
from nvtrap.lang.formatting import format_source
from nvtrap.lang.source import Source, Span
from nvtrap.places import display_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator, Sequence

    from nvtrap.cli.arguments import Parser
    from nvtrap.cli.terminal import Line

STDIN = "-"
EXAMPLES = """\
  nvtrap fmt mine.trap
  nvtrap fmt --check rules
  nvtrap fmt --diff mine.trap
  nvtrap fmt - <mine.trap >formatted.trap

Line ends behind commas and before the words of a clause are kept, and one empty line between
statements; all other space is the formatter's.

exit code: 0 formatted, or nothing to do; 1 a file does not parse, or --check or --diff found
what would change; 2 a file cannot be written"""


class Formatted:
    """A rule file before and after: its name for people, its bytes, and those to be.

    `after` is `before` for a file that is as it should be, or that cannot be formatted.
    """

    __slots__ = ("after", "before", "shown")

    def __init__(self, shown: str, before: bytes, after: bytes) -> None:
        self.shown = shown
        self.before = before
        self.after = after

    @property
    def changes(self) -> bool:
        """Whether formatting changes the file."""
        return self.before != self.after


def add_arguments(parser: Parser) -> None:
    """Add what `fmt` takes."""
    add = parser.add_argument
    add(
        "paths",
        nargs="+",
        metavar="PATH",
        help="rule files, folders of them, or - for standard input",
    )
    add("--check", action="store_true", help="change nothing, say which files would change")
    add("--diff", action="store_true", help="change nothing, print what would change")


def run(arguments: Namespace) -> int:
    """Format the files, or tell of those that would change."""
    report = Report()
    only_told = arguments.check or arguments.diff
    if STDIN in arguments.paths:
        if len(arguments.paths) > 1:
            raise UsageError("standard input goes with no other path")
        files = [_format("standard input", "", standard_input().read(MOST_BYTES + 1), report)]
        if not only_told and not report.has_errors:
            _write(files[0].after)
    else:
        files = list(_format_all(arguments.paths, report, write=not only_told))
    changed = [file for file in files if file.changes]
    if arguments.diff:
        for file in changed:
            _print_diff(file)
    elif arguments.check or STDIN not in arguments.paths:
        show(_summary(files, changed, told=only_told))
    _print_findings(report)
    return int(report.has_errors or bool(only_told and changed))


def _format_all(paths: Sequence[str], report: Report, *, write: bool) -> Iterator[Formatted]:
    for path in dict.fromkeys(_files(paths, report)):
        raw, problem = read_bytes(path)
        shown = display_path(path)
        if problem:
            _unreadable(shown, problem, report)
            continue
        file = _format(shown, os.path.realpath(path), raw, report)
        if write and file.changes:
            replace_file(path, file.after)
        yield file


def _files(paths: Sequence[str], report: Report) -> Iterator[str]:
    """The rule files at paths; a link in a folder must not lead out of it."""
    for given in paths:
        inside = os.path.join(os.path.realpath(given), "")
        for path in rule_files(given):
            if path == given or os.path.realpath(path).startswith(inside):
                yield path
            else:
                shown = display_path(path)
                _unreadable(shown, f"`{shown}` leads out of the folder", report)


def _format(shown: str, path: str, raw: bytes, report: Report) -> Formatted:
    text, problem = decoded(raw, shown)
    if problem:
        _unreadable(shown, problem, report)
        return Formatted(shown, raw, raw)
    after = format_source(Source(path, shown, text), report)
    if after is None:
        return Formatted(shown, raw, raw)
    result = after.encode()
    if len(result) > MOST_BYTES:
        _unreadable(shown, f"`{shown}` would be larger than {MOST_BYTES >> 20} MiB", report)
        return Formatted(shown, raw, raw)
    return Formatted(shown, raw, result)


def _unreadable(shown: str, problem: str, report: Report) -> None:
    report.add("NV002", problem, Span(Source(shown, shown, ""), 0, 0))


def replace_file(path: str, data: bytes) -> None:
    """Put other bytes into a file in one step, or leave it as it was; its mode stays.

    Raises `InputError` where that cannot be done, also for a file that is not to be written.
    """
    path = os.path.realpath(path)
    draft = f"{path}.{os.getpid()}.draft"
    try:
        mode = stat.S_IMODE(os.stat(path).st_mode)
        if not os.access(path, os.W_OK):
            raise InputError(f"`{display_path(path)}` cannot be written: it is read-only")
        try:
            with open(draft, "xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(draft, mode)
            os.replace(draft, path)
        except BaseException:
            with suppress(OSError):
                os.unlink(draft)
            raise
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise InputError(f"`{display_path(path)}` cannot be written: {reason}") from None


# ---- what is printed --------------------------------------------------------------


def _summary(files: Sequence[Formatted], changed: Sequence[Formatted], *, told: bool) -> list[Line]:
    """A line for each file that changes, and how many do."""
    verb = "would be formatted" if told else "formatted"
    style = "bold yellow" if told else "green"
    lines: list[Line] = [[(f"{file.shown}: ", "bold"), (verb, style)] for file in changed]
    count = "none" if not changed else str(len(changed))
    return [*lines, [(f"{count} of {len(files)} file{'s'[: len(files) != 1]} {verb}", "")]]


def _print_findings(report: Report) -> None:
    """What `check` says of the same files, on standard error: the text may be on the other."""
    from nvtrap.analysis import Checked
    from nvtrap.cli.formats.text import lines
    from nvtrap.cli.terminal import say

    if not report.findings:
        return
    checked = Checked(tuple(report.findings), (), (), 0)
    *told, _ = lines(checked)
    for line in told:
        say("".join(text for text, _ in line))


def _print_diff(file: Formatted) -> None:
    """A diff that `patch` understands; on a terminal one that does nothing to it."""
    from difflib import unified_diff

    before, after = (_lines(raw) for raw in (file.before, file.after))
    on_terminal = sys.stdout.isatty()
    for line in unified_diff(before, after, file.shown, file.shown, lineterm="\n"):
        text = line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"
        if on_terminal:
            show([[(plain(part.expandtabs()), _style(part))] for part in text.split("\n")[:-1]])
        else:
            _write(text.encode(errors="backslashreplace"))


def _write(data: bytes) -> None:
    """Write what is a file to standard output, whatever the encoding of that is."""
    sys.stdout.flush()
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def _style(line: str) -> str:
    return {"+": "green", "-": "red", "@": "cyan"}.get(line[:1], "")


def _lines(raw: bytes) -> list[str]:
    """The lines of a file with their ends; a carriage return is part of its line."""
    text = raw.decode()
    return [line for line in text.replace("\n", "\n\0").split("\0") if line]
