"""Licence lines: SPDX licence expressions (SPDX 2.3, annex D)."""

from __future__ import annotations

from nvtrap.errors import UsageError

OPERATORS = ("AND", "OR", "WITH")
MOST_CHARACTERS = 200


def checked_licence(text: str) -> str:
    """The expression, if it has the form of one; whether its licences exist is not asked.

    Raises `UsageError`.
    """
    depth, wants_licence = 0, True
    for word in text.replace("(", " ( ").replace(")", " ) ").split():
        if word == "(" and wants_licence:
            depth += 1
        elif word == ")" and not wants_licence and depth:
            depth -= 1
        elif word in OPERATORS and not wants_licence:
            wants_licence = True
        elif wants_licence and word not in OPERATORS and _is_name(word):
            wants_licence = False
        else:
            raise _refused(text)
    if wants_licence or depth or len(text) > MOST_CHARACTERS:
        raise _refused(text)
    return " ".join(text.split())


def _is_name(word: str) -> bool:
    letters = word.removesuffix("+").replace("-", "").replace(".", "").replace(":", "")
    return letters.isascii() and letters.isalnum()


def _refused(text: str) -> UsageError:
    help_ = "write one such as Apache-2.0, or `GPL-2.0-only OR MIT`"
    return UsageError(f"`{text[:MOST_CHARACTERS]}` is no SPDX licence expression", help_)
