"""`expect` lines: the tests inside rule files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice

from nvtrap.engine import Outcome, State, Table
from nvtrap.engine.binding import HOST_EL0
from nvtrap.engine.table import Bound
from nvtrap.errors import UnknownNameError, UsageError, closest, did_you_mean
from nvtrap.lang import nodes
from nvtrap.lang.findings import Report
from nvtrap.states import StateBuilder
from nvtrap.table.model import Group, Part


class Decided:
    """One direction of an expectation: what becomes of it, and the `names` of what decides.

    The last name is the most exact one: of a combo its member, of a bit its field.
    """

    __slots__ = ("names", "outcome")

    def __init__(self, outcome: Outcome, names: Sequence[str]) -> None:
        self.outcome = outcome
        self.names = names


class Verdict:
    """Whether an expectation is met: `problem` and `help` are empty when it is.

    `decided` are the directions it asks for of `encoding`; there are none, and that is -1,
    when it makes no sense.
    """

    __slots__ = ("decided", "encoding", "expect", "help", "problem")

    def __init__(
        self,
        expect: nodes.Expect,
        encoding: int,
        decided: Sequence[Decided],
        problem: str,
        help: str = "",
    ) -> None:
        self.expect = expect
        self.encoding = encoding
        self.decided = decided
        self.problem = problem
        self.help = help


def check_expectations(expectations: Iterable[nodes.Expect], table: Table, report: Report) -> None:
    """Report every expectation that the table does not meet, or that makes no sense."""
    for expect in expectations:
        if report.is_full:
            return
        verdict = judge(expect, table)
        if verdict.problem:
            report.add("NV046", verdict.problem, expect.span, verdict.help)


def judge(expect: nodes.Expect, table: Table) -> Verdict:
    """Hold one expectation against a table."""
    try:
        bound = table.bind(state_of(expect, table))
        encoding = table.encoding(_register_text(expect.register))
    except UsageError as error:
        return Verdict(expect, -1, (), error.message, error.help)
    outcomes = [bound.decide(encoding, write) for write in _directions(expect)]
    decided = [Decided(outcome, names_of(outcome, table, bound)) for outcome in outcomes]
    problems = (_problem(expect, one) for one in decided)
    return Verdict(expect, encoding, decided, next(filter(None, problems), ""))


def _directions(expect: nodes.Expect) -> tuple[bool, ...]:
    return {"read": (False,), "write": (True,), "any": (False, True)}[expect.direction]


def _register_text(register: nodes.Name | nodes.Operands) -> str:
    if isinstance(register, nodes.Name):
        return register.text
    return ",".join(map(str, register.numbers))


def _problem(expect: nodes.Expect, decided: Decided) -> str:
    outcome = decided.outcome
    direction = "write" if outcome.write else "read"
    if outcome.outcome != expect.outcome:
        by = f" by `{outcome.control}` ({outcome.place})" if outcome.control else ""
        return f"expected {expect.outcome}, the {direction} is {outcome.outcome}{by}"
    if expect.by and expect.by not in decided.names:
        return f"expected `{expect.by}` to decide, it was {_decider(decided)}"
    return ""


def _decider(decided: Decided) -> str:
    outcome = decided.outcome
    told = f"`{outcome.control or outcome.step}`"
    if outcome.part is None or outcome.part.is_fine or len(decided.names) == 1:
        return told
    return f"`{decided.names[-1]}` of {told}"


def names_of(outcome: Outcome, table: Table, bound: Bound) -> tuple[str, ...]:
    """What an expectation may call the deciding part, the most exact name last.

    Its control, and of a combo the member that decides: as with the parts of an encoding,
    the first of those that act. Or its bit, by the field of either side.
    """
    part = outcome.part
    if part is None:
        return ()
    if part.is_fine:
        return bit_names(table, part)
    control = table.control(part.control)
    host_el0 = bound.context == HOST_EL0
    acting = (
        table.control(number).name
        for number in control.members
        if table.part_armed(part.of(number), outcome.write, bound.words, host_el0)
    )
    return (control.name, *islice(acting, 1))


def bit_names(table: Table, part: Part) -> tuple[str, ...]:
    """`fine HFG.PAR_EL1`: the bit of a fine part, as its read and its write side call it.

    There is one at least: `fine HFG[27]` for a bit whose field exists in some layouts only.
    """
    group = table.groups[part.group]
    fields = dict.fromkeys(filter(None, group.bits.get(str(part.bit), [])))
    names = tuple(f"fine {group.name}.{field}" for field in fields)
    return names or (f"fine {group.name}[{part.bit}]",)


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
