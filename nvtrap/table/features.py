"""Features inside a compiled table: what brings them, and what is not there without them."""

from __future__ import annotations

from nvtrap.errors import UnknownNameError
from nvtrap.table.conditions import evaluate

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any


class Features:
    """The catalogue's features, decoded when first asked for.

    The section is one JSON object: `predicates` feature → condition over ID registers
    (null where none is known), `profiles` name → members, `fields` register → [condition
    over features, mask, how the bits read when it does not hold], `registers` [condition,
    encodings that are undefined when it does not hold].
    """

    def __init__(self, text: bytes) -> None:
        self._text = text
        self._known: dict[str, Any] | None = None

    @property
    def _record(self) -> dict[str, Any]:
        if self._known is None:
            from json import loads

            self._known = loads(self._text)
        return self._known

    @property
    def names(self) -> list[str]:
        """Every feature, in the catalogue's order."""
        return list(self._record["predicates"])

    @property
    def profiles(self) -> list[str]:
        """Every profile, smallest first."""
        return list(self._record["profiles"])

    def named(self, words: Iterable[str]) -> frozenset[str]:
        """The features that words mean: features, profiles, `all`; `-` before one takes away.

        Raises `UnknownNameError` for a word that is none of these.
        """
        found: set[str] = set()
        for word in words:
            members = self._members(word.removeprefix("-"))
            found = found - members if word.startswith("-") else found | members
        return frozenset(found)

    def _members(self, word: str) -> set[str]:
        predicates, profiles = self._record["predicates"], self._record["profiles"]
        if word == "all":
            return set(predicates)
        if word in predicates:
            return {word}
        if word not in profiles:
            raise UnknownNameError("feature", word, [*predicates, *profiles, "all"])
        found: set[str] = set()
        for member in profiles[word]:
            found |= self._members(member)
        return found

    def of_id_registers(self, values: Mapping[str, int]) -> frozenset[str]:
        """The features that ID register values say; registers not given are 0."""
        return frozenset(
            name
            for name, when in self._record["predicates"].items()
            if when is not None and evaluate(when, lambda register: values.get(register, 0))
        )

    def absent_bits(self, register: str, present: frozenset[str]) -> tuple[int, int]:
        """(mask, value) of the bits of a register that belong to absent features."""
        mask = value = 0
        for when, bits, ones in self._record["fields"].get(register, ()):
            if not evaluate(when, lambda name: int(name in present)):
                mask |= bits
                value |= ones
        return mask, value

    def undefined(self, present: frozenset[str]) -> frozenset[int]:
        """The encodings of registers and instructions that absent features would bring."""
        found: set[int] = set()
        for when, encodings in self._record["registers"]:
            if not evaluate(when, lambda name: int(name in present)):
                found.update(encodings)
        return frozenset(found)
