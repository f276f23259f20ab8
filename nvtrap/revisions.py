"""Rule files as they were at a git revision: `REV:PATH`."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory

from nvtrap.compile import Snapshot
from nvtrap.errors import InputError, UsageError


def is_revision(text: str) -> bool:
    """Whether `text` is `REV:PATH` and no file of that name."""
    revision, colon, path = text.partition(":")
    return bool(revision and colon and path) and not os.path.exists(text)


@contextmanager
def checked_out(text: str) -> Iterator[tuple[str, Snapshot]]:
    """The file `REV:PATH`, unpacked to a folder that lasts as long as the block.

    A file below the revision's own `rules` folder is read with the catalogue of its time.
    `PATH` is relative to the current folder.

    Raises `InputError` when there is no git, no repository, or no such revision or file.
    """
    revision, _, path = text.partition(":")
    if revision.startswith("-"):
        raise UsageError(f"`{revision}` is no git revision")
    prefix = _git("rev-parse", "--show-prefix").decode().strip()
    inside = os.path.normpath(os.path.join(prefix, path))
    _git("cat-file", "-e", f"{revision}^{{commit}}", what=f"`{revision}` is no git revision")
    archive = _git("archive", "--format=tar", revision, what=f"`{revision}` cannot be unpacked")
    with TemporaryDirectory(prefix="nvtrap-") as folder:
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            tar.extractall(folder, members=_rule_files(tar), filter="data")
        found = os.path.join(folder, inside)
        if not os.path.isfile(found):
            raise InputError(f"`{revision}` has no rule file `{inside}`")
        root = os.path.join(folder, "rules")
        rules = root if found.startswith(root + os.sep) else ""
        yield found, Snapshot(folder, f"{revision}:", rules)


def _rule_files(tar: tarfile.TarFile) -> list[tarfile.TarInfo]:
    return [member for member in tar if member.isfile() and member.name.endswith(".trap")]


def _git(*arguments: str, what: str = "this is no git repository") -> bytes:
    top = [] if arguments[0] == "rev-parse" else ["-C", _top()]
    try:
        result = subprocess.run(  # noqa: S603
            ["git", *top, *arguments],  # noqa: S607
            capture_output=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except OSError as error:
        raise InputError(f"git cannot be run: {(error.strerror or str(error)).lower()}") from None
    if result.returncode:
        raise InputError(what)
    return result.stdout


def _top() -> str:
    return _git("rev-parse", "--show-toplevel").decode().strip()
