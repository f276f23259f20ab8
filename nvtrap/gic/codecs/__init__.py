"""Register values of the GICv3 as named fields, and back.

One module holds one family of registers (IHI 0069H, chapter 12); each is imported when a
register of it is first asked for. `decode` and `encode` are all that most callers need::

    decode("ICH_LR0_EL2", 0x50a0_0000_0000_001b)["State"]   # 1
    encode("ICH_LR0_EL2", {"State": "pending", "vINTID": 27})
"""

from __future__ import annotations

from nvtrap.gic.codecs.catalogue import find, registers
from nvtrap.gic.codecs.codec import Decoded, FieldValue, condition, decode, encode
from nvtrap.gic.codecs.layout import Field, Register
from nvtrap.gic.codecs.meaning import number_text

__all__ = [
    "Decoded",
    "Field",
    "FieldValue",
    "Register",
    "condition",
    "decode",
    "encode",
    "find",
    "number_text",
    "registers",
]
