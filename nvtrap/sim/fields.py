"""Registers' fields by name, for what a scenario writes and expects.

The GIC's are those of `nvtrap.gic.codecs`, the others those of the rules' catalogue, with
some here that no trap hangs on. PSTATE is laid out as SPSR_ELx.
"""

from __future__ import annotations

from nvtrap.arch.pstate import MODE_NAMES
from nvtrap.errors import UnknownNameError, UsageError
from nvtrap.gic import codecs
from nvtrap.kvm.calls import psci
from nvtrap.table.conditions import spread

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from nvtrap.engine import Table

    # The value of a register, by its name.
    Look = Callable[[str], int]
    # [lowest bit, width] of each piece of a field, the high part first.
    Pieces = list[list[int]]

GENERAL = frozenset(f"X{n}" for n in range(31))
_FLAGS = {
    **dict(zip("NZCV", (31, 30, 29, 28), strict=True)),
    **dict(zip("DAIF", (9, 8, 7, 6), strict=True)),
    **dict(zip(("TCO", "DIT", "UAO", "PAN", "SS", "IL"), (25, 24, 23, 22, 21, 20), strict=True)),
    "SSBS": 12,
}
_PSTATE = {name: [[bit, 1]] for name, bit in _FLAGS.items()} | {"BTYPE": [[10, 2]], "M": [[0, 5]]}
_ESR = {"EC": [[26, 6]], "IL": [[25, 1]], "ISS": [[0, 25]], "WnR": [[6, 1]], "FSC": [[0, 6]]}
# DDI 0487, D24.2; what no trap hangs on is not in the catalogue.
_OWN: dict[str, dict[str, Pieces]] = {
    "PSTATE": _PSTATE,
    **{f"SPSR_EL{level}": _PSTATE for level in (1, 2)},
    **{f"ESR_EL{level}": _ESR for level in (1, 2)},
    "HPFAR_EL2": {"FIPA": [[4, 44]]},
    "VTTBR_EL2": {"VMID": [[48, 16]]},
    "VTCR_EL2": {"T0SZ": [[0, 6]], "SL0": [[6, 2]], "TG0": [[14, 2]], "PS": [[16, 3]]},
}
# What can be put into a general register by name: functions and answers of PSCI.
_CALLS = (
    *("PSCI_VERSION", "CPU_SUSPEND_64", "CPU_OFF", "CPU_ON_64", "AFFINITY_INFO_64"),
    *("SYSTEM_OFF", "SYSTEM_RESET", "PSCI_FEATURES", "SMCCC_VERSION", "SUCCESS"),
    *("NOT_SUPPORTED", "INVALID_PARAMETERS", "ALREADY_ON", "AFFINITY_ON", "AFFINITY_OFF"),
)
MASK_64 = (1 << 64) - 1
CONSTANTS: dict[str, int] = {name: getattr(psci, name) & MASK_64 for name in _CALLS}
MODES = {name: number for number, name in MODE_NAMES.items()}
# Words of a list register: the field they set, and with what; None for the number given.
_LIST_REGISTER: dict[str, tuple[tuple[str, int | None], ...]] = {
    "inactive": (("State", 0),),
    "pending": (("State", 1),),
    "active": (("State", 2),),
    "group0": (("Group", 0),),
    "group1": (("Group", 1),),
    "hw": (("HW", 1), ("pINTID", None)),
    "eoi": (("EOI", 1),),
    "nmi": (("NMI", 1),),
}


class Fields:
    """The fields of every register that `table`, the architecture's, knows."""

    __slots__ = ("_table",)

    def __init__(self, table: Table) -> None:
        self._table = table

    def register(self, name: str) -> str:
        """The register's name as it is spelled.

        Raises `UnknownNameError` for none, `UsageError` for an encoding that is none.
        """
        upper = name.upper()
        if upper in GENERAL or upper in ("PC", "PSTATE"):
            return upper
        return self._table.name_of(self._table.encoding(name))

    def pieces(self, register: str, field: str, look: Look) -> Pieces:
        """Where a field is, in the layout that `look` gives.

        Raises `UnknownNameError` for a field that there is not, `UsageError` for one that
        the layout has not.
        """
        base = register.replace("_EL12", "_EL1").replace("_EL02", "_EL0")
        if base in _OWN:
            found = _find(field, _OWN[base])
            if found is None:
                raise UnknownNameError("field", f"{register}.{field}", _OWN[base])
            return _OWN[base][found]
        if base.startswith(("ICH_", "ICC_")):
            return _of_codec(base, field)
        return self._table.fields.pieces(base, field, look)

    def bits(self, register: str, field: str, number: int, look: Look) -> tuple[int, int]:
        """(mask, bits) of a field with a number.

        Raises `UsageError` for a number that does not fit, and as `pieces` does.
        """
        return spread_to(f"{register}.{field}", number, self.pieces(register, field, look))

    def word(
        self, register: str, word: str, number: int | None, look: Look
    ) -> list[tuple[int, int]]:
        """The (mask, bits) that a word of a value stands for: a field, or more than one.

        Raises `UsageError` for a number that does not fit or is missing, `UnknownNameError`
        for a word that is none.
        """
        if register in GENERAL:
            return [(MASK_64, _constant(word, number))]
        if register.startswith("SPSR_") or register == "PSTATE":
            mode = _find(word, MODES)
            if mode is not None and number is None:
                return [(0x1F, MODES[mode])]
        if register.startswith("ICH_LR"):
            known = _find(word, _LIST_REGISTER)
            if known is not None:
                return [
                    self.bits(register, field, _needed(word, value, number), look)
                    for field, value in _LIST_REGISTER[known]
                ]
        pieces = self.pieces(register, word, look)
        if number is None and sum(width for _, width in pieces) > 1:
            raise UsageError(f"`{register}.{word}` has more than one bit", f"write `{word} N`")
        return [spread_to(f"{register}.{word}", 1 if number is None else number, pieces)]


def spread_to(name: str, number: int, pieces: Pieces) -> tuple[int, int]:
    """(mask, bits) that put a number into pieces; raises `UsageError` if it does not fit."""
    width = sum(piece[1] for piece in pieces)
    if number >> width:
        bits = "bit" if width == 1 else "bits"
        raise UsageError(f"`{number:#x}` does not fit the {width} {bits} of `{name}`")
    return spread(number, pieces)


def gather(value: int, pieces: Pieces) -> int:
    """The number in the pieces of a register's value."""
    number = 0
    for lsb, width in pieces:
        number = number << width | value >> lsb & (1 << width) - 1
    return number


def _of_codec(register: str, name: str) -> Pieces:
    fields = codecs.find(register)[0].fields
    for field in fields:
        if field.name.upper() == name.upper():
            return [[field.lsb, field.width]]
        low = field.element(name)
        if low is not None:
            return [[low, field.each]]
    known = [field.name for field in fields]
    if register.startswith("ICH_LR"):
        known += _LIST_REGISTER
    raise UnknownNameError("field", f"{register}.{name}", [f"{register}.{one}" for one in known])


def _constant(word: str, number: int | None) -> int:
    found = _find(word, CONSTANTS)
    if found is None or number is not None:
        raise UnknownNameError("constant", word, CONSTANTS)
    return CONSTANTS[found]


def _needed(word: str, value: int | None, number: int | None) -> int:
    """The number of a field that a word sets: its own, or the one that follows it."""
    if value is not None:
        return value
    if number is None:
        raise UsageError(f"`{word}` is followed by a number")
    return number


def _find(name: str, known: Iterable[str]) -> str | None:
    """The name as it is known, in any case."""
    return next((one for one in known if one.upper() == name.upper()), None)
