"""What rule text means, read straight off the syntax tree: slow, obvious, a second opinion.

Nothing here is shared with the compiler or the engine. An encoding is the tuple of its
five numbers (an instruction without one goes by its name), every set is spelled out, and
every expression is evaluated anew for every question.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from operator import eq, ge, gt, le, lt, ne
from typing import Protocol, cast

from nvtrap.lang import nodes

Key = tuple[int, int, int, int, int] | str

# Tuples compare as encodings count: op2 first, then CRm, CRn, op1, op0.
SIZES = (4, 8, 16, 16, 8)
ALL_ENCODINGS = tuple(
    (op0, op1, crn, crm, op2) for op0, op1, crn, crm, op2 in product(*map(range, SIZES))
)
COMPARE = {"==": eq, "!=": ne, "<": lt, "<=": le, ">": gt, ">=": ge}


class Situation(Protocol):
    """The state that a question is asked in."""

    @property
    def registers(self) -> Mapping[str, int]: ...
    @property
    def el(self) -> int: ...
    @property
    def nv(self) -> bool: ...
    @property
    def res0(self) -> Mapping[str, int]: ...
    @property
    def fgu(self) -> Mapping[str, int]: ...
    @property
    def features(self) -> frozenset[str] | None: ...


@dataclass
class FieldInfo:
    """A field in one layout; `bits` are its bit numbers, highest first."""

    names: tuple[str, ...]
    bits: tuple[int, ...]
    negative: bool
    requires: nodes.Requires | None
    layout: nodes.Expr | None


@dataclass
class RegisterInfo:
    """A register, or one element of an array: `index` is its number, `array` its name around it."""

    name: str
    key: Key
    requires: nodes.Requires | None
    array: tuple[str, str] | None = None
    index_name: str = ""
    index: int | None = None
    fields: list[FieldInfo] = field(default_factory=list)

    def named(self, name: str) -> list[FieldInfo]:
        """The field `name` in each of its layouts."""
        return [info for info in self.fields if name in info.names]

    def single(self, bit: int) -> FieldInfo | None:
        """The first one-bit field at `bit`."""
        return next((info for info in self.fields if info.bits == (bit,)), None)


@dataclass
class Piece:
    """One part of one statement, as it stands for one encoding."""

    statement: nodes.Trap
    part: nodes.Coarse | nodes.Fine
    index: int | None


@dataclass
class Question:
    """What an expression may hang on."""

    state: Situation
    write: bool = False
    index: int | None = None
    in_hypervisor: bool = False
    in_host_el0: bool = False


# ---- names and encodings ----------------------------------------------------------


def as_key(encoding: int) -> Key:
    """The five numbers of an encoding that is packed into 16 bits."""
    bits = f"{encoding:016b}"
    edges = ((0, 2), (2, 5), (5, 9), (9, 13), (13, 16))
    op0, op1, crn, crm, op2 = (int(bits[start:end], 2) for start, end in edges)
    return op0, op1, crn, crm, op2


def split_index(name: str) -> tuple[str, str, str] | None:
    """(before, inside, after) of a name with `<…>`."""
    found = re.fullmatch(r"([^<]*)<([^>]*)>(.*)", name)
    return (found[1], found[2], found[3]) if found else None


def declared_index(inside: str) -> tuple[str, range]:
    """`n: 0..7` as a name and the numbers it counts."""
    found = re.fullmatch(r"(\w+): ?(\d+)\.\.(\d+)", inside)
    assert found is not None, inside
    return found[1], range(int(found[2]), int(found[3]) + 1)


def operand(text: str, number: int | None) -> int:
    """`7`, `<n>`, `<n[2:0]>` or `<0b10:n[4:3]>` with n = `number`."""
    if not text.startswith("<"):
        return int(text)
    bits = ""
    for piece in re.findall(r"[^:\[]+(?:\[[^\]]*\])?", text[1:-1]):
        if piece.startswith("0b"):
            bits += piece[2:]
            continue
        assert number is not None
        part = re.fullmatch(r"\w+\[(\d+)(?::(\d+))?\]", piece)
        high, low = (int(part[1]), int(part[2] or part[1])) if part else (15, 0)
        bits += "".join(str(number >> bit & 1) for bit in range(high, low - 1, -1))
    return int(bits, 2)


def key_of(written: nodes.Name | nodes.Operands, number: int | None = None) -> Key:
    """The encoding that is written, for element `number` of an array."""
    if isinstance(written, nodes.Operands):
        return written.numbers
    word = r"(<.*?>|\d+)"
    found = re.fullmatch(f"S{word}_{word}_C{word}_C{word}_{word}", written.text)
    assert found is not None, written.text
    op0, op1, crn, crm, op2 = (operand(text, number) for text in found.groups())
    return op0, op1, crn, crm, op2


class Interpreter:
    """Answers questions about the statements of one program."""

    def __init__(self, statements: Sequence[nodes.Statement]) -> None:
        tables = [s for s in statements if isinstance(s, nodes.Table)]
        self.table = tables[-1] if tables else None
        self.contexts = {s.name.text: s.when for s in statements if isinstance(s, nodes.Context)}
        self.groups = {s.name.text: s for s in statements if isinstance(s, nodes.Group)}
        self.controls = {s.path.text: s for s in statements if isinstance(s, nodes.Control)}
        self.combos = {s.path.text: s for s in statements if isinstance(s, nodes.Combo)}
        self.registers: dict[str, RegisterInfo] = {}
        self.named_at: dict[Key, list[RegisterInfo]] = {}
        for statement in statements:
            if isinstance(statement, nodes.Register):
                self._define(statement)
        self.entries: dict[Key, list[Piece]] = {}
        for statement in statements:
            if isinstance(statement, nodes.Trap):
                self._enter(statement)

    @property
    def disarms(self) -> bool:
        """Whether a control of an absent field is not armed; else absent bits read as zero."""
        return self.table is not None and not self.table.absent_read_as_zero

    # ---- what exists -------------------------------------------------------

    def _define(self, written: nodes.Register) -> None:
        for info in self._elements(written):
            info.fields = list(self._fields(written))
            self.registers[info.name] = info
            self.named_at.setdefault(info.key, []).append(info)

    def _elements(self, written: nodes.Register) -> Iterator[RegisterInfo]:
        name, encoding = written.name.text, written.encoding
        parts = split_index(name)
        if encoding is None:
            yield RegisterInfo(name, name, written.requires)
        elif parts is None:
            yield RegisterInfo(name, key_of(encoding), written.requires)
        else:
            before, inside, after = parts
            index, numbers = declared_index(inside)
            for number in numbers:
                yield RegisterInfo(
                    f"{before}{number}{after}",
                    key_of(encoding, number),
                    written.requires,
                    (before, after),
                    index,
                    number,
                )

    def _fields(self, written: nodes.Register) -> Iterator[FieldInfo]:
        for one in written.fields:
            yield from self._field(one, None)
        for layout in written.layouts:
            for one in layout.fields:
                yield from self._field(one, layout.when)

    def _field(self, written: nodes.Field, layout: nodes.Expr | None) -> Iterator[FieldInfo]:
        alias = (written.alias.text,) if written.alias else ()
        if isinstance(written.bits, nodes.Pieces):
            ranges = written.bits.ranges
            bits = tuple(bit for msb, lsb in ranges for bit in range(msb, lsb - 1, -1))
            names = (written.name.text, *alias)
            yield FieldInfo(names, bits, written.negative, written.requires, layout)
            return
        parts = split_index(written.name.text)
        assert parts is not None
        before, inside, after = parts
        for number in declared_index(inside)[1]:
            bit = written.bits.base + written.bits.step * number
            names = (f"{before}{number}{after}", *alias)
            yield FieldInfo(names, (bit,), written.negative, written.requires, layout)

    # ---- sets and entries --------------------------------------------------

    def encodings(self, sets: Sequence[nodes.SetItem]) -> dict[Key, int | None]:
        """Every encoding that the items name, with its array index."""
        found: dict[Key, int | None] = {}
        for item in sets:
            for key, index in self._item(item):
                if index is not None or key not in found:
                    found[key] = index
        return found

    def _item(self, item: nodes.SetItem) -> Iterator[tuple[Key, int | None]]:
        text = item.first.text if isinstance(item.first, nodes.Name) else ""
        parts = split_index(text)
        if item.last is not None:
            first, last = self._one(item.first), self._one(item.last)
            assert not isinstance(first, str)
            assert not isinstance(last, str)
            for key in ALL_ENCODINGS[bisect_left(ALL_ENCODINGS, first) :]:
                if key > last:
                    break
                yield key, self._index_at(key)
        elif parts is not None:
            yield from self._of_array(*parts)
        elif "*" in text:
            yield from self._matching(text)
        else:
            key_or_name = self._one(item.first)
            yield key_or_name, self._index_at(key_or_name)

    def _one(self, written: nodes.Name | nodes.Operands) -> Key:
        if isinstance(written, nodes.Name) and written.text in self.registers:
            return self.registers[written.text].key
        return key_of(written)

    def _index_at(self, key: Key) -> int | None:
        named = self.named_at.get(key)
        return named[0].index if named else None

    def _of_array(self, before: str, inside: str, after: str) -> Iterator[tuple[Key, int | None]]:
        bounds = re.fullmatch(r"(\d+)(?:\.\.(\d+))?", inside)
        for info in self.registers.values():
            if info.array != (before, after) or info.index is None:
                continue
            if bounds is None:
                assert inside == info.index_name
                yield info.key, info.index
            elif int(bounds[1]) <= info.index <= int(bounds[2] or bounds[1]):
                yield info.key, info.index

    def _matching(self, text: str) -> Iterator[tuple[Key, int | None]]:
        words = [word.lstrip("C") for word in text[1:].split("_")]
        choices = [
            range(size) if word == "*" else [int(word)]
            for word, size in zip(words, SIZES, strict=True)
        ]
        for op0, op1, crn, crm, op2 in product(*choices):
            yield (op0, op1, crn, crm, op2), None

    def _enter(self, trap: nodes.Trap) -> None:
        said = {isinstance(part, nodes.Fine) for part in trap.parts}
        for key, index in self.encodings(trap.sets).items():
            pieces = self.entries.setdefault(key, [])
            if trap.verb != "trap":
                gone = said or {False, True}
                pieces[:] = [p for p in pieces if isinstance(p.part, nodes.Fine) not in gone]
            if trap.verb != "drop":
                pieces += [Piece(trap, part, index) for part in trap.parts]

    # ---- values ------------------------------------------------------------

    def has(self, requires: nodes.Requires | None, state: Situation) -> bool:
        """Whether the vCPU has what a field or register requires."""
        if requires is None or state.features is None:
            return True
        return self._plainly(requires.when, Question(state))

    def is_sanitised(self, register: str) -> bool:
        """Whether the table reads the register without its RES0 bits."""
        return self.table is not None and register in [n.text for n in self.table.sanitised]

    def value(self, register: str, state: Situation) -> int:
        """What the table reads from a register."""
        value = state.registers.get(register, 0)
        sanitised = self.is_sanitised(register)
        if sanitised:
            value &= ~state.res0.get(register, 0)
        if self.disarms or sanitised:
            for info in self._absent(register, state):
                for bit in info.bits:
                    value &= ~(1 << bit)
                    if self.disarms and info.requires is not None:
                        value |= info.requires.absent << bit
        return value

    def _absent(self, register: str, state: Situation) -> list[FieldInfo]:
        """The fields of the current layout that the vCPU lacks."""
        info = self.registers.get(register)
        return [
            one
            for one in (info.fields if info else ())
            if not self.has(one.requires, state) and self.is_current(one, state)
        ]

    def is_current(self, info: FieldInfo, state: Situation) -> bool:
        """Whether the layout that has the field is the state's."""
        return info.layout is None or self._plainly(info.layout, Question(state))

    # ---- expressions -------------------------------------------------------

    def holds(self, expr: nodes.Expr, question: Question) -> bool:
        """Whether the expression holds, in some layout that the state has for its fields.

        Where the state has none for one of the fields, the expression does not hold.
        """
        named = sorted({(r, f) for r, f in _fields(expr) if (r, f) != ("access", "index")})
        choices = [
            [
                info
                for info in self.registers[register].named(name)
                if self.is_current(info, question.state)
                and (not self.disarms or self.has(info.requires, question.state))
            ]
            for register, name in named
        ]
        return any(
            self._evaluate(expr, question, dict(zip(named, picked, strict=True)))
            for picked in product(*choices)
        )

    def _plainly(self, expr: nodes.Expr, question: Question) -> bool:
        """Whether an expression holds whose fields have one layout, present or not."""
        chosen = {(r, f): self.registers[r].named(f)[0] for r, f in _fields(expr)}
        return self._evaluate(expr, question, chosen)

    def _evaluate(
        self, expr: nodes.Expr, question: Question, chosen: Mapping[tuple[str, str], FieldInfo]
    ) -> bool:
        match expr:
            case nodes.Both():
                return all(self._evaluate(part, question, chosen) for part in expr.parts)
            case nodes.Either():
                return any(self._evaluate(part, question, chosen) for part in expr.parts)
            case nodes.Negation():
                return not self._evaluate(expr.part, question, chosen)
            case nodes.Flag():
                return self._flag(expr.text, question)
            case nodes.Comparison():
                left = self._term(expr.left, question, chosen)
                right = self._term(expr.right, question, chosen)
                return cast("bool", COMPARE[expr.op](left, right))

    def _flag(self, text: str, question: Question) -> bool:
        state = question.state
        if text.startswith("FEAT_"):
            return state.features is None or text in state.features
        known = {
            "access.read": not question.write,
            "access.write": question.write,
            "context.nv": state.nv,
            "context.hypervisor": question.in_hypervisor,
            "context.host_EL0": question.in_host_el0,
        }
        if text in known:
            return known[text]
        return self.holds(self.contexts[text.removeprefix("context.")], question)

    def _term(
        self, term: nodes.Term, question: Question, chosen: Mapping[tuple[str, str], FieldInfo]
    ) -> int:
        match term:
            case nodes.Number():
                return term.value
            case nodes.Word():
                name = term.name.text
                return question.state.el if name == "EL" else self.value(name, question.state)
            case nodes.Bits():
                value = self.value(term.register.text, question.state)
                return _joined(value, range(term.msb, term.lsb - 1, -1))
            case nodes.Fields():
                register = term.register.text
                if register == "access":
                    assert question.index is not None
                    return question.index
                value = self.value(register, question.state)
                names = [name.text for name in term.fields]
                bits = [bit for name in names for bit in chosen[register, name].bits]
                return _joined(value, bits)

    # ---- parts -------------------------------------------------------------

    def _bit(self, fine: nodes.Fine, index: int | None) -> tuple[int, bool, FieldInfo]:
        """(bit, whether it traps when 0, field) of a fine part.

        The registers of a group have the bit in common: what the read side says of it
        counts, and what the write side says where the read side lacks it.
        """
        found: list[FieldInfo] = []
        for register in self._sides(fine.group.text):
            info = self.registers[register]
            if isinstance(fine.field, int):
                single = info.single(fine.field)
                found += [single] if single else []
                continue
            parts = split_index(fine.field.text)
            name = f"{parts[0]}{index}{parts[2]}" if parts else fine.field.text
            found += info.named(name)[:1]
        negative = fine.polarity == "negative" if fine.polarity else found[0].negative
        return found[0].bits[0], negative, found[0]

    def _sides(self, group: str) -> list[str]:
        """The registers of a group: for reads, for writes."""
        return [self._side(group, write) for write in (False, True)]

    def _side(self, group: str, write: bool) -> str:
        direction = "write" if write else "read"
        sides = self.groups[group].sides
        return next(s.register.text for s in sides if s.direction in (direction, "any"))

    def _is_disabled(self, piece: Piece, state: Situation) -> bool:
        """Whether the fine-grained bit belongs to a feature that the VM has disabled."""
        if not isinstance(piece.part, nodes.Fine):
            return False
        group = self.groups[piece.part.group.text]
        bit = self._bit(piece.part, piece.index)[0]
        if state.fgu.get(group.fgu.strip('"'), 0) >> bit & 1:
            return True
        if self.disarms or not group.fgu:
            return False
        return any(
            bit in info.bits
            for register in self._sides(group.name.text)
            for info in self._absent(register, state)
        )

    def traps(self, piece: Piece, question: Question) -> bool:
        """Whether a part traps, where rules apply."""
        part, trap = piece.part, piece.statement
        armed = (
            self._fine_traps(part, question)
            if isinstance(part, nodes.Fine)
            else self._coarse_traps(part, question)
        )
        filtered = (
            part.filter is None or self.holds(part.filter.when, question) != part.filter.unless
        )
        return (
            armed
            and filtered
            and _goes(trap.direction, question.write)
            and (not trap.levels or question.state.el in trap.levels)
            and (trap.guard is None or self.holds(trap.guard, question))
        )

    def _fine_traps(self, part: nodes.Fine, question: Question) -> bool:
        if question.in_host_el0:
            return False
        state = question.state
        bit, negative, field = self._bit(part, question.index)
        if self.disarms and not self.has(field.requires, state):
            return False
        register = self._side(part.group.text, question.write)
        if self.is_sanitised(register) and state.res0.get(register, 0) >> bit & 1:
            return False
        if self.disarms or self.is_sanitised(register):
            lacking = [one for one in self._absent(register, state) if bit in one.bits]
            if lacking:
                return False
        by_position = self.table is None or self.table.fine_by_position
        if not by_position and self.registers[register].single(bit) is None:
            return False
        return (self.value(register, state) >> bit & 1) != negative

    def _coarse_traps(self, part: nodes.Coarse, question: Question) -> bool:
        return any(
            _goes(control.direction, question.write)
            and (control.host_el0 or not question.in_host_el0)
            and self.holds(control.when, question)
            for control in self._members(part)
        )

    def _members(self, part: nodes.Coarse) -> list[nodes.Control]:
        name = part.path.text
        if name in self.combos:
            return [self.controls[member.text] for member in self.combos[name].members]
        return [self.controls[name]]

    def members(self, piece: Piece) -> list[Piece]:
        """The controls of a combo, each as if the rule named it alone."""
        part = piece.part
        if isinstance(part, nodes.Fine) or part.path.text not in self.combos:
            return []
        return [
            Piece(piece.statement, replace(part, path=member), piece.index)
            for member in self.combos[part.path.text].members
        ]

    # ---- the decision ------------------------------------------------------

    def context(self, state: Situation) -> Question | None:
        """Where rules apply: outside hypervisor context, in part in host EL0."""
        plain = Question(state)
        if not self._clause("hypervisor", plain):
            return plain
        if not self._clause("host_el0", plain):
            return None
        return Question(state, in_hypervisor=True, in_host_el0=True)

    def decide(self, state: Situation, key: Key, write: bool) -> tuple[str, str]:
        """(outcome, step) of an access."""
        if self.disarms and not all(
            self.has(info.requires, state) for info in self.named_at.get(key, ())
        ):
            return "undef", "feature"
        pieces = self.entries.get(key, [])
        if not pieces:
            return "local", "no-entry"
        if any(self._is_disabled(piece, state) for piece in pieces):
            return "undef", "fgu"
        if not state.nv:
            return "local", "no-el2"
        context = self.context(state)
        if context is None or (context.in_host_el0 and not self._acts_in_host_el0(pieces)):
            return "local", "hyp-context"
        for kind, step in ((nodes.Fine, "fine"), (nodes.Coarse, "coarse")):
            for piece in pieces:
                asked = replace(context, write=write, index=piece.index)
                if isinstance(piece.part, kind) and self.traps(piece, asked):
                    return "forward", step
        return "local", "none"

    def _clause(self, name: str, question: Question) -> bool:
        expr: nodes.Expr | None = getattr(self.table, name, None)
        return expr is not None and self.holds(expr, question)

    def _acts_in_host_el0(self, pieces: Sequence[Piece]) -> bool:
        return any(
            control.host_el0
            for piece in pieces
            if isinstance(piece.part, nodes.Coarse)
            for control in self._members(piece.part)
        )


def _goes(direction: str, write: bool) -> bool:
    return direction in ("any", "write" if write else "read")


def _joined(value: int, bits: Sequence[int]) -> int:
    return int("".join(str(value >> bit & 1) for bit in bits), 2)


def _fields(expr: nodes.Expr) -> Iterator[tuple[str, str]]:
    """Every (register, field) that the expression itself names."""
    match expr:
        case nodes.Both() | nodes.Either():
            for part in expr.parts:
                yield from _fields(part)
        case nodes.Negation():
            yield from _fields(expr.part)
        case nodes.Comparison():
            for term in (expr.left, expr.right):
                if isinstance(term, nodes.Fields):
                    for name in term.fields:
                        yield term.register.text, name.text
        case nodes.Flag():
            pass
