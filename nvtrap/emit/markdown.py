"""A table as a reference to read: what traps, when, and which accesses each control takes."""

from __future__ import annotations

from nvtrap.arch import generic_name
from nvtrap.emit.pieces import notice
from nvtrap.table import READ, WRITE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from nvtrap.emit.emission import Emission
    from nvtrap.table import Control, Part, Place

_ESCAPED = str.maketrans({char: f"\\{char}" for char in "\\`*_{}[]<>#|~&"})


def render(emission: Emission, licence: str) -> str:
    """The page."""
    table = emission.table
    title, _, *rest = notice(emission)
    lines = [
        f"<!-- SPDX-License-Identifier: {licence}",
        *(line.replace("--", "- -") for line in rest),  # which would end the comment
        "-->",
        "",
        f"# {text(title[:-1])}",
        "",
        _settings(emission),
    ]
    if table.sanitised:
        names = ", ".join(code(table.slots[slot]) for slot in table.sanitised)
        lines += ["", f"Without the bits that the vCPU lacks: {names}."]
    sections = (_controls(emission), _groups(emission), _encodings(emission))
    return "\n".join([*lines, *(line for section in sections for line in section)]) + "\n"


def _settings(emission: Emission) -> str:
    table = emission.table
    return (
        f"Parts are {'additive' if table.additive else 'exclusive'};"
        f" fine-grained bits are tested by {'position' if table.fine_by_position else 'name'};"
        f" absent fields {'disarm' if table.disarm else 'read as zero'}."
    )


def text(said: str) -> str:
    """Words as they are, on one line, whatever they mean to Markdown."""
    return " ".join(said.split()).translate(_ESCAPED)


def code(said: str) -> str:
    """Words in the typeface of code, in a cell of a table as well."""
    said = " ".join(said.replace("`", "'").split()).replace("|", "\\|")
    return f"`{said}`" if said else ""


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    for row in (headings, ["---"] * len(headings), *rows):
        yield f"| {' | '.join(row)} |"


def _directions(directions: int) -> str:
    words = ["read"] * bool(directions & READ) + ["write"] * bool(directions & WRITE)
    return ", ".join(words)


def _place(place: Place | None) -> str:
    return "" if place is None else code(str(place))


# ---- controls ---------------------------------------------------------------------


def _controls(emission: Emission) -> Iterator[str]:
    takes: dict[int, dict[str, None]] = {}
    for first, last, number in emission.ranges:
        for part in emission.rules[number].rule.coarse:
            for control in (part.control, *emission.control_list[part.control].members):
                takes.setdefault(control, {})[emission.range_name(first, last)] = None
    yield from ("", "## Controls", "")
    rows = [
        _control(control, takes.get(number, {}))
        for number, control in enumerate(emission.control_list)
    ]
    yield from _table(("control", "kind", "traps", "when", "accesses", "rule"), rows)


def _control(control: Control, names: Iterable[str]) -> list[str]:
    also = " (also in host EL0)" * control.host_el0
    return [
        code(control.name),
        control.kind,
        _directions(control.directions) + also,
        code(control.text),
        ", ".join(map(code, names)),
        _place(control.place),
    ]


# ---- fine-grained groups ----------------------------------------------------------


def _groups(emission: Emission) -> Iterator[str]:
    takes: dict[tuple[int, int], dict[str, None]] = {}
    for first, last, number in emission.ranges:
        for part in emission.rules[number].rule.fine:
            takes.setdefault((part.group, part.bit), {})[emission.range_name(first, last)] = None
    for number, group in enumerate(emission.table.groups):
        read, write = (code(name) for name in group.registers)
        yield from ("", f"## Fine-grained group {text(group.name)}", "")
        yield f"Reads: {read}. Writes: {write}." if read != write else f"Both directions: {read}."
        if group.fgu:
            yield f"A VM lists its disabled features under {code(group.fgu)}."
        yield ""
        rows = [
            [
                str(bit),
                code(group.bit_name(bit, write=False)),
                code(group.bit_name(bit, write=True)),
                "0" if (group.negative[0] | group.negative[1]) >> bit & 1 else "1",
                ", ".join(map(code, names)),
            ]
            for (of, bit), names in sorted(takes.items())
            if of == number
        ]
        yield from _table(("bit", "read", "write", "traps when", "accesses"), rows)


# ---- encodings --------------------------------------------------------------------


def _encodings(emission: Emission) -> Iterator[str]:
    yield from ("", "## Registers and instructions", "")
    rows = [
        [
            code(emission.range_name(first, last)),
            ", ".join(code(name) for name in dict.fromkeys(map(generic_name, (first, last)))),
            *_rule(emission, number),
        ]
        for first, last, number in emission.ranges
    ]
    yield from _table(("name", "encoding", "trapped by", "rule"), rows)


def _rule(emission: Emission, number: int) -> tuple[str, str]:
    rule = emission.rules[number].rule
    said = [_part(emission, part) for part in (*rule.fine, *rule.coarse)]
    places = dict.fromkeys(_place(part.place) for part in (*rule.fine, *rule.coarse))
    if rule.local_place is not None:
        said.append(f"nothing: {text(rule.local_reason)}")
        places[_place(rule.local_place)] = None
    if rule.memory is not None:
        said.append(f"memory at VNCR\\_EL2 + {code(hex(rule.memory[0]))}")
    return "; ".join(said), ", ".join(places)


def _part(emission: Emission, part: Part) -> str:
    names = dict.fromkeys(
        code(emission.part_name(part, write))
        for write in (False, True)
        if part.directions & (WRITE if write else READ)
    )
    words = [" / ".join(names)]
    if part.directions not in (READ | WRITE, 0):
        words.append(f"({_directions(part.directions)})")
    if part.levels & 0b111 != 0b111:
        levels = ", ".join(f"EL{el}" for el in range(3) if part.levels >> el & 1)
        words.append(f"from {levels}")
    if part.text:
        words.append(code(part.text))
    return " ".join(words)
