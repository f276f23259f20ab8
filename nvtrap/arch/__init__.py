"""The architecture's words: encodings, accesses, syndromes."""

from __future__ import annotations

from nvtrap.arch.access import Access
from nvtrap.arch.encoding import (
    ENCODINGS,
    encode,
    generic_name,
    operands,
    parse_encoding,
)
from nvtrap.arch.esr import EC_SYSREG, decode_sysreg, encode_sysreg, exception_class

__all__ = [
    "EC_SYSREG",
    "ENCODINGS",
    "Access",
    "decode_sysreg",
    "encode",
    "encode_sysreg",
    "exception_class",
    "generic_name",
    "operands",
    "parse_encoding",
]
