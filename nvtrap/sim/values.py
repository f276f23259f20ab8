"""Values and targets in a scenario: `0x1b`, `RW E2H VM`, `ELR_EL2 + 4`, `HCR_EL2.{IMO, FMO}`."""

from __future__ import annotations

from nvtrap.errors import InputError, UsageError
from nvtrap.gic import codecs
from nvtrap.kvm.context import HCR_E2H
from nvtrap.sim.fields import MASK_64, gather, spread_to

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from nvtrap.sim.fields import Fields, Look, Pieces
    from nvtrap.sim.source import Place


class Value:
    """One of them."""

    __slots__ = ()

    def of(self, fields: Fields, register: str, look: Look) -> int:
        """The number that it means for a register, others being read by `look`."""
        raise NotImplementedError


class Number(Value):
    """A number."""

    __slots__ = ("value",)

    def __init__(self, value: int) -> None:
        self.value = value

    def of(self, fields: Fields, register: str, look: Look) -> int:
        """The number, whatever the register."""
        del fields, register, look
        return self.value


class Words(Value):
    """A register's value by its fields, each with a number or 1; the others are zero.

    `places` are where the words stand.
    """

    __slots__ = ("places", "words")

    def __init__(self, words: Sequence[tuple[str, int | None]], places: Sequence[Place]) -> None:
        self.words = words
        self.places = places

    def of(self, fields: Fields, register: str, look: Look) -> int:
        """The value of a register with these fields.

        Raises `InputError` with the place of a word that the register has not.
        """
        value = 0
        for (word, number), at in zip(self.words, self.places, strict=True):
            try:
                for _, bits in fields.word(register, word, number, look):
                    value |= bits
            except UsageError as error:
                raise at.error(error.message, error.help) from None
        return value


class Sum(Value):
    """What a register holds and a number more."""

    __slots__ = ("number", "register")

    def __init__(self, register: str, number: int) -> None:
        self.register = register
        self.number = number

    def of(self, fields: Fields, register: str, look: Look) -> int:
        """The sum, of 64 bits.

        Raises `UsageError` for a register that there is not.
        """
        del register
        return look(fields.register(self.register)) + self.number & MASK_64


class Target:
    """A register, or some of its fields, the highest first."""

    __slots__ = ("fields", "name")

    def __init__(self, name: str, fields: Sequence[str] = ()) -> None:
        self.name = name
        self.fields = tuple(fields)

    def __str__(self) -> str:
        if not self.fields:
            return self.name
        one = self.fields[0] if len(self.fields) == 1 else "{" + ", ".join(self.fields) + "}"
        return f"{self.name}.{one}"

    def wanted(self, value: Value, fields: Fields, look: Look) -> int:
        """The number that a value means here, which fits.

        Raises `UsageError` otherwise.
        """
        register = fields.register(self.name)
        if not self.fields:
            return value.of(fields, register, look)
        if isinstance(value, Words):
            number = self._named(value, register)
        else:
            number = value.of(fields, register, look)
        spread_to(str(self), number, self._pieces(fields, look))
        return number

    def part(self, whole: int, fields: Fields, look: Look) -> int:
        """The fields' number in the register's value, or that value."""
        return gather(whole, self._pieces(fields, look)) if self.fields else whole

    def put(self, number: int, whole: int, fields: Fields, look: Look) -> int:
        """The register's value with the fields' number in it, or that number."""
        if not self.fields:
            return number
        mask, bits = spread_to(str(self), number, self._pieces(fields, look))
        return whole & ~mask | bits

    def _pieces(self, fields: Fields, look: Look) -> Pieces:
        register = fields.register(self.name)
        return [piece for name in self.fields for piece in fields.pieces(register, name, look)]

    def _named(self, value: Words, register: str) -> int:
        """The number of a field's value that has a name, such as `pending` for State."""
        (word, number), *rest = value.words
        if rest or number is not None or len(self.fields) > 1:
            raise UsageError(f"`{self}` takes a number, or one name of its values")
        if not register.startswith(("ICH_", "ICC_")):
            raise UsageError(f"the values of `{self}` have no names", "write a number")
        field = self.fields[0]
        whole = codecs.encode(register, {field: word})
        known = codecs.decode(register, whole).as_dict()
        return next(number for name, number in known.items() if name.upper() == field.upper())


def in_some_layout(check: Callable[[Look], object]) -> None:
    """Try a check with registers that are zero, and with HCR_EL2.E2H set.

    Raises the first error when it fails with both: then it cannot be right.
    """
    try:
        check(lambda _: 0)
    except (InputError, UsageError) as error:
        try:
            check(lambda name: HCR_E2H if name == "HCR_EL2" else 0)
        except (InputError, UsageError):
            raise error from None
