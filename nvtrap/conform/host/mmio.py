"""Recorded stage-2 aborts.

::

    {"esr", "far", "hpfar", "pc", "pstate", "SCTLR_EL1", "HCR_EL2", "VBAR_EL1", "VBAR_EL2",
     "SCTLR_EL2", "config": {"nv", "nisv_to_user", "memslot", "ia_bits", "ipa_limit",
     "in_kernel_device", "host_claims_sea"}, "rt", "reg", "ret", "outcome", "after"}

What a CPU would have loaded (`reg_architectural`) and the `reason` are not scored.
"""

from __future__ import annotations

from nvtrap.conform.host.fields import Fields, compare
from nvtrap.errors import UsageError
from nvtrap.inputs import shown
from nvtrap.kvm.context import EL2_SYNC, Context, Features, Registers
from nvtrap.kvm.exits.aborts import Abort
from nvtrap.kvm.exits.exceptions import adjust_pc
from nvtrap.kvm.exits.mmio import (
    BEYOND_IPA_RANGE,
    BEYOND_PARANGE,
    HOST_ERROR,
    NO_CODE,
    NO_SLOT,
    NO_TABLES,
    RAM,
    READ_ONLY,
    AbortHandler,
    Access,
    Handled,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from nvtrap.conform.verdicts import Score

MOST_IPA_BITS = 64
CONTROLS = ("SCTLR_EL1", "HCR_EL2", "VBAR_EL1", "VBAR_EL2", "SCTLR_EL2")
SAVED = ("ESR_EL1", "FAR_EL1", "ESR_EL2", "FAR_EL2")
MOST_ERRNO = 4095
HEX_DIGITS = frozenset("0123456789abcdefABCDEF")
ABORTED = (BEYOND_PARANGE, BEYOND_IPA_RANGE, NO_CODE, NO_TABLES)
UNSCORED = ("reg_architectural", "reason")


def judge(record: dict[str, Any]) -> Score:
    """The score of one abort.

    Raises `UsageError` for a line that is not of the form above.
    """
    line = Fields(record)
    outcome = line.inner("outcome").values
    context = _context(line)
    handler = _handler(line.inner("config"), outcome)
    abort = Abort(context.esr, line.word("far"), line.word("hpfar"))
    handled = handler.handle(context, abort)
    target = "el2_sync" if context.pending == EL2_SYNC else "el1_sync"
    if handler.pending is not None:
        handler.complete(context, _answer(outcome, handler.pending))
    adjust_pc(context)
    expected = {
        "ret": line.number("ret", -MOST_ERRNO, 1),
        "outcome": {key: outcome[key] for key in outcome if key not in UNSCORED},
        "after": line.inner("after").values,
    }
    got = {
        "ret": handled.ret,
        "outcome": _outcome(context, handled, target, outcome),
        "after": {"pc": f"{context.pc:#x}", "pstate": f"{context.pstate:#x}"},
    }
    return compare(expected, got)


def _context(line: Fields) -> Context:
    context = Context(
        Features(nv=line.inner("config").flag("nv")),
        Registers({name: line.word(name) for name in CONTROLS}),
        pc=line.word("pc"),
        pstate=line.word("pstate"),
    )
    context.esr = line.word("esr")
    context.set_register(line.number("rt", 0, 31), line.word("reg"))
    return context


def _handler(config: Fields, outcome: dict[str, Any]) -> AbortHandler:
    slot = config.choice("memslot", (NO_SLOT, READ_ONLY, RAM))
    has_device = config.flag("in_kernel_device")
    claims_error = config.flag("host_claims_sea")
    return AbortHandler(
        lambda _: slot,
        lambda access, _: _answer(outcome, access) if has_device else None,
        ia_bits=config.number("ia_bits", 1, MOST_IPA_BITS),
        ipa_limit=config.number("ipa_limit", 1, MOST_IPA_BITS),
        no_syndrome_to_user=config.flag("nisv_to_user"),
        claims_error=lambda: claims_error,
    )


def _answer(outcome: dict[str, Any], access: Access) -> bytes:
    """What the device answers to a load: the bytes that the line has for it."""
    text = outcome.get("load_data")
    if access.is_write or text is None:
        return bytes(access.size)
    if type(text) is not str or len(text) != 2 * access.size or not HEX_DIGITS.issuperset(text):
        raise UsageError(f"`load_data` is `{shown(text)}`, it is {access.size} bytes in hex")
    return bytes.fromhex(text)


def _outcome(
    context: Context, handled: Handled, target: str, recorded: dict[str, Any]
) -> dict[str, Any]:
    if handled.outcome in ABORTED:
        saved = {name: f"{context.sysregs[name]:#x}" for name in SAVED}
        return {"type": "external_abort", "target": target, **saved}
    seen: dict[str, Any] = {"type": handled.outcome}
    if handled.outcome == HOST_ERROR:
        seen["vserror"] = handled.serror
    if handled.exit is None:
        return seen
    access = handled.exit.access
    if access is None:
        address = f"{handled.exit.address:#x}"
        return {**seen, "esr_iss": f"{handled.exit.iss:#x}", "fault_ipa": address}
    seen |= {"addr": f"{access.address:#x}", "len": access.size, "is_write": access.is_write}
    if access.is_write:
        seen["data"] = handled.exit.data.hex()
    else:
        seen["load_data"] = recorded.get("load_data")  # an input
        seen["reg_after"] = f"{context.register(access.register):#x}"
    return seen
