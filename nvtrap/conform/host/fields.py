"""The members of a host recording: read with care, and compared one by one."""

from __future__ import annotations

from nvtrap.conform.verdicts import PASSED, failed
from nvtrap.errors import UsageError
from nvtrap.inputs import shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from nvtrap.conform.verdicts import Score

_HEX = frozenset("0123456789abcdefABCDEF")


def word(value: object, what: str, bits: int = 64) -> int:
    """The number of at most `bits` bits that is written as `0x...`.

    Raises `UsageError` for anything else; `what` is what it is of.
    """
    if type(value) is str and value[:2] == "0x" and 2 < len(value) <= 18:
        number = int(value, 16) if _HEX.issuperset(value[2:]) else -1
        if 0 <= number < 1 << bits:
            return number
    raise UsageError(f"`{what}` is `{shown(value)}`, it is a number of {bits} bits in hex")


class Fields:
    """An object of a line; every method raises `UsageError` for a member that does not fit.

    `values` is the object, `path` what its members' names begin with in messages.
    """

    __slots__ = ("path", "values")

    def __init__(self, values: dict[str, Any], path: str = "") -> None:
        self.values = values
        self.path = path

    def has(self, key: str) -> bool:
        """Whether the member is there, and not null."""
        return self.values.get(key) is not None

    def word(self, key: str, bits: int = 64) -> int:
        """A number in hex."""
        return word(self._member(key), self.path + key, bits)

    def number(self, key: str, least: int, most: int) -> int:
        """A JSON number from `least` to `most`."""
        value = self._member(key)
        if type(value) is not int or not least <= value <= most:
            raise self._wrong(key, f"a number from {least} to {most}")
        return value

    def flag(self, key: str) -> bool:
        """True or false."""
        value = self._member(key)
        if type(value) is not bool:
            raise self._wrong(key, "true or false")
        return value

    def choice(self, key: str, words: Sequence[str]) -> str:
        """One of these words."""
        value = self._member(key)
        if type(value) is not str or value not in words:
            raise self._wrong(key, f"one of {', '.join(words)}")
        return value

    def inner(self, key: str) -> Fields:
        """An object."""
        return self._object(self._member(key), key)

    def items(self, key: str, most: int) -> list[Any]:
        """A list of at most so many items."""
        value = self._member(key)
        if type(value) is not list or len(value) > most:
            raise self._wrong(key, f"a list of at most {most}")
        return value

    def objects(self, key: str, most: int) -> list[Fields]:
        """A list of at most so many objects."""
        items = enumerate(self.items(key, most))
        return [self._object(item, f"{key}[{number}]") for number, item in items]

    def _member(self, key: str) -> Any:
        if key not in self.values:
            raise UsageError(f"the line has no `{self.path}{key}`")
        return self.values[key]

    def _object(self, value: Any, key: str) -> Fields:
        if type(value) is not dict:
            raise UsageError(f"`{self.path}{key}` is `{shown(value)}`, it is an object")
        return Fields(value, f"{self.path}{key}.")

    def _wrong(self, key: str, right: str) -> UsageError:
        return UsageError(f"`{self.path}{key}` is `{shown(self.values[key])}`, it is {right}")


def compare(expected: Any, got: Any, path: str = "") -> Score:
    """The score of what was got: every expected member must be there and equal.

    Objects and lists are compared member by member; a member that was not got is None.
    The failure names the first that differs, `path` being where it all stands.
    """
    problem = _difference(expected, got, path)
    return failed(problem) if problem else PASSED


def _difference(expected: Any, got: Any, path: str) -> str:
    if type(expected) is dict and type(got) is dict:
        for key, value in expected.items():
            place = f"{path}.{shown(key)}" if path else shown(key)
            problem = _difference(value, got.get(key), place)
            if problem:
                return problem
        return ""
    if type(expected) is list and type(got) is list and len(expected) == len(got):
        pairs = zip(expected, got, strict=True)
        found = (_difference(*pair, f"{path}[{number}]") for number, pair in enumerate(pairs))
        return next(filter(None, found), "")
    if type(expected) is type(got) and _plain(expected) == _plain(got):
        return ""
    return f"{path}: expected {shown(expected)}, got {shown(got)}"


def _plain(value: Any) -> Any:
    """A value to compare, numbers in hex without leading zeros and capitals."""
    is_hex = type(value) is str and value[:2] == "0x"
    return "0x" + value[2:].lower().lstrip("0") if is_hex else value
