"""What to do about a syntax error: the likeliest slip, told from the words around it."""

from __future__ import annotations

import re

from nvtrap.errors import closest, did_you_mean
from nvtrap.lang.grammar import words_of

_AROUND = 120

# (what the text looks like around the mark ‸, a terminal that was expected there, advice).
# The first that fits is given; an empty terminal fits anything.
_SLIPS = tuple(
    (re.compile(pattern, re.DOTALL), terminal, advice)
    for pattern, terminal, advice in (
        (r'‸"[^"\n]*(\n|$)', "", "the closing quote is missing on this line"),
        (r"=‸=", "", "a setting is written with one `=`"),
        (r"‸=[^=]", "COMPARE", "a comparison is written `==`"),
        (r"‸&", "", "write `and`"),
        (r"‸\|", "OR", "write `or`"),
        (r"‸!", "", "write `not`, or `!=` between two values"),
        (r"‸if\b", "WHEN", "write `when`"),
        (r"‸unless\b", "LPAR", "a filter stands in brackets: `(unless …)`"),
        (r",\s*by\s+‸", "BY", "there is a comma too many before `by`"),
        (r"‸by\b", "", "the coarse part comes first: `by …, fine …`"),
        (r"‸\w+\.\w", "BY", "a control follows `by`, a fine-grained bit follows `fine`"),
        (
            r"\b(control|condition|combo|by)\s+\w+\s*‸",
            "DOT",
            "a control is named in two parts, such as `HCR.TID1`",
        ),
        (r"‸\w", "__ANON_0", "names are separated by commas"),
        (r"‸\w", "STRING", "put the text in quotes"),
    )
)
_WORD = re.compile(r"[A-Za-z][\w-]*")


def advice(text: str, at: int, expected: set[str]) -> str:
    """Advice about what stands at `at`, where one of the terminals `expected` should."""
    found = _WORD.match(text, at)
    if found is not None:
        words = [word for terminal in sorted(expected) for word in words_of(terminal)]
        close = closest(found[0][:_AROUND], words, most=1)
        if close and close[0] != found[0]:
            return did_you_mean(close)
    around = f"{text[max(0, at - _AROUND) : at]}‸{text[at : at + _AROUND]}"
    for pattern, terminal, advice in _SLIPS:
        if (not terminal or terminal in expected) and pattern.search(around):
            return advice
    return ""
