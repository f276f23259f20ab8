"""The events of KVM that show traps, in the words in which tracers print them.

The texts are those of Linux (arch/arm64/kvm/trace_arm.h and trace_handle_exit.h). Where a
tracer cannot print an event (trace-cmd and perf, `kvm_sys_access`: "[FAILED TO PARSE]") or
was asked not to (`trace-cmd report -R`), its fields stand there as `name=value`.

One more event is nvtrap's own. It carries values of L1's registers, written by whoever
knows them, through `trace_marker` or `trace_printk`::

    nvtrap_l1_state: HCR_EL2=0x80000002 HFGRTR_EL2=0x100 el=1

The values hold for the task that wrote them from there on; `pid=1234` names another task,
`pid=*`, or a comment (`# nvtrap_l1_state: …`), means all.
"""

from __future__ import annotations

import re
from functools import lru_cache

from nvtrap.arch.encoding import encode
from nvtrap.arch.esr import EC_SYSREG, decode_sysreg, exception_class
from nvtrap.arch.pstate import AARCH32, HYP, MODE, USR
from nvtrap.errors import UsageError
from nvtrap.states import LEVELS, number
from nvtrap.trace.tasks import EL2, FORWARDED, LOCAL

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from re import Match

    from nvtrap.trace.tasks import Context, Task

    Event = Callable[[Task, int, bytes], None]

L1_STATE = b"nvtrap_l1_state"
EVERYBODY = b"*"
MOST = (1 << 64) - 1

_HSR = re.compile(rb"\s*+HSR 0x([0-9a-f]{8,16})\s*$").match
_FORWARD = re.compile(rb"\s*+[0-9a-f]{1,16} ([RW] \([\d,]{9,30}\))\s*$").match
_ACCESS = re.compile(rb"\s*+PC: [0-9a-f]{1,16} \S+ (\([\d,]{9,30}\) (?:read|write))\s*$").match
_ERET = re.compile(
    rb"\s*+elr_el2: 0x[0-9a-f]{1,16} spsr_el2: 0x([0-9a-f]{8,16}) \(M: [^)]+\)"
    rb" hcr_el2: ([0-9a-f]{1,16})\s*$"
).match
_INJECT = re.compile(
    rb"\s*+(\w+): esr_el2 0x([0-9a-f]{1,16}) elr_el2: 0x[0-9a-f]{1,16}"
    rb" spsr_el2: 0x([0-9a-f]{8,16}) \(M: [^)]+\) hcr_el2: ([0-9a-f]{1,16})\s*$"
).match
_DIGITS = re.compile(rb"\d+")
_FIELD = re.compile(rb"\b(\w++)=\s*+(0x[0-9a-f]+|\d+)(?=\s|$)")
_SETTING = re.compile(rb"[\s,]*([\w*]+)=([\w*]+)(?=[\s,]|$)")
_SYNC = (b"SYNC", b"0")


def _handle_sys_reg(task: Task, line: int, text: bytes) -> None:
    task.handled(line, _trapped(text))


def _forward_sysreg_trap(task: Task, line: int, text: bytes) -> None:
    match = _FORWARD(text)
    access = _forwarded_fields(text) if match is None else _direction_first(match[1])
    task.showed(line, access, FORWARDED)


def _sys_access(task: Task, line: int, text: bytes) -> None:
    match = _ACCESS(text)
    access = _access_fields(text) if match is None else _direction_last(match[1])
    if access >> 15:  # op0 is 0 for a coprocessor register of an AArch32 guest
        task.showed(line, access, LOCAL)


def _nested_eret(task: Task, line: int, text: bytes) -> None:
    del line
    match = _ERET(text)
    spsr, hcr = _numbers(text, "spsr_el2", "hcr_el2") if match is None else _hex(match, 1, 2)
    task.returned(level(spsr), hcr)


def _inject_nested_exception(task: Task, line: int, text: bytes) -> None:
    match = _INJECT(text)
    if match is None:
        type_, esr, spsr, hcr = _numbers(text, "type", "esr_el2", "spsr_el2", "hcr_el2")
        sync = type_ == 0
    else:
        esr, spsr, hcr = _hex(match, 2, 3, 4)
        sync = match[1] in _SYNC
    task.injected(line, _syndrome(esr) if sync else -1, level(spsr), hcr)


def _entry(task: Task, line: int, text: bytes) -> None:
    del line, text
    task.close()


EVENTS: dict[bytes, Event] = {
    b"kvm_handle_sys_reg": _handle_sys_reg,
    b"kvm_forward_sysreg_trap": _forward_sysreg_trap,
    b"kvm_sys_access": _sys_access,
    b"kvm_nested_eret": _nested_eret,
    b"kvm_inject_nested_exception": _inject_nested_exception,
    b"kvm_entry": _entry,
}


def level(spsr: int) -> int:
    """The EL of a PSTATE; of an AArch32 one, EL0 for User mode, EL2 for Hyp, else EL1."""
    if not spsr & AARCH32:
        return min(spsr >> 2 & 3, EL2)
    return {USR: 0, HYP: EL2}.get(spsr & MODE, 1)


def l1_state(text: bytes) -> tuple[bytes | None, Context]:
    """The task and the values in the text of an `nvtrap_l1_state`.

    The task is None where the text names none. Raises `UsageError` for text that is none.
    """
    pid: bytes | None = None
    el = hcr = None
    registers: dict[str, int] = {}
    at, text = 0, text.strip()
    while at < len(text):
        match = _SETTING.match(text, at)
        if match is None:
            raise UsageError("a state is `REG=N`, `el=N` and `pid=N`, with spaces between")
        at, name, value = match.end(), match[1].decode(), match[2].decode()
        if name == "pid" and (match[2] == EVERYBODY or match[2].isdigit()):
            pid = match[2]
        elif name == "el":
            el = number(value, "`el`")
        elif name.upper() == "HCR_EL2":
            hcr = number(value, "`HCR_EL2`")
        else:
            registers[name] = number(value, f"`{name}`")
    if el is not None and el not in LEVELS:
        raise UsageError(f"`el` is {el}, a trap comes from EL 0, 1 or 2")
    return pid, (el, hcr, tuple(sorted(registers.items())))


# ---- accesses: encoding << 1 | write -----------------------------------------------


@lru_cache(1 << 12)
def _trapped(text: bytes) -> int:
    match = _HSR(text)
    esr = _numbers(text, "hsr")[0] if match is None else int(match[1], 16)
    encoding, write = decode_sysreg(esr)
    return encoding << 1 | write


@lru_cache(1 << 12)
def _syndrome(esr: int) -> int:
    if exception_class(esr) != EC_SYSREG:
        return -1
    encoding, write = decode_sysreg(esr)
    return encoding << 1 | write


@lru_cache(1 << 12)
def _direction_first(text: bytes) -> int:
    return _encoded(text) << 1 | text.startswith(b"W")


@lru_cache(1 << 12)
def _direction_last(text: bytes) -> int:
    return _encoded(text) << 1 | text.endswith(b"write")


def _encoded(text: bytes) -> int:
    operands = _DIGITS.findall(text)
    if len(operands) != 5:
        raise UsageError(f"an encoding has five numbers, this one {len(operands)}")
    op0, op1, crn, crm, op2 = map(int, operands)
    return encode(op0, op1, crn, crm, op2)


# ---- fields ------------------------------------------------------------------------


def _forwarded_fields(text: bytes) -> int:
    """The kernel packs op0[20:19] op1[18:16] CRn[15:12] CRm[11:8] op2[7:5]."""
    sysreg, is_read = _numbers(text, "sysreg", "is_read")
    if sysreg >> 21 or sysreg & 31:
        raise UsageError(f"`sysreg` is {sysreg:#x}, which is no register")
    return sysreg >> 5 << 1 | (not is_read)


def _access_fields(text: bytes) -> int:
    *operands, is_write = _numbers(text, "Op0", "Op1", "CRn", "CRm", "Op2", "is_write")
    op0, op1, crn, crm, op2 = operands
    return encode(op0, op1, crn, crm, op2) << 1 | bool(is_write)


def _numbers(text: bytes, *names: str) -> list[int]:
    """The values of fields in a text of `name=value`."""
    found = {name.decode(): value.decode() for name, value in _FIELD.findall(text)}
    if not found:
        raise UsageError("the event's text is not as the kernel prints it")
    missing = [name for name in names if name not in found]
    if missing:
        raise UsageError(f"the event lacks its field `{missing[0]}`")
    return [number(found[name], f"`{name}`") for name in names]


def _hex(match: Match[bytes], *groups: int) -> list[int]:
    return [int(match[group], 16) for group in groups]
