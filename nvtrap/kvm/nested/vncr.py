"""The VNCR page: the registers of vEL2 and EL1 that are memory while vEL2 runs.

With FEAT_NV2 an access to one of them by vEL2 is a load or store of a doubleword at
VNCR_EL2.BADDR plus an offset (DDI 0487, D8.14 "Enhanced support for nested
virtualization"; IHI 0069 for the GIC's). The page is the host's: it keeps all of a vCPU's
registers in it that have an offset, and sanitises them as it reads them.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from struct import Struct

from nvtrap.arch.memory import PAGE_SIZE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from nvtrap.arch.memory import Memory

MASK_64 = (1 << 64) - 1
_WORD = Struct("<Q")
_read_word, _write_word = _WORD.unpack_from, _WORD.pack_into

OFFSETS = {
    "VTTBR_EL2": 0x020,
    "VTCR_EL2": 0x040,
    "VMPIDR_EL2": 0x050,
    "CNTVOFF_EL2": 0x060,
    "HCR_EL2": 0x078,
    "HSTR_EL2": 0x080,
    "VPIDR_EL2": 0x088,
    "TPIDR_EL2": 0x090,
    "HCRX_EL2": 0x0A0,
    "VNCR_EL2": 0x0B0,
    "CPACR_EL1": 0x100,
    "CONTEXTIDR_EL1": 0x108,
    "SCTLR_EL1": 0x110,
    "ACTLR_EL1": 0x118,
    "TCR_EL1": 0x120,
    "AFSR0_EL1": 0x128,
    "AFSR1_EL1": 0x130,
    "ESR_EL1": 0x138,
    "MAIR_EL1": 0x140,
    "AMAIR_EL1": 0x148,
    "MDSCR_EL1": 0x158,
    "SPSR_EL1": 0x160,
    "CNTV_CVAL_EL0": 0x168,
    "CNTV_CTL_EL0": 0x170,
    "CNTP_CVAL_EL0": 0x178,
    "CNTP_CTL_EL0": 0x180,
    "SCXTNUM_EL1": 0x188,
    "TFSR_EL1": 0x190,
    "HDFGRTR2_EL2": 0x1A0,
    "CNTPOFF_EL2": 0x1A8,
    "HDFGWTR2_EL2": 0x1B0,
    "HFGRTR_EL2": 0x1B8,
    "HFGWTR_EL2": 0x1C0,
    "HFGITR_EL2": 0x1C8,
    "HDFGRTR_EL2": 0x1D0,
    "HDFGWTR_EL2": 0x1D8,
    "ZCR_EL1": 0x1E0,
    "HAFGRTR_EL2": 0x1E8,
    "SMCR_EL1": 0x1F0,
    "SMPRIMAP_EL2": 0x1F8,
    "TTBR0_EL1": 0x200,
    "TTBR1_EL1": 0x210,
    "FAR_EL1": 0x220,
    "ELR_EL1": 0x230,
    "SP_EL1": 0x240,
    "VBAR_EL1": 0x250,
    "TCR2_EL1": 0x270,
    "SCTLR2_EL1": 0x278,
    "MAIR2_EL1": 0x280,
    "AMAIR2_EL1": 0x288,
    "PIRE0_EL1": 0x290,
    "PIRE0_EL2": 0x298,
    "PIR_EL1": 0x2A0,
    "POR_EL1": 0x2A8,
    "S2PIR_EL2": 0x2B0,
    "S2POR_EL1": 0x2B8,
    "HFGRTR2_EL2": 0x2C0,
    "HFGWTR2_EL2": 0x2C8,
    "PFAR_EL1": 0x2D0,
    "HFGITR2_EL2": 0x310,
    **{f"ICH_LR{n}_EL2": 0x400 + 8 * n for n in range(16)},
    **{
        f"ICH_AP{group}R{n}_EL2": 0x480 + 0x20 * group + 8 * n for group in (0, 1) for n in range(4)
    },
    "ICH_HCR_EL2": 0x4C0,
    "ICH_VMCR_EL2": 0x4C8,
    "VDISR_EL2": 0x500,
    "VSESR_EL2": 0x508,
    "PMBLIMITR_EL1": 0x800,
    "PMBPTR_EL1": 0x810,
    "PMBSR_EL1": 0x820,
    "PMSCR_EL1": 0x828,
    "PMSEVFR_EL1": 0x830,
    "PMSICR_EL1": 0x838,
    "PMSIRR_EL1": 0x840,
    "PMSLATFR_EL1": 0x848,
    "PMSNEVFR_EL1": 0x850,
    "PMSDSFR_EL1": 0x858,
    "TRFCR_EL1": 0x880,
    "TRCITECR_EL1": 0x888,
    "GCSPR_EL1": 0x8C0,
    "GCSCR_EL1": 0x8D0,
    "BRBCR_EL1": 0x8E0,
    "SPMACCESSR_EL1": 0x8E8,
    "MPAM1_EL1": 0x900,
    "MPAMHCR_EL2": 0x930,
    "MPAMVPMV_EL2": 0x938,
    **{f"MPAMVPM{n}_EL2": 0x940 + 8 * n for n in range(8)},
    **{f"AMEVCNTVOFF0{n}_EL2": 0xA00 + 8 * n for n in range(16)},
    **{f"AMEVCNTVOFF1{n}_EL2": 0xA80 + 8 * n for n in range(16)},
}
NAMES = {offset: name for name, offset in OFFSETS.items()}


class RegisterFile(MutableMapping[str, int]):
    """A vCPU's system registers by name, 64 bits each; never written ones read as zero.

    Those with an offset are in the page of `memory` at `base`, the rest beside it. `masks`
    are (bits that are there, bits that are one) by name, of registers in the page: reads
    are sanitised with them, and what was there is corrected, as the kernel does it
    (nested.c, kvm_vcpu_sanitise_vncr_reg, 6.12). `watched` are bits by register:
    `watched_values` has those as they were written, and `version` counts their changes.
    """

    __slots__ = (
        "_others",
        "_page",
        "_plain",
        "_read",
        "masks",
        "version",
        "watched",
        "watched_values",
    )

    def __init__(
        self,
        memory: Memory,
        base: int,
        *,
        masks: Mapping[str, tuple[int, int]] | None = None,
        watched: Mapping[str, int] | None = None,
    ) -> None:
        self._page = memory.page(base)
        # Beside the page; and what was last read of registers that are sanitised or
        # watched, as that happens at every exit.
        self._others: dict[str, int] = {}
        self._read: dict[str, int] = {}
        self.masks = dict(masks or {})
        self.watched = dict(watched or {})
        self.watched_values = dict.fromkeys(self.watched, 0)
        self.version = 0
        special = {*self.masks, *self.watched}
        self._plain = {name: at for name, at in OFFSETS.items() if name not in special}

    def __getitem__(self, name: str) -> int:
        value: int | None = self._others.get(name)
        if value is None:
            offset = self._plain.get(name)
            value = self._read.get(name) if offset is None else _read_word(self._page, offset)[0]
        return self._sanitised(name) if value is None else value

    def _sanitised(self, name: str) -> int:
        offset = OFFSETS.get(name)
        if offset is None:
            return 0
        value: int = _read_word(self._page, offset)[0]
        if name in self.masks:
            there, ones = self.masks[name]
            sane = value & there | ones
            if sane != value:
                self[name] = value = sane
        self._read[name] = value
        return value

    def __setitem__(self, name: str, value: int) -> None:
        value &= MASK_64
        offset = OFFSETS.get(name)
        if offset is None:
            self._others[name] = value
        else:
            _write_word(self._page, offset, value)
            self._read.pop(name, None)
        if name in self.watched:
            seen = value & self.watched[name]
            if self.watched_values[name] != seen:
                self.watched_values[name] = seen
                self.version += 1

    def __delitem__(self, name: str) -> None:
        self[name] = 0
        self._others.pop(name, None)

    def __iter__(self) -> Iterator[str]:
        """The registers that are not zero in the page, and those beside it that were written."""
        yield from (name for name in OFFSETS if self[name])
        yield from self._others

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def clear(self) -> None:
        """Make every register zero, but for bits that are always one."""
        self._page[:] = bytes(PAGE_SIZE)
        self._others.clear()
        self._read.clear()
        self.watched_values = dict.fromkeys(self.watched, 0)
        self.version += 1

    def load(self, offset: int) -> int:
        """What vEL2 reads at an offset (0 to 0xff8, a multiple of 8), nothing sanitised."""
        found: int = _read_word(self._page, offset)[0]
        return found

    def store(self, offset: int, value: int) -> None:
        """What vEL2 writes there."""
        name = NAMES.get(offset)
        if name is not None:
            self[name] = value
        elif 0 <= offset <= PAGE_SIZE - 8:
            _write_word(self._page, offset, value & MASK_64)
