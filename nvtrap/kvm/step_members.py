"""The members of a recorded step: read with care, they come from files.

Numbers stand in texts, hexadecimal with `0x`, or are JSON integers; every function raises
`UsageError` for a member that does not fit.
"""

from __future__ import annotations

from nvtrap.errors import UnknownNameError, UsageError
from nvtrap.inputs import shown
from nvtrap.kvm.vgic.device import U32, U64, Group

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Step = dict[str, Any]

GROUPS: dict[str, int] = {name: value for name, value in vars(Group).items() if name.isupper()}


def word(step: Step, key: str) -> int:
    """A member that is a number below 2^64, as `0x…` or a JSON integer; `UsageError` else."""
    value: object = step.get(key)
    found = -1
    if isinstance(value, str) and value[:2] in ("0x", "0X") and len(value) <= 18:
        try:
            found = int(value, 16)
        except ValueError:
            found = -1
    elif isinstance(value, int) and not isinstance(value, bool):
        found = value
    if not 0 <= found <= U64:
        raise UsageError(f"`{key}` is `{shown(value)}`, it is a number of 64 bits in hex")
    return found


def number(step: Step, key: str) -> int:
    """A member that is a JSON integer; raises `UsageError` else."""
    value: object = step.get(key)
    if not isinstance(value, int) or isinstance(value, bool):
        raise UsageError(f"`{key}` is `{shown(value)}`, it is a number")
    return value


def text(step: Step, key: str) -> str:
    """A member that is a text; raises `UsageError` else."""
    value = step.get(key)
    if type(value) is not str:
        raise UsageError(f"`{key}` is `{shown(value)}`, it is a text")
    return value


def members(step: Step, key: str, most: int) -> list[Any]:
    """A member that is a list of at most `most`, empty where it is missing."""
    value = step.get(key, [])
    if type(value) is not list or len(value) > most:
        raise UsageError(f"`{key}` is `{shown(value)}`, it is a list of at most {most}")
    return value


def hex_bytes(step: Step, key: str) -> bytes:
    """A member that is bytes in hex; raises `UsageError` else."""
    try:
        return bytes.fromhex(text(step, key).removeprefix("0x"))
    except ValueError:
        raise UsageError(f"`{key}` is `{shown(step[key])}`, it is bytes in hex") from None


def group_of(step: Step) -> int:
    """The number of a step's `group`: its name, or a decimal number as a text."""
    name = text(step, "group")
    if name in GROUPS:
        return GROUPS[name]
    if name.isdecimal() and name.isascii() and len(name) <= 10 and int(name) <= U32:
        return int(name)
    raise UnknownNameError("group", name, GROUPS)
