"""`expect` lines: the tests inside rule files."""

from __future__ import annotations

from collections.abc import Iterable

from nvtrap.engine import Outcome, State, Table
from nvtrap.engine.binding import HOST_EL0
from nvtrap.errors import UnknownNameError, UsageError, closest, did_you_mean
from nvtrap.lang import nodes
from nvtrap.lang.findings import Report
from nvtrap.states import StateBuilder
from nvtrap.table.model import Group


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
            problem = _problem(expect, outcome, table, state)
            if problem:
                report.add("NV046", problem, expect.span)
                break


def _directions(expect: nodes.Expect) -> tuple[bool, ...]:
    return {"read": (False,), "write": (True,), "any": (False, True)}[expect.direction]


def _register_text(register: nodes.Name | nodes.Operands) -> str:
    if isinstance(register, nodes.Name):
        return register.text
    return ",".join(map(str, register.numbers))


def _problem(expect: nodes.Expect, outcome: Outcome, table: Table, state: State) -> str:
    direction = "write" if outcome.write else "read"
    if outcome.outcome != expect.outcome:
        by = f" by `{outcome.control}` ({outcome.place})" if outcome.control else ""
        return f"expected {expect.outcome}, the {direction} is {outcome.outcome}{by}"
    if expect.by and expect.by not in names_of(outcome, table, state):
        return f"expected `{expect.by}` to decide, it was `{outcome.control or outcome.step}`"
    return ""


def names_of(outcome: Outcome, table: Table, state: State) -> set[str]:
    """What an expectation may call the deciding part: its control, a member that acts, a bit."""
    part = outcome.part
    if part is None:
        return set()
    if part.is_fine:
        group = table.groups[part.group]
        fields = {field for field in group.bits.get(str(part.bit), []) if field}
        return {f"fine {group.name}.{field}" for field in fields}
    control = table.control(part.control)
    bound = table.bind(state)
    host_el0 = bound.context == HOST_EL0
    members = {
        table.control(number).name
        for number in control.members
        if table.part_armed(part.of(number), outcome.write, bound.words, host_el0)
    }
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
            builder.nv = _flag(setting)
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
                    return _key(group), mask, mask if _flag(setting) else 0
            known = [name for names in group.bits.values() for name in names if name]
            text = f"group `{group.name}` has no bit `{setting.member.text}`"
            raise UsageError(text, did_you_mean(closest(setting.member.text, known)))
    known = [group.name for group in table.groups]
    raise UnknownNameError("fine-grained group", setting.place.text, known)


def _key(group: Group) -> str:
    if not group.fgu:
        text = f"group `{group.name}` has no key, so none of its bits can be disabled"
        raise UsageError(text, "give it one: `fgu` and a text in quotes")
    return group.fgu


def _flag(setting: nodes.Assign) -> bool:
    if setting.value > 1:
        raise UsageError(f"`{setting.span.text}` is neither 0 nor 1")
    return bool(setting.value)
