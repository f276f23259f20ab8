"""The tables of a kernel's `emulate-nested.c`: which there are and what stands in them.

Nothing is known here of registers. The pieces are found by the kernel's own names::

    enum trap_behaviour, cgt_group_id, fg_filter_id
    coarse_trap_bits[], coarse_control_combo[], ccc[]
    encoding_to_cgt[], encoding_to_fgt[], non_0x18_fgt[]
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from nvtrap.errors import InputError
from nvtrap.imports import constants, ctext
from nvtrap.imports.ctext import NAME, CText, NotUnderstoodError, Token, Tokens
from nvtrap.lang.findings import Label, Report
from nvtrap.lang.source import Span

NEEDED_ENUMS = ("trap_behaviour", "cgt_group_id")
NEEDED_ARRAYS = ("coarse_trap_bits", "encoding_to_cgt", "encoding_to_fgt")

SINGLE, COMBO, COMPLEX = "control", "combo", "condition"
# The ids from each of these on are of another kind.
MARKERS = {"__MULTIPLE_CONTROL_BITS__": COMBO, "__COMPLEX_CONDITIONS__": COMPLEX}
NO_CONTROL = "__RESERVED__"


@dataclass(frozen=True, slots=True)
class Call:
    """An entry of the form `MACRO(argument, …)`."""

    macro: Token
    arguments: Sequence[Tokens]
    span: Span


@dataclass(frozen=True, slots=True)
class Initialiser:
    """An entry of the form `[ID] = { .field = value, … }`."""

    id: Token
    fields: dict[str, Tokens]
    span: Span


@dataclass(slots=True)
class Tables:
    """What the text says. `ids` are the controls in order with their kind."""

    text: CText
    known: Constants
    ids: dict[str, str] = field(default_factory=dict)
    places: dict[str, Token] = field(default_factory=dict)
    bits: list[Initialiser] = field(default_factory=list)
    combos: list[Call] = field(default_factory=list)
    conditions: list[Call] = field(default_factory=list)
    coarse: list[Call] = field(default_factory=list)
    fine: list[Call] = field(default_factory=list)
    elsewhere: list[Call] = field(default_factory=list)

    def mentions(self, *names: str) -> bool:
        """Whether any of the names occurs anywhere in the text."""
        return any(token.text in names for token in self.text.tokens)


class Constants:
    """Values of the names that the text itself defines, by enums and macros."""

    def __init__(self, defines: dict[str, list[Token]]) -> None:
        self.values: dict[str, int] = {}
        self._defines = defines
        self._expanded: dict[tuple[str, str], int] = {}
        self._open: list[str] = []

    def value(
        self, tokens: Tokens, scope: str = "", otherwise: constants.Resolve | None = None
    ) -> int:
        """The value of an expression.

        `otherwise` says what names are that the text does not define; macros may use
        these too, so `scope` names what it hangs on. Raises `NotUnderstoodError`.
        """

        def resolve(token: Token) -> int:
            if token.text in self.values:
                return self.values[token.text]
            if token.text in self._defines:
                return self._macro(token, scope, resolve)
            if otherwise is not None:
                return otherwise(token)
            raise NotUnderstoodError("NV016", f"unknown constant `{token.text}`", token.span)

        return constants.evaluate(tokens, resolve)

    def _macro(self, token: Token, scope: str, resolve: constants.Resolve) -> int:
        name = token.text
        if (scope, name) in self._expanded:
            return self._expanded[scope, name]
        if name in self._open or len(self._open) > constants.DEEPEST:
            raise NotUnderstoodError("NV034", f"`{name}` is defined by itself", token.span)
        self._open.append(name)
        try:
            value = constants.evaluate(self._defines[name], resolve)
        finally:
            self._open.pop()
        self._expanded[scope, name] = value
        return value


def find(text: CText, report: Report) -> Tables:
    """The tables of the text; entries that mean nothing are reported.

    Raises `InputError` when this is no such text.
    """
    finder = _Finder(text, report)
    _check_needed(finder)
    tables = Tables(text, finder.constants)
    for name in ("trap_behaviour", "fg_filter_id"):
        finder.enumerate(name)
    _sort_ids(finder.enumerate("cgt_group_id"), tables)
    tables.bits = list(finder.initialisers("coarse_trap_bits"))
    tables.combos = list(finder.calls("coarse_control_combo"))
    tables.conditions = list(finder.calls("ccc"))
    tables.coarse = list(finder.calls("encoding_to_cgt"))
    tables.fine = list(finder.calls("encoding_to_fgt"))
    tables.elsewhere = list(finder.calls("non_0x18_fgt"))
    return tables


def _check_needed(finder: _Finder) -> None:
    missing = [f"`enum {name}`" for name in NEEDED_ENUMS if name not in finder.enums]
    missing += [f"`{name}[]`" for name in NEEDED_ARRAYS if name not in finder.arrays]
    if missing:
        raise InputError(
            f"`{finder.text.source.display}` is no table of nested traps: it has no"
            f" {' and no '.join(missing[:2])}",
            "give a kernel's arch/arm64/kvm/emulate-nested.c, from Linux 6.6 on",
        )


def _sort_ids(names: Sequence[Token], tables: Tables) -> None:
    kind = SINGLE
    for token in names:
        kind = MARKERS.get(token.text, kind)
        if not token.text.startswith("__"):
            tables.ids[token.text] = kind
            tables.places[token.text] = token


class _Finder:
    """Finds enums and arrays by name and takes their entries apart."""

    def __init__(self, text: CText, report: Report) -> None:
        self.text = text
        self.constants = Constants(text.defines)
        self.enums: dict[str, int] = {}
        self.arrays: dict[str, int] = {}
        self._report = report
        for index in range(len(text.tokens)):
            self._look_at(index)

    def _look_at(self, index: int) -> None:
        tokens = self.text.tokens
        words = [token.text for token in tokens[index : index + 3]]
        if words[0] == "enum" and words[2:] == ["{"]:
            self._define(self.enums, tokens[index + 1], index + 2)
        elif tokens[index].kind == NAME and words[1:] == ["[", "]"]:
            opening = self._initialised(index + 3)
            if opening is not None:
                self._define(self.arrays, tokens[index], opening)

    def _initialised(self, index: int) -> int | None:
        """Where the `{` behind an array's `=` is; attributes may stand before that."""
        tokens = self.text.tokens
        for at in range(index, min(index + 8, len(tokens) - 1)):
            if tokens[at].text == "=":
                return at + 1 if tokens[at + 1].text == "{" else None
            if tokens[at].kind != NAME:
                return None
        return None

    def _define(self, known: dict[str, int], name: Token, opening: int) -> None:
        if known.setdefault(name.text, opening) == opening:
            return
        if name.text in NEEDED_ARRAYS + NEEDED_ENUMS:
            first = Label(self.text.tokens[known[name.text]].span, "first defined here")
            self._report.add("NV040", f"`{name.text}` is defined twice", name.span, "", first)

    # ---- entries -----------------------------------------------------------

    def _entries(self, opening: int | None) -> list[Tokens]:
        if opening is None:
            return []
        try:
            inside = ctext.block(self.text.tokens, opening)
        except NotUnderstoodError as error:
            error.report(self._report)
            return []
        self._check_conditionals(opening, len(inside))
        self._check_end(opening + 1 + len(inside))
        pieces = ctext.split(inside)
        if not all(pieces):
            self._report.add("NV001", "an entry of this is empty", self.text.tokens[opening].span)
        return [piece for piece in pieces if piece]

    def _check_end(self, closing: int) -> None:
        """What a `}` too many leaves out must not go unseen."""
        tokens = self.text.tokens
        if closing + 1 >= len(tokens) or tokens[closing + 1].text != ";":
            text = "no `;` follows this, so it may not be where the table ends"
            self._report.add("NV001", text, tokens[closing].span)

    def _check_conditionals(self, opening: int, count: int) -> None:
        tokens = self.text.tokens
        first, last = tokens[opening].span, tokens[opening + count].span
        for span in self.text.conditionals:
            if first.start < span.start < last.end:
                self._report.add(
                    "NV016",
                    "what a table holds here hangs on the kernel's configuration",
                    span,
                    "take the lines out that your configuration leaves out",
                )

    def enumerate(self, name: str) -> list[Token]:
        """The names of an enum in order; their values become known."""
        found: list[Token] = []
        value = 0
        for piece in self._entries(self.enums.get(name)):
            try:
                value = self._value(piece, value)
            except NotUnderstoodError as error:
                error.report(self._report)
            if piece[0].kind == NAME:
                found.append(piece[0])
                self.constants.values[piece[0].text] = value
            value += 1
        return found

    def _value(self, piece: Tokens, following: int) -> int:
        name = piece[0]
        if name.kind != NAME or len(piece) == 2 or (len(piece) > 2 and piece[1].text != "="):
            raise NotUnderstoodError("NV001", "this is no name of an enum", ctext.whole(piece))
        if name.text in self.constants.values:
            raise NotUnderstoodError("NV040", f"`{name.text}` is defined twice", name.span)
        return self.constants.value(piece[2:]) if len(piece) > 2 else following

    def calls(self, name: str) -> Iterator[Call]:
        """The entries of an array that are macros."""
        for piece in self._entries(self.arrays.get(name)):
            call = constants.arguments(piece)
            if call is None or not all(call[1]):
                text = f"this entry of `{name}` is no macro with arguments"
                self._report.add("NV001", text, ctext.whole(piece))
            else:
                yield Call(call[0], call[1], ctext.whole(piece))

    def initialisers(self, name: str) -> Iterator[Initialiser]:
        """The entries of an array that set fields by name."""
        for piece in self._entries(self.arrays.get(name)):
            try:
                yield _initialiser(piece)
            except NotUnderstoodError as error:
                error.report(self._report)


def _initialiser(piece: Tokens) -> Initialiser:
    """`[ID] = { .field = value, … }`."""
    words = [token.text for token in piece[:5]]
    is_one = len(piece) > 5 and words[:1] == ["["] and words[2:] == ["]", "=", "{"]
    if not is_one or piece[1].kind != NAME or piece[-1].text != "}":
        text = "this entry does not have the form `[ID] = { .field = value }`"
        raise NotUnderstoodError("NV001", text, ctext.whole(piece))
    fields = {}
    for setting in ctext.split(piece[5:-1]):
        if len(setting) < 4 or setting[0].text != "." or setting[2].text != "=":
            span = ctext.whole(setting or piece)
            raise NotUnderstoodError("NV001", "this does not set a field", span)
        fields[setting[1].text] = setting[3:]
    return Initialiser(piece[1], fields, ctext.whole(piece))
