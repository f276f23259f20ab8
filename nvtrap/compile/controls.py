"""Controls, conditions, combos and fine-grained groups, checked and numbered."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice

from nvtrap.compile.catalogue import Catalogue, Variant, twice
from nvtrap.compile.expressions import UNRESOLVED, Resolved, Resolver, Slots, joined_text
from nvtrap.lang import nodes
from nvtrap.lang.findings import Report
from nvtrap.lang.source import Span
from nvtrap.table import ANY, READ, WRITE

DIRECTIONS = {"read": READ, "write": WRITE, "any": ANY}
MOST_MEMBERS = 64
# How far a combo inside a combo is followed to tell a cycle.
MOST_STEPS = 100


@dataclass(slots=True)
class Control:
    """A control that a rule can name; a combo has members and no condition."""

    name: str
    kind: str
    directions: int
    host_el0: bool
    resolved: Resolved
    text: str
    members: tuple[int, ...]
    span: Span
    used: bool = False


@dataclass(slots=True)
class Group:
    """A fine-grained group: the register of each side and the fields of its bits."""

    name: str
    fgu: str
    registers: tuple[str, str]
    span: Span
    number: int

    @property
    def sides(self) -> tuple[str, ...]:
        """Its registers, each once."""
        return tuple(dict.fromkeys(register for register in self.registers if register))


@dataclass(slots=True)
class Controls:
    """What rules can name: controls in order of definition, and groups."""

    controls: list[Control] = field(default_factory=list)
    numbers: dict[str, int] = field(default_factory=dict)
    groups: dict[str, Group] = field(default_factory=dict)

    def find(self, path: nodes.Path, report: Report) -> int | None:
        """The number of the control `path`; an unknown one is reported."""
        number = self.numbers.get(path.text)
        if number is None:
            help = report.suggest(path.text, self.numbers) or (
                f"say what it is: `control {path.text} traps any when …`"
            )
            report.add("NV012", f"unknown control `{path.text}`", path.span, help)
        return number

    def use(self, number: int) -> None:
        """Note that a rule names the control (and so its members)."""
        control = self.controls[number]
        control.used = True
        for member in control.members:
            self.controls[member].used = True

    def group(self, name: nodes.Name, report: Report) -> Group | None:
        """The group `name`; an unknown one is reported."""
        group = self.groups.get(name.text)
        if group is None:
            few = ", ".join(f"`{known}`" for known in islice(self.groups, 8))
            help = report.suggest(name.text, self.groups) or (f"groups are {few}" if few else "")
            report.add("NV013", f"unknown fine-grained group `{name.text}`", name.span, help)
        return group


def build(
    statements: Iterable[nodes.Statement],
    catalogue: Catalogue,
    resolver: Resolver,
    slots: Slots,
    report: Report,
) -> Controls:
    """All controls and groups that the statements define."""
    statements = list(statements)
    made = Controls()
    for statement in statements:
        if isinstance(statement, nodes.Control):
            _add_control(made, statement, resolver, report)
        elif isinstance(statement, nodes.Group):
            _add_group(made, statement, catalogue, slots, report)
    combos = [statement for statement in statements if isinstance(statement, nodes.Combo)]
    names = {combo.path.text: combo for combo in combos}
    for combo in combos:
        _add_combo(made, combo, names, report)
    return made


def _enter(made: Controls, control: Control, path: nodes.Path, report: Report) -> None:
    earlier = made.numbers.get(control.name)
    if earlier is not None:
        twice(report, "control", path, made.controls[earlier].span)
        return
    made.numbers[control.name] = len(made.controls)
    made.controls.append(control)


def _add_control(
    made: Controls, written: nodes.Control, resolver: Resolver, report: Report
) -> None:
    resolved = resolver.resolve(written.when)
    if not written.is_condition and resolved is not UNRESOLVED:
        _check_one_register(written, report)
    control = Control(
        written.path.text,
        "condition" if written.is_condition else "control",
        DIRECTIONS[written.direction],
        written.host_el0,
        resolved,
        joined_text(written.when),
        (),
        written.path.span,
    )
    _enter(made, control, written.path, report)


def _check_one_register(written: nodes.Control, report: Report) -> None:
    when = written.when
    if (
        isinstance(when, nodes.Comparison)
        and when.op == "=="
        and isinstance(when.left, nodes.Fields | nodes.Bits)
        and isinstance(when.right, nodes.Number)
    ):
        return
    report.add(
        "NV044",
        "a control is one register's field or fields being equal to a number",
        when.span,
        f"write `condition {written.path.text} …` for anything else",
    )


def _add_combo(
    made: Controls, combo: nodes.Combo, names: dict[str, nodes.Combo], report: Report
) -> None:
    members = []
    if len(combo.members) > MOST_MEMBERS:
        text = f"a combo has at most {MOST_MEMBERS} members"
        report.add("NV006", text, combo.path.span)
    for member in combo.members[:MOST_MEMBERS]:
        if member.text in names:
            _report_nested(combo, member, names, report)
            continue
        number = made.find(member, report)
        if number in members:
            report.add("NV032", f"`{member.text}` is a member twice", member.span)
        elif number is not None:
            members.append(number)
    directions = 0
    for number in members:
        directions |= made.controls[number].directions
    host_el0 = any(made.controls[number].host_el0 for number in members)
    text = " | ".join(member.text for member in combo.members)
    control = Control(
        combo.path.text,
        "combo",
        directions,
        host_el0,
        UNRESOLVED,
        text,
        tuple(members),
        combo.path.span,
    )
    _enter(made, control, combo.path, report)


def _report_nested(
    combo: nodes.Combo, member: nodes.Path, names: dict[str, nodes.Combo], report: Report
) -> None:
    if _reaches(member.text, combo.path.text, names):
        report.add("NV034", f"combo `{combo.path.text}` contains itself", member.span)
        return
    inner = " | ".join(path.text for path in names[member.text].members[:MOST_MEMBERS])
    report.add(
        "NV033",
        f"combo `{combo.path.text}` contains the combo `{member.text}`",
        member.span,
        f"name its members instead: {inner}",
    )


def _reaches(start: str, goal: str, names: dict[str, nodes.Combo]) -> bool:
    seen: set[str] = set()
    todo = [start]
    while todo and len(seen) < MOST_STEPS:
        name = todo.pop()
        if name == goal:
            return True
        if name in names and name not in seen:
            seen.add(name)
            todo += [member.text for member in names[name].members[:MOST_MEMBERS]]
    return False


def _add_group(
    made: Controls, written: nodes.Group, catalogue: Catalogue, slots: Slots, report: Report
) -> None:
    registers = {"read": "", "write": ""}
    for side in written.sides:
        if not catalogue.has_register(side.register, report):
            return
        for direction in ("read", "write"):
            if side.direction not in (direction, "any"):
                continue
            if registers[direction]:
                report.add(
                    "NV040",
                    f"group `{written.name.text}` has two registers for `{direction}`",
                    side.span,
                )
            registers[direction] = side.register.text
    missing = [direction for direction, register in registers.items() if not register]
    if missing:
        report.add(
            "NV047",
            f"group `{written.name.text}` has no register for `{missing[0]}`",
            written.name.span,
            f"write `any REGISTER`, or add `{missing[0]} REGISTER`",
        )
        return
    pair = registers["read"], registers["write"]
    for register in pair:
        slots.number(register)
    group = Group(written.name.text, written.fgu, pair, written.name.span, len(made.groups))
    earlier = made.groups.setdefault(group.name, group)
    if earlier is not group:
        twice(report, "fine-grained group", written.name, earlier.span)


def bit_of(variant: Variant) -> int | None:
    """The bit of a one-bit field; None for a wider one."""
    (lsb, width), *rest = variant.pieces
    return lsb if width == 1 and not rest else None
