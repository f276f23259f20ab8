"""A value as its fields, and fields as a value."""

from __future__ import annotations

from nvtrap.errors import UnknownNameError, UsageError
from nvtrap.gic.codecs.catalogue import find
from nvtrap.gic.codecs.layout import Field, Register
from nvtrap.gic.codecs.meaning import number_text, runs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


class FieldValue:
    """A field of a decoded value: name, bits [msb:lsb], number, and what it means."""

    __slots__ = ("lsb", "meaning", "msb", "name", "value")

    def __init__(self, name: str, msb: int, lsb: int, value: int, meaning: str) -> None:
        self.name = name
        self.msb = msb
        self.lsb = lsb
        self.value = value
        self.meaning = meaning

    def __repr__(self) -> str:
        return f"FieldValue({self.name}={self.value:#x})"


class Decoded:
    """A register's value as its fields, in the manual's order.

    `res0` has the bits that are set and belong to no field, `sentence` says the value in
    one line.
    """

    __slots__ = ("fields", "index", "register", "res0", "value")

    def __init__(self, register: Register, index: int | None, value: int) -> None:
        active = register.active(value)
        self.register = register
        self.index = index
        self.value = value
        self.fields = tuple(
            FieldValue(field.name, field.msb, field.lsb, part, field.means(part, index))
            for field in active
            for part in (field.of(value),)
        )
        self.res0 = value
        for field in active:
            self.res0 &= ~field.mask

    @property
    def name(self) -> str:
        """The register's name with its index."""
        return self.register.spelled(self.index)

    @property
    def sentence(self) -> str:
        """The value in one line."""
        if self.register.sentence is not None:
            return self.register.sentence(self.as_dict(), self.index)
        return ", ".join(self._parts()) or "all fields are 0"

    def _parts(self) -> Iterator[str]:
        """The fields worth a word: a flag by its name, an array by its members."""
        alone = len(self.fields) == 1
        for layout, field in zip(self.register.active(self.value), self.fields, strict=True):
            if layout.each:
                yield field.meaning
            elif field.value and layout.width == 1:
                yield field.name
            elif field.value or alone:
                yield f"{field.name} {field.meaning or number_text(field.value)}"

    def __getitem__(self, name: str) -> int:
        """The number in a field.

        Raises `UnknownNameError` where this value has no such field.
        """
        for field in self.fields:
            if field.name == name:
                return field.value
        raise UnknownNameError("field", name, [field.name for field in self.fields])

    def as_dict(self) -> dict[str, int]:
        """Field → number, as `encode` takes them."""
        return {field.name: field.value for field in self.fields}

    def res0_runs(self) -> list[tuple[int, int]]:
        """(msb, lsb) of each run of bits in `res0`, from the top."""
        return runs(self.res0)[::-1]

    def to_json(self) -> dict[str, object]:
        """Plain data: the value and `res0` as hexadecimal texts, the fields' as numbers."""
        return {
            "register": self.name,
            "value": f"{self.value:#x}",
            "sentence": self.sentence,
            "fields": [
                {
                    "field": field.name,
                    "bits": self.register.where(field.msb, field.lsb),
                    "value": field.value,
                    "meaning": field.meaning,
                }
                for field in self.fields
            ],
            "res0": f"{self.res0:#x}",
        }

    def __repr__(self) -> str:
        return f"Decoded({self.name}={self.value:#x}: {self.sentence})"


def decode(name: str, value: int) -> Decoded:
    """The fields of a value; a command of the ITS is one value of 256 bits, DW0 lowest.

    Raises `UnknownNameError` for a register that is none, `UsageError` for a value that
    does not fit its width.
    """
    register, index = find(name)
    if not 0 <= value < 1 << register.width:
        raise UsageError(
            f"`{_short(value)}` does not fit the {register.width} bits of {register.spelled(index)}"
        )
    return Decoded(register, index, value)


def encode(name: str, fields: Mapping[str, int | str]) -> int:
    """The value with these fields, the others 0 (RES1: 1).

    A field takes a number, or a name of its values (`"State": "pending"`, in any case); an
    element of an array is a field too (`Set_enable_bit5`).

    Raises `UnknownNameError` for a register, a field or a value's name that is none, and
    `UsageError` for a number that does not fit, or a field that the others rule out.
    """
    register, index = find(name)
    spelled = register.spelled(index)
    value = _default(register, fields)
    for given, wanted in fields.items():
        field, lsb, width = _place(register, spelled, given, value)
        part = _number(field, wanted) if isinstance(wanted, str) else wanted
        if not 0 <= part < 1 << width:
            bits = "bit" if width == 1 else "bits"
            raise UsageError(f"`{_short(part)}` does not fit the {width} {bits} of `{given}`")
        value = value & ~(((1 << width) - 1) << lsb) | part << lsb
    return value


def _default(register: Register, fields: Mapping[str, int | str]) -> int:
    """The value of the fields that decide about others, and of RES1."""
    value = 0
    for field in register.fields:
        value |= field.default << field.lsb
    for name in {field.when[0] for field in register.fields if field.when}:
        selector = register.selector(name)
        wanted = _given(fields, name)
        part = _number(selector, wanted) if isinstance(wanted, str) else wanted
        value |= part << selector.lsb & selector.mask
    return value


def _given(fields: Mapping[str, int | str], name: str) -> int | str:
    return next((value for key, value in fields.items() if key.upper() == name.upper()), 0)


def _place(register: Register, spelled: str, name: str, value: int) -> tuple[Field, int, int]:
    """(field, lsb, width) of a field or of an element of one, in any case.

    Raises `UnknownNameError` for a name that is none, `UsageError` for a field that
    `value` does not have.
    """
    active = register.active(value)
    for field in active:
        if field.name.upper() == name.upper():
            return field, field.lsb, field.width
        low = field.element(name)
        if low is not None:
            return field, low, field.each
    others = [field for field in register.fields if field.name.upper() == name.upper()]
    if others and others[0].when is not None:
        rule = condition(register, others[0])
        raise UsageError(f"`{name}` is not in this value of {spelled}", f"it is there when {rule}")
    raise UnknownNameError("field", name, [field.name for field in register.fields])


def condition(register: Register, field: Field) -> str:
    """When a field is there, in words: `HW is 1`; empty for always."""
    if field.when is None:
        return ""
    name, values = field.when
    selector = register.selector(name)
    named = [
        selector.values.get(value, str(value)) if selector.width > 2 else str(value)
        for value in values
    ]
    return f"{name} is {' or '.join(named)}"


def _number(field: Field, text: str) -> int:
    """The number of a value's name.

    Raises `UnknownNameError` for a name that is none.
    """
    wanted = _plain(text)
    for value, name in field.values.items():
        if _plain(name) == wanted:
            return value
    raise UnknownNameError(f"value of {field.name}", text, field.values.values())


def _plain(name: str) -> str:
    return name.strip().lower().replace("-", " ").replace("_", " ")


def _short(value: int) -> str:
    text = f"{value:#x}"
    return text if len(text) <= 80 else f"{text[:77]}..."
