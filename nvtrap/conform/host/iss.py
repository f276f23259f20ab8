"""Recorded decodings of syndromes: system registers, AArch32 coprocessors, conditions.

::

    {"esr", "cpsr", "pc", "regs": {number: value}, "ec", "iss", "params", "outcome", "table",
     "merge": {"old", "new"}, "read_value", "regs_after", "condition_holds",
     "skip": {"pc", "cpsr"}}

The general registers `regs` are those that the instruction names. What becomes of them
when a read gives `read_value`, and of a register when a write meets `merge.old`, is told
of an instruction that passes its condition, `condition_holds` or not; `skip` is the state
past it. `name` is a label and not scored.
"""

from __future__ import annotations

from nvtrap.arch.aarch32 import CoprocessorAccess, decode_coprocessor, is_executed
from nvtrap.arch.encoding import operands
from nvtrap.arch.esr import EC_CP14_LS, EC_SYSREG, decode_sysreg, exception_class
from nvtrap.conform.host.fields import Fields, compare
from nvtrap.errors import UsageError
from nvtrap.inputs import shown
from nvtrap.kvm.context import Context
from nvtrap.kvm.exits.coprocessor import (
    RAZ,
    UNDEF,
    Route,
    is_id_register,
    merged,
    part,
    route,
    write_back,
    written_value,
)
from nvtrap.kvm.exits.exceptions import skip_instruction

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from nvtrap.conform.verdicts import Score
    from nvtrap.kvm.exits.coprocessor_tables import Entry

ISS = (1 << 25) - 1
ALWAYS_TOLD = ("outcome", "condition_holds", "skip", "ec", "iss")
TOLD_WHERE_IT_APPLIES = ("params", "table", "merge", "read_value", "regs_after")
OPERANDS = ("Op0", "Op1", "CRn", "CRm", "Op2")
IGNORES_WRITES = "access_actlr"


def judge_iss(record: dict[str, Any]) -> Score:
    """The score of a decoding.

    Raises `UsageError` for a line that is not of the form above.
    """
    line = Fields(record)
    context = _context(line)
    ec = exception_class(context.esr)
    got = _sysreg(context) if ec == EC_SYSREG else _coprocessor(context, line)
    got.update(ec=ec, iss=f"{context.esr & ISS:#x}")
    got["condition_holds"] = is_executed(context.esr, context.pstate)
    skip_instruction(context)
    got["skip"] = {"pc": f"{context.pc:#x}", "cpsr": f"{context.pstate:#x}"}
    told = (key for key in TOLD_WHERE_IT_APPLIES if record.get(key) is not None)
    return compare({key: record.get(key) for key in (*ALWAYS_TOLD, *told)}, got)


def _context(line: Fields) -> Context:
    context = Context(pc=line.word("pc"), pstate=line.word("cpsr"))
    context.esr = line.word("esr")
    given = line.inner("regs")
    numbers = {str(number): number for number in range(len(context.x))}
    for name in given.values:
        if name not in numbers:
            raise UsageError(f"`regs.{shown(name)}` is no general register")
        context.x[numbers[name]] = given.word(name)
    return context


def _sysreg(context: Context) -> dict[str, Any]:
    encoding, write = decode_sysreg(context.esr)
    rt = context.esr >> 5 & 31
    params: dict[str, Any] = dict(zip(OPERANDS, operands(encoding), strict=True))
    params.update(is_write=write, Rt=rt)
    if write:
        params["regval"] = f"{context.register(rt):#x}"
    return {"outcome": "aarch64", "params": params}


def _coprocessor(context: Context, line: Fields) -> dict[str, Any]:
    found = route(context.esr)
    got: dict[str, Any] = {"outcome": found.where}
    if exception_class(context.esr) == EC_CP14_LS:
        return got
    access = decode_coprocessor(context.esr)
    got["params"] = _params(context, access, found)
    if found.entry is not None:
        got["table"] = _entry(found.entry, line)
        if line.has("merge"):
            got["merge"] = _merge(context, access, found.entry, line.inner("merge"))
    is_told = line.has("read_value") or line.has("regs_after")
    if is_told and found.where != UNDEF and not access.write:
        got.update(_read(context, access, found, line))
    return got


def _params(context: Context, access: CoprocessorAccess, found: Route) -> dict[str, Any]:
    numbers = (0, *access.operands) if found.encoding is None else operands(found.encoding)
    params: dict[str, Any] = dict(zip(OPERANDS, numbers, strict=True))
    params.update(is_write=access.write, Rt=access.rt)
    if access.rt2 is not None:
        params["Rt2"] = access.rt2
    if access.write:
        refused = is_id_register(exception_class(context.esr), access)
        params["regval"] = f"{0 if refused else written_value(context, access):#x}"
    return params


def _entry(entry: Entry, line: Fields) -> dict[str, Any]:
    """What a line says of an entry; it may leave out what its accessor does not need."""
    told = {"access": entry.accessor, "map": entry.half}
    more = {"reg": entry.register or None, "index": entry.index}
    return {**told, **{key: more.get(key) for key in line.inner("table").values if key in more}}


def _merge(
    context: Context, access: CoprocessorAccess, entry: Entry, merge: Fields
) -> dict[str, str]:
    old = new = merge.word("old")
    if access.write and entry.accessor != IGNORES_WRITES:
        new = merged(entry, old, written_value(context, access))
    return {"old": f"{old:#x}", "new": f"{new:#x}", "read_value": f"{part(entry, old):#x}"}


def _read(
    context: Context, access: CoprocessorAccess, found: Route, line: Fields
) -> dict[str, Any]:
    value = _read_value(found, line)
    write_back(context, access, 0 if found.where == RAZ else value)
    after = {str(number): f"{x:#x}" for number, x in enumerate(context.x)}
    return {"read_value": f"{value:#x}", "regs_after": after}


def _read_value(found: Route, line: Fields) -> int:
    """What the accessor gives: told by the line, or else what `merge.old` has."""
    if found.entry is not None and found.entry.accessor == IGNORES_WRITES and line.has("merge"):
        merge = line.inner("merge")
        if not (merge.has("read_value") and line.has("read_value")):
            return part(found.entry, merge.word("old"))
    return line.word("read_value")
