"""How a system call fails: `OSError` with the errno that Linux gives."""

from __future__ import annotations

from os import strerror

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn


def refuse(number: int) -> NoReturn:
    """Fail with this errno.

    Raises `OSError`.
    """
    raise OSError(number, strerror(number))
