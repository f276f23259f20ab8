"""The LPI Configuration table and the LPI Pending table of one PE or vPE (IHI 0069, 5.1).

The Configuration table has a byte for each LPI from INTID 8192 on: bit 0 enables it, bits
[7:2] are its priority. The Pending table has a bit for each INTID; the bits below 8192
are not looked at. While the tables are in use the pending state is held here and memory
is out of date; `write_back` brings it up to date.

Configuration is cached 1024 LPIs at a time from when one of them first becomes pending
until it is invalidated, which is all that the architecture promises to software.
"""

from __future__ import annotations

from nvtrap.errors import AddressError, InputError
from nvtrap.gic.intids import FIRST_LPI

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from nvtrap.arch.memory import Memory

LEAST_ID_BITS = 14  # fewer INTID bits than that reach no LPI
BLOCK_BITS = 10
BLOCK = 1 << BLOCK_BITS
_ENABLED = 1
_PRIORITY = 0xFC
_NEVER = 0xFF  # the rank of what cannot be taken, above every priority
_FIRST_BLOCK = FIRST_LPI // BLOCK
_IN_BLOCK = BLOCK - 1
_PAGE = 4096  # the Pending table is read in pages: what is not RAM reads as zero
# A byte of pending bits → eight bytes, 0 where the bit is 1 and _NEVER where it is 0.
_SPREAD = [
    bytes(0 if byte >> bit & 1 else _NEVER for bit in range(8)) for byte in range(256)
]  # fmt: skip


class LpiTables:
    """The LPIs that have their configuration at one address and their pending bits at another.

    There are LPIs below 2 ** `id_bits`, none when that is less than 14 bits. Priorities
    keep the upper `priority_bits` bits. Memory that is not there reads as zero, and what
    is written to it is lost.
    """

    __slots__ = ("_best", "_configuration", "_limit", "_memory", "_pend", "_pending", "_ranked",
                 "_ranks", "_stale")  # fmt: skip

    def __init__(
        self, memory: Memory, configuration: int, pend: int, id_bits: int, priority_bits: int
    ) -> None:
        mask = _PRIORITY & 0xFF << 8 - priority_bits
        self._memory = memory
        self._configuration = configuration
        self._pend = pend
        self._limit = 1 << id_bits if id_bits >= LEAST_ID_BITS else 0
        self._ranks = bytes(
            byte & mask if byte & _ENABLED else _NEVER for byte in range(256)
        )  # a byte of the Configuration table → priority, or _NEVER
        self._pending: dict[int, int] = {}  # block → its pending bits, also where they became 0
        self._ranked: dict[int, bytearray] = {}  # block → cached ranks of its LPIs
        self._best: dict[int, int] = {}  # block → rank and INTID of its best, where there is one
        self._stale: set[int] = set()  # blocks whose best is not known

    # ---- memory -------------------------------------------------------------------

    def fetch(self) -> None:
        """Take the pending state from memory (5.1.2)."""
        end = self._limit // 8
        for offset in range(0, end, _PAGE):
            page = self._read(self._pend + offset, min(_PAGE, end - offset))
            if any(page):
                self._load_page(page, offset * 8 // BLOCK)
        self._stale.update(self._pending)

    def _load_page(self, page: bytes, block: int) -> None:
        for start in range(0, len(page), BLOCK // 8):
            bits = int.from_bytes(page[start : start + BLOCK // 8], "little")
            if bits and block >= _FIRST_BLOCK:
                self._pending[block] = bits
            block += 1

    def write_back(self) -> None:
        """Bring the pending bits in memory up to date (5.1.2)."""
        for block, bits in self._pending.items():
            try:
                self._memory.write(self._pend + block * BLOCK // 8, BLOCK // 8, bits)
            except AddressError:
                continue

    def _read(self, address: int, size: int) -> bytes:
        try:
            return self._memory.read_bytes(address, size)
        except AddressError:
            return bytes(size)

    # ---- configuration ------------------------------------------------------------

    def _ranks_of(self, block: int) -> bytearray:
        """The cached ranks of a block, read where they are not cached."""
        ranks = self._ranked.get(block)
        if ranks is None:
            address = self._configuration + block * BLOCK - FIRST_LPI
            ranks = bytearray(self._read(address, BLOCK).translate(self._ranks))
            self._ranked[block] = ranks
        return ranks

    def invalidate(self, intid: int) -> None:
        """Read the configuration of one LPI again (INV, GICR_INVLPIR)."""
        block = intid >> BLOCK_BITS
        ranks = self._ranked.get(block)
        if ranks is not None and intid >= FIRST_LPI:
            byte = self._read(self._configuration + intid - FIRST_LPI, 1)
            ranks[intid & _IN_BLOCK] = self._ranks[byte[0]]
            self._forget(block)

    def invalidate_all(self) -> None:
        """Read all configuration again, when it is needed (INVALL, GICR_INVALLR)."""
        self._ranked.clear()
        self._best.clear()
        self._stale.update(self._pending)

    def _forget(self, block: int) -> None:
        self._best.pop(block, None)
        self._stale.add(block)

    # ---- pending ------------------------------------------------------------------

    def is_pending(self, intid: int) -> bool:
        """Whether the LPI is pending."""
        return bool(self._pending.get(intid >> BLOCK_BITS, 0) >> (intid & _IN_BLOCK) & 1)

    def set_pending(self, intid: int) -> bool:
        """Make an LPI pending; whether it was not before. INTIDs that are no LPIs are ignored."""
        if not FIRST_LPI <= intid < self._limit or self.is_pending(intid):
            return False
        block, bit = intid >> BLOCK_BITS, intid & _IN_BLOCK
        self._pending[block] = self._pending.get(block, 0) | 1 << bit
        rank = self._ranks_of(block)[bit]
        if rank != _NEVER and block not in self._stale:
            key = rank << 32 | intid
            self._best[block] = min(self._best.get(block, key), key)
        return True

    def clear_pending(self, intid: int) -> bool:
        """Make an LPI not pending; whether it was before."""
        if not self.is_pending(intid):
            return False
        block = intid >> BLOCK_BITS
        self._pending[block] ^= 1 << (intid & _IN_BLOCK)
        if self._best.get(block, 0) & 0xFFFF_FFFF == intid:
            self._forget(block)
        if not self._pending[block]:
            self._stale.discard(block)
        return True

    def move_all(self, to: LpiTables) -> None:
        """Make everything that is pending here pending in `to` instead (MOVALL)."""
        for block, bits in self._pending.items():
            if bits and block << BLOCK_BITS < to._limit:
                to._pending[block] = to._pending.get(block, 0) | bits
                to._forget(block)
            self._pending[block] = 0
        self._best.clear()
        self._stale.clear()

    def highest_pending(self) -> tuple[int, int] | None:
        """(priority, INTID) of the LPI to be taken first; the lowest INTID of equal ones.

        None when no enabled LPI is pending. The priority is as in the table.
        """
        if self._stale:
            for block in self._stale:
                self._look_at(block)
            self._stale.clear()
        if not self._best:
            return None
        best = min(self._best.values())
        return best >> 32, best & 0xFFFF_FFFF

    def _look_at(self, block: int) -> None:
        """Find the best of a block: the lowest rank of those that are pending."""
        bits = self._pending.get(block)
        if not bits:
            return
        masks = b"".join(map(_SPREAD.__getitem__, bits.to_bytes(BLOCK // 8, "little")))
        both = int.from_bytes(masks, "little") | int.from_bytes(self._ranks_of(block), "little")
        ranks = both.to_bytes(BLOCK, "little")
        rank = min(ranks)
        if rank != _NEVER:
            self._best[block] = rank << 32 | block << BLOCK_BITS | ranks.index(rank)

    # ---- snapshots ----------------------------------------------------------------

    def state(self) -> dict[str, dict[str, object]]:
        """Pending bits and cached configuration by block, as plain data.

        What is not cached and will be needed is read first, so that a state says all that
        the future hangs on but memory.
        """
        self.highest_pending()
        return {
            "pending": {str(block): bits for block, bits in sorted(self._pending.items())},
            "cached": {str(block): ranks.hex() for block, ranks in sorted(self._ranked.items())},
        }

    def load(self, state: Mapping[str, Mapping[str, object]]) -> None:
        """Become what `state` gave of tables at the same places.

        Raises `InputError` when it cannot be such a state.
        """
        try:
            pending, ranked = state["pending"], state["cached"]
            self._pending = {self._block(block): _bits(bits) for block, bits in pending.items()}
            self._ranked = {self._block(block): _ranks(ranks) for block, ranks in ranked.items()}
        except (AttributeError, KeyError, TypeError, ValueError):
            raise InputError("the pending LPIs of a snapshot are damaged") from None
        self._best.clear()
        self._stale = set(self._pending)

    def _block(self, text: str) -> int:
        block = int(text)
        if not _FIRST_BLOCK <= block < self._limit >> BLOCK_BITS:
            raise ValueError
        return block


def _bits(bits: object) -> int:
    if type(bits) is not int or not 0 <= bits < 1 << BLOCK:
        raise ValueError
    return bits


def _ranks(text: object) -> bytearray:
    ranks = bytearray.fromhex(text if isinstance(text, str) else "")
    if len(ranks) != BLOCK:
        raise ValueError
    return ranks
