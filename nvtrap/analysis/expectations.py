"""`expect` lines: the tests inside rule files."""

from __future__ import annotations

from collections.abc import Iterable

from nvtrap.engine import Outcome, State, Table
from nvtrap.errors import UsageError
from nvtrap.lang import nodes
from nvtrap.lang.findings import Report
from nvtrap.states import StateBuilder


def check_expectations(expectations: Iterable[nodes.Expect], table: Table, report: Report) -> None:
    """Report every expectation that the table does not meet, or that makes no sense."""
    for expect in expectations:
        if report.is_full:
            return
        try:
            state = state_of(expect, table)
            encoding = table.encoding(_register_text(expect.register))
        except UsageError as error:
            report.add("NV046", error.message, expect.span, error.help)
            continue
        for write in _directions(expect):
            outcome = table.decide_at(state, encoding, write)
            problem = _problem(expect, outcome, table)
            if problem:
                report.add("NV046", problem, expect.span)
                break


def _directions(expect: nodes.Expect) -> tuple[bool, ...]:
    return {"read": (False,), "write": (True,), "any": (False, True)}[expect.direction]


def _register_text(register: nodes.Name | nodes.Operands) -> str:
    if isinstance(register, nodes.Name):
        return register.text
    return ",".join(map(str, register.numbers))


def _problem(expect: nodes.Expect, outcome: Outcome, table: Table) -> str:
    direction = "write" if outcome.write else "read"
    if outcome.outcome != expect.outcome:
        by = f" by `{outcome.control}` ({outcome.place})" if outcome.control else ""
        return f"expected {expect.outcome}, the {direction} is {outcome.outcome}{by}"
    if expect.by and expect.by not in names_of(outcome, table):
        return f"expected `{expect.by}` to decide, it was `{outcome.control or outcome.step}`"
    return ""


def names_of(outcome: Outcome, table: Table) -> set[str]:
    """What an expectation may call the deciding part: its control, a member, a bit."""
    part = outcome.part
    if part is None:
        return set()
    if part.is_fine:
        group = table.groups[part.group]
        fields = {field for field in group.bits.get(str(part.bit), []) if field}
        return {f"fine {group.name}.{field}" for field in fields}
    control = table.control(part.control)
    members = {table.control(number).name for number in control.members}
    return {control.name, *members}


def state_of(expect: nodes.Expect, table: Table) -> State:
    """The state that the settings of an expectation describe.

    Raises `UsageError` for what does not exist or fit.
    """
    builder = StateBuilder(table)
    builder.el = expect.level
    values = []
    for setting in expect.settings:
        place = setting.place.text
        if setting.what == "fgu":
            key, mask, bits = _fgu_bits(setting, table)
            builder.set_fgu(key, builder.fgu.get(key, 0) & ~mask | bits)
        elif setting.what == "res0":
            builder.set_res0(place, setting.value)
        elif place == "nv" and setting.member is None:
            builder.nv = bool(setting.value)
        else:
            field = "" if setting.member is None else f".{setting.member.text}"
            values.append((place + field, setting.value))
    builder.set_all(values)
    return builder.state()


def _fgu_bits(setting: nodes.Assign, table: Table) -> tuple[str, int, int]:
    assert setting.member is not None
    for group in table.groups:
        if group.name == setting.place.text:
            for bit, names in group.bits.items():
                if setting.member.text in names:
                    mask = 1 << int(bit)
                    return group.fgu, mask, mask if setting.value else 0
            raise UsageError(f"group `{group.name}` has no bit `{setting.member.text}`")
    raise UsageError(f"unknown fine-grained group `{setting.place.text}`")
