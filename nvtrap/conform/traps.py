"""Recorded traps: one JSON line each, with the state or in the context of the line before.

::

    {"id", "nv", "el", "state": {register: hex}, "res0": {register: hex},
     "fgu": {group: hex}, "esr": hex  or  "enc": [op0, op1, CRn, CRm, op2], "dir": "R" | "W"}

A line with `state` starts a new context, what it leaves out takes the defaults; a line
without keeps the whole context. A context that cannot be understood starts nothing.
"""

from __future__ import annotations

from json import JSONEncoder

from nvtrap.arch.encoding import encode
from nvtrap.arch.esr import decode_sysreg
from nvtrap.conform.lines import parse_object
from nvtrap.conform.verdicts import PASSED, failed
from nvtrap.engine import State
from nvtrap.errors import NvtrapError, UnknownNameError, UsageError
from nvtrap.inputs import shown
from nvtrap.states import features_in

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from nvtrap.conform.verdicts import Score
    from nvtrap.engine import Bound, Outcome, Table

CONTEXT_KEYS = ("el", "nv", "res0", "fgu", "features")
LEVELS = (0, 1, 2)
DIRECTIONS = {"R": False, "W": True, "read": False, "write": True}


class TrapReader:
    """Decides recorded traps by one table, keeping the context from line to line."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._known = {name for name, _, _ in table.names}
        self._keys = {group.fgu for group in table.groups}
        self._bound: Bound = table.bind(State())

    def decide(self, record: dict[str, Any]) -> Outcome:
        """The outcome of one record.

        Raises `UsageError` when the record is not of the form above.
        """
        if "state" in record:
            self._bound = self._table.bind(self._state(record))
        else:
            for key in CONTEXT_KEYS:
                if key in record:
                    raise UsageError(f"`{key}` stands on a line without `state`")
        encoding, write = self._access(record)
        return self._bound.decide(encoding, write)

    def _access(self, record: dict[str, Any]) -> tuple[int, bool]:
        esr = record.get("esr")
        if esr is not None:
            return decode_sysreg(_number(esr, "esr"))
        enc, direction = record.get("enc"), record.get("dir")
        if enc is None or direction is None:
            raise UsageError("a line needs `esr`, or `enc` and `dir`")
        if not isinstance(direction, str) or direction not in DIRECTIONS:
            raise UsageError(f"`dir` is `{shown(direction)}`, it is R or W")
        return self._encoding(enc), DIRECTIONS[direction]

    def _encoding(self, enc: object) -> int:
        if isinstance(enc, str):
            return self._table.encoding(enc)
        if not isinstance(enc, list) or len(enc) != 5 or any(type(n) is not int for n in enc):
            raise UsageError("`enc` is the five numbers [op0, op1, CRn, CRm, op2], or a name")
        return encode(*enc)

    def _state(self, record: dict[str, Any]) -> State:
        el, nv = record.get("el", 1), record.get("nv", True)
        if type(el) is not int or el not in LEVELS:
            raise UsageError(f"`el` is `{shown(el)}`, a trap comes from EL 0, 1 or 2")
        if type(nv) is not bool:
            raise UsageError(f"`nv` is `{shown(nv)}`, it is true or false")
        return State(
            self._registers(record["state"], "state"),
            el=el,
            nv=nv,
            res0=self._registers(record["res0"], "res0") if "res0" in record else None,
            fgu=self._groups(record["fgu"]) if "fgu" in record else None,
            features=features_in(record, self._table) if "features" in record else None,
        )

    def _registers(self, values: object, what: str) -> dict[str, int]:
        if type(values) is not dict:
            raise UsageError(f"`{what}` maps registers to values")
        if not values.keys() <= self._known:
            name = min(values.keys() - self._known)
            raise UnknownNameError("register", name, self._known)
        return {name: _number(value, name) for name, value in values.items()}

    def _groups(self, values: object) -> dict[str, int]:
        if type(values) is not dict:
            raise UsageError("`fgu` maps fine-grained groups to bits")
        for name in values:
            if name not in self._keys:
                raise UnknownNameError("fine-grained group", name, self._keys)
        return {name: _number(value, name) for name, value in values.items()}


def judge_by(table: Table) -> Callable[[dict[str, Any]], Score]:
    """What judges recorded traps of one kernel by `table`."""
    reader = TrapReader(table)

    def judge(record: dict[str, Any]) -> Score:
        outcome = reader.decide(record)
        if outcome.outcome == record["expect"]:
            return PASSED
        return failed(f"expected {shown(record['expect'])}, got {outcome!r}")

    return judge


def _number(value: object, what: str) -> int:
    try:
        if type(value) is str and len(value) <= 66:
            return int(value, 16 if value[:2] in ("0x", "0X") else 0)
    except ValueError:
        pass
    if type(value) is int:
        return value
    raise UsageError(f"`{shown(value)}` is no value for `{what}`", "write a number or hex text")


class Decider:
    """The `decide` command: lines of JSON in, lines of JSON out."""

    def __init__(self, table: Table) -> None:
        self._reader = TrapReader(table)
        self._endings: dict[tuple[int, bool, str, int], str] = {}
        self.bad = 0

    def answer(self, line: bytes) -> str:
        """The line that answers `line`; a bad line gets an `error` and is counted."""
        name = "null"
        try:
            record = parse_object(line)
            name = _plain(record.get("id"))
            return f'{{"id":{name},{self._ending(self._reader.decide(record))}'
        except NvtrapError as error:
            self.bad += 1
            return f'{{"id":{name},"error":{_json(error.message)}}}'

    def _ending(self, outcome: Outcome) -> str:
        """Everything but the id; the same for all traps that one part decides."""
        place = outcome.place
        part = 0 if outcome.part is None else id(outcome.part)
        key = outcome.number, outcome.write, outcome.step, part
        ending = self._endings.get(key)
        if ending is None:
            answer = {
                "outcome": outcome.outcome,
                "step": outcome.step,
                "control": outcome.control or None,
                "rule": str(place) if place else None,
            }
            ending = self._endings[key] = _json(answer)[1:]
        return ending


def _plain(name: object) -> str:
    """An id as JSON.

    Raises `UsageError` for one too deep to be written again.
    """
    try:
        return str(name) if type(name) is int else _json(name)
    except RecursionError:
        raise UsageError("`id` is nested too deeply") from None


_json = JSONEncoder(separators=(",", ":")).encode
