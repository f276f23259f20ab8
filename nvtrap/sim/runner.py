"""Runs a scenario on a machine, and tells what happens."""

from __future__ import annotations

from nvtrap.errors import InputError, NvtrapError, UsageError
from nvtrap.sim.claims import Seen
from nvtrap.sim.records import Change, Checked, Done, Happened, Section, Stopped, Summary
from nvtrap.sim.stage import Stage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from nvtrap.kvm.nested.events import Event
    from nvtrap.sim.records import Record
    from nvtrap.sim.scenario import Block, Scenario, Step
    from nvtrap.sim.source import Place

    # (vCPU, name) → value.
    Picture = dict[tuple[int, str], int]


class Runner:
    """One run of a scenario. `stage` is its machine, `summary` how it comes out."""

    __slots__ = ("_events", "scenario", "stage", "summary")

    def __init__(self, scenario: Scenario) -> None:
        """Raises `InputError` for a machine that cannot be."""
        self.scenario = scenario
        try:
            self.stage = Stage(scenario.settings)
        except UsageError as error:
            raise InputError(f"{scenario.file}: {error.message}", error.help) from None
        self.summary = Summary(scenario)
        self._events: list[Event] = []
        self.stage.machine.set_watch(self._events.append)

    def run(self) -> Iterator[Record]:
        """Do every step, until one finds that it is not its turn; a summary ends it.

        Raises `InputError`, with its place, for a step that cannot be done.
        """
        for block in self.scenario.blocks:
            yield Section(block)
            for step in block.steps:
                stopped = self._not_its_turn(block, step)
                if stopped is not None:
                    self.summary.stopped = True
                    yield stopped
                    yield self.summary
                    return
                yield from self._step(block, step)
        yield self.summary

    def _not_its_turn(self, block: Block, step: Step) -> Stopped | None:
        """Whether an instruction is due, and something else runs."""
        if step.act is None or not step.act.is_instruction:
            return None
        got = self.stage.runs(self.stage.machine.vcpus[block.vcpu])
        return None if got == block.who else Stopped(step, block.who, got)

    def _step(self, block: Block, step: Step) -> Iterator[Record]:
        stage = self.stage
        vcpu = stage.machine.vcpus[block.vcpu]
        self.summary.steps += 1
        seen = Seen(stage, vcpu)
        if step.act is not None:
            before = self._picture()
            self._events.clear()
            try:
                result = step.act.run(stage, vcpu)
            except (NvtrapError, OSError) as error:
                raise self._located(step.at, error) from None
            seen = Seen(stage, vcpu, result, list(self._events))
            value = None if result is None else result.value
            yield Done(step, vcpu.index, block.who, seen.ending, value)
            yield from map(Happened, seen.events)
            yield from self._changes(before)
        elif step.claims:
            yield Done(step, vcpu.index, block.who, "", None)
        yield from self._checks(step, seen)

    def _checks(self, step: Step, seen: Seen) -> Iterator[Record]:
        for claim in step.claims:
            try:
                got = claim.differs(seen)
            except NvtrapError as error:
                raise self._located(claim.at, error) from None
            self.summary.checked += 1
            self.summary.failed += got is not None
            yield Checked(claim, got)

    def _located(self, at: Place, error: NvtrapError | OSError) -> NvtrapError:
        if isinstance(error, InputError):
            return error  # it has its place
        if isinstance(error, OSError):
            return at.error(f"the host refuses this: {(error.strerror or str(error)).lower()}")
        return at.error(error.message, error.help)

    # ---- what changes ------------------------------------------------------------------------

    def _picture(self) -> Picture:
        found: Picture = {}
        for vcpu in self.stage.machine.vcpus:
            intid = self.stage.machine.maintenance_intid
            found.update(((vcpu.index, name), lr) for name, lr in self.stage.list_registers(vcpu))
            found[vcpu.index, f"maintenance interrupt {intid}"] = self.stage.line(vcpu, intid)
        return found

    def _changes(self, before: Picture) -> Iterator[Change]:
        for key, new in self._picture().items():
            if before[key] != new:
                yield Change(*key, before[key], new)
