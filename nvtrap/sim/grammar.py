"""Scenario text → lark's tree, and what its errors say."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

from nvtrap.errors import InputError, did_you_mean
from nvtrap.places import grammar_root
from nvtrap.sim.source import Place

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from lark import Lark, Token, Tree
    from lark.exceptions import UnexpectedInput

MOST_SHOWN = 40
CLOSE = 0.6
UNPRINTABLE = "\N{REPLACEMENT CHARACTER}"
# What a terminal is called where it is not a word; empty: it is not told.
_NAMES = {
    "NAME": "a name",
    "INT": "a number",
    "STRING": "a text in quotes",
    "VERSION": "a version such as 6.18",
    "COLON": "`:`",
    "EQUAL": "`=`",
    "COMMA": "`,`",
    "DOT": "`.`",
    "PLUS": "`+`",
    "LBRACE": "`{`",
    "RBRACE": "`}`",
    "__ANON_0": "`->`",
    "$END": "",
}
_AS_WRITTEN = {word: word for word in ("L0", "L1", "L2", "EL0", "EL1", "EC", "IRQ", "FIQ", "VHE")}
_SLIPS = {
    "=": "a value is expected with `->` after an instruction, `=` stands in `msr` and `expect`",
    "==": "a comparison is written `=`",
    "{": "fields follow a register and a point: `HCR_EL2.{IMO, FMO}`",
    "->": "expectations of a step stand behind one `->`, with commas between",
}


class _EveryName:
    """Has the lexer know names where no name can stand, so that it finds whole words."""

    always_accept = ("NAME",)

    def process(self, stream: Iterator[Token]) -> Iterator[Token]:
        return stream


def tree(file: str, text: str) -> Tree[Token]:
    """The tree of a scenario; raises `InputError` with the place of the first error."""
    from lark.exceptions import UnexpectedInput

    try:
        return _parser().parse(text)
    except UnexpectedInput as error:
        raise _explained(file, text, error) from None


@lru_cache(maxsize=1)
def _parser() -> Lark:
    from lark import Lark

    with open(f"{grammar_root()}/sim.lark", encoding="utf-8") as grammar:
        return Lark(
            grammar.read(),
            parser="lalr",
            lexer="contextual",
            maybe_placeholders=True,
            propagate_positions=True,
            postlex=cast("Any", _EveryName()),
        )


def _explained(file: str, text: str, error: UnexpectedInput) -> InputError:
    at, found = _where(text, error)
    expected: set[str] = cast("Any", error).interactive_parser.accepts()
    swallowed = _misspelt_line(text, at, expected)
    if swallowed is not None:
        at, word, help_ = swallowed
        return _place(file, text, at).error(f"there is no step `{_shown(word)}`", help_)
    named = f"`{_shown(found)}`" if found else "the end of the file"
    words = [_AS_WRITTEN.get(name, name.lower()) for name in expected if name not in _NAMES]
    slip = "" if "EQUAL" in expected else _SLIPS.get(found, "")
    help_ = did_you_mean(closest_word(found, words)) or slip
    wanted = _in_words(expected, is_first=not text[:at].strip())
    return _place(file, text, at).error(f"expected {wanted}, found {named}", help_)


def _where(text: str, error: UnexpectedInput) -> tuple[int, str]:
    """(offset, what stands there) of a syntax error; an empty text at the end."""
    from lark.exceptions import UnexpectedToken

    if not isinstance(error, UnexpectedToken):
        at = cast("int", error.pos_in_stream)
        return at, text[at]
    if error.token.type == "$END":
        return len(text.rstrip()), ""
    return error.token.start_pos or 0, str(error.token)


def _misspelt_line(text: str, at: int, expected: set[str]) -> tuple[int, str, str] | None:
    """(offset, word, advice) of a misspelt step: its line was read as words of a value."""
    start = text.rfind("\n", 0, at) + 1
    before = text[start:at].split()
    steps = [name.lower() for name in expected if name not in _NAMES]
    if not before or "NOP" not in expected or not before[0].isalpha() or before[0] in steps:
        return None
    close = closest_word(before[0], steps)
    return (text.index(before[0], start), before[0], did_you_mean(close)) if close else None


def closest_word(word: str, known: Iterable[str]) -> list[str]:
    """The word of the language that is most like another one; they are short."""
    from difflib import get_close_matches

    return get_close_matches(word[:MOST_SHOWN], list(known), n=1, cutoff=CLOSE)


def _place(file: str, text: str, at: int) -> Place:
    start = text.rfind("\n", 0, at) + 1
    return Place(file, text.count("\n", 0, at) + 1, at - start + 1)


def _shown(text: str) -> str:
    text = text if len(text) <= MOST_SHOWN else f"{text[: MOST_SHOWN - 1]}…"
    return "".join(char if char.isprintable() else UNPRINTABLE for char in text)


def _in_words(terminals: set[str], *, is_first: bool) -> str:
    """What was expected, in words; whatever begins a step is one thing."""
    if is_first:
        return "`scenario`"
    words = {_NAMES[name] for name in terminals if name in _NAMES} - {""}
    if "NOP" in terminals:
        words.add("a step")
        words.add("a block such as `L1:`")
    elif "L2" in terminals and "SETUP" in terminals:
        words.add("a block such as `L1:`")
    else:
        words |= {f"`{_AS_WRITTEN.get(name, name.lower())}`" for name in terminals - _NAMES.keys()}
    if "MACHINE" in terminals:
        words.add("`machine`")
    first, *rest = sorted(words, key=lambda word: (word.startswith("`"), word))
    return f"{', '.join([first, *rest[:-1]])} or {rest[-1]}" if rest else first
