"""The shipped scenarios: all hold, each of their expectations could fail, and they read well."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest

from nvtrap.places import scenarios_root
from nvtrap.sim import Runner, Scenario, claims, names, parse, read
from nvtrap.sim.claims import Claim, Seen
from nvtrap.sim.fields import Fields
from nvtrap.sim.records import Checked, Stopped
from nvtrap.sim.values import Value

ASKED_FOR = {
    *("timer", "sgi", "underflow", "eoimode-tdir", "id-registers", "pmu-hpmn", "fgt-nxs"),
    *("illegal-eret", "psci", "mmio", "fp", "shadow-stage2"),
}
each = pytest.mark.parametrize("name", names())


class Off(Value):
    """Another value: one bit of it is flipped."""

    def __init__(self, value: Value) -> None:
        self.value = value

    def of(self, fields: Fields, register: str, look: Callable[[str], int]) -> int:
        return self.value.of(fields, register, look) ^ 1


def scenario(name: str) -> Scenario:
    """A shipped one."""
    return parse(*read(name))


def mutate(claim: Claim) -> Claim:
    """The same expectation of something else."""
    if isinstance(claim, claims.Gives | claims.Holds | claims.Stored):
        field = claim.value
        named = isinstance(claim, claims.Gives | claims.Holds) and claim.target
        if named and named.fields and hasattr(field, "words"):
            (word, _), *_ = field.words
            field.words = [("active" if word == "inactive" else "inactive", None)]
        else:
            claim.value = Off(claim.value)
    elif isinstance(claim, claims.How):
        claim.word = "skipped"
    elif isinstance(claim, claims.Trap):
        claim.level = "L1" if claim.level == "L0" else "L0"
    elif isinstance(claim, claims.NoExit):
        return like(claim, claims.Trap("L0"))
    elif isinstance(claim, claims.Decision):
        claim.outcome, claim.control = ("undef", "") if claim.outcome else ("", "HCR.TACR")
    elif isinstance(claim, claims.ExceptionClass):
        claim.number ^= 1
    elif isinstance(claim, claims.Interrupted):
        claim.what = "FIQ"
    elif isinstance(claim, claims.InterruptWord):
        claim.intid ^= 1
    elif isinstance(claim, claims.Runs):
        claim.level = "off"
    elif isinstance(claim, claims.Line):
        claim.level = not claim.level
    elif isinstance(claim, claims.InterruptIs):
        claim.word = "pending" if claim.word == "idle" else "idle"
    else:
        assert isinstance(claim, claims.Nothing)
        return like(claim, Disturbed())
    return claim


class Disturbed(claims.Nothing):
    """Nothing is to be left, but an interrupt comes first."""

    def differs(self, seen: Seen) -> str | None:
        seen.stage.machine.configure_interrupt(99, seen.vcpu)
        seen.stage.machine.raise_interrupt(99, True, seen.vcpu)
        return super().differs(seen)


def like(old: Claim, new: Claim) -> Claim:
    """Another claim in its place."""
    new.at, new.text = old.at, old.text
    return new


@each
def test_every_expectation_holds(name: str) -> None:
    """To the last step, and there are many."""
    runner = Runner(scenario(name))
    records = list(runner.run())
    assert [record.to_json() for record in records if isinstance(record, Stopped)] == []
    got = [(str(r.claim.at), r.got) for r in records if isinstance(r, Checked) and r.got]
    assert got == []
    assert runner.summary.holds
    assert runner.summary.checked >= 10


@each
def test_every_expectation_can_fail(name: str) -> None:
    """Made to expect something else, each of them does."""
    changed = scenario(name)
    for block in changed.blocks:
        for step in block.steps:
            step.claims = tuple(map(mutate, step.claims))
    runner = Runner(changed)
    checked = [record for record in runner.run() if isinstance(record, Checked)]
    held = [str(record.claim.at) for record in checked if record.got is None]
    assert held == []
    assert runner.summary.failed == len(checked)
    assert not runner.summary.holds


def swapped(name: str) -> Iterator[tuple[Scenario, int]]:
    """The scenario with the level of one block after the other changed, and its line."""
    for number, block in enumerate(scenario(name).blocks):
        if not any(step.act is not None and step.act.is_instruction for step in block.steps):
            continue
        changed = scenario(name)
        changed.blocks[number].who = "L2" if block.who == "L1" else "L1"
        yield changed, block.at.line


@each
def test_every_block_says_who_runs_and_is_believed_only_then(name: str) -> None:
    """With L1 for L2, or L2 for L1, the run stops at the block's first instruction."""
    for changed, line in swapped(name):
        runner = Runner(changed)
        stopped = [record for record in runner.run() if isinstance(record, Stopped)]
        assert len(stopped) == 1
        assert stopped[0].step.at.line >= line
        assert not runner.summary.holds


@each
def test_a_comment_on_top_says_what_it_shows_and_where_to_look(name: str) -> None:
    """It names the architecture or the kernel, and the title says it in a line."""
    _, text = read(name)
    comment, _, rest = text.partition("\nscenario ")
    assert all(line.startswith("#") or not line for line in comment.splitlines())
    assert len(comment.splitlines()) >= 5
    assert re.search(r"Architecture: |Linux: ", comment)
    assert scenario(name).title
    assert max(map(len, text.splitlines())) <= 100
    assert rest.count('"') >= 4


def test_those_that_were_asked_for_are_there() -> None:
    """Twelve, and some more."""
    assert set(names()) > ASKED_FOR
    assert scenarios_root().endswith("scenarios")
