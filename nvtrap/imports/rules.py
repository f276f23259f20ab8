"""Writing rule text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from textwrap import wrap

from nvtrap.imports.extents import line_numbers, words
from nvtrap.imports.model import Control, Extent, Model, Trap
from nvtrap.imports.names import Names
from nvtrap.lang.findings import Finding, printable

WIDTH = 100
INDENT = " " * 5


def write(
    model: Model, names: Names, name: str, origin: str, findings: Sequence[Finding] = ()
) -> str:
    """The text of a rule file with the table `name`.

    `origin` says which file the numbers of lines are about; `findings` are what could
    not be translated, and become comments.
    """
    writer = _Writer(model, names)
    lines = [
        "# What Linux forwards to a guest hypervisor. Numbers behind # are lines of the file it is",
        f"# imported from: {printable(origin)}",
        "",
        'use "registers"',
        *writer.controls(),
        *writer.groups(),
        *writer.table(name),
        *_section("Coarse-grained traps"),
        *writer.traps(model.coarse),
        *_section("Fine-grained traps"),
        *writer.traps(_folded(model.fine, names)),
        *_elsewhere(model),
        *_untranslated(findings),
    ]
    return "\n".join(lines) + "\n"


class _Writer:
    def __init__(self, model: Model, names: Names) -> None:
        self._model = model
        self._names = names

    # ---- controls ----------------------------------------------------------

    def controls(self) -> Iterator[str]:
        """Controls by register, then conditions, then combos."""
        plain = [control for control in self._model.controls if control.kind == "control"]
        others = [control for control in self._model.controls if control.kind != "control"]
        for head, found in groupby(plain, key=_register):
            yield from _section(f"Controls in {head}" if head else "Controls, not translated")
            yield from _aligned(found)
        if others:
            yield from _section("Conditions")
            yield from _aligned(others)
        if self._model.combos:
            yield from _section("Combinations")
        for combo in self._model.combos:
            mark = "" if combo.is_sound else "# not translated: "
            text = f"{mark}combo {combo.name} = {' | '.join(combo.members)}"
            yield from _noted([text], str(combo.line))

    def groups(self) -> Iterator[str]:
        """Fine-grained groups."""
        yield from _section("Fine-grained groups")
        for group in self._model.groups:
            sides = f"read {group.read}  write {group.write}"
            if group.read == group.write:
                sides = f"any {group.read}"
            key = f'  fgu "{group.key}"' if group.key else ""
            yield f"fine group {group.name} {{ {sides}{key} }}"

    def table(self, name: str) -> Iterator[str]:
        """The table statement."""
        model = self._model
        yield from _section("The table")
        yield f"table {name} {{"
        yield "    parts are exclusive"
        yield "    hypervisor context when EL == 2 or HCR_EL2.TGE == 1"
        if model.has_host_el0:
            yield "    host EL0 when EL == 0 and HCR_EL2.TGE == 1"
        if model.sanitised:
            yield from _wrapped("    sanitise ", model.sanitised, "")
        yield "    fine bits by position"
        yield "    absent fields read as zero"
        limits = [f"limit {what} {most}" for what, most in model.limits.items()]
        if limits:
            yield f"    {'  '.join(limits)}"
        yield "}"

    # ---- rules -------------------------------------------------------------

    def traps(self, traps: Sequence[Trap]) -> Iterator[str]:
        """One statement for each control or bit."""
        for trap in traps:
            listed = words(trap.extents, self._names)
            text = list(_wrapped("trap ", listed, f"  {trap.part}"))
            if not trap.is_sound:
                text = [f"# not translated: {line}" for line in text]
            yield from _noted(text, line_numbers(trap.lines))


def _register(control: Control) -> str:
    """The register that a control's condition begins with."""
    return control.when.partition(".")[0].partition("[")[0]


def _aligned(controls: Iterator[Control] | Sequence[Control]) -> Iterator[str]:
    found = list(controls)
    width = max(len(control.name) for control in found)
    for control in found:
        head = f"{control.kind} {control.name:<{width}}"
        if not control.when:
            yield f"# not translated: {head.rstrip()}  # {control.line}"
            continue
        host = ", also in host EL0," if control.host_el0 else ""
        directions = f"{control.directions}{host}"
        text = f"{head}  traps {directions:<5} when {control.when}"
        fits = len(text) <= WIDTH
        listed = [text] if fits else [f"{head}  traps {directions}", f"{INDENT}when {control.when}"]
        yield from _noted(listed, str(control.line))


def _noted(text: Sequence[str], lines: str) -> Iterator[str]:
    """The text with the lines that it comes from, behind it where there is room."""
    if len(text) == 1 and len(text[0]) + len(lines) + 4 <= WIDTH:
        yield f"{text[0]}  # {lines}"
    else:
        yield from wrap(lines, WIDTH, initial_indent="# ", subsequent_indent="# ")
        yield from text


def _section(title: str) -> list[str]:
    return ["", f"# ---- {title} ".ljust(80, "-"), ""]


def _wrapped(head: str, items: Sequence[str], tail: str) -> Iterator[str]:
    """The items behind `head`, over several lines where need be, `tail` at the end."""
    line = head
    for number, item in enumerate(items):
        piece = item if number + 1 == len(items) else f"{item}, "
        if len(line) + len(piece.rstrip()) > WIDTH and line.strip() != head.strip():
            yield line.rstrip()
            line = INDENT if head == "trap " else " " * len(head)
        line += piece
    if len(line) + len(tail) > WIDTH:
        yield line.rstrip()
        line, tail = INDENT, tail.strip()
    yield line + tail


# ---- arrays of bits ---------------------------------------------------------------


def _folded(traps: Sequence[Trap], names: Names) -> list[Trap]:
    """Bits that are an array named like the registers they trap become one trap."""
    families: dict[str, list[Trap]] = {}
    for trap in traps:
        family = _family_of_bit(trap, names)
        if family:
            families.setdefault(family, []).append(trap)
    made: list[Trap] = []
    done: set[str] = set()
    for trap in traps:
        family = _family_of_bit(trap, names)
        listed = families.get(family, [])
        if not listed or len(listed) < _length(family, names):
            made.append(trap)
        elif family not in done:
            done.add(family)
            made.append(_joined(listed, names))
    return made


def _family_of_bit(trap: Trap, names: Names) -> str:
    """The array whose element a trap's only register and its bit are both named after."""
    name = trap.extents[0].first_name
    family = names.family_of.get(name)
    is_one = len(trap.extents) == 1 and trap.extents[0].first == trap.extents[0].last
    is_same = trap.part.startswith("fine ") and trap.part.endswith(f".{name}")
    return family.pattern.family if family is not None and is_one and is_same else ""


def _length(key: str, names: Names) -> int:
    family = names.catalogue.families[key]
    return family.last - family.first + 1


def _joined(traps: Sequence[Trap], names: Names) -> Trap:
    family = names.family_of[traps[0].extents[0].first_name]
    group = traps[0].part.partition(".")[0]
    array = f"{family.pattern.before}<{family.index}>{family.pattern.after}"
    extents: list[Extent] = [extent for trap in traps for extent in trap.extents]
    lines = [line for trap in traps for line in trap.lines]
    return Trap(f"{group}.{array}", True, extents, lines)


# ---- what is no rule --------------------------------------------------------------


def _elsewhere(model: Model) -> Iterator[str]:
    """Bits whose traps the kernel deals with outside the table."""
    if model.elsewhere:
        yield from _section("Not routed by this table")
        yield "# Traps of these bits are reported in another way, and handled elsewhere:"
        for text, line in model.elsewhere:
            yield f"#     fine {text}  # {line}"


def _untranslated(findings: Sequence[Finding]) -> Iterator[str]:
    if findings:
        yield from _section("Not translated")
        for finding in findings:
            yield f"# {finding.span.line}: {finding.message}"
