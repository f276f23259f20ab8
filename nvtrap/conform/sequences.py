"""Sequences of GIC operations: recorded ones to hold the model against, or a user's own.

A sequence is one JSON object: ``{"id", "ops": [...], "parameters"?: {...}}``; its machine
is that of `nvtrap.gic.Parameters` unless `parameters` says otherwise. It starts out of
reset, with the redistributors awake and HCR_EL2 = RW | IMO | FMO. An operation is

``{"op": "msr", "el", "reg", "val"}``, ``{"op": "mrs", "el", "reg"}``
    A system register, by PE 0. Registers outside the GIC hold what is written to them,
    unless the architecture's table says that HCR_EL2 traps the access.
``{"op": "w8"|"w32"|"w64", "addr", "val"}``, ``{"op": "r8"|"r32"|"r64", "addr"}``
    A memory access, by address.
``{"op": "isr"}``, ``{"op": "mi"}``
    ISR_EL1 at EL1, and whether the maintenance interrupt is pending.

and may say what comes of it: `expect`, `trap` (ESR_EL2), or `undef` (an EL) and `esr`.
`impl` and `swerr` mark what is not scored, `arch` is what the architecture requires where
the recorded implementation does something else.
"""

from __future__ import annotations

from functools import cache

from nvtrap.arch.esr import encode_sysreg
from nvtrap.conform.verdicts import PASSED, Score
from nvtrap.engine import FORWARD, State
from nvtrap.errors import NvtrapError, UsageError
from nvtrap.gic import PE, Machine, Parameters
from nvtrap.gic.access import Trapped, Undefined
from nvtrap.inputs import shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from nvtrap.engine import Table

HCR_AT_START = 0x8000_0018  # RW | IMO | FMO
WAKER = 0x14
ISPENDR0 = 0x1_0200
OWN_CHOICE = "the recorded implementation's own choice (impl)"
BROKEN_PROTOCOL = "after the guest broke the EOI protocol (swerr)"
SIZES = {"8": 1, "32": 4, "64": 8}
MOST_DIGITS = 18


class Result:
    """What came of an operation: a value, or an exception with its syndrome.

    `value` is None where there is none; `el` is the EL that takes an exception and `esr`
    its syndrome, `is_trap` tells a trap from UNDEFINED.
    """

    __slots__ = ("el", "esr", "is_trap", "value")

    def __init__(
        self, value: int | None = None, el: int = 0, esr: int = 0, is_trap: bool = False
    ) -> None:
        self.value = value
        self.el = el
        self.esr = esr
        self.is_trap = is_trap

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Result):
            return NotImplemented
        return self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple[int | None, int, int, bool]:
        return self.value, self.el, self.esr, self.is_trap

    def __repr__(self) -> str:
        if self.is_trap:
            return f"trap to EL{self.el}, ESR {self.esr:#x}"
        if self.el:
            return f"UNDEFINED at EL{self.el}"
        return "no result" if self.value is None else f"{self.value:#x}"


DONE = Result()


class Operation:
    """One operation, read and checked; `run` carries it out on a `Runner`."""

    __slots__ = ("address", "el", "expected", "op", "register", "size", "unscored", "value")

    def __init__(self, data: object) -> None:
        """Read the JSON form. Raises `UsageError` when it is not one of the forms above."""
        if not isinstance(data, dict):
            raise UsageError(f"an operation is an object, not `{shown(data)}`")
        self.op: str = data.get("op", "")
        self.el = self.size = self.address = self.value = 0
        self.register = data.get("reg", "")
        if self.op in ("msr", "mrs"):
            self._system(data)
        elif isinstance(self.op, str) and self.op[:1] in ("r", "w") and self.op[1:] in SIZES:
            self.size = SIZES[self.op[1:]]
            self.address = number(data, "addr")
            self.value = number(data, "val") if self.op[0] == "w" else 0
        elif self.op not in ("isr", "mi"):
            raise UsageError(f"`{shown(self.op)}` is no operation", f"they are {', '.join(KINDS)}")
        self.expected = _expected(data)
        self.unscored = _unscored(data)

    def _system(self, data: dict[str, Any]) -> None:
        el = data.get("el")
        if type(el) is not int or not 0 <= el <= 3:
            raise UsageError(f"`el` is `{shown(el)}`, it goes from 0 to 3")
        self.el = el
        if not isinstance(self.register, str):
            raise UsageError(f"`reg` is `{shown(self.register)}`, it is a register's name")
        self.value = number(data, "val") if self.op == "msr" else 0

    def __repr__(self) -> str:
        at = f" at EL{self.el}" if self.op in ("msr", "mrs") else ""
        written = f" = {self.value:#x}" if self.op == "msr" or self.op[0] == "w" else ""
        name = self.register if not self.size or self.register else f"{self.address:#x}"
        return f"{self.op} {name}{at}{written}".replace("  ", " ").strip()


KINDS = ("msr", "mrs", "isr", "mi", *(f"{way}{bits}" for way in "rw" for bits in SIZES))


def number(data: dict[str, Any], key: str) -> int:
    """The number at `key`, plain or as hexadecimal text.

    Raises `UsageError` when it is missing, no number, or does not fit 64 bits.
    """
    value = data.get(key)
    if type(value) is str and len(value) <= MOST_DIGITS:
        try:
            value = int(value, 16)
        except ValueError:
            pass
    if type(value) is not int or not 0 <= value < 1 << 64:
        raise UsageError(f"`{key}` is `{shown(value)}`, it is a number of at most 64 bits")
    return value


def _expected(data: dict[str, Any]) -> Result | None:
    """What the operation says comes of it; None when it says nothing."""
    if "trap" in data:
        return Result(el=2, esr=number(data, "trap"), is_trap=True)
    if "undef" in data:
        return Result(el=number(data, "undef"), esr=number(data, "esr"))
    if "arch" in data:
        return Result(number(data, "arch"))
    if "expect" in data:
        return Result(number(data, "expect"))
    return None


def _unscored(data: dict[str, Any]) -> str:
    if data.get("swerr"):
        return BROKEN_PROTOCOL
    return OWN_CHOICE if data.get("impl") else ""


class Runner:
    """A machine at the start of a sequence, and what carries operations out on it."""

    __slots__ = ("_others", "machine", "pe")

    def __init__(self, parameters: Parameters | None = None) -> None:
        self.machine = Machine(parameters or Parameters())
        self.pe: PE = self.machine.pes[0]
        self._others: dict[str, int] = {}
        for number in range(len(self.machine.pes)):
            self.machine.write(self.machine.redistributor_base(number) + WAKER, 4, 0)
        self.pe.msr("HCR_EL2", 2, HCR_AT_START)

    def run(self, operation: Operation) -> Result:
        """Carry out one operation.

        Raises `UsageError` for a register that there is none of.
        """
        op, machine = operation.op, self.machine
        if op in ("mrs", "msr"):
            return self._system(operation)
        if op == "isr":
            return Result(self.pe.mrs("ISR_EL1", 1))
        if op == "mi":
            intid = machine.parameters.maintenance_intid
            return Result(machine.read(machine.redistributor_base(0) + ISPENDR0, 4) >> intid & 1)
        if op[0] == "r":
            return Result(machine.read(operation.address, operation.size))
        machine.write(operation.address, operation.size, operation.value)
        return DONE

    def _system(self, operation: Operation) -> Result:
        if not PE.has(operation.register):
            return self._other(operation)
        try:
            if operation.op == "mrs":
                return Result(self.pe.mrs(operation.register, operation.el))
            self.pe.msr(operation.register, operation.el, operation.value)
        except Undefined as undefined:
            return Result(el=undefined.el, esr=undefined.esr)
        except Trapped as trapped:
            return Result(el=trapped.el, esr=trapped.esr, is_trap=True)
        return DONE

    def _other(self, operation: Operation) -> Result:
        """A register outside the GIC: the architecture's table says whether HCR_EL2 traps it."""
        table = _architecture()
        write = operation.op == "msr"
        encoding = table.encoding(operation.register)
        state = State({"HCR_EL2": self.pe.hcr_el2}, el=operation.el)
        if operation.el < 2 and table.bind(state).decide(encoding, write).outcome == FORWARD:
            return Result(el=2, esr=encode_sysreg(encoding, write), is_trap=True)
        if not write:
            return Result(self._others.get(operation.register, 0))
        self._others[operation.register] = operation.value
        return DONE


@cache
def _architecture() -> Table:
    """The architecture's table; only sequences with registers outside the GIC need it."""
    from nvtrap.store import load

    return load("arch")


def read_sequence(record: dict[str, Any]) -> tuple[list[Operation], Parameters]:
    """The operations and the parameters of a sequence's JSON form.

    Raises `UsageError`, naming the operation that is wrong by its number from 0 on.
    """
    data = record.get("ops")
    if not isinstance(data, list):
        raise UsageError("`ops` is a list of operations")
    chosen = record.get("parameters", {})
    if not isinstance(chosen, dict):
        raise UsageError("`parameters` maps parameters to their values")
    operations = []
    for index, item in enumerate(data):
        try:
            operations.append(Operation(item))
        except UsageError as error:
            raise UsageError(f"operation {index}: {error.message}", error.help) from None
    return operations, Parameters.from_dict(chosen)


def judge(record: dict[str, Any]) -> Score:
    """The score of a recorded sequence: every scored result must be as recorded."""
    operations, parameters = read_sequence(record)
    runner = Runner(parameters)
    apart: dict[str, tuple[int, int]] = {}
    problem, others = "", 0
    for index, operation in enumerate(operations):
        try:
            result = runner.run(operation)
        except NvtrapError as error:
            raise UsageError(f"operation {index}: {error.message}", error.help) from None
        wanted = operation.expected
        if wanted is None:  # a recorded write came to its end, if nothing else is said
            if operation.op != "msr":
                continue
            wanted = DONE
        agrees = result == wanted
        if operation.unscored:
            same, different = apart.get(operation.unscored, (0, 0))
            apart[operation.unscored] = same + agrees, different + (not agrees)
        elif not agrees and problem:
            others += 1
        elif not agrees:
            problem = f"operation {index}, {operation!r}: expected {wanted!r}, got {result!r}"
    if problem and others:
        problem += f" (and {others} more)"
    return Score(problem, apart=apart) if problem or apart else PASSED
