"""The catalogue: registers, their fields and encodings, and features, from their statements."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice

from nvtrap.arch import ENCODINGS, encode, generic_name
from nvtrap.errors import UsageError, did_you_mean
from nvtrap.lang import indexes, nodes
from nvtrap.lang.findings import Label, Report
from nvtrap.lang.source import Span
from nvtrap.table.conditions import SPECIAL
from nvtrap.table.file import MOST_NAMED

MOST_REGISTERS = 1 << 15
MOST_FIELDS = 1 << 18
MOST_LAYOUTS = 16
MOST_FEATURES = 1 << 12
MOST_PROFILES = 1 << 8


@dataclass(frozen=True, slots=True)
class Variant:
    """A field as one layout has it; `guard` is the layout's condition, None for all.

    INVARIANT: layouts of a register that are written alike have the very same `guard`.

    `pieces` are (lsb, width), high part first; `absent` is how the bits read when
    `requires` does not hold.
    """

    guard: nodes.Expr | None
    pieces: tuple[tuple[int, int], ...]
    negative: bool
    requires: nodes.Expr | None
    absent: int
    span: Span

    @property
    def width(self) -> int:
        """How many bits the field has."""
        return sum(width for _, width in self.pieces)

    @property
    def mask(self) -> int:
        """Its bits in the register."""
        return sum((1 << width) - 1 << lsb for lsb, width in self.pieces)

    def shares_layout(self, other: Variant) -> bool:
        """Whether there is a layout that has both fields."""
        return self.guard is None or other.guard is None or self.guard is other.guard


@dataclass(frozen=True, slots=True)
class Element:
    """One register or instruction; `index` is its number in its array, or -1."""

    name: str
    encoding: int
    readable: bool
    writable: bool
    is_instruction: bool
    index: int
    requires: nodes.Expr | None
    span: Span


@dataclass(frozen=True, slots=True)
class Family:
    """An array of registers: the name of its index and its bounds."""

    index: str
    first: int
    last: int
    pattern: indexes.Pattern
    span: Span


@dataclass(slots=True)
class Catalogue:
    """Everything that `register`, `instruction` and `feature` statements define."""

    elements: dict[str, Element] = field(default_factory=dict)
    families: dict[str, Family] = field(default_factory=dict)
    fields: dict[str, dict[str, list[Variant]]] = field(default_factory=dict)
    features: dict[str, nodes.Feature] = field(default_factory=dict)
    contexts: dict[str, nodes.Context] = field(default_factory=dict)
    profiles: dict[str, nodes.Profile] = field(default_factory=dict)
    by_encoding: dict[int, list[Element]] = field(default_factory=dict)
    declared: int = 0
    fields_held: int = 0
    without_encoding: int = 0

    def name_of(self, encoding: int, write: bool = False) -> str:
        """The register's name, or `S3_0_C1_C0_1` where it has none."""
        named = self.by_encoding.get(encoding, ())
        for element in named:
            if element.writable if write else element.readable:
                return element.name
        return named[0].name if named else generic_name(encoding)

    def describe(self, encodings: Iterable[int], most: int = 8) -> str:
        """Encodings in words: names, runs of them as ranges, the rest as a number."""
        runs = list(_runs(encodings))
        words = [
            f"`{self.name_of(first)}`"
            if first == last
            else f"`{self.name_of(first)}` .. `{self.name_of(last)}`"
            for first, last in runs[:most]
        ]
        left = sum(last - first + 1 for first, last in runs[most:])
        return ", ".join(words) + (f" and {left} more" if left else "")

    def variants(self, register: nodes.Name, name: nodes.Name, report: Report) -> list[Variant]:
        """The layouts of a field; what does not exist is reported and gives none."""
        if not self.has_register(register, report):
            return []
        known = self.fields.get(register.text, {})
        if name.text in known:
            return known[name.text]
        report.add(
            "NV011",
            f"`{register.text}` has no field `{name.text}`",
            name.span,
            report.suggest(name.text, known) or _fields_in_words(register.text, known),
        )
        return []

    def has_register(self, name: nodes.Name, report: Report) -> bool:
        """Whether a plain register of this name exists; reported if not."""
        if name.text in self.elements:
            return True
        advice = self._field_of(name.text) or report.suggest(name.text, self.elements)
        report.add("NV010", f"unknown register `{name.text}`", name.span, advice)
        return False

    def _field_of(self, name: str) -> str:
        """Advice for a field that stands without its register."""
        holders = (register for register, fields in self.fields.items() if name in fields)
        return did_you_mean([f"{register}.{name}" for register in islice(holders, 3)])


def _fields_in_words(register: str, known: Iterable[str]) -> str:
    names = list(known)
    if not names:
        return f"the catalogue has no fields of `{register}`"
    return "its fields are " + ", ".join(names[:12]) + (" …" if len(names) > 12 else "")


def _runs(encodings: Iterable[int]) -> Iterator[tuple[int, int]]:
    first = last = -2
    for encoding in encodings:
        if encoding != last + 1:
            if first >= 0:
                yield first, last
            first = encoding
        last = encoding
    if first >= 0:
        yield first, last


def build(statements: Iterable[nodes.Statement], report: Report) -> Catalogue:
    """The catalogue that the statements define; what is wrong with them is reported."""
    catalogue = Catalogue()
    for statement in statements:
        if isinstance(statement, nodes.Register):
            _add_register(catalogue, statement, report)
        elif isinstance(statement, nodes.Feature):
            _add_feature(catalogue, statement, report)
        elif isinstance(statement, nodes.Context):
            _add_context(catalogue, statement, report)
        elif isinstance(statement, nodes.Profile):
            _add_profile(catalogue, statement, report)
    return catalogue


def _add_feature(catalogue: Catalogue, feature: nodes.Feature, report: Report) -> None:
    name = feature.name.text
    if not name.startswith("FEAT_"):
        report.add(
            "NV016",
            f"a feature is named `FEAT_…`, not `{name}`",
            feature.name.span,
            f"write `FEAT_{name}`",
        )
    if len(catalogue.features) >= MOST_FEATURES:
        text = f"there are more than {MOST_FEATURES} features"
        report.add("NV006", text, feature.name.span)
        return
    earlier = catalogue.features.setdefault(name, feature)
    if earlier is not feature:
        twice(report, "feature", feature.name, earlier.span)


def _add_profile(catalogue: Catalogue, profile: nodes.Profile, report: Report) -> None:
    """A profile names features, and profiles that stand before it."""
    for member in profile.members:
        known = catalogue.features if member.text.startswith("FEAT_") else catalogue.profiles
        if member.text not in known:
            kind = "feature" if known is catalogue.features else "profile"
            help = report.suggest(member.text, known)
            report.add("NV014", f"unknown {kind} `{member.text}`", member.span, help)
    if len(catalogue.profiles) >= MOST_PROFILES:
        text = f"there are more than {MOST_PROFILES} profiles"
        report.add("NV006", text, profile.name.span)
        return
    earlier = catalogue.profiles.setdefault(profile.name.text, profile)
    if earlier is not profile:
        twice(report, "profile", profile.name, earlier.span)


def _add_context(catalogue: Catalogue, context: nodes.Context, report: Report) -> None:
    name = context.name.text
    if f"context.{name}" in SPECIAL:
        report.add("NV040", f"context `{name}` is the language's own", context.name.span)
        return
    earlier = catalogue.contexts.setdefault(name, context)
    if earlier is not context:
        twice(report, "context", context.name, earlier.span)


def twice(report: Report, kind: str, name: nodes.Name | nodes.Path, earlier: Span) -> None:
    """Report a second definition of a name."""
    report.add(
        "NV040",
        f"{kind} `{name.text}` is defined twice",
        name.span,
        "",
        Label(earlier, "first defined here"),
    )


def _add_register(catalogue: Catalogue, register: nodes.Register, report: Report) -> None:
    try:
        family = _family(register.name)
    except UsageError as error:
        report.add("NV023", error.message, register.name.span, error.help)
        return
    fields = _fields(register, report)
    if not _has_room(catalogue, register, family, fields, report):
        return
    try:
        elements = list(_elements(catalogue, register, family))
    except UsageError as error:
        where = register.encoding or register.name
        report.add("NV024", error.message, where.span, error.help)
        return
    if family is not None:
        earlier = catalogue.families.setdefault(family.pattern.family, family)
        if earlier is not family:
            twice(report, "array", register.name, earlier.span)
            return
    for element in elements:
        _add_element(catalogue, element, register, report)
        if fields:
            catalogue.fields[element.name] = fields


def _has_room(
    catalogue: Catalogue,
    register: nodes.Register,
    family: Family | None,
    fields: dict[str, list[Variant]],
    report: Report,
) -> bool:
    """Whether the catalogue may grow by a statement; reported if not."""
    elements = 1 if family is None else family.last - family.first + 1
    catalogue.declared += elements
    catalogue.fields_held += elements * sum(map(len, fields.values()))
    catalogue.without_encoding += register.encoding is None
    for count, most, what in (
        (catalogue.declared, MOST_REGISTERS, "registers"),
        (catalogue.fields_held, MOST_FIELDS, "fields of registers"),
        (catalogue.without_encoding, MOST_NAMED, "instructions without an encoding"),
    ):
        if count > most:
            text = f"with `{register.name.text}` there are more than {most} {what}"
            report.add("NV006", text, register.name.span)
            return False
    return True


def _family(name: nodes.Name) -> Family | None:
    """The array that a name declares; None for a plain register."""
    pattern = indexes.split(name.text)
    if pattern is None:
        return None
    index, first, last = indexes.declared(pattern)
    return Family(index, first, last, pattern, name.span)


def _elements(
    catalogue: Catalogue, register: nodes.Register, family: Family | None
) -> Iterator[Element]:
    if register.encoding is None:
        if family is not None:
            raise UsageError(f"`{register.name.text}` has an index but no encoding")
        # Instructions outside the system encoding space are numbered behind it.
        encoding = ENCODINGS + catalogue.without_encoding - 1
        yield _element(register, register.name.text, encoding, -1)
    elif family is None:
        encoding = _encoding(register.encoding, "", -1)
        yield _element(register, register.name.text, encoding, -1)
    else:
        for number in range(family.first, family.last + 1):
            encoding = _encoding(register.encoding, family.index, number)
            yield _element(register, family.pattern.element(number), encoding, number)


def _element(register: nodes.Register, name: str, encoding: int, number: int) -> Element:
    return Element(
        name,
        encoding,
        register.readable,
        register.writable,
        register.is_instruction,
        number,
        None if register.requires is None else register.requires.when,
        register.name.span,
    )


def _encoding(written: nodes.Name | nodes.Operands, index: str, number: int) -> int:
    if isinstance(written, nodes.Name):
        return indexes.encode_text(written.text, index, number)
    return encode(*written.numbers)


def _add_element(
    catalogue: Catalogue, element: Element, register: nodes.Register, report: Report
) -> None:
    earlier = catalogue.elements.setdefault(element.name, element)
    if earlier is not element:
        twice(report, "register", register.name, earlier.span)
        return
    sharing = catalogue.by_encoding.setdefault(element.encoding, [])
    for other in sharing:
        if (other.readable and element.readable) or (other.writable and element.writable):
            report.add(
                "NV040",
                f"`{element.name}` has the encoding of `{other.name}`,"
                f" {generic_name(element.encoding)}",
                register.span,
                "two names may share an encoding when one is read-only, the other write-only",
                Label(other.span, f"`{other.name}` is here"),
            )
            break
    sharing.append(element)


def _fields(register: nodes.Register, report: Report) -> dict[str, list[Variant]]:
    fields: dict[str, list[Variant]] = {}
    for written in register.fields:
        _add_field(fields, written, None, report)
    if len(register.layouts) > MOST_LAYOUTS:
        text = f"a register has at most {MOST_LAYOUTS} layouts"
        report.add("NV006", text, register.name.span)
    guards: dict[str, nodes.Expr] = {}
    for layout in register.layouts[:MOST_LAYOUTS]:
        guard = guards.setdefault(layout.when.span.one_line, layout.when)
        for written in layout.fields:
            if not report.is_full:
                _add_field(fields, written, guard, report)
    return fields


def _add_field(
    fields: dict[str, list[Variant]],
    written: nodes.Field,
    guard: nodes.Expr | None,
    report: Report,
) -> None:
    try:
        named = list(_positions(written))
    except UsageError as error:
        report.add("NV026", error.message, written.bits.span, error.help)
        return
    requires = written.requires
    for name, pieces in named:
        variant = Variant(
            guard,
            pieces,
            written.negative,
            requires.when if requires else None,
            requires.absent if requires else 0,
            written.name.span,
        )
        alias = [written.alias.text] if written.alias else []
        names = list(dict.fromkeys([name, *alias]))
        if _is_free(fields, names, variant, written, report):
            for known in names:
                fields.setdefault(known, []).append(variant)


def _is_free(
    fields: dict[str, list[Variant]],
    names: list[str],
    variant: Variant,
    written: nodes.Field,
    report: Report,
) -> bool:
    """Whether names and bits of a field are nobody else's in its layout; reported if not."""
    for name, variants in fields.items():
        for other in variants:
            if not other.shares_layout(variant):
                continue
            if name in names:
                twice(report, "field", nodes.Name(name, written.name.span), other.span)
                return False
            if other.mask & variant.mask:
                report.add(
                    "NV026",
                    f"`{names[0]}` has bits that `{name}` has as well",
                    written.bits.span,
                    "",
                    Label(other.span, f"`{name}` is here"),
                )
                return False
    return True


def _positions(written: nodes.Field) -> Iterator[tuple[str, tuple[tuple[int, int], ...]]]:
    """(name, pieces) of the field, or of each field of an array."""
    pattern = indexes.split(written.name.text)
    bits = written.bits
    if isinstance(bits, nodes.Pieces):
        if pattern is not None:
            raise UsageError("the bits of a field array depend on its index")
        yield written.name.text, _pieces(bits)
        return
    if pattern is None:
        raise UsageError(f"`{written.name.text}` has no index that its bit could depend on")
    index, first, last = indexes.declared(pattern)
    if bits.index.text != index:
        raise UsageError(f"the index of this field is `{index}`, not `{bits.index.text}`")
    for number in range(first, last + 1):
        bit = bits.base + bits.step * number
        yield pattern.element(number), (_piece(bit, bit),)


def misplaced(msb: int, lsb: int) -> str:
    """What is wrong with bits of a register; empty when nothing is."""
    if 0 <= lsb <= msb <= 63:
        return ""
    if msb == lsb:
        return f"bit {msb} is not within [63:0]"
    return f"bits [{msb}:{lsb}] are not within [63:0], high bit first"


def _pieces(bits: nodes.Pieces) -> tuple[tuple[int, int], ...]:
    seen = 0
    pieces = []
    for msb, lsb in bits.ranges:
        start, width = _piece(msb, lsb)
        mask = (1 << width) - 1 << start
        if seen & mask:
            raise UsageError("a bit stands twice in this field")
        seen |= mask
        pieces.append((start, width))
    return tuple(pieces)


def _piece(msb: int, lsb: int) -> tuple[int, int]:
    problem = misplaced(msb, lsb)
    if problem:
        raise UsageError(problem)
    return lsb, msb - lsb + 1
