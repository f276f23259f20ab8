"""The entries of the kernel's tables: which encodings a control or a bit traps."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from nvtrap.imports import ctext
from nvtrap.imports.controls import Controls, Meaning
from nvtrap.imports.ctext import NotUnderstoodError, Token, Tokens, is_name
from nvtrap.imports.fields import FieldNames
from nvtrap.imports.groups import FILTERED_GROUP, FILTERS, GROUPS, KernelGroup
from nvtrap.imports.model import Extent, Group, Trap
from nvtrap.imports.names import Names
from nvtrap.imports.tables import NO_CONTROL, Call
from nvtrap.lang.findings import Label, Report
from nvtrap.lang.source import Span

COARSE_MACROS = {"SR_TRAP": 1, "SR_RANGE_TRAP": 2}
# How many encodings the macro names, and whether a filter is its last argument.
FINE_MACROS = {
    "SR_FGT": (1, False),
    "SR_FGT_RANGE": (2, False),
    "SR_FGF": (1, True),
    "SR_FGF_RANGE": (2, True),
}
MOST_ENCODINGS = 1 << 18


@dataclass(frozen=True, slots=True)
class Bit:
    """A fine-grained bit as a table names it: text for a rule, place and polarity."""

    group: Group
    text: str
    number: int
    negative: bool
    word: str


class Entries:
    """Collects what is trapped; `coarse` and `fine` are in order of first mention."""

    def __init__(
        self, controls: Controls, names: Names, fields: FieldNames, report: Report
    ) -> None:
        self.coarse: dict[str, Trap] = {}
        self.fine: dict[str, Trap] = {}
        self.groups: dict[str, Group] = {}
        self._controls = controls
        self._names = names
        self._fields = fields
        self._report = report
        self._known: dict[tuple[bool, int], Span] = {}
        self._polarities: dict[tuple[str, int], tuple[bool, Span]] = {}
        self._left = MOST_ENCODINGS

    def add_all(self, coarse: list[Call], fine: list[Call]) -> None:
        """Take in the entries of both tables."""
        for add, calls in ((self._add_coarse, coarse), (self._add_fine, fine)):
            for call in calls:
                self._try(add, call)

    def _try(self, add: Callable[[Call], None], call: Call) -> None:
        try:
            if self._left >= 0:
                add(call)
        except NotUnderstoodError as error:
            error.report(self._report)

    # ---- coarse ------------------------------------------------------------

    def _add_coarse(self, call: Call) -> None:
        count = COARSE_MACROS.get(call.macro.text, 0)
        self._check_macro(call, COARSE_MACROS, (count + 1,))
        id = call.arguments[count]
        if not is_name(id):
            raise NotUnderstoodError("NV001", "this is no control", ctext.whole(id))
        if id[0].text == NO_CONTROL:
            raise NotUnderstoodError("NV012", "this entry has no control", id[0].span)
        meanings = self._controls.meanings(id[0])
        extent = self._extent(call, count, fine=False)
        for meaning, part in self._divided(extent, meanings, call):
            self._controls.use(meaning.name)
            trap = self.coarse.setdefault(meaning.name, Trap(f"by {meaning.name}"))
            trap.is_sound = meaning.is_sound
            trap.extents.append(part)
            trap.lines.append(call.span.line)

    def _divided(
        self, extent: Extent, meanings: list[Meaning], call: Call
    ) -> Iterator[tuple[Meaning, Extent]]:
        """The extent, or its encodings one by one where each may mean something else."""
        if len(meanings) == 1 and meanings[0].registers == ".*":
            yield meanings[0], extent
            return
        for encoding in range(extent.first, extent.last + 1):
            name = self._names.text(encoding)
            found = [one for one in meanings if re.fullmatch(one.registers, name)]
            if not found:
                text = f"`{meanings[0].name}` says nothing about `{name}`"
                raise NotUnderstoodError("NV016", text, call.span)
            yield found[0], Extent(encoding, encoding, name, name)

    # ---- fine --------------------------------------------------------------

    def _add_fine(self, call: Call) -> None:
        count, has_filter = FINE_MACROS.get(call.macro.text, (0, False))
        fewest = count + 2 + has_filter
        self._check_macro(call, FINE_MACROS, (fewest, fewest + 1))
        rest = call.arguments[count:]
        polarity = rest[2] if len(call.arguments) > fewest else None
        bit = self.bit(rest[0], rest[1], polarity)
        filtered = self._filter(rest[-1], rest[0][0]) if has_filter else ""
        self._check_polarity(bit, rest[1][0])
        extent = self._extent(call, count, fine=True)
        part = " ".join(filter(None, ["fine", bit.text, bit.word, filtered]))
        trap = self.fine.setdefault(part, Trap(part))
        trap.extents.append(extent)
        trap.lines.append(call.span.line)

    def elsewhere(self, call: Call) -> str:
        """The bit of an entry `FGT(group, bit, polarity)`, for a trap that is no entry here."""
        self._check_macro(call, {"FGT": 0}, (2, 3))
        group, name, *polarity = call.arguments
        return self.bit(group, name, polarity[0] if polarity else None).text

    def bit(self, group: Tokens, name: Tokens, polarity: Tokens | None) -> Bit:
        """The bit that a group, a name and a polarity (1 or 0, or none) mean.

        Raises `NotUnderstoodError` for what the catalogue does not know.
        """
        for piece in (group, name):
            if not is_name(piece):
                raise NotUnderstoodError("NV001", "this is no name", ctext.whole(piece))
        known = self._group(group[0])
        register = self._register_of(known, name[0])
        field = self._fields.spelled(register, name[0].text)
        variant = self._fields.variants(register, field)[0]
        lsb, width = variant.pieces[0]
        if width != 1 or len(variant.pieces) > 1:
            text = f"`{register}.{field}` is more than one bit"
            raise NotUnderstoodError("NV026", text, name[0].span)
        negative = variant.negative
        if polarity is not None:
            negative = _polarity(polarity)
        word = "" if negative == variant.negative else "negative" if negative else "positive"
        text = self._text(known.group, field, lsb)
        return Bit(known.group, text, lsb, negative, word)

    def _group(self, token: Token) -> KernelGroup:
        known = GROUPS.get(token.text)
        if known is None:
            help = self._report.suggest(token.text, GROUPS)
            text = f"unknown fine-grained group `{token.text}`"
            raise NotUnderstoodError("NV013", text, token.span, help)
        for register in (known.group.read, known.group.write):
            if register not in self._names.catalogue.elements:
                text = f"group `{token.text}`: the catalogue has no register `{register}`"
                raise NotUnderstoodError("NV010", text, token.span)
        self.groups.setdefault(known.group.name, known.group)
        return known

    def _register_of(self, known: KernelGroup, name: Token) -> str:
        """The register of the group that has the bit."""
        for register in known.registers:
            if self._fields.variants(register, name.text):
                return register
        raise self._fields.unknown(name, known.registers[0], name.text)

    def _text(self, group: Group, field: str, bit: int) -> str:
        """`HFG.SCTLR_EL1`, or `HFG[29]` where the other register has another bit of the name."""
        for register in (group.read, group.write):
            variants = self._fields.variants(register, field)
            if variants and variants[0].pieces != ((bit, 1),):
                return f"{group.name}[{bit}]"
        return f"{group.name}.{field}"

    def _filter(self, written: Tokens, group: Token) -> str:
        text = "".join(token.text for token in written)
        if text not in FILTERS:
            help = self._report.suggest(text, FILTERS)
            raise NotUnderstoodError(
                "NV016", f"unknown filter `{text}`", ctext.whole(written), help
            )
        if FILTERS[text] and group.text != FILTERED_GROUP:
            text = f"the kernel looks at filters of `{FILTERED_GROUP}` alone"
            raise NotUnderstoodError("NV016", text, ctext.whole(written))
        return FILTERS[text]

    def _check_polarity(self, bit: Bit, name: Token) -> None:
        key = bit.group.name, bit.number
        negative, first = self._polarities.setdefault(key, (bit.negative, name.span))
        if negative != bit.negative:
            label = Label(first, "the other one is here")
            text = f"`{bit.text}` has both polarities"
            self._report.add("NV038", text, name.span, "", label)

    # ---- both --------------------------------------------------------------

    def _check_macro(
        self, call: Call, known: Mapping[str, object], counts: tuple[int, ...]
    ) -> None:
        name = call.macro.text
        if name not in known:
            help = self._report.suggest(name, known) or f"known here: {', '.join(known)}"
            raise NotUnderstoodError("NV016", f"unknown macro `{name}`", call.macro.span, help)
        if len(call.arguments) not in counts:
            wanted = " or ".join(map(str, counts))
            text = f"`{name}` has {wanted} arguments, not {len(call.arguments)}"
            raise NotUnderstoodError("NV001", text, call.span)

    def _extent(self, call: Call, count: int, *, fine: bool) -> Extent:
        """The encodings of an entry, each of which must be new."""
        first, first_name = self._names.encoding(call.arguments[0])
        last, last_name = self._names.encoding(call.arguments[count - 1])
        if last < first:
            span = ctext.whole(call.arguments[1])
            raise NotUnderstoodError("NV021", "the range ends before it starts", span)
        self._left -= last - first + 1
        if self._left < 0:
            text = f"the entries up to here name more than {MOST_ENCODINGS} encodings"
            raise NotUnderstoodError("NV006", text, call.span)
        for encoding in range(first, last + 1):
            earlier = self._known.setdefault((fine, encoding), call.span)
            if earlier is not call.span:
                raise self._second(encoding, call, earlier, fine=fine)
        return Extent(first, last, first_name, last_name)

    def _second(
        self, encoding: int, call: Call, earlier: Span, *, fine: bool
    ) -> NotUnderstoodError:
        what = "fine-grained" if fine else "coarse"
        text = f"a second {what} entry for `{self._names.text(encoding)}`"
        help = f"the first one is in line {earlier.line}; the kernel refuses such a table"
        return NotUnderstoodError("NV031" if fine else "NV030", text, call.span, help)


def _polarity(written: Tokens) -> bool:
    """Whether a polarity is negative: 0 is, 1 is not."""
    text = "".join(token.text for token in written)
    if text not in ("0", "1", "false", "true"):
        raise NotUnderstoodError("NV016", f"unknown polarity `{text}`", ctext.whole(written))
    return text in ("0", "false")
