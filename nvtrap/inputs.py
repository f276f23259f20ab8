"""What strangers hand in: standard input, JSON text, and its values in messages."""

from __future__ import annotations

import sys
from json import JSONDecodeError, JSONDecoder, dumps

from nvtrap.errors import InputError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, BinaryIO

BOM = b"\xef\xbb\xbf"


def standard_input() -> BinaryIO:
    """The bytes of standard input.

    Raises `InputError` when the program was started without one.
    """
    if sys.stdin is None:
        raise InputError("standard input is closed")
    return sys.stdin.buffer


def parse_json(raw: bytes) -> Any:
    """The value of a JSON text.

    Raises `UsageError` for anything else, also for what Python would let through:
    NaN, numbers that no double holds, and other encodings than UTF-8.
    """
    try:
        return _DECODER.decode(raw.removeprefix(BOM).decode())
    except (ValueError, RecursionError) as error:
        raise UsageError(f"this is not JSON: {reason(error)}") from None


def reason(error: Exception) -> str:
    """Why a parser of the standard library refused a text, in this project's words."""
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if isinstance(error, UnicodeDecodeError):
        return f"byte {error.start} is not UTF-8"
    if isinstance(error, JSONDecodeError):
        return f"{_lower(error.msg)} at line {error.lineno}, column {error.colno}"
    text = _lower(" ".join(str(error).split()))
    return "a number is too long" if "integer string conversion" in text else text


def shown(value: Any, most: int = 40) -> str:
    """A value for a message: as JSON, a text as it stands, cut when it is long."""
    try:
        text = value if isinstance(value, str) else dumps(value, default=str)
    except (ValueError, RecursionError):
        text = "…"  # thousands of digits, or of levels
    return text if len(text) <= most else f"{text[: most - 1]}…"


def is_names(value: object) -> bool:
    """Whether a value is a list of texts."""
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]


def _no_number(text: str) -> float:
    raise ValueError(f"`{text}` is no number")


def _finite(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise ValueError(f"`{text[:40]}` is too large a number")
    return number


_DECODER = JSONDecoder(parse_constant=_no_number, parse_float=_finite)
