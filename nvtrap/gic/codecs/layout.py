"""What a register's layout is made of, so that the families read like the manual's tables."""

from __future__ import annotations

from nvtrap.gic.codecs.meaning import KINDS, number_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    # (value of the field, n of a register array or None) → what it means
    Says = Callable[[int, int | None], str]
    # (values of the fields, n) → the register in one sentence
    Sentence = Callable[[Mapping[str, int], int | None], str]
    Condition = tuple[str, tuple[int, ...]]

INDEX = "<n>"
DOUBLEWORD = 64


class Field:
    """A field: its name, bits [msb:lsb], and what its values mean.

    `meaning` is a tuple of names from 0 on, a dictionary, or a function. `when` is
    (name of another field, its values): the field is there only then. `each` says that
    the field is an array `Name<x>` of elements that wide. `default` is what `encode`
    takes where nothing is said: not 0 for RES1.
    """

    __slots__ = ("about", "default", "each", "lsb", "msb", "name", "says", "values", "when")

    def __init__(
        self,
        name: str,
        msb: int,
        lsb: int,
        meaning: tuple[str, ...] | dict[int, str] | Says = (),
        *,
        about: str = "",
        when: Condition | None = None,
        each: int = 0,
        default: int = 0,
    ) -> None:
        self.name = name
        self.msb = msb
        self.lsb = lsb
        self.says: Says | None = None
        self.values: dict[int, str] = {}
        if isinstance(meaning, tuple):
            self.values = {value: text for value, text in enumerate(meaning) if text}
        elif isinstance(meaning, dict):
            self.values = meaning
        else:
            self.says = meaning
        self.about = about
        self.when = when
        self.each = each
        self.default = default

    @property
    def width(self) -> int:
        """The number of bits."""
        return self.msb - self.lsb + 1

    @property
    def mask(self) -> int:
        """The field's bits in the register."""
        return ((1 << self.width) - 1) << self.lsb

    def of(self, value: int) -> int:
        """The field's value in a register's value."""
        return (value & self.mask) >> self.lsb

    def means(self, value: int, index: int | None) -> str:
        """What a value of the field means, or an empty text."""
        if self.says is not None:
            return self.says(value, index)
        return self.values.get(value, "reserved" if len(self.values) > 2 else "")

    def explain(self) -> str:
        """What the field says, for the layout alone: its names, its kind, or an example."""
        named = [
            f"{number_text(value)} {name}"
            for value, name in self.values.items()
            if name != "reserved"
        ]
        if self.about or named:
            return ", ".join([self.about, *named] if self.about else named)
        if self.each:
            return "a bit each" if self.each == 1 else f"{self.each} bits each"
        if self.says is None:
            return ""
        return KINDS.get(self.says) or f"1 means {self.means(1, None)}"

    def element(self, name: str) -> int | None:
        """The lowest bit of the element `name` of an array, or None."""
        stem = self.name.partition("<")[0]
        digits = name[len(stem) :]
        if not self.each or not name.startswith(stem) or not is_index(digits):
            return None
        low = self.lsb + int(digits) * self.each
        return low if low <= self.msb else None


def bit(
    name: str, position: int, clear: str = "", set_: str = "", when: Condition | None = None
) -> Field:
    """A field of one bit, with what 0 and 1 mean."""
    return Field(name, position, position, (clear, set_), when=when)


class Register:
    """A register or an array of them: `ICH_LR<n>_EL2` with n in `indexes`.

    `width` is in bits: 8, 32, 64, and 256 for the commands of the ITS. `sentence` says a
    whole value the way a person would.
    """

    __slots__ = ("about", "fields", "indexes", "name", "sentence", "width")

    def __init__(
        self,
        name: str,
        width: int,
        about: str,
        fields: Iterable[Field],
        *,
        indexes: range | None = None,
        sentence: Sentence | None = None,
    ) -> None:
        self.name = name
        self.width = width
        self.about = about
        self.fields = tuple(fields)
        self.indexes = indexes
        self.sentence = sentence

    def active(self, value: int) -> list[Field]:
        """The fields that a value has, which other fields may decide."""
        return [
            field
            for field in self.fields
            if field.when is None or self.selector(field.when[0]).of(value) in field.when[1]
        ]

    def selector(self, name: str) -> Field:
        """The field that is there in every value and decides about others."""
        return next(field for field in self.fields if field.name == name and field.when is None)

    def spelled(self, index: int | None) -> str:
        """The name with its index."""
        return self.name if index is None else self.name.replace(INDEX, str(index))

    def where(self, msb: int, lsb: int) -> str:
        """Bits as the manual writes them: `[44:32]`, `[41]`; `DW1[47:32]` in a command."""
        word = ""
        if self.width > DOUBLEWORD:
            word = f"DW{lsb // DOUBLEWORD}"
            msb, lsb = msb % DOUBLEWORD, lsb % DOUBLEWORD
        return f"{word}[{msb}]" if msb == lsb else f"{word}[{msb}:{lsb}]"

    def aarch32(self, name: str) -> Register:
        """The AArch32 view of a 64-bit register: its lower half, by another name."""
        fields = [field for field in self.fields if field.msb < 32]
        return Register(name, 32, self.about, fields, indexes=self.indexes, sentence=self.sentence)


def is_index(text: str) -> bool:
    """Whether the text is a small number as names write it: ASCII digits, no leading zero."""
    return text.isascii() and text.isdigit() and len(text) <= 4 and text == str(int(text))
