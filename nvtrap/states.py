"""States as people and files write them: registers and fields by name, JSON and TOML."""

from __future__ import annotations

from nvtrap.engine import State
from nvtrap.errors import InputError, UnknownNameError, UsageError
from nvtrap.inputs import BOM, is_names, parse_json, reason, shown, standard_input
from nvtrap.table.conditions import spread

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from nvtrap.engine import Table

MOST_BYTES = 1 << 20
LEVELS = (0, 1, 2)
KEYS = ("state", "el", "nv", "res0", "fgu", "features")


def number(text: str, what: str) -> int:
    """A number as users write it: decimal, 0x…, 0b…, with `_` between digits.

    Raises `UsageError` when it is none or does not fit 64 bits.
    """
    try:
        value = int(text, 0) if len(text) <= 80 else -1
    except ValueError:
        raise UsageError(f"`{text}` is no number for {what}", "write 1, 0x10 or 0b1010") from None
    if not 0 <= value < 1 << 64:
        raise UsageError(f"`{text[:80]}` does not fit the 64 bits of {what}")
    return value


class StateBuilder:
    """Puts a state together for one table, whose catalogue knows the names.

    Every method raises `UsageError` for a name nobody knows or a value that does not fit.
    """

    def __init__(self, table: Table) -> None:
        self._table = table
        self.registers: dict[str, int] = {}
        self.res0: dict[str, int] = {}
        self.fgu: dict[str, int] = {}
        self.el = 1
        self.nv = True
        self.features: frozenset[str] | None = None

    def state(self) -> State:
        """The state."""
        return State(
            self.registers,
            el=self.el,
            nv=self.nv,
            res0=self.res0,
            fgu=self.fgu,
            features=self.features,
        )

    def register(self, name: str) -> str:
        """`name` as the catalogue spells it."""
        spelled = self._table.names.spelled(name)
        if spelled is None:
            self._table.names.find(name)
        return spelled or name

    def set_all(self, settings: Iterable[tuple[str, int]]) -> None:
        """Set registers (`HCR_EL2`) and fields (`HCR_EL2.TID1`).

        Registers come first and fields that move with a layout last, whatever their
        order, so that a field is set in the layout that the settings ask for.
        """
        settings = list(settings)
        for place, value in settings:
            if "." not in place:
                self.registers[self.register(place)] = value
        moving = []
        for place, value in settings:
            register, dot, field = place.partition(".")
            if dot and self._table.fields.moves(self.register(register), field):
                moving.append((register, field, value))
            elif dot:
                self.set_field(register, field, value)
        for register, field, value in moving:
            self.set_field(register, field, value)

    def set_field(self, register: str, field: str, value: int) -> None:
        """Set one field in the current layout."""
        register = self.register(register)
        pieces = self._table.fields.pieces(
            register, field, lambda name: self.registers.get(name, 0)
        )
        width = sum(piece[1] for piece in pieces)
        if value >> width:
            raise UsageError(
                f"`{value:#x}` does not fit the {width} bit{'s' * (width > 1)} of"
                f" `{register}.{field}`"
            )
        mask, bits = spread(value, pieces)
        self.registers[register] = self.registers.get(register, 0) & ~mask | bits

    def set_res0(self, register: str, value: int) -> None:
        """Say which bits of a register the vCPU lacks."""
        self.res0[self.register(register)] = value

    def set_fgu(self, key: str, value: int) -> None:
        """Say which bits of a fine-grained group belong to disabled features."""
        keys = [group.fgu for group in self._table.groups if group.fgu]
        if key not in keys:
            raise UnknownNameError("fine-grained group", key, keys)
        self.fgu[key] = value

    # ---- records and files -------------------------------------------------

    def read_record(self, record: Mapping[str, Any]) -> None:
        """Take a state in the form of a trap vector, or registers alone.

        A register's value is a number, a text such as `"0x10"`, or a mapping of fields.
        """
        if "state" in record or not any(self._is_register(name) for name in record):
            unknown = [name for name in record if name not in KEYS]
            if unknown:
                raise UnknownNameError("key", unknown[0], KEYS)
            registers = _mapping(record.get("state", {}), "state")
        else:
            registers = {name: value for name, value in record.items() if name not in KEYS}
        self.set_all(_settings(registers))
        for name, value in _mapping(record.get("res0", {}), "res0").items():
            self.set_res0(name, _value(value, f"res0 of `{name}`"))
        for name, value in _mapping(record.get("fgu", {}), "fgu").items():
            self.set_fgu(name, _value(value, f"fgu of `{name}`"))
        self._read_context(record)

    def _is_register(self, name: str) -> bool:
        """Whether a key means a register, be it a misspelt one, and not a key of `KEYS`."""
        return name[:1].isupper() or self._table.names.spelled(name) is not None

    def _read_context(self, record: Mapping[str, Any]) -> None:
        el, nv = record.get("el", self.el), record.get("nv", self.nv)
        if type(el) is not int or el not in LEVELS:
            raise UsageError(f"`el` is `{shown(el)}`, a trap comes from EL 0, 1 or 2")
        if not isinstance(nv, bool):
            raise UsageError(f"`nv` is `{shown(nv)}`, it is true or false")
        self.el, self.nv = el, nv
        self.features = features_in(record, self._table) if "features" in record else self.features

    def read_file(self, path: str) -> None:
        """Take the state in a JSON or TOML file; `-` is standard input.

        Raises `InputError` when the file cannot be read or is neither.
        """
        name = "standard input" if path == "-" else path
        raw = _read(path, name)
        try:
            self.read_record(_parse(raw))
        except UsageError as error:
            raise InputError(f"`{name}`: {error.message}", error.help) from None


def _settings(registers: Mapping[str, Any]) -> list[tuple[str, int]]:
    settings = []
    for name, value in registers.items():
        if isinstance(value, dict):
            settings += [(f"{name}.{f}", _value(v, f"`{name}.{f}`")) for f, v in value.items()]
        else:
            settings.append((name, _value(value, f"`{name}`")))
    return settings


def _mapping(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise UsageError(f"`{what}` maps names to values, it is `{shown(value)}`")
    return value


def _value(value: Any, what: str) -> int:
    """A register's value: a number, or a text as people write numbers."""
    if isinstance(value, str):
        return number(value, what)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 64:
        return value
    raise UsageError(f"`{shown(value)}` is no value for {what}", "a value has 64 bits")


def _read(path: str, name: str) -> bytes:
    try:
        if path == "-":
            raw = standard_input().read(MOST_BYTES + 1)
        else:
            with open(path, "rb") as file:
                raw = file.read(MOST_BYTES + 1)
    except OSError as error:
        problem = (error.strerror or str(error)).lower()
        raise InputError(f"`{name}` cannot be read: {problem}") from None
    if len(raw) > MOST_BYTES:
        raise InputError(f"`{name}` is larger than a state file can be")
    return raw


def _parse(raw: bytes) -> dict[str, Any]:
    """The mapping in a text: JSON if it begins with a brace, TOML otherwise."""
    if raw.removeprefix(BOM).lstrip().startswith(b"{"):
        parsed: dict[str, Any] = parse_json(raw)
        return parsed
    from tomllib import loads

    try:
        return loads(raw.removeprefix(BOM).decode())
    except (ValueError, RecursionError) as error:
        raise UsageError(f"this is neither JSON nor TOML: {reason(error)}") from None


def features_in(record: Mapping[str, Any], table: Table) -> frozenset[str] | None:
    """The features that a record lists (features, profiles, `-` before one); None for all.

    Raises `UsageError` when `features` is no list of names, or names one nobody knows.
    """
    words = record.get("features")
    if words is None:
        return None
    if not is_names(words):
        raise UsageError("`features` is a list of names")
    return table.features.named(words)


def features_of(text: str | None, table: Table) -> frozenset[str] | None:
    """The features that an argument names; None for all.

    A list such as `armv8.4,FEAT_NV2,-FEAT_FGT`, or values of ID registers,
    `ID_AA64MMFR0_EL1=0x…,…`; registers not given are 0.
    """
    if text is None:
        return None
    words = [word.strip() for word in text.split(",") if word.strip()]
    values = [word.partition("=") for word in words]
    if not any(equals for _, equals, _ in values):
        return table.features.named(words)
    builder = StateBuilder(table)
    for name, equals, value in values:
        if not equals:
            raise UsageError(f"`{name}` stands among values of ID registers")
        builder.set_all([(name, number(value, f"`{name}`"))])
    return table.features.of_id_registers(builder.registers)
