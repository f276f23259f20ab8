"""`nvtrap import`: other people's tables as rule files."""

from __future__ import annotations

import os
import sys

from nvtrap.analysis import Checked
from nvtrap.cli.formats.text import lines
from nvtrap.cli.outputs import write_file
from nvtrap.cli.terminal import say, warn
from nvtrap.errors import InputError
from nvtrap.imports import MOST_BYTES, import_linux
from nvtrap.inputs import standard_input
from nvtrap.places import display_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace

    from nvtrap.cli.arguments import Parser
    from nvtrap.imports import Imported

IN_A_TREE = os.path.join("arch", "arm64", "kvm", "emulate-nested.c")
EXAMPLES = """\
  nvtrap import linux emulate-nested.c -o mine.trap
  nvtrap import linux ~/src/linux --name linux-7.2 --partial > linux-7.2.trap
  nvtrap import linux <(git -C ~/src/linux show v6.18:arch/arm64/kvm/emulate-nested.c)

What cannot be translated is a finding with its line, and then nothing is written. With
--partial the rest is, and what was left out stands in comments.

exit code: 0 all of it is translated, 1 findings, 2 this is no such text, or failure"""


def add_arguments(parser: Parser) -> None:
    """Add what `import` takes."""
    add = parser.add_argument
    add("system", choices=("linux",), metavar="linux", help="whose table it is")
    add(
        "path",
        metavar="PATH",
        help="a kernel's arch/arm64/kvm/emulate-nested.c (6.6 or newer), a folder with a"
        " kernel's sources, or - for standard input",
    )
    add("-o", "--output", metavar="FILE", help="write to a file (default: standard output)")
    add(
        "--name",
        default="linux-import",
        metavar="TABLE",
        help="what the table is called (default: linux-import)",
    )
    add("--partial", action="store_true", help="write what can be translated, despite findings")


def run(arguments: Namespace) -> int:
    """Translate, and write all of it or nothing."""
    raw, display = _read(arguments.path)
    imported = import_linux(raw, display, arguments.name)
    _tell(imported, display)
    if not imported.text or (imported.findings and not arguments.partial):
        hint = ", see --partial" if imported.text else ""
        warn(f"nothing was written{hint}")
        return 1
    if arguments.output is None:
        sys.stdout.write(imported.text)
    else:
        write_file(arguments.output, imported.text)
    return 1 if imported.findings else 0


def _tell(imported: Imported, display: str) -> None:
    """Say what was found, on standard error: standard output may be the rule file."""
    if imported.findings:
        for line in lines(Checked(imported.findings, (display,), (), 0)):
            say("".join(text for text, _ in line))


def _read(path: str) -> tuple[bytes, str]:
    """The text and the name by which people are told of it.

    Raises `InputError` when there is nothing to read.
    """
    if path == "-":
        return standard_input().read(MOST_BYTES + 1), "standard input"
    if os.path.isdir(path):
        inside = os.path.join(path, IN_A_TREE)
        if not os.path.isfile(inside):
            raise InputError(f"`{path}` has no kernel's sources: there is no `{IN_A_TREE}`")
        path = inside
    try:
        with open(path, "rb") as file:
            return file.read(MOST_BYTES + 1), display_path(path)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise InputError(f"`{path}` cannot be read: {reason}") from None
