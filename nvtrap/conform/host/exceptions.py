"""Recorded injections, ERETs and trapped instructions.

::

    {"kind": "inject", "type": "sync" | "irq" | "undef" | "dabt" | "pabt", …}
    {"kind": "eret", "entry": the kernel's function, …}
    {"kind": "trap", "type": "smc" | "hvc" | "svc" | "fpasimd" | "sve" | "ptrauth", …}
    with "before": {registers, "features", "trap_esr", "pending"}, "after": {registers},
     "switched", "pstate_at_put", "pstate_at_load", "left_pending"

`after` is what the guest sees at its next entry. Everything is scored, except that no
word stands for a trap meant for the vEL2 of a vCPU without one.
"""

from __future__ import annotations

from nvtrap.conform.host.fields import Fields, compare
from nvtrap.errors import UnknownNameError
from nvtrap.kvm.context import (
    EL1_SYNC,
    EL2_IRQ,
    EL2_SYNC,
    INCREMENT_PC,
    NOTHING_PENDING,
    Context,
    Features,
    Registers,
)
from nvtrap.kvm.exits.eret import EMULATED, RESULTS, emulate_nested_eret, handle_eret
from nvtrap.kvm.exits.exceptions import (
    adjust_pc,
    inject_data_abort,
    inject_nested_irq,
    inject_nested_sync,
    inject_prefetch_abort,
    inject_undefined,
)
from nvtrap.kvm.exits.handlers import (
    NOTHING,
    UNDEF,
    UNREACHABLE,
    handle_fpasimd,
    handle_hvc,
    handle_ptrauth,
    handle_smc,
    handle_svc,
    handle_sve,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from nvtrap.conform.verdicts import Score

SAVED = ("ESR_EL1", "ELR_EL1", "SPSR_EL1", "FAR_EL1", "ESR_EL2", "ELR_EL2", "SPSR_EL2", "FAR_EL2")
CONTROLS = ("HCR_EL2", "SCTLR_EL1", "SCTLR_EL2", "VBAR_EL1", "VBAR_EL2", "TCR_EL2", "CPTR_EL2")
FEATURES = ("nv", "mte", "e2h0", "ptrauth", "pauth2", "fpaccombine")
PENDING = {"none": NOTHING_PENDING, "increment_pc": INCREMENT_PC, "el1_sync": EL1_SYNC}
PENDING_NAMES = {
    NOTHING_PENDING: None,
    INCREMENT_PC: "increment_pc",
    EL1_SYNC: "el1_sync",
    EL2_SYNC: "el2_sync",
    EL2_IRQ: "el2_irq",
}
INJECTIONS = ("sync", "irq", "undef", "dabt", "pabt")
ERETS = {"kvm_handle_eret": handle_eret, "kvm_emulate_nested_eret": emulate_nested_eret}
HANDLERS = {
    "smc": handle_smc,
    "hvc": handle_hvc,
    "svc": handle_svc,
    "fpasimd": handle_fpasimd,
    "sve": handle_sve,
    "ptrauth": handle_ptrauth,
}
_SIGN = 1 << 64


# ---- the kinds ---------------------------------------------------------------------


def judge_inject(record: dict[str, Any]) -> Score:
    """The score of an injection.

    Raises `UsageError` for a line that is not of the form above.
    """
    line = Fields(record)
    watched = Watched(line)
    returned = _inject(watched.context, line)
    to_el2 = watched.context.pending in (EL2_SYNC, EL2_IRQ) or bool(watched.switches)
    if returned is None:
        return watched.score({"taken_el2": to_el2})
    if record.get("ret") == returned - _SIGN:  # so the recording writes errors
        returned -= _SIGN
    return watched.score({"taken_el2": to_el2, "ret": returned})


def _inject(context: Context, line: Fields) -> int | None:
    kind = line.choice("type", INJECTIONS)
    if kind == "sync":
        return inject_nested_sync(context, line.word("esr"))
    if kind == "irq":
        return inject_nested_irq(context)
    if kind == "undef":
        inject_undefined(context)
    elif kind == "dabt":
        inject_data_abort(context, line.word("addr"))
    else:
        inject_prefetch_abort(context, line.word("addr"))
    return None


def judge_eret(record: dict[str, Any]) -> Score:
    """The score of an ERET.

    Raises `UsageError` for a line that is not of the form above.
    """
    line = Fields(record)
    handle = ERETS[line.choice("entry", tuple(ERETS))]
    watched = Watched(line)
    context = watched.context
    eret = handle(context)
    got: dict[str, Any] = {what: True if what == eret.what else None for what in RESULTS}
    got["auth"] = eret.authenticated
    if eret.what == EMULATED:
        got["illegal"] = context.pstate != context.sysregs["SPSR_EL2"]
        is_mangled = eret.authenticated is False and not context.features.pauth2
        got["int_shift_quirk"] = True if is_mangled else None
    return watched.score(got)


def judge_trap(record: dict[str, Any]) -> Score:
    """The score of a trapped instruction.

    Raises `UsageError` for a line that is not of the form above.
    """
    line = Fields(record)
    handle = HANDLERS[line.choice("type", tuple(HANDLERS))]
    watched = Watched(line)
    outcome = handle(watched.context)
    if outcome == NOTHING:
        return watched.score({"warned": None})
    if outcome == UNREACHABLE:
        return watched.score({"outcome": UNDEF, "warned": True})
    return watched.score({"outcome": outcome, "warned": None})


# ---- the vCPU of a line ------------------------------------------------------------


class Watched:
    """The vCPU of a line, with what is seen of it while its host acts.

    Raises `UsageError` when the line does not describe one.
    """

    def __init__(self, line: Fields) -> None:
        before = line.inner("before")
        self._line = line
        self.switches: dict[str, str] = {}
        self.context = context = Context(
            _features(before.inner("features")),
            Registers({name: before.word(name) for name in (*SAVED, *CONTROLS)}),
            pc=before.word("PC"),
            pstate=before.word("PSTATE"),
            put=self._put,
            load=self._load,
        )
        context.x[0] = before.word("X0")
        context.esr = before.word("trap_esr")
        context.pending = PENDING[before.choice("pending", tuple(PENDING))]
        context.pacga = self._pacga

    def _put(self, context: Context) -> None:
        self.switches["pstate_at_put"] = f"{context.pstate:#x}"

    def _load(self, context: Context) -> None:
        self.switches["pstate_at_load"] = f"{context.pstate:#x}"

    def _pacga(self, *_: int) -> int:
        return self._line.word("pacga")

    def score(self, got: dict[str, Any]) -> Score:
        """The score of the line, `got` being what is seen besides the vCPU.

        A member that is None there must not be in the line. The vCPU enters its guest.
        """
        after = self._line.inner("after")
        left = PENDING_NAMES.get(self.context.pending, "nothing that the kernel queues")
        got = {**got, "switched": bool(self.switches), "left_pending": left, **self.switches}
        got["after"] = self._entered()
        for name in got["after"]:
            after.word(name)
        for name in after.values:
            if name not in got["after"]:
                raise UnknownNameError("register", name, got["after"])
        return compare({key: self._line.values.get(key) for key in got}, got)

    def _entered(self) -> dict[str, str]:
        context = self.context
        adjust_pc(context)
        values = {"PC": context.pc, "PSTATE": context.pstate, "X0": context.x[0]}
        values.update((name, context.sysregs[name]) for name in SAVED)
        return {name: f"{value:#x}" for name, value in values.items()}


def _features(given: Fields) -> Features:
    for name in given.values:
        if name not in FEATURES:
            raise UnknownNameError("feature", name, FEATURES)
    return Features(**{name: given.flag(name) for name in FEATURES})
