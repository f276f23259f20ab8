"""Names and comments that no word of a rule file can break out of."""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from nvtrap.table import Place

# Words that C11, Rust or the headers of either keep for themselves, in lower case.
_TAKEN = """
    abstract alignas alignof as async atomic auto await become bool box break case char const
    continue crate default do double dyn else enum errno extern false final float fn for gen goto
    if impl in inline int let long loop macro match mod move mut null override priv pub ref
    register restrict return self short signed sizeof static static_assert struct super switch
    thread_local trait true try type typedef typeof union unsafe unsigned unsized unused use
    virtual void volatile where while yield linux unix
"""


def identifiers(names: Iterable[str]) -> dict[str, str]:
    """A lower-case identifier for each name, no two alike, none a word of C or Rust."""
    found: dict[str, str] = {}
    for name in dict.fromkeys(names):
        word = re.sub(r"\W", "_", name.lower(), flags=re.ASCII)
        if not word[:1].isalpha():
            word = f"n{word}"
        if word in _TAKEN.split() or word.endswith("_t"):  # types end so
            word += "_"
        first, number = word, 1
        while word in found.values():
            number += 1
            word = f"{first}_{number}"
        found[name] = word
    return found


def constants(prefix: str, names: Iterable[str]) -> dict[str, str]:
    """A constant for each name: its identifier in upper case behind the prefix."""
    return {name: f"{prefix}{word.upper()}" for name, word in identifiers(names).items()}


def comment(text: str) -> str:
    """The text as it can stand in a comment of C or Rust, on one line."""
    shown = "".join(char if char.isprintable() else "?" for char in text)
    return shown.replace("*/", "* /").replace("/*", "/ *").replace("??", "? ?")


def at(place: Place | None) -> str:
    """`file:line` for a comment, or an empty text."""
    return "" if place is None else comment(str(place))
