"""`nvtrap emit`: code, data and references from a table."""

from __future__ import annotations

import os

from nvtrap import load
from nvtrap.cli.outputs import write_file
from nvtrap.cli.terminal import warn
from nvtrap.emit import FORMS, Emission, checked_licence, rendered
from nvtrap.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace

    from nvtrap.cli.arguments import Parser

EXAMPLES = """\
  nvtrap emit linux-6.12 --c generated --vectors generated
  nvtrap emit mine.trap --rust src/traps.rs --license 'Apache-2.0 OR MIT'
  nvtrap emit arch --json arch.json --markdown arch.md

A PATH that ends as its form's files do is a file; any other is a folder, in which files
are named after the table. Prints the files it wrote."""

ABOUT = {
    "c": "C11: a header and a file, to a folder or FILE.c with FILE.h beside it",
    "rust": "a Rust module for no_std",
    "json": "JSON (its schema is nvtrap/emit/table.schema.json)",
    "vectors": "test vectors as a C header",
    "markdown": "a reference in Markdown",
}


def add_arguments(parser: Parser) -> None:
    """Add what `emit` takes."""
    add = parser.add_argument
    add("table", metavar="TABLE", help="a shipped table, a rule file or a compiled table")
    for form, about in ABOUT.items():
        add(f"--{form}", metavar="PATH", help=about)
    add(
        "--license",
        metavar="SPDX",
        default="Apache-2.0",
        help="the licence of what is written (default: Apache-2.0)",
    )


def run(arguments: Namespace) -> int:
    """Make all texts, then write them."""
    licence = checked_licence(arguments.license)
    wanted = {form: path for form in FORMS if (path := getattr(arguments, form)) is not None}
    if not wanted:
        raise UsageError(
            "nothing is asked for", f"name a form: {', '.join(map('--{}'.format, FORMS))}"
        )
    emission = Emission(load(arguments.table, warn))
    stems = {form: _stem(path, form, emission.prefix) for form, path in wanted.items()}
    header = f"{os.path.basename(stems.get('c', emission.prefix))}.h"
    files: dict[str, str] = {}
    for form, stem in stems.items():
        for ending, text in rendered(emission, form, licence, header).items():
            if stem + ending in files:
                raise UsageError(f"`{stem + ending}` is asked for twice")
            files[stem + ending] = text
    for path, text in files.items():
        write_file(path, text)
        print(path)
    return 0


def _stem(path: str, form: str, name: str) -> str:
    """The path of a form's file without its ending.

    Raises `UsageError` for an empty path.
    """
    if not path:
        raise UsageError(f"`--{form}` has no path")
    ending = FORMS[form]
    if path.endswith(ending) and not path.endswith(os.sep + ending) and not os.path.isdir(path):
        return path[: -len(ending)]
    return os.path.join(path, f"{name}_vectors" if form == "vectors" else name)
