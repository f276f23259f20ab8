"""The catalogue inside a compiled table: names of encodings, and fields of registers.

Both are text with a line for each register, searched as it stands: a query looks up one
or two names and would wait longer for a dictionary than for the answer.
"""

from __future__ import annotations

from nvtrap.errors import UnknownNameError, UsageError
from nvtrap.table.conditions import evaluate

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any


class Names:
    """Names of encodings, both ways, over lines `NAME encoding flags`.

    The encoding is four hexadecimal digits; flags are r, w and i(nstruction).
    """

    def __init__(self, text: bytes) -> None:
        self._text = text
        self._known: dict[str, str] | None = None

    def find(self, name: str) -> int:
        """The encoding of a register or instruction; case and a space do not matter.

        Raises `UnknownNameError` with the closest names.
        """
        spelled = self.spelled(name)
        if spelled is None:
            raise UnknownNameError("register", name, (known for known, _, _ in self))
        return self._line(spelled)[1]

    def spelled(self, name: str) -> str | None:
        """`name` as the catalogue spells it, or None when it has no such name."""
        wanted = name.strip().replace(" ", "_")
        if not wanted.isascii():  # no name has such letters, and some cannot be encoded
            return None
        if f"\n{wanted} ".encode() in self._text:
            return wanted
        if self._known is None:
            self._known = {known.upper(): known for known, _, _ in self}
        return self._known.get(wanted.upper())

    def of(self, encoding: int, write: bool, *, strict: bool = False) -> str:
        """The name of an encoding for a direction, or an empty text.

        Where no register has that direction it is the name of one that has the other,
        or with `strict` none.
        """
        flag = "w" if write else "r"
        first = ""
        at = self._text.find(b" %04x " % encoding)
        while at >= 0:
            start = self._text.rfind(b"\n", 0, at) + 1
            name, _, flags = self._entry(start)
            if flag in flags:
                return name
            first = first or name
            at = self._text.find(b" %04x " % encoding, at + 1)
        return "" if strict else first

    def __iter__(self) -> Iterator[tuple[str, int, str]]:
        """(name, encoding, flags) of every register, by encoding."""
        for line in self._text.decode().split("\n"):
            if line:
                name, encoding, flags = line.split(" ")
                yield name, int(encoding, 16), flags

    def _line(self, name: str) -> tuple[str, int, str]:
        return self._entry(self._text.index(f"\n{name} ".encode()) + 1)

    def _entry(self, start: int) -> tuple[str, int, str]:
        line = self._text[start : self._text.index(b"\n", start)].decode()
        name, encoding, flags = line.split(" ")
        return name, int(encoding, 16), flags


class Fields:
    """Fields of registers, over lines `REGISTER {field: [[guard, pieces, text], …]}`.

    `guard` is the layout's condition over register names (null for all layouts), `text`
    how it was written, and pieces are [lsb, width], high part first.
    """

    def __init__(self, text: bytes) -> None:
        self._text = text
        self._known: dict[str, dict[str, list[Any]]] = {}

    def pieces(self, register: str, field: str, value_of: Callable[[str], int]) -> list[list[int]]:
        """The pieces of a field in the layout that `value_of(register)` gives.

        Raises `UnknownNameError` for a field the catalogue lacks and `UsageError` for
        one that does not exist in the current layout.
        """
        layouts = self._layouts(register, field)
        for guard, pieces, _ in layouts:
            if guard is None or evaluate(guard, value_of):
                return list(pieces)
        where = " or ".join(f"`{text}`" for _, _, text in layouts)
        raise UsageError(
            f"`{register}.{field}` does not exist in this layout", f"it does when {where}"
        )

    def moves(self, register: str, field: str) -> bool:
        """Whether the place of a field hangs on a layout."""
        return any(guard is not None for guard, _, _ in self._layouts(register, field))

    def name_at(
        self, register: str, bit: int, value_of: Callable[[str], int]
    ) -> tuple[str, int, int]:
        """(`.FIELD`, lsb, width) of the field at a bit, or (`[bit]`, bit, 1) without one."""
        for name, layouts in self._register(register).items():
            for guard, pieces, _ in layouts:
                if guard is not None and not evaluate(guard, value_of):
                    continue
                (lsb, width), *rest = pieces
                if not rest and lsb <= bit < lsb + width:
                    return f".{name}", lsb, width
        return f"[{bit}]", bit, 1

    def of(self, register: str) -> dict[str, list[dict[str, str]]]:
        """All fields of a register: bits such as `63:60,3` and layout, for each layout."""
        return {
            name: [{"bits": _bits(pieces), "when": text} for _, pieces, text in layouts]
            for name, layouts in self._register(register).items()
        }

    def _layouts(self, register: str, field: str) -> list[Any]:
        known = self._register(register)
        if field in known:
            return known[field]
        for name, layouts in known.items():
            if name.upper() == field.upper():
                return layouts
        raise UnknownNameError(
            "field", f"{register}.{field}", [f"{register}.{name}" for name in known]
        )

    def _register(self, register: str) -> dict[str, list[Any]]:
        if register not in self._known:
            from json import loads

            key = f"\n{register} ".encode()
            at = self._text.find(key)
            end = self._text.find(b"\n", at + 1)
            self._known[register] = {} if at < 0 else loads(self._text[at + len(key) : end])
        return self._known[register]


def _bits(pieces: list[list[int]]) -> str:
    words = [f"{lsb + width - 1}:{lsb}" if width > 1 else f"{lsb}" for lsb, width in pieces]
    return ",".join(words)
