"""The guest's RAM as the kernel reads and writes it: kvm_read_guest, kvm_write_guest."""

from __future__ import annotations

from errno import EFAULT

from nvtrap.errors import AddressError
from nvtrap.kvm.errno import refuse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from nvtrap.arch.memory import Memory


def read_guest(memory: Memory, address: int, size: int) -> int:
    """The little-endian number in `size` bytes; raises `OSError` EFAULT outside RAM."""
    try:
        return memory.read(address, size)
    except AddressError:
        refuse(EFAULT)


def write_guest(memory: Memory, address: int, size: int, value: int) -> None:
    """Store `size` bytes; raises `OSError` EFAULT outside RAM."""
    try:
        memory.write(address, size, value)
    except AddressError:
        refuse(EFAULT)
