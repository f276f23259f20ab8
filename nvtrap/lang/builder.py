"""What the parser makes of each grammar rule: nodes of the syntax tree.

The methods are named after the rules of `grammar/trap.lark` and are called while
parsing. They check nothing but what a node cannot hold: numbers and depth.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from lark import Token, Transformer, v_args

from nvtrap.lang import nodes
from nvtrap.lang.findings import Report
from nvtrap.lang.nodes import Expr, Name
from nvtrap.lang.source import Source, Span

EC_SYSREG = 0x18
DEEPEST = 64
LONGEST_NAME = 128
# VNCR_EL2 points at one page.
MOST_MEMORY = 0x1000

# What a clause of a table says: its words, their value, where it stands.
Clause = tuple[str, Any, Span]


@v_args(inline=True)
class Builder(Transformer[Token, Any]):
    """Builds nodes; `begin` says for which source and where to report."""

    def begin(self, source: Source, report: Report) -> None:
        self._source = source
        self._report = report

    # ---- tokens ------------------------------------------------------------

    def _span(self, *tokens: Any) -> Span:
        """From the first to the last of tokens and nodes; absent ones are skipped."""
        edges = [edge for token in tokens for edge in self._edges(token)]
        return Span(self._source, min(edges), max(edges))

    def _edges(self, item: Any) -> Iterable[int]:
        if isinstance(item, Token):
            return (item.start_pos or 0, item.end_pos or 0)
        span = getattr(item, "span", None)
        return () if span is None else (span.start, span.end)

    def _name(self, token: Token) -> Name:
        return Name(self._word(token), self._span(token))

    def _names(self, tokens: Iterable[Token]) -> tuple[Name, ...]:
        return tuple(map(self._name, tokens))

    def _word(self, token: Token) -> str:
        """The text of a name; what is beyond the longest name is reported and cut off."""
        if len(token) > LONGEST_NAME:
            text = f"a name has at most {LONGEST_NAME} characters"
            self._report.add("NV006", text, self._span(token))
        return str(token[:LONGEST_NAME])

    def _int(self, token: Token) -> int:
        """The value of a number of at most 64 bits; a larger one is reported and 0."""
        base = {"0x": 16, "0b": 2}.get(token[:2].lower(), 10)
        digits = token if base == 10 else token[2:]
        value = int(digits, base) if len(digits) <= 64 else 1 << 64
        if value < 1 << 64:
            return value
        shown = token if len(token) <= 24 else token[:20] + "…"
        self._report.add("NV020", f"`{shown}` does not fit 64 bits", self._span(token))
        return 0

    def _checked(self, expr: Expr) -> Expr:
        if expr.depth > DEEPEST:
            self._report.add("NV003", f"this is nested more than {DEEPEST} deep", expr.span)
            return nodes.Flag("context.nv", expr.span)
        return expr

    # ---- what exists -------------------------------------------------------

    def start(self, *statements: nodes.Statement) -> list[nodes.Statement]:
        return list(statements)

    def feature(self, name: Token, when: Expr | None = None) -> nodes.Feature:
        return nodes.Feature(self._name(name), when, self._span(name, when))

    def profile(self, name: Token, *members: Token) -> nodes.Profile:
        return nodes.Profile(self._name(name), self._names(members), self._span(name, *members))

    def register(
        self,
        name: Token,
        encoding: nodes.Name | nodes.Operands,
        mode: Token | None,
        requires: nodes.Requires | None,
        block: tuple[list[nodes.Field], list[nodes.Layout]] | None,
    ) -> nodes.Register:
        fields, layouts = block or ([], [])
        return nodes.Register(
            self._name(name),
            encoding,
            mode != "write-only",
            mode != "read-only",
            requires,
            tuple(fields),
            tuple(layouts),
            False,
            self._span(name, encoding),
        )

    def instruction(
        self,
        name: Token,
        encoding: nodes.Name | nodes.Operands | None,
        mode: Token | None,
        requires: nodes.Requires | None,
    ) -> nodes.Register:
        return nodes.Register(
            self._name(name),
            encoding,
            mode in ("read-only", "read-write"),
            mode != "read-only",
            requires,
            (),
            (),
            True,
            self._span(name, encoding),
        )

    def encoding(self, what: Token | nodes.Operands) -> nodes.Name | nodes.Operands:
        return self._name(what) if isinstance(what, Token) else what

    def operands(
        self, op0: Token, op1: Token, crn: Token, crm: Token, op2: Token
    ) -> nodes.Operands:
        numbers = (
            self._int(op0),
            self._int(op1),
            self._int(crn),
            self._int(crm),
            self._int(op2),
        )
        return nodes.Operands(numbers, self._span(op0, op2))

    def block(self, *items: Any) -> tuple[list[nodes.Field], list[nodes.Layout]]:
        return (
            [item for item in items if isinstance(item, nodes.Field)],
            [item for item in items if isinstance(item, nodes.Layout)],
        )

    def layout(self, when: Expr, *fields: nodes.Field) -> nodes.Layout:
        return nodes.Layout(when, fields, self._span(when))

    def field(
        self,
        name: Token,
        bits: nodes.Pieces | nodes.Stride,
        alias: Token | None,
        polarity: Token | None,
        requires: nodes.Requires | None,
    ) -> nodes.Field:
        return nodes.Field(
            self._name(name),
            bits,
            self._name(alias) if alias else None,
            polarity == "negative",
            requires,
            self._span(name, bits),
        )

    def requires(self, when: Expr, absent: Token | None) -> nodes.Requires:
        value = self._int(absent) if absent else 0
        if value > 1:
            self._report.add("NV020", "an absent field reads as 0 or as 1", self._span(absent))
        return nodes.Requires(when, value & 1, self._span(when, absent))

    def pieces(self, *ranges: tuple[int, int, Span]) -> nodes.Pieces:
        spans = [span for _, _, span in ranges]
        return nodes.Pieces(
            tuple((msb, lsb) for msb, lsb, _ in ranges),
            Span(self._source, spans[0].start, spans[-1].end),
        )

    def part_range(self, msb: Token, lsb: Token | None) -> tuple[int, int, Span]:
        return (
            self._int(msb),
            self._int(msb if lsb is None else lsb),
            self._span(msb, lsb),
        )

    def stride(self, base: Token, *rest: Token) -> nodes.Stride:
        step = self._int(rest[0]) if len(rest) == 2 else 1
        return nodes.Stride(self._int(base), step, self._name(rest[-1]), self._span(base, rest[-1]))

    # ---- what traps --------------------------------------------------------

    def control(
        self, path: nodes.Path, direction: Token, host: Token | None, when: Expr
    ) -> nodes.Control:
        span = self._span(path, when)
        return nodes.Control(path, str(direction), host is not None, when, False, span)

    def condition(
        self, path: nodes.Path, direction: Token, host: Token | None, when: Expr
    ) -> nodes.Control:
        span = self._span(path, when)
        return nodes.Control(path, str(direction), host is not None, when, True, span)

    def combo(self, path: nodes.Path, *members: nodes.Path) -> nodes.Combo:
        return nodes.Combo(path, members, self._span(path, *members))

    def path(self, first: Token, second: Token) -> nodes.Path:
        return nodes.Path(f"{self._word(first)}.{self._word(second)}", self._span(first, second))

    def context(self, name: Token, when: Expr) -> nodes.Context:
        return nodes.Context(self._name(name), when, self._span(name, when))

    def group(self, name: Token, *sides: nodes.Side | Token) -> nodes.Group:
        keys = [str(side)[1:-1] for side in sides if isinstance(side, Token)]
        if len(keys) > 1:
            self._report.add("NV040", f"group `{name}` has two keys", self._span(*sides))
        registers = tuple(side for side in sides if isinstance(side, nodes.Side))
        return nodes.Group(
            self._name(name), registers, keys[-1] if keys else "", self._span(name, *sides)
        )

    def side(self, direction: Token, register: Token) -> nodes.Side:
        return nodes.Side(str(direction), self._name(register), self._span(direction, register))

    def fgu(self, key: Token) -> Token:
        return key

    # ---- rules -------------------------------------------------------------

    def trap(
        self, direction: Token | None, sets: tuple[nodes.SetItem, ...], *rest: Any
    ) -> nodes.Trap:
        *parts, levels, guard, ec = rest
        return nodes.Trap(
            "trap",
            str(direction or "any"),
            sets,
            tuple(parts),
            levels or (),
            guard,
            EC_SYSREG if ec is None else ec,
            self._span(direction, *sets, *parts, guard),
        )

    def replace(self, trap: nodes.Trap) -> nodes.Trap:
        return self._with_verb(trap, "replace")

    def drop(
        self, direction: Token | None, sets: tuple[nodes.SetItem, ...], *parts: Any
    ) -> nodes.Trap:
        named = tuple(part for part in parts if part is not None)
        span = self._span(direction, *sets, *named)
        return nodes.Trap("drop", str(direction or "any"), sets, named, (), None, EC_SYSREG, span)

    def _with_verb(self, trap: nodes.Trap, verb: str) -> nodes.Trap:
        from dataclasses import replace

        return replace(trap, verb=verb)

    def local(
        self, direction: Token | None, sets: tuple[nodes.SetItem, ...], reason: Token
    ) -> nodes.Local:
        return nodes.Local(
            str(direction or "any"), sets, str(reason)[1:-1], self._span(*sets, reason)
        )

    def memory(
        self, sets: tuple[nodes.SetItem, ...], offset: Token, guard: Expr | None
    ) -> nodes.Memory:
        value = self._int(offset)
        if value >= MOST_MEMORY or value % 8:
            text = f"`{offset}` is no offset of a register in memory"
            help = f"offsets are multiples of 8 below {MOST_MEMORY:#x}"
            self._report.add("NV020", text, self._span(offset), help)
        return nodes.Memory(sets, value, guard, self._span(*sets, offset, guard))

    def sets(self, *items: nodes.SetItem) -> tuple[nodes.SetItem, ...]:
        return items

    def item(self, first: Any, last: Any) -> nodes.SetItem:
        first = self.encoding(first)
        last = None if last is None else self.encoding(last)
        return nodes.SetItem(first, last, self._span(first, last))

    def coarse(self, path: nodes.Path, filter: nodes.Filter | None) -> nodes.Coarse:
        return nodes.Coarse(path, filter, self._span(path, filter))

    def fine(
        self,
        group: Token,
        field: Token,
        polarity: Token | None,
        filter: nodes.Filter | None,
    ) -> nodes.Fine:
        return nodes.Fine(
            self._name(group),
            self._name(field),
            str(polarity or ""),
            filter,
            self._span(group, field, filter),
        )

    def fine_bit(
        self,
        group: Token,
        bit: Token,
        polarity: Token | None,
        filter: nodes.Filter | None,
    ) -> nodes.Fine:
        return nodes.Fine(
            self._name(group),
            self._int(bit),
            str(polarity or ""),
            filter,
            self._span(group, bit, filter),
        )

    def part_filter(self, whether: Token, when: Expr) -> nodes.Filter:
        return nodes.Filter(whether == "unless", when, self._span(whether, when))

    def levels(self, *levels: Token) -> tuple[int, ...]:
        return tuple(int(level[2]) for level in levels)

    def guard(self, when: Expr) -> Expr:
        return when

    def ec(self, number: Token) -> int:
        value = self._int(number)
        if value > 0x3F:
            self._report.add(
                "NV020",
                f"an exception class has 6 bits, `{number}` does not fit",
                self._span(number),
            )
            return EC_SYSREG
        return value

    # ---- tables and tests --------------------------------------------------

    def table(self, name: Token, *clauses: Clause) -> nodes.Table:
        said: dict[str, Any] = {}
        limits: list[nodes.Limit] = []
        sanitised: list[Name] = []
        for key, value, span in clauses:
            if key == "limit":
                limits.append(value)
            elif key == "sanitise":
                sanitised += value
            elif key in said:
                self._report.add("NV040", f"the table says `{key}` twice", span)
            else:
                said[key] = value
        return nodes.Table(
            name=self._name(name),
            additive=said.get("parts are") == "additive",
            hypervisor=said.get("hypervisor context"),
            host_el0=said.get("host EL0"),
            sanitised=tuple(sanitised),
            fine_by_position=said.get("fine bits by") == "position",
            absent_read_as_zero=said.get("absent fields", "disarm") != "disarm",
            limits=tuple(limits),
            span=self._span(name),
        )

    def parts_clause(self, which: Token) -> Clause:
        return "parts are", str(which), self._span(which)

    def hypervisor(self, when: Expr) -> Clause:
        return "hypervisor context", when, when.span

    def host_el0(self, when: Expr) -> Clause:
        return "host EL0", when, when.span

    def sanitise(self, *names: Token) -> Clause:
        return "sanitise", self._names(names), self._span(*names)

    def fine_bits(self, by: Token) -> Clause:
        return "fine bits by", str(by), self._span(by)

    def absent(self, which: Token) -> Clause:
        return "absent fields", str(which), self._span(which)

    def limit(self, what: Token, most: Token) -> Clause:
        span = self._span(what, most)
        return "limit", nodes.Limit(str(what), self._int(most), span), span

    def use_file(self, target: Token) -> nodes.Use:
        return nodes.Use(str(target)[1:-1], False, self._span(target))

    def use_table(self, target: Token) -> nodes.Use:
        return nodes.Use(str(target), True, self._span(target))

    def expect(
        self,
        direction: Token,
        register: Token | nodes.Operands,
        outcome: Token,
        by: nodes.Path | None,
        level: Token | None,
        *settings: nodes.Assign | None,
    ) -> nodes.Expect:
        return nodes.Expect(
            str(direction),
            self.encoding(register),
            str(outcome),
            by.text if by else "",
            int(level[2]) if level else 1,
            tuple(setting for setting in settings if setting is not None),
            self._span(direction, register, outcome, by, *settings),
        )

    def expected_fine(self, group: Token, field: Token) -> nodes.Path:
        text = f"fine {self._word(group)}.{self._word(field)}"
        return nodes.Path(text, self._span(group, field))

    def assign(self, place: Token, member: Token | None, value: Token) -> nodes.Assign:
        return self._assign("value", place, member, value)

    def assign_res0(self, place: Token, value: Token) -> nodes.Assign:
        return self._assign("res0", place, None, value)

    def assign_fgu(self, place: Token, member: Token, value: Token) -> nodes.Assign:
        return self._assign("fgu", place, member, value)

    def _assign(self, what: str, place: Token, member: Token | None, value: Token) -> nodes.Assign:
        return nodes.Assign(
            what,
            self._name(place),
            self._name(member) if member else None,
            self._int(value),
            self._span(place, member, value),
        )

    # ---- expressions -------------------------------------------------------

    def either(self, *parts: Expr) -> Expr:
        return self._joined(nodes.Either, parts)

    def both(self, *parts: Expr) -> Expr:
        return self._joined(nodes.Both, parts)

    def _joined(self, kind: Any, parts: tuple[Expr, ...]) -> Expr:
        depth = 1 + max(part.depth for part in parts)
        return self._checked(kind(parts, self._span(*parts), depth))

    def negation(self, part: Expr) -> Expr:
        return self._checked(nodes.Negation(part, part.span, 1 + part.depth))

    def comparison(self, left: nodes.Term, op: Token, right: nodes.Term) -> Expr:
        return nodes.Comparison(str(op), left, right, self._span(left, right))

    def flag(self, name: Token, member: Token | None) -> Expr:
        text = self._word(name) if member is None else f"{self._word(name)}.{self._word(member)}"
        return nodes.Flag(text, self._span(name, member))

    def number(self, token: Token) -> nodes.Term:
        return nodes.Number(self._int(token), self._span(token))

    def name(self, token: Token) -> nodes.Term:
        return nodes.Word(self._name(token), self._span(token))

    def dotted(self, register: Token, field: Token) -> nodes.Term:
        return nodes.Fields(self._name(register), (self._name(field),), self._span(register, field))

    def joined(self, register: Token, *fields: Token) -> nodes.Term:
        return nodes.Fields(
            self._name(register), self._names(fields), self._span(register, *fields)
        )

    def raw(self, register: Token, msb: Token, lsb: Token | None) -> nodes.Term:
        return nodes.Bits(
            self._name(register),
            self._int(msb),
            self._int(msb if lsb is None else lsb),
            self._span(register, lsb or msb),
        )
