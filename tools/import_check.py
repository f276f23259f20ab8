"""Whether importing a kernel's table gives what the hand-written rules say.

`tools/import-check [PATH] [--table NAME]`; exit 0 when both tables do the same in every
state, 1 when not, 2 when there is nothing to compare.
"""

from __future__ import annotations

import os
import sys
import tarfile
from argparse import ArgumentParser
from collections.abc import Sequence
from lzma import LZMAError

from nvtrap import load
from nvtrap.compile import compile_text
from nvtrap.engine import Table
from nvtrap.errors import InputError, NvtrapError
from nvtrap.imports import MOST_BYTES, import_linux
from nvtrap.table.file import unpack
from tools.same_rules import differences

IN_A_TREE = "arch/arm64/kvm/emulate-nested.c"
# Where Debian's and Ubuntu's packages put a kernel's sources.
ARCHIVE = "/usr/src/linux-source-{version}.tar.xz"
MOST_SHOWN = 20


def main(words: Sequence[str] | None = None) -> int:
    """Compare, and say what differs."""
    parser = ArgumentParser(prog="tools/import-check", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("path", nargs="?", help="an emulate-nested.c, sources, or their archive")
    parser.add_argument("--table", default="linux-6.12", help="a shipped table")
    arguments = parser.parse_args(words)
    try:
        return _compare(arguments.path or _package(arguments.table), arguments.table)
    except NvtrapError as error:
        print(f"import-check: {error.message}", file=sys.stderr)
        if error.help:
            print(f"  help: {error.help}", file=sys.stderr)
        return 2


def _package(table: str) -> str:
    """The archive of the kernel that a table is named after.

    Raises `InputError` when its package is not installed.
    """
    version = table.removeprefix("linux-")
    path = ARCHIVE.format(version=version)
    if not os.path.isfile(path):
        raise InputError(
            f"`{path}` is not there",
            f"install Debian's package linux-source-{version}, or give a path",
        )
    return path


def _compare(path: str, name: str) -> int:
    imported = import_linux(text_at(path), path)
    for finding in imported.findings:
        print(f"{finding.span}: {finding.code} {finding.message}")
    if imported.findings:
        return 1
    table = unpack(compile_text(imported.text, "imported").blob, Table)
    different = list(differences(table, load(name)))
    for line in different[:MOST_SHOWN]:
        print(f"differs: {line}")
    encodings = sum(1 for rule in table.rule_of if rule)
    outcome = f"differences from {name}: {len(different)}"
    print(f"{encodings} encodings, {table.control_count} controls, {outcome}")
    return 1 if different else 0


def text_at(path: str) -> bytes:
    """The kernel's text at a path: a file, one in a folder of sources, or in an archive.

    Raises `InputError` when it is not there.
    """
    if os.path.isdir(path):
        path = os.path.join(path, IN_A_TREE)
    try:
        if ".tar" in os.path.basename(path):
            return _in_archive(path)
        with open(path, "rb") as file:
            return file.read(MOST_BYTES + 1)
    except (OSError, EOFError, LZMAError, tarfile.TarError) as error:
        raise InputError(f"`{path}` cannot be read: {str(error).lower()}") from None


def _in_archive(path: str) -> bytes:
    """The file in an archive, read as it comes: an archive of sources is large."""
    with tarfile.open(path, "r|*") as archive:
        for member in archive:
            file = archive.extractfile(member) if member.name.endswith(IN_A_TREE) else None
            if file is not None:
                return file.read(MOST_BYTES + 1)
    raise InputError(f"`{path}` has no `{IN_A_TREE}`")


if __name__ == "__main__":
    sys.exit(main())
