"""The registers of an ITS: GITS_* (IHI 0069, 12.19), as KVM has them.

Linux 6.12, arch/arm64/kvm/vgic/vgic-its.c. An ITS without its three tables is not enabled;
while it is enabled the registers of tables and queue keep what they have.
"""

from __future__ import annotations

from errno import EBUSY, EINVAL

from nvtrap.kvm.errno import refuse
from nvtrap.kvm.vgic.dist_v3 import REVISION, REVISION_SHIFT, iidr
from nvtrap.kvm.vgic.its.tables import INDIRECT, VALID
from nvtrap.kvm.vgic.mmio import part, with_part
from nvtrap.kvm.vgic.table_bases import IN_GITS, initial, sanitised

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from nvtrap.kvm.vgic.its.its import Its

    # Of the ITS, the offset in its frame and the size in bytes.
    Read = Callable[[Its, int, int], int]
    Write = Callable[[Its, int, int, int], None]

CTLR_ENABLED, CTLR_QUIESCENT = 1 << 0, 1 << 31
# Physical LPIs, entries of 8 bytes, 16 bits of EventID and of DeviceID, targets are vCPU ids.
TYPER = 1 << 0 | 7 << 4 | 15 << 8 | 15 << 13
QUEUE_ADDRESS = (1 << 52) - (1 << 12)
QUEUE_PAGE = 0xF << 12  # address bits that are cleared: 64 KiB
QUEUE_OFFSET = (1 << 20) - (1 << 5)
PAGE_SIZE, PAGE_64K = 3 << 8, 2 << 8
ENTRY_SIZE_SHIFT, TYPE_SHIFT = 48, 56
READ_ONLY = 0x1F << ENTRY_SIZE_SHIFT | 7 << TYPE_SHIFT
# GITS_BASER0 and GITS_BASER1: what they are of, and what of them cannot be set.
FIXED = (1 << TYPE_SHIFT | 7 << ENTRY_SIZE_SHIFT, 4 << TYPE_SHIFT | 7 << ENTRY_SIZE_SHIFT)
NEVER = (0, INDIRECT)
# The identification registers from offset 0xFFD0 on that are not zero.
IDS = {
    0xFFD0: 0x40,
    0xFFE0: 0x92,
    0xFFE4: 0xB4,
    0xFFE8: 0x3B,
    0xFFF0: 0x0D,
    0xFFF4: 0xF0,
    0xFFF8: 0x05,
    0xFFFC: 0xB1,
}


def initial_baser(n: int) -> int:
    """GITS_BASER<n> of a new ITS, for n of 0 and 1."""
    return initial(IN_GITS) | PAGE_64K | FIXED[n]


def queue_size(cbaser: int) -> int:
    """The bytes of the command queue."""
    return ((cbaser & 0xFF) + 1) << 12


# ---- control and identification ---------------------------------------------------------


def _read_ctlr(its: Its, _offset: int, _size: int) -> int:
    is_quiescent = its.creadr == its.cwriter
    return (CTLR_QUIESCENT if is_quiescent else 0) | (CTLR_ENABLED if its.enabled else 0)


def _write_ctlr(its: Its, _offset: int, _size: int, value: int) -> None:
    """Enabling carries out what is in the queue; it needs all tables and the queue valid."""
    enable = value & CTLR_ENABLED != 0
    if enable and not its.enabled and not (its.cbaser & its.basers[0] & its.basers[1] & VALID):
        return
    its.enabled = enable
    if not enable:
        its.forget_translations()
    its.process_commands()


def _read_iidr(_its: Its, _offset: int, _size: int) -> int:
    return iidr(0)


def _user_write_iidr(_its: Its, _offset: int, _size: int, value: int) -> None:
    """User space picks the ABI of the tables; raises `OSError` EINVAL for any but 0."""
    if value >> REVISION_SHIFT & REVISION:
        refuse(EINVAL)


def _read_typer(_its: Its, offset: int, size: int) -> int:
    return part(TYPER, offset, size)


def _read_id(_its: Its, offset: int, _size: int) -> int:
    return IDS.get(offset, 0)


# ---- the command queue ------------------------------------------------------------------


def _read_cbaser(its: Its, offset: int, size: int) -> int:
    return part(its.cbaser, offset, size)


def _write_cbaser(its: Its, offset: int, size: int, value: int) -> None:
    """A queue of 64 KiB alignment, empty from now on."""
    if not its.enabled:
        its.cbaser = sanitised(with_part(its.cbaser, offset, size, value), IN_GITS) & ~QUEUE_PAGE
        its.creadr = its.cwriter = 0


def _read_cwriter(its: Its, offset: int, size: int) -> int:
    return part(its.cwriter, offset, size)


def _write_cwriter(its: Its, offset: int, size: int, value: int) -> None:
    """Carries out the new commands; an offset beyond the queue is ignored."""
    end = with_part(its.cwriter, offset, size, value) & QUEUE_OFFSET
    if end < queue_size(its.cbaser):
        its.cwriter = end
        its.process_commands()


def _read_creadr(its: Its, offset: int, size: int) -> int:
    return part(its.creadr, offset, size)


def _user_write_creadr(its: Its, _offset: int, _size: int, value: int) -> None:
    """Raises `OSError`: EBUSY while enabled, EINVAL beyond the queue."""
    if its.enabled:
        refuse(EBUSY)
    if value & QUEUE_OFFSET >= queue_size(its.cbaser):
        refuse(EINVAL)
    its.creadr = value & QUEUE_OFFSET


# ---- the tables -------------------------------------------------------------------------


def _read_baser(its: Its, offset: int, size: int) -> int:
    n = offset >> 3 & 7
    return part(its.basers[n], offset, size) if n < len(its.basers) else 0


def _write_baser(its: Its, offset: int, size: int, value: int) -> None:
    """Another table than before has no mappings."""
    n = offset >> 3 & 7
    if its.enabled or n >= len(its.basers):
        return
    baser = with_part(its.basers[n], offset, size, value) & ~(READ_ONLY | NEVER[n] | PAGE_SIZE)
    baser = sanitised(baser, IN_GITS) | FIXED[n] | PAGE_64K
    if baser != its.basers[n]:
        its.basers[n] = baser
        (its.drop_devices, its.drop_collections)[n]()


# ---- all of them ------------------------------------------------------------------------


class Register:
    """A register at [offset, offset + length); `is_wide` when it has 64 bits.

    `user_write` answers to user space, which reads as a guest does.
    """

    __slots__ = ("is_wide", "length", "offset", "read", "user_write", "write")

    def __init__(
        self,
        offset: int,
        length: int,
        read: Read,
        write: Write,
        user_write: Write | None = None,
        is_wide: bool = False,
    ) -> None:
        self.offset = offset
        self.length = length
        self.read = read
        self.write = write
        self.user_write = user_write or write
        self.is_wide = is_wide


def _ignore(_its: Its, _offset: int, _size: int, _value: int) -> None:
    pass


REGISTERS = (
    Register(0x00, 4, _read_ctlr, _write_ctlr),
    Register(0x04, 4, _read_iidr, _ignore, _user_write_iidr),
    Register(0x08, 8, _read_typer, _ignore, is_wide=True),
    Register(0x80, 8, _read_cbaser, _write_cbaser, is_wide=True),
    Register(0x88, 8, _read_cwriter, _write_cwriter, is_wide=True),
    Register(0x90, 8, _read_creadr, _ignore, _user_write_creadr, is_wide=True),
    Register(0x100, 64, _read_baser, _write_baser, is_wide=True),
    Register(0xFFD0, 48, _read_id, _ignore),
)


def find(offset: int) -> Register | None:
    """The register at an offset."""
    for register in REGISTERS:
        if register.offset <= offset < register.offset + register.length:
            return register
    return None


def _taken(offset: int, size: int) -> Register | None:
    """The register that takes a guest's access: of 32 bits, or of 64 if it is wide."""
    register = find(offset)
    if register is None or offset % size:
        return None
    return register if size == 4 or (size == 8 and register.is_wide) else None


def read(its: Its, offset: int, size: int) -> int:
    """A guest's load; 0 where no register takes it."""
    register = _taken(offset, size)
    return 0 if register is None else register.read(its, offset, size) & (1 << 8 * size) - 1


def write(its: Its, offset: int, size: int, value: int) -> None:
    """A guest's store; nothing where no register takes it."""
    register = _taken(offset, size)
    if register is not None:
        register.write(its, offset, size, value & (1 << 8 * size) - 1)
