"""Expressions of rule text → conditions over slots.

A field that moves with a layout makes the condition an *or* over the layouts: in each,
the layout's own condition and the expression with the field where that layout has it.
So an expression about a field that the current layout lacks does not hold, whichever
way it is written.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

from nvtrap.compile.catalogue import Catalogue, Variant
from nvtrap.errors import closest, did_you_mean
from nvtrap.lang import nodes
from nvtrap.lang.findings import Report
from nvtrap.table.conditions import (
    EL,
    FALSE,
    SPECIAL,
    TRUE,
    WRITE,
    Condition,
    conjunction,
    disjunction,
    holds,
    negation,
)

MOST_LAYOUTS = 64
FLAGS = (*SPECIAL[1:], "access.read")

Chosen = dict[tuple[str, str], Variant]


@dataclass(frozen=True, slots=True)
class Resolved:
    """A condition and the fields it reads, as (name, slot, [lsb, width] pieces)."""

    condition: Condition
    fields: tuple[tuple[str, int, list[list[int]]], ...]


UNRESOLVED = Resolved(FALSE, ())


class Slots:
    """The numbers of the state that a table reads, in order of first use."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self._numbers: dict[str, int] = {}

    def number(self, name: str) -> int:
        """The slot of `name`, a new one if need be."""
        if name not in self._numbers:
            self._numbers[name] = len(self.names)
            self.names.append(name)
        return self._numbers[name]


class Resolver:
    """Resolves expressions against a catalogue.

    With `disarm`, a condition about a field holds only while the field's feature does
    (the architecture's table); without, an absent field is a bit that reads as zero.
    """

    def __init__(self, catalogue: Catalogue, slots: Slots, report: Report, *, disarm: bool) -> None:
        self._catalogue = catalogue
        self._slots = slots
        self._report = report
        self._disarm = disarm

    def resolve(self, expr: nodes.Expr) -> Resolved:
        """The condition that `expr` means; what is unknown is reported and never holds."""
        found = self._fields(expr)
        if found is None:
            return UNRESOLVED
        moving = {key: variants for key, variants in found.items() if len(variants) > 1}
        fixed = {key: variants[0] for key, variants in found.items() if len(variants) == 1}
        if _product_size(moving) > MOST_LAYOUTS:
            self._report.add("NV003", "too many layouts at once in one expression", expr.span)
            return UNRESOLVED
        cases = []
        uses: dict[str, tuple[str, int, list[list[int]]]] = {}
        for picks in product(*moving.values()):
            chosen: Chosen = {**fixed, **dict(zip(moving, picks, strict=True))}
            guards = [self._guard(variant) for variant in chosen.values()]
            cases.append(conjunction([*_distinct(guards), self._lower(expr, chosen)]))
            for (register, field), variant in chosen.items():
                name = f"{register}.{field}"
                pieces = [list(piece) for piece in variant.pieces]
                uses.setdefault(f"{name}{pieces}", (name, self._slots.number(register), pieces))
        for name, slot, pieces in self._whole(expr):
            uses.setdefault(name, (name, slot, pieces))
        return Resolved(disjunction(cases), tuple(uses.values()))

    def when(self, requires: nodes.Expr | None) -> Condition:
        """The condition that a feature expression means; none always holds."""
        return TRUE if requires is None else self.resolve(requires).condition

    def _guard(self, variant: Variant) -> Condition:
        parts = [] if variant.guard is None else [self.resolve(variant.guard).condition]
        if self._disarm:
            parts.append(self.when(variant.requires))
        return conjunction(parts)

    # ---- what an expression names ------------------------------------------

    def _fields(self, expr: nodes.Expr) -> dict[tuple[str, str], list[Variant]] | None:
        """The fields named, with their variants; None when something is unknown."""
        found: dict[tuple[str, str], list[Variant]] = {}
        sound = True
        for term in _terms(expr):
            if isinstance(term, nodes.Fields) and not _is_index(term):
                for field in term.fields:
                    variants = self._catalogue.variants(term.register, field, self._report)
                    found[term.register.text, field.text] = variants
                    sound &= bool(variants)
            elif isinstance(term, nodes.Bits):
                sound &= self._check_bits(term)
            elif isinstance(term, nodes.Word) and term.name.text != EL:
                sound &= self._catalogue.has_register(term.name, self._report)
        for flag in _flags(expr):
            sound &= self._check_flag(flag)
        return found if sound else None

    def _check_bits(self, bits: nodes.Bits) -> bool:
        if not self._catalogue.has_register(bits.register, self._report):
            return False
        if 0 <= bits.lsb <= bits.msb <= 63:
            return True
        self._report.add(
            "NV026",
            f"bits [{bits.msb}:{bits.lsb}] are not within [63:0], high bit first",
            bits.span,
        )
        return False

    def _check_flag(self, flag: nodes.Flag) -> bool:
        known = [*FLAGS, *self._catalogue.features]
        if flag.text in known:
            return True
        close = closest(flag.text, known)
        if flag.text.startswith("FEAT_"):
            message, code = f"unknown feature `{flag.text}`", "NV014"
        elif flag.text.partition(".")[0] in self._catalogue.elements:
            message, code = f"`{flag.text}` is a number, compare it with one", "NV016"
        else:
            message, code = f"`{flag.text}` is nothing that holds or not", "NV016"
        self._report.add(code, message, flag.span, did_you_mean(close))
        return False

    def _whole(self, expr: nodes.Expr) -> Iterator[tuple[str, int, list[list[int]]]]:
        """The registers and raw bits an expression reads without a field's name."""
        for term in _terms(expr):
            if isinstance(term, nodes.Bits):
                pieces = [[term.lsb, term.msb - term.lsb + 1]]
                yield term.span.text, self._slots.number(term.register.text), pieces
            elif isinstance(term, nodes.Word) and term.name.text != EL:
                yield term.name.text, self._slots.number(term.name.text), [[0, 64]]

    # ---- lowering ----------------------------------------------------------

    def _lower(self, expr: nodes.Expr, chosen: Chosen) -> Condition:
        if isinstance(expr, nodes.Both):
            return conjunction([self._lower(part, chosen) for part in expr.parts])
        if isinstance(expr, nodes.Either):
            return disjunction([self._lower(part, chosen) for part in expr.parts])
        if isinstance(expr, nodes.Negation):
            return negation(self._lower(expr.part, chosen))
        if isinstance(expr, nodes.Flag):
            if expr.text == "access.read":
                return negation(holds(self._slots.number(WRITE)))
            return holds(self._slots.number(expr.text))
        left, left_width = self._term(expr.left, chosen)
        right, right_width = self._term(expr.right, chosen)
        self._check_fits(expr.right, left_width)
        self._check_fits(expr.left, right_width)
        return ["cmp", expr.op, left, right]

    def _term(self, term: nodes.Term, chosen: Chosen) -> tuple[Condition, int]:
        """(term, width in bits; 64 for a number)."""
        if isinstance(term, nodes.Number):
            return ["k", term.value], 64
        if isinstance(term, nodes.Bits):
            width = term.msb - term.lsb + 1
            return ["f", self._slots.number(term.register.text), [[term.lsb, width]]], width
        if isinstance(term, nodes.Word):
            width = 2 if term.name.text == EL else 64
            return ["f", self._slots.number(term.name.text), [[0, width]]], width
        if _is_index(term):
            return ["i"], 16
        register = term.register.text
        variants = [chosen[register, field.text] for field in term.fields]
        pieces = [list(piece) for variant in variants for piece in variant.pieces]
        return ["f", self._slots.number(register), pieces], sum(v.width for v in variants)

    def _check_fits(self, term: nodes.Term, width: int) -> None:
        if isinstance(term, nodes.Number) and term.value >> width:
            self._report.add(
                "NV020",
                f"{term.span.text} does not fit {width} bit" + "s" * (width > 1),
                term.span,
                f"the largest value is {(1 << width) - 1:#x}",
            )


def joined_text(expr: nodes.Expr) -> str:
    """The expression as it was written, on one line."""
    return " ".join(expr.span.text.split())


def _distinct(parts: list[Condition]) -> list[Condition]:
    kept: list[Condition] = []
    for part in parts:
        if part not in kept:
            kept.append(part)
    return kept


def _product_size(choices: dict[Any, list[Variant]]) -> int:
    size = 1
    for variants in choices.values():
        size *= len(variants)
    return size


def _is_index(term: nodes.Fields) -> bool:
    return term.register.text == "access" and [f.text for f in term.fields] == ["index"]


def _terms(expr: nodes.Expr) -> Iterator[nodes.Term]:
    if isinstance(expr, nodes.Comparison):
        yield expr.left
        yield expr.right
    elif isinstance(expr, nodes.Negation):
        yield from _terms(expr.part)
    elif isinstance(expr, nodes.Both | nodes.Either):
        for part in expr.parts:
            yield from _terms(part)


def _flags(expr: nodes.Expr) -> Iterator[nodes.Flag]:
    if isinstance(expr, nodes.Flag):
        yield expr
    elif isinstance(expr, nodes.Negation):
        yield from _flags(expr.part)
    elif isinstance(expr, nodes.Both | nodes.Either):
        for part in expr.parts:
            yield from _flags(part)
