"""Where the shipped files and the user's cache lie.

In a checkout rules, grammars and scenarios are at its top level; in an installed package
they and the compiled tables are in `nvtrap/shipped`.
"""

from __future__ import annotations

import os

_PACKAGE = os.path.dirname(os.path.abspath(__file__))
_SHIPPED = os.path.join(_PACKAGE, "shipped")


def _root(folder: str) -> str:
    shipped = os.path.join(_SHIPPED, folder)
    return shipped if os.path.isdir(shipped) else os.path.join(os.path.dirname(_PACKAGE), folder)


def rules_root() -> str:
    """The folder of the shipped rule files."""
    return _root("rules")


def grammar_root() -> str:
    """The folder of the grammars."""
    return _root("grammar")


def scenarios_root() -> str:
    """The folder of the shipped scenarios."""
    return _root("scenarios")


def shipped_tables() -> str | None:
    """The folder of the compiled tables, or None in a checkout, which has none."""
    folder = os.path.join(_SHIPPED, "tables")
    return folder if os.path.isdir(folder) else None


def cache_root() -> str:
    """The user's cache of compiled tables (XDG_CACHE_HOME, or ~/.cache)."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(base):
        home = os.path.expanduser("~")
        # A user without a home gets a folder that nobody can make, and so no cache.
        base = os.path.join(home, ".cache") if os.path.isabs(home) else os.devnull
    return os.path.join(base, "nvtrap")


def display_path(path: str) -> str:
    """`rules/…` or `scenarios/…` for a shipped file, else relative to the current folder.

    A path outside the current folder stays absolute.
    """
    path = os.path.abspath(path)
    shipped = ((rules_root(), "rules"), (scenarios_root(), "scenarios"))
    for folder, prefix in (*shipped, (os.getcwd(), "")):
        if path.startswith(folder + os.sep):
            return os.path.join(prefix, path[len(folder) + 1 :])
    return path
