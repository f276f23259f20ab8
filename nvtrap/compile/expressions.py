"""Expressions of rule text → conditions over slots.

A field that moves with a layout makes the condition an *or* over the layouts: in each,
the layout's own condition and the expression with the field where that layout has it.
So an expression about a field that the current layout lacks does not hold, whichever
way it is written.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

from nvtrap.compile.catalogue import Catalogue, Variant, misplaced
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
MOST_COMPARISONS = 1 << 17
MOST_IN_ONE = 1 << 10
# Python nests brackets 200 deep, and the engine makes Python of conditions.
DEEPEST = 96
DEEPEST_CONTEXT = 8
FLAGS = (*SPECIAL[1:], "access.read")

Chosen = dict[tuple[str, str], Variant]
Found = dict[tuple[str, str], list[Variant]]


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
        self._contexts: dict[str, Resolved] = {}
        self._open: list[str] = []
        self._whens: dict[int, Condition] = {}
        self._sizes: dict[int, int] = {}
        self._compared = 0

    def resolve(self, expr: nodes.Expr) -> Resolved:
        """The condition that `expr` means; what is unknown is reported and never holds."""
        found = self._fields(expr)
        if found is None or not self._is_affordable(expr, found):
            return UNRESOLVED
        moving = {key: variants for key, variants in found.items() if len(variants) > 1}
        fixed = {key: variants[0] for key, variants in found.items() if len(variants) == 1}
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
        for name, slot, pieces in (*self._whole(expr), *self._in_contexts(expr)):
            uses.setdefault(f"{name}{pieces}", (name, slot, pieces))
        condition = disjunction(cases)
        if _depth(condition) > DEEPEST:
            text = f"with its contexts this is nested more than {DEEPEST} deep"
            self._report.add("NV003", text, expr.span)
            return UNRESOLVED
        return Resolved(condition, tuple(uses.values()))

    def of_state(self, expr: nodes.Expr) -> Condition:
        """The condition of a hypervisor context, which no single access can decide."""
        words = ("access.index", "access.read", WRITE, "context.hypervisor", "context.host_EL0")
        help = "a context hangs on the state alone"
        return FALSE if self._says(expr, words, help) else self.resolve(expr).condition

    def check_registers(self, expr: nodes.Expr) -> None:
        """What a layout or a feature hangs on: registers, which a state or a CPU has."""
        words = [flag.text for flag in _flags(expr)]
        if not self._says(expr, words, "write fields of registers here"):
            self.when(expr)

    def check_features(self, expr: nodes.Expr) -> None:
        """What `requires` hangs on: features, which a CPU has or lacks."""
        words = [term.span.text for term in _terms(expr)]
        if not self._says(expr, words, "write features here, such as `FEAT_NV2`"):
            self.when(expr)

    def when(self, expr: nodes.Expr | None) -> Condition:
        """The condition that a layout or a feature hangs on; none always holds.

        It is about bits as they stand, whether or not their own feature is there. They
        must not move with a layout, or one layout could hang on the other.
        """
        if expr is None:
            return TRUE
        if id(expr) not in self._whens:
            self._whens[id(expr)] = self._settled(expr)
        return self._whens[id(expr)]

    def _settled(self, expr: nodes.Expr) -> Condition:
        words = (EL, "access.index", "access.read", *SPECIAL[1:])
        found = self._fields(expr)
        if found is None or self._says(expr, words, "write registers and features alone here"):
            return FALSE
        for (register, field), variants in found.items():
            if variants[0].guard is not None:
                text = f"`{register}.{field}` has layouts itself, nothing else can hang on it"
                self._report.add("NV026", text, expr.span)
                return FALSE
        if not self._is_affordable(expr, {}):
            return FALSE
        return self._lower(expr, {key: variants[0] for key, variants in found.items()})

    def _guard(self, variant: Variant) -> Condition:
        parts = [self.when(variant.guard)]
        if self._disarm:
            parts.append(self.when(variant.requires))
        return conjunction(parts)

    def _says(self, expr: nodes.Expr, words: Sequence[str], help: str) -> bool:
        """Whether the expression has one of the words, which mean nothing there; reported."""
        said = [(flag.text, flag.span) for flag in _flags(expr)]
        said += [(term.span.text, term.span) for term in _terms(expr)]
        for text, span in said:
            if text in words:
                self._report.add("NV016", f"`{text}` means nothing here", span, help)
                return True
        return False

    # ---- bounds ------------------------------------------------------------

    def _is_affordable(self, expr: nodes.Expr, found: Found) -> bool:
        """Whether the table may grow by what the expression becomes; reported if not."""
        cases = 1
        size = self._size(expr)
        for variants in found.values():
            cases *= len(variants)
            if cases > MOST_LAYOUTS:
                text = f"the fields of this expression have more than {MOST_LAYOUTS} layouts"
                self._report.add("NV006", text, expr.span)
                return False
            for variant in variants:
                size += self._size(variant.guard)
                size += self._size(variant.requires) if self._disarm else 0
        if cases * size > MOST_IN_ONE:
            text = f"this makes more than {MOST_IN_ONE} comparisons, layouts counted"
            self._report.add("NV006", text, expr.span)
            return False
        self._compared += cases * size
        if self._compared > MOST_COMPARISONS:
            text = f"the expressions up to here make more than {MOST_COMPARISONS} comparisons"
            self._report.add("NV006", text, expr.span)
            return False
        return True

    def _size(self, expr: nodes.Expr | None) -> int:
        """How many comparisons an expression becomes in one layout."""
        if expr is None:
            return 0
        if id(expr) not in self._sizes:
            flags = list(_flags(expr))
            inner = sum(self._compares(flag) for flag in flags)
            self._sizes[id(expr)] = inner + len(flags) + sum(1 for _ in _terms(expr)) // 2
        return self._sizes[id(expr)]

    def _compares(self, flag: nodes.Flag) -> int:
        return _comparisons(self._context(flag).condition) if self._is_context(flag) else 0

    # ---- what an expression names ------------------------------------------

    def _fields(self, expr: nodes.Expr) -> Found | None:
        """The fields named, with their variants; None when something is unknown."""
        found: Found = {}
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
        problem = misplaced(bits.msb, bits.lsb)
        if problem:
            self._report.add("NV026", problem, bits.span)
        return not problem

    def _check_flag(self, flag: nodes.Flag) -> bool:
        if flag.text in FLAGS or flag.text in self._catalogue.features:
            return True
        if self._is_context(flag):
            return self._context(flag) is not UNRESOLVED
        contexts = (f"context.{name}" for name in self._catalogue.contexts)
        help = self._report.suggest(flag.text, (*FLAGS, *contexts, *self._catalogue.features))
        if flag.text.startswith("FEAT_"):
            message, code = f"unknown feature `{flag.text}`", "NV014"
        elif flag.text.partition(".")[0] in self._catalogue.elements:
            message, code = f"`{flag.text}` is a number, not something that holds", "NV016"
            help = f"compare it: `{flag.text} == 1`"
        else:
            message, code = f"`{flag.text}` is nothing that holds or not", "NV016"
        self._report.add(code, message, flag.span, help)
        return False

    def _is_context(self, flag: nodes.Flag) -> bool:
        word, _, name = flag.text.partition(".")
        return word == "context" and name in self._catalogue.contexts

    def _context(self, flag: nodes.Flag) -> Resolved:
        """What a named context means; one that hangs on itself is reported."""
        name = flag.text.partition(".")[2]
        if name in self._open:
            self._report.add("NV034", f"context `{name}` hangs on itself", flag.span)
            return UNRESOLVED
        if name not in self._contexts:
            if len(self._open) == DEEPEST_CONTEXT:
                text = f"contexts are nested more than {DEEPEST_CONTEXT} deep"
                self._report.add("NV003", text, flag.span)
                return UNRESOLVED
            self._open.append(name)
            self._contexts[name] = self.resolve(self._catalogue.contexts[name].when)
            self._open.pop()
        return self._contexts[name]

    def _in_contexts(self, expr: nodes.Expr) -> Iterator[tuple[str, int, list[list[int]]]]:
        """What the named contexts of an expression read."""
        for flag in _flags(expr):
            if self._is_context(flag):
                yield from self._context(flag).fields

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
            if self._is_context(expr):
                return self._context(expr).condition
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
        width = sum(variant.width for variant in variants)
        if sum(variant.mask.bit_count() for variant in variants) != _union(variants).bit_count():
            names = ", ".join(field.text for field in term.fields)
            text = f"`{register}.{{{names}}}` has a bit twice"
            self._report.add("NV026", text, term.span)
        return ["f", self._slots.number(register), pieces], width

    def _check_fits(self, term: nodes.Term, width: int) -> None:
        if isinstance(term, nodes.Number) and term.value >> width:
            self._report.add(
                "NV020",
                f"`{term.span.text}` does not fit {width} bit" + "s" * (width > 1),
                term.span,
                f"the largest value is {(1 << width) - 1:#x}",
            )


def joined_text(expr: nodes.Expr) -> str:
    """The expression as it was written, on one line."""
    return expr.span.one_line


def _distinct(parts: list[Condition]) -> list[Condition]:
    return list({str(part): part for part in parts}.values())


def _union(variants: list[Variant]) -> int:
    mask = 0
    for variant in variants:
        mask |= variant.mask
    return mask


def _depth(condition: Condition) -> int:
    if condition[0] in ("and", "or", "not"):
        return 1 + max(map(_depth, condition[1:]))
    return 1


def _comparisons(condition: Condition) -> int:
    if condition[0] in ("and", "or", "not"):
        return sum(map(_comparisons, condition[1:]))
    return 1


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
