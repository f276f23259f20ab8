"""One access to a system register."""

from __future__ import annotations

from nvtrap.arch.encoding import ENCODINGS, generic_name, parse_encoding
from nvtrap.arch.esr import decode_sysreg
from nvtrap.errors import UsageError


class Access:
    """An encoding and a direction.

    `register` is an encoding as a number, `S3_0_C1_C0_1` or a 5-tuple in text, or a
    register's name; a name is looked up by the table that is asked. The EL of the
    access is that of the state.

    Raises `UsageError` for an encoding that does not fit 16 bits.
    """

    __slots__ = ("encoding", "name", "write")

    def __init__(self, register: int | str, write: bool = False) -> None:
        self.name = ""
        self.write = write
        if isinstance(register, str):
            encoding = parse_encoding(register)
            self.encoding = -1 if encoding is None else encoding
            self.name = register if encoding is None else ""
        elif 0 <= register < ENCODINGS:
            self.encoding = register
        else:
            raise UsageError(f"encoding `{register:#x}` does not fit 16 bits")

    @classmethod
    def from_esr(cls, esr: int) -> Access:
        """The access that an ESR value with EC 0x18 reports."""
        return cls(*decode_sysreg(esr))

    @property
    def direction(self) -> str:
        """`read` or `write`."""
        return "write" if self.write else "read"

    def __repr__(self) -> str:
        name = self.name if self.encoding < 0 else generic_name(self.encoding)
        return f"{self.direction} {name}"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Access):
            return NotImplemented
        return (self.encoding, self.name, self.write) == (
            other.encoding,
            other.name,
            other.write,
        )

    def __hash__(self) -> int:
        return hash((self.encoding, self.name, self.write))
