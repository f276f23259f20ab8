"""Scenario text → a scenario, with every name and number checked that can be."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from nvtrap.errors import UsageError
from nvtrap.sim import acts, claims
from nvtrap.sim.fields import Fields
from nvtrap.sim.grammar import tree
from nvtrap.sim.scenario import SETUP, Block, Scenario, Settings, Step
from nvtrap.sim.source import Place
from nvtrap.sim.values import Number, Sum, Target, Words
from nvtrap.states import number
from nvtrap.store import load

if TYPE_CHECKING:
    from collections.abc import Callable

    from nvtrap.sim.values import Value

    Made = TypeVar("Made")

MOST_STEPS = 10_000
USUAL_PRIORITY = 0xA0


def parse(file: str, text: str) -> Scenario:
    """The scenario in a text; `file` is what messages call it.

    Raises `InputError` for what is wrong in it, with its place.
    """
    return _Builder(file, text).scenario(tree(file, text))


def _word(item: Any) -> str:
    """A token's text without quotes."""
    return str(item).strip('"')


class _Builder:
    """Makes the parts of a scenario from lark's trees, each named by its rule."""

    def __init__(self, file: str, text: str) -> None:
        self._file = file
        self._text = text
        self._architecture = load("arch")
        self._fields = Fields(self._architecture)
        self._settings = Settings()
        self._steps = 0

    # ---- the whole -----------------------------------------------------------------------

    def scenario(self, start: Any) -> Scenario:
        title, machine, *blocks = start.children
        if machine is not None:
            for option in machine.children:
                self._located(option, partial(self._option, option))
        made = [self._block(block) for block in blocks]
        return Scenario(self._file, _word(title), self._settings, made)

    def _option(self, option: Any) -> None:
        settings = self._settings
        name, words = str(option.data), [_word(child) for child in option.children]
        if name == "kernel":
            major, minor = words[0].split(".")
            settings.kernel = int(major), int(minor)
        elif name == "one_on":
            settings.all_on = False
        elif name == "table":
            load(words[0])
            settings.table = words[0]
        elif name == "without":
            settings.features = [*(settings.features or ["all"]), f"-{words[0]}"]
            self._architecture.features.named(settings.features)
        elif name == "host_traps":
            for word in words:
                settings.host_traps |= self._fields.bits("ICH_HCR_EL2", word, 1, lambda _: 0)[1]
        else:
            setattr(settings, name, number(words[0], f"`{name}`"))

    def _block(self, block: Any) -> Block:
        who, on, title, *steps = block.children
        vcpu = 0
        if on is not None:
            vcpu = self._number(on.children[0])
            if vcpu >= self._settings.vcpus:
                raise self._at(on).error(
                    f"there is no vCPU `{vcpu}`", "`machine: vcpus N` says how many there are"
                )
        name = " ".join(_word(word) for word in who.children if word is not None)
        made = Block(self._at(who), name, vcpu, "" if title is None else _word(title), ())
        made.steps = tuple(self._step(step, made) for step in steps)
        return made

    def _step(self, step: Any, block: Block) -> Step:
        self._steps += 1
        if self._steps > MOST_STEPS:
            raise self._at(step).error(f"a scenario has at most {MOST_STEPS} steps")
        children = list(step.children)
        act, text = None, self._source(step)
        if step.data == "act":
            text = self._source(children[0])
            act = self._act(children.pop(0), block)
        made = [self._claim(child, act) for child in children]
        return Step(self._at(step), text, act, made)

    # ---- acts ------------------------------------------------------------------------------

    def _act(self, item: Any, block: Block) -> acts.Act:
        act = self._located(item, lambda: _ACTS[str(item.data)](self, item))
        if act.is_instruction != block.is_guest and not isinstance(act, acts.Boot):
            whose = "a guest's, it stands in a block such as `L1:`"
            help_ = whose if act.is_instruction else "a device's, it stands in `device:`"
            raise self._at(item).error(f"`{block.who}` cannot do this", f"the step is {help_}")
        if isinstance(act, acts.Boot):
            act.everywhere = block.who == SETUP
        self._located(item, lambda: act.check(self._fields))
        return act

    def _mrs(self, item: Any) -> acts.Act:
        return acts.Mrs(self._target(item.children[0]))

    def _msr(self, item: Any) -> acts.Act:
        target, value = item.children
        return acts.Msr(self._target(target), self._value(value))

    def _operation(self, item: Any) -> acts.Act:
        kind, name, *_, value = item.children  # between them stands a `=`
        made = Number(0) if value is None else self._value(value)
        return acts.Operation(f"{_word(kind).upper()}_{_word(name)}", made)

    def _mov(self, item: Any) -> acts.Act:
        register, value = item.children
        return acts.Mov(_word(register), self._value(value))

    def _load(self, item: Any) -> acts.Act:
        address, size = item.children
        return acts.Load(self._number(address), self._size(size))

    def _store(self, item: Any) -> acts.Act:
        address, size, value = item.children
        return acts.Store(self._number(address), self._size(size), self._value(value))

    def _plain(self, item: Any) -> acts.Act:
        name = _word(item.children[0])
        key = name.removeprefix("ereta")
        return acts.Plain("eret", key) if name != key else acts.Plain(name)

    def _call(self, item: Any) -> acts.Act:
        name, immediate = item.children
        value = 0 if immediate is None else self._number(immediate)
        if value >> 16:
            raise UsageError(f"`{value:#x}` does not fit the 16 bits of `{name}`")
        return acts.Plain(_word(name), value)

    def _raise(self, item: Any) -> acts.Act:
        return acts.Line(True, self._number(item.children[0]))

    def _lower(self, item: Any) -> acts.Act:
        return acts.Line(False, self._number(item.children[0]))

    def _timer(self, item: Any) -> acts.Act:
        return acts.Line(item.children[1] == "fires")

    def _enable(self, item: Any) -> acts.Act:
        *intids, priority = item.children
        wanted = USUAL_PRIORITY if priority is None else self._number(priority)
        return acts.Enable([self._number(intid) for intid in intids], wanted)

    def _boot(self, item: Any) -> acts.Act:
        return acts.Boot("with" in item.children)

    def _answer(self, item: Any) -> acts.Act:
        return acts.Answer(self._number(item.children[0]))

    # ---- claims ------------------------------------------------------------------------------

    def _claim(self, item: Any, act: acts.Act | None) -> claims.Claim:
        claim = self._located(item, lambda: _CLAIMS[str(item.data)](self, item))
        claim.at, claim.text = self._at(item), self._source(item)
        if isinstance(claim, claims.Gives):
            claim.target = None if act is None else act.reads()
        self._located(item, lambda: claim.check(self._fields))
        return claim

    def _gives(self, item: Any) -> claims.Claim:
        return claims.Gives(self._value(item.children[0]))

    def _how(self, item: Any) -> claims.Claim:
        word = " ".join(map(_word, item.children))
        return claims.Runs(word) if word == "waits" else claims.How(word)

    def _trap(self, item: Any) -> claims.Claim:
        return claims.Trap(_word(item.children[0]))

    def _no_exit(self, _: Any) -> claims.Claim:
        return claims.NoExit()

    def _by(self, item: Any) -> claims.Claim:
        return claims.Decision(control=".".join(map(_word, item.children)))

    def _decided(self, item: Any) -> claims.Claim:
        return claims.Decision(_word(item.children[0]))

    def _ec(self, item: Any) -> claims.Claim:
        return claims.ExceptionClass(self._number(item.children[0]))

    def _runs(self, item: Any) -> claims.Claim:
        level = item.children[0]
        return claims.Runs(" ".join(_word(word) for word in level.children if word is not None))

    def _taken(self, item: Any) -> claims.Claim:
        what, how = item.children
        return claims.Interrupted(_word(what), how == "injected")

    def _interrupt_word(self, item: Any) -> claims.Claim:
        word, intid = item.children
        return claims.InterruptWord(_word(word), self._number(intid))

    def _holds(self, item: Any, *, hardware: bool = False) -> claims.Claim:
        target, value = item.children
        return claims.Holds(self._target(target), self._value(value), hardware)

    def _hardware(self, item: Any) -> claims.Claim:
        return self._holds(item, hardware=True)

    def _stored(self, item: Any) -> claims.Claim:
        address, size, value = item.children
        return claims.Stored(self._number(address), self._size(size), self._value(value))

    def _line(self, item: Any) -> claims.Claim:
        _, intid, level = item.children
        return claims.Line(self._number(intid), level == "high")

    def _interrupt(self, item: Any) -> claims.Claim:
        _, intid, word = item.children
        return claims.InterruptIs(self._number(intid), _word(word))

    def _nothing(self, _: Any) -> claims.Claim:
        return claims.Nothing()

    def _state(self, item: Any) -> claims.Claim:
        return claims.Runs(_word(item.children[0]))

    # ---- values --------------------------------------------------------------------------------

    def _target(self, item: Any) -> Target:
        name, *fields = item.children
        return Target(_word(name), [_word(field) for field in fields if field is not None])

    def _value(self, item: Any) -> Value:
        if item.data == "number":
            return Number(self._number(item.children[0]))
        if item.data == "sum":
            register, amount = item.children
            return Sum(_word(register), self._number(amount))
        words = [word.children for word in item.children]
        return Words(
            [(_word(name), None if n is None else self._number(n)) for name, n in words],
            [Place(self._file, name.line, name.column) for name, _ in words],
        )

    def _size(self, item: Any) -> int:
        return 8 if item is None else self._number(item.children[0])

    def _number(self, token: Any) -> int:
        try:
            return number(str(token), "a value")
        except UsageError as error:
            raise Place(self._file, token.line, token.column).error(error.message) from None

    # ---- places --------------------------------------------------------------------------------

    def _at(self, item: Any) -> Place:
        meta = item.meta
        return Place(self._file, meta.line, meta.column)

    def _source(self, item: Any) -> str:
        """What stands there, on one line and without comments."""
        lines = self._text[item.meta.start_pos : item.meta.end_pos].split("\n")
        return " ".join(" ".join(line.partition("#")[0] for line in lines).split())

    def _located(self, item: Any, make: Callable[[], Made]) -> Made:
        """Do it; what is wrong is told with the place of the item."""
        try:
            return make()
        except UsageError as error:
            raise self._at(item).error(error.message, error.help) from None


_ACTS: dict[str, Callable[[_Builder, Any], acts.Act]] = {
    "mrs": _Builder._mrs,
    "msr": _Builder._msr,
    "operation": _Builder._operation,
    "mov": _Builder._mov,
    "load": _Builder._load,
    "store": _Builder._store,
    "plain": _Builder._plain,
    "call": _Builder._call,
    "raise_": _Builder._raise,
    "lower": _Builder._lower,
    "timer": _Builder._timer,
    "enable": _Builder._enable,
    "boot": _Builder._boot,
    "answer": _Builder._answer,
}
_CLAIMS: dict[str, Callable[[_Builder, Any], claims.Claim]] = {
    name: getattr(_Builder, f"_{name}")
    for name in (
        *("gives", "how", "trap", "no_exit", "by", "decided", "ec", "runs", "taken"),
        *("interrupt_word", "holds", "hardware", "stored", "line", "interrupt", "nothing", "state"),
    )
}
