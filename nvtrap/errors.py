"""Every exception that nvtrap raises on purpose.

::

    NvtrapError                 anything below; carries the exit code
    ├── UsageError              an argument, name or value the user gave is wrong
    │   └── UnknownNameError    a name nothing goes by; carries the closest ones
    ├── AddressError            there is no memory at an address of a model
    ├── InputError              a file or stream cannot be used as what it should be
    │   └── TableError          a compiled table is damaged, foreign or missing
    └── RulesError              rule text has errors; carries the findings

Messages are one lower-case sentence without a final period; what the user typed
stands in backticks; `help` says what to do about it.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class NvtrapError(Exception):
    """The root of the tree. `exit_code` is what the command line ends with."""

    exit_code = 2

    def __init__(self, message: str, help: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.help = help


class UsageError(NvtrapError, ValueError):
    """An argument, a name or a value cannot be understood or does not fit."""


class UnknownNameError(UsageError):
    """A name that nothing goes by.

    `kind` says what was looked for ("register", "field", "table"), `name` is what
    was asked, `known` the names to suggest from.
    """

    def __init__(self, kind: str, name: str, known: Iterable[str] = ()) -> None:
        close = closest(name, known)
        super().__init__(f"unknown {kind} `{name}`", did_you_mean(close))
        self.kind = kind
        self.name = name
        self.close = close


class AddressError(NvtrapError, LookupError):
    """An access to physical memory that touches an `address` where there is none."""

    def __init__(self, address: int) -> None:
        super().__init__(f"there is no memory at {address:#x}")
        self.address = address


class InputError(NvtrapError):
    """A file or a stream that cannot be read as what it should be."""


class TableError(InputError):
    """A compiled table that is damaged, of another format, or not there."""


class RulesError(NvtrapError):
    """Rule text that does not compile; `findings` say where and why."""

    exit_code = 1

    def __init__(self, message: str, findings: Sequence[object]) -> None:
        super().__init__(message)
        self.findings = findings


def closest(name: str, known: Iterable[str], most: int = 3) -> list[str]:
    """The names most like `name`, best first; upper and lower case count as equal."""
    from difflib import get_close_matches

    spelled = {candidate.upper(): candidate for candidate in known}
    found = get_close_matches(name.upper(), spelled, n=most, cutoff=0.7)
    return [spelled[match] for match in found]


def did_you_mean(close: Sequence[str]) -> str:
    """The suggestion for `close` names, or an empty text where there are none."""
    if not close:
        return ""
    return "did you mean " + " or ".join(f"`{name}`" for name in close) + "?"
