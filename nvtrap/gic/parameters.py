"""What an implementation chooses: the numbers that ICH_VTR_EL2, ICC_CTLR_EL1 and GICD_TYPER report.

IHI 0069, 12.2 to 12.12: the architecture leaves these to the implementation and says
which combinations there can be.
"""

from __future__ import annotations

from itertools import pairwise

from nvtrap.errors import UnknownNameError, UsageError
from nvtrap.gic.virtual import lr

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

# name → (smallest, largest, where nothing is said, what it is)
NUMBERS = {
    "list_registers": (1, 16, 4, "list registers, ICH_VTR_EL2.ListRegs + 1"),
    "virtual_priority_bits": (5, 8, 5, "ICH_VTR_EL2.PRIbits + 1"),
    "virtual_preemption_bits": (5, 7, 5, "ICH_VTR_EL2.PREbits + 1"),
    "physical_priority_bits": (4, 8, 5, "ICC_CTLR_EL1.PRIbits + 1"),
    "intid_bits": (16, 24, 24, "bits of an INTID in the CPU interfaces, 16 or 24"),
    "distributor_intid_bits": (10, 24, 16, "GICD_TYPER.IDbits + 1"),
    "spis": (0, 988, 224, "SPIs from INTID 32 on"),
    "extended_spis": (0, 1024, 0, "SPIs from INTID 4096 on"),
    "extended_ppis": (0, 64, 0, "PPIs from INTID 1056 on, 0, 32 or 64"),
    "security_states": (1, 2, 1, "1: no EL3, GICD_CTLR.DS is RAO/WI; 2: with EL3"),
    "maintenance_intid": (16, 31, 25, "the PPI of the maintenance interrupt"),
    "its_device_bits": (1, 32, 16, "GITS_TYPER.Devbits + 1"),
    "its_event_bits": (1, 32, 16, "GITS_TYPER.ID_bits + 1"),
}
FLAGS = {
    "seis": (False, "system errors of the guest can be signalled, ICH_VTR_EL2.SEIS"),
    "a3v": (True, "Aff3 may be other than 0, ICH_VTR_EL2.A3V"),
    "direct_injection": (False, "GICv4 virtual LPIs, ICH_VTR_EL2.nV4 is 0"),
    "tdir": (True, "ICH_HCR_EL2.TDIR is there, ICH_VTR_EL2.TDS"),
    "nmi": (False, "FEAT_GICv3_NMI"),
    "one_of_n": (False, "SPIs may go to any one PE, GICD_TYPER.No1N is 0"),
    "range_selector": (False, "SGIs reach Aff0 beyond 15, GICD_TYPER.RSS"),
    "lpis": (True, "GICD_TYPER.LPIS"),
    "direct_lpis": (False, "LPIs can be written to a redistributor, GICR_TYPER.DirectLPI"),
    "message_based_spis": (False, "GICD_SETSPI_NSR and its kin, GICD_TYPER.MBIS"),
    "its": (False, "there is an ITS"),
}
ADDRESSES = {"gicd_base": 0x0800_0000, "gits_base": 0x0808_0000, "gicr_base": 0x080A_0000}
MOST_PES = 512
# ICH_HCR_EL2: En and the enables of the maintenance interrupt, TC, TALL0, TALL1, EOIcount;
# and the places of TSEI and TDIR (IHI 0069, 12.4).
HCR_ALWAYS = 0xFF | 7 << 10 | 0x1F << 27
HCR_TSEI, HCR_TDIR = 13, 14
FRAME = 0x1_0000


class Parameters:
    """The choices of one implementation; immutable.

    Keywords are those of `NUMBERS`, `FLAGS` and `ADDRESSES`, and `affinities`: one
    Aff3.Aff2.Aff1.Aff0 a PE as a 32-bit number, the first is PE 0. What is left out
    takes the value of QEMU's `virt` board with two PEs.

    Raises `UsageError` when a value is out of range or a combination cannot be, with the
    reason, and `UnknownNameError` for a keyword that is none.
    """

    __slots__ = (*NUMBERS, *FLAGS, *ADDRESSES, "affinities", "hcr_mask", "lr_mask", "lr_mask_hw")

    list_registers: int
    virtual_priority_bits: int
    virtual_preemption_bits: int
    physical_priority_bits: int
    intid_bits: int
    distributor_intid_bits: int
    spis: int
    extended_spis: int
    extended_ppis: int
    security_states: int
    maintenance_intid: int
    its_device_bits: int
    its_event_bits: int
    seis: bool
    a3v: bool
    direct_injection: bool
    tdir: bool
    nmi: bool
    one_of_n: bool
    range_selector: bool
    lpis: bool
    direct_lpis: bool
    message_based_spis: bool
    its: bool
    gicd_base: int
    gits_base: int
    gicr_base: int
    affinities: tuple[int, ...]
    # The bits of ICH_HCR_EL2 that are implemented, and those of ICH_LR<n>_EL2 with HW = 0
    # and with HW = 1.
    hcr_mask: int
    lr_mask: int
    lr_mask_hw: int

    def __init__(self, *, affinities: tuple[int, ...] | list[int] = (0, 1), **choices: int) -> None:
        for name in choices:
            if name not in NUMBERS and name not in FLAGS and name not in ADDRESSES:
                raise UnknownNameError("parameter", name, [*NUMBERS, *FLAGS, *ADDRESSES])
        for name, (low, high, usual, _) in NUMBERS.items():
            self._set(name, _number(name, choices.get(name, usual), low, high))
        for name, (default, _) in FLAGS.items():
            self._set(name, _flag(name, choices.get(name, default)))
        for name, base in ADDRESSES.items():
            self._set(name, _number(name, choices.get(name, base), 0, (1 << 52) - 1))
        self._set("affinities", tuple(affinities))
        _refuse(self)
        self._set("hcr_mask", HCR_ALWAYS | self.seis << HCR_TSEI | self.tdir << HCR_TDIR)
        self._set("lr_mask", self._lr_bits() | lr.EOI)
        self._set("lr_mask_hw", self._lr_bits() | lr.HW | lr.PINTID)

    def _lr_bits(self) -> int:
        """What of a list register is implemented whatever HW is (IHI 0069, 12.4.3)."""
        priority = 0xFF00 >> self.virtual_priority_bits & 0xFF
        bits = lr.STATE | lr.GROUP | priority << lr.PRIORITY_SHIFT | (1 << self.intid_bits) - 1
        return bits | lr.NMI if self.nmi else bits

    @property
    def physical_preemption_bits(self) -> int:
        """The bits of a physical priority that may be group priority, at most 7 (4.8.2)."""
        return min(self.physical_priority_bits, 7)

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"parameters do not change: `{name}`")

    def as_dict(self) -> dict[str, object]:
        """Every parameter by its name, as plain data."""
        names = [*NUMBERS, *FLAGS, *ADDRESSES]
        return {name: getattr(self, name) for name in names} | {"affinities": [*self.affinities]}

    @classmethod
    def from_dict(cls, data: Mapping[str, object]) -> Parameters:
        """The parameters that `as_dict` gave, or a part of them.

        Raises `UsageError` as the constructor does.
        """
        affinities = data.get("affinities", (0, 1))
        if not isinstance(affinities, list | tuple):
            raise UsageError("`affinities` is a list of 32-bit numbers, one a PE")
        rest: dict[str, object] = {key: data[key] for key in data if key != "affinities"}
        return cls(affinities=list(affinities), **rest)  # type: ignore[arg-type]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Parameters) and self.as_dict() == other.as_dict()

    def __hash__(self) -> int:
        return hash((self.affinities, *(getattr(self, name) for name in NUMBERS)))

    def __repr__(self) -> str:
        usual = USUAL.as_dict()
        other = [
            f"{name}={value}" for name, value in self.as_dict().items() if value != usual[name]
        ]
        return f"Parameters({', '.join(other)})"


def _number(name: str, value: object, low: int, high: int) -> int:
    if type(value) is not int or not low <= value <= high:
        raise UsageError(f"`{name}` is `{value!r:.40}`, it goes from {low} to {high}")
    return value


def _flag(name: str, value: object) -> bool:
    if value is True or value is False:
        return bool(value)
    raise UsageError(f"`{name}` is `{value!r:.40}`, it is true or false")


def _refuse(chosen: Parameters) -> None:
    """Refuse what cannot be together; a reason each.

    Raises `UsageError`.
    """
    for is_wrong, reason in _REFUSALS:
        if is_wrong(chosen):
            raise UsageError(reason)


def _badly_affine(chosen: Parameters) -> bool:
    return any(
        type(affinity) is not int or not 0 <= affinity < 1 << 32 for affinity in chosen.affinities
    )


def _frames_overlap(chosen: Parameters) -> bool:
    per_pe = 4 if chosen.direct_injection else 2
    frames = [
        (chosen.gicd_base, FRAME),
        (chosen.gicr_base, per_pe * FRAME * len(chosen.affinities)),
    ]
    if chosen.its:
        frames.append((chosen.gits_base, 2 * FRAME))
    frames.sort()
    return any(base + size > after for (base, size), (after, _) in pairwise(frames))


# In this order, so that each may rely on those before it.
_REFUSALS = (
    (
        lambda p: p.virtual_preemption_bits > p.virtual_priority_bits,
        "there are more preemption bits than priority bits (ICH_VTR_EL2.PREbits, PRIbits)",
    ),
    (
        lambda p: p.intid_bits not in (16, 24),
        "the CPU interfaces have 16 or 24 INTID bits: ICH_VTR_EL2.IDbits has no other value",
    ),
    (
        lambda p: p.distributor_intid_bits > p.intid_bits,
        "the distributor has more INTID bits than the CPU interfaces can acknowledge",
    ),
    (
        lambda p: p.lpis and p.distributor_intid_bits < 14,
        "LPIs start at INTID 8192, which takes 14 INTID bits in the distributor",
    ),
    (
        lambda p: p.its and not p.lpis,
        "an ITS translates to LPIs, and there are none",
    ),
    (
        lambda p: p.direct_lpis and not p.lpis,
        "LPIs cannot be written to redistributors that have none",
    ),
    (
        lambda p: p.direct_injection and not p.its,
        "virtual LPIs are made by an ITS, and there is none",
    ),
    (
        lambda p: p.physical_priority_bits < 5 and p.security_states == 2,
        "with two security states there are at least 5 priority bits: Non-secure sees one less",
    ),
    (
        lambda p: p.extended_ppis % 32 != 0,
        "extended PPIs come 32 at a time: GICR_TYPER.PPInum has values for 0, 32 and 64",
    ),
    (
        lambda p: p.extended_spis % 32 != 0,
        "extended SPIs come 32 at a time: GICD_TYPER.ESPI_range counts words of 32",
    ),
    (
        lambda p: p.spis % 32 != 0 and p.spis != 988,
        "SPIs come 32 at a time, or are all 988: GICD_TYPER.ITLinesNumber counts words of 32",
    ),
    (
        lambda p: (p.extended_spis or p.extended_ppis) and p.distributor_intid_bits < 13,
        "extended SPIs end at INTID 5119, which takes 13 INTID bits in the distributor",
    ),
    (
        lambda p: not 1 <= len(p.affinities) <= MOST_PES,
        f"there are 1 to {MOST_PES} PEs",
    ),
    (_badly_affine, "an affinity is Aff3.Aff2.Aff1.Aff0 as a 32-bit number"),
    (
        lambda p: len(set(p.affinities)) != len(p.affinities),
        "two PEs have the same affinity",
    ),
    (
        lambda p: not p.a3v and any(affinity >> 24 for affinity in p.affinities),
        "an affinity has Aff3, and A3V says that Aff3 is 0",
    ),
    (
        lambda p: not p.range_selector and any(affinity & 0xFF > 15 for affinity in p.affinities),
        "an affinity has Aff0 above 15, which SGIs reach only with the range selector",
    ),
    (
        lambda p: any(base % FRAME for base in (p.gicd_base, p.gicr_base, p.gits_base)),
        "the register frames are aligned to 64 KiB",
    ),
    (_frames_overlap, "the frames of the distributor, redistributors and ITS overlap"),
)

# QEMU's `virt` board with two PEs.
USUAL = Parameters()
