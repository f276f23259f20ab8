"""The catalogue: registers, their fields and encodings, and features, from their statements."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from nvtrap.arch import encode, generic_name
from nvtrap.errors import UsageError, closest, did_you_mean
from nvtrap.lang import indexes, nodes
from nvtrap.lang.findings import Label, Report
from nvtrap.lang.source import Span


@dataclass(frozen=True, slots=True)
class Variant:
    """A field as one layout has it; `guard` is the layout's condition, None for all.

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


@dataclass(frozen=True, slots=True)
class Element:
    """One register or instruction; `index` is its number in its array, or -1."""

    name: str
    encoding: int
    readable: bool
    writable: bool
    is_instruction: bool
    index: int
    span: Span


@dataclass(frozen=True, slots=True)
class Family:
    """An array of registers: the name of its index and its bounds."""

    index: str
    first: int
    last: int
    pattern: indexes.Pattern


@dataclass(slots=True)
class Catalogue:
    """Everything that `register`, `instruction` and `feature` statements define."""

    elements: dict[str, Element] = field(default_factory=dict)
    families: dict[str, Family] = field(default_factory=dict)
    fields: dict[str, dict[str, list[Variant]]] = field(default_factory=dict)
    features: dict[str, nodes.Feature] = field(default_factory=dict)
    by_encoding: dict[int, list[Element]] = field(default_factory=dict)

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
            self.name_of(first)
            if first == last
            else f"{self.name_of(first)} .. {self.name_of(last)}"
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
        close = closest(name.text, known)
        report.add(
            "NV011",
            f"`{register.text}` has no field `{name.text}`",
            name.span,
            did_you_mean([f"{register.text}.{field}" for field in close])
            or _fields_in_words(register.text, known),
        )
        return []

    def has_register(self, name: nodes.Name, report: Report) -> bool:
        """Whether a plain register of this name exists; reported if not."""
        if name.text in self.elements:
            return True
        close = closest(name.text, self.elements)
        report.add("NV010", f"unknown register `{name.text}`", name.span, did_you_mean(close))
        return False


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
    earlier = catalogue.features.setdefault(name, feature)
    if earlier is not feature:
        twice(report, "feature", feature.name, earlier.span)


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
        elements = list(_elements(catalogue, register))
    except UsageError as error:
        report.add("NV024", error.message, register.encoding.span, error.help)
        return
    for element in elements:
        _add_element(catalogue, element, register, report)
    fields = _fields(register, report)
    if fields:
        for element in elements:
            catalogue.fields[element.name] = fields


def _elements(catalogue: Catalogue, register: nodes.Register) -> Iterator[Element]:
    pattern = indexes.split(register.name.text)
    if pattern is None:
        yield _element(register, register.name.text, "", -1)
        return
    index, first, last = indexes.declared(pattern)
    catalogue.families.setdefault(pattern.family, Family(index, first, last, pattern))
    for number in range(first, last + 1):
        yield _element(register, pattern.element(number), index, number)


def _element(register: nodes.Register, name: str, index: str, number: int) -> Element:
    return Element(
        name,
        _encoding(register.encoding, index, number),
        register.readable,
        register.writable,
        register.is_instruction,
        number,
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
    sharing.append(element)


def _fields(register: nodes.Register, report: Report) -> dict[str, list[Variant]]:
    fields: dict[str, list[Variant]] = {}
    for written in register.fields:
        _add_field(fields, written, None, report)
    for layout in register.layouts:
        for written in layout.fields:
            _add_field(fields, written, layout.when, report)
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
        for known in (name, written.alias.text if written.alias else None):
            if known is not None:
                _add_variant(fields, known, variant, written, report)


def _add_variant(
    fields: dict[str, list[Variant]],
    name: str,
    variant: Variant,
    written: nodes.Field,
    report: Report,
) -> None:
    variants = fields.setdefault(name, [])
    for other in variants:
        if other.guard is None or variant.guard is None or other.guard == variant.guard:
            twice(report, "field", written.name, other.span)
            return
    variants.append(variant)


def _positions(written: nodes.Field) -> Iterator[tuple[str, tuple[tuple[int, int], ...]]]:
    """(name, pieces) of the field, or of each field of an array."""
    pattern = indexes.split(written.name.text)
    bits = written.bits
    if isinstance(bits, nodes.Pieces):
        if pattern is not None:
            raise UsageError("the bits of a field array depend on its index")
        yield written.name.text, tuple(_piece(msb, lsb) for msb, lsb in bits.ranges)
        return
    if pattern is None:
        raise UsageError(f"`{written.name.text}` has no index that its bit could depend on")
    index, first, last = indexes.declared(pattern)
    if bits.index.text != index:
        raise UsageError(f"the index of this field is `{index}`, not `{bits.index.text}`")
    for number in range(first, last + 1):
        bit = bits.base + bits.step * number
        yield pattern.element(number), (_piece(bit, bit),)


def _piece(msb: int, lsb: int) -> tuple[int, int]:
    if not 0 <= lsb <= msb <= 63:
        raise UsageError(f"bits [{msb}:{lsb}] are not within [63:0], high bit first")
    return lsb, msb - lsb + 1
