"""What the kernel's ids of coarse controls stand for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from nvtrap.imports import conditions, ctext
from nvtrap.imports.ctext import NAME, NotUnderstoodError, Token, is_name
from nvtrap.imports.fields import FieldNames
from nvtrap.imports.model import Combo, Control
from nvtrap.imports.names import Names
from nvtrap.imports.tables import COMBO, COMPLEX, SINGLE, Call, Initialiser, Tables
from nvtrap.lang.findings import Label, Report

READ, WRITE, HOST = "BEHAVE_FORWARD_READ", "BEHAVE_FORWARD_WRITE", "BEHAVE_FORWARD_IN_HOST_EL0"
DIRECTIONS = {(True, False): "read", (False, True): "write", (True, True): "any"}
_LISTS = {SINGLE: "coarse_trap_bits", COMBO: "coarse_control_combo", COMPLEX: "ccc"}


@dataclass(frozen=True, slots=True)
class Meaning:
    """What an id means for the registers whose names match `registers`."""

    name: str
    suffix: str
    registers: str
    is_sound: bool


class Controls:
    """Controls, conditions and combos by the kernel's id, each reported where it is unknown."""

    def __init__(self, tables: Tables, names: Names, fields: FieldNames, report: Report) -> None:
        self._tables = tables
        self._names = names
        self._fields = fields
        self._report = report
        self._meanings: dict[str, list[Meaning]] = {}
        self._members: dict[str, tuple[str, ...]] = {}
        self._controls: dict[str, Control] = {}
        self._places: dict[str, Token] = {}
        self._used: set[str] = set()
        self._bodies: dict[str, list[Token]] = {}
        for bits in tables.bits:
            self._try(bits.id, SINGLE, partial(self._add_single, bits.id, bits))
        for call in tables.conditions:
            self._add_call(call, "CCC", COMPLEX)
        for call in tables.combos:
            self._add_call(call, "MCB", COMBO)

    def meanings(self, token: Token) -> list[Meaning]:
        """What an id means.

        Raises `NotUnderstoodError` for an id that no table defines.
        """
        found = self._meanings.get(token.text)
        if found is None:
            raise self._undefined(token)
        return found

    def use(self, name: str) -> None:
        """Note that a rule names the control, and so its members."""
        self._used.update((name, *self._members.get(name, ())))

    def controls(self) -> Iterator[Control]:
        """The controls and conditions in the order of their ids, without unused cases."""
        for id in self._tables.ids:
            for meaning in self._meanings.get(id, ()):
                if meaning.name in self._controls and self._is_wanted(id, meaning):
                    yield self._controls[meaning.name]

    def combos(self) -> Iterator[Combo]:
        """The combos in the order of their ids, without unused cases."""
        for id in self._tables.ids:
            for meaning in self._meanings.get(id, ()):
                if meaning.name in self._members and self._is_wanted(id, meaning):
                    line = self._places[id].span.line
                    members = self._members[meaning.name]
                    yield Combo(meaning.name, members, meaning.is_sound, line)

    def _is_wanted(self, id: str, meaning: Meaning) -> bool:
        return len(self._meanings[id]) == 1 or meaning.name in self._used

    def _undefined(self, token: Token) -> NotUnderstoodError:
        kind = self._tables.ids.get(token.text)
        if kind is not None:
            text = f"`{token.text}` has no entry in `{_LISTS[kind]}`"
            return NotUnderstoodError("NV012", text, token.span)
        help = self._report.suggest(token.text, self._tables.ids)
        return NotUnderstoodError("NV012", f"unknown control `{token.text}`", token.span, help)

    # ---- entries -----------------------------------------------------------

    def _try(self, id: Token, kind: str, add: Callable[[], None]) -> None:
        """Add an entry; what cannot be translated is reported and named in comments."""
        if id.text in self._meanings:
            first = Label(self._places[id.text].span, "the first one is here")
            self._report.add("NV040", f"a second entry for `{id.text}`", id.span, "", first)
            return
        self._places[id.text] = id
        try:
            self._check_kind(id, kind)
            add()
        except NotUnderstoodError as error:
            error.report(self._report)
            name = control_name(id.text)
            self._meanings[id.text] = [Meaning(name, "", ".*", is_sound=False)]
            self._controls[name] = Control(name, kind, "any", False, "", _line(id))

    def _check_kind(self, id: Token, kind: str) -> None:
        known = self._tables.ids.get(id.text)
        if known is None:
            raise self._undefined(id)
        if known != kind:
            text = f"`{id.text}` stands among the {known}s of the enum, not the {kind}s"
            raise NotUnderstoodError("NV016", text, id.span)

    def _add_call(self, call: Call, macro: str, kind: str) -> None:
        if call.macro.text != macro:
            help = f"`{macro}` is known here"
            self._report.add("NV016", f"unknown macro `{call.macro.text}`", call.macro.span, help)
            return
        odd = [piece for piece in call.arguments if not is_name(piece)]
        if odd or len(call.arguments) < 2:
            text = f"the arguments of `{macro}` are names"
            self._report.add("NV001", text, ctext.whole(odd[0]) if odd else call.span)
            return
        add = self._add_combo if kind == COMBO else self._add_condition
        id = call.arguments[0][0]
        self._try(id, kind, partial(add, id, call))

    # ---- single controls ---------------------------------------------------

    def _add_single(self, id: Token, bits: Initialiser) -> None:
        index = bits.fields.get("index", ())
        if not is_name(index):
            raise NotUnderstoodError("NV001", f"`{id.text}` names no register", bits.span)
        register = self._names.register(index[0])
        mask, value = (self._value(bits, name, register) for name in ("mask", "value"))
        if not mask or value & ~mask:
            text = f"the mask of `{id.text}` is 0" if not mask else f"`{id.text}` can never trap"
            help = "" if not mask else "its value has bits that its mask has not"
            raise NotUnderstoodError("NV020", text, bits.span, help)
        directions, host_el0 = self._behaviour(bits)
        when = self._fields.condition(register, mask, value)
        kind = COMPLEX if " and " in when else SINGLE
        name = control_name(id.text)
        self._controls[name] = Control(name, kind, directions, host_el0, when, _line(id))
        self._meanings[id.text] = [Meaning(name, "", ".*", is_sound=True)]

    def _value(self, bits: Initialiser, name: str, register: str) -> int:
        """A field's value; one that is not written is 0."""
        written = bits.fields.get(name)
        if not written:
            return 0
        about = partial(self._fields.constant, register=register)
        return self._tables.known.value(written, register, about)

    def _behaviour(self, bits: Initialiser) -> tuple[str, bool]:
        """(directions, whether it also acts in host EL0)."""
        written = bits.fields.get("behaviour")
        known = self._tables.known
        value = known.value(written) if written else 0
        flags = {name: known.values.get(name, 0) for name in (READ, WRITE, HOST)}
        if value & ~(flags[READ] | flags[WRITE] | flags[HOST]):
            assert written is not None
            help = "reads, writes and host EL0 are known"
            raise NotUnderstoodError("NV016", "unknown behaviour", ctext.whole(written), help)
        reads, writes = bool(value & flags[READ]), bool(value & flags[WRITE])
        if not reads and not writes:
            text = f"`{bits.id.text}` forwards neither reads nor writes"
            raise NotUnderstoodError("NV020", text, bits.span)
        return DIRECTIONS[reads, writes], bool(value & flags[HOST])

    # ---- conditions and combos ---------------------------------------------

    def _add_condition(self, id: Token, call: Call) -> None:
        function = call.arguments[1][0]
        cases = conditions.FUNCTIONS.get(function.text) or conditions.CONTROLS.get(id.text)
        if cases is None:
            help = self._report.suggest(function.text, conditions.FUNCTIONS)
            text = f"unknown condition `{function.text}`"
            help = help or "what it does must be written by hand, as a `condition`"
            raise NotUnderstoodError("NV016", text, function.span, help)
        self._check_reads(function, cases)
        name = control_name(id.text)
        self._meanings[id.text] = []
        for case in cases:
            full = name + case.suffix
            control = Control(full, COMPLEX, "any", case.host_el0, case.when, _line(id))
            self._controls[full] = control
            meaning = Meaning(full, case.suffix, case.registers, is_sound=True)
            self._meanings[id.text].append(meaning)

    def _check_reads(self, function: Token, cases: tuple[conditions.Case, ...]) -> None:
        """The function's text, where it is there, must not read what the condition does not."""
        expected = {register for case in cases for register in case.reads}
        if function.text not in self._bodies:
            self._bodies[function.text] = _body(self._tables, function.text)
        for token in self._bodies[function.text]:
            if token.text in self._names.catalogue.elements and token.text not in expected:
                text = f"`{function.text}` reads `{token.text}`, which it is not known to do"
                raise NotUnderstoodError("NV016", text, token.span)

    def _add_combo(self, id: Token, call: Call) -> None:
        tokens = [piece[0] for piece in call.arguments[1:]]
        for token in tokens:
            if self._tables.ids.get(token.text) == COMBO:
                text = f"the combo `{id.text}` contains the combo `{token.text}`"
                raise NotUnderstoodError("NV033", text, token.span)
        members = [self.meanings(token) for token in tokens]
        widest = max(members, key=len)
        found = []
        for case in widest:
            chosen = [_for_case(member, case) for member in members]
            name = control_name(id.text) + case.suffix
            sound = all(member.is_sound for member in chosen)
            self._members[name] = tuple(dict.fromkeys(member.name for member in chosen))
            found.append(Meaning(name, case.suffix, case.registers, sound))
        self._meanings[id.text] = found


def control_name(id: str) -> str:
    """`CGT_HCR_TID1` is `HCR.TID1`, `CGT_ICH_HCR_TC` is `ICH_HCR.TC`."""
    words = id.removeprefix("CGT_").split("_")
    count = 2 if words[:2] == ["ICH", "HCR"] else 1
    head, rest = "_".join(words[:count]), "_".join(words[count:])
    if not rest:
        return f"CGT.{head}"
    return f"{head}.{rest}" if not rest[0].isdigit() else f"{head}._{rest}"


def _for_case(meanings: list[Meaning], case: Meaning) -> Meaning:
    return next((one for one in meanings if one.suffix == case.suffix), meanings[0])


def _line(token: Token) -> int:
    return token.span.line


def _body(tables: Tables, name: str) -> list[Token]:
    """The tokens of the function `name`, if the text defines it."""
    tokens = tables.text.tokens
    for index, token in enumerate(tokens[:-1]):
        if token.text == name and token.kind == NAME and tokens[index + 1].text == "(":
            opening = _behind_brackets(tables, index + 1)
            if opening < len(tokens) and tokens[opening].text == "{":
                return list(ctext.block(tokens, opening))
    return []


def _behind_brackets(tables: Tables, start: int) -> int:
    tokens = tables.text.tokens
    for index in range(start, len(tokens)):
        if tokens[index].text == ")":
            return index + 1
    return len(tokens)
