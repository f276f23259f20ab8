"""From a name to its layout: which module has which family, and which n an array goes to."""

from __future__ import annotations

from nvtrap.errors import UnknownNameError, UsageError
from nvtrap.gic.codecs.layout import INDEX, Register, is_index

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

# What a name begins with → the module with its family.
_FAMILIES = {
    "ICH": "ich",
    "ICC": "icc",
    "ICV": "icc",
    "GICD": "gicd",
    "GICR": "gicr",
    "LPI": "gicr",
    "GITS": "gits",
    "ITS": "commands",
}


def _family(module: str) -> tuple[Register, ...]:
    from importlib import import_module

    found: tuple[Register, ...] = import_module(f"nvtrap.gic.codecs.{module}").REGISTERS
    return found


def registers() -> Iterator[Register]:
    """Every register, family by family."""
    for module in dict.fromkeys(_FAMILIES.values()):
        yield from _family(module)


def find(name: str) -> tuple[Register, int | None]:
    """The register of a name in any case, and its n.

    n is None where the name has none: `ICH_LR_EL2`, `ICH_LR<n>_EL2` and `ICH_LRn_EL2`
    all mean the array.

    Raises `UnknownNameError` for a name that is none, `UsageError` for an n beyond the
    array.
    """
    wanted = name.strip().upper()
    module = _FAMILIES.get(wanted.partition("_")[0])
    for register in _family(module) if module else ():
        if register.indexes is None:
            if wanted == register.name.upper():
                return register, None
            continue
        index = _index(wanted, register.name.upper())
        if index in ("", "N", INDEX.upper()):
            return register, None
        if index is not None and is_index(index):
            return register, _checked(register, int(index))
    raise UnknownNameError("register", name, [register.name for register in registers()])


def _index(wanted: str, pattern: str) -> str | None:
    """What stands in the place of `<n>`, or None where the rest differs."""
    prefix, _, suffix = pattern.partition(INDEX.upper())
    fits = wanted.startswith(prefix) and wanted.endswith(suffix)
    if not fits or len(wanted) < len(prefix) + len(suffix):
        return None
    return wanted[len(prefix) : len(wanted) - len(suffix)]


def _checked(register: Register, index: int) -> int:
    indexes = register.indexes
    if indexes is None or index in indexes:
        return index
    raise UsageError(
        f"there is no `{register.spelled(index)}`",
        f"the n of {register.name} goes from {indexes[0]} to {indexes[-1]}",
    )
